"""One instance on its way in by a front door: its pieces gathered, written and kept in threads.

A trip to a thread costs more than a small write, so pieces are gathered up to `HELD_BYTES` and an
instance below that makes one trip: open, write, make durable, commit. The first `HELD_BYTES` are
hashed as they come, while their sender is still sending; of a larger instance the rest is hashed in
the thread, because the event loop is not to do so for long.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import trio

from meshpacs.archive.arrival import Announced, Arrival, LeafDigests
from meshpacs.archive.faults import DiskFull, Reason, Refused
from meshpacs.archive.filing import Verdict
from meshpacs.model.errors import MeshError
from meshpacs.node.vault import Vault
from meshpacs.node.views import Kept, NotKept, Why

HELD_BYTES = 1024 * 1024
"""Bytes gathered before a trip to a thread. Measured: a trip takes 0.1 ms, hashing and writing so
much takes 1 ms."""

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
        self._held = memoryview(b"")
        self._size = 0
        """Bytes gathered in it."""
        self._digests: LeafDigests | None = LeafDigests()
        """Of the first that were gathered, until they have gone to a thread."""
        self._arrival: Arrival | None = None
        """Opened and neither committed nor discarded."""

    async def __aenter__(self) -> Self:
        """Nothing is kept until `commit`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        spare = self._vault.spare
        self._held = spare.pop() if spare else memoryview(bytearray(HELD_BYTES))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discard what was not committed."""
        if len(self._vault.spare) < SPARE_MOST:
            self._vault.spare.append(self._held)
        if self._arrival is not None:
            with trio.move_on_after(DISCARD_S, shield=True):
                await self._vault.write(self._arrival.discard)

    async def write(self, data: memoryview) -> None:
        """Take the next bytes; they may be overwritten once this returns."""
        while data:
            piece = data[: len(self._held) - self._size]
            self._held[self._size : self._size + len(piece)] = piece
            if self._digests is not None:
                self._digests.update(piece)
            self._size += len(piece)
            data = data[len(piece) :]
            if self._size == len(self._held):
                await self._do(self._put)

    async def commit(self) -> Kept:
        """Keep the instance: when this returns it is durable and may be acknowledged."""
        return await self._do(self._finish)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await self._vault.write(work)
        except MeshError as fault:
            raise NotKept(_why(fault), fault) from fault

    def _put(self) -> Arrival:
        """In a thread."""
        if self._arrival is None:
            self._arrival = self._vault.archive.arrive(self._announced)
        held, self._size = self._held[: self._size], 0
        if self._digests is not None:
            digests, self._digests = self._digests, None
            self._arrival.write_hashed(held, digests)
        else:
            self._arrival.write(held)
        return self._arrival

    def _finish(self) -> Kept:
        """In a thread."""
        arrival = self._put()
        self._arrival = None  # whatever comes of it, it leaves nothing behind
        return _kept(arrival.commit())


def _kept(verdict: Verdict) -> Kept:
    return Kept(verdict.outcome.value, verdict.study_uid)


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
