"""Leaves read before they are asked for, some in one trip to a thread.

Who sends a study waits for the receiver after each instance. Meanwhile the next ones are read and
verified, so that the disk, the hashing and the receiver work at the same time.
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio

from meshpacs.model.content import Entry
from meshpacs.model.errors import MeshError
from meshpacs.node.vault import Vault

AHEAD_LEAVES = 4
"""Read in one trip; at most twice as many are held, of a mebibyte at most. A guess: most instances
are smaller, and a trip costs about what reading 100 KiB does."""

Leaf = tuple[Entry, int]
Following = Callable[[Leaf, int], Sequence[Leaf]]
"""`following(leaf, count)`: up to so many that will be asked for after this one, in that order."""


class ReadAhead:
    """The leaves of one retrieval."""

    def __init__(self, vault: Vault, following: Following) -> None:
        """Nothing is read before it is asked for, unless `run` does."""
        self._vault = vault
        self._following = following
        self._read: dict[Leaf, bytes | MeshError] = {}
        self._under_way: Sequence[Leaf] = ()
        self._done = trio.Event()
        self._called = trio.Event()
        self._running = False

    async def run(self) -> None:
        """Read ahead, until cancelled."""
        self._running = True
        try:
            while True:
                await self._called.wait()
                self._called = trio.Event()
                found = await self._vault.read(partial(self._get, self._under_way))
                self._read.update(zip(self._under_way, found, strict=True))
                self._under_way = ()
                self._done.set()
        finally:
            self._running, self._under_way = False, ()
            self._done.set()

    async def leaf(self, wanted: Leaf) -> bytes:
        """One leaf, verified; the next ones may be begun to be read.

        Raises:
            MeshError: it cannot be read any more.
        """
        if wanted in self._under_way:
            await self._done.wait()
        found = self._read.pop(wanted, None)
        if found is None:
            (found,) = await self._vault.read(partial(self._get, (wanted,)))
        if self._running and not self._under_way:
            self._go_on(wanted)
        if isinstance(found, MeshError):
            raise found
        return found

    def _go_on(self, last: Leaf) -> None:
        """Call for what comes next, unless enough of it is here."""
        coming = self._following(last, 2 * AHEAD_LEAVES)
        # Who skips an instance will not ask for it; what was read of it is not kept.
        self._read = {leaf: self._read[leaf] for leaf in coming if leaf in self._read}
        lacking = [leaf for leaf in coming if leaf not in self._read]
        if lacking and len(self._read) <= AHEAD_LEAVES:
            self._under_way, self._done = lacking[:AHEAD_LEAVES], trio.Event()
            self._called.set()

    def _get(self, wanted: Sequence[Leaf]) -> list[bytes | MeshError]:
        """In a thread."""
        found: list[bytes | MeshError] = []
        for entry, index in wanted:
            try:
                data = self._vault.archive.read_leaf(entry.root, index, entry.transfer_syntax)
            except MeshError as fault:
                found.append(fault)
            else:
                found.append(data)
        return found
