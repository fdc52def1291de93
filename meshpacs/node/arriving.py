"""One instance on its way in by a front door: its pieces gathered, written and kept in threads.

A trip to a thread costs more than a small write, so pieces are gathered up to `HELD_BYTES` and an
instance below that makes one trip: open, write, hash, make durable, commit.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import trio

from meshpacs.archive.arrival import Announced, Arrival
from meshpacs.archive.faults import DiskFull, Reason, Refused
from meshpacs.archive.filing import Verdict
from meshpacs.model.errors import MeshError
from meshpacs.node.vault import Vault
from meshpacs.node.views import Kept, NotKept, Why

HELD_BYTES = 1024 * 1024
"""Bytes gathered before a trip to a thread. Measured: a trip takes 0.1 ms, hashing and writing so
much takes 1 ms."""

T = TypeVar("T")

DISCARD_S = 5.0
"""Seconds that throwing away what was not committed may take, when its sender is gone."""


class Arriving:
    """Implements `mesh.Arriving`."""

    def __init__(self, vault: Vault, announced: Announced) -> None:
        """Nothing is opened yet."""
        self._vault = vault
        self._announced = announced
        self._held = bytearray()
        self._arrival: Arrival | None = None

    async def __aenter__(self) -> Self:
        """Nothing is kept until `commit`."""
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discard what was not committed."""
        self._held = bytearray()
        if self._arrival is not None:
            with trio.move_on_after(DISCARD_S, shield=True):
                await self._vault.write(self._arrival.discard)

    async def write(self, data: memoryview) -> None:
        """Take the next bytes; they may be overwritten once this returns."""
        self._held += data
        if len(self._held) >= HELD_BYTES:
            await self._do(self._put)

    async def commit(self) -> Kept:
        """Keep the instance: when this returns it is durable and may be acknowledged."""
        return await self._do(self._finish)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await self._vault.write(work)
        except MeshError as fault:
            raise NotKept(_why(fault), fault) from fault

    def _put(self) -> None:
        """In a thread."""
        if self._arrival is None:
            self._arrival = self._vault.archive.arrive(self._announced)
        held, self._held = self._held, bytearray()
        self._arrival.write(held)

    def _finish(self) -> Kept:
        """In a thread."""
        self._put()
        assert self._arrival is not None
        return _kept(self._arrival.commit())


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
