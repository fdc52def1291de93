"""Storage commitment's data sets and its own rules (PS3.4 J.3, the Push Model).

The requestor sends N-ACTION with a Transaction UID and the instances; when it is known what becomes
of them, it is sent N-EVENT-REPORT with the same Transaction UID, and each instance in one of two
sequences. What is said of media that instances were stored on (PS3.4 J.4) is passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from meshpacs.dimse.commands import ActionRequest, EventReportRequest
from meshpacs.dimse.elements import Bounds, read_data_set, write_data_set
from meshpacs.dimse.faults import MalformedIdentifier
from meshpacs.dimse.identifiers import RETRIEVE_AE_TITLE
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.dimse.statuses import (
    NO_SUCH_ACTION,
    NO_SUCH_ARGUMENT,
    NO_SUCH_CLASS,
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_INSTANCE,
)
from meshpacs.model.attributes import Record, Value
from meshpacs.model.commitment import Reference
from meshpacs.model.limits import COMMITMENT_BYTES, COMMITMENT_INSTANCES

PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The one instance that its SOP class has (PS3.4 J.3.5)."""

REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""

ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type IDs (PS3.4 table J.3-2)."""

TRANSACTION_UID = 0x0008_1195
FAILURE_REASON = 0x0008_1197
FAILED_SEQUENCE = 0x0008_1198
REFERENCED_SEQUENCE = 0x0008_1199
REFERENCED_CLASS = 0x0008_1150
REFERENCED_INSTANCE = 0x0008_1155

UID_CHARACTERS = 64
"""PS3.5 6.2."""

BOUNDS = Bounds(
    COMMITMENT_BYTES,
    elements=6 * COMMITMENT_INSTANCES + 64,  # an item, its end and its four attributes
    items=COMMITMENT_INSTANCES,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The action information of a request (PS3.4 table J.3-1)."""

    transaction_uid: str
    references: tuple[Reference, ...]
    """Each once, in the order of the request."""


