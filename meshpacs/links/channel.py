"""Encrypted frames over a trio stream, once the handshake is done (PROTOCOL 2.2, 3.1).

Records of at most 65,535 bytes behind a u16 length; frames are a stream inside them. Several
records go into one write and come out of one read, because a system call and a task switch each
cost as much as encrypting 20 KiB.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import trio

from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.limits import RECORD_BYTES
from meshpacs.wire.frames import LENGTH_BYTES, FrameReader
from meshpacs.wire.noise import TAG_BYTES, Cipher

PLAIN_BYTES = RECORD_BYTES - TAG_BYTES
READ_BYTES = 256 * 1024
"""Asked of the socket at a time. Measured: 64 KiB cost a fifth of the speed, 1 MiB gain nothing."""
WRITE_BYTES = 256 * 1024
"""Sealed before a write, so that encrypting and sending overlap. Measured as above."""


class Channel:
    """Payloads in, payloads out. One task may send and one may receive at the same time."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        send: Cipher,
        receive: Cipher,
        *,
        limit_bytes: int,
        received: bytes = b"",
    ) -> None:
        """`received` is what was read beyond the handshake; `limit_bytes` is a frame's."""
        self._stream = stream
        self._seal = send
        self._open = receive
        self._frames = FrameReader(limit_bytes)
        self._tail = b""
        """The beginning of a record whose end has not come yet."""
        self._ready: deque[bytes | bytearray] = deque()
        self._torn = False
        """Whether a record may have been sent in part, after which nothing else can be."""
        self.bytes_in = 0
        """Bytes of the socket, records' lengths and tags included."""
        self.bytes_out = 0
        self._received = received

    def limit(self, limit_bytes: int) -> None:
        """Allow frames of this size from here on."""
        self._frames.limit_bytes = limit_bytes

    # ------------------------------------------------------------ out

    async def send(self, payloads: Iterable[bytes]) -> None:
        """Send frames, waiting while the other side does not read.

        Raises:
            Unavailable: the link is lost; a send that was cancelled on the way loses it, too.
        """
        if self._torn:
            raise _lost()
        self._torn = True
        for batch in self._batches(payloads):
            try:
                await self._stream.send_all(batch)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise _lost() from error
            self.bytes_out += len(batch)
        self._torn = False

    def _batches(self, payloads: Iterable[bytes]) -> Iterator[bytes]:
        """Sealed records, some in a row."""
        parts: list[bytes] = []
        size = 0
        for plain in _records(payloads):
            sealed = self._seal.encrypt(plain)
            parts += (len(sealed).to_bytes(2, "big"), sealed)
            size += 2 + len(sealed)
            if size >= WRITE_BYTES:
                yield b"".join(parts)
                parts.clear()
                size = 0
        if parts:
            yield b"".join(parts)

    # ------------------------------------------------------------ in

    async def receive(self) -> bytes | bytearray:
        """The next frame's payload.

        Raises:
            Unavailable: the link has ended, or was lost.
            PeerFault: a record was changed on the way, or a frame is too large.
        """
        if self._received:
            received, self._received = self._received, b""
            self._take_records(received)
        while not self._ready:
            await self._fill()
        return self._ready.popleft()

    async def _fill(self) -> None:
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _lost() from error
        if not data:
            raise _lost() if self._tail or self._frames.buffered_bytes else _ended()
        self.bytes_in += len(data)
        self._take_records(bytes(data))

    def _take_records(self, data: bytes) -> None:
        """Open every record that these bytes complete."""
        # Only a record that straddles two reads is put together; all others are cut from `data`.
        if self._tail:
            wanted = self._wanted()
            if len(self._tail) + len(data) < wanted:
                self._tail += data
                return
            taken = wanted - len(self._tail)
            if wanted == 2:  # the length itself was torn
                data = self._tail + data
            else:
                self._take_record(self._tail[2:] + data[:taken])
                data = data[taken:]
            self._tail = b""
        at, end = 0, len(data)
        while end - at >= 2:
            length = data[at] << 8 | data[at + 1]
            if end - at - 2 < length:
                break
            self._take_record(data[at + 2 : at + 2 + length])
            at += 2 + length
        self._tail = data[at:]

    def _wanted(self) -> int:
        """Bytes of the record that has begun, its length included."""
        if len(self._tail) < 2:
            return 2
        return 2 + (self._tail[0] << 8 | self._tail[1])

    def _take_record(self, sealed: bytes) -> None:
        if len(sealed) <= TAG_BYTES:
            raise PeerFault("A record is empty.")
        self._ready.extend(self._frames.feed(self._open.decrypt(sealed)))

    async def aclose(self) -> None:
        """Close the stream; at once for a socket."""
        await trio.aclose_forcefully(self._stream)


def _records(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """Frames behind their lengths, cut into clear texts of records; small ones share one."""
    small: list[bytes] = []
    room = PLAIN_BYTES
    for payload in payloads:
        head = len(payload).to_bytes(LENGTH_BYTES, "big")
        if LENGTH_BYTES + len(payload) <= room:
            small += (head, payload)
            room -= LENGTH_BYTES + len(payload)
            continue
        if small:
            yield b"".join(small)
        if LENGTH_BYTES + len(payload) <= PLAIN_BYTES:
            small = [head, payload]
            room = PLAIN_BYTES - LENGTH_BYTES - len(payload)
            continue
        first = PLAIN_BYTES - LENGTH_BYTES
        yield head + payload[:first]
        last = first + (len(payload) - first) // PLAIN_BYTES * PLAIN_BYTES
        for at in range(first, last, PLAIN_BYTES):
            yield payload[at : at + PLAIN_BYTES]
        small = [payload[last:]]
        room = PLAIN_BYTES - (len(payload) - last)
    if small and any(small):
        yield b"".join(small)


def _lost() -> Unavailable:
    return Unavailable("The link broke off.", "It is dialled again by itself.")


def _ended() -> Unavailable:
    return Unavailable("The other side has closed the link.", "It is dialled again by itself.")
