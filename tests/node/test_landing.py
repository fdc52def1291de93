"""How instances are made durable together, and how a fetch that is stopped leaves its files."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import trio
import trio.testing

from meshpacs.archive.stage import Brought
from meshpacs.model.content import Entry
from meshpacs.model.ids import Digest, NodeId
from meshpacs.node.landing import (
    BATCH_INSTANCES,
    CLOSE_S,
    GATHER_S,
    KEPT_INSTANCES,
    THREADS,
    Alone,
    Landing,
)
from meshpacs.wire.chunks import Ready

ENTRY = Entry("1.2.3", "1.2", "1.2.1", "CT", "1.2.840.10008.1.2.1", 10, Digest(bytes(32)))
GIVER = NodeId(bytes(32))
READY = Ready(ENTRY.root, 0, b"leaf")

LOOK_S = 0.3
"""Seconds in which a write waits for a close that must not come. It comes within milliseconds."""


class Slow:
    """A file whose write lasts until somebody closes it, or until it is sure that nobody does."""

    have = 0

    def __init__(self) -> None:
        self.writing = threading.Event()
        self.closing = threading.Event()
        self.closed_under_a_write = False

    def write_leaf(self, chunk: object, *, verified: bool = False) -> None:
        del chunk, verified
        self.writing.set()
        self.closed_under_a_write = self.closing.wait(LOOK_S)

    def commit(self) -> None:
        raise AssertionError("it is not whole")

    def close(self) -> None:
        self.closing.set()


class OneFile:
    """A stage that has this one file."""

    def __init__(self, file: Slow) -> None:
        self.file = file

    def entries(self) -> tuple[Entry, ...]:
        return ()

    def partial(self, root: Digest) -> int:
        del root
        return 0

    def receive(self, entry: Entry, leaves: bytes, *, study_uid: str, came_from: str) -> Slow:
        del entry, leaves, study_uid, came_from
        return self.file

    def write(self, brought: Sequence[Brought], *, study_uid: str) -> tuple[None, ...]:
        raise AssertionError((brought, study_uid))

    def keep(self) -> None:
        raise AssertionError("nothing was written")

    def drop(self) -> None:
        raise AssertionError("nothing was written")


async def test_no_file_is_closed_while_a_thread_writes_into_it() -> None:
    file = Slow()
    async with trio.open_nursery() as nursery:
        landing = Landing(
            lambda _entry: OneFile(file),
            "1.2",
            nursery,
            lambda *_: None,
            lambda _node: "Süd",
            lambda: True,
        )
        landing.append(ENTRY, b"", GIVER, [READY], whole=False)
        await trio.to_thread.run_sync(file.writing.wait)
        nursery.cancel_scope.cancel()
        await landing.aclose()
    assert file.closing.is_set()
    assert not file.closed_under_a_write


class Disk:
    """A stage that remembers in how many goes it was told to do what."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self._written = 0

    def receive(self, entry: Entry, leaves: bytes, *, study_uid: str, came_from: str) -> Slow:
        raise AssertionError((entry, leaves, study_uid, came_from))

    def entries(self) -> tuple[Entry, ...]:
        return ()

    def partial(self, root: Digest) -> int:
        raise AssertionError(root)

    def write(self, brought: Sequence[Brought], *, study_uid: str) -> tuple[None, ...]:
        del study_uid
        self._written += len(brought)
        self.did.append(f"write {len(brought)}")
        return (None,) * len(brought)

    def keep(self) -> None:
        if self._written:
            self.did.append(f"keep {self._written}")
            self._written = 0

    def drop(self) -> None:
        if self._written:
            self.did.append(f"drop {self._written}")
            self._written = 0


class Arrivals:
    """A landing, what is to come to it, and what has landed."""

    def __init__(self, nursery: trio.Nursery, *disks: Disk) -> None:
        self.disks = disks
        self.coming = True
        self.judged = 0
        self.landed = 0
        self._news = trio.Event()
        self.first = True
        self.landing = Landing(
            self._stage_of, "1.2", nursery, self._land, lambda _node: "Süd", lambda: self.coming
        )

    def _stage_of(self, entry: Entry) -> Disk:
        return self.disks[entry.size_bytes % len(self.disks)]

    def _land(self, entry: Entry, giver: NodeId, refused: object) -> None:
        assert (giver, refused) == (GIVER, None)
        del entry
        self.landed += 1
        self._tell()

    def _judge(self, fault: object) -> bool:
        assert fault is None
        self.judged += 1
        self._tell()
        return self.first

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._news.wait()

    def bring(self, count: int, data: bytes = b"leaf", entry: Entry = ENTRY) -> None:
        for _ in range(count):
            self.landing.alone(Alone(entry, GIVER, data, self._judge))


