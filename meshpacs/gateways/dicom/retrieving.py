"""C-GET and C-MOVE as SCP: instances of the whole mesh, each sent on once it is verified.

Source: PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4. Totals are fixed, from the holders'
manifests, before the first sub-operation; Remaining is told only while pending and when cancelled.
"""

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
    StoreRequest,
    StoreResponse,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, Context
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
    is_failure,
    is_warning,
)
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.requesting import Requestor, Wish, associated
from meshpacs.gateways.dicom.sending import (
    PLAIN,
    CannotSend,
    context_for,
    pairs_for,
    send_instance,
)
from meshpacs.model.attributes import PATIENT_ID, STUDY_INSTANCE_UID, Level
from meshpacs.model.content import Entry
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.limits import PRESENTATION_CONTEXTS
from meshpacs.model.query import Query
from meshpacs.node.mesh import Retrieving
from meshpacs.node.views import NobodyHasIt

log = structlog.get_logger()

PENDING_S = 2.0
"""Seconds between two pending responses. PS3.4 leaves it open; 5 s are promised."""

SUB_OPERATION_S = 120.0
"""Seconds that a receiver has to answer one C-STORE. A guess: some write to slow shares."""


@dataclass(slots=True)
class Tally:
    """Sub-operations, as responses count them."""

    total: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)
    """SOP Instance UIDs."""

    @property
    def remaining(self) -> int:
        """What has not been tried."""
        return self.total - self.completed - self.warning - len(self.failed)

    def count(self, sop_uid: str, status: int) -> None:
        """One more was answered."""
        if is_failure(status):
            self.failed.append(sop_uid)
        elif is_warning(status):
            self.warning += 1
        else:
            self.completed += 1


Store = Callable[[Retrieving, Entry], Awaitable[int]]
"""Sends one instance and returns the receiver's status."""


Way = Callable[[Sequence[Entry]], AbstractAsyncContextManager[Store]]
"""Opens the way to the receiver of these instances."""


class _Refused(Exception):
    """The whole retrieval is answered with this status."""

    def __init__(self, status: int, comment: str = "", offending: tuple[int, ...] = ()) -> None:
        super().__init__(comment)
        self.status, self.comment, self.offending = status, comment, offending


