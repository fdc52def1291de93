"""Storage commitment as SCU: another archive is asked for it, and tells us (PS3.4 J.3).

It may report on the association that it was asked on, or open one with us: then the report comes in
at the door, where `take_report` serves it.
"""

import ssl
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog
import trio

from meshpacs.dimse.commands import (
    Command,
    EventReportRequest,
    EventReportResponse,
    Response,
)
from meshpacs.dimse.commitment import (
    PUSH_MODEL_INSTANCE,
    Asked,
    Report,
    action_request,
    event_refused,
    read_report,
    write_asked,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Context
from meshpacs.dimse.faults import MalformedIdentifier, MalformedMessage, OversizedIdentifier
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.dimse.statuses import INVALID_ARGUMENT, RESOURCE_LIMITATION, SUCCESS, is_warning
from meshpacs.gateways.dicom.caller import LARGE, Caller
from meshpacs.gateways.dicom.requesting import Requestor, Wish, associated
from meshpacs.model.commitment import Reference
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.model.limits import COMMITMENT_BYTES

log = structlog.get_logger()

PLAIN = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)

ANSWER_S = 60.0
"""Seconds that the archive has to take the request in. A guess."""

STAY_S = 10.0
"""Seconds that the association is kept open for a report on it. A guess: who has to look longer
mostly opens one of its own."""

GOODBYE_S = 5.0
"""Seconds that acknowledging a report may take. A guess."""

REMEMBERED = 1024
"""Requests whose reports are acknowledged though nobody waits for them any more. A guess."""


@dataclass(slots=True)
class Awaited:
    """One request of ours."""

    uid: str
    report: Report | None = None
    came: trio.Event = field(default_factory=trio.Event)


class Requests:
    """What this node has asked others for since its start."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._known: OrderedDict[str, Awaited | None] = OrderedDict()
        """By Transaction UID; None once nobody waits for the report any more."""

    @contextmanager
    def begin(self) -> Iterator[Awaited]:
        """A request with a Transaction UID that nobody else can know (PS3.5 B.2)."""
        awaited = Awaited(f"2.25.{uuid.uuid4().int}")
        self._known[awaited.uid] = awaited
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        try:
            yield awaited
        finally:
            if awaited.uid in self._known:
                self._known[awaited.uid] = None

    def told(self, report: Report, calling: str) -> bool:
        """Somebody reports; whether that was asked for."""
        asked = report.transaction_uid in self._known
        log.info(
            "commitment_told",
            calling=calling,
            transaction=report.transaction_uid,
            committed=len(report.committed),
            failed=len(report.failed),
            asked=asked,
        )
        awaited = self._known.get(report.transaction_uid)
        if awaited is not None and awaited.report is None:
            awaited.report = report
            awaited.came.set()
        return asked


# ---------------------------------------------------------------- asking


async def ask_commitment(
    requests: Requests,
    host: str,
    port: int,
    called: str,
    calling: str,
    references: tuple[Reference, ...],
    *,
    wait_s: float,
    tls: ssl.SSLContext | None = None,
) -> tuple[str, Report | None]:
    """Ask, and wait for the report, wherever it comes; the Transaction UID, and None if none came.

    Raises:
        Unavailable: the archive cannot be reached, or does not take the request.
        PeerFault: it breaks the protocol before it has taken it.
    """
    until_s = trio.current_time() + wait_s
    wish = Wish(called, calling, ((STORAGE_COMMITMENT, PLAIN),))
    with requests.begin() as awaited:
        async with associated(host, port, wish, tls=tls) as requestor:
            contexts = requestor.agreement.of(STORAGE_COMMITMENT)
            if not contexts:
                raise Unavailable(
                    "It has accepted the association, but no storage commitment on it.",
                    "It may have to be switched on there, for us.",
                )
            await _ask(requestor, contexts[0], Asked(awaited.uid, references))
            with trio.move_on_at(min(until_s, trio.current_time() + STAY_S)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_listen, requests, requestor, contexts[0])
                    await awaited.came.wait()
                    nursery.cancel_scope.cancel()
        with trio.move_on_at(until_s):
            await awaited.came.wait()
        return awaited.uid, awaited.report


async def _ask(requestor: Requestor, context: Context, asked: Asked) -> None:
    explicit = context.transfer_syntax == EXPLICIT_LITTLE
    data = await trio.to_thread.run_sync(partial(write_asked, asked, explicit=explicit))
    request = action_request(requestor.next_id())
    answer: Response | None = None
    with trio.move_on_after(ANSWER_S):
        answer = await requestor.ask(context.id, request, data)
    if answer is None:
        raise Unavailable(f"It has not answered the request within {ANSWER_S:.0f} s.")
    if answer.status != SUCCESS and not is_warning(answer.status):
        said = f": {answer.comment}" if answer.comment else ""
        raise Unavailable(f"It refuses the request with the status {answer.status:04X}{said}.")


async def _listen(requests: Requests, requestor: Requestor, context: Context) -> None:
    """Take reports on the association that was asked on, until it ends, which is no fault."""
    try:
        while True:
            _, command, data = await requestor.receive(COMMITMENT_BYTES)
            if not isinstance(command, EventReportRequest):
                raise MalformedMessage("Something else than a report came.")
            answer = _answer(command, *await _reported(requests, context, command, data, ""))
            with trio.move_on_after(GOODBYE_S, shield=True):  # whoever waits for it has heard
                await requestor.channel.send(context.id, answer)
    except MeshError as fault:
        log.info("commitment_line_ended", what=fault.what)


# ---------------------------------------------------------------- being told


async def take_report(
    caller: Caller, number: int, request: EventReportRequest, requests: Requests
) -> None:
    """Serve one N-EVENT-REPORT on an association that somebody has opened with us."""
    context = caller.context(number)
    try:
        data = await caller.identifier(COMMITMENT_BYTES) if request.has_data else b""
        status, comment = await _reported(requests, context, request, data, caller.title)
    except OversizedIdentifier as fault:
        status, comment = RESOURCE_LIMITATION, fault.what
    await caller.respond(number, _answer(request, status, comment))


async def _reported(
    requests: Requests, context: Context, request: EventReportRequest, data: bytes, calling: str
) -> tuple[int, str]:
    """Status and Error Comment (PS3.7 10.1.1.1.8)."""
    refused = event_refused(request, context.abstract_syntax)
    if refused is not None:
        return refused, ""
    explicit = context.transfer_syntax == EXPLICIT_LITTLE
    try:
        read = partial(read_report, data, explicit=explicit)
        report = await trio.to_thread.run_sync(read, limiter=LARGE)
    except MalformedIdentifier as fault:
        return INVALID_ARGUMENT, fault.what
    if not requests.told(report, calling):
        return INVALID_ARGUMENT, "Nobody here has asked for that transaction."
    return SUCCESS, ""


def _answer(request: EventReportRequest, status: int, comment: str) -> Command:
    return EventReportResponse(
        responded_id=request.message_id,
        status=status,
        comment=comment,
        sop_class=STORAGE_COMMITMENT,
        sop_uid=PUSH_MODEL_INSTANCE,
        event_type=request.event_type,
    )
