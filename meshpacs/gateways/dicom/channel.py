"""One association over one socket: what `dimse` decides is done here.

One task receives. Several may send, one message at a time. Whatever breaks the protocol is aborted
and told to nobody else; whoever is silent for too long, in whatever state, is let go.
"""

import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import assert_never

import trio

from meshpacs.dimse.association import (
    INVALID_PARAMETER,
    UNRECOGNIZED_PDU,
    Association,
    CloseTransport,
    Connect,
    Effect,
    Indicate,
    Lost,
    SendPdu,
    State,
)
from meshpacs.dimse.commands import Command
from meshpacs.dimse.contexts import Agreement
from meshpacs.dimse.faults import UnknownPdu
from meshpacs.dimse.messages import command_pdus, data_pdus
from meshpacs.dimse.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    DataFragment,
    Pdu,
    data_room,
    encode,
)
from meshpacs.gateways.dicom.lent import Lent
from meshpacs.gateways.dicom.transport import Reading, Transport, quick_ack
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.ids import SECOND, Micros
from meshpacs.model.limits import PDU_BYTES

SEND_S = 60.0
"""Seconds without any progress after which a peer that does not read is let go. A guess: a
workstation may write to a slow disk."""

SILENCE_S = 60.0
"""Seconds that a peer may be silent in the middle of a message. A guess."""

IDLE_S = 600.0
"""Seconds that an association may lie idle: viewers keep theirs open between two clicks. A guess,
the same as DCMTK's storescp and dcm4chee have or allow."""