async def test_while_more_comes_a_batch_gathers_and_what_is_written_is_kept_together(
    mock_clock: trio.testing.MockClock,
) -> None:
    assert mock_clock.rate == 0
    disk = Disk()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, disk)
        there.bring(BATCH_INSTANCES - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert disk.did == []
        there.bring(KEPT_INSTANCES - BATCH_INSTANCES + 1)
    full = [f"write {BATCH_INSTANCES}"] * (KEPT_INSTANCES // BATCH_INSTANCES)
    assert disk.did == [*full, f"keep {KEPT_INSTANCES}"]
    assert there.landed == KEPT_INSTANCES
    assert there.landing.idle


async def test_the_last_that_comes_waits_for_nobody(mock_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    began_s = mock_clock.current_time()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, disk)
        there.bring(2)
        await trio.testing.wait_all_tasks_blocked()
        there.coming = False
        there.bring(1)
    assert disk.did == ["write 3", "keep 3"]
    assert there.landed == 3
    assert mock_clock.current_time() == began_s


async def test_on_a_slow_line_nobody_waits_long(mock_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, disk)
        for number in range(3):
            there.bring(1)
            await trio.testing.wait_all_tasks_blocked()
            assert there.landed == number
            mock_clock.jump(GATHER_S)
            await there.until(partial(lambda number: there.landed > number, number))
    assert disk.did == ["write 1", "keep 1"] * 3


async def test_what_goes_into_another_stage_is_kept_by_itself() -> None:
    disks = Disk(), Disk()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, *disks)
        there.coming = False
        there.bring(2)
        there.bring(1, entry=replace(ENTRY, size_bytes=11))
    assert [disk.did for disk in disks] == [["write 2", "keep 2"], ["write 1", "keep 1"]]
    assert there.landed == 3


async def test_a_second_copy_is_not_told_of_and_not_waited_for() -> None:
    disk = Disk()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, disk)
        there.coming, there.first = False, False
        there.bring(1)
    assert disk.did == ["write 1"]
    assert there.landing.idle
    assert there.landed == 0
    await there.landing.aclose()
    assert disk.did == ["write 1", "drop 1"]


class Waiting(Disk):
    """A stage on a disk that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()
        self.dropped = threading.Event()
        self.keeps = 0

    def keep(self) -> None:
        self.keeps += 1
        self.may_end.wait()

    def drop(self) -> None:
        super().drop()
        self.dropped.set()


async def test_while_the_disk_makes_some_durable_the_next_are_written_and_wait_for_it(
    mock_clock: trio.testing.MockClock,
) -> None:
    assert mock_clock.rate == 0
    disk = Waiting()
    async with trio.open_nursery() as nursery:
        try:
            there = Arrivals(nursery, disk)
            there.bring(2 * KEPT_INSTANCES)
            await there.until(lambda: there.judged == 2 * KEPT_INSTANCES)
            await trio.testing.wait_all_tasks_blocked()
            assert there.landed == 0
            assert not there.landing.idle
            assert disk.keeps == 1
        finally:
            disk.may_end.set()
    assert disk.keeps == 2
    assert there.landed == 2 * KEPT_INSTANCES
    assert there.landing.idle


async def test_a_fetch_that_is_stopped_leaves_nothing_of_what_is_written(
    mock_clock: trio.testing.MockClock,
) -> None:
    assert mock_clock.rate == 0
    disk = Disk()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, disk)
        there.bring(BATCH_INSTANCES)
        await there.until(lambda: there.judged == BATCH_INSTANCES)
        nursery.cancel_scope.cancel()
        await there.landing.aclose()
    assert disk.did == [f"write {BATCH_INSTANCES}", f"drop {BATCH_INSTANCES}"]


async def test_of_two_stages_both_are_dropped_when_a_fetch_is_stopped() -> None:
    disks = Disk(), Disk()
    async with trio.open_nursery() as nursery:
        there = Arrivals(nursery, *disks)
        there.bring(BATCH_INSTANCES)
        await there.until(lambda: there.judged == BATCH_INSTANCES)
        others = [object() for _ in range(THREADS)]
        for other in others:  # all threads are busy with large leaves
            there.landing._limiter.acquire_on_behalf_of_nowait(other)
        there.coming = False
        there.bring(1, entry=replace(ENTRY, size_bytes=11))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        await there.landing.aclose()
    assert disks[0].did == [f"write {BATCH_INSTANCES}", f"drop {BATCH_INSTANCES}"]


async def test_what_was_written_while_the_disk_hung_is_dropped_all_the_same(
    mock_clock: trio.testing.MockClock,
) -> None:
    disk = Waiting()
    async with trio.open_nursery() as nursery:
        try:
            there = Arrivals(nursery, disk)
            there.bring(KEPT_INSTANCES + BATCH_INSTANCES)
            await there.until(lambda: there.judged == KEPT_INSTANCES + BATCH_INSTANCES)
            with trio.CancelScope(shield=True):
                nursery.cancel_scope.cancel()
                async with trio.open_nursery() as closing:
                    closing.start_soon(there.landing.aclose)
                    await trio.to_thread.run_sync(disk.dropped.wait)
                    await trio.testing.wait_all_tasks_blocked()
                    mock_clock.jump(CLOSE_S)
        finally:
            disk.may_end.set()
    assert disk.did[-1] == f"drop {KEPT_INSTANCES + BATCH_INSTANCES}"
