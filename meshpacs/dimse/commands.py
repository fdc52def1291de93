"""The command sets of DIMSE (PS3.7 chapters 9 and 10, annex E), as nouns and as bytes.

A command set is a flat list of group 0000 elements in implicit little-endian (PS3.7 6.3.1). One
table a message says which field is which element; elements that a message does not name are
passed over. Mandatory ones that a peer leaves out are a fault, except where peers in the field
are known to and nothing hangs on them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from meshpacs.dimse.faults import MalformedMessage

NO_DATA_SET = 0x0101
"""Command Data Set Type of a message without a data set; any other has one (PS3.7 E.1)."""

DATA_SET = 0x0001

MEDIUM = 0x0000
"""Priority (PS3.7 E.1): LOW is 2, MEDIUM 0, HIGH 1."""

COMMENT_CHARACTERS = 64
"""Error Comment (0000,0902) is an LO."""

Field = int | str | tuple[int, ...]

US, UI, AE, LO, AT = "US", "UI", "AE", "LO", "AT"

ELEMENTS: Mapping[str, tuple[int, str]] = {
    "sop_class": (0x0002, UI),
    "requested_sop_class": (0x0003, UI),
    "message_id": (0x0110, US),
    "responded_id": (0x0120, US),
    "destination": (0x0600, AE),
    "priority": (0x0700, US),
    "status": (0x0900, US),
    "offending": (0x0901, AT),
    "comment": (0x0902, LO),
    "error_id": (0x0903, US),
    "sop_uid": (0x1000, UI),
    "requested_sop_uid": (0x1001, UI),
    "event_type": (0x1002, US),
    "action_type": (0x1008, US),
    "remaining": (0x1020, US),
    "completed": (0x1021, US),
    "failed": (0x1022, US),
    "warning": (0x1023, US),
    "originator": (0x1030, AE),
    "originator_id": (0x1031, US),
}
"""Fields by element of group 0000, with its VR (PS3.7 table E.1-1)."""

COMMAND_FIELD, DATA_SET_TYPE = 0x0100, 0x0800


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all messages have: whether a data set follows."""

    FIELD: ClassVar[int]
    """Command Field (0000,0100)."""
    NEEDS: ClassVar[frozenset[str]] = frozenset()
    """Fields without which a message of this kind means nothing."""
    CARRIES: ClassVar[bool] = False
    """Whether it is nothing without a data set."""

    has_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Command):
    """What all requests have but C-CANCEL."""

    message_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Command):
    """What all responses have."""

    responded_id: int = 0
    status: int = 0
    comment: str = ""
    """Error Comment: never a word of what a data set holds."""
    offending: tuple[int, ...] = ()
    """Offending Element: tags."""


