"""C-GET and C-MOVE as SCP: instances of the whole mesh, each sent on once it is verified.

Source: PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4. Totals are fixed, from the holders'
manifests, before the first sub-operation; Remaining is told only while pending and when cancelled.
"""

import shlex
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog
import trio

from meshpacs.dimse.commands import (
    GetRequest,
    GetResponse,
    MoveRequest,
    MoveResponse,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.faults import IdentifierMismatch, MalformedIdentifier
from meshpacs.dimse.identifiers import Selected, read_selection, write_failed
from meshpacs.dimse.services import QUERY_RETRIEVE
from meshpacs.dimse.statuses import (
    CANCELLED,
    CANNOT_COUNT_MATCHES,
    CANNOT_PERFORM_SUB_OPERATIONS,
    IDENTIFIER_MISMATCH,
    MOVE_DESTINATION_UNKNOWN,
    PENDING,
    SUB_OPERATIONS_WARNING,
    SUCCESS,
    UNABLE_TO_PROCESS,
)
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.carrying import Carrying, Store, Way, by_delivery, log_failures
from meshpacs.gateways.dicom.comments import comment_on_machine
from meshpacs.gateways.dicom.delivery import NoRetrieval, RoundTrip
from meshpacs.gateways.dicom.requesting import Machine
from meshpacs.gateways.dicom.sending import Originator
from meshpacs.gateways.dicom.whose import studies_of
from meshpacs.model.attributes import Level
from meshpacs.model.content import Entry
from meshpacs.model.delivery import PRIORITIES, Order, Tally
from meshpacs.model.errors import LocalFault, MeshError, Unavailable
from meshpacs.model.ids import NodeId
from meshpacs.model.titles import is_ae_title
from meshpacs.node.book import Entry as Known
from meshpacs.node.views import OrderLost

log = structlog.get_logger()

PENDING_S = 2.0
"""Seconds between two pending responses. PS3.4 leaves it open; 5 s are promised."""

COUNT_MOST = 0xFFFF
"""Numbers of sub-operations are US (PS3.7 E.1)."""

ORDERED = frozenset(
    {
        CANNOT_COUNT_MATCHES,
        CANNOT_PERFORM_SUB_OPERATIONS,
        MOVE_DESTINATION_UNKNOWN,
        UNABLE_TO_PROCESS,
    }
)
"""What another member may say that becomes of an order: a C-MOVE's failures."""


async def get(
    caller: Caller, number: int, request: GetRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-GET: the instances go out on the same association."""
    answer = GetResponse(responded_id=request.message_id, sop_class=request.sop_class)
    round_trip = RoundTrip(caller, request.priority, operation)

    @asynccontextmanager
    async def way(_entries: Sequence[Entry]) -> AsyncIterator[Store]:
        yield round_trip.store

    retrieval = _Retrieval(caller, number, answer, operation)
    await retrieval.run(data, partial(retrieval.carry, way))


async def move(
    caller: Caller, number: int, request: MoveRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-MOVE: the instances go out on associations of ours, to whom the book names.

    Where it names nobody, by the one other member that shares a machine of that title.
    """
    answer = MoveResponse(responded_id=request.message_id, sop_class=request.sop_class)
    retrieval = _Retrieval(caller, number, answer, operation)
    known = caller.book.destination(request.destination)
    sharers = () if known else caller.mesh.sharers(request.destination)
    if len(known) + len(sharers) != 1:
        names = caller.mesh.names()
        log.warning(
            "dicom_move_destination_unknown",
            destination=request.destination,
            calling=caller.title,
            candidates=[entry.address for entry in known]
            + [f"through {names.get(node, node.hex())}" for node in sharers],
            mend=f"meshpacs dicom ae add {shlex.quote(request.destination)} HOST:PORT",
        )
        many = f"{len(known) + len(sharers)} machines have this title."
        await retrieval.run(data, _refused(NoRetrieval(MOVE_DESTINATION_UNKNOWN, many)))
    elif sharers:
        await retrieval.run(data, partial(retrieval.pass_on, sharers[0], request))
    else:
        await retrieval.run(data, partial(retrieval.send_to, known[0], request))


def _refused(refusal: NoRetrieval) -> Callable[[Selected], Awaitable[None]]:
    async def work(selected: Selected) -> None:
        del selected
        await trio.lowlevel.checkpoint()
        raise refusal

    return work


class _Retrieval:
    """What both have in common."""

    def __init__(
        self,
        caller: Caller,
        number: int,
        answer: GetResponse | MoveResponse,
        operation: Operation,
    ) -> None:
        self._caller = caller
        self._number = number
        self._answer = answer
        self._operation = operation
        self._context = caller.context(number)
        self._tally = Tally(0)

    async def run(self, data: bytes | None, work: Callable[[Selected], Awaitable[None]]) -> None:
        """Have what was selected sent, and answer."""
        caller, operation = self._caller, self._operation
        end = self._answer
        done = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_pending, done)
            try:
                await work(self._selected(data))
            except NoRetrieval as refusal:
                end = replace(
                    end,
                    status=refusal.status,
                    comment=refusal.comment,
                    offending=refusal.offending,
                )
            done.set()
        status, comment = end.status, end.comment
        if status == SUCCESS:
            status, comment = self._ending()
        caller.done["sent"] += self._tally.completed + self._tally.warning
        caller.done["not_sent"] += self._tally.failures
        log_failures(self._tally, caller.title)
        operation.answered = True
        failed = b""
        if self._tally.failed and status != SUCCESS:
            failed = write_failed(self._tally.failed, explicit=self._explicit)
        counted = self._counted(remaining=status == CANCELLED)
        final = replace(
            counted,
            status=status,
            comment=comment,
            offending=end.offending,
            has_data=bool(failed),
        )
        await caller.respond(self._number, final, failed)

    @property
    def _explicit(self) -> bool:
        return self._context.transfer_syntax == EXPLICIT_LITTLE

    def _ending(self) -> tuple[int, str]:
        """PS3.4 tables C.4-2 and C.4-3, once sub-operations have begun."""
        tally = self._tally
        if self._operation.cancelled and (tally.remaining or not tally.total):
            return CANCELLED, ""
        if not tally.failures:
            return (SUB_OPERATIONS_WARNING if tally.warning else SUCCESS), ""
        if tally.completed or tally.warning:
            return SUB_OPERATIONS_WARNING, ""
        return CANNOT_PERFORM_SUB_OPERATIONS, "No instance could be sent; the node's log says why."

    def _counted(self, *, remaining: bool) -> GetResponse | MoveResponse:
        tally = self._tally
        return replace(
            self._answer,
            remaining=min(tally.remaining, COUNT_MOST) if remaining else None,
            completed=min(tally.completed, COUNT_MOST),
            failed=min(tally.failures, COUNT_MOST),
            warning=min(tally.warning, COUNT_MOST),
        )

    # ------------------------------------------------------------ what is wanted

    async def send_to(self, known: Known, request: MoveRequest, selected: Selected) -> None:
        """Send it to a machine of this node's own book."""
        caller = self._caller
        try:
            tls = caller.tls_for(known)
        except LocalFault as fault:
            comment = comment_on_machine(fault, known.title, known.host, known.port)
            raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, comment) from fault
        whom = Machine(known.host, known.port, known.title, caller.called, tls, known.prefer)
        originator = Originator(caller.title, request.message_id)
        way = by_delivery(whom, request.priority, originator, caller.mesh.decodable)
        await self.carry(way, selected)

    async def carry(self, way: Way, selected: Selected) -> None:
        """Send it ourselves."""
        caller, operation = self._caller, self._operation
        studies = await self._studies(selected)
        if operation.cancelled:
            return
        carrying = Carrying(caller.mesh, operation, self._tally, caller.title)
        await carrying.run(studies, *_below(selected), way)

    async def pass_on(self, member: NodeId, request: MoveRequest, selected: Selected) -> None:
        """Have the member send it that alone can reach the destination (PROTOCOL 12.2)."""
        caller, operation = self._caller, self._operation
        studies = await self._studies(selected)
        if operation.cancelled or not studies:
            return
        series, instances = _below(selected)
        order = Order(
            request.destination,
            studies,
            series,
            instances,
            caller.title if is_ae_title(caller.title) else "",
            request.message_id,
            request.priority if request.priority < PRIORITIES else 0,
        )
        fault = order.fault()
        if fault:
            raise NoRetrieval(CANNOT_COUNT_MATCHES, fault)
        await self._passed_on(member, order)

    async def _passed_on(self, member: NodeId, order: Order) -> None:
        mesh, operation, tally = self._caller.mesh, self._operation, self._tally
        name = _ascii(mesh.names().get(member, "")) or member.hex()[:8]
        try:
            ending = await mesh.deliver(member, order, tally, operation.stop)
        except MeshError as fault:
            log.warning(
                "dicom_move_passed_on_in_vain", member=name, what=fault.what, mend=fault.mend
            )
            tally.lose("The member that sends was lost.")  # PROTOCOL 12.5
            unreached = isinstance(fault, Unavailable) and not isinstance(fault, OrderLost)
            how = "CANNOT BE REACHED" if unreached else "WAS LOST MIDWAY"
            comment = f"{name[:40]} {how}"
            raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, comment) from fault
        if ending.status == CANCELLED and operation.cancelled:
            return
        if ending.status == SUCCESS and (operation.cancelled or not tally.remaining):
            return
        tally.lose("The member that sends has ended it.")
        status = ending.status if ending.status in ORDERED else CANNOT_PERFORM_SUB_OPERATIONS
        said = ending.comment if ending.comment.isprintable() else ""
        raise NoRetrieval(status, f"{name[:20]}: {said or 'IT HAS STOPPED MIDWAY'}")

    def _selected(self, data: bytes | None) -> Selected:
        if data is None:
            raise NoRetrieval(UNABLE_TO_PROCESS, "The identifier is too large.")
        levels = QUERY_RETRIEVE[self._context.abstract_syntax].levels
        try:
            read = read_data_set(data, explicit=self._explicit, default=self._caller.default_codec)
            return read_selection(read, levels)
        except IdentifierMismatch as fault:
            raise NoRetrieval(IDENTIFIER_MISMATCH, fault.what, fault.offending) from fault
        except MalformedIdentifier as fault:
            raise NoRetrieval(UNABLE_TO_PROCESS, fault.what) from fault

    async def _studies(self, selected: Selected) -> tuple[str, ...]:
        with self._operation.cancellable():
            return await studies_of(self._caller, selected)
        return ()

    # ------------------------------------------------------------ sub-operations

    async def _keep_pending(self, done: trio.Event) -> None:
        while True:
            with trio.move_on_after(PENDING_S):
                await done.wait()
                return
            pending = replace(self._counted(remaining=True), status=PENDING)
            if not self._tally.total:
                # PS3.4 C.4.2.1.6 wants a number even now, and with 0 it would be over.
                pending = replace(pending, remaining=1)
            await self._caller.respond(self._number, pending)


def _below(selected: Selected) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The series and the instances that are selected; none are all."""
    return tuple(selected.keys.get(Level.SERIES, ())), tuple(selected.keys.get(Level.IMAGE, ()))


def _ascii(name: str) -> str:
    """A member's name for an Error Comment, which has no character set of its own; else nothing."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return plain if plain.isascii() else ""
