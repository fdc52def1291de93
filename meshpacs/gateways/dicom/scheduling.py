"""C-FIND of a modality worklist as SCP: what this modality is to do today (PS3.4 annex K)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import trio

from meshpacs.dimse.commands import FindRequest, FindResponse
from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.faults import MalformedIdentifier
from meshpacs.dimse.statuses import (
    CANCELLED,
    PENDING,
    PENDING_IGNORED_KEYS,
)
from meshpacs.dimse.worklist import Wanted, read_wanted, write_step
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.finding import refused
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.model.matching import flat_matcher
from meshpacs.model.query import Rules
from meshpacs.node.dictionary import lexicon, vr_of
from meshpacs.node.worklist import Step, Worklist

LISTING_S = 10.0
"""Seconds that reading the folder may take: it may be on a share that hangs. A guess."""

LISTINGS = trio.CapacityLimiter(4)
"""Threads that read it at once. A guess; of their own, so that a share that hangs holds up nobody
but those who ask what lies on it."""

COMBINED = Rules(combined_datetime=True)
"""Two ranges for a step's start are one range of moments (PS3.4 table K.6-1)."""


@dataclass(frozen=True, slots=True)
class _Answer:
    wanted: Wanted
    steps: tuple[Step, ...]


async def find_steps(
    caller: Caller,
    worklist: Worklist,
    number: int,
    request: FindRequest,
    data: bytes | None,
    operation: Operation,
) -> None:
    """Answer a C-FIND; `data` is None where the identifier was too large to be kept."""
    explicit = caller.context(number).transfer_syntax == EXPLICIT_LITTLE
    end = FindResponse(responded_id=request.message_id, sop_class=request.sop_class, status=0)
    try:
        found = await _in_time(partial(_answered, caller, worklist, data, explicit=explicit))
    except MeshError as fault:
        end = refused(end, fault, caller.title)
    else:
        status = PENDING_IGNORED_KEYS if found.wanted.ignored else PENDING
        pending = replace(end, has_data=True, status=status)
        for step in found.steps:
            if operation.cancelled:
                end = replace(end, status=CANCELLED)
                break
            row = write_step(found.wanted, step.record, lexicon, explicit=explicit)
            await caller.respond(number, pending, row)
    caller.done["scheduled"] += 1
    operation.answered = True
    await caller.respond(number, end)


async def _in_time(answered: Callable[[], _Answer]) -> _Answer:
    """Done in a thread, which is left behind if it takes too long.

    Raises:
        Unavailable: it has taken too long.
    """
    with trio.move_on_after(LISTING_S):
        return await trio.to_thread.run_sync(answered, limiter=LISTINGS, abandon_on_cancel=True)
    raise Unavailable(
        f"The worklist's folder has not been read within {LISTING_S:.0f} s.",
        "Look whether it is on a share that does not answer.",
    )


def _answered(caller: Caller, worklist: Worklist, data: bytes | None, *, explicit: bool) -> _Answer:
    """In a thread: files are read here."""
    if data is None:
        raise MalformedIdentifier("The identifier is too large.")
    read = read_data_set(data, explicit=explicit, default=caller.default_codec, known=vr_of)
    wanted = read_wanted(read, lexicon)
    test = flat_matcher(wanted.keys, COMBINED, lexicon)
    steps = worklist.listing(caller.called).steps
    return _Answer(wanted, tuple(step for step in steps if test(step.record)))
