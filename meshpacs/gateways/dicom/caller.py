"""Who has opened an association with us: their messages in, ours out."""

import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from meshpacs.dimse.commands import Command, EventReportResponse, StoreResponse
from meshpacs.dimse.contexts import Context
from meshpacs.dimse.faults import OversizedIdentifier
from meshpacs.dimse.messages import Assembly, Begun, Piece
from meshpacs.dimse.pdu import DataFragment, Pdu
from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.lent import Lent
from meshpacs.gateways.dicom.titles import Allowing
from meshpacs.model.errors import Unavailable
from meshpacs.model.limits import IDENTIFIER_BYTES
from meshpacs.node.book import Entry
from meshpacs.node.credentials import Credentials, tls_for
from meshpacs.node.mesh import Mesh

LARGE = trio.CapacityLimiter(2)
"""Data sets of storage commitment that are read at once, in threads, of all callers. Measured: the
largest takes 1.5 s and 30 MB."""


@dataclass(slots=True)
class Operation:
    """A request that is answered while the association is read on, because of its C-CANCEL."""

    message_id: int
    scope: trio.CancelScope | None = None
    cancelled: bool = False
    stop: trio.Event = field(default_factory=trio.Event)
    """Set with it, for whoever does the work elsewhere."""
    answered: bool = False
    """Whether its last response is on its way: then the peer may ask the next thing."""
    ended: trio.Event = field(default_factory=trio.Event)
    awaited: int | None = None
    """The message that we have sent and that is to be answered: a sub-operation's."""
    answer: StoreResponse | None = None
    answer_came: trio.Event = field(default_factory=trio.Event)

    def cancel(self) -> None:
        """The peer does not want it any more."""
        self.cancelled = True
        self.stop.set()
        if self.scope is not None:
            self.scope.cancel()

    def cancellable(self) -> trio.CancelScope:
        """For what may be cancelled: never for sending, which would tear a PDU."""
        self.scope = trio.CancelScope()
        if self.cancelled:
            self.scope.cancel()
        return self.scope


@dataclass(slots=True)
class Telling:
    """What we report to the peer by N-EVENT-REPORT, one thing after another."""

    turn: trio.Lock = field(default_factory=trio.Lock)
    message_id: int = 0
    """Of the last one that was sent."""
    answer: EventReportResponse | None = None
    answer_came: trio.Event = field(default_factory=trio.Event)

    def next_id(self) -> int:
        """Begin the next one."""
        self.message_id = self.message_id % 65_535 + 1
        self.answer, self.answer_came = None, trio.Event()
        return self.message_id


@dataclass(slots=True)
class Caller:
    """One peer, once its association is accepted."""

    channel: Channel
    mesh: Mesh
    title: str
    called: str
    """The title that it reached us by."""
    host: str
    book: Allowing
    """Knows where instances may be sent."""
    default_codec: str
    """For identifiers that have text and declare no character set."""
    credentials: Callable[[], Credentials | None] = lambda: None
    """What TLS is spoken with to those that the book marks so."""
    issuer: str = ""
    """Whose the numbers of this clinic's patients are; empty: not configured."""
    done: Counter[str] = field(default_factory=Counter)
    """What was served, for the log."""
    operation: Operation | None = None
    telling: Telling = field(default_factory=Telling)
    serving: bool = False
    """Whether a message of the peer's is being served right now."""
    touched_s: float = 0.0
    """When the peer has said something last, on trio's clock."""
    over: trio.Event = field(default_factory=trio.Event)
    """Set once the peer is not listened to any more."""
    ending: Pdu | None = None
    """What ended the association, if the peer said it."""
    _assembly: Assembly = field(init=False)
    _left: Begun | None = None
    """What a thread has read and left to `take`."""

    def __post_init__(self) -> None:
        """Read on the contexts that were accepted."""
        self._assembly = Assembly(self.channel.agreement.contexts)

    def tls_for(self, known: Entry) -> ssl.SSLContext | None:
        """What to speak TLS with to this machine; None where it is spoken to without.

        Raises:
            LocalFault: this node has no key.
        """
        return tls_for(known, self.credentials())

    def context(self, number: int) -> Context:
        """An accepted context."""
        return self.channel.agreement.contexts[number]

    @property
    def idle(self) -> bool:
        """Whether the peer has said all it wants for now, and was answered."""
        return self.operation is None and not self.serving and not self.channel.amid

    async def take(self) -> Begun | Piece | None:
        """The next command, or piece of a data set; None once the association ends.

        Raises:
            MalformedMessage: the association is to be aborted.
        """
        if self._left is not None:
            left, self._left = self._left, None
            return left
        while True:
            what = await self.channel.receive()
            self.touched_s = trio.current_time()
            if not isinstance(what, DataFragment):
                self.ending = what
                return None
            found = self._assembly.take(what)
            self.channel.amid = self._assembly.amid
            if found is not None:
                return found

    def take_lent(self, lent: Lent, wait_s: float) -> Begun | Piece | None:
        """The same for the thread that the channel is lent to; None: it is for `take` to go on.

        Raises:
            MalformedMessage: the association is to be aborted.
        """
        while True:
            fragment = lent.receive(wait_s)
            if fragment is None:
                return None
            found = self._assembly.take(fragment)
            self.channel.amid = self._assembly.amid
            if found is not None:
                return found

    def leave(self, begun: Begun) -> None:
        """Have `take` find this next."""
        self._left = begun

    async def piece(self) -> Piece:
        """The next piece of the data set that is under way; its data valid until the next call.

        Raises:
            Unavailable: the association has ended before the data set.
        """
        found = await self.take()
        if not isinstance(found, Piece):
            raise Unavailable("The association has ended in the middle of a message.")
        return found

    async def drain(self) -> None:
        """Let the rest of a data set pass."""
        while not (await self.piece()).last:
            pass

    async def identifier(self, most: int = IDENTIFIER_BYTES) -> bytes:
        """The whole data set of a query, a retrieval or a request for commitment.

        Raises:
            OversizedIdentifier: it is too large; the rest of it has passed.
        """
        held = bytearray()
        while True:
            piece = await self.piece()
            held += piece.data
            if piece.last:
                return bytes(held)
            if len(held) > most:
                await self.drain()
                raise OversizedIdentifier(f"More than {most} bytes of identifier.")

    async def respond(self, context: int, command: Command, data: bytes = b"") -> None:
        """Send one response."""
        await self.channel.send(context, command, data)
