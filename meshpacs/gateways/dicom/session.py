"""One association that somebody has opened with us: negotiated, served, ended."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog
import trio

from meshpacs.dimse.commands import (
    ActionRequest,
    CancelRequest,
    EchoRequest,
    EchoResponse,
    EventReportRequest,
    EventReportResponse,
    FindRequest,
    GetRequest,
    MoveRequest,
    Request,
    StoreRequest,
    StoreResponse,
    UnknownRequest,
    UnknownResponse,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Offer, negotiate
from meshpacs.dimse.faults import MalformedIdentifier, MalformedMessage
from meshpacs.dimse.messages import Begun
from meshpacs.dimse.pdu import LOCAL_LIMIT_EXCEEDED, AssociateRequest, ReleaseRequest
from meshpacs.dimse.services import Service, service_of, takes_extensions
from meshpacs.dimse.statuses import SUCCESS, UNRECOGNIZED_OPERATION
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.committing import commit
from meshpacs.gateways.dicom.finding import find
from meshpacs.gateways.dicom.reporting import Reporter
from meshpacs.gateways.dicom.requested import Requests, take_report
from meshpacs.gateways.dicom.retrieving import get, move
from meshpacs.gateways.dicom.scheduling import find_steps
from meshpacs.gateways.dicom.sending import best_sent
from meshpacs.gateways.dicom.storing import Storing
from meshpacs.gateways.dicom.titles import Titles
from meshpacs.model.errors import Unavailable
from meshpacs.node.credentials import Credentials
from meshpacs.node.mesh import Mesh
from meshpacs.node.worklist import Worklist

log = structlog.get_logger()

PLAIN = Offer((EXPLICIT_LITTLE, IMPLICIT_LITTLE))
"""For what carries no pixels: explicit first, as it needs no dictionary to be read."""


BOTH_WAYS = Offer((EXPLICIT_LITTLE, IMPLICIT_LITTLE), scu=True)
"""For storage commitment: who asks is the SCU, who reports on an association of its own the SCP."""


@dataclass(frozen=True, slots=True)
class House:
    """What all associations of one door share."""

    mesh: Mesh
    titles: Titles
    default_codec: Callable[[], str]
    """For identifiers that have text and declare no character set."""
    private: Callable[[], tuple[str, ...]]
    """SOP classes that are stored beside those of the standard."""
    worklist: Worklist
    reporter: Reporter
    """Carries requests for storage commitment to their end."""
    requests: Requests
    """What we have asked commitment of, elsewhere."""
    credentials: Callable[[], Credentials | None] = lambda: None
    """What TLS is spoken with, as it is now; None: with nothing."""
    issuer: str = ""
    """Whose the numbers of this clinic's patients are; empty: not configured."""


async def serve_association(
    house: House,
    channel: Channel,
    host: str,
    has_room: Callable[[], bool],
    vouched_for: Callable[[str], bool] = lambda _: True,
) -> None:
    """Serve one connection, from its first PDU to its end.

    `vouched_for` says of a caller over TLS whether its certificate goes with a title.
    """
    await channel.begin()
    request = await channel.receive()
    if not isinstance(request, AssociateRequest):
        why = channel.fault.what if channel.fault else "silent" if channel.silent else "hung up"
        mend = channel.fault.mend if channel.fault else ""
        log.info("dicom_no_association", host=host, why=why, mend=mend)
        await channel.linger()
        return
    reason = house.titles.judge(request, host, vouched_for)
    if reason is None and not has_room():
        reason = LOCAL_LIMIT_EXCEEDED
        log.warning("dicom_too_many_associations", calling=request.calling, host=host)
    if reason is not None:
        await channel.reject(reason)
        await channel.linger()
        return
    services = house.titles.services(request.calling, host)
    private = house.private()
    prefer = house.titles.others.prefers(request.calling, host)
    sends = best_sent(house.mesh.decodable, prefer)

    def offer(abstract_syntax: str) -> Offer | None:
        service = service_of(abstract_syntax, private)
        if service is Service.STORE:
            # Whatever the sender has, as it has it; and to send back by C-GET.
            may_get, may_put = Service.GET in services, Service.STORE in services
            return Offer(None, scu=may_get, scp=may_put, sends=sends)
        if service is Service.COMMIT and service in services:
            return BOTH_WAYS
        return PLAIN if service in services else None

    answer, channel.agreement = negotiate(request, offer, takes_extensions)
    caller = Caller(
        channel,
        house.mesh,
        request.calling,
        request.called,
        host,
        house.titles.others,
        house.default_codec(),
        house.credentials,
        house.issuer,
    )
    await channel.accept(answer)
    await _Session(caller, private, house).run()