@dataclass(frozen=True, slots=True)
class Report:
    """The event information of an answer (PS3.4 table J.3-2)."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = field(default=())
    """With the Failure Reason of each."""
    retrieve_title: str = ""
    """Where the committed ones can be had."""

    @property
    def event_type(self) -> int:
        """Event Type ID."""
        return FAILURES_EXIST if self.failed else ALL_COMMITTED


# ---------------------------------------------------------------- the commands


def action_request(message_id: int) -> ActionRequest:
    """The N-ACTION that asks for commitment; `write_asked` gives its data set."""
    return ActionRequest(
        has_data=True,
        message_id=message_id,
        requested_sop_class=STORAGE_COMMITMENT,
        requested_sop_uid=PUSH_MODEL_INSTANCE,
        action_type=REQUEST_COMMITMENT,
    )


def event_request(message_id: int, event_type: int) -> EventReportRequest:
    """The N-EVENT-REPORT that reports it; `write_report` gives its data set."""
    return EventReportRequest(
        has_data=True,
        message_id=message_id,
        sop_class=STORAGE_COMMITMENT,
        sop_uid=PUSH_MODEL_INSTANCE,
        event_type=event_type,
    )


def action_refused(request: ActionRequest, abstract_syntax: str) -> int | None:
    """The status that an N-ACTION on a context of this class is refused with; None: it is right.

    PS3.7 10.1.4.1.10 has the statuses.
    """
    if request.requested_sop_class != abstract_syntax:
        return NO_SUCH_CLASS
    if request.requested_sop_uid != PUSH_MODEL_INSTANCE:
        return NO_SUCH_INSTANCE
    if request.action_type != REQUEST_COMMITMENT:
        return NO_SUCH_ACTION
    return None if request.has_data else NO_SUCH_ARGUMENT


def event_refused(request: EventReportRequest, abstract_syntax: str) -> int | None:
    """The same for an N-EVENT-REPORT (PS3.7 10.1.1.1.8)."""
    if request.sop_class != abstract_syntax:
        return NO_SUCH_CLASS
    if request.sop_uid != PUSH_MODEL_INSTANCE:
        return NO_SUCH_INSTANCE
    if request.event_type not in {ALL_COMMITTED, FAILURES_EXIST}:
        return NO_SUCH_EVENT_TYPE
    return None if request.has_data else NO_SUCH_ARGUMENT


# ---------------------------------------------------------------- their data sets


def read_asked(data: bytes | bytearray, *, explicit: bool) -> Asked:
    """What an N-ACTION asks for.

    Raises:
        OversizedIdentifier: it names more instances than `COMMITMENT_INSTANCES`.
        MalformedIdentifier: it is no action information; the error says what is missing.
    """
    record = read_data_set(data, explicit=explicit, default="latin_1", bounds=BOUNDS).record
    references = dict.fromkeys(ref for ref, _ in _items(record, REFERENCED_SEQUENCE))
    if not references:
        raise MalformedIdentifier("Referenced SOP Sequence (0008,1199) is missing or empty.")
    return Asked(_uid(record, TRANSACTION_UID, "Transaction UID"), tuple(references))


def write_asked(asked: Asked, *, explicit: bool) -> bytes:
    """The data set of an N-ACTION."""
    record: Record = {
        TRANSACTION_UID: (asked.transaction_uid,),
        REFERENCED_SEQUENCE: tuple(_item(reference) for reference in asked.references),
    }
    return write_data_set(record, explicit=explicit)


def read_report(data: bytes | bytearray, *, explicit: bool) -> Report:
    """What an N-EVENT-REPORT says.

    Raises:
        MalformedIdentifier: it is no event information; the error says what is missing.
    """
    record = read_data_set(data, explicit=explicit, default="latin_1", bounds=BOUNDS).record
    return Report(
        _uid(record, TRANSACTION_UID, "Transaction UID"),
        tuple(ref for ref, _ in _items(record, REFERENCED_SEQUENCE)),
        tuple((ref, _reason(item)) for ref, item in _items(record, FAILED_SEQUENCE)),
        _first(record, RETRIEVE_AE_TITLE),
    )


def write_report(report: Report, *, explicit: bool) -> bytes:
    """The data set of an N-EVENT-REPORT; a sequence of which there is nothing is left out."""
    record: Record = {TRANSACTION_UID: (report.transaction_uid,)}
    if report.committed:
        record[RETRIEVE_AE_TITLE] = (report.retrieve_title,)
        record[REFERENCED_SEQUENCE] = tuple(_item(reference) for reference in report.committed)
    if report.failed:
        record[FAILED_SEQUENCE] = tuple(
            _item(reference) | {FAILURE_REASON: (str(reason),)}
            for reference, reason in report.failed
        )
    return write_data_set(record, explicit=explicit)


def _item(reference: Reference) -> Record:
    return {REFERENCED_CLASS: (reference.sop_class,), REFERENCED_INSTANCE: (reference.sop_uid,)}


def _items(record: Record, sequence: int) -> Iterator[tuple[Reference, Record]]:
    value: Value = record.get(sequence, ())
    for item in value:
        assert not isinstance(item, str), "read as a sequence"
        yield (
            Reference(
                _uid(item, REFERENCED_CLASS, "Referenced SOP Class UID"),
                _uid(item, REFERENCED_INSTANCE, "Referenced SOP Instance UID"),
            ),
            item,
        )


def _reason(item: Record) -> int:
    text = _first(item, FAILURE_REASON)
    if not text:
        raise MalformedIdentifier("Failure Reason (0008,1197) is missing.")
    return int(text)


def _uid(record: Record, tag: int, what: str) -> str:
    text = _first(record, tag)
    # With letters too: de-identified archives hold such (see `identifiers`).
    if not (text.isascii() and text.isprintable() and 1 <= len(text) <= UID_CHARACTERS):
        raise MalformedIdentifier(f"{what} ({tag >> 16:04X},{tag & 0xFFFF:04X}) is no UID.")
    return text


def _first(record: Record, tag: int) -> str:
    found = record.get(tag, ())
    return found[0] if found and isinstance(found[0], str) else ""
