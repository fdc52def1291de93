"""C-STORE as SCP: a data set goes piece by piece into the archive's door (PS3.4 annex B)."""

import structlog

from meshpacs.dimse.commands import StoreRequest, StoreResponse
from meshpacs.dimse.statuses import (
    PROCESSING_FAILURE,
    SOP_CLASS_NOT_SUPPORTED,
    STORE_CANNOT_UNDERSTAND,
    STORE_DATA_SET_MISMATCH,
    STORE_OUT_OF_RESOURCES,
    SUCCESS,
)
from meshpacs.gateways.dicom.caller import Caller
from meshpacs.gateways.dicom.comments import comment_on_refused
from meshpacs.node.views import NotKept, Why

log = structlog.get_logger()

STATUSES = {
    Why.NO_ROOM: STORE_OUT_OF_RESOURCES,
    Why.MISMATCH: STORE_DATA_SET_MISMATCH,
    Why.UNREADABLE: STORE_CANNOT_UNDERSTAND,
    Why.FAILED: PROCESSING_FAILURE,
}
"""PS3.4 table B.2-1, and PS3.7 C.5.13 for what is our own fault."""


MIXED = "Another SOP class was negotiated for this context."


async def store(caller: Caller, number: int, request: StoreRequest) -> None:
    """Take in one instance; it is durable before it is answered with success."""
    status, comment, what = await _stored(caller, number, request)
    if status == SUCCESS:
        caller.done["stored"] += 1
    else:
        caller.done["not_stored"] += 1
        log.warning(
            "dicom_instance_refused",
            sop_instance=request.sop_uid,
            calling=caller.title,
            host=caller.host,
            status=f"{status:04X}",
            what=what,
        )
    await caller.respond(
        number,
        StoreResponse(
            responded_id=request.message_id,
            status=status,
            comment=comment,
            sop_class=request.sop_class,
            sop_uid=request.sop_uid,
        ),
    )


async def _stored(caller: Caller, number: int, request: StoreRequest) -> tuple[int, str, str]:
    """Status, Error Comment, and what is said here."""
    context = caller.context(number)
    if request.sop_class != context.abstract_syntax:
        await caller.drain()
        return SOP_CLASS_NOT_SUPPORTED, MIXED, MIXED
    ended = False
    try:
        async with caller.mesh.arrival(
            request.sop_class, request.sop_uid, context.transfer_syntax, caller.title
        ) as arrival:
            while not ended:
                piece = await caller.piece()
                ended = piece.last
                await arrival.write(piece.data)
            kept = await arrival.commit()
    except NotKept as fault:
        if not ended:
            await caller.drain()
        return STATUSES[fault.why], comment_on_refused(fault), fault.what
    caller.done[kept.outcome] += kept.outcome != "stored"
    return SUCCESS, "", ""
