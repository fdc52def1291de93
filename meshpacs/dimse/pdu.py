"""The seven PDUs of the DICOM upper layer as nouns, and as bytes to send (PS3.8 9.3, PS3.7 D).

`items` reads what `encode` writes; `reader` finds PDUs in a stream. P-DATA-TF is no noun here: a
data set is never whole in memory, so its PDVs come as `DataFragment`s, and go out behind
`data_head`.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The DICOM application context name (PS3.7 A.2.1)."""

PROTOCOL_VERSION = 1
"""Bit 0 is the only version there is (PS3.8 9.3.2)."""

TITLE_CHARACTERS = 16
"""An AE title's bytes in the two associate PDUs (PS3.8 9.3.2)."""

PDV_HEAD_BYTES = 6
"""Item length, context id and message control header (PS3.8 9.3.5.1 and E.2)."""


class Kind(IntEnum):
    """PDU types (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Item(IntEnum):
    """Item types inside A-ASSOCIATE (PS3.8 9.3.2, D.1; PS3.7 D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    CONTEXT_RQ = 0x20
    CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS = 0x52
    ASYNC_OPERATIONS = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION = 0x55
    EXTENDED = 0x56
    COMMON_EXTENDED = 0x57
    IDENTITY_RQ = 0x58
    IDENTITY_AC = 0x59


class Result(IntEnum):
    """What became of one proposed context (PS3.8 table 9-18)."""

    ACCEPTED = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context as a requestor offers it."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """One presentation context as an acceptor answers it."""

    id: int
    result: int
    """A `Result`, or whatever a peer sends for one."""
    transfer_syntax: str
    """Not significant unless accepted (PS3.8 9.3.3.2)."""


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection for one SOP class (PS3.7 D.3.3.4)."""

    sop_class: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class Extended:
    """SOP class extended negotiation; its bytes are the service's matter (PS3.7 D.3.3.5)."""

    sop_class: str
    information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtended:
    """SOP class common extended negotiation (PS3.7 D.3.3.6); it is never answered."""

    sop_class: str
    service_class: str
    related: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A requestor's user identity (PS3.7 D.3.3.7.1). Its text is no log's business: no `repr`."""

    kind: int
    """1 user name, 2 with passcode, 3 Kerberos, 4 SAML, 5 JSON web token."""
    answer_wanted: bool
    primary: bytes
    secondary: bytes = b""


@dataclass(frozen=True, slots=True)
class User:
    """The user information item (PS3.8 9.3.2.3, PS3.7 D.3.3)."""

    max_length: int
    """Bytes of a P-DATA-TF that its sender will take, after the PDU's head; 0 is no limit."""
    implementation_class: str
    implementation_version: str = ""
    async_operations: tuple[int, int] | None = None
    """Operations invoked and performed at once; None: one each, and not to be answered."""
    roles: tuple[Role, ...] = ()
    extended: tuple[Extended, ...] = ()
    common_extended: tuple[CommonExtended, ...] = ()
    identity: Identity | None = None
    """In a request."""
    identity_answer: bytes | None = None
    """In an acceptance, where the requestor wanted one."""


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    called: str
    calling: str
    contexts: tuple[ProposedContext, ...]
    user: User
    application_context: str = APPLICATION_CONTEXT
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 9.3.3). The titles are sent back and mean nothing."""

    called: str
    calling: str
    contexts: tuple[AnsweredContext, ...]
    user: User
    application_context: str = APPLICATION_CONTEXT
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    """1 permanent, 2 transient."""
    source: int
    """1 the user, 2 the provider's ACSE, 3 the provider's presentation."""
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ (PS3.8 9.3.6)."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE-RP (PS3.8 9.3.7)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 9.3.8)."""

    source: int
    """0 the user, 2 the provider."""
    reason: int = 0
    """Of the provider, table 9-26: 0 none, 1 unrecognized PDU, 2 unexpected PDU, 4 unrecognized
    parameter, 5 unexpected parameter, 6 invalid parameter value."""