async def get(
    caller: Caller, number: int, request: GetRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-GET: the instances go out on the same association."""
    answer = GetResponse(responded_id=request.message_id, sop_class=request.sop_class)
    round_trip = _RoundTrip(caller, request.priority, operation)

    @asynccontextmanager
    async def way(_entries: Sequence[Entry]) -> AsyncIterator[Store]:
        yield round_trip.store

    await _Retrieval(caller, number, answer, operation).run(data, way)


async def move(
    caller: Caller, number: int, request: MoveRequest, data: bytes | None, operation: Operation
) -> None:
    """Answer a C-MOVE: the instances go out on associations of ours, to whom the book names."""
    answer = MoveResponse(responded_id=request.message_id, sop_class=request.sop_class)

    @asynccontextmanager
    async def way(entries: Sequence[Entry]) -> AsyncIterator[Store]:
        known = caller.book.destination(request.destination)
        if len(known) != 1:
            log.warning(
                "dicom_move_destination_unknown",
                destination=request.destination,
                calling=caller.title,
                candidates=[entry.address for entry in known],
                mend=f"meshpacs dicom ae add {request.destination} HOST:PORT",
            )
            raise _Refused(MOVE_DESTINATION_UNKNOWN, f"{len(known)} machines have this title.")
        async with AsyncExitStack() as stack:
            delivery = _Delivery(caller, request, known[0].host, known[0].port, entries, stack)
            await delivery.begin()
            yield delivery.store

    await _Retrieval(caller, number, answer, operation).run(data, way)


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

    async def run(self, data: bytes | None, way: Way) -> None:
        caller, operation = self._caller, self._operation
        end = self._answer
        try:
            await self._retrieve(data, way)
        except _Refused as refusal:
            end = replace(
                end,
                status=refusal.status,
                comment=refusal.comment,
                offending=refusal.offending,
            )
        status, comment = end.status, end.comment
        if status == SUCCESS:
            status, comment = self._ending()
        caller.done["sent"] += self._tally.completed + self._tally.warning
        caller.done["not_sent"] += len(self._tally.failed)
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
            remaining=tally.remaining if remaining else None,
            completed=tally.completed,
            failed=len(tally.failed),
            warning=tally.warning,
        )

    # ------------------------------------------------------------ what is wanted

    async def _retrieve(self, data: bytes | None, way: Way) -> None:
        async with AsyncExitStack() as stack:
            wanted: list[tuple[Retrieving, tuple[Entry, ...]]] = []
            with self._operation.cancellable():
                sources = await self._sources(self._selected(data), stack)
                wanted += [(source, await self._entries(source)) for source in sources]
            entries = [entry for _, some in wanted for entry in some]
            if self._operation.cancelled or not entries:
                return
            self._tally = Tally(len(entries))
            async with way(entries) as store, trio.open_nursery() as nursery:
                done = trio.Event()
                nursery.start_soon(self._keep_pending, done)
                for source, some in wanted:
                    await self._send(source, some, store)
                done.set()

    def _selected(self, data: bytes | None) -> Selected:
        if data is None:
            raise _Refused(UNABLE_TO_PROCESS, "The identifier is too large.")
        levels = QUERY_RETRIEVE[self._context.abstract_syntax].levels
        try:
            read = read_data_set(data, explicit=self._explicit, default=self._caller.default_codec)
            return read_selection(read, levels)
        except IdentifierMismatch as fault:
            raise _Refused(IDENTIFIER_MISMATCH, fault.what, fault.offending) from fault
        except MalformedIdentifier as fault:
            raise _Refused(UNABLE_TO_PROCESS, fault.what) from fault

    async def _sources(self, selected: Selected, stack: AsyncExitStack) -> list[Retrieving]:
        keys = selected.keys
        mesh = self._caller.mesh
        if selected.level is Level.PATIENT:
            studies = await self._studies_of(keys[Level.PATIENT])
        else:
            studies = keys[Level.STUDY]
        return [
            await stack.enter_async_context(
                mesh.retrieve(
                    study,
                    series=frozenset(keys.get(Level.SERIES, ())),
                    instances=frozenset(keys.get(Level.IMAGE, ())),
                )
            )
            for study in dict.fromkeys(studies)
        ]

    async def _studies_of(self, patient: tuple[str, ...]) -> tuple[str, ...]:
        """Of a number alone this archive knows whose it is; elsewhere it may be another's."""
        query = Query(
            Level.STUDY, ((PATIENT_ID, patient),), returns=(PATIENT_ID, STUDY_INSTANCE_UID)
        )
        try:
            async with self._caller.mesh.find(query, None, local_only=True) as finding:
                found = await finding.result()
        except MeshError as fault:
            raise _Refused(CANNOT_COUNT_MATCHES, fault.what) from fault
        return tuple(
            str(match.record[STUDY_INSTANCE_UID][0])
            for match in found.matches
            if match.record.get(STUDY_INSTANCE_UID)
        )

    async def _entries(self, source: Retrieving) -> tuple[Entry, ...]:
        try:
            return await source.entries()
        except NobodyHasIt as fault:
            if fault.silent:
                comment = f"NOT FOUND, AND {fault.silent} MEMBERS ARE SILENT"
                raise _Refused(CANNOT_PERFORM_SUB_OPERATIONS, comment) from fault
            return ()
        except MeshError as fault:
            raise _Refused(CANNOT_COUNT_MATCHES, fault.what) from fault

    # ------------------------------------------------------------ sub-operations

    async def _keep_pending(self, done: trio.Event) -> None:
        while True:
            with trio.move_on_after(PENDING_S):
                await done.wait()
                return
            pending = replace(self._counted(remaining=True), status=PENDING)
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
                log.warning(
                    "dicom_instance_not_sent",
                    sop_instance=entry.sop_uid,
                    calling=self._caller.title,
                    what=str(fault),
                )
                tally.failed.append(entry.sop_uid)
            else:
                tally.count(entry.sop_uid, status)
        if not operation.cancelled:
            tally.failed.extend(left)  # what nobody could give


class _RoundTrip:
    """Sub-operations on the association that the C-GET came on."""

    def __init__(self, caller: Caller, priority: int, operation: Operation) -> None:
        self._caller = caller
        self._priority = priority
        self._operation = operation
        self._last_id = 0

    async def store(self, source: Retrieving, entry: Entry) -> int:
        channel, operation = self._caller.channel, self._operation
        context = context_for(entry, channel.agreement, to_scp=True)
        self._last_id = self._last_id % 65_535 + 1
        request = StoreRequest(
            has_data=True,
            message_id=self._last_id,
            sop_class=entry.sop_class,
            sop_uid=entry.sop_uid,
            priority=self._priority,
        )
        operation.awaited, operation.answer_came = self._last_id, trio.Event()
        await send_instance(channel, context, request, source, entry)
        with trio.move_on_after(SUB_OPERATION_S):
            await operation.answer_came.wait()
        if operation.answer is None:
            raise Unavailable("A sub-operation was not answered.")
        answer, operation.answer = operation.answer, None
        return answer.status


class _Delivery:
    """Sub-operations on associations of ours, each for at most 128 pairs of syntaxes."""

    def __init__(
        self,
        caller: Caller,
        request: MoveRequest,
        host: str,
        port: int,
        entries: Sequence[Entry],
        stack: AsyncExitStack,
    ) -> None:
        self._caller, self._request = caller, request
        self._host, self._port = host, port
        self._stack = stack
        pairs = pairs_for(entries)
        most = PRESENTATION_CONTEXTS
        self._batches = [pairs[at : at + most] for at in range(0, len(pairs), most)]
        self._batch_of = {pair: n // most for n, pair in enumerate(pairs)}
        self._open: dict[int, Requestor] = {}
        self._gone: str = ""

    async def begin(self) -> None:
        """Reach the destination once, so that a whole retrieval fails at once if it cannot be."""
        try:
            await self._requestor(0)
        except (Unavailable, PeerFault) as fault:
            raise _Refused(CANNOT_PERFORM_SUB_OPERATIONS, fault.what) from fault

    async def _requestor(self, batch: int) -> Requestor:
        if batch not in self._open:
            wish = Wish(self._request.destination, self._caller.called, self._batches[batch])
            self._open[batch] = await self._stack.enter_async_context(
                associated(self._host, self._port, wish)
            )
        return self._open[batch]

    async def _way_for(self, entry: Entry) -> tuple[Requestor, Context]:
        """As it is stored, or else rewritten, which may have been proposed in another batch."""
        pairs = (entry.sop_class, (entry.transfer_syntax,)), (entry.sop_class, PLAIN)
        refused = CannotSend("Nothing was proposed for it.")
        for batch in dict.fromkeys(
            self._batch_of[pair] for pair in pairs if pair in self._batch_of
        ):
            requestor = await self._requestor(batch)
            try:
                return requestor, context_for(entry, requestor.agreement, to_scp=False)
            except CannotSend as refusal:
                refused = refusal
        raise refused

    async def store(self, source: Retrieving, entry: Entry) -> int:
        if self._gone:
            raise CannotSend(self._gone)
        try:
            requestor, context = await self._way_for(entry)
            request = StoreRequest(
                has_data=True,
                message_id=requestor.next_id(),
                sop_class=entry.sop_class,
                sop_uid=entry.sop_uid,
                priority=self._request.priority,
                originator=self._caller.title,
                originator_id=self._request.message_id,
            )
            await send_instance(requestor.channel, context, request, source, entry)
            with trio.fail_after(SUB_OPERATION_S):
                answer = await requestor.answer(request)
        except (Unavailable, PeerFault, trio.TooSlowError) as fault:
            self._gone = f"The destination is gone: {type(fault).__name__}."
            raise CannotSend(str(fault) or self._gone) from fault
        assert isinstance(answer, StoreResponse)
        return answer.status
