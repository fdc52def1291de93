"""Large buffers that are used again.

Fresh memory costs a page fault for every 4 KiB and is written twice, first with zeros: a tenth of
what a fetched leaf cost its taker (measured).
"""

from collections import deque
from threading import Lock

GRAIN_BYTES = 64 * 1024
"""Sizes are rounded up to so much, so that leaves of nearly one size share; what is not half as
large is made as it is and not kept. A guess."""


class Spares:
    """Lends views; a buffer is lent again once nobody views it any more. For several threads."""

    def __init__(self, kept_bytes: int) -> None:
        """At most `kept_bytes` are kept; what is lent beyond them goes with its last view."""
        self._kept_bytes = kept_bytes
        self._kept: deque[bytearray] = deque()
        self._bytes = 0
        self._lock = Lock()

    def lend(self, size: int) -> memoryview:
        """So many bytes of any content, for as long as they, or a part of them, are viewed."""
        if 2 * size < GRAIN_BYTES:
            # It would find no buffer that is not much too large, and push out those that others do.
            return memoryview(bytearray(size))
        with self._lock:
            return memoryview(self._found(size) or self._made(size))[:size]

    def clear(self) -> None:
        """Keep nothing; what is lent stays."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _found(self, size: int) -> bytearray | None:
        """A buffer that is free and not much too large; those lent longest ago first."""
        for place, buffer in enumerate(self._kept):
            if size <= len(buffer) <= 2 * size and _unviewed(buffer):
                del self._kept[place]
                self._kept.append(buffer)
                return buffer
        return None

    def _made(self, size: int) -> bytearray:
        buffer = bytearray(-(-size // GRAIN_BYTES) * GRAIN_BYTES)
        self._kept.append(buffer)
        self._bytes += len(buffer)
        while self._bytes > self._kept_bytes:
            self._bytes -= len(self._kept.popleft())
        return buffer


def _unviewed(buffer: bytearray) -> bool:
    """Whether no view of it is left. What is viewed cannot be resized, which tells."""
    try:
        del buffer[-1]
    except BufferError:
        return False
    buffer.append(0)  # there is room for it: a shrinking by one gives none back
    return True
