"""The bodies of associate PDUs, read: every length checked against what holds it (PS3.8 9.3).

Items that the standard does not name are passed over, as PS3.8 9.3.1 asks; so are their reserved
bytes. What is read twice where it may stand once counts as broken.
"""

import struct
from collections.abc import Iterator, Sized
from typing import TypeVar

from meshpacs.dimse.faults import MalformedPdu
from meshpacs.dimse.pdu import (
    APPLICATION_CONTEXT,
    TITLE_CHARACTERS,
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    CommonExtended,
    Extended,
    Identity,
    Item,
    ProposedContext,
    Role,
    User,
)
from meshpacs.model.limits import NEGOTIATIONS, PRESENTATION_CONTEXTS, TRANSFER_SYNTAXES

FIXED_BYTES = 68
"""Version, reserved, two titles, reserved (PS3.8 9.3.2)."""

UID_BYTES = 64
"""PS3.5 9.1."""

T = TypeVar("T")


def read_request(body: memoryview) -> AssociateRequest:
    """An A-ASSOCIATE-RQ.

    Raises:
        MalformedPdu: the error names the item.
    """
    version, called, calling, items = _fixed(body)
    application: str | None = None
    user: User | None = None
    contexts: list[ProposedContext] = []
    for kind, item in _items(items, "A-ASSOCIATE-RQ"):
        if kind == Item.APPLICATION_CONTEXT:
            application = _once(application, _uid(item, "application context"), "application")
        elif kind == Item.CONTEXT_RQ:
            _few(contexts, PRESENTATION_CONTEXTS, "presentation contexts")
            contexts.append(_proposed(item))
        elif kind == Item.USER_INFORMATION:
            user = _once(user, _user(item), "user information")
    if not contexts or len({context.id for context in contexts}) != len(contexts):
        raise MalformedPdu("An A-ASSOCIATE-RQ has no presentation contexts, or two of one id.")
    return AssociateRequest(
        called, calling, tuple(contexts), _there(user), application or "", version
    )  # fmt: skip


def read_accept(body: memoryview) -> AssociateAccept:
    """An A-ASSOCIATE-AC.

    Raises:
        MalformedPdu: the error names the item.
    """
    version, called, calling, items = _fixed(body)
    application: str | None = None
    user: User | None = None
    contexts: list[AnsweredContext] = []
    for kind, item in _items(items, "A-ASSOCIATE-AC"):
        if kind == Item.APPLICATION_CONTEXT:
            application = _once(application, _uid(item, "application context"), "application")
        elif kind == Item.CONTEXT_AC:
            _few(contexts, PRESENTATION_CONTEXTS, "presentation contexts")
            contexts.append(_answered(item))
        elif kind == Item.USER_INFORMATION:
            user = _once(user, _user(item), "user information")
    return AssociateAccept(
        called, calling, tuple(contexts), _there(user), application or APPLICATION_CONTEXT, version
    )


def _fixed(body: memoryview) -> tuple[int, str, str, memoryview]:
    if len(body) < FIXED_BYTES:
        raise MalformedPdu("An associate PDU ends within its fixed part.")
    (version,) = struct.unpack_from(">H", body)
    called = _title(body[4 : 4 + TITLE_CHARACTERS])
    calling = _title(body[20 : 20 + TITLE_CHARACTERS])
    return version, called, calling, body[FIXED_BYTES:]


def _title(raw: memoryview) -> str:
    """An AE title without its padding, which should be spaces (PS3.8 9.3.2).

    C programs end it with a null and leave behind that what their memory held. What is no title
    is none that anybody is called by, and so for the acceptor to reject; it breaks no PDU.
    """
    text = bytes(raw).partition(b"\0")[0].decode("latin_1")
    return "".join(c if c.isascii() and c.isprintable() else "\ufffd" for c in text).strip(" ")


def _text(raw: memoryview, what: str) -> str:
    data = bytes(raw)
    text = data.decode("latin_1")
    if not data.isascii() or not text.strip("\0").isprintable():
        raise MalformedPdu(f"The {what} of an associate PDU is no ASCII text.")
    return text


def _uid(raw: memoryview, what: str) -> str:
    # Padded with a null here by some, although PS3.8 annex F forbids it.
    text = _text(raw, what).strip(" \0")
    if not text or len(text) > UID_BYTES:
        raise MalformedPdu(f"The {what} of an associate PDU is no UID.")
    return text


def _items(body: memoryview, where: str) -> Iterator[tuple[int, memoryview]]:
    while body:
        if len(body) < 4:
            raise MalformedPdu(f"An item's head in {where} is cut off.")
        kind, length = struct.unpack_from(">BxH", body)
        if len(body) < 4 + length:
            raise MalformedPdu(f"The item {kind:02X}H in {where} is longer than what holds it.")
        yield kind, body[4 : 4 + length]
        body = body[4 + length :]


def _once(before: T | None, found: T, what: str) -> T:
    if before is not None:
        raise MalformedPdu(f"An associate PDU has its {what} item twice.")
    return found


def _there(user: User | None) -> User:
    if user is None:
        raise MalformedPdu("An associate PDU has no user information.")
    return user


def _few(found: Sized, most: int, what: str) -> None:
    if len(found) >= most:
        raise MalformedPdu(f"An associate PDU has more than {most} {what}.")


