"""Associations that we open: to send instances, and to ask others as any workstation would."""

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from meshpacs.dimse.commands import Command, EchoRequest, Request, Response
from meshpacs.dimse.contexts import (
    IMPLEMENTATION_CLASS,
    IMPLEMENTATION_VERSION,
    Agreement,
    agreed,
    propose,
)
from meshpacs.dimse.faults import MalformedMessage, TlsSpoken
from meshpacs.dimse.messages import Assembly, Begun, Piece
from meshpacs.dimse.pdu import (
    CALLED_TITLE_NOT_RECOGNIZED,
    CALLING_TITLE_NOT_RECOGNIZED,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    DataFragment,
    Extended,
    Role,
    User,
    reject_words,
)
from meshpacs.dimse.services import VERIFICATION
from meshpacs.dimse.statuses import SUCCESS
from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.prompt import Prompt
from meshpacs.gateways.dicom.tls import TlsSocket
from meshpacs.gateways.dicom.transport import Transport
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.limits import (
    IDENTIFIER_BYTES,
    PDU_BYTES,
    PDU_BYTES_LEAST,
    TLS_HANDSHAKE_S,
)

CONNECT_S = 10.0
"""Seconds to reach a machine in the same building. A guess."""

ANSWER_S = 30.0
"""Seconds that a peer has to answer a request for an association. DCMTK's default."""

RELEASE_S = 5.0
"""Seconds that a peer has to let us go before the connection is closed. A guess."""

GOODBYE_S = 1.0
"""Seconds that telling a peer of an abrupt end may take. A guess; a whole stop takes 5."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Another DICOM machine, its title, and what we call ourselves to it."""

    host: str
    port: int
    called: str
    calling: str
    tls: ssl.SSLContext | None = None
    """What TLS is spoken with to it; None: with nothing."""
    prefer: str = ""
    """The transfer syntax that it is best sent, by UID or name; empty: as stored."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an association is wanted for."""

    called: str
    calling: str
    pairs: tuple[tuple[str, tuple[str, ...]], ...]
    """At most 128 abstract syntaxes, each with its transfer syntaxes."""
    roles: tuple[Role, ...] = ()
    extended: tuple[Extended, ...] = ()


class NotAnswered(Unavailable):
    """Something is there and has not answered as it should: it may expect TLS, or not know it."""


@dataclass(slots=True)
class Requestor:
    """Our side of an association that was accepted."""

    channel: Channel
    tls: str = ""
    """The version of TLS, if any."""
    message_id: int = 0
    _assembly: Assembly = field(init=False)

    def __post_init__(self) -> None:
        """Read on the contexts that were accepted."""
        self._assembly = Assembly(self.channel.agreement.contexts)

    @property
    def agreement(self) -> Agreement:
        """What the peer has accepted."""
        return self.channel.agreement

    def next_id(self) -> int:
        """A message ID."""
        self.message_id = self.message_id % 65_535 + 1
        return self.message_id

    async def receive(self, most: int | None = None) -> tuple[int, Command, bytes]:
        """The next whole message: context, command, and its data set within a limit.

        Raises:
            Unavailable: the association has ended.
            MalformedMessage: the peer breaks the protocol.
        """
        begun = await self.take()
        assert isinstance(begun, Begun), "the message before was taken whole"
        data = await self.data(most) if begun.command.has_data else b""
        return begun.context, begun.command, data

    async def take(self) -> Begun | Piece:
        """The next command, or piece of a data set, which is valid until the next call.

        Raises:
            Unavailable: the association has ended.
            MalformedMessage: the peer breaks the protocol.
        """
        while True:
            what = await self.channel.receive()
            if not isinstance(what, DataFragment):
                fault = self.channel.fault
                raise fault or Unavailable("The other side has ended the association.")
            found = self._assembly.take(what)
            self.channel.amid = self._assembly.amid
            if found is not None:
                return found

    async def piece(self) -> Piece:
        """The next piece of the data set that is under way."""
        piece = await self.take()
        assert isinstance(piece, Piece), "a command comes after the data set's last piece"
        return piece

    async def data(self, most: int | None = None) -> bytes:
        """The whole data set of the message that has begun, within a limit."""
        held = bytearray()
        most = IDENTIFIER_BYTES if most is None else most
        while True:
            piece = await self.piece()
            held += piece.data
            if len(held) > most:
                raise MalformedMessage(f"A response has more than {most} bytes.")
            if piece.last:
                return bytes(held)

    async def ask(self, context: int, request: Request, data: bytes = b"") -> Response:
        """Send a request and wait for its one response."""
        await self.channel.send(context, request, data)
        return await self.answer(request)

    async def answer(self, request: Request) -> Response:
        """Wait for the response to a request that was sent."""
        _, command, _ = await self.receive()
        if not isinstance(command, Response) or command.responded_id != request.message_id:
            raise MalformedMessage("A response came to what nobody has asked.")
        return command


@asynccontextmanager
async def associated(
    host: str, port: int, wish: Wish, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Requestor]:
    """An association for as long as this context lasts; then it is released, or aborted.

    `tls`: over TLS, with what this holds.

    Raises (on entering):
        Unavailable: the machine cannot be reached, or does not want us; the error says which.
    """
    with trio.move_on_after(CONNECT_S) as connecting:
        try:
            stream = await trio.open_tcp_stream(host, port)
        except socket.gaierror as error:
            raise Unavailable(
                f"{wish.called} cannot be reached at {host}:{port}: nobody knows that name.",
                "Mind its spelling, or give the machine's address.",
            ) from error
        except OSError as error:
            raise Unavailable(
                f"{wish.called} cannot be reached at {host}:{port}: {_words(error)}.",
                "Is it on, and does a firewall let that port through?",
            ) from error
    if connecting.cancelled_caught:
        raise Unavailable(f"{wish.called} cannot be reached at {host}:{port}: no answer.")
    try:
        if tls is None:
            async with _over(Prompt(stream.socket), None, wish) as requestor:
                yield requestor
        else:
            secured = await _secured(stream.socket, tls, host, wish)
            async with _over(secured, secured, wish) as requestor:
                yield requestor
    finally:
        await trio.aclose_forcefully(stream)


