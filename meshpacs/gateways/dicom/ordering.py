"""C-GET and C-MOVE as SCU: what another archive sends here, or sends where it is told (PS3.4 C.4.2
and C.4.3). A C-GET's instances come on the association that it went out on.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import trio

from meshpacs.dimse.commands import (
    CancelRequest,
    Counted,
    GetRequest,
    MoveRequest,
    StoreRequest,
    StoreResponse,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, Context
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.faults import MalformedMessage
from meshpacs.dimse.identifiers import FAILED_UIDS, write_query
from meshpacs.dimse.messages import Begun
from meshpacs.dimse.pdu import Role
from meshpacs.dimse.services import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from meshpacs.dimse.statuses import SUCCESS, is_pending
from meshpacs.dimse.syntaxes import LITTLE
from meshpacs.gateways.dicom.asking import classes_of
from meshpacs.gateways.dicom.classes import proposals
from meshpacs.gateways.dicom.requesting import Machine, Requestor, Wish, associated
from meshpacs.gateways.dicom.storing import STATUSES
from meshpacs.model.attributes import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
    Level,
    Value,
)
from meshpacs.model.errors import Unavailable
from meshpacs.node.mesh import Arriving
from meshpacs.node.views import NotKept

ANSWER_S = 300.0
"""Seconds without a word until an archive is given up: one that fetches from tapes or clinics far
away may send nothing for long. A guess."""

CANCEL_S = 10.0
"""Seconds that it has to end what was cancelled. A guess."""

OF_STUDY = frozenset({PATIENT_ID, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID})
"""Keys of an order that say which studies it is about."""

Keep = Callable[[str, str, str, str], AbstractAsyncContextManager[Arriving]]
"""Opens the way in for an instance: SOP class, instance, transfer syntax, who sends it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    level: Level
    keys: tuple[tuple[int, Value], ...]
    """The unique keys down to the level, and whose number PatientID is."""

    @property
    def of_patient(self) -> bool:
        """Whether it is about a patient, and so needs the Patient Root information model."""
        return any(tag == PATIENT_ID for tag, _ in self.keys)


@dataclass(slots=True)
class Delivered:
    """What has become of it."""

    status: int = SUCCESS
    comment: str = ""
    remaining: int | None = None
    completed: int = 0
    failed: int = 0
    warning: int = 0
    """As the peer counts them."""
    failed_uids: tuple[str, ...] = ()
    stored: set[str] = field(default_factory=set)
    """SOP Instance UIDs of what came here and was kept."""
    refused: dict[str, str] = field(default_factory=dict)
    """Of what came here and could not be kept: why."""
    studies: dict[str, None] = field(default_factory=dict)
    """Study Instance UIDs of what was kept, in order."""

    @property
    def nothing(self) -> bool:
        """Whether the peer has answered that it holds nothing of what was ordered."""
        counted = self.completed + self.failed + self.warning
        return self.status == SUCCESS and not counted and not self.stored and not self.refused

    @property
    def missing(self) -> int:
        """Of a C-GET: how many failed that have not come on another association either."""
        known = self.stored | self.refused.keys()
        if self.failed_uids:
            return len(set(self.failed_uids) - known)
        total = self.completed + self.failed + self.warning
        return max(0, total - len(known)) if self.failed else 0


Told = Callable[[Delivered], None]
"""Hears of progress."""


async def move(
    machine: Machine,
    order: Order,
    destination: str,
    told: Told,
    cancel: trio.Event,
) -> Delivered:
    """Have an archive send to a machine that it knows by this title.

    Raises:
        Unavailable: it cannot be reached or does not offer this, or says nothing.
        PeerFault: it breaks the protocol.
    """
    sop_class = PATIENT_ROOT_MOVE if order.of_patient else STUDY_ROOT_MOVE
    wish = Wish(machine.called, machine.calling, ((sop_class, LITTLE),))
    async with associated(machine.host, machine.port, wish, tls=machine.tls) as requestor:
        context = _context(requestor, sop_class, "C-MOVE")
        request = MoveRequest(
            has_data=True,
            message_id=requestor.next_id(),
            sop_class=sop_class,
            destination=destination,
        )
        ordering = _Ordering(requestor, Delivered(), None, machine.called, told)
        await ordering.run(context, request, order, cancel)
        return ordering.delivered