def _proposed(item: memoryview) -> ProposedContext:
    number = _context_id(item)
    abstract: str | None = None
    transfer: list[str] = []
    for kind, inner in _items(item[4:], "a presentation context"):
        if kind == Item.ABSTRACT_SYNTAX:
            abstract = _once(abstract, _uid(inner, "abstract syntax"), "abstract syntax")
        elif kind == Item.TRANSFER_SYNTAX:
            _few(transfer, TRANSFER_SYNTAXES, "transfer syntaxes in one context")
            transfer.append(_uid(inner, "transfer syntax"))
    if abstract is None or not transfer:
        raise MalformedPdu(f"The presentation context {number} lacks a syntax.")
    return ProposedContext(number, abstract, tuple(transfer))


def _answered(item: memoryview) -> AnsweredContext:
    number = _context_id(item)
    result = item[2]
    syntax = ""
    for kind, inner in _items(item[4:], "a presentation context"):
        # Of a context that was not accepted the syntax is not significant, and often empty.
        if kind == Item.TRANSFER_SYNTAX and result == 0:
            syntax = _uid(inner, "transfer syntax")
    if result == 0 and not syntax:
        raise MalformedPdu(f"The accepted presentation context {number} has no transfer syntax.")
    return AnsweredContext(number, result, syntax)


def _context_id(item: memoryview) -> int:
    if len(item) < 4:
        raise MalformedPdu("A presentation context item ends within its fixed part.")
    if item[0] % 2 == 0:
        raise MalformedPdu(f"The presentation context id {item[0]} is even.")
    return item[0]


def _user(body: memoryview) -> User:
    most: int | None = None
    implementation, version = "", ""
    window: tuple[int, int] | None = None
    roles: list[Role] = []
    extended: list[Extended] = []
    common: list[CommonExtended] = []
    identity: Identity | None = None
    answer: bytes | None = None
    for kind, item in _items(body, "the user information"):
        if kind == Item.MAXIMUM_LENGTH:
            (length,) = _unpack(">L", item, "maximum length")
            most = _once(most, length, "maximum length")
        elif kind == Item.IMPLEMENTATION_CLASS:
            implementation = _uid(item, "implementation class UID")
        elif kind == Item.IMPLEMENTATION_VERSION:
            version = _text(item[:TITLE_CHARACTERS], "implementation version").strip(" \0")
        elif kind == Item.ASYNC_OPERATIONS:
            invoked, performed = _unpack(">HH", item, "asynchronous operations window")
            window = _once(window, (invoked, performed), "asynchronous operations window")
        elif kind == Item.ROLE_SELECTION:
            _few(roles, NEGOTIATIONS, "role selections")
            roles.append(_role(item))
        elif kind == Item.EXTENDED:
            _few(extended, NEGOTIATIONS, "extended negotiations")
            sop_class, rest = _counted(item, "extended negotiation")
            extended.append(Extended(_uid(sop_class, "SOP class"), bytes(rest)))
        elif kind == Item.COMMON_EXTENDED:
            _few(common, NEGOTIATIONS, "common extended negotiations")
            common.append(_common(item))
        elif kind == Item.IDENTITY_RQ:
            identity = _once(identity, _identity(item), "user identity")
        elif kind == Item.IDENTITY_AC:
            answer = bytes(_counted(item, "user identity")[0])
    return User(
        # Absent means no limit (PS3.8 D.1), though the item is mandatory.
        max_length=most or 0,
        implementation_class=implementation,
        implementation_version=version,
        async_operations=window,
        roles=tuple(roles),
        extended=tuple(extended),
        common_extended=tuple(common),
        identity=identity,
        identity_answer=answer,
    )


def _unpack(form: str, item: memoryview, what: str) -> tuple[int, ...]:
    if len(item) != struct.calcsize(form):
        raise MalformedPdu(f"The {what} item of an associate PDU has {len(item)} bytes.")
    return struct.unpack(form, item)


def _counted(item: memoryview, what: str) -> tuple[memoryview, memoryview]:
    """A text behind its length, and what follows it."""
    if len(item) < 2:
        raise MalformedPdu(f"The {what} item of an associate PDU is cut off.")
    end = 2 + int.from_bytes(item[:2], "big")
    if len(item) < end:
        raise MalformedPdu(f"The {what} item of an associate PDU is cut off.")
    return item[2:end], item[end:]


def _role(item: memoryview) -> Role:
    sop_class, rest = _counted(item, "role selection")
    scu, scp = _unpack(">BB", rest, "role selection")
    return Role(_uid(sop_class, "SOP class"), scu == 1, scp == 1)


def _common(item: memoryview) -> CommonExtended:
    what = "common extended negotiation"
    sop_class, rest = _counted(item, what)
    service_class, rest = _counted(rest, what)
    listed, _ = _counted(rest, what)
    related: list[str] = []
    while listed:
        _few(related, NEGOTIATIONS, "related SOP classes")
        one, listed = _counted(listed, what)
        related.append(_uid(one, "related SOP class"))
    return CommonExtended(
        _uid(sop_class, "SOP class"), _uid(service_class, "service class"), tuple(related)
    )


def _identity(item: memoryview) -> Identity:
    if len(item) < 2:
        raise MalformedPdu("The user identity item of an associate PDU is cut off.")
    primary, rest = _counted(item[2:], "user identity")
    secondary, _ = _counted(rest, "user identity")
    return Identity(item[0], item[1] == 1, bytes(primary), bytes(secondary))
