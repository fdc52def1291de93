"""One instance on its way in by a front door: its pieces gathered, written and kept in threads.

A trip to a thread costs more than a small write, so pieces are gathered up to `HELD_BYTES` and an
instance below that makes one trip: open, write, make durable, commit. The first `HELD_BYTES` are
hashed as they come, while their sender is still sending; of a larger instance the rest is hashed in
the thread, because the event loop is not to do so for long.

Who is in a thread already (`Mesh.dwell`) makes no trip at all.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import trio

from meshpacs.archive.arrival import Announced, Arrival, LeafDigests
from meshpacs.archive.faults import DiskFull, Reason, Refused
from meshpacs.model.errors import MeshError
from meshpacs.node.vault import Vault
from meshpacs.node.views import Kept, NotKept, Why

HELD_BYTES = 1024 * 1024
"""Bytes gathered before a trip to a thread. Measured: a trip takes 0.1 ms, hashing and writing so
much takes 1 ms."""

HASHED_BYTES = 192 * 1024
"""Bytes gathered before they are hashed: each time a thread gives the interpreter's lock away. A
guess, two of DCMTK's PDUs: what is left for the end takes 0.1 ms at most."""

SPARE_MOST = 4
"""Buffers kept for the next instances: a fresh one costs its pages anew. A guess."""

T = TypeVar("T")

DISCARD_S = 5.0
"""Seconds that throwing away what was not committed may take, when its sender is gone."""


class Arriving:
    """Implements `mesh.Arriving`."""

    def __init__(self, vault: Vault, announced: Announced) -> None:
        """Nothing is opened yet."""
        self._vault = vault
        self._announced = announced
        self._held: memoryview | None = None
        self._size = 0
        """Bytes gathered in it."""
        self._digests: LeafDigests | None = LeafDigests()
        """Of the first that were gathered, until they have gone to a thread."""
        self._arrival: Arrival | None = None
        """Opened and neither committed nor discarded."""

    async def __aenter__(self) -> Self:
        """Nothing is kept until `commit`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discard what was not committed."""
        with trio.move_on_after(DISCARD_S, shield=True):
            await self.discard()

    async def write(self, data: memoryview) -> None:
        """Take the next bytes; they may be overwritten once this returns."""
        while data:
            data, full = self._gather(data)
            if full:
                await self._vault.write(self._put)

    async def commit(self) -> Kept:
        """Keep the instance: when this returns it is durable and may be acknowledged."""
        return await self._vault.write(self.commit_here)

    async def discard(self) -> None:
        """Leave nothing behind; after `commit` this does nothing."""
        if self._arrival is None:
            self._give_back()
        else:
            await self._vault.write(self.discard_here)

    # ------------------------------------------------------------ in a thread

    def write_here(self, data: memoryview) -> None:
        """The same as `write`."""
        while data:
            data, full = self._gather(data)
            if full:
                self._put()

    def commit_here(self) -> Kept:
        """The same as `commit`, after which nothing is left to be discarded."""
        self._put()
        arrival, self._arrival = self._arrival, None  # whatever comes of it, it leaves nothing
        assert arrival is not None
        kept = _told(arrival.commit)
        self._give_back()
        return Kept(kept.outcome.value, kept.study_uid)

    def discard_here(self) -> None:
        """The same as `discard`."""
        if self._arrival is not None:
            self._arrival.discard()
            self._arrival = None
        self._give_back()

    # ------------------------------------------------------------

    def _gather(self, data: memoryview) -> tuple[memoryview, bool]:
        """Take what there is room for; what is left, and whether it is time to write."""
        if self._held is None:
            self._held = self._lend()
        piece = data[: len(self._held) - self._size]
        self._held[self._size : self._size + len(piece)] = piece
        self._size += len(piece)
        digests = self._digests
        if digests is not None and self._size - digests.size >= HASHED_BYTES:
            digests.update(self._held[digests.size : self._size])
        return data[len(piece) :], self._size == len(self._held)

    def _lend(self) -> memoryview:
        try:
            # Not looked at before: another thread may take the last one meanwhile.
            return self._vault.spare.pop()
        except IndexError:
            return memoryview(bytearray(HELD_BYTES))

    def _put(self) -> None:
        """Write what was gathered. In a thread."""
        _told(self._write)

    def _write(self) -> None:
        if self._arrival is None:
            self._arrival = self._vault.archive.arrive(self._announced)
        if self._held is None:
            return
        held, self._size = self._held[: self._size], 0
        if self._digests is not None:
            digests, self._digests = self._digests, None
            digests.update(held[digests.size :])
            self._arrival.write_hashed(held, digests)
        else:
            self._arrival.write(held)

    def _give_back(self) -> None:
        """Let the next one have the buffer."""
        held, self._held = self._held, None
        if held is not None and len(self._vault.spare) < SPARE_MOST:
            self._vault.spare.append(held)


def _told(work: Callable[[], T]) -> T:
    """Do it; what is in the way is told as `mesh.Arriving` does."""
    try:
        return work()
    except MeshError as fault:
        raise NotKept(_why(fault), fault) from fault


def _why(fault: MeshError) -> Why:
    match fault:
        case DiskFull():
            return Why.NO_ROOM
        case Refused(reason=Reason.MISMATCH):
            return Why.MISMATCH
        case Refused():
            return Why.UNREADABLE
        case _:
            return Why.FAILED
