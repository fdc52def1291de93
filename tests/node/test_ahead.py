"""Leaves are read ahead for whoever sends a study, within limits."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from meshpacs.model.content import Entry
from meshpacs.model.errors import Damaged
from meshpacs.model.ids import Digest
from meshpacs.node.ahead import AHEAD_LEAVES, Leaf, ReadAhead

T = TypeVar("T")


class Disk:
    """A vault and its archive: what is read, in which trips."""

    def __init__(self) -> None:
        self.trips: list[list[bytes]] = []
        self.damaged: set[bytes] = set()
        self.slow = trio.Event()
        self.slow.set()

    @property
    def archive(self) -> "Disk":
        return self

    async def read(self, work: Callable[[], T]) -> T:
        self.trips.append([])
        await self.slow.wait()
        return work()

    def read_leaf(self, root: Digest, index: int, transfer_syntax: str) -> bytes:
        del index, transfer_syntax
        self.trips[-1].append(root)
        if root in self.damaged:
            raise Damaged("Its bytes have changed.")
        return b"leaf " + root


def leaves(count: int) -> list[Leaf]:
    def root(number: int) -> Digest:
        return Digest(b"%02d" % number)

    return [(Entry(f"1.{n}", "1.2", "1.3", "CT", "1.4", 5, root(n)), 0) for n in range(count)]


def reading(disk: Disk, all_of_them: Sequence[Leaf]) -> ReadAhead:
    def following(last: Leaf, count: int) -> Sequence[Leaf]:
        return all_of_them[all_of_them.index(last) + 1 :][:count]

    vault: Any = disk
    return ReadAhead(vault, following)


async def test_the_next_leaves_are_read_in_one_trip_while_the_first_is_sent() -> None:
    disk, wanted = Disk(), leaves(30)
    ahead = reading(disk, wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run)
        await wait_all_tasks_blocked()
        for leaf in wanted:
            assert await ahead.leaf(leaf) == b"leaf " + leaf[0].root
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [trip[:1] for trip in disk.trips[:3]] == [[b"00"], [b"01"], [b"05"]]
    assert max(map(len, disk.trips)) == AHEAD_LEAVES
    # Nothing is read twice.
    assert sorted(root for trip in disk.trips for root in trip) == [e.root for e, _ in wanted]


async def test_nothing_is_read_ahead_for_who_did_not_want_that() -> None:
    disk, wanted = Disk(), leaves(3)
    ahead = reading(disk, wanted)
    assert [await ahead.leaf(leaf) for leaf in wanted] == [b"leaf 00", b"leaf 01", b"leaf 02"]
    assert disk.trips == [[b"00"], [b"01"], [b"02"]]


async def test_damage_that_was_found_ahead_is_told_when_the_leaf_is_asked_for() -> None:
    disk, wanted = Disk(), leaves(4)
    disk.damaged.add(b"02")
    ahead = reading(disk, wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run)
        await wait_all_tasks_blocked()
        await ahead.leaf(wanted[0])
        await wait_all_tasks_blocked()
        assert await ahead.leaf(wanted[1]) == b"leaf 01"
        with pytest.raises(Damaged):
            await ahead.leaf(wanted[2])
        assert await ahead.leaf(wanted[3]) == b"leaf 03"
        nursery.cancel_scope.cancel()


async def test_what_is_skipped_is_not_kept() -> None:
    disk, wanted = Disk(), leaves(300)
    ahead = reading(disk, wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run)
        await wait_all_tasks_blocked()
        for leaf in wanted[::20]:
            await ahead.leaf(leaf)
            await wait_all_tasks_blocked()
            assert len(ahead._read) <= 2 * AHEAD_LEAVES
        nursery.cancel_scope.cancel()


async def test_who_waits_for_a_trip_that_is_given_up_reads_by_himself() -> None:
    disk, wanted = Disk(), leaves(2)
    ahead = reading(disk, wanted)
    got: list[bytes] = []

    async def ask() -> None:
        got.append(await ahead.leaf(wanted[1]))

    async with trio.open_nursery() as asking:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ahead.run)
            await wait_all_tasks_blocked()
            await ahead.leaf(wanted[0])
            disk.slow = trio.Event()
            asking.start_soon(ask)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        disk.slow.set()
    assert got == [b"leaf 01"]
