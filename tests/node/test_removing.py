"""A study is taken out of one archive: what is refused, and what others can still get."""

from pathlib import Path

import pytest
import trio

from meshpacs.archive.notes import NewManifest
from meshpacs.model.content import Entry
from meshpacs.model.errors import LocalFault
from meshpacs.node.removing import Removing
from meshpacs.node.views import DeleteView, FetchDone, PeerState
from tests.node.clinics import STUDY, instance
from tests.node.houses import House, street, until_state
from tests.node.test_fetch_mesh import fetch

FILES = {str(n): instance(n) for n in range(3)}


async def delete(house: House, *, even_if_last: bool = False) -> DeleteView:
    return await house.up.mesh.delete(STUDY, even_if_last=even_if_last, confirmed=True)


def held(house: House) -> int:
    return len(house.up.rooms.vault.archive.study_entries(STUDY))


async def test_a_study_that_others_hold_is_deleted_here_and_can_be_fetched_again(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        west = await houses.member("West", nord)
        await nord.take_in(tmp_path / "in", FILES)
        await fetch(sued)
        looked = await nord.up.mesh.delete(STUDY)
        assert (looked.deleted, looked.instances, looked.last) == (False, 3, 0)
        assert looked.copies == {sued.up.node_id: 3}
        assert held(nord) == 3
        gone = await delete(nord)
        assert (gone.deleted, gone.instances, gone.unheard) == (True, 3, ())
        assert held(nord) == 0
        assert not (await nord.find(local_only=True)).matches
        # Nobody but who has deleted it had vouched for it; it must be had all the same.
        assert (await fetch(west)).instances == 3
        back = await fetch(nord)
        assert (back.instances, back.partial) == (3, False)
        await delete(nord)


async def test_the_last_known_copy_is_refused_unless_it_is_to_be_lost(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await nord.take_in(tmp_path / "in", FILES)
        await fetch(sued)
        await nord.take_in(tmp_path / "more", {"9": instance(9)})
        with pytest.raises(LocalFault, match="1 of the 4 instances of this study are in no other"):
            await delete(nord)
        assert held(nord) == 4
        gone = await delete(nord, even_if_last=True)
        assert (gone.last, gone.copies) == (1, {sued.up.node_id: 3})
        # What is lost is vouched for no longer: the study is whole without it.
        back = await fetch(nord)
        assert (back.instances, back.partial) == (3, False)


async def test_who_was_not_heard_is_named(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await nord.take_in(tmp_path / "in", FILES)
        await fetch(sued)
        await sued.stop()
        await until_state(nord, "Sued", PeerState.UNREACHABLE)
        with pytest.raises(LocalFault, match="not heard: Sued"):
            await delete(nord)
        assert (await delete(nord, even_if_last=True)).unheard == (
            next(node for node, name in nord.up.mesh.names().items() if name == "Sued"),
        )
        # It had copies after all, and they can be had from it.
        await sued.start()
        await until_state(nord, "Sued", PeerState.LINKED)
        back = await fetch(nord)
        assert (back.instances, back.partial) == (3, False)


async def test_what_is_not_here_or_being_fetched_is_not_deleted(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        with pytest.raises(LocalFault, match="not in this archive"):
            await delete(nord)
        await nord.take_in(tmp_path / "in", FILES)
        await sued.take_in(tmp_path / "one", {"0": instance(0)})
        archive = nord.up.rooms.vault.archive
        asked, go_on = trio.Event(), trio.Event()
        read_leaf = archive.read_leaf_into

        def slow(*what: object) -> memoryview:
            trio.from_thread.run_sync(asked.set)
            trio.from_thread.run(go_on.wait)
            return read_leaf(*what)  # type: ignore[arg-type]

        archive.read_leaf_into = slow  # type: ignore[method-assign,assignment]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch, sued)
            await asked.wait()
            with pytest.raises(LocalFault, match="being fetched"):
                await delete(sued)
            go_on.set()
        assert (await delete(sued)).instances == 3


async def test_a_fetch_that_begins_while_others_are_asked_loses_nothing_to_the_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await nord.take_in(tmp_path / "in", FILES)
        await sued.take_in(tmp_path / "one", {"0": instance(0)})
        staged, go_on = trio.Event(), trio.Event()
        archive, look = sued.up.rooms.vault.archive, Removing._look
        adopt, remove_study = archive.adopt, archive.remove_study
        done: list[FetchDone] = []

        async def fetched() -> None:
            done.append(await fetch(sued))

        async def looking(removing: Removing, study: str, here: tuple[Entry, ...]) -> object:
            found = await look(removing, study, here)
            nursery.start_soon(fetched)
            await staged.wait()
            return found

        def adopting(selection: str, *, partial: bool = False) -> object:
            trio.from_thread.run_sync(staged.set)
            trio.from_thread.run(go_on.wait)
            return adopt(selection, partial=partial)

        with monkeypatch.context() as patch:
            patch.setattr(Removing, "_look", looking)
            patch.setattr(archive, "adopt", adopting)
            async with trio.open_nursery() as nursery:
                with pytest.raises(LocalFault, match="being fetched"):
                    await delete(sued)
                go_on.set()
        assert (done[0].instances, held(sued)) == (3, 3)

        def removed(study: str, here: tuple[Entry, ...], newest: NewManifest | None) -> int:
            with pytest.raises(LocalFault, match="being deleted"):
                trio.from_thread.run(fetch, sued)
            return remove_study(study, here, newest)

        monkeypatch.setattr(archive, "remove_study", removed)
        assert (await delete(sued)).instances == 3
        assert (await fetch(sued)).instances == 3


async def test_what_an_interrupted_fetch_has_staged_goes_too(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await nord.take_in(tmp_path / "in", FILES)
        await sued.take_in(tmp_path / "one", {"0": instance(0)})
        archive = sued.up.rooms.vault.archive
        adopt = archive.adopt
        archive.adopt = _fails  # type: ignore[method-assign,assignment]
        with pytest.raises(LocalFault, match="tripped"):
            await fetch(sued)
        archive.adopt = adopt  # type: ignore[method-assign]
        assert archive.selections()
        await delete(sued)
        assert archive.selections() == ()


async def test_what_the_disk_has_lost_can_be_fetched_again_though_nobody_else_vouches_for_it(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await nord.take_in(tmp_path / "in", FILES)
        await fetch(sued)
        (blob, *_) = (nord.home.archive / "blobs").rglob("*.dcm")
        blob.unlink()
        await nord.stop()
        await nord.start()
        assert held(nord) == 2
        back = await fetch(nord)
        assert (back.instances, back.partial) == (3, False)
        assert nord.up.rooms.vault.archive.losses() == ()


def _fails(*_: object, **__: object) -> None:
    raise LocalFault("It tripped.")
