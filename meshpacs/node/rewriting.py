"""Instances in other transfer syntaxes than they are stored in, a few at a time.

Each is whole in memory, and a large one stays there until it was sent: so it keeps its place until
then, and a receiver that reads slowly costs no more than that.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from meshpacs.archive.rewriting import rewrite
from meshpacs.dimse.syntaxes import name_syntax
from meshpacs.model.content import Entry
from meshpacs.model.errors import Unavailable
from meshpacs.model.limits import REWRITTEN_AT_ONCE, REWRITTEN_BYTES, REWRITTEN_FREE_BYTES
from meshpacs.node.decoders import Decoders


class Rewriter:
    """Rewrites and decodes for one node."""

    def __init__(self, decoders: Decoders) -> None:
        """Decoders are told what has compressed pixels."""
        self._decoders = decoders
        self._places = trio.CapacityLimiter(REWRITTEN_AT_ONCE)
        self._threads = trio.CapacityLimiter(REWRITTEN_AT_ONCE)  # one may outlive its place

    @property
    def decodable(self) -> frozenset[str]:
        """Compressed transfer syntaxes that can be decoded here."""
        return self._decoders.decodable

    @asynccontextmanager
    async def rewritten(
        self, entry: Entry, target: str, read: Callable[[], bytes]
    ) -> AsyncIterator[bytes | bytearray]:
        """An instance, whose bytes `read` gives in a thread, in another transfer syntax.

        Raises (on entering):
            MeshError: it cannot be read or not be written so; the error says why.
        """
        source = entry.transfer_syntax
        if entry.size_bytes > REWRITTEN_BYTES:
            raise Unavailable(
                f"It has {entry.size_bytes} bytes; of more than {REWRITTEN_BYTES} the transfer "
                f"syntax, {name_syntax(source)}, is not changed."
            )
        place = object()
        await self._places.acquire_on_behalf_of(place)
        held = True
        try:
            data: bytes | bytearray
            if source in self._decoders.decodable:
                stored = await trio.to_thread.run_sync(
                    read, limiter=self._threads, abandon_on_cancel=True
                )
                data = await self._decoders.decode(stored, source, target)
                del stored
            else:
                data = await trio.to_thread.run_sync(
                    lambda: rewrite(read(), source, target),
                    limiter=self._threads,
                    abandon_on_cancel=True,
                )
            if len(data) <= REWRITTEN_FREE_BYTES:
                self._places.release_on_behalf_of(place)
                held = False
            yield data
        finally:
            if held:
                self._places.release_on_behalf_of(place)