async def _secured(
    sock: trio.socket.SocketType, context: ssl.SSLContext, host: str, wish: Wish
) -> TlsSocket:
    secured = TlsSocket(sock, context, host=host)
    with trio.move_on_after(TLS_HANDSHAKE_S):
        try:
            await secured.handshake()
        except Unavailable as fault:
            raise NotAnswered(f"No TLS with {wish.called}: {fault.what}", fault.mend) from fault
        except PeerFault as fault:
            raise Unavailable(f"No TLS with {wish.called}: {fault.what}", fault.mend) from fault
        return secured
    raise NotAnswered(
        f"No TLS with {wish.called}: it has not answered within {TLS_HANDSHAKE_S} s.",
        "Something listens there, but says nothing: it may speak DICOM without TLS on that port.",
    )


@asynccontextmanager
async def _over(
    transport: Transport, secured: TlsSocket | None, wish: Wish
) -> AsyncIterator[Requestor]:
    channel = Channel(transport)
    try:
        try:
            await _request(channel, wish)
        except Unavailable as fault:
            # In TLS 1.3 a peer judges our certificate when the handshake is over for us.
            if secured is None or secured.fault is None:
                raise
            told = secured.fault
            raise Unavailable(f"No TLS with {wish.called}: {told.what}", told.mend) from fault
        yield Requestor(channel, secured.version if secured is not None else "")
        with trio.move_on_after(RELEASE_S):
            await channel.release()
            await channel.linger()
    finally:
        with trio.move_on_after(GOODBYE_S, shield=True):
            await channel.abort()
            if secured is not None:
                await secured.goodbye()


async def _request(channel: Channel, wish: Wish) -> None:
    request = AssociateRequest(
        wish.called,
        wish.calling,
        propose(wish.pairs),
        User(
            PDU_BYTES,
            IMPLEMENTATION_CLASS,
            IMPLEMENTATION_VERSION,
            roles=wish.roles,
            extended=wish.extended,
        ),
    )
    await channel.request(request)
    with trio.move_on_after(ANSWER_S):
        answer = await channel.receive()
        if isinstance(answer, AssociateAccept):
            if 0 < answer.user.max_length < PDU_BYTES_LEAST:
                raise Unavailable(
                    f"{wish.called} takes {answer.user.max_length} bytes in a PDU, too few.",
                    f"Set its maximum PDU length to at least {PDU_BYTES_LEAST}; 0 is no limit.",
                )
            channel.agreement = agreed(request, answer)
            return
        if isinstance(answer, AssociateReject):
            raise Unavailable(
                f"{wish.called} rejects the association: {reject_words(answer)}.",
                _mend(answer, wish),
            )
        if channel.fault is not None:
            if isinstance(channel.fault, TlsSpoken):
                raise Unavailable(
                    f"{wish.called} speaks TLS on that port.",
                    "Add it to the AE book with --tls, or give its port without TLS.",
                )
            raise Unavailable(
                f"What answers there does not speak DICOM: {channel.fault.what}",
                "Is it the right port, and does it speak DICOM without TLS?",
            )
        raise NotAnswered(
            f"{wish.called} has hung up instead of answering.",
            "Its own log may say why; some hang up on titles or addresses that they do not know, "
            "and on who does not speak TLS.",
        )
    raise NotAnswered(
        f"{wish.called} has not answered within {ANSWER_S:.0f} s.",
        "Something listens there, but says nothing: is it the right port, or is TLS expected?",
    )


def _mend(answer: AssociateReject, wish: Wish) -> str:
    """What to change, by the reason that was given."""
    if answer == CALLED_TITLE_NOT_RECOGNIZED:
        return f"That machine is not called {wish.called}; mind capital letters."
    if answer == CALLING_TITLE_NOT_RECOGNIZED:
        return f"That machine must be told that {wish.calling} may call, and from where."
    return "Try again later." if answer.result != 1 else "Its own log may say why."


async def verify(requestor: Requestor) -> None:
    """C-ECHO (PS3.4 annex A).

    Raises:
        Unavailable: the peer does not offer it, or answers with a failure.
        PeerFault: the peer breaks the protocol.
    """
    contexts = requestor.agreement.of(VERIFICATION)
    if not contexts:
        raise Unavailable(
            "It has accepted the association, but not that it is verified (C-ECHO).",
            "It may do other things all the same.",
        )
    request = EchoRequest(message_id=requestor.next_id(), sop_class=VERIFICATION)
    with trio.move_on_after(ANSWER_S):
        answer = await requestor.ask(contexts[0].id, request)
        if answer.status != SUCCESS:
            raise Unavailable(f"It answers a C-ECHO with the status {answer.status:04X}.")
        return
    raise Unavailable(f"It has not answered a C-ECHO within {ANSWER_S:.0f} s.")


def _words(error: OSError) -> str:
    inner: BaseException = error
    while isinstance(inner.__cause__, BaseExceptionGroup):  # trio tries several addresses
        inner = inner.__cause__.exceptions[0]
    number = getattr(inner, "errno", None)  # trio's own words have Python's address in them
    return os.strerror(number) if number else str(inner)