Pdu = (
    AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseReply | Abort
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DataFragment:
    """A piece of one message, as it came: part of one PDV, or all of it (PS3.8 9.3.5, E.2)."""

    context: int
    command: bool
    """Whether it belongs to the command set, not to the data set."""
    last: bool
    """Whether nothing more of the command set or data set follows."""
    data: memoryview
    """Valid until the reader is fed again."""


# ---------------------------------------------------------------- the standard's reject reasons

NO_REASON_GIVEN = AssociateReject(1, 1, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED = AssociateReject(1, 1, 2)
CALLING_TITLE_NOT_RECOGNIZED = AssociateReject(1, 1, 3)
CALLED_TITLE_NOT_RECOGNIZED = AssociateReject(1, 1, 7)
PROTOCOL_VERSION_NOT_SUPPORTED = AssociateReject(1, 2, 2)
LOCAL_LIMIT_EXCEEDED = AssociateReject(2, 3, 2)
"""PS3.8 table 9-21."""

REJECT_WORDS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given by the provider",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
"""By source and reason, in the standard's words (PS3.8 table 9-21)."""


def reject_words(reject: AssociateReject) -> str:
    """A rejection in the standard's words."""
    lasting = "permanent" if reject.result == 1 else "transient"
    known = REJECT_WORDS.get((reject.source, reject.reason))
    return f"{lasting}: {known or f'source {reject.source}, reason {reject.reason}'}"


# ---------------------------------------------------------------- to bytes


def encode(pdu: Pdu) -> bytes:
    """A PDU's bytes."""
    match pdu:
        case AssociateRequest():
            contexts = b"".join(map(_proposed, pdu.contexts))
            return _associate(Kind.ASSOCIATE_RQ, pdu, contexts)
        case AssociateAccept():
            contexts = b"".join(map(_answered, pdu.contexts))
            return _associate(Kind.ASSOCIATE_AC, pdu, contexts)
        case AssociateReject():
            body = struct.pack("BBBB", 0, pdu.result, pdu.source, pdu.reason)
            return _pdu(Kind.ASSOCIATE_RJ, body)
        case ReleaseRequest():
            return _pdu(Kind.RELEASE_RQ, bytes(4))
        case ReleaseReply():
            return _pdu(Kind.RELEASE_RP, bytes(4))
        case Abort():
            return _pdu(Kind.ABORT, struct.pack("BBBB", 0, 0, pdu.source, pdu.reason))
        case _:
            assert_never(pdu)


def data_head(context: int, *, command: bool, last: bool, size: int) -> bytes:
    """What stands before `size` bytes of a message that go out as one PDV in one P-DATA-TF."""
    control = command | last << 1
    return struct.pack(
        ">BBLLBB", Kind.DATA, 0, size + PDV_HEAD_BYTES, size + 2, context, control
    )  # fmt: skip


def data_room(max_length: int, most: int) -> int:
    """Bytes of a message that fit into one P-DATA-TF for a peer of this maximum, at most `most`.

    Even, also where the maximum is not: so are fragments (PS3.8 E.2).
    """
    room = (min(max_length, most) if max_length else most) - PDV_HEAD_BYTES
    return room & ~1


def _pdu(kind: Kind, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def _associate(kind: Kind, pdu: AssociateRequest | AssociateAccept, contexts: bytes) -> bytes:
    fixed = struct.pack(
        ">HH16s16s32x", pdu.version, 0, _title(pdu.called), _title(pdu.calling)
    )  # fmt: skip
    name = _item(Item.APPLICATION_CONTEXT, pdu.application_context.encode("ascii"))
    return _pdu(kind, fixed + name + contexts + _item(Item.USER_INFORMATION, _user(pdu.user)))


def _title(title: str) -> bytes:
    return title.encode("ascii").ljust(TITLE_CHARACTERS)


def _item(kind: Item, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _uid_item(kind: Item, uid: str) -> bytes:
    return _item(kind, uid.encode("ascii"))


def _proposed(context: ProposedContext) -> bytes:
    body = bytes((context.id, 0, 0, 0)) + _uid_item(Item.ABSTRACT_SYNTAX, context.abstract_syntax)
    for syntax in context.transfer_syntaxes:
        body += _uid_item(Item.TRANSFER_SYNTAX, syntax)
    return _item(Item.CONTEXT_RQ, body)


def _answered(context: AnsweredContext) -> bytes:
    syntax = _uid_item(Item.TRANSFER_SYNTAX, context.transfer_syntax)
    return _item(Item.CONTEXT_AC, bytes((context.id, 0, context.result, 0)) + syntax)


def _user(user: User) -> bytes:
    parts = [
        _item(Item.MAXIMUM_LENGTH, struct.pack(">L", user.max_length)),
        _uid_item(Item.IMPLEMENTATION_CLASS, user.implementation_class),
    ]
    if user.async_operations is not None:
        parts.append(_item(Item.ASYNC_OPERATIONS, struct.pack(">HH", *user.async_operations)))
    parts.extend(
        _item(Item.ROLE_SELECTION, _counted(role.sop_class) + bytes((role.scu, role.scp)))
        for role in user.roles
    )
    if user.implementation_version:
        parts.append(_uid_item(Item.IMPLEMENTATION_VERSION, user.implementation_version))
    parts.extend(
        _item(Item.EXTENDED, _counted(one.sop_class) + one.information) for one in user.extended
    )
    for common in user.common_extended:
        related = b"".join(map(_counted, common.related))
        body = _counted(common.sop_class) + _counted(common.service_class)
        parts.append(
            _item(Item.COMMON_EXTENDED, body + struct.pack(">H", len(related)) + related)
        )  # fmt: skip
    if user.identity is not None:
        asked = user.identity
        parts.append(
            _item(
                Item.IDENTITY_RQ,
                bytes((asked.kind, asked.answer_wanted))
                + _sized(asked.primary)
                + _sized(asked.secondary),
            )
        )
    if user.identity_answer is not None:
        parts.append(_item(Item.IDENTITY_AC, _sized(user.identity_answer)))
    return b"".join(parts)


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _counted(uid: str) -> bytes:
    return _sized(uid.encode("ascii"))
