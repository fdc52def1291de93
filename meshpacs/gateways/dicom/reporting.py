"""Storage commitment as SCP, its second half: what was asked for is found out and reported.

One task a transaction, from its row to the requestor's acknowledgement (PS3.4 J.3.3): on the
association that the request came on, if that is still there; else on one of ours with the machine
of that title in the AE book, again and again for a day.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from weakref import WeakValueDictionary

import structlog
import trio

from meshpacs.dimse.commands import Response
from meshpacs.dimse.commitment import Report, event_request, write_report
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.dimse.pdu import Role
from meshpacs.dimse.services import STORAGE_COMMITMENT, Service, service_of
from meshpacs.dimse.statuses import (
    CLASS_INSTANCE_CONFLICT,
    DUPLICATE_TRANSACTION,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    is_warning,
)
from meshpacs.gateways.dicom.requesting import Requestor, Wish, associated
from meshpacs.gateways.dicom.titles import Allowing
from meshpacs.model.commitment import Promise, Reference
from meshpacs.model.errors import LocalFault, MeshError, PeerFault, Unavailable
from meshpacs.node.book import Entry
from meshpacs.node.commitments import GIVEN_UP, Transaction
from meshpacs.node.credentials import Credentials, tls_for
from meshpacs.node.mesh import Mesh

log = structlog.get_logger()

ANSWER_S = 60.0
"""Seconds that a requestor has to answer a report. A guess: some write it down first."""

LOOK_S = 5.0
"""Between two looks whether the AE book has changed for a transaction that waits. A guess."""

STUCK_S = 60.0
"""Seconds until a transaction goes on whose row could not be read or written. A guess."""

JUDGED_AT_ONCE = 4
"""Transactions whose instances are looked up at the same time. A guess."""

TOLD = 1024
"""Unknown requestors that are logged, each once. A guess."""

REASONS: Mapping[Promise, int] = {
    Promise.ABSENT: NO_SUCH_INSTANCE,
    Promise.OTHER_CLASS: CLASS_INSTANCE_CONFLICT,
    Promise.IN_CONFLICT: PROCESSING_FAILURE,
    Promise.NO_ROOM: RESOURCE_LIMITATION,
    Promise.FAILED: PROCESSING_FAILURE,
}
"""Failure Reasons (PS3.4 J.3.3.1.1, PS3.3 C.14.1.1)."""

PLAIN = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)

OUR_ROLE = Role(STORAGE_COMMITMENT, scu=False, scp=True)
"""On an association of ours we are the SCP (PS3.4 J.3.3, PS3.7 D.3.3.4)."""


class Way(Protocol):
    """Somewhere that a report can be sent."""

    async def report(self, report: Report) -> None:
        """Send it and have it acknowledged.

        Raises:
            Unavailable, PeerFault: it could not be.
        """
        ...


@dataclass(slots=True)
class _Carried:
    """One transaction on its way to its end."""

    transaction: Transaction
    line: Way | None
    """The association that it came on."""
    began_s: float
    read: bool = False
    """Whether its instances' bytes were read since the start."""
    tried: tuple[Entry | None, ...] = ()
    """Where the last attempt went, in one place; nothing before the first."""
    woken: trio.Event = field(default_factory=trio.Event)
    """Set when its requestor has asked again."""


