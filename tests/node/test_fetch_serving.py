"""Who is given studies, and how many at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from meshpacs.archive.archive import Archive
from meshpacs.links.transfer import Taker
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import BULK_SERVED, LEAF_BYTES
from meshpacs.model.member import Member, Role
from meshpacs.node import serving as module
from meshpacs.node.manifests import Contributions
from meshpacs.node.serving import Serving
from meshpacs.wire.messages import Chunk, Leaves, Missing, Ping
from meshpacs.wire.notary import RosterNotary
from tests.links.pipes import End, pipe
from tests.node.clinics import STUDY, instance
from tests.wire.mesh_of import identity, mesh_of

ANNA = NodeId(b"\1" * 32)
BERT = NodeId(b"\2" * 32)
NOWHERE = Digest(b"\7" * 32)


class Linked(End):
    """An end whose other end is known."""

    def __init__(self, end: End, peer: NodeId) -> None:
        super().__init__(end._out, end._in)
        self.peer = peer


class Given:
    """A serving node with an archive."""

    def __init__(self, folder: Path, role: Role = Role.MEMBER) -> None:
        self.archive = Archive.open(folder, sync=lambda _number: None)
        anna, roster = identity("anna"), mesh_of().roster
        books = Contributions(anna.node, self.archive, RosterNotary(anna, roster), roster.head)
        members: Mapping[NodeId, Member] = {
            node: Member(node, "somebody", role) for node in (ANNA, BERT)
        }
        self.blamed: list[tuple[NodeId, str]] = []
        self.serving = Serving(
            self.archive, books, lambda: members, lambda *what: self.blamed.append(what)
        )

    def take(self, *files: bytes) -> None:
        for file in files:
            with self.archive.arrive() as arrival:
                arrival.write(file)
                arrival.commit()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.MEMBER])
async def test_only_those_who_may_hold_are_given_anything(tmp_path: Path, role: Role) -> None:
    given = Given(tmp_path, role)
    _, theirs = pipe()
    with capture_logs() as logs:
        await given.serving.serve(Linked(theirs, BERT))
    assert logs[0]["event"] == "bulk_refused"
    assert theirs.sent == []
    given.archive.close()


async def test_a_stranger_is_given_nothing(tmp_path: Path) -> None:
    given = Given(tmp_path)
    _, theirs = pipe()
    await given.serving.serve(Linked(theirs, NodeId(rb"\9" * 32)))
    assert theirs.sent == []
    given.archive.close()


async def test_more_links_than_the_limit_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BULK_SERVED", 1)
    given = Given(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given.serving.serve, Linked(pipe()[1], BERT))
        await trio.testing.wait_all_tasks_blocked()
        with capture_logs() as logs:
            await given.serving.serve(Linked(pipe()[1], BERT))
        assert logs[0]["reason"] == "too many at once"
        nursery.cancel_scope.cancel()
    given.archive.close()


async def test_one_member_cannot_take_all_places_and_gives_back_what_it_had(
    tmp_path: Path,
) -> None:
    given = Given(tmp_path)
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            for _ in range(BULK_SERVED):
                nursery.start_soon(given.serving.serve, Linked(pipe()[1], BERT))
            await trio.testing.wait_all_tasks_blocked()
            with capture_logs() as logs:
                nursery.start_soon(given.serving.serve, Linked(pipe()[1], ANNA))
                await trio.testing.wait_all_tasks_blocked()
            assert logs == [], "another member is served"
            nursery.cancel_scope.cancel()
    given.archive.close()


async def test_leaves_and_chunks_come_from_the_archive_and_what_is_not_here_is_missing(
    tmp_path: Path,
) -> None:
    given = Given(tmp_path)
    given.take(instance(1, size=2 * LEAF_BYTES), instance(2))
    big, small = sorted(given.archive.study_entries(STUDY), key=lambda e: -e.size_bytes)
    mine, theirs = pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given.serving.serve, Linked(theirs, BERT))
        taker = Taker(mine)
        (known,) = await taker.manifests([STUDY])
        assert len(known.signed) == 1
        await taker.want_leaves([big.root, NOWHERE])
        await taker.want_chunks([(small.root, 0, 1), (big.root, 2, 5), (NOWHERE, 0, 1)])
        assert await taker.next() == Leaves(2, big.root, given.archive.leaves(big.root) or b"")
        assert await taker.next() == Leaves(2, NOWHERE, b"")
        for root, index in ((small.root, 0), (big.root, 2)):
            assert await taker.next() == Chunk(3, root, index, given.archive.read_leaf(root, index))
        assert await taker.next() == Missing(3, big.root)  # it has but three leaves
        assert await taker.next() == Missing(3, NOWHERE)
        mine.cut()
    assert given.blamed == []
    given.archive.close()


async def test_what_the_disk_has_lost_is_missing(tmp_path: Path) -> None:
    given = Given(tmp_path)
    given.take(instance(1))
    (entry,) = given.archive.study_entries(STUDY)
    given.archive.open_content(entry.root)[0].unlink()
    with capture_logs() as logs:
        assert await given.serving.chunks([(entry.root, 0)]) == [None]
        assert await given.serving.leaves(entry.root) == b""
    assert [line["event"] for line in logs] == ["content_damaged"]
    given.archive.close()


async def test_a_lost_leaf_list_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given(tmp_path)

    def gone(_root: Digest) -> bytes:
        raise Unavailable("gone")

    monkeypatch.setattr(given.archive, "leaves", gone)
    assert await given.serving.leaves(NOWHERE) == b""
    given.archive.close()


async def test_a_breach_is_blamed_and_ends_the_link(tmp_path: Path) -> None:
    given = Given(tmp_path)
    mine, theirs = pipe()
    await mine.send(Ping(1))
    await given.serving.serve(Linked(theirs, BERT))
    assert given.blamed == [(BERT, "A Ping came on a link for studies.")]
    given.archive.close()


async def test_an_archive_that_cannot_be_read_ends_the_link_and_not_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Given(tmp_path)

    def broken(_study: str) -> None:
        raise LocalFault("The archive is closed.")

    monkeypatch.setattr(given.archive, "manifests", broken)
    mine, theirs = pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given.serving.serve, Linked(theirs, BERT))
        with capture_logs() as logs:
            await trio.testing.wait_all_tasks_blocked()
            taker = Taker(mine)
            nursery.start_soon(_asks, taker)
            await trio.testing.wait_all_tasks_blocked(0.05)
            theirs.cut()
    assert "bulk_failed" in {line["event"] for line in logs}
    given.archive.close()


async def _asks(taker: Taker) -> None:
    with pytest.raises(Unavailable):
        await taker.manifests([STUDY])
