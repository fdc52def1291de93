"""Leaves on their way into a stage: contents side by side, the leaves of one in order.

Hashing, writing and making durable happen in worker threads, several instances at once, so that
a disk's waits overlap and commits are shared. What waits here is bounded; a listener that brings
more waits too, and so, through the socket, does the holder.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from meshpacs.archive.faults import Refused
from meshpacs.archive.receiving import WrongLeaf
from meshpacs.archive.stage import Brought
from meshpacs.model.content import Entry
from meshpacs.model.ids import Digest, NodeId
from meshpacs.wire.chunks import Ready

LANDING_BYTES = 48 * 1024 * 1024
"""Bytes received that are not written yet. A guess: six holders' windows of 8 MiB."""

THREADS = 6
"""Threads that hash and write. Measured on two cores and one NVMe disk: 4 cost a tenth of the
speed, 12 gain nothing."""

BATCH_INSTANCES = 16
BATCH_BYTES = 4 * 1024 * 1024
"""Instances of one leaf that are handed to a thread together to be verified and written, and their
bytes. A guess: a thread's start costs 0.1 ms (see `links.transfer`), and hashing 4 MiB 2 ms."""

KEPT_INSTANCES = 64
KEPT_BYTES = 16 * 1024 * 1024
"""Written ones that are made durable together, in one commit: what a crash can cost a fetch."""

GATHER_S = 0.05
"""How long one waits for others while more is coming: on a line of 80 MB/s a batch is full by then.
A guess."""

CLOSE_S = 3.0
"""Seconds that closing files may take once a fetch has been stopped. A guess; a stop may take 5."""

Buffer = bytes | bytearray | memoryview


class Receiving(Protocol):
    """One instance under way into the archive's stage."""

    @property
    def have(self) -> int:
        """Leaves that are there and right."""
        ...

    def write_leaf(self, chunk: Buffer, *, verified: bool = False) -> None:
        """The next leaf, hashed here unless the caller has verified it."""
        ...

    def commit(self) -> object:
        """Make it durable in the stage."""
        ...

    def close(self) -> None:
        """Stop; the prefix of a large content stays."""
        ...


class Staging(Protocol):
    """The archive's stage of one selection."""

    def entries(self) -> tuple[Entry, ...]:
        """What is durable in it."""
        ...

    def partial(self, root: Digest) -> int:
        """Leaves that are there of a content under way, to be checked."""
        ...

    def receive(self, entry: Entry, leaves: bytes, *, study_uid: str, came_from: str) -> Receiving:
        """Begin or resume one instance of several leaves."""
        ...

    def write(
        self, brought: Sequence[Brought], *, study_uid: str
    ) -> tuple[Refused | WrongLeaf | None, ...]:
        """Verify instances of one leaf and write them; what is wrong with each."""
        ...

    def keep(self) -> None:
        """Make durable what was written."""
        ...

    def drop(self) -> None:
        """Leave nothing of what was written and not kept."""
        ...


@dataclass(slots=True)
class _File:
    """One content of several leaves under way."""

    entry: Entry
    leaves: bytes
    receiving: Receiving | None = None
    waiting: deque[Ready] = field(default_factory=deque)
    whole: bool = False
    giver: NodeId | None = None
    at_work: bool = False


@dataclass(frozen=True, slots=True)
class Alone:
    """An instance of one leaf that has come."""

    entry: Entry
    giver: NodeId
    data: Buffer
    judged: Callable[[Refused | WrongLeaf | None], bool]
    """Called with what is wrong with it once it is written, or could not be; whether its content
    has so come to its end, which another copy may have brought it to before."""