class Reporter:
    """All transactions of one node."""

    def __init__(
        self,
        mesh: Mesh,
        book: Allowing,
        private: Callable[[], tuple[str, ...]],
        credentials: Callable[[], Credentials | None] = lambda: None,
    ) -> None:
        """`private`: SOP classes that are stored beside those of the standard.

        `credentials`: what TLS is spoken with to those that the book marks so.
        """
        self._mesh, self._book, self._private = mesh, book, private
        self._credentials = credentials
        self._nursery: trio.Nursery | None = None
        self._carried: dict[int, _Carried] = {}
        self._judging = trio.CapacityLimiter(JUDGED_AT_ONCE)
        self._turns: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        """One report at a time for one machine: some take a single association."""
        self._told: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Go on with what was left open, and carry what begins, until cancelled."""
        left = await self._mesh.commitments.open_ones()
        async with trio.open_nursery() as self._nursery:
            for transaction in left:
                self.begin(transaction, None)
            if left:
                log.info("commitments_resumed", transactions=len(left))
            task_status.started()
            await trio.sleep_forever()

    def begin(self, transaction: Transaction, line: Way | None) -> None:
        """Carry this one, which is in the table; or hurry, if it is carried already."""
        carried = self._carried.get(transaction.number)
        if carried is not None:
            carried.line = line
            carried.woken.set()
        elif self._nursery is not None:
            carried = _Carried(transaction, line, trio.current_time())
            self._carried[transaction.number] = carried
            self._nursery.start_soon(self._carry, carried)

    async def _carry(self, carried: _Carried) -> None:
        """A task's top."""
        try:
            while True:
                try:
                    await self._until_due(carried)
                    if await self._attempted(carried):
                        return
                except MeshError as fault:  # its row, not its requestor: see `_attempted`
                    log.warning("commitment_stuck", what=fault.what, mend=fault.mend)
                    await trio.sleep(STUCK_S)
        except Exception:
            # One transaction must not end the others; the next start goes on with it.
            log.exception("commitment_failed", transaction=carried.transaction.uid)
        finally:
            del self._carried[carried.transaction.number]

    async def _until_due(self, carried: _Carried) -> None:
        """Until the time has come, the book has changed, or its requestor has asked again."""
        commitments = self._mesh.commitments
        while carried.tried and not carried.woken.is_set():
            entry = self._entry(carried.transaction)
            if carried.tried != (entry,):
                break
            due = commitments.left_at_all_s if entry is None else commitments.left_s
            left_s = due(carried.transaction)
            if left_s <= 0:
                break
            with trio.move_on_after(min(left_s, LOOK_S)):
                await carried.woken.wait()
        carried.woken = trio.Event()

    async def _attempted(self, carried: _Carried) -> bool:
        """Find out and report; whether that was the end of it.

        Raises:
            MeshError: the table cannot be read or written.
        """
        commitments, transaction = self._mesh.commitments, carried.transaction
        line, carried.line = carried.line, None
        if line is not None:
            report = await self._judged(carried)
            if report is None:
                return True  # it was reported while its requestor asked again
            try:
                await line.report(report)
            except (Unavailable, PeerFault):
                pass  # that was worth a try
            else:
                await self._done(carried, report, "same association")
                return True
        entry = self._entry(transaction)
        carried.tried = (entry,)
        if entry is None:
            what, mend = self._unknown(transaction)
            if commitments.left_at_all_s(transaction) > 0:
                carried.transaction = await commitments.waits(transaction, what, mend)
                return False
        else:
            try:
                async with self._turns.setdefault(transaction.title, trio.Lock()):
                    # Not before its turn, which may be long in coming: what is reported holds now.
                    report = await self._judged(carried)
                    if report is None:
                        return True
                    await deliver(entry, transaction.called, report, self._credentials())
            except (Unavailable, PeerFault) as fault:
                what, mend = fault.what, fault.mend
            else:
                await self._done(carried, report, "new association")
                return True
        return await self._put_off(carried, what, mend)

    async def _put_off(self, carried: _Carried, what: str, mend: str) -> bool:
        after = await self._mesh.commitments.not_delivered(carried.transaction, what, mend)
        carried.transaction = after
        over = after.state == GIVEN_UP
        log.warning(
            "commitment_given_up" if over else "commitment_not_delivered",
            calling=after.title,
            transaction=after.uid,
            attempts=after.attempts,
            what=what,
            mend=mend,
        )
        return over

    async def _done(self, carried: _Carried, report: Report, how: str) -> None:
        await self._mesh.commitments.reported(carried.transaction)
        log.info(
            "commitment_reported",
            calling=carried.transaction.title,
            transaction=carried.transaction.uid,
            committed=len(report.committed),
            failed=len(report.failed),
            how=how,
            took_s=round(trio.current_time() - carried.began_s, 3),
        )

    # ------------------------------------------------------------ what is reported

    async def _judged(self, carried: _Carried) -> Report | None:
        """What is promised now of each instance; bytes are read once, the index every time.

        None if the transaction has ended.
        """
        transaction = carried.transaction
        committed: list[Reference] = []
        failed: list[tuple[Reference, int]] = []
        async with self._judging:
            # Not before its place: together they may name millions.
            references = await self._mesh.commitments.references(transaction)
            if references is None:
                return None
            for reference in references:
                if transaction.duplicate:
                    failed.append((reference, DUPLICATE_TRANSACTION))
                    continue
                promise = await self._mesh.promises.promise(reference, reread=not carried.read)
                if promise is Promise.COMMITTED:
                    committed.append(reference)
                else:
                    failed.append((reference, self._reason(promise, reference)))
        carried.read = True
        return Report(transaction.uid, tuple(committed), tuple(failed), transaction.called)

    def _reason(self, promise: Promise, reference: Reference) -> int:
        if promise is Promise.ABSENT:
            stored = service_of(reference.sop_class, self._private()) is Service.STORE
            return NO_SUCH_INSTANCE if stored else SOP_CLASS_NOT_SUPPORTED
        return REASONS[promise]

    # ------------------------------------------------------------ where it is sent

    def _entry(self, transaction: Transaction) -> Entry | None:
        """The requestor's own entry in the book; of several the one that it called from."""
        found = self._book.destination(transaction.title)
        if len(found) > 1:
            found = tuple(entry for entry in found if entry.host == transaction.host)
        return found[0] if len(found) == 1 else None

    def _unknown(self, transaction: Transaction) -> tuple[str, str]:
        """Said in `status` for each, and logged once for a title."""
        title, host = transaction.title, transaction.host
        what = f"The AE book does not say on which port {title} listens for its reports."
        address = f"[{host}]:PORT" if ":" in host else f"{host}:PORT"
        mend = f"meshpacs dicom ae add {shlex.quote(title)} {address}"
        if title not in self._told and len(self._told) < TOLD:
            self._told.add(title)
            log.warning("commitment_requestor_unknown", calling=title, what=what, mend=mend)
        return what, mend


