"""Studies over a bulk link: what is asked for comes, in order, and nothing else does."""

import random

import pytest
import trio
import trio.testing

from meshpacs.links.transfer import (
    IDLE_S,
    STALL_S,
    Known,
    Taker,
    give,
)
from meshpacs.model.errors import LocalFault, MeshError, PeerFault, Unavailable, fault_within
from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES, MANIFESTS_BYTES, WANTS_PER_REQUEST
from meshpacs.wire.messages import (
    Chunk,
    Leaves,
    Manifests,
    Message,
    Missing,
    Ping,
    WantChunks,
    WantLeaves,
    WantManifests,
)
from tests.links.pipes import End, Shelf, contents, pipe

BIG = random.Random(1).randbytes(3 * LEAF_BYTES + 17)
SMALL = b"a small instance"
NOWHERE = Digest(b"\7" * 32)


async def swallow(end: End, source: Shelf) -> None:
    try:
        await give(end, source)
    except Unavailable:
        return


async def test_chunks_come_in_the_order_of_asking_and_put_together_are_the_data_set() -> None:
    mine, theirs = pipe()
    shelf = Shelf(BIG, SMALL)
    big, small = shelf.data
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        taker = Taker(mine)
        await taker.want_leaves([big, NOWHERE])
        await taker.want_chunks([(small, 0, 1), (big, 1, 3), (big, 0, 1)])
        assert await taker.next() == Leaves(1, big, contents(BIG)[1])
        assert await taker.next() == Leaves(1, NOWHERE, b"")
        found = [await taker.next() for _ in range(5)]
        nursery.cancel_scope.cancel()
    assert all(isinstance(answer, Chunk) for answer in found)
    order = [(a.root, a.index) for a in found if isinstance(a, Chunk)]
    assert order == [(small, 0), (big, 1), (big, 2), (big, 3), (big, 0)]
    datas = [a.data for a in found if isinstance(a, Chunk)]
    assert b"".join((datas[4], *datas[1:4])) == BIG


async def test_a_content_that_is_not_here_is_missing_once_and_the_rest_of_the_request_comes() -> (
    None
):
    mine, theirs = pipe()
    shelf = Shelf(SMALL)
    (small,) = shelf.data
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        taker = Taker(mine)
        await taker.want_chunks([(NOWHERE, 0, 2**62), (small, 0, 1)])
        assert await taker.next() == Missing(1, NOWHERE)
        assert await taker.next() == Chunk(1, small, 0, SMALL)
        nursery.cancel_scope.cancel()


