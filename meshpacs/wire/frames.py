"""Frames: a u32 length and that many bytes, on a stream that comes in any pieces (PROTOCOL 3.1)."""

from collections.abc import Iterator
from typing import NoReturn

from meshpacs.model.errors import PeerFault

LENGTH_BYTES = 4


class FrameTooLarge(PeerFault):
    """A declared length exceeds `limit_bytes`; nothing of that frame was buffered."""

    def __init__(self, length_bytes: int, limit_bytes: int) -> None:
        """Keep both numbers."""
        super().__init__(
            f"A frame of {length_bytes} bytes was declared; {limit_bytes} is the most."
        )
        self.length_bytes = length_bytes
        self.limit_bytes = limit_bytes


def frame(payload: bytes | bytearray | memoryview) -> bytes:
    """A payload behind its length, ready for the stream."""
    return b"".join((len(payload).to_bytes(LENGTH_BYTES, "big"), payload))


class FrameReader:
    """Cuts a stream into frames, holding at most one frame that is not yet whole.

    A frame's bytes are copied into place once, whatever the pieces: its buffer is made at its
    declared length, which has been checked against the limit, but grows only as bytes come, so
    that a peer cannot reserve memory by declaring.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Refuse payloads of more than `limit_bytes`."""
        self.limit_bytes = limit_bytes
        self._head = bytearray()
        self._body = bytearray()
        self._missing = 0
        """Bytes that the frame begun still lacks; 0 while its length is being read."""
        self._fault: FrameTooLarge | None = None

    @property
    def buffered_bytes(self) -> int:
        """What is held of a frame that is not yet whole."""
        return len(self._head) + len(self._body)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[bytes | bytearray]:
        """The payloads that these bytes complete, in order; take them all before feeding again.

        `data` is not kept: its owner may reuse it once the iterator is exhausted.

        Raises:
            FrameTooLarge: the stream cannot be read any further, now or later.
        """
        view = memoryview(data)
        while True:
            if self._fault:
                raise self._fault
            if not self._missing:
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
                self._missing = length
            taken = view[: self._missing]
            self._body += taken
            self._missing -= len(taken)
            if self._missing:
                return
            view = view[len(taken) :]
            payload, self._body = self._body, bytearray()
            yield payload

    def _read_head(self, view: memoryview) -> memoryview:
        wanted = LENGTH_BYTES - len(self._head)
        self._head += view[:wanted]
        return view[wanted:]

    def _refuse(self, length: int) -> NoReturn:
        self._fault = FrameTooLarge(length, self.limit_bytes)
        raise self._fault