class Landing:
    """The way into the stages of one fetch."""

    def __init__(
        self,
        stage_of: Callable[[Entry], Staging],
        study_uid: str,
        nursery: trio.Nursery,
        landed: Callable[[Entry, NodeId, Refused | None], None],
        name_of: Callable[[NodeId], str],
        coming: Callable[[], bool],
    ) -> None:
        """`landed` is told of each content that is durable or was refused.

        `coming`: whether anything has been asked for that is not here yet.
        """
        self._stage_of = stage_of
        self._study_uid = study_uid
        self._nursery = nursery
        self._landed = landed
        self._name_of = name_of
        self._coming = coming
        self._limiter = trio.CapacityLimiter(THREADS)
        self._files: dict[Digest, _File] = {}
        self._alone: deque[Alone] = deque()
        self._alone_bytes = 0
        self._gathered = trio.Event()
        self._keeping = False
        self._written: list[tuple[Entry, NodeId]] = []
        """Right, and nobody makes them durable yet; of several copies the first."""
        self._written_bytes = 0
        self._stages: list[Staging] = []
        """Those that were written to, in their order; there are two at most."""
        self._kept = trio.Event()
        """Set while nothing is being made durable."""
        self._kept.set()
        self._bytes = 0
        self._at_work = 0
        self._freed = trio.Event()
        self._in_threads = 0
        self._quiet = trio.Event()
        self._quiet.set()

    @property
    def idle(self) -> bool:
        """Whether all that has come is durable, or was refused."""
        return self._kept.is_set() and not (self._bytes or self._at_work or self._written)

    async def room(self, size: int) -> None:
        """Wait until so many bytes may come, and count them."""
        while self._bytes and self._bytes + size > LANDING_BYTES:
            await self._freed.wait()
        self._bytes += size

    def free(self, size: int) -> None:
        """These bytes are written, or of no use."""
        self._bytes -= size
        self._freed.set()
        self._freed = trio.Event()

    # ------------------------------------------------------------ contents of one leaf

    def alone(self, instance: Alone) -> None:
        """Verify, write and make durable an instance of one leaf, with others that come."""
        self._alone.append(instance)
        self._alone_bytes += len(instance.data)
        if not self._keeping:
            self._keeping = True
            self._nursery.start_soon(self._keep_alone)
        elif self._enough():
            self._gathered.set()

    def _enough(self) -> bool:
        """Whether nobody should wait for more company."""
        full = len(self._alone) >= BATCH_INSTANCES or self._alone_bytes >= BATCH_BYTES
        return full or not self._coming()

    async def _keep_alone(self) -> None:
        while self._alone or self._written:
            with trio.move_on_after(GATHER_S) as patience:
                while not self._enough():
                    self._gathered = trio.Event()
                    await self._gathered.wait()
            if self._alone:
                await self._write_alone()
            full = len(self._written) >= KEPT_INSTANCES or self._written_bytes >= KEPT_BYTES
            if patience.cancelled_caught or full or not (self._alone or self._coming()):
                await self._begin_to_keep()
        self._keeping = False

    async def _write_alone(self) -> None:
        stage, batch = self._take_batch()
        if stage not in self._stages[-1:]:
            await self._begin_to_keep()
            self._stages = [other for other in self._stages if other is not stage] + [stage]
        brought = [Brought(one.entry, one.data, self._name_of(one.giver)) for one in batch]
        with self._using():
            faults = await trio.to_thread.run_sync(
                partial(stage.write, brought, study_uid=self._study_uid), limiter=self._limiter
            )
        for one, fault in zip(batch, faults, strict=True):
            if not one.judged(fault):
                continue
            if fault is None:
                self._written.append((one.entry, one.giver))
                self._written_bytes += len(one.data)
            else:
                assert isinstance(fault, Refused), "wrong bytes are no end"
                self._landed(one.entry, one.giver, fault)

    def _take_batch(self) -> tuple[Staging, list[Alone]]:
        """The first of what has come, as far as it goes into one stage."""
        stage = self._stage_of(self._alone[0].entry)
        batch: list[Alone] = []
        size = 0
        while (
            self._alone
            and len(batch) < BATCH_INSTANCES
            and size < BATCH_BYTES
            and self._stage_of(self._alone[0].entry) is stage
        ):
            batch.append(self._alone.popleft())
            size += len(batch[-1].data)
        self._alone_bytes -= size
        return stage, batch

    async def _begin_to_keep(self) -> None:
        """Have what is written made durable, once that before it is, while more is written."""
        if self._written:
            await self._kept.wait()
            self._kept = trio.Event()
            self._nursery.start_soon(self._keep, self._stages[-1], self._written)
            self._written, self._written_bytes = [], 0

    async def _keep(self, stage: Staging, written: list[tuple[Entry, NodeId]]) -> None:
        with self._using():
            await trio.to_thread.run_sync(stage.keep, limiter=self._limiter)
        self._kept.set()
        for entry, giver in written:
            self._landed(entry, giver, None)

    @contextmanager
    def _using(self) -> Iterator[None]:
        """A thread is in a file, and cannot be stopped; nobody may close it meanwhile.

        A file closed under a write could give its number to another, which the write then hits.
        """
        if not self._in_threads:
            self._quiet = trio.Event()
        self._in_threads += 1
        try:
            yield
        finally:
            self._in_threads -= 1
            if not self._in_threads:
                self._quiet.set()

    # ------------------------------------------------------------ contents of several

    async def judge(self, holds: Callable[[Buffer], bool], data: Buffer) -> bool:
        """Whether a leaf is right."""
        return await trio.to_thread.run_sync(holds, data, limiter=self._limiter)

    async def resume(self, entry: Entry, leaves: bytes, giver: NodeId) -> int:
        """Open a content of which a part may be here; how many leaves of it are here and right.

        Once for each content, before any leaf of it is handed in.

        Raises:
            PeerFault: the leaf list is not the root's.
        """
        with self._using():
            receiving = await trio.to_thread.run_sync(
                self._receive, entry, leaves, giver, limiter=self._limiter
            )
            self._files[entry.root] = _File(entry, leaves, receiving)
        return receiving.have

    def append(
        self, entry: Entry, leaves: bytes, giver: NodeId, ready: Sequence[Ready], *, whole: bool
    ) -> None:
        """Write verified leaves, the next ones of their content, behind those handed in before.

        Does not wait for room: what fills a gap must not wait behind what it is the gap of.
        """
        file = self._files.setdefault(entry.root, _File(entry, leaves))
        file.waiting.extend(ready)
        self._bytes += sum(len(leaf.data) for leaf in ready)
        file.whole = whole
        file.giver = giver
        if not file.at_work:
            file.at_work = True
            self._at_work += 1
            self._nursery.start_soon(self._write, file)

    async def _write(self, file: _File) -> None:
        while file.waiting or file.whole:
            batch = list(file.waiting)
            file.waiting.clear()
            whole, giver = file.whole, file.giver
            assert giver is not None
            refusal: Refused | None = None
            try:
                with self._using():
                    await trio.to_thread.run_sync(
                        self._write_batch, file, batch, whole, giver, limiter=self._limiter
                    )
            except Refused as refused:
                refusal = refused
            self.free(sum(len(leaf.data) for leaf in batch))
            if whole:
                del self._files[file.entry.root]
                self._at_work -= 1
                self._landed(file.entry, giver, refusal)
                return
        file.at_work = False
        self._at_work -= 1

    def _write_batch(self, file: _File, batch: list[Ready], whole: bool, giver: NodeId) -> None:
        if file.receiving is None:
            file.receiving = self._receive(file.entry, file.leaves, giver)
        for leaf in batch:
            assert leaf.index == file.receiving.have, "a leaf out of order"
            file.receiving.write_leaf(leaf.data, verified=True)
        if whole:
            file.receiving.commit()

    def _receive(self, entry: Entry, leaves: bytes, giver: NodeId) -> Receiving:
        return self._stage_of(entry).receive(
            entry, leaves, study_uid=self._study_uid, came_from=self._name_of(giver)
        )

    async def aclose(self) -> None:
        """Drop what is written and not kept, and close the files; what came of contents of several
        leaves stays for the next time.

        The tasks that write must have been cancelled. One whose disk hangs keeps its file.
        """

        def close(files: Iterable[_File]) -> None:
            with ExitStack() as stack:
                for file in files:
                    if file.receiving is not None:
                        stack.callback(file.receiving.close)
                for stage in self._stages:
                    stack.callback(stage.drop)

        with trio.move_on_after(CLOSE_S, shield=True):
            # At once, as a thread that is in the way may be so for long; and what that one writes.
            await trio.to_thread.run_sync(close, (), abandon_on_cancel=True)
            await self._quiet.wait()
            files, self._files = self._files, {}
            if files or self._stages:
                await trio.to_thread.run_sync(close, files.values())