async def test_many_small_instances_are_read_in_batches() -> None:
    mine, theirs = pipe()
    shelf = Shelf(*(f"instance {number}".encode() for number in range(600)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        taker = Taker(mine)
        await taker.want_chunks([(root, 0, 1) for root in shelf.data])
        for root, data in shelf.data.items():
            assert await taker.next() == Chunk(1, root, 0, data)
        nursery.cancel_scope.cancel()
    assert shelf.reads == [256, 256, 88]


async def test_what_is_sent_in_one_go_is_a_leafs_bytes_so_that_a_slow_line_shows_life() -> None:
    mine, theirs = pipe()
    half = LEAF_BYTES // 2
    shelf = Shelf(*[bytes((n,)) * half for n in range(3)], BIG, SMALL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        taker = Taker(mine)
        *halves, big, small = shelf.data
        await taker.want_chunks([*((root, 0, 1) for root in halves), (big, 0, 2), (small, 0, 1)])
        for _ in range(6):
            await taker.next()
        nursery.cancel_scope.cancel()
    assert theirs.writes == [2, 1, 1, 2]  # two halves, one, a leaf, a leaf and the small one


async def test_a_taker_that_does_not_read_is_not_read_ahead_of_by_more_than_a_few_batches() -> None:
    mine, theirs = pipe(0)
    shelf = Shelf(*(random.Random(n).randbytes(LEAF_BYTES) for n in range(20)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        await Taker(mine).want_chunks([(root, 0, 1) for root in shelf.data])
        await trio.testing.wait_all_tasks_blocked()
        assert sum(shelf.reads) == 6
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "sizes",
    [[], [10], [LEAF_BYTES], [LEAF_BYTES + 1, 5, 3 * LEAF_BYTES], [700_000] * 5],
    ids=str,
)
async def test_manifests_of_any_size_arrive_as_they_were_signed(sizes: list[int]) -> None:
    mine, theirs = pipe()
    shelf = Shelf()
    known = Known(tuple(random.Random(size).randbytes(size) for size in sizes), b"\5")
    shelf.known["1.2"] = known
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        taker = Taker(mine)
        assert await taker.manifests(["1.2", "1.3"]) == (known, Known(()))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "answers",
    [
        [Manifests(2, "1.2", (), more=False)],
        [Manifests(1, "1.3", (), more=False)],
        [Ping(1)],
        [Manifests(1, "1.2", (b"half",), more=False, unfinished=True)],
    ],
    ids=["other request", "other study", "other message", "broken off"],
)
async def test_anything_but_the_manifests_asked_for_is_a_breach(answers: list[Message]) -> None:
    mine, theirs = pipe()
    for answer in answers:
        await theirs.send(answer)
    with pytest.raises(PeerFault):
        await Taker(mine).manifests(["1.2"])


async def test_endless_manifests_are_refused_before_they_fill_the_memory() -> None:
    mine, theirs = pipe(1)

    async def flood() -> None:
        piece = Manifests(1, "1.2", (bytes(LEAF_BYTES),), more=True, unfinished=True)
        while True:
            await theirs.send(piece)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        with pytest.raises(PeerFault, match="larger"):
            await Taker(mine).manifests(["1.2"])
        nursery.cancel_scope.cancel()
    assert len(theirs.sent) <= MANIFESTS_BYTES // LEAF_BYTES + 3


@pytest.mark.parametrize(
    "answer",
    [
        Chunk(1, NOWHERE, 1, b"x"),
        Chunk(2, NOWHERE, 0, b"x"),
        Chunk(1, Digest(b"\1" * 32), 0, b"x"),
        Missing(2, NOWHERE),
        Leaves(1, NOWHERE, b""),
        Ping(1),
    ],
    ids=["index", "request", "root", "missing", "leaves", "other"],
)
async def test_what_was_not_asked_for_is_a_breach(answer: Message) -> None:
    mine, theirs = pipe()
    taker = Taker(mine)
    await taker.want_chunks([(NOWHERE, 0, 2)])
    await theirs.send(answer)
    with pytest.raises(PeerFault):
        await taker.next()


async def test_nothing_is_awaited_from_a_holder_that_was_asked_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    mine, theirs = pipe()
    taker = Taker(mine)
    answers: list[object] = []

    async def listen() -> None:
        answers.append(await taker.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.sleep(10 * STALL_S)  # invented time: no stall while nothing is wanted
        await theirs.send(Missing(1, NOWHERE))
        await taker.want_chunks([(NOWHERE, 0, 1)])
    assert answers == [Missing(1, NOWHERE)]


async def test_a_holder_that_sends_nothing_any_more_counts_as_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    mine, _theirs = pipe()
    taker = Taker(mine)
    await taker.want_chunks([(NOWHERE, 0, 1)])
    with pytest.raises(Unavailable, match="Nothing has moved"):
        await taker.next()


async def test_a_holder_that_does_not_even_read_counts_as_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    mine, _theirs = pipe(0)
    with pytest.raises(Unavailable, match="Nothing has moved"):
        await Taker(mine).want_chunks([(NOWHERE, 0, 1)])


@pytest.mark.parametrize(
    "request_",
    [
        Ping(1),
        WantChunks(1, ()),
        WantLeaves(1, (NOWHERE,) * (WANTS_PER_REQUEST + 1)),
        WantManifests(1, ()),
        Chunk(1, NOWHERE, 0, b"x"),
    ],
    ids=["ping", "nothing", "too much", "no study", "a chunk"],
)
async def test_a_request_beyond_the_rules_ends_the_link_with_the_breach_named(
    request_: Message,
) -> None:
    mine, theirs = pipe()
    await mine.send(request_)
    with pytest.raises(PeerFault):
        await give(theirs, Shelf())


async def test_giving_ends_with_the_link() -> None:
    mine, theirs = pipe()
    mine.cut()
    with pytest.raises(Unavailable):
        await give(theirs, Shelf())


async def test_a_taker_that_asks_nothing_for_long_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    _mine, theirs = pipe()
    began = trio.current_time()
    await give(theirs, Shelf())
    assert trio.current_time() - began == IDLE_S


async def test_a_taker_that_stops_reading_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    mine, theirs = pipe(0)
    shelf = Shelf(SMALL)
    (small,) = shelf.data
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, theirs, shelf)
        await Taker(mine).want_chunks([(small, 0, 1)])
    assert trio.current_time() - began == 3 * STALL_S


async def test_a_source_that_fails_ends_the_link_with_its_own_fault() -> None:
    class Broken(Shelf):
        async def leaves(self, root: Digest) -> bytes:
            raise LocalFault("The archive is gone.")

    mine, theirs = pipe()
    await mine.send(WantLeaves(1, (NOWHERE,)))
    with pytest.raises(LocalFault):
        await give(theirs, Broken())


async def test_a_defect_of_ours_is_not_mistaken_for_a_fault() -> None:
    class Wrong(Shelf):
        async def leaves(self, root: Digest) -> bytes:
            raise ZeroDivisionError

    mine, theirs = pipe()
    await mine.send(WantLeaves(1, (NOWHERE,)))
    with pytest.raises(ExceptionGroup):
        await give(theirs, Wrong())


def test_of_several_faults_in_a_group_the_peers_breach_is_told() -> None:
    lost, breach = Unavailable("lost"), PeerFault("breach")
    assert fault_within(BaseExceptionGroup("", [lost, ExceptionGroup("", [breach])])) is breach
    assert fault_within(BaseExceptionGroup("", [lost, MeshError("other")])) is lost
    assert fault_within(BaseExceptionGroup("", [lost, KeyboardInterrupt()])) is None
    assert fault_within(BaseExceptionGroup("", [KeyboardInterrupt()])) is None