async def get(
    machine: Machine,
    order: Order,
    keep: Keep,
    told: Told,
    cancel: trio.Event,
) -> Delivered:
    """Have an archive send here, on as many associations as it takes; see `classes`.

    Raises:
        Unavailable: it cannot be reached or does not offer this, or says nothing.
        PeerFault: it breaks the protocol.
    """
    sop_class = PATIENT_ROOT_GET if order.of_patient else STUDY_ROOT_GET
    delivered = Delivered()
    can_send = False
    of_study = [key for key in order.keys if key[0] in OF_STUDY]
    for pairs in proposals(await classes_of(machine, of_study, sop_class)):
        roles = tuple(Role(uid, scu=False, scp=True) for uid in dict.fromkeys(p[0] for p in pairs))
        offered = Wish(machine.called, machine.calling, ((sop_class, LITTLE), *pairs), roles)
        async with associated(machine.host, machine.port, offered, tls=machine.tls) as requestor:
            context = _context(requestor, sop_class, "C-GET")
            if not any(c.scp for c in requestor.agreement.contexts.values()):
                continue  # nothing of this kind can come from it
            can_send = True
            request = GetRequest(has_data=True, message_id=requestor.next_id(), sop_class=sop_class)
            ordering = _Ordering(requestor, delivered, keep, machine.called, told)
            await ordering.run(context, request, order, cancel)
        if cancel.is_set() or not delivered.missing:
            break
    if not can_send:
        raise Unavailable(
            "It has accepted that it is asked (C-GET), but sends no class of images that way.",
            "Try `meshpacs dicom move`, which it may do instead.",
        )
    return delivered


def _context(requestor: Requestor, sop_class: str, what: str) -> Context:
    contexts = requestor.agreement.of(sop_class)
    if not contexts:
        raise Unavailable(
            f"It has accepted the association, but not that it is asked ({what}).",
            "It may have to be told that we may ask, or it does not offer this.",
        )
    return contexts[0]


class _Ordering:
    """One request, to its last response."""

    def __init__(
        self, requestor: Requestor, delivered: Delivered, keep: Keep | None, sender: str, told: Told
    ) -> None:
        self.delivered = delivered
        self._requestor = requestor
        self._keep = keep
        self._sender = sender
        self._told = told

    async def run(
        self, context: Context, request: GetRequest | MoveRequest, order: Order, cancel: trio.Event
    ) -> None:
        explicit = context.transfer_syntax == EXPLICIT_LITTLE
        data = write_query(order.level, order.keys, explicit=explicit)
        channel = self._requestor.channel
        await channel.send(context.id, request, data)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel, context, request, cancel, nursery.cancel_scope)
            await self._hear(request.message_id, explicit=explicit)
            nursery.cancel_scope.cancel()

    async def _cancel(
        self,
        context: Context,
        request: GetRequest | MoveRequest,
        cancel: trio.Event,
        scope: trio.CancelScope,
    ) -> None:
        await cancel.wait()
        cancelled = CancelRequest(responded_id=request.message_id)
        await self._requestor.channel.send(context.id, cancelled)
        await trio.sleep(CANCEL_S)
        scope.cancel()  # it does not obey; the association is aborted

    async def _hear(self, message_id: int, *, explicit: bool) -> None:
        while True:
            with trio.move_on_after(ANSWER_S) as patience:
                begun = await self._requestor.take()
            if patience.cancelled_caught:
                raise Unavailable(f"It has said nothing for {ANSWER_S:.0f} s.")
            assert isinstance(begun, Begun), "the message before was taken whole"
            match begun.command:
                case StoreRequest() as request if self._keep is not None:
                    await self._take_in(self._keep, begun.context, request)
                    self._told(self.delivered)
                case Counted(responded_id=responded, status=status) as answer if (
                    responded == message_id
                ):
                    data = await self._requestor.data() if answer.has_data else b""
                    self._count(answer, data, explicit=explicit)
                    if not is_pending(status):
                        return
                    self._told(self.delivered)
                case _:
                    raise MalformedMessage("A message came that nobody has asked for.")

    def _count(self, answer: Counted, data: bytes, *, explicit: bool) -> None:
        delivered = self.delivered
        delivered.status, delivered.comment = answer.status, answer.comment
        delivered.remaining = answer.remaining
        delivered.completed = answer.completed or 0
        delivered.failed = answer.failed or 0
        delivered.warning = answer.warning or 0
        delivered.failed_uids = ()
        if data:
            record = read_data_set(data, explicit=explicit, default="ascii").record
            delivered.failed_uids = _texts(record.get(FAILED_UIDS, ()))

    async def _take_in(self, keep: Keep, number: int, request: StoreRequest) -> None:
        """One sub-operation, answered."""
        requestor, delivered = self._requestor, self.delivered
        context = requestor.agreement.contexts[number]
        ended = False
        status = SUCCESS
        try:
            async with keep(
                request.sop_class, request.sop_uid, context.transfer_syntax, self._sender
            ) as arriving:
                while not ended:
                    piece = await requestor.piece()
                    ended = piece.last
                    await arriving.write(piece.data)
                kept = await arriving.commit()
            delivered.stored.add(request.sop_uid)
            delivered.studies[kept.study_uid] = None
        except NotKept as fault:
            while not ended:
                ended = (await requestor.piece()).last
            status = STATUSES[fault.why]
            delivered.refused[request.sop_uid] = fault.what
        response = StoreResponse(
            responded_id=request.message_id,
            status=status,
            sop_class=request.sop_class,
            sop_uid=request.sop_uid,
        )
        await requestor.channel.send(number, response)


def _texts(value: Sequence[object]) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str))
