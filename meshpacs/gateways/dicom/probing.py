"""What a machine speaks that has not answered as it should: DICOM with TLS, or without."""

import contextlib
import ssl

import trio

from meshpacs.dimse.contexts import IMPLEMENTATION_CLASS, propose
from meshpacs.dimse.pdu import AssociateRequest, User, encode
from meshpacs.gateways.dicom.requesting import NotAnswered, Wish
from meshpacs.gateways.dicom.tls import ALERT, HANDSHAKE
from meshpacs.model.errors import Unavailable
from meshpacs.model.limits import PDU_BYTES

PROBE_S = 5.0
"""Seconds for one look. A guess."""

DICOM = (2, 3, 7)
"""A-ASSOCIATE-AC, A-ASSOCIATE-RJ, A-ABORT."""


async def what_it_speaks(
    fault: NotAnswered, host: str, port: int, wish: Wish, *, tls: bool
) -> Unavailable:
    """Why a machine may not have answered as it should; `tls`: whether TLS was tried with it."""
    if tls and await speaks_plainly(host, port, wish):
        return Unavailable(
            f"{wish.called} speaks DICOM without TLS on that port.",
            "Give the port on which it speaks TLS, or say nothing of TLS here.",
        )
    if not tls and await speaks_tls(host, port):
        return Unavailable(
            f"{wish.called} speaks TLS on that port.",
            "Add it to the AE book with --tls, or give its port without TLS.",
        )
    return fault


async def speaks_tls(host: str, port: int) -> bool:
    """Whether a greeting of TLS is answered by TLS, be it with an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is told to it
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return await _first_answer(host, port, outgoing.read()) in (HANDSHAKE, ALERT)


async def speaks_plainly(host: str, port: int, wish: Wish) -> bool:
    """Whether a request for an association is answered without TLS."""
    user = User(PDU_BYTES, IMPLEMENTATION_CLASS)
    request = AssociateRequest(wish.called, wish.calling, propose(wish.pairs), user)
    return await _first_answer(host, port, encode(request)) in DICOM


async def _first_answer(host: str, port: int, said: bytes) -> int | None:
    with trio.move_on_after(PROBE_S):
        try:
            async with await trio.open_tcp_stream(host, port) as stream:
                await stream.send_all(said)
                answer = await stream.receive_some(1)
                return answer[0] if answer else None
        except (OSError, trio.BrokenResourceError):
            return None
    return None