async def deliver(
    entry: Entry, calling: str, report: Report, credentials: Credentials | None = None
) -> None:
    """Send a report on an association of ours.

    As SCP, which is negotiated; or, where that is refused, with the roles that an association has
    without: requestors that know no roles take it so.

    Raises:
        Unavailable: the machine cannot be reached, does not want it, or answers with a failure.
        PeerFault: it breaks the protocol.
    """
    try:
        tls = tls_for(entry, credentials)
    except LocalFault as fault:
        raise Unavailable(fault.what, fault.mend) from fault
    for roles in ((OUR_ROLE,), ()):
        wish = Wish(entry.title, calling, ((STORAGE_COMMITMENT, PLAIN),), roles)
        async with associated(entry.host, entry.port, wish, tls=tls) as requestor:
            if requestor.agreement.of(STORAGE_COMMITMENT):
                await _deliver(requestor, report)
                return
    raise Unavailable(
        f"{entry.title} accepts the association, but no reports of storage commitment on it.",
        "Is that the port on which it wants its reports?",
    )


async def _deliver(requestor: Requestor, report: Report) -> None:
    context = requestor.agreement.of(STORAGE_COMMITMENT)[0]
    explicit = context.transfer_syntax == EXPLICIT_LITTLE
    data = await trio.to_thread.run_sync(partial(write_report, report, explicit=explicit))
    request = event_request(requestor.next_id(), report.event_type)
    answer: Response | None = None
    with trio.move_on_after(ANSWER_S):
        answer = await requestor.ask(context.id, request, data)
    report_answered(answer)


def report_answered(answer: Response | None) -> None:
    """Go on if a report was acknowledged.

    Raises:
        Unavailable: it was not.
    """
    if answer is None:
        raise Unavailable(
            f"It has not answered the report within {ANSWER_S:.0f} s.", "Its own log may say why."
        )
    if answer.status != SUCCESS and not is_warning(answer.status):
        raise Unavailable(
            f"It answers the report with the status {answer.status:04X}.",
            "Its own log may say why.",
        )