_OPERATION = frozenset({"message_id", "sop_class"})
_ANSWER = frozenset({"responded_id", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoRequest(Request):
    """C-ECHO-RQ (PS3.7 9.3.5.1)."""

    FIELD = 0x0030
    NEEDS = _OPERATION
    sop_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoResponse(Response):
    """C-ECHO-RSP (PS3.7 9.3.5.2)."""

    FIELD = 0x8030
    NEEDS = _ANSWER
    sop_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest(Request):
    """C-STORE-RQ (PS3.7 9.3.1.1)."""

    FIELD = 0x0001
    NEEDS = _OPERATION | {"sop_uid"}
    CARRIES = True
    sop_class: str = ""
    sop_uid: str = ""
    priority: int = MEDIUM
    originator: str = ""
    """Move Originator AE Title, in a sub-operation of a C-MOVE."""
    originator_id: int = 0
    """Message ID of that C-MOVE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResponse(Response):
    """C-STORE-RSP (PS3.7 9.3.1.2)."""

    FIELD = 0x8001
    NEEDS = _ANSWER
    sop_class: str = ""
    sop_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRequest(Request):
    """C-FIND-RQ (PS3.7 9.3.2.1)."""

    FIELD = 0x0020
    NEEDS = _OPERATION
    CARRIES = True
    sop_class: str = ""
    priority: int = MEDIUM


@dataclass(frozen=True, slots=True, kw_only=True)
class FindResponse(Response):
    """C-FIND-RSP (PS3.7 9.3.2.2)."""

    FIELD = 0x8020
    NEEDS = _ANSWER
    sop_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRequest(Request):
    """C-GET-RQ (PS3.7 9.3.3.1)."""

    FIELD = 0x0010
    NEEDS = _OPERATION
    CARRIES = True
    sop_class: str = ""
    priority: int = MEDIUM


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest(Request):
    """C-MOVE-RQ (PS3.7 9.3.4.1)."""

    FIELD = 0x0021
    NEEDS = _OPERATION | {"destination"}
    CARRIES = True
    sop_class: str = ""
    priority: int = MEDIUM
    destination: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Response):
    """What both retrievals answer with (PS3.7 tables 9.1-3 and 9.1-4)."""

    sop_class: str = ""
    remaining: int | None = None
    """Only while pending, and when cancelled (PS3.7 9.1.4.1.7)."""
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetResponse(Counted):
    """C-GET-RSP (PS3.7 9.3.3.2)."""

    FIELD = 0x8010
    NEEDS = _ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveResponse(Counted):
    """C-MOVE-RSP (PS3.7 9.3.4.2)."""

    FIELD = 0x8021
    NEEDS = _ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest(Command):
    """C-CANCEL-RQ (PS3.7 9.3.2.3): ends the operation of that message."""

    FIELD = 0x0FFF
    NEEDS = frozenset({"responded_id"})
    responded_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest(Request):
    """N-ACTION-RQ (PS3.7 10.3.4.1)."""

    FIELD = 0x0130
    NEEDS = frozenset({"message_id", "requested_sop_class", "requested_sop_uid", "action_type"})
    requested_sop_class: str = ""
    requested_sop_uid: str = ""
    action_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResponse(Response):
    """N-ACTION-RSP (PS3.7 10.3.4.2)."""

    FIELD = 0x8130
    NEEDS = _ANSWER
    sop_class: str = ""
    sop_uid: str = ""
    action_type: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReportRequest(Request):
    """N-EVENT-REPORT-RQ (PS3.7 10.3.1.1)."""

    FIELD = 0x0100
    NEEDS = frozenset({"message_id", "sop_class", "sop_uid", "event_type"})
    sop_class: str = ""
    sop_uid: str = ""
    event_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReportResponse(Response):
    """N-EVENT-REPORT-RSP (PS3.7 10.3.1.2)."""

    FIELD = 0x8100
    NEEDS = _ANSWER
    sop_class: str = ""
    sop_uid: str = ""
    event_type: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRequest(Request):
    """A request of a kind that is not served here; answered with 0211."""

    FIELD = -1
    NEEDS = frozenset({"message_id"})
    field: int = 0
    sop_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownResponse(Response):
    """The answer to it."""

    FIELD = -1
    NEEDS = _ANSWER
    field: int = 0


COMMANDS: Mapping[int, type[Command]] = {
    kind.FIELD: kind
    for kind in (
        EchoRequest, EchoResponse, StoreRequest, StoreResponse, FindRequest, FindResponse,
        GetRequest, GetResponse, MoveRequest, MoveResponse, CancelRequest, ActionRequest,
        ActionResponse, EventReportRequest, EventReportResponse,
    )
}  # fmt: skip

_FIELDS: Mapping[type[Command], tuple[tuple[int, str, str], ...]] = {
    kind: tuple(sorted((*ELEMENTS[f.name], f.name) for f in fields(kind) if f.name in ELEMENTS))
    for kind in (*COMMANDS.values(), UnknownRequest, UnknownResponse)
}
"""Element, VR and name of each kind's fields, in the order in which they go out."""


# ---------------------------------------------------------------- to bytes


def encode(command: Command) -> bytes:
    """A command set's bytes, Command Group Length first."""
    field = command.FIELD
    if isinstance(command, UnknownRequest | UnknownResponse):
        field = command.field
    parts = {COMMAND_FIELD: struct.pack("<H", field)}
    parts[DATA_SET_TYPE] = struct.pack("<H", DATA_SET if command.has_data else NO_DATA_SET)
    for element, vr, name in _FIELDS[type(command)]:
        value = getattr(command, name)
        if value is None or (value in {"", ()} and name not in command.NEEDS):
            continue
        if name == "originator_id" and not getattr(command, "originator", ""):
            continue
        parts[element] = _value(vr, value)
    body = b"".join(
        struct.pack("<HHL", 0, element, len(value)) + value
        for element, value in sorted(parts.items())
    )
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _value(vr: str, value: Field) -> bytes:
    if isinstance(value, int):
        return struct.pack("<H", value)
    if isinstance(value, tuple):
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
    raw = value.encode("ascii", "replace")
    if vr == LO:
        raw = raw[:COMMENT_CHARACTERS]
    return raw + (b"\0" if vr == UI else b" ") * (len(raw) % 2)


# ---------------------------------------------------------------- from bytes


def decode(data: bytes | bytearray | memoryview) -> Command:
    """The message that these bytes are.

    Raises:
        MalformedMessage: the error names the element; the association is to be aborted.
    """
    found = _elements(memoryview(data))
    field = _number(found, COMMAND_FIELD, "Command Field")
    has_data = _number(found, DATA_SET_TYPE, "Command Data Set Type") != NO_DATA_SET
    kind = COMMANDS.get(field)
    if kind is not None:
        if kind.CARRIES and not has_data:
            raise MalformedMessage(f"A {kind.__name__} says that no data set follows it.")
        return kind(has_data=has_data, **_read(kind, found))
    if field & 0x8000:
        raise MalformedMessage(f"A response of the kind {field:04X} was never asked for.")
    return UnknownRequest(has_data=has_data, field=field, **_read(UnknownRequest, found))


def _elements(data: memoryview) -> dict[int, memoryview]:
    found: dict[int, memoryview] = {}
    while data:
        if len(data) < 8:
            raise MalformedMessage("A command set ends within an element's head.")
        group, element, length = struct.unpack_from("<HHL", data)
        if group != 0 and not found:
            raise MalformedMessage(f"A command set has an element ({group:04X},{element:04X}).")
        if len(data) < 8 + length:
            what = f"({group:04X},{element:04X})"
            raise MalformedMessage(f"The element {what} is longer than its set.")
        if group == 0:
            found[element] = data[8 : 8 + length]
        # Others behind them are passed over: Orthanc 1.10 puts the Failed SOP Instance UID List
        # of a C-GET there, and not into the data set (seen).
        data = data[8 + length :]
    return found


def _number(found: Mapping[int, memoryview], element: int, what: str) -> int:
    raw = found.get(element)
    if raw is None or len(raw) != 2:
        raise MalformedMessage(f"A command set has no usable {what} (0000,{element:04X}).")
    return int.from_bytes(raw, "little")


def _read(kind: type[Command], found: Mapping[int, memoryview]) -> dict[str, Any]:
    values: dict[str, Field] = {}
    for element, vr, name in _FIELDS[kind]:
        raw = found.get(element)
        if raw is None or not raw:
            if name in kind.NEEDS:
                raise MalformedMessage(f"A {kind.__name__} lacks (0000,{element:04X}).")
        elif vr == US:
            values[name] = _number(found, element, name)
        elif vr == AT:
            values[name] = tuple(
                group << 16 | number
                for group, number in struct.iter_unpack("<HH", raw[: len(raw) // 4 * 4])
            )
        else:
            values[name] = _text(vr, bytes(raw), element)
    return values


def _text(vr: str, raw: bytes, element: int) -> str:
    text = raw.decode("ascii", "replace").strip(" \0")
    # What is shown, filed by or sent back is plain text; a comment may be anything.
    if vr != LO and (not raw.isascii() or not text.isprintable() or len(text) > 64):
        raise MalformedMessage(f"The element (0000,{element:04X}) is no {vr}.")
    return text
