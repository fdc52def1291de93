"""Instances of the whole mesh on their way to one receiver, each sent once it is verified.

Totals are fixed, from the holders' manifests, before the first sub-operation (PS3.4 C.4.2, C.4.3).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import structlog
import trio

from meshpacs.dimse.statuses import (
    CANNOT_COUNT_MATCHES,
    CANNOT_PERFORM_SUB_OPERATIONS,
    SUCCESS,
    is_warning,
)
from meshpacs.gateways.dicom.caller import Operation
from meshpacs.gateways.dicom.comments import comment_on, comment_on_machine
from meshpacs.gateways.dicom.delivery import Delivery, NoRetrieval
from meshpacs.gateways.dicom.requesting import Machine
from meshpacs.gateways.dicom.sending import CannotSend, Originator
from meshpacs.model.content import Entry
from meshpacs.model.delivery import Tally
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.node.mesh import Mesh, Retrieving
from meshpacs.node.views import NobodyHasIt

log = structlog.get_logger()

STUDIES_AT_ONCE = 16
"""Studies that one retrieval looks for in the mesh at the same time. A guess, far below the
questions that one node may have open, so that a long list shuts nobody else out."""

Store = Callable[[Retrieving, Entry], Awaitable[int]]
"""Sends one instance and returns the receiver's status."""

Way = Callable[[Sequence[Entry]], AbstractAsyncContextManager[Store]]
"""Opens the way to the receiver of these instances."""


def by_delivery(
    whom: Machine,
    priority: int,
    originator: Originator,
    decodable: frozenset[str],
    most: int | None = None,
) -> Way:
    """On associations of ours with a machine of the book; for at most so many instances."""

    @asynccontextmanager
    async def way(entries: Sequence[Entry]) -> AsyncIterator[Store]:
        if most is not None and len(entries) > most:
            raise NoRetrieval(CANNOT_COUNT_MATCHES, f"MORE THAN {most} INSTANCES FOR ONE ORDER")
        async with AsyncExitStack() as stack:
            delivery = Delivery(
                whom, entries, stack, priority=priority, originator=originator, decodable=decodable
            )
            try:
                await delivery.begin()
            except (Unavailable, PeerFault) as fault:
                comment = comment_on_machine(fault, whom.called, whom.host, whom.port)
                raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, comment) from fault
            yield delivery.store

    return way


class Carrying:
    """One retrieval's sub-operations."""

    def __init__(self, mesh: Mesh, operation: Operation, tally: Tally, calling: str) -> None:
        """For the machine `calling`; `operation` may be cancelled, `tally` is kept."""
        self._mesh = mesh
        self._operation = operation
        self._tally = tally
        self._calling = calling

    async def run(
        self, studies: Sequence[str], series: Sequence[str], instances: Sequence[str], way: Way
    ) -> None:
        """Send all of these studies, or of them only these series or instances.

        Raises:
            NoRetrieval: nothing was sent, and the error says with which status that ends.
        """
        operation = self._operation
        async with AsyncExitStack() as stack:
            wanted: list[tuple[Retrieving, tuple[Entry, ...]]] = []
            with operation.cancellable():
                for at in range(0, len(studies), STUDIES_AT_ONCE):
                    few = studies[at : at + STUDIES_AT_ONCE]
                    sources = await self._sources(few, series, instances, stack)
                    wanted += [(source, await self._entries(source)) for source in sources]
            entries = [entry for _, some in wanted for entry in some]
            if operation.cancelled or not entries:
                return
            async with way(entries) as store:
                self._tally.total = len(entries)
                for source, some in wanted:
                    async with trio.open_nursery() as beside:
                        beside.start_soon(source.read_ahead)
                        await self._send(source, some, store)
                        beside.cancel_scope.cancel()

    async def _sources(
        self,
        studies: Sequence[str],
        series: Sequence[str],
        instances: Sequence[str],
        stack: AsyncExitStack,
    ) -> list[Retrieving]:
        try:
            return [
                await stack.enter_async_context(
                    self._mesh.retrieve(
                        study, series=frozenset(series), instances=frozenset(instances)
                    )
                )
                for study in studies
            ]
        except MeshError as fault:
            raise self._cannot_count(fault) from fault

    def _cannot_count(self, fault: MeshError) -> NoRetrieval:
        return NoRetrieval(CANNOT_COUNT_MATCHES, comment_on(fault, self._calling))

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
                _count(tally, entry.sop_uid, status)
        if not operation.cancelled:
            for sop_uid in left:
                tally.fail(sop_uid, "Nobody could give it.")


def log_failures(tally: Tally, calling: str) -> None:
    """One line a retrieval, at whoever performs it and at whoever has ordered it."""
    if tally.failures:
        log.warning(
            "dicom_instances_not_sent",
            calling=calling,
            failed=tally.failures,
            reasons=dict(tally.reasons),
            first=next(iter(tally.failed), None),
        )


def _count(tally: Tally, sop_uid: str, status: int) -> None:
    """One more was answered."""
    if status == SUCCESS:
        tally.completed += 1
    elif is_warning(status):
        tally.warning += 1
    else:
        tally.fail(sop_uid, f"The receiver answered {status:04X}.")