class Channel:
    """The transport and the state of one association."""

    def __init__(self, sock: Transport) -> None:
        """`sock` is connected; it is closed by whoever opened it."""
        self.association = Association()
        self.agreement = Agreement({}, 0, {})
        """What was negotiated; set by whoever negotiates."""
        self.fault: PeerFault | None = None
        """What the peer did wrong, if that was the end."""
        self.silent = False
        """Whether its silence was the end."""
        self.waiting = False
        """Whether it is us who owe the peer something, so that its silence means nothing."""
        self.amid = False
        """Whether a message is under way, in which silence is worth less patience."""
        self._sock = sock
        self._reading = Reading()
        self._told: deque[Pdu | DataFragment] = deque()
        self._lost = False
        self._over = False
        self._sending = trio.Lock()
        self._torn = False
        """Whether a PDU was begun and not ended: what is sent then would be taken for its rest."""
        with contextlib.suppress(OSError):  # it has hung up already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # ------------------------------------------------------------ receiving

    async def receive(self) -> Pdu | DataFragment | None:
        """The next thing that the peer says; None once the association is gone.

        A fragment's data is valid until the next call.
        """
        while not self._told:
            if self._over or self._lost:
                return None
            await self._step()
        return self._told.popleft()

    async def linger(self) -> None:
        """Wait until the peer has hung up, or ARTIM has run out: it may still be reading."""
        while not self._over:
            self._told.clear()
            await self._step()

    async def _step(self) -> None:
        """Take in what was read, or read."""
        if self._reading.due():
            await trio.lowlevel.checkpoint()
        try:
            read = next(self._reading.events, None)
            if type(read) is DataFragment and self.association.passes:
                self._told.append(read)
                return
        except PeerFault as fault:
            self.fault = fault
            answer = UNRECOGNIZED_PDU if isinstance(fault, UnknownPdu) else INVALID_PARAMETER
            await self.carry_out(self.association.invalid(answer, _now()))
            return
        if read is None:
            await self._fill()
        else:
            await self.carry_out(self.association.receive(read, _now()))

    async def _fill(self) -> None:
        """Read what the socket has, or wait for it."""
        try:
            size = self._sock.recv_now(self._reading.buffer)
        except OSError:
            size = 0
        if size is None:
            await self._wait()
        else:
            await self._filled(size)

    async def _filled(self, size: int) -> None:
        """So much was read; nothing at the end."""
        if not size:
            await self.carry_out(self.association.transport_closed(_now()))
            self._over = True
        elif self.fault is None:
            self._reading.feed(size)
        quick_ack(self._sock)

    async def _wait(self) -> None:
        """Wait for the peer, as long as it has patience."""
        deadline = self.association.deadline
        patience = SILENCE_S if self.amid else IDLE_S
        until_s = trio.current_time() + patience
        if deadline is not None:
            until_s = min(until_s, deadline / SECOND)
        with trio.move_on_at(until_s) as scope:
            try:
                size = await self._sock.recv_into(self._reading.buffer)
            except OSError:
                size = 0
            await self._filled(size)
        if not scope.cancelled_caught:
            return
        if deadline is not None and _now() >= deadline:
            self.silent = True
            await self.carry_out(self.association.wake(_now()))
        elif not self.waiting:
            self.silent = self._lost = True
            await self.abort()

    # ------------------------------------------------------------ lent to a thread

    @property
    def lendable(self) -> bool:
        """Whether a thread can have it: of what was read nothing is still to be told here."""
        return self._sock.lendable and not self._told

    @asynccontextmanager
    async def lent(self, for_s: float) -> AsyncIterator[Lent]:
        """Have a thread receive and send for so long at most, and nobody else do so."""
        async with self._turn():
            until_s = monotonic() + for_s
            lent = Lent(self.association, self._sock, self._reading, self.room, _now(), until_s)
            try:
                yield lent
            finally:
                self._torn = bool(lent.unsent)
            if lent.unsent:
                await self._put(lent.unsent)

    # ------------------------------------------------------------ the association's primitives

    async def begin(self) -> None:
        """A peer has connected: await its request."""
        await self.carry_out(self.association.transport_indicated(_now()))

    async def accept(self, answer: AssociateAccept) -> None:
        """Accept what was requested."""
        await self.carry_out(self.association.accept(answer, _now()))

    async def reject(self, answer: AssociateReject) -> None:
        """Reject it."""
        await self.carry_out(self.association.reject(answer, _now()))

    async def request(self, wanted: AssociateRequest) -> None:
        """Ask for an association over this connection, which is open."""
        await self.carry_out(self.association.request(wanted, _now()))
        await self.carry_out(self.association.transport_confirmed(_now()))

    async def release(self) -> None:
        """Ask the peer to end it in good order, if it is not ending anyway."""
        if self.association.state is State.ESTABLISHED:
            await self.carry_out(self.association.release(_now()))

    async def answer_release(self) -> None:
        """Let the peer go."""
        await self.carry_out(self.association.answer_release(_now()))

    async def abort(self) -> None:
        """End it at once; nothing where there is nothing to end."""
        await self.carry_out(self.association.abort(_now()))

    async def carry_out(self, effects: Sequence[Effect]) -> None:
        """Do what the association has decided."""
        for effect in effects:
            match effect:
                case SendPdu(pdu):
                    with contextlib.suppress(Unavailable):
                        await self._send(encode(pdu))
                case Indicate(what):
                    self._told.append(what)
                case CloseTransport():
                    self._over = True
                case Lost():
                    self._lost = True
                case Connect():
                    pass  # whoever made this channel has connected it
                case _:
                    assert_never(effect)
        if self.association.state is State.IDLE:
            self._over = True

    # ------------------------------------------------------------ sending

    @property
    def room(self) -> int:
        """Bytes of a message that one PDU to this peer holds."""
        return data_room(self.agreement.max_length, PDU_BYTES)

    async def send(self, context: int, command: Command, data: bytes = b"") -> None:
        """Send a message; its data set, if it has one, with it in one write.

        Raises:
            Unavailable: the association is gone.
        """
        await self.send_all([message(context, command, data, self.room)])

    async def send_all(self, parts: Sequence[bytes]) -> None:
        """Send bytes of PDUs that were made already, and nobody else's between them.

        Raises:
            Unavailable: the association is gone.
        """
        async with self._turn():
            for part in parts:
                await self._part(part)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Send a message part by part, and nobody else's between them.

        A message that was begun must be ended, or the association aborted.
        """
        async with self._turn():
            yield self._part

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One sender at a time; at once if nobody else is sending."""
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            yield
        finally:
            self._sending.release()

    async def _part(self, part: bytes) -> None:
        if not self.association.may_send(_now()):
            raise Unavailable("The association is gone.")
        await self._put(part)

    async def _send(self, data: bytes) -> None:
        async with self._turn():
            if not self._torn:
                await self._put(data)

    async def _put(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._torn = True
        try:
            view = view[self._sock.send_now(view) :]
            while view:
                with trio.fail_after(SEND_S):
                    view = view[await self._sock.send(view) :]
            self._torn = False
        except (OSError, trio.TooSlowError) as error:
            self.association.transport_closed(_now())
            self._over = True
            with contextlib.suppress(OSError):  # whoever reads is to hear of it
                self._sock.shutdown(socket.SHUT_RDWR)
            raise Unavailable("The peer has hung up or does not read.") from error


def message(context: int, command: Command, data: bytes, room: int) -> bytes:
    """A whole message as PDUs."""
    head = command_pdus(context, command, room)
    if not command.has_data:
        return head
    return head + b"".join(
        piece for head_body in data_pdus(context, data, room) for piece in head_body
    )


def _now() -> Micros:
    return int(trio.current_time() * SECOND)
