"""Encrypted frames over a trio stream, once the handshake is done (PROTOCOL 2.2, 3.1).

Records of at most 65,535 bytes behind a u16 length; frames are a stream inside them. Several
records go into one write and come out of one read, because a system call and a task switch each
cost as much as encrypting 20 KiB.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

import trio

from meshpacs.links.spares import Spares
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.limits import RECORD_BYTES
from meshpacs.wire.codec import Payload
from meshpacs.wire.frames import LENGTH_BYTES, FrameReader
from meshpacs.wire.noise import TAG_BYTES, Cipher

Buffer = bytes | bytearray | memoryview

PLAIN_BYTES = RECORD_BYTES - TAG_BYTES
READ_BYTES = 256 * 1024
"""Asked of the socket at a time. Measured: 64 KiB cost a fifth of the speed, 1 MiB gain nothing."""
BULK_READ_BYTES = 1024 * 1024
"""The same on a bulk link, whose bytes are read into one place again and again."""
BULK_UNSENT_BYTES = 2 * 1024 * 1024
"""What the system takes of a bulk link before its sender waits. trio lets it take 16 KiB, so that
what is sent next can still be chosen; leaves come in their order, and waking costs."""
SPARES_BYTES = 16 * 1024 * 1024
"""Memory for frames that a bulk link keeps: two batches on their way to the disk, one that gathers,
and what is being read."""
WRITE_BYTES = 1088 * 1024
"""Sealed before a write: a leaf and its tags. Measured: 256 KiB cost a sender a tenth more."""


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
        self._ready: deque[Buffer] = deque()
        self._torn = False
        """Whether a record may have been sent in part, after which nothing else can be."""
        self.bytes_in = 0
        """Bytes of the socket, records' lengths and tags included."""
        self.bytes_out = 0
        self._received = received
        self._socket: trio.socket.SocketType | None = None
        """Of a bulk link, if it is one of a socket's."""
        self._place = memoryview(b"")
        """Where a bulk link's bytes are read to; larger as more come at a time."""
        self._sealed = memoryview(b"")
        """Where a bulk link's records are sealed; as large as the largest write."""

    def limit(self, limit_bytes: int) -> None:
        """Allow frames of this size from here on."""
        self._frames.limit_bytes = limit_bytes

    def widen(self) -> None:
        """Carry much from here on: fewer and larger system calls for more memory."""
        if isinstance(self._stream, trio.SocketStream):
            self._socket = self._stream.socket
            self._place = memoryview(bytearray(BULK_READ_BYTES // 16))
            self._frames.lend = Spares(SPARES_BYTES).lend
            if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
                with suppress(OSError):  # not TCP
                    self._stream.setsockopt(
                        trio.socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, BULK_UNSENT_BYTES
                    )

    # ------------------------------------------------------------ out

    async def send(self, payloads: Iterable[Payload]) -> None:
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

    def _batches(self, payloads: Iterable[Payload]) -> Iterator[memoryview]:
        """Sealed records, some in a row; each batch is of no use once the next is asked for."""
        records = list(_records(payloads))
        sizes = [sum(map(len, record)) + TAG_BYTES for record in records]
        out = self._room(min(WRITE_BYTES, sum(sizes) + 2 * len(sizes)))
        at = 0
        for record, size in zip(records, sizes, strict=True):
            if at + 2 + size > len(out):
                yield out[:at]
                at = 0
            out[at : at + 2] = size.to_bytes(2, "big")
            plain = record[0] if len(record) == 1 else b"".join(record)
            self._seal.encrypt_into(plain, out[at + 2 : at + 2 + size])
            at += 2 + size
        if at:
            yield out[:at]

    def _room(self, size: int) -> memoryview:
        """Where records are sealed. Nobody else uses it before they are sent."""
        if self._socket is None:
            return memoryview(bytearray(size))
        if size > len(self._sealed):
            self._sealed = memoryview(bytearray(size))
        return self._sealed[:size]

    # ------------------------------------------------------------ in

    async def receive(self) -> Buffer:
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
            data = await self._read()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _lost() from error
        if not data:
            raise _lost() if self._tail or self._frames.buffered_bytes else _ended()
        self.bytes_in += len(data)
        self._take_records(data)

    async def _read(self) -> Buffer:
        """The next bytes, of use until the next are read."""
        if self._socket is None:
            return await self._stream.receive_some(READ_BYTES)
        place = self._place
        count = await self._socket.recv_into(place)
        if count == len(place) < BULK_READ_BYTES:
            self._place = memoryview(bytearray(4 * count))
        return place[:count]

    def _take_records(self, data: Buffer) -> None:
        """Open every record that these bytes complete."""
        # Only a record that straddles two reads is put together; all others are opened where
        # they lie.
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
        view = memoryview(data)
        at, end = 0, len(data)
        while end - at >= 2:
            length = data[at] << 8 | data[at + 1]
            if end - at - 2 < length:
                break
            self._take_record(view[at + 2 : at + 2 + length])
            at += 2 + length
        self._tail = bytes(view[at:])

    def _wanted(self) -> int:
        """Bytes of the record that has begun, its length included."""
        if len(self._tail) < 2:
            return 2
        return 2 + (self._tail[0] << 8 | self._tail[1])

    def _take_record(self, sealed: bytes | memoryview) -> None:
        size = len(sealed) - TAG_BYTES
        if size <= 0:
            raise PeerFault("A record is empty.")
        room = self._frames.room(size)
        if room is None:
            self._ready.extend(self._frames.feed(self._open.decrypt(sealed)))
            return
        with room:
            self._open.decrypt_into(sealed, room)
        if (payload := self._frames.filled(size)) is not None:
            self._ready.append(payload)

    async def aclose(self) -> None:
        """Close the stream; at once for a socket."""
        await trio.aclose_forcefully(self._stream)


def _records(payloads: Iterable[Payload]) -> Iterator[list[Buffer]]:
    """Frames behind their lengths, cut into clear texts of records, each in pieces.

    Small ones share a record. A piece that does not fit into what is left of one begins a record
    of its own, so that large ones are encrypted from where they lie instead of being copied.
    """
    record: list[Buffer] = []
    room = PLAIN_BYTES
    for payload in payloads:
        length = sum(map(len, payload))
        for piece in (length.to_bytes(LENGTH_BYTES, "big"), *payload):
            left = piece
            if len(left) > room:
                yield record
                record, room = [], PLAIN_BYTES
                left = memoryview(left)
                while len(left) > PLAIN_BYTES:
                    yield [left[:PLAIN_BYTES]]
                    left = left[PLAIN_BYTES:]
            record.append(left)
            room -= len(left)
    if record:
        yield record


def _lost() -> Unavailable:
    return Unavailable("The link broke off.", "It is dialled again by itself.")


def _ended() -> Unavailable:
    return Unavailable("The other side has closed the link.", "It is dialled again by itself.")
