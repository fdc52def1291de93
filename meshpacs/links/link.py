"""One link with one member: its outbox, its two tasks, its meter (PROTOCOL 2.3, 2.4, 3.1)."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
import trio

from meshpacs.links.channel import Channel
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.ids import NodeId, short
from meshpacs.model.limits import OUTBOX_BYTES, OUTBOX_CONTROL_SLOTS, OUTBOX_SLOTS
from meshpacs.wire.codec import Payload, UnknownType, decode, encode, encode_in_place
from meshpacs.wire.messages import FIRST_NOTICE, Message, Part, Purpose, Unsupported

log = structlog.get_logger()

GOODBYE_S = 2.0
"""Seconds to send what is waiting once a link is to be closed. A guess; a stop may take 5."""

BATCH_MESSAGES = 128
"""Messages taken from the outbox for one write; what comes meanwhile goes into the next."""


@dataclass(slots=True)
class Count:
    """Messages of one type, and the bytes of their frames before encryption."""

    messages: int = 0
    bytes: int = 0


@dataclass(slots=True)
class LinkMeter:
    """What has gone over one link."""

    by_type_in: dict[int, Count] = field(default_factory=dict)
    by_type_out: dict[int, Count] = field(default_factory=dict)
    bytes_in: int = 0
    """Bytes of the socket, after the handshake."""
    bytes_out: int = 0
    messages_in: int = 0
    messages_out: int = 0
    messages_dropped: int = 0
    """That a full outbox has cost the peer."""
    last_heard_s: float = 0.0
    """trio's clock."""


