"""C-FIND as SCP: one question to the whole mesh, each match once (PS3.4 C.4.1)."""

from dataclasses import replace

import structlog

from meshpacs.dimse.commands import FindRequest, FindResponse
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, Context
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.faults import IdentifierMismatch, MalformedIdentifier
from meshpacs.dimse.identifiers import Asked, read_query, write_row
from meshpacs.dimse.services import QUERY_RETRIEVE
from meshpacs.dimse.statuses import (
    CANCELLED,
    IDENTIFIER_MISMATCH,
    INCOMPLETE,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_IGNORED_KEYS,
    SUCCESS,
    UNABLE_TO_PROCESS,
)
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.channel import message
from meshpacs.gateways.dicom.comments import comment_on
from meshpacs.model.answer import Status
from meshpacs.model.attributes import ISSUER_OF_PATIENT_ID, PATIENT_ID, Level, Record
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import SECOND
from meshpacs.model.matching import universal
from meshpacs.model.merge import Match
from meshpacs.model.query import Query, Rules
from meshpacs.node.views import Found

log = structlog.get_logger()

FIND_WAIT_S = 3
"""Seconds that a C-FIND waits for members that have not answered; then its rows go out, once. A
guess: viewers give up at about 15 s."""

SENT_AT_ONCE_BYTES = 64 * 1024
"""Responses are sent so much at a time: one write each would take longer than finding them."""

ONLINE, NEARLINE = "ONLINE", "NEARLINE"
"""Instance Availability (PS3.3 C.4.23.1.1): here, and at a member that has answered."""


async def find(
    caller: Caller, number: int, request: FindRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-FIND; `data` is None where the identifier was too large to be kept."""
    context = caller.context(number)
    end = FindResponse(
        responded_id=request.message_id, sop_class=context.abstract_syntax, status=SUCCESS
    )
    rows = b""
    try:
        asked = understood(caller, context, data)
        found = await _found(caller, operation, asked)
    except MeshError as fault:
        end = refused(end, fault, caller.title)
    else:
        if found is not None:
            rows = await _send_rows(caller, operation, number, asked, found, end)
            noted = caller.book.entries_of(caller.title, caller.host)
            fails = any(entry.incomplete_fails for entry in noted)
            status, comment = _ending(found, fails=fails)
            end = replace(end, status=status, comment=comment)
        if operation.cancelled:
            end = replace(end, status=CANCELLED, comment="")
    caller.done["found"] += 1
    operation.answered = True
    # In one write: who waits for the end is woken once.
    await caller.channel.send_all([rows + message(number, end, b"", caller.channel.room)])


def refused(end: FindResponse, fault: MeshError, calling: str) -> FindResponse:
    """The only response to a question that is not answered (PS3.4 table C.4-1)."""
    match fault:
        case IdentifierMismatch():
            return replace(
                end, status=IDENTIFIER_MISMATCH, comment=fault.what, offending=fault.offending
            )
        case MalformedIdentifier():
            return replace(end, status=UNABLE_TO_PROCESS, comment=fault.what)
        case _:
            return replace(end, status=OUT_OF_RESOURCES, comment=comment_on(fault, calling))


def understood(caller: Caller, context: Context, data: bytes | None) -> Asked:
    """The question.

    Raises:
        MalformedIdentifier: it is none, or not one of this information model.
    """
    if data is None:
        raise MalformedIdentifier("The identifier is too large.")
    read = read_data_set(
        data, explicit=context.transfer_syntax == EXPLICIT_LITTLE, default=caller.default_codec
    )
    rules = caller.channel.agreement.rules.get(context.abstract_syntax, Rules())
    return read_query(read, QUERY_RETRIEVE[context.abstract_syntax].levels, rules)


async def _found(caller: Caller, operation: Operation, asked: Asked) -> Found | None:
    """Everybody's answer, or None if it was cancelled."""
    with operation.cancellable():
        query, local_only = _issued(asked.query, caller.issuer)
        async with caller.mesh.find(
            query,
            None,
            local_only=local_only,
            budget_us=FIND_WAIT_S * SECOND,
        ) as finding:
            return await finding.result()
    return None


def _issued(query: Query, local: str) -> tuple[Query, bool]:
    """What the mesh is asked, and whether it is this archive alone.

    Asked for patients without an issuer, one number at two clinics would be two people in one
    list, and nothing in a viewer tells them apart. So it is about those of the local issuer,
    wherever they are, or of this archive where no issuer is configured.
    """
    keys = dict(query.keys)
    if query.level is not Level.PATIENT or not universal(keys.get(ISSUER_OF_PATIENT_ID, ())):
        return query, False
    if not local:
        return query, True
    keys[ISSUER_OF_PATIENT_ID] = (local,)
    return replace(query, keys=tuple(sorted(keys.items()))), False


async def _send_rows(
    caller: Caller,
    operation: Operation,
    number: int,
    asked: Asked,
    found: Found,
    end: FindResponse,
) -> bytes:
    """Send the rows but the last ones, which are to be sent with the end."""
    pending = replace(end, has_data=True, status=PENDING_IGNORED_KEYS if asked.ignored else PENDING)
    explicit = caller.context(number).transfer_syntax == EXPLICIT_LITTLE
    room = caller.channel.room
    noted = caller.book.entries_of(caller.title, caller.host)
    elsewhere = ONLINE if any(entry.online for entry in noted) else NEARLINE
    parts: list[bytes] = []
    size = 0
    for match in found.matches:
        if operation.cancelled:
            return b""
        here = caller.mesh.node in match.holders
        row = write_row(
            asked,
            with_issuer(match, found, here=here),
            title=caller.called,
            availability=ONLINE if here else elsewhere,
            explicit=explicit,
        )
        parts.append(message(number, pending, row, room))
        size += len(parts[-1])
        if size >= SENT_AT_ONCE_BYTES:
            await caller.channel.send_all([b"".join(parts)])
            parts.clear()
            size = 0
    return b"".join(parts)


def with_issuer(match: Match, found: Found, *, here: bool) -> Record:
    """A row from elsewhere always says whose PatientID it is: its issuer's, or the holder's."""
    record = match.record
    number = record.get(PATIENT_ID, ())
    if here or universal(number) or not universal(record.get(ISSUER_OF_PATIENT_ID, ())):
        return record
    holder = match.holders[0]
    return record | {ISSUER_OF_PATIENT_ID: (found.names.get(holder, holder.hex()[:8]),)}


def _ending(found: Found, *, fails: bool) -> tuple[int, str]:
    """The last response's status and comment: whether something is missing, and how much.

    A failure would make some viewers drop every row (Orthanc 1.10 does: tried), so an answer that
    lacks members is a success that says so, unless the book has this caller told by a failure
    (`fails`); one that was cut short is a failure by PS3.4.
    """
    if found.truncated:
        return OUT_OF_RESOURCES, "MORE MATCHES THAN CAN BE ANSWERED"
    if found.complete or found.report is None:
        return SUCCESS, ""
    lacking = INCOMPLETE if fails else SUCCESS
    members = found.report.asked
    answered = sum(m.status in (Status.ANSWERED, Status.TRUNCATED) for m in members)
    if answered == len(members):
        return lacking, "COUNTS MAY BE TOO LOW"
    return lacking, f"INCOMPLETE {answered}/{len(members)}"
