"""C-FIND as SCU: what another DICOM archive answers (PS3.4 C.4.1)."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from meshpacs.dimse.commands import CancelRequest, FindRequest, FindResponse
from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.dimse.elements import UTF_8, read_data_set
from meshpacs.dimse.faults import MalformedMessage
from meshpacs.dimse.identifiers import ANSWERED, write_query
from meshpacs.dimse.services import STUDY_ROOT_FIND
from meshpacs.dimse.statuses import PENDING, is_pending
from meshpacs.dimse.syntaxes import LITTLE
from meshpacs.gateways.dicom.requesting import Machine, Requestor, Wish, associated
from meshpacs.model.attributes import UNIQUE_KEYS, Level, Record, Value, levels_to
from meshpacs.model.errors import PeerFault, Unavailable

ROW_S = 60.0
"""Seconds between two responses. A guess: some archives search for long."""


CANCEL_S = 10.0
"""Seconds that an archive has to end what was cancelled; some go on to the last row. A guess."""

CLASSES_S = 20.0
"""Seconds that an archive may take to say of what classes studies are: who cannot say it soon is
asked without. A guess."""

CLASSES_ROWS = 1000
"""Studies whose classes are looked at. A guess."""

SOP_CLASSES_IN_STUDY = 0x0008_0062


@dataclass(frozen=True, slots=True)
class Answer:
    """What an archive has answered."""

    rows: tuple[Record, ...]
    status: int
    comment: str
    cut: bool
    """There were more rows than were wanted; the rest was cancelled."""


async def ask(
    requestor: Requestor,
    sop_class: str,
    level: Level,
    keys: Sequence[tuple[int, Value]],
    *,
    limit: int,
) -> Answer:
    """Ask, and take the rows up to a limit.

    Raises:
        Unavailable: the peer does not offer this, or is gone.
        PeerFault: the peer breaks the protocol.
    """
    contexts = requestor.agreement.of(sop_class)
    if not contexts:
        raise Unavailable(
            "It has accepted the association, but not that it is asked (C-FIND).",
            "It may have to be told that we may ask.",
        )
    context = contexts[0]
    explicit = context.transfer_syntax == EXPLICIT_LITTLE
    wanted = dict(keys)
    for above in levels_to(level):
        if above is level or UNIQUE_KEYS[above] in wanted:
            wanted.setdefault(UNIQUE_KEYS[above], ())
    request = FindRequest(has_data=True, message_id=requestor.next_id(), sop_class=sop_class)
    data = write_query(level, tuple(wanted.items()), explicit=explicit, terms=UTF_8)
    await requestor.channel.send(context.id, request, data)
    rows: list[Record] = []
    cut = False
    until_s = math.inf
    while True:
        with trio.move_on_at(min(until_s, trio.current_time() + ROW_S)):
            _, answer, row = await requestor.receive()
            if not isinstance(answer, FindResponse) or answer.responded_id != request.message_id:
                raise MalformedMessage("A response came to what nobody has asked.")
            if not is_pending(answer.status):
                return Answer(tuple(rows), answer.status, answer.comment, cut)
            if trio.current_time() >= until_s:
                return Answer(tuple(rows), answer.status, answer.comment, cut)
            if len(rows) < limit:
                rows.append(_record(row, explicit=explicit))
            elif not cut:
                cut = True
                until_s = trio.current_time() + CANCEL_S
                cancel = CancelRequest(responded_id=request.message_id)
                await requestor.channel.send(context.id, cancel)
            continue
        if cut:
            return Answer(tuple(rows), PENDING, "", cut)
        raise Unavailable(f"It has not answered for {ROW_S:.0f} s.")


async def classes_of(
    machine: Machine, keys: Sequence[tuple[int, Value]], beside: str
) -> tuple[str, ...]:
    """The SOP classes of the studies with these keys, as far as an archive says.

    `beside`: what else the archive is to be asked for, so that it does not reject an association
    on which it can do nothing.

    Raises:
        Unavailable: it cannot be reached; the error says what is at fault.
    """
    pairs = ((STUDY_ROOT_FIND, LITTLE), (beside, LITTLE))
    wish = Wish(machine.called, machine.calling, pairs)
    async with associated(machine.host, machine.port, wish, tls=machine.tls) as requestor:
        wanted = (*keys, (SOP_CLASSES_IN_STUDY, ()))
        rows: tuple[Record, ...] = ()
        with trio.move_on_after(CLASSES_S), contextlib.suppress(Unavailable, PeerFault):
            answer = await ask(requestor, STUDY_ROOT_FIND, Level.STUDY, wanted, limit=CLASSES_ROWS)
            rows = answer.rows
    found = (uid for row in rows for uid in row.get(SOP_CLASSES_IN_STUDY, ()))
    return tuple(dict.fromkeys(uid for uid in found if isinstance(uid, str)))


def _record(row: bytes, *, explicit: bool) -> Record:
    read = read_data_set(row, explicit=explicit, default="latin_1")
    return {tag: value for tag, value in read.record.items() if tag not in ANSWERED}
