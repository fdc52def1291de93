"""Finds PDUs in a stream of bytes, however it is cut (PS3.8 9.3).

Nothing is buffered but heads and the small PDUs, each within its limit; data passes as views of
what was fed. A stream that has once been broken stays so.
"""

import struct
from collections.abc import Iterator

from meshpacs.dimse.faults import MalformedPdu, PduTooLarge, TlsSpoken, UnknownPdu
from meshpacs.dimse.items import read_accept, read_request
from meshpacs.dimse.pdu import (
    PDV_HEAD_BYTES,
    Abort,
    AssociateReject,
    DataFragment,
    Kind,
    Pdu,
    ReleaseReply,
    ReleaseRequest,
)
from meshpacs.model.errors import PeerFault
from meshpacs.model.limits import ASSOCIATE_BYTES, PDU_BYTES

HEAD_BYTES = 6
"""Type, reserved byte and length of every PDU."""

SMALL_BYTES = 4
"""The body of A-ASSOCIATE-RJ, A-RELEASE-RQ and -RP, and A-ABORT."""

TLS_RECORDS = (0x15, 0x16)
"""How TLS begins, an alert or a handshake (RFC 8446 5.1); no types of PDUs."""

BODY_LIMITS = {
    Kind.ASSOCIATE_RQ: ASSOCIATE_BYTES,
    Kind.ASSOCIATE_AC: ASSOCIATE_BYTES,
    Kind.ASSOCIATE_RJ: SMALL_BYTES,
    Kind.RELEASE_RQ: SMALL_BYTES,
    Kind.RELEASE_RP: SMALL_BYTES,
    Kind.ABORT: SMALL_BYTES,
}


class PduReader:
    """Takes bytes as they come and tells what they are."""

    def __init__(self, most: int = PDU_BYTES) -> None:
        """`most`: the maximum length that was offered to the peer for a P-DATA-TF."""
        self._most = most
        self._held = bytearray()
        """The head or the small PDU that is not whole yet."""
        self._kind: Kind | None = None
        """Of the PDU whose body is being read; None between PDUs."""
        self._left = 0
        """Bytes of that PDU which have not come."""
        self._piece = 0
        """Of these, bytes of the PDV whose head was read."""
        self._context = 0
        self._control = 0
        self._fault: PeerFault | None = None

    def feed(self, data: memoryview) -> Iterator[Pdu | DataFragment]:
        """What has come with these bytes. Exhaust it before feeding again: it reads as it goes.

        Raises (while iterated):
            PeerFault: the stream breaks PS3.8; what was told before holds.
        """
        if self._fault is not None:
            raise self._fault
        try:
            yield from self._read(data)
        except PeerFault as fault:
            self._fault = fault
            raise

    def _read(self, data: memoryview) -> Iterator[Pdu | DataFragment]:
        while True:
            if self._kind is None:
                head, data = self._whole(data, HEAD_BYTES)
                if head is None:
                    return
                self._begin(head)
            elif self._kind is not Kind.DATA:
                body, data = self._whole(data, self._left)
                if body is None:
                    return
                kind, self._kind, self._left = self._kind, None, 0
                yield _small(kind, body)
            elif self._piece:
                if not data:
                    return
                piece, data = data[: self._piece], data[self._piece :]
                self._left -= len(piece)
                self._piece -= len(piece)
                yield self._fragment(piece)
            elif self._left:
                if self._left < PDV_HEAD_BYTES:
                    raise MalformedPdu("A P-DATA-TF has bytes behind its last PDV.")
                head, data = self._whole(data, PDV_HEAD_BYTES)
                if head is None:
                    return
                if self._begin_item(head):
                    yield self._fragment(data[:0])
            else:
                self._kind = None

    def _whole(self, data: memoryview, size: int) -> tuple[memoryview | None, memoryview]:
        """`size` bytes in one piece, or None until they have come; and what lies behind them."""
        if not self._held and len(data) >= size:
            return data[:size], data[size:]
        lacking = size - len(self._held)
        self._held += data[:lacking]
        if len(self._held) < size:
            return None, data[:0]
        whole, self._held = memoryview(self._held), bytearray()
        return whole, data[lacking:]

    def _begin(self, head: memoryview) -> None:
        number, length = struct.unpack(">BxL", head)
        try:
            kind = Kind(number)
        except ValueError:
            if number in TLS_RECORDS:
                raise TlsSpoken(
                    "It speaks TLS to a port for DICOM without TLS.",
                    "Give it the port for TLS, or switch TLS off there.",
                ) from None
            raise UnknownPdu(
                f"A PDU of type {number:02X}H is none of DICOM's.",
                "Look whether that system is set to speak DICOM, without TLS, to this port.",
            ) from None
        if kind is Kind.DATA:
            if length > self._most:
                raise PduTooLarge(
                    f"A P-DATA-TF of {length} bytes is longer than the {self._most} offered."
                )
            if length < PDV_HEAD_BYTES:
                raise MalformedPdu(f"A P-DATA-TF of {length} bytes holds no PDV.")
        else:
            if length > BODY_LIMITS[kind]:
                raise PduTooLarge(f"A PDU of type {number:02X}H has {length} bytes.")
            if BODY_LIMITS[kind] == SMALL_BYTES and length != SMALL_BYTES:
                raise MalformedPdu(f"A PDU of type {number:02X}H has {length} bytes, not 4.")
        self._kind, self._left = kind, length

    def _begin_item(self, head: memoryview) -> bool:
        """Read a PDV's head; whether the PDV is empty."""
        length, self._context, self._control = struct.unpack(">LBB", head)
        if length < 2 or length + 4 > self._left:
            raise MalformedPdu(f"A PDV says that it has {length} bytes, in {self._left} of a PDU.")
        if self._context % 2 == 0:
            raise MalformedPdu(f"A PDV names the presentation context {self._context}.")
        self._left -= PDV_HEAD_BYTES
        self._piece = length - 2
        return not self._piece

    def _fragment(self, piece: memoryview) -> DataFragment:
        last = bool(self._control & 2) and not self._piece
        return DataFragment(self._context, bool(self._control & 1), last, piece)


def _small(kind: Kind, body: memoryview) -> Pdu:
    match kind:
        case Kind.ASSOCIATE_RQ:
            return read_request(body)
        case Kind.ASSOCIATE_AC:
            return read_accept(body)
        case Kind.ASSOCIATE_RJ:
            return AssociateReject(body[1], body[2], body[3])
        case Kind.RELEASE_RQ:
            return ReleaseRequest()
        case Kind.RELEASE_RP:
            return ReleaseReply()
        case _:
            assert kind is Kind.ABORT, "data is not small"
            return Abort(body[2], body[3])
