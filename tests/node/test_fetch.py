"""Fetching studies: whole, verified, from whoever has them, resumed, and shown all at once."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from structlog.testing import capture_logs

from meshpacs.archive.faults import DiskFull, NoRoom
from meshpacs.archive.receiving import Receiving
from meshpacs.archive.stage import Stage
from meshpacs.links.link import Link
from meshpacs.links.transfer import Known, give
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.node import fetching
from meshpacs.node.fetcher import Following
from meshpacs.node.manifests import Checked
from meshpacs.node.pulling import Pulling
from meshpacs.node.selection import Selection
from meshpacs.node.serving import Serving
from meshpacs.node.views import FetchDone, FetchProgress
from tests.node.clinics import KO, SR, STUDY, Clinic, clinics, instance

KIB = 1024


def series(count: int, size: int = 200 * KIB, **more: str) -> list[bytes]:
    return [instance(number, size=size, **more) for number in range(count)]  # type: ignore[arg-type]


def flipped(data: bytes | None) -> bytes:
    assert data is not None
    return bytes([data[0] ^ 1]) + data[1:]


async def test_a_study_at_one_member_comes_whole_and_a_second_fetch_finds_it_here(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(5), instance(9, size=3 * LEAF_BYTES))
        done = await bert.fetch()
        assert (done.instances, done.already_here, done.partial) == (6, False, False)
        assert done.from_members == {anna.node: 6}
        assert done.bytes == sum(entry.size_bytes for entry in anna.entries())
        assert bert.entries() == anna.entries()
        assert bert.archive.selections() == ()
        again = await bert.fetch()
        assert again.already_here
        assert (again.instances, again.bytes) == (6, 0)
        assert anna.blamed == bert.blamed == []


async def test_what_is_vouched_for_is_told_on_by_whoever_fetched_it(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(3))
        await bert.fetch()
        anna.kill()
        done = await carl.fetch()
        assert done.from_members == {bert.node: 3}
        assert done.unheard == (anna.node,)
        (manifest,) = carl.contributions.kept(STUDY)
        assert manifest.origin == anna.node


async def test_only_what_is_not_here_is_fetched(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        files = series(6)
        anna.take(*files)
        bert.take(*files[:4])
        done = await bert.fetch()
        assert (done.instances, done.from_members) == (6, {anna.node: 2})
        assert len(anna.served) == 2


async def test_three_contributions_are_one_study_though_a_holder_dies_in_the_middle(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl", "dora") as hall:
        anna, bert, carl, dora = hall
        anna.take(*series(20))
        bert.take(instance(1, series="2", modality="SR", sop_class=SR))
        await dora.fetch()
        anna.take(instance(1, series="3", modality="KO", sop_class=KO))
        await dora.fetch()
        anna.served.clear()

        def die(_root: Digest, _index: int, data: bytes | None) -> bytes | None:
            if len(anna.served) == 5:
                anna.kill()
            return data

        anna.meddle = die
        done = await carl.fetch()
        assert (done.instances, done.partial) == (22, False)
        assert {entry.modality for entry in carl.entries()} == {"CT", "SR", "KO"}
        assert set(carl.entries()) == {*anna.entries(), *bert.entries()}
        versions = {m.origin: m.version for m in carl.contributions.kept(STUDY)}
        assert versions == {anna.node: 2, bert.node: 1}


async def test_holders_share_the_work(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        files = [*series(30, 400 * KIB), instance(99, size=24 * LEAF_BYTES)]
        anna.take(*files)
        bert.take(*files)
        done = await carl.fetch()
        assert done.instances == 31
        given = {anna.node: len(anna.served), bert.node: len(bert.served)}
        assert min(given.values()) >= 10, given
        assert sum(given.values()) == 30 + 25


async def test_a_holder_killed_in_the_middle_is_replaced_by_another(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        files = [*series(30, 400 * KIB), instance(99, size=24 * LEAF_BYTES)]
        anna.take(*files)
        bert.take(*files)

        def die(_root: Digest, _index: int, data: bytes | None) -> bytes | None:
            if len(anna.served) == 8:
                anna.kill()
            return data

        anna.meddle = die
        done = await carl.fetch()
        assert (done.instances, done.partial) == (31, False)
        assert carl.entries() == bert.entries()
        assert carl.blamed == []


async def test_all_holders_lost_leaves_nothing_visible_and_everything_staged(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(30, 400 * KIB))

        def die(_root: Digest, _index: int, data: bytes | None) -> bytes | None:
            if len(anna.served) == 20:
                anna.kill()
            return data

        anna.meddle = die
        with pytest.raises(Unavailable, match=r"of 30 instances could not be had: lost anna"):
            await bert.fetch()
        assert bert.entries() == ()
        staged = len(bert.archive.stage(Selection(STUDY).name).entries())
        assert staged > 0
        anna.meddle = None
        anna.served.clear()
        await hall.start(anna)
        done = await bert.fetch()
        assert (done.instances, done.partial) == (30, False)
        assert len(anna.served) == 30 - staged


async def test_a_receiver_that_was_killed_resumes_and_nothing_that_landed_is_sent_again(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(60, 400 * KIB))
        async with bert.fetcher.fetch(Selection(STUDY)) as following:
            landed = 0
            async for _ in following.instances():
                landed += 1
                if landed == 12:
                    bert.kill()
        assert bert.entries() == ()
        await hall.restart(bert)
        staged = {e.root for e in bert.archive.stage(Selection(STUDY).name).entries()}
        assert len(staged) >= 12
        anna.served.clear()
        done = await bert.fetch()
        given = {anna.node: 60 - len(staged)} if len(staged) < 60 else {}
        assert (done.instances, done.from_members) == (60, given)
        assert not staged & {root for root, _ in anna.served}


async def test_a_large_instance_is_resumed_at_the_leaf_where_it_broke_off(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1, size=40 * LEAF_BYTES))
        (entry,) = anna.entries()
        stage = Selection(STUDY).name

        def die(_root: Digest, _index: int, data: bytes | None) -> bytes | None:
            if len(anna.served) == 30:
                bert.kill()
            return data

        anna.meddle = die
        with pytest.raises(Unavailable):
            await bert.fetch()
        await hall.restart(bert)
        have = bert.archive.stage(stage).partial(entry.root)
        assert have > 0
        anna.meddle = None
        while anna.serving._served:  # a leaf may still be read for the link that is gone
            await trio.lowlevel.checkpoint()
        anna.served.clear()
        done = await bert.fetch()
        assert done.instances == 1
        assert [index for _, index in anna.served] == list(range(have, 41))


async def test_a_large_instance_that_was_all_there_but_for_the_last_word_is_not_sent_again(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1, size=3 * LEAF_BYTES))
        (entry,) = anna.entries()
        leaves = anna.archive.leaves(entry.root)
        assert leaves is not None
        with bert.archive.stage(Selection(STUDY).name).receive(entry, leaves) as receiving:
            for index in range(4):
                receiving.write_leaf(anna.archive.read_leaf(entry.root, index))
        done = await bert.fetch()
        assert (done.instances, done.bytes) == (1, 0)
        assert anna.served == []


async def test_room_is_wanted_only_for_what_is_not_here_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1, size=3 * LEAF_BYTES), instance(2))
        large, small = anna.entries()
        leaves = anna.archive.leaves(large.root)
        assert leaves is not None
        with bert.archive.stage(Selection(STUDY).name).receive(large, leaves) as receiving:
            for index in range(2):
                receiving.write_leaf(anna.archive.read_leaf(large.root, index))
        free, wanted = large.size_bytes - 2 * LEAF_BYTES + small.size_bytes, list[int]()

        def need(size: int, what: str) -> None:
            wanted.append(size)
            if size > free:
                raise NoRoom(f"There is no room for {what}.")

        def full(_selection: str, *, partial: bool) -> None:
            raise DiskFull(f"The disk is full, {partial=}.")

        free -= 1
        monkeypatch.setattr(bert.archive, "need_room", need)
        with pytest.raises(NoRoom, match=STUDY):
            await bert.fetch()
        assert anna.served == []
        free += 1
        with monkeypatch.context() as patch:
            patch.setattr(bert.archive, "adopt", full)
            with pytest.raises(DiskFull):
                await bert.fetch()
        assert wanted == [free, free]
        # All of it is staged: what is left to do needs none.
        free = -1
        assert (await bert.fetch()).instances == 2


async def test_a_torn_part_of_a_large_instance_is_fetched_again(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1, size=5 * LEAF_BYTES))
        (entry,) = anna.entries()
        leaves = anna.archive.leaves(entry.root)
        assert leaves is not None
        stage = bert.archive.stage(Selection(STUDY).name)
        with stage.receive(entry, leaves) as receiving:
            for index in range(4):
                receiving.write_leaf(anna.archive.read_leaf(entry.root, index))
        (part,) = stage.folder.glob("*.part")
        with part.open("r+b") as file:
            file.seek(2 * LEAF_BYTES + LEAF_BYTES // 2)
            file.write(b"torn")
        await bert.fetch()
        assert sorted(index for _, index in anna.served) == [2, 3, 4, 5]
        assert bert.entries() == (entry,)


@pytest.mark.parametrize(
    ("count", "size"), [(40, 400 * KIB), (4, 6 * LEAF_BYTES)], ids=["small", "large"]
)
async def test_a_flipped_bit_is_seen_and_blamed_and_comes_right_from_elsewhere(
    tmp_path: Path, count: int, size: int
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        files = series(count, size)  # more than one holder's window, so that both must give
        anna.take(*files)
        bert.take(*files)
        spoilt: list[Digest] = []

        def spoil(root: Digest, _index: int, data: bytes | None) -> bytes | None:
            if spoilt:
                return data
            spoilt.append(root)
            return flipped(data)

        anna.meddle = spoil
        done = await carl.fetch()
        assert (done.instances, done.partial) == (count, False)
        assert carl.blamed == [(anna.node, "It gave wrong bytes for a content.")]
        assert spoilt[0] in {root for root, _ in bert.served}


async def test_a_holder_that_gives_wrong_bytes_again_and_again_is_left(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(20))
        anna.meddle = lambda _root, _index, data: flipped(data)
        with pytest.raises(Unavailable, match="wrong bytes again and again"):
            await bert.fetch()
        assert len(bert.blamed) >= 3
        assert bert.entries() == ()


async def test_a_wrong_leaf_list_is_blamed(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        file = instance(1, size=5 * LEAF_BYTES)
        anna.take(file)
        bert.take(file)
        right = anna.serving.leaves

        async def wrong(root: Digest) -> bytes:
            return flipped(await right(root))

        anna.serving.leaves = wrong  # type: ignore[method-assign]
        carl.holders = [anna.node]
        with pytest.raises(Unavailable):
            await carl.fetch()
        assert (anna.node, "It gave a wrong leaf list for a content.") in (carl.blamed)
        carl.holders = [anna.node, bert.node]
        assert (await carl.fetch()).instances == 1


async def test_a_wrong_leaf_list_does_not_spoil_what_is_staged(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        file = instance(1, size=5 * LEAF_BYTES)
        anna.take(file)
        bert.take(file)
        (entry,) = anna.entries()
        leaves = anna.archive.leaves(entry.root)
        assert leaves is not None
        with carl.archive.stage(Selection(STUDY).name).receive(entry, leaves) as receiving:
            for index in range(3):
                receiving.write_leaf(anna.archive.read_leaf(entry.root, index))

        async def wrong(root: Digest) -> bytes:
            assert root == entry.root
            return flipped(leaves)

        anna.serving.leaves = wrong  # type: ignore[method-assign]
        carl.holders = [anna.node]
        with pytest.raises(Unavailable):
            await carl.fetch()
        carl.holders = [bert.node]
        await carl.fetch()
        assert sorted(index for _, index in bert.served) == [3, 4, 5]


async def test_a_holder_lost_while_its_leaf_list_is_looked_at_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        file = instance(1, size=5 * LEAF_BYTES)
        anna.take(file)
        bert.take(file)
        (entry,) = anna.entries()
        leaves = anna.archive.leaves(entry.root)
        assert leaves is not None
        with carl.archive.stage(Selection(STUDY).name).receive(entry, leaves) as receiving:
            for index in range(3):
                receiving.write_leaf(anna.archive.read_leaf(entry.root, index))
        second = threading.Event()
        lists = 0
        receive = Stage.receive

        def slow(stage: Stage, *args: Any, **more: Any) -> Receiving:
            if lists == 1:
                (fetch,) = carl.fetcher._fetches.values()
                trio.from_thread.run_sync(fetch._pulling._links[givers[0].node].cancel)
                assert second.wait(20)
            return receive(stage, *args, **more)

        givers: list[Clinic] = []

        def watch(clinic: Clinic) -> None:
            right = clinic.serving.leaves

            async def watched(root: Digest) -> bytes:
                nonlocal lists
                givers.append(clinic)
                lists += 1
                found = await right(root)
                if lists == 2:
                    second.set()
                return found

            monkeypatch.setattr(clinic.serving, "leaves", watched)

        watch(anna)
        watch(bert)
        monkeypatch.setattr(Stage, "receive", slow)
        done = await carl.fetch()
        assert (done.instances, done.partial) == (1, False)
        assert sorted(index for _, index in givers[1].served) == [3, 4, 5]


async def test_what_a_holder_lacks_comes_from_another(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        files = [*series(6), instance(9, size=3 * LEAF_BYTES)]
        anna.take(*files)
        bert.take(*files)
        gone = {entry.root for entry in anna.entries()[:4]}
        anna.meddle = lambda root, _index, data: None if root in gone else data
        done = await carl.fetch()
        assert (done.instances, done.partial) == (7, False)
        assert carl.blamed == []


async def test_what_nobody_has_any_more_is_named_and_the_rest_is_shown_as_a_part(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(6))
        gone = anna.entries()[2]
        anna.meddle = lambda root, _index, data: None if root == gone.root else data
        done = await bert.fetch()
        assert (done.instances, done.partial, done.missing, done.missing_total) == (
            5, True, (gone.sop_uid,), 1,
        )  # fmt: skip
        assert bert.archive.partial_studies() == (STUDY,)
        anna.meddle = None
        done = await bert.fetch()
        assert (done.instances, done.partial) == (6, False)
        assert bert.archive.partial_studies() == ()


async def test_a_holder_that_has_nothing_left_of_it_shows_nothing(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(3))
        anna.meddle = lambda _root, _index, _data: None
        with pytest.raises(Unavailable, match="3 of 3 instances could not be had: nobody"):
            await bert.fetch()


async def test_a_damaged_blob_is_missing_and_not_served(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(3))
        lost = anna.entries()[0]
        path, offset, _ = anna.archive.open_content(lost.root)
        with path.open("r+b") as file:
            file.seek(offset + 500)
            file.write(b"damage")
        done = await bert.fetch()
        assert (done.instances, done.missing) == (2, (lost.sop_uid,))
        assert bert.blamed == []
        assert len(anna.archive.losses()) == 1


async def test_two_contents_under_one_uid_are_a_conflict_that_is_decided_alike_everywhere(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl", "dora") as hall:
        anna, bert, carl, dora = hall
        anna.take(instance(1), instance(2))
        bert.take(instance(1, variant=1), instance(3))
        first = await carl.fetch()
        dora.holders = [bert.node, anna.node]
        second = await dora.fetch()
        assert (first.instances, first.conflicts) == (second.instances, second.conflicts) == (3, 1)
        assert carl.entries() == dora.entries()
        (conflict,) = carl.archive.conflicts()
        roots = {c.entries()[0].root for c in (anna, bert)}
        assert conflict.kept is not None
        assert {conflict.kept.root, conflict.aside.root} == roots
        assert conflict.kept.root == min(roots)
        assert carl.archive.conflicts()[0].aside == dora.archive.conflicts()[0].aside
        again = await carl.fetch()
        assert (again.already_here, again.bytes) == (True, 0)


async def test_a_conflict_with_what_is_here_keeps_what_is_here_in_sight(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1))
        bert.take(instance(1, variant=1))
        before = bert.entries()
        done = await bert.fetch()
        assert (done.instances, done.conflicts) == (1, 1)
        assert bert.entries() == before
        assert (await bert.fetch()).already_here


async def test_a_series_or_an_instance_can_be_fetched_alone_and_is_marked_a_part(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(4), *series(3, series="2"))
        wanted = Selection(STUDY, series=frozenset({f"{STUDY}.2"}))
        done = await bert.fetch(wanted)
        assert (done.instances, done.partial) == (3, True)
        assert {entry.series_uid for entry in bert.entries()} == {f"{STUDY}.2"}
        one = anna.entries()[0].sop_uid
        done = await bert.fetch(Selection(STUDY, instances=frozenset({one})))
        assert (done.instances, len(bert.entries())) == (1, 4)
        whole = await bert.fetch()
        assert (whole.instances, whole.from_members) == (7, {anna.node: 3})
        with pytest.raises(Unavailable, match="part of it that was asked for"):
            await bert.fetch(Selection(STUDY, series=frozenset({"9.9"})))


async def test_two_who_want_the_same_share_one_fetch(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(10))
        ends: list[FetchDone] = []

        async def follow() -> None:
            ends.append(await bert.fetch())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            nursery.start_soon(follow)
        assert ends[0] == ends[1]
        assert len(anna.served) == 10


async def test_a_fetch_goes_on_while_anybody_follows_it_and_stops_with_the_last(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(12))
        wanted = Selection(STUDY)
        async with bert.fetcher.fetch(wanted) as first, bert.fetcher.fetch(wanted) as second:
            assert first.fetch is second.fetch
        fetch = first.fetch
        # Whoever comes while it is letting go of the stage gets a new one, after it.
        assert (await bert.fetch()).instances == 12
        assert fetch.over.is_set()
        assert fetch.done is None
        with pytest.raises(Unavailable, match="stopped"):
            _ = [event async for event in Following(fetch, bert.archive, None)]


async def test_progress_grows_and_ends_with_what_there_is(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(10))
        events = await bert.events()
        *progress, done = events
        assert isinstance(done, FetchDone)
        assert all(isinstance(event, FetchProgress) for event in progress)
        last = cast("FetchProgress", progress[-1])
        assert (last.instances, last.instances_total) == (10, 10)
        assert last.bytes == last.bytes_total == done.bytes
        assert last.by_member == {anna.node: done.bytes}
        counts = [cast("FetchProgress", event).instances for event in progress]
        assert counts == sorted(counts)


async def test_each_instance_is_handed_on_once_it_is_durable_staged_ones_too(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(6))
        entry = anna.entries()[0]
        with bert.archive.stage(Selection(STUDY).name).receive(entry) as receiving:
            receiving.write_leaf(anna.archive.read_leaf(entry.root, 0))
            receiving.commit()
        async with bert.fetcher.fetch(Selection(STUDY)) as following:
            landed = [entry async for entry in following.instances()]
        assert landed[0] == entry
        assert sorted(landed) == list(anna.entries())


async def test_a_link_that_breaks_is_dialled_again_as_long_as_something_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(30, 400 * KIB))
        links: list[Link] = []

        async def watched(link: Link, source: Serving) -> None:
            links.append(link)
            await give(link, source)

        def breaking(_root: Digest, _index: int, data: bytes | None) -> bytes | None:
            if len(anna.served) in {5, 20}:
                links[-1].close("broken")
            return data

        monkeypatch.setattr("meshpacs.node.serving.give", watched)
        anna.meddle = breaking
        done = await bert.fetch()
        assert (done.instances, done.partial) == (30, False)
        assert len(links) >= 2


async def test_a_holder_that_cannot_be_reached_is_named_and_the_others_give(
    tmp_path: Path,
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(4))
        carl.holders = [anna.node, bert.node]
        bert.kill()
        done = await carl.fetch()
        assert (done.instances, done.partial) == (4, False)
        assert done.unheard == (bert.node,)
        anna.kill()
        again = await carl.fetch()
        assert again.already_here
        assert again.unheard == tuple(sorted((anna.node, bert.node)))


async def test_what_only_the_unreached_have_is_missing_by_name(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(4))
        wanted = Selection(STUDY, series=frozenset({f"{STUDY}.1"}))
        bert.take(instance(1, series="2", modality="SR", sop_class=SR))
        await anna.fetch(Selection(STUDY, series=frozenset({f"{STUDY}.2"})))
        # Anna knows what Bert vouches for; now Bert alone is up, and knows nothing of Anna's.
        await bert.fetch(wanted)
        anna.kill()
        bert.meddle = lambda _root, _index, _data: None
        with pytest.raises(Unavailable, match="5 of 5 instances could not be had: nobody"):
            await carl.fetch()


async def test_a_full_disk_ends_the_fetch_by_name_and_nothing_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(3), instance(9, size=3 * LEAF_BYTES))

        def full(_self: Receiving) -> None:
            raise DiskFull("The disk is full.", "Make room.")

        with monkeypatch.context() as patch:
            patch.setattr(Receiving, "commit", full)
            with pytest.raises(DiskFull):
                await bert.fetch()
        assert bert.entries() == ()
        assert (await bert.fetch()).instances == 4


@pytest.mark.parametrize("size", [1000, 3 * LEAF_BYTES], ids=["small", "large"])
async def test_who_vouches_for_another_instance_than_the_bytes_are_is_blamed(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1, size=size), instance(2))
        entries = anna.entries()
        lie = [replace(e, series_uid="6.6.6") if e is entries[0] else e for e in entries]
        monkeypatch.setattr(anna.archive, "own_entries", lambda _study: tuple(lie))
        monkeypatch.setattr(anna.archive, "study_entries", lambda _study: tuple(lie))
        with capture_logs() as logs:
            done = await bert.fetch()
        assert (done.instances, done.missing) == (1, (f"{STUDY}.1.1",))
        assert [node for node, _ in bert.blamed] == [anna.node]
        assert "fetched_refused" in {line["event"] for line in logs}


@pytest.mark.parametrize("begun", [0, 2], ids=["new", "begun"])
@pytest.mark.parametrize("size", [1000, 3 * LEAF_BYTES], ids=["small", "large"])
async def test_an_entry_that_no_instance_can_be_costs_the_others_nothing(
    tmp_path: Path, size: int, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(instance(1, size=size), instance(2))
        entries = anna.entries()
        if size > LEAF_BYTES and begun:
            leaves = anna.archive.leaves(entries[0].root)
            assert leaves is not None
            with bert.archive.stage(Selection(STUDY).name).receive(entries[0], leaves) as part:
                for index in range(begun):
                    part.write_leaf(anna.archive.read_leaf(entries[0].root, index))
        lie = (replace(entries[0], transfer_syntax="1.2/3"), entries[1])
        monkeypatch.setattr(anna.archive, "own_entries", lambda _study: lie)
        monkeypatch.setattr(anna.archive, "study_entries", lambda _study: lie)
        done = await bert.fetch()
        assert (done.instances, done.missing) == (1, (f"{STUDY}.1.1",))
        assert [node for node, _ in bert.blamed] == [anna.node]


async def test_a_breach_of_the_protocol_by_a_holder_is_blamed_and_the_others_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(4))
        bert.take(*series(4))

        check = carl.contributions.check

        def refuse(study: str, known: Known, sender: NodeId) -> Checked:
            if sender == bert.node:
                raise PeerFault("It told nonsense.")
            return check(study, known, sender)

        monkeypatch.setattr(carl.contributions, "check", refuse)
        done = await carl.fetch()
        assert (done.instances, done.from_members) == (4, {anna.node: 4})
        assert carl.blamed == [(bert.node, "It told nonsense.")]
        assert done.unheard == (bert.node,)


async def test_a_fork_of_manifests_is_blamed_on_who_signed_both(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(2))
        await bert.fetch()
        # Anna forgets her books and signs a first version anew.
        with sqlite3.connect(anna.folder / "index.sqlite") as con:
            con.execute("DELETE FROM manifests")
        con.close()
        anna.take(instance(7))
        with capture_logs() as logs:
            done = await bert.fetch()
        assert done.instances == 3
        assert [node for node, _ in bert.blamed] == [anna.node]
        assert "manifest_forked" in {line["event"] for line in logs}
        assert (await carl.fetch()).instances == 3


@pytest.mark.parametrize("where", ["union", "pull"])
async def test_a_defect_of_ours_is_raised_and_not_called_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    if where == "union":
        monkeypatch.setattr(fetching, "union", break_down)
    else:
        monkeypatch.setattr(Pulling, "_take_list", break_down)

    async def run() -> None:
        async with clinics(tmp_path, "anna", "bert") as hall:
            anna, bert = hall
            anna.take(instance(1, size=3 * LEAF_BYTES))
            with pytest.raises(Unavailable):
                await bert.fetch()
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(ZeroDivisionError)


async def test_holders_that_are_known_already_are_not_searched_for(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(2))

        async def never(_study: str) -> fetching.Located:
            raise AssertionError

        bert.fetcher._means = replace(bert.fetcher._means, locate=never)
        async with bert.fetcher.fetch(Selection(STUDY), holders=[anna.node]) as following:
            events = [event async for event in following]
        assert cast("FetchDone", events[-1]).instances == 2


async def test_no_fetch_begins_once_the_node_stops(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna") as hall:
        (anna,) = hall
        anna.kill()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Unavailable, match="stopping"):
            await anna.fetch()


async def test_what_holders_hold_is_told_apart_from_what_they_know(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(3), *series(2, series="2"))
        await bert.fetch(Selection(STUDY, series=frozenset({f"{STUDY}.2"})))
        bert.take(instance(1, series="3"))
        wanted = [(STUDY, [anna.node, bert.node, carl.node]), ("9.9", [anna.node])]
        found = await carl.fetcher.holdings(wanted)
        assert found[anna.node, STUDY] == anna.entries()
        assert found[bert.node, STUDY] == bert.entries()
        assert found[carl.node, STUDY] == ()
        assert found[anna.node, "9.9"] == ()
        assert carl.archive.manifests(STUDY) == {}


async def test_holders_that_cannot_say_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clinics(tmp_path, "anna", "bert", "carl") as hall:
        anna, bert, carl = hall
        anna.take(*series(3))
        bert.kill()
        found = await carl.fetcher.holdings([(STUDY, [anna.node, bert.node])])
        assert list(found) == [(anna.node, STUDY)]

        def refuse(*_: object) -> None:
            raise PeerFault("It told nonsense.")

        monkeypatch.setattr(carl.contributions, "check", refuse)
        assert await carl.fetcher.holdings([(STUDY, [anna.node])]) == {}
        assert carl.blamed == [(anna.node, "It told nonsense.")]


async def test_files_are_exported_as_they_are_stored(tmp_path: Path) -> None:
    async with clinics(tmp_path, "anna", "bert") as hall:
        anna, bert = hall
        anna.take(*series(3))
        done = await bert.fetch(to=tmp_path / "out")
        assert (done.exported_to, done.exported) == (tmp_path / "out", 3)
        files = sorted((tmp_path / "out").rglob("*.dcm"))
        assert [f"{f.parent.name}/{f.stem}" for f in files] == [
            f"{entry.series_uid}/{entry.sop_uid}" for entry in bert.entries()
        ]
