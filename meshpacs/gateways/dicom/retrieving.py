"""C-GET and C-MOVE as SCP: instances of the whole mesh, each sent on once it is verified.

Source: PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4. Totals are fixed, from the holders'
manifests, before the first sub-operation; Remaining is told only while pending and when cancelled.
"""

import shlex
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

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
    is_warning,
)
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.comments import comment_on
from meshpacs.gateways.dicom.delivery import Delivery, NoRetrieval, RoundTrip
from meshpacs.gateways.dicom.requesting import Machine
from meshpacs.gateways.dicom.sending import CannotSend, Originator
from meshpacs.gateways.dicom.whose import studies_of
from meshpacs.model.attributes import Level
from meshpacs.model.content import Entry
from meshpacs.model.errors import LocalFault, MeshError, PeerFault, Unavailable
from meshpacs.node.book import Entry as Known
from meshpacs.node.mesh import Retrieving
from meshpacs.node.views import NobodyHasIt

log = structlog.get_logger()

PENDING_S = 2.0
"""Seconds between two pending responses. PS3.4 leaves it open; 5 s are promised."""

STUDIES_AT_ONCE = 16
"""Studies that one retrieval looks for in the mesh at the same time. A guess, far below the
questions that one node may have open, so that a long list shuts nobody else out."""

REASONS = 16
"""Reasons of failures that are told apart in the log. A guess."""

COUNT_MOST = 0xFFFF
"""Numbers of sub-operations are US (PS3.7 E.1)."""


@dataclass(slots=True)
class Tally:
    """Sub-operations, as responses count them."""

    total: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)
    """SOP Instance UIDs."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why they failed, for the log: one line a retrieval, however many there are."""

    @property
    def remaining(self) -> int:
        """What has not been tried."""
        return self.total - self.completed - self.warning - len(self.failed)

    def count(self, sop_uid: str, status: int) -> None:
        """One more was answered."""
        if status == SUCCESS:
            self.completed += 1
        elif is_warning(status):
            self.warning += 1
        else:
            self.fail(sop_uid, f"The receiver answered {status:04X}.")

    def fail(self, sop_uid: str, reason: str) -> None:
        """One more could not be sent."""
        self.failed.append(sop_uid)
        known = reason in self.reasons or len(self.reasons) < REASONS
        self.reasons[reason if known else "Other reasons."] += 1


Store = Callable[[Retrieving, Entry], Awaitable[int]]
"""Sends one instance and returns the receiver's status."""

Way = Callable[[Sequence[Entry]], AbstractAsyncContextManager[Store]]
"""Opens the way to the receiver of these instances."""


