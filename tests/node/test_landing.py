"""How a fetch that is stopped in the middle leaves the files that it was writing."""

import threading
from collections.abc import Sequence

import trio

from meshpacs.archive.stage import Brought
from meshpacs.model.content import Entry
from meshpacs.model.ids import Digest, NodeId
from meshpacs.node.landing import Landing
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
