"""A forward-only view of a data set's bytes: a few at a time, never the whole.

`FileWindow` reads a file from an offset on, `InflatedWindow` the same through deflate
(PS3.5 A.5), within limits.
"""

import zlib
from collections.abc import Callable

from meshpacs.archive.faults import Reason, Refused
from meshpacs.model.limits import HEADER_BYTES, ZIP_RATIO

STEP_BYTES = 64 * 1024
"""Read at a time; most headers fit in one. A guess."""

Read = Callable[[int, int], bytes]
"""`read(offset, count)`: up to `count` bytes, fewer only at the end."""


def memory_reader(data: bytes | bytearray | memoryview) -> Read:
    """Reads bytes that are at hand."""
    view = memoryview(data)
    return lambda offset, count: bytes(view[offset : offset + count])


class Truncated(Refused):
    """The data set ends before its last element does."""

    def __init__(self, at: int) -> None:
        """Say where, in bytes of the data set."""
        super().__init__(
            Reason.TRUNCATED,
            f"The data set ends too early: an element at byte {at} is cut off.",
            "Copy or send it again from where it came.",
        )


class FileWindow:
    """Bytes of a source of known size."""

    def __init__(self, read: Read, size: int) -> None:
        """`read` counts offsets from the start of the data set, which has `size` bytes."""
        self._read = read
        self.size: int | None = size
        self._base = 0
        self._chunk = b""
        self.at = 0
        """How far the scan has come, in bytes of the data set."""

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes without moving; fewer only at the end."""
        start = self.at - self._base
        if start + count > len(self._chunk):
            self._chunk = self._read(self.at, max(count, STEP_BYTES))
            self._base = self.at
            start = 0
        return self._chunk[start : start + count]

    def held(self) -> tuple[bytes, int]:
        """What was read already, and where in it the scan is; nothing is read for it."""
        start = self.at - self._base
        return (self._chunk, start) if start < len(self._chunk) else (b"", 0)

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes.

        Raises:
            Truncated: there are fewer.
        """
        found = self.peek(count)
        if len(found) < count:
            raise Truncated(self.at)
        self.at += count
        return found

    def skip(self, count: int) -> None:
        """Move on without looking.

        Raises:
            Truncated: there are fewer bytes than that.
        """
        assert self.size is not None
        if self.at + count > self.size:
            raise Truncated(self.at)
        self.at += count

    def ended(self) -> bool:
        """Whether nothing is left."""
        assert self.size is not None
        return self.at >= self.size


class InflatedWindow(FileWindow):
    """Bytes of a deflated data set; how many there are is known only at the end."""

    def __init__(self, read: Read, size: int) -> None:
        """Take the compressed bytes as `FileWindow` takes plain ones."""
        super().__init__(self._inflate, 0)
        self.size = None
        self._packed = read
        self._packed_size = size
        self._packed_at = 0
        self._made = 0
        self._pending = b""
        self._zip = zlib.decompressobj(-zlib.MAX_WBITS)

    def _inflate(self, offset: int, count: int) -> bytes:
        """The next bytes; only ever called with the offset that `peek` has come to."""
        kept = self._chunk[offset - self._base :]
        out = bytearray(kept)
        while len(out) < count and not self._zip.eof:
            if not self._pending:
                self._pending = self._packed(self._packed_at, STEP_BYTES)
                self._packed_at += len(self._pending)
            try:
                piece = self._zip.decompress(self._pending, STEP_BYTES)
            except zlib.error:
                raise Refused(
                    Reason.MALFORMED, "The deflated data set cannot be inflated."
                ) from None
            self._pending = self._zip.unconsumed_tail
            if not piece and not self._pending and self._packed_at >= self._packed_size:
                raise Truncated(offset)
            self._made += len(piece)
            self._check_ratio()
            out += piece
        return bytes(out)

    def _check_ratio(self) -> None:
        # A small data set may well be 1,000 times smaller when deflated (a black image), so a
        # ratio alone is no bomb; a ratio and a size that nobody wants to hold is.
        if self._made > HEADER_BYTES and self._made > ZIP_RATIO * max(self._packed_at, 1):
            raise Refused(
                Reason.TOO_LARGE,
                f"The deflated data set grows more than {ZIP_RATIO} times: a bomb, or damage.",
            )

    def skip(self, count: int) -> None:
        """Inflate and forget."""
        while count:
            step = len(self.peek(min(count, STEP_BYTES)))
            if not step:
                raise Truncated(self.at)
            self.at += step
            count -= step

    def ended(self) -> bool:
        """Whether the deflate stream has ended and everything was taken."""
        return not self.peek(1)