class _Session:
    """One accepted association."""

    def __init__(self, caller: Caller, private: tuple[str, ...], house: House) -> None:
        self._worklist = house.worklist
        self._reporter, self._requests = house.reporter, house.requests
        self._caller = caller
        self._private = private
        self._storing = Storing(caller, partial(self._fits, service=Service.STORE))
        self._nursery: trio.Nursery

    async def run(self) -> None:
        caller, channel = self._caller, self._caller.channel
        began_s = trio.current_time()
        how = ""
        try:
            async with trio.open_nursery() as self._nursery:
                while (found := await caller.take()) is not None:
                    # A data set that nobody wants, of a message that needs none, passes.
                    if isinstance(found, Begun):
                        caller.serving = True
                        await self._begin(found)
                        caller.serving = False
                self._nursery.cancel_scope.cancel()
        except* MalformedMessage as group:
            how = str(group.exceptions[0])
            await channel.abort()
        except* Unavailable:
            how = "lost"
            await channel.abort()  # whoever is still there waits for something that never comes
        finally:
            caller.over.set()
            caller.telling.answer_came.set()
        if not how:
            how = "silent" if channel.silent else "aborted"
            if isinstance(caller.ending, ReleaseRequest):
                how = "released"
                await channel.answer_release()
        log.info(
            "dicom_association_ended",
            calling=caller.title,
            host=caller.host,
            how=channel.fault.what if channel.fault else how,
            took_ms=round((trio.current_time() - began_s) * 1000),
            **caller.done,
        )
        await channel.linger()

    async def _begin(self, begun: Begun) -> None:
        """Serve one message, or begin to."""
        caller, number = self._caller, begun.context
        match begun.command:
            case EchoRequest() as echo if self._fits(number, Service.ECHO):
                caller.done["echoed"] += 1
                await caller.respond(
                    number,
                    EchoResponse(
                        responded_id=echo.message_id, sop_class=echo.sop_class, status=SUCCESS
                    ),
                )
            case StoreRequest() as request if self._fits(number, Service.STORE):
                await self._alone()
                await self._storing.serve(number, request)
            case FindRequest() as request if self._fits(number, Service.FIND):
                data = await self._identifier()
                await self._operate(request, partial(find, caller, number, request, data))
            case FindRequest() as request if self._fits(number, Service.WORKLIST):
                data = await self._identifier()
                await self._operate(
                    request, partial(find_steps, caller, self._worklist, number, request, data)
                )
            case GetRequest() as request if self._fits(number, Service.GET):
                data = await self._identifier()
                await self._operate(request, partial(get, caller, number, request, data))
            case MoveRequest() as request if self._fits(number, Service.MOVE):
                data = await self._identifier()
                await self._operate(request, partial(move, caller, number, request, data))
            case ActionRequest() as request if self._fits(number, Service.COMMIT):
                await self._alone()
                await commit(caller, number, request, self._reporter)
            case EventReportRequest() as request if self._commits(number):
                await self._alone()
                await take_report(caller, number, request, self._requests)
            case EventReportResponse() as answer:
                self._told(answer)
            case StoreResponse() as answer:
                self._answered(answer)
            case CancelRequest(responded_id=wanted):
                operation = caller.operation
                if operation is not None and operation.message_id == wanted:
                    operation.cancel()
            case Request() as request:
                await self._unrecognized(number, request)
            case _:
                raise MalformedMessage("A response came that nobody has asked for.")

    def _answered(self, answer: StoreResponse) -> None:
        """The receiver of a C-GET has answered a sub-operation."""
        operation = self._caller.operation
        if operation is None or operation.awaited != answer.responded_id:
            raise MalformedMessage("A response came that nobody has asked for.")
        operation.awaited = None
        operation.answer = answer
        operation.answer_came.set()

    def _told(self, answer: EventReportResponse) -> None:
        """The peer has answered a report of ours; one that came too late is passed over."""
        telling = self._caller.telling
        if not 0 < answer.responded_id <= telling.message_id:
            raise MalformedMessage("A response came that nobody has asked for.")
        if answer.responded_id == telling.message_id:
            telling.answer = answer
            telling.answer_came.set()

    def _fits(self, number: int, service: Service) -> bool:
        """Whether the caller may ask for this on that context: nothing else was granted there."""
        context = self._caller.context(number)
        return context.scu and service_of(context.abstract_syntax, self._private) is service

    def _commits(self, number: int) -> bool:
        """Whether reports of storage commitment may come there: of who took the role of the SCP,
        and of who knows no roles.
        """
        return service_of(self._caller.context(number).abstract_syntax) is Service.COMMIT

    async def _identifier(self) -> bytes | None:
        try:
            return await self._caller.identifier()
        except MalformedIdentifier:
            return None

    async def _alone(self) -> None:
        """One operation at a time is what was negotiated (PS3.7 D.3.3.3)."""
        operation = self._caller.operation
        if operation is None:
            return
        if not operation.answered:
            raise MalformedMessage("A request came before the one before was answered.")
        await operation.ended.wait()

    async def _operate(
        self, request: Request, work: Callable[[Operation], Awaitable[None]]
    ) -> None:
        """Answer in a task of its own, so that a C-CANCEL is heard."""
        await self._alone()
        operation = self._caller.operation = Operation(request.message_id)
        self._caller.channel.waiting = True
        self._nursery.start_soon(self._operated, operation, work)

    async def _operated(
        self, operation: Operation, work: Callable[[Operation], Awaitable[None]]
    ) -> None:
        try:
            await work(operation)
        finally:
            self._caller.operation = None
            self._caller.channel.waiting = False
            operation.ended.set()

    async def _unrecognized(self, number: int, request: Request) -> None:
        """Answer what is not served (PS3.7 C.5.22)."""
        field = request.field if isinstance(request, UnknownRequest) else request.FIELD
        await self._caller.respond(
            number,
            UnknownResponse(
                field=field | 0x8000,
                responded_id=request.message_id,
                status=UNRECOGNIZED_OPERATION,
            ),
        )