async def get(
    caller: Caller, number: int, request: GetRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-GET: the instances go out on the same association."""
    answer = GetResponse(responded_id=request.message_id, sop_class=request.sop_class)
    round_trip = RoundTrip(caller, request.priority, operation)

    @asynccontextmanager
    async def way(_entries: Sequence[Entry]) -> AsyncIterator[Store]:
        yield round_trip.store

    await _Retrieval(caller, number, answer, operation).run(data, way)


async def move(
    caller: Caller, number: int, request: MoveRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-MOVE: the instances go out on associations of ours, to whom the book names."""
    answer = MoveResponse(responded_id=request.message_id, sop_class=request.sop_class)

    def destination() -> Known:
        known = caller.book.destination(request.destination)
        if len(known) != 1:
            log.warning(
                "dicom_move_destination_unknown",
                destination=request.destination,
                calling=caller.title,
                candidates=[entry.address for entry in known],
                mend=f"meshpacs dicom ae add {shlex.quote(request.destination)} HOST:PORT",
            )
            raise NoRetrieval(MOVE_DESTINATION_UNKNOWN, f"{len(known)} machines have this title.")
        return known[0]

    @asynccontextmanager
    async def way(entries: Sequence[Entry]) -> AsyncIterator[Store]:
        known = destination()
        try:
            tls = caller.tls_for(known)
        except LocalFault as fault:
            raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, fault.what) from fault
        async with AsyncExitStack() as stack:
            whom = Machine(
                known.host, known.port, request.destination, caller.called, tls, known.prefer
            )
            originator = Originator(caller.title, request.message_id)
            delivery = Delivery(
                whom,
                entries,
                stack,
                priority=request.priority,
                originator=originator,
                decodable=caller.mesh.decodable,
            )
            try:
                await delivery.begin()
            except (Unavailable, PeerFault) as fault:
                raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, fault.what) from fault
            yield delivery.store

    await _Retrieval(caller, number, answer, operation).run(data, way, destination)


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
        self._fixed = False
        """Whether it is known how many instances there are."""

    async def run(
        self, data: bytes | None, way: Way, check: Callable[[], object] = lambda: None
    ) -> None:
        """Answer; `check` may refuse before the mesh is asked."""
        caller, operation = self._caller, self._operation
        end = self._answer
        done = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_pending, done)
            try:
                selected = self._selected(data)
                check()
                await self._retrieve(selected, way)
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
        caller.done["not_sent"] += len(self._tally.failed)
        self._log_failures()
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
        if not tally.failed:
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
            failed=min(len(tally.failed), COUNT_MOST),
            warning=min(tally.warning, COUNT_MOST),
        )

    # ------------------------------------------------------------ what is wanted

    async def _retrieve(self, selected: Selected, way: Way) -> None:
        async with AsyncExitStack() as stack:
            wanted: list[tuple[Retrieving, tuple[Entry, ...]]] = []
            with self._operation.cancellable():
                studies = await studies_of(self._caller, selected)
                for at in range(0, len(studies), STUDIES_AT_ONCE):
                    few = studies[at : at + STUDIES_AT_ONCE]
                    sources = await self._sources(selected, few, stack)
                    wanted += [(source, await self._entries(source)) for source in sources]
            entries = [entry for _, some in wanted for entry in some]
            if self._operation.cancelled or not entries:
                return
            self._tally, self._fixed = Tally(len(entries)), True
            async with way(entries) as store:
                for source, some in wanted:
                    async with trio.open_nursery() as beside:
                        beside.start_soon(source.read_ahead)
                        await self._send(source, some, store)
                        beside.cancel_scope.cancel()

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

    async def _sources(
        self, selected: Selected, studies: Sequence[str], stack: AsyncExitStack
    ) -> list[Retrieving]:
        keys, mesh = selected.keys, self._caller.mesh
        try:
            return [
                await stack.enter_async_context(
                    mesh.retrieve(
                        study,
                        series=frozenset(keys.get(Level.SERIES, ())),
                        instances=frozenset(keys.get(Level.IMAGE, ())),
                    )
                )
                for study in studies
            ]
        except MeshError as fault:
            raise self._cannot_count(fault) from fault

    def _cannot_count(self, fault: MeshError) -> NoRetrieval:
        return NoRetrieval(CANNOT_COUNT_MATCHES, comment_on(fault, self._caller.title))

    async def _entries(self, source: Retrieving) -> tuple[Entry, ...]:
        try:
            return await source.entries()
        except NobodyHasIt as fault:
            if fault.silent:
                comment = f"NOT FOUND, AND {fault.silent} MEMBERS ARE SILENT"
                raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, comment) from fault
            return ()
        except MeshError as fault:
            raise self._cannot_count(fault) from fault

    # ------------------------------------------------------------ sub-operations

    async def _keep_pending(self, done: trio.Event) -> None:
        while True:
            with trio.move_on_after(PENDING_S):
                await done.wait()
                return
            pending = replace(self._counted(remaining=True), status=PENDING)
            if not self._fixed:
                # PS3.4 C.4.2.1.6 wants a number even now, and with 0 it would be over.
                pending = replace(pending, remaining=1)
            await self._caller.respond(self._number, pending)

    async def _send(self, source: Retrieving, wanted: Sequence[Entry], store: Store) -> None:
        operation, tally = self._operation, self._tally
        left = {entry.sop_uid: None for entry in wanted}
        coming = aiter(source)
        while not operation.cancelled:
            entry: Entry | None = None
            with operation.cancellable():
                entry = await anext(coming, None)
            if entry is None:
                break
            left.pop(entry.sop_uid, None)
            try:
                status = await store(source, entry)
            except CannotSend as fault:
                tally.fail(entry.sop_uid, str(fault))
            else:
                tally.count(entry.sop_uid, status)
        if not operation.cancelled:
            for sop_uid in left:
                tally.fail(sop_uid, "Nobody could give it.")

    def _log_failures(self) -> None:
        tally = self._tally
        if tally.failed:
            log.warning(
                "dicom_instances_not_sent",
                calling=self._caller.title,
                failed=len(tally.failed),
                reasons=dict(tally.reasons),
                first=tally.failed[0],
            )
