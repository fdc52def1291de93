"""Instances for somebody who retrieves: what is wanted, and each as soon as it can be read here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice

import trio

from meshpacs.model.content import Entry, leaf_count
from meshpacs.node.ahead import Leaf, ReadAhead
from meshpacs.node.fetcher import Following
from meshpacs.node.rewriting import Rewriter
from meshpacs.node.vault import Vault


class Retrieving:
    """Implements `mesh.Retrieving`: a fetch, seen by who wants its instances one by one."""

    def __init__(self, following: Following, vault: Vault, rewriter: Rewriter) -> None:
        """The fetch goes on as long as somebody follows it."""
        self._fetch = following.fetch
        self._vault = vault
        self._coming = _Coming(self)
        self._ahead = ReadAhead(vault, self._following)
        self._rewriter = rewriter

    async def entries(self) -> tuple[Entry, ...]:
        """All instances that are wanted, as the holders' manifests tell; before any has come."""
        fetch = self._fetch
        while not fetch.entries and not fetch.over.is_set():
            await fetch.news.wait()
        if not fetch.entries and fetch.fault is not None:
            raise fetch.fault
        return fetch.entries

    def __aiter__(self) -> AsyncIterator[Entry]:
        """Each of them once, as soon as it is verified and durable here; those here first."""
        return self._coming

    async def leaf(self, entry: Entry, index: int) -> bytes:
        """The next mebibyte of an instance that has come, verified."""
        return await self._ahead.leaf((entry, index))

    async def read_ahead(self) -> None:
        """Read leaves before they are asked for, until cancelled."""
        await self._ahead.run()

    def _following(self, last: Leaf, count: int) -> Sequence[Leaf]:
        """The rest of this instance, then those that are ready to be given."""
        entry, index = last
        rest = [(entry, at) for at in range(index + 1, self.leaves(entry))]
        for ready in islice(reversed(self._coming.ready), count):
            rest += [(ready, at) for at in range(min(self.leaves(ready), count))]
        return rest[:count]

    def rewritten(
        self, entry: Entry, transfer_syntax: str
    ) -> AbstractAsyncContextManager[bytes | bytearray]:
        """An instance that has come, in another transfer syntax; see `mesh.Retrieving`."""
        archive = self._vault.archive

        def read() -> bytes:
            leaves = range(leaf_count(entry.size_bytes))
            return b"".join(archive.read_leaf(entry.root, n, entry.transfer_syntax) for n in leaves)

        return self._rewriter.rewritten(entry, transfer_syntax, read)

    @staticmethod
    def leaves(entry: Entry) -> int:
        """How many such pieces it has."""
        return leaf_count(entry.size_bytes)


class _Coming:
    """Not a generator: a caller may leave in the middle, and then nothing is left to clean up."""

    def __init__(self, retrieving: Retrieving) -> None:
        self._retrieving = retrieving
        self._wanted: set[Entry] | None = None
        self.ready: list[Entry] = []
        """Those that were not given yet, the next one last."""
        self._landed = 0

    def __aiter__(self) -> "_Coming":
        return self

    async def __anext__(self) -> Entry:
        fetch = self._retrieving._fetch  # noqa: SLF001  (one noun in two classes)
        if self._wanted is None:
            self._wanted = set(await self._retrieving.entries())
            self.ready = list(reversed(fetch.present))
        while not self.ready:
            if self._landed < len(fetch.landed):
                entry = fetch.landed[self._landed]
                self._landed += 1
                if entry in self._wanted:  # not what lost in a conflict
                    self.ready.append(entry)
            elif fetch.over.is_set():
                raise StopAsyncIteration
            else:
                await fetch.news.wait()
        await trio.lowlevel.checkpoint()
        return self.ready.pop()