class Link:
    """An encrypted link with a member (or a joiner), greetings exchanged.

    Control and direct links: `post` and `run`. Bulk and join links: `send` and `receive`, one
    task each.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        peer: NodeId,
        purpose: Purpose,
        boot: int,
        version: str,
        address: str,
        outbound: bool,
        invite: bytes = b"",
    ) -> None:
        """`boot` and `version` are the peer's; `invite` is the public key of a join link's."""
        self.peer = peer
        self.purpose = purpose
        self.boot = boot
        self.version = version
        self.address = address
        self.outbound = outbound
        self.invite = invite
        self.ready_s = trio.current_time()
        """When the greetings were over."""
        self._channel = channel
        self._meter = LinkMeter(last_heard_s=self.ready_s)
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._posted = trio.Event()
        self._unknown = 0
        """Messages of types that this version does not know."""
        self._why_closed: str | None = None
        self._writing = trio.CancelScope()
        self._scopes: dict[trio.CancelScope, None] = {}
        self._sending = trio.Lock()
        """Held by `send`, and by `receive` while it answers what this version does not know."""

    @property
    def meter(self) -> LinkMeter:
        """Counts as of now."""
        self._meter.bytes_in = self._channel.bytes_in
        self._meter.bytes_out = self._channel.bytes_out
        return self._meter

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._why_closed is not None

    # ------------------------------------------------------------ control and direct links

    def post(self, message: Message) -> bool:
        """Put a message into the outbox without waiting; False if that is full or closed.

        A full outbox costs the peer this message and stalls nobody. Rows leave some slots free,
        so that answers never crowd out what closes a query (PROTOCOL 5.2).
        """
        payload = encode(message)
        slots = OUTBOX_SLOTS
        if isinstance(message, Part):
            slots -= OUTBOX_CONTROL_SLOTS
        full = len(self._outbox) >= slots or self._outbox_bytes + len(payload) > OUTBOX_BYTES
        if full or self.closing:
            self._meter.messages_dropped += 1
            return False
        self._outbox.append(payload)
        self._outbox_bytes += len(payload)
        self._posted.set()
        return True

    async def run(self, deliver: Callable[[Message], Awaitable[None]]) -> None:
        """Send what is posted and deliver what comes, until the link ends; then it is closed.

        Returns after `close`, when what was posted before has been sent or `GOODBYE_S` are over.

        Raises:
            Unavailable: the other side has closed the link, or it broke off.
            PeerFault: the peer broke the protocol.
        """
        failure: list[MeshError] = []

        async def guarded(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except MeshError as error:
                failure.append(error)
            nursery.cancel_scope.cancel()

        async def read() -> None:
            while True:
                message = await self._receive()
                if message is not None:
                    await deliver(message)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guarded, self._write)
                nursery.start_soon(guarded, read)
        finally:
            await self._channel.aclose()
        if failure and not self.closing:
            raise failure[0]

    async def _write(self) -> None:
        with self._writing:
            while True:
                await self._posted.wait()
                self._posted = trio.Event()
                while self._outbox:
                    await self._flush()
                if self.closing:
                    return

    async def _flush(self) -> None:
        batch = [self._outbox.popleft() for _ in range(min(len(self._outbox), BATCH_MESSAGES))]
        await self._channel.send((payload,) for payload in batch)
        for payload in batch:
            self._outbox_bytes -= len(payload)
            self._sent((payload,))

    def close(self, reason: str) -> None:
        """Begin to end the link; whoever runs, sends or receives on it comes back."""
        if self._why_closed is None:
            self._why_closed = reason
            self._writing.deadline = trio.current_time() + GOODBYE_S
            self._posted.set()
            for scope in self._scopes:
                scope.cancel()

    async def aclose(self) -> None:
        """End the link at once; what was not sent yet is lost."""
        self.close("closed")
        await self._channel.aclose()

    # ------------------------------------------------------------ bulk and join links

    async def send(self, *messages: Message) -> None:
        """Send messages in a row, waiting while the other side does not read.

        Raises:
            Unavailable: the link is lost or closed.
        """
        payloads = [encode_in_place(message) for message in messages]
        with self._until_closed():
            async with self._sending:
                await self._channel.send(payloads)
        for payload in payloads:
            self._sent(payload)

    async def receive(self) -> Message:
        """The next message.

        Raises:
            Unavailable: the link has ended.
            PeerFault: what came breaks the protocol.
        """
        while True:
            message: Message | None = None
            with self._until_closed():
                message = await self._receive()
                if message is None:
                    await self._flush_answers()
            if message is not None:
                return message

    async def _flush_answers(self) -> None:
        async with self._sending:
            while self._outbox:
                await self._flush()

    @contextmanager
    def _until_closed(self) -> Iterator[None]:
        """Cancel what is inside when the link is closed, and say so."""
        if self._why_closed is not None:
            raise self._closed()
        with trio.CancelScope() as scope:
            self._scopes[scope] = None
            try:
                yield
            finally:
                del self._scopes[scope]
        if scope.cancelled_caught:
            raise self._closed()

    def _closed(self) -> Unavailable:
        return Unavailable(f"The link was closed here: {self._why_closed}.")

    # ------------------------------------------------------------ both

    async def _receive(self) -> Message | None:
        """The next message; None for one that this version does not know, answered if need be."""
        payload = await self._channel.receive()
        self._meter.last_heard_s = trio.current_time()
        self._meter.messages_in += 1
        try:
            message = decode(payload)
        except UnknownType as unknown:
            # PROTOCOL 3.1: versions mix, and nothing hangs.
            if unknown.number < FIRST_NOTICE:
                self.post(Unsupported(unknown.number))
            self._unknown += 1
            if self._unknown & (self._unknown - 1) == 0:  # a peer fills no log: 1, 2, 4, 8…
                log.info(
                    "message_unknown",
                    peer=short(self.peer),
                    type=unknown.number,
                    so_far=self._unknown,
                )
            return None
        count = self._meter.by_type_in.setdefault(payload[0], Count())
        count.messages += 1
        count.bytes += len(payload)
        return message

    def _sent(self, payload: Payload) -> None:
        self._meter.messages_out += 1
        count = self._meter.by_type_out.setdefault(payload[0][0], Count())
        count.messages += 1
        count.bytes += sum(map(len, payload))


def foul(message: Message) -> PeerFault:
    """A message that has no place on the link on which it came."""
    return PeerFault(f"A {type(message).__name__} came where it has no place.")
