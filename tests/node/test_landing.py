"""How instances are made durable together, and how a fetch that is stopped leaves its files."""

import threading
from collections.abc import Sequence

import trio
import trio.testing

from meshpacs.archive.stage import Brought
from meshpacs.model.content import Entry
from meshpacs.model.ids import Digest, NodeId
from meshpacs.node.landing import BATCH_INSTANCES, Alone, Landing
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

    def keep(self, brought: Sequence[Brought], *, study_uid: str) -> tuple[None, ...]:
        raise AssertionError((brought, study_uid))


async def test_no_file_is_closed_while_a_thread_writes_into_it() -> None:
    file = Slow()
    async with trio.open_nursery() as nursery:
        landing = Landing(
            lambda _entry: OneFile(file), "1.2", nursery, lambda *_: None, lambda _node: "Süd"
        )
        landing.append(ENTRY, b"", GIVER, [READY], whole=False)
        await trio.to_thread.run_sync(file.writing.wait)
        nursery.cancel_scope.cancel()
        await landing.aclose()
    assert file.closing.is_set()
    assert not file.closed_under_a_write


class Disk:
    """A stage that keeps each batch when it is told to."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, threading.Event]] = []
        self._begun, self.begun = trio.open_memory_channel[None](BATCH_INSTANCES)

    def receive(self, entry: Entry, leaves: bytes, *, study_uid: str, came_from: str) -> Slow:
        raise AssertionError((entry, leaves, study_uid, came_from))

    def entries(self) -> tuple[Entry, ...]:
        return ()

    def partial(self, root: Digest) -> int:
        raise AssertionError(root)

    def keep(self, brought: Sequence[Brought], *, study_uid: str) -> tuple[None, ...]:
        del study_uid
        done = threading.Event()
        self.batches.append((len(brought), done))
        trio.from_thread.run_sync(self._begun.send_nowait, None)
        done.wait()
        return (None,) * len(brought)


async def test_beside_a_batch_another_begins_only_once_it_is_full() -> None:
    disk, kept = Disk(), 0

    def judged(fault: object) -> None:
        nonlocal kept
        assert fault is None
        kept += 1

    async with trio.open_nursery() as nursery:
        landing = Landing(lambda _entry: disk, "1.2", nursery, lambda *_: None, lambda _node: "Süd")

        def bring(count: int) -> None:
            for _ in range(count):
                landing.alone(Alone(ENTRY, GIVER, b"leaf", judged))

        def sizes() -> list[int]:
            return [size for size, _ in disk.batches]

        bring(1)
        await disk.begun.receive()
        bring(BATCH_INSTANCES - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert sizes() == [1]
        bring(1)
        await disk.begun.receive()
        assert sizes() == [1, BATCH_INSTANCES]
        bring(2 * BATCH_INSTANCES + 3)
        await trio.testing.wait_all_tasks_blocked()
        assert len(sizes()) == 2
        for number, begins_another in enumerate((True, True, False, True, False)):
            disk.batches[number][1].set()
            if begins_another:
                await disk.begun.receive()
    assert sizes() == [1, *[BATCH_INSTANCES] * 3, 3]
    assert kept == 1 + 3 * BATCH_INSTANCES + 3
