"""Frames: a u32 length and that many bytes, on a stream that comes in any pieces (PROTOCOL 3.1)."""

from collections.abc import Callable, Iterator
from typing import NoReturn

from meshpacs.model.errors import PeerFault
from meshpacs.model.limits import LEAF_BYTES

Buffer = bytes | bytearray | memoryview

LENGTH_BYTES = 4

AT_ONCE_BYTES = LEAF_BYTES + 1024
"""Reserved for a frame that is declared to be as long. Growing to it took a tenth of what a
fetched leaf costs (measured)."""

LENT_BYTES = 64 * 1024
"""A frame from which on it pays to use memory again. A guess."""


class FrameTooLarge(PeerFault):
    """A declared length exceeds `limit_bytes`; nothing of that frame was buffered."""

    def __init__(self, length_bytes: int, limit_bytes: int) -> None:
        """Keep both numbers."""
        super().__init__(
            f"A frame of {length_bytes} bytes was declared; {limit_bytes} is the most."
        )
        self.length_bytes = length_bytes
        self.limit_bytes = limit_bytes


def frame(payload: Buffer) -> bytes:
    """A payload behind its length, ready for the stream."""
    return b"".join((len(payload).to_bytes(LENGTH_BYTES, "big"), payload))


class FrameReader:
    """Cuts a stream into frames, holding at most one frame that is not yet whole.

    A frame's bytes are put into place once, whatever the pieces. Its buffer is `AT_ONCE_BYTES` at
    first, which hold a leaf, and grows as bytes come: to at most twice what has come, so that a
    peer cannot reserve much memory by declaring.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Refuse payloads of more than `limit_bytes`."""
        self.limit_bytes = limit_bytes
        self.lend: Callable[[int], memoryview] | None = None
        """Gives a frame of `LENT_BYTES` to `AT_ONCE_BYTES` its buffer, of any content, if set."""
        self._head = bytearray()
        self._body: bytearray | memoryview = bytearray()
        self._come = 0
        """Bytes of the frame begun that are in its buffer."""
        self._length = 0
        """Bytes of the frame begun; 0 while its length is being read."""
        self._fault: FrameTooLarge | None = None

    @property
    def buffered_bytes(self) -> int:
        """What is held of a frame that is not yet whole."""
        return len(self._head) + self._come

    def feed(self, data: Buffer) -> Iterator[Buffer]:
        """The payloads that these bytes complete, in order; take them all before feeding again.

        `data` is not kept: its owner may reuse it once the iterator is exhausted.

        Raises:
            FrameTooLarge: the stream cannot be read any further, now or later.
        """
        view = memoryview(data)
        while True:
            if self._fault:
                raise self._fault
            if not self._length:
                view = self._read_head(view)
                if len(self._head) < LENGTH_BYTES:
                    return
                length = int.from_bytes(self._head, "big")
                if length > self.limit_bytes:
                    self._refuse(length)
                self._head.clear()
                if not length:
                    yield b""
                    continue
                if len(view) >= length:  # the usual case on a control link: one copy, no buffer
                    yield bytes(view[:length])
                    view = view[length:]
                    continue
                self._length = length
            taken = view[: self._length - self._come]
            with self._room(len(taken)) as room:
                room[:] = taken
            view = view[len(taken) :]
            payload = self.filled(len(taken))
            if payload is None:
                return
            yield payload

    def room(self, size: int) -> memoryview | None:
        """Where the stream's next `size` bytes go, if they all belong to the frame begun.

        Who makes them (by decrypting) can then put them there, and says so by `filled`. Release
        the view before that.
        """
        return self._room(size) if size <= self._length - self._come else None

    def _room(self, size: int) -> memoryview:
        wanted = self._come + size
        if wanted > len(self._body):
            most = min(self._length, max(wanted, 2 * self._come, AT_ONCE_BYTES))
            if isinstance(self._body, bytearray) and self._body:
                self._body += bytes(most - len(self._body))
            elif self.lend and LENT_BYTES <= self._length == most:
                self._body = self.lend(most)
            else:
                self._body = bytearray(most)
        return memoryview(self._body)[self._come : wanted]

    def filled(self, size: int) -> Buffer | None:
        """So many bytes have been put where `room` said; the payload if it is whole with them."""
        self._come += size
        if self._come < self._length:
            return None
        payload, self._body = self._body, bytearray()
        self._come = self._length = 0
        return payload

    def _read_head(self, view: memoryview) -> memoryview:
        wanted = LENGTH_BYTES - len(self._head)
        self._head += view[:wanted]
        return view[wanted:]

    def _refuse(self, length: int) -> NoReturn:
        self._fault = FrameTooLarge(length, self.limit_bytes)
        raise self._fault
