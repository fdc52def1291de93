"""The archive behind worker threads, so that a disk never stalls the node.

Searches, other reads and writes have their own limits: a search never waits behind an import or
a fetch. A read that nobody waits for any more is left to end by itself; a write is always waited
for, because its caller must know whether it has happened.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from meshpacs.archive.archive import Archive
from meshpacs.model.answer import Row
from meshpacs.model.ids import NodeId
from meshpacs.model.query import Query

log = structlog.get_logger()

T = TypeVar("T")

SEARCHES = 4
"""Searches at once. A guess: SQLite releases the interpreter while it reads."""

READS = 8
"""Other reads at once: chunks for members who fetch, exports. A guess."""

WRITES = 8
"""Writes at once; they share their commits. A guess."""

DWELLERS = 8
"""Threads at once that write what they read from a socket themselves; they share their commits with
the others. A guess: who finds no place makes trips for its writes."""

CLOSE_S = 1.5
"""Seconds that reads under way have to end when the archive is closed. A guess."""


class Vault:
    """One archive, opened; all its methods are for trio tasks."""

    def __init__(self, archive: Archive) -> None:
        """Use `open`."""
        self.archive = archive
        self.spare: list[memoryview] = []
        """Buffers of arrivals that are over, for the next ones."""
        self._searches = trio.CapacityLimiter(SEARCHES)
        self._reads = trio.CapacityLimiter(READS)
        self._writes = trio.CapacityLimiter(WRITES)
        self._dwellers = trio.CapacityLimiter(DWELLERS)
        self._looks = trio.CapacityLimiter(1)

    @classmethod
    async def open(
        cls, folder: Path, default_charset: str, keep_free_bytes: int = 0, issuer: str = ""
    ) -> "Vault":
        """Open or make the archive; what a crash has left is mended.

        Raises:
            LocalFault: the character set is unknown, or the index is a newer version's.
            Unavailable: the disk is full, read-only or failing.
        """
        archive = await trio.to_thread.run_sync(
            lambda: Archive.open(
                folder,
                default_charset=default_charset,
                keep_free_bytes=keep_free_bytes,
                issuer=issuer,
            )
        )
        for sentence in archive.repaired.sentences:
            log.warning("archive_repaired", what=sentence)
        return cls(archive)

    async def close(self) -> None:
        """Let reads under way end, then close; for shielded use, within `CLOSE_S` and a little."""
        with trio.move_on_after(CLOSE_S) as scope:
            for limiter in (self._searches, self._reads, self._writes, self._dwellers, self._looks):
                for _ in range(int(limiter.total_tokens)):
                    await limiter.acquire_on_behalf_of(object())
        if scope.cancelled_caught:
            # Closing the index under a thread that reads makes that thread fail, not the index.
            log.warning("archive_busy_at_close")
        await trio.to_thread.run_sync(self.archive.close)

    async def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """Rows, and whether there are more than the query's limit.

        Raises:
            Damaged, Unavailable: the index cannot be read.
        """
        found = await trio.to_thread.run_sync(
            self.archive.search, query, limiter=self._searches, abandon_on_cancel=True
        )
        return found.rows, found.truncated

    async def read(self, work: Callable[[], T]) -> T:
        """Run a read in a thread; cancelled, it ends by itself and its result is dropped."""
        return await trio.to_thread.run_sync(work, limiter=self._reads, abandon_on_cancel=True)

    async def write(self, work: Callable[[], T]) -> T:
        """Run a write in a thread, to its end even if cancelled."""
        return await trio.to_thread.run_sync(work, limiter=self._writes)

    async def dwell(self, work: Callable[[], None]) -> bool:
        """Run work that writes and stays in its thread, which is to ask now and then whether it is
        cancelled; False, at once, if there is no place for it.
        """
        if not self._dwellers.available_tokens:
            return False
        await trio.to_thread.run_sync(work, limiter=self._dwellers)
        return True

    async def look(self, work: Callable[[], T]) -> T:
        """Run a look at the disk in a thread, one at a time.

        One that the disk does not give back keeps the next ones waiting, and takes no place from
        reads.
        """
        return await trio.to_thread.run_sync(work, limiter=self._looks, abandon_on_cancel=True)

    # ------------------------------------------------------------ what the ledger keeps here

    async def boots(self) -> dict[NodeId, int]:
        """The highest boot number kept of each member."""
        kept = await self.read(self.archive.boots)
        return {NodeId(node): boot for node, boot in kept.items()}

    def keep_boots(self, boots: Mapping[NodeId, int]) -> None:
        """Keep boot numbers durably; called by the ledger, in a worker thread."""
        for node, boot in boots.items():
            self.archive.keep_boot(node, boot)
