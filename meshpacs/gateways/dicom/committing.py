"""Storage commitment as SCP, its first half: a request is taken in (PS3.4 J.3.2).

It is durable before it is answered; who carries it to its end is the reporter.
"""

from functools import partial

import structlog
import trio

from meshpacs.dimse.commands import ActionRequest, ActionResponse
from meshpacs.dimse.commitment import (
    PUSH_MODEL_INSTANCE,
    Asked,
    action_refused,
    read_asked,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, Context
from meshpacs.dimse.faults import MalformedIdentifier, OversizedIdentifier
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.dimse.statuses import (
    INVALID_ARGUMENT,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
)
from meshpacs.gateways.dicom.caller import LARGE, Caller
from meshpacs.gateways.dicom.comments import comment_on
from meshpacs.gateways.dicom.line import Line
from meshpacs.gateways.dicom.reporting import Reporter
from meshpacs.model.errors import MeshError
from meshpacs.model.limits import COMMITMENT_BYTES
from meshpacs.node.commitments import NoPlace, Transaction

log = structlog.get_logger()


async def commit(caller: Caller, number: int, request: ActionRequest, reporter: Reporter) -> None:
    """Answer one N-ACTION, and have what it asks for reported."""
    context = caller.context(number)
    status, comment, asked = await _asked(caller, context, request)
    transaction: Transaction | None = None
    if asked is not None:
        try:
            transaction = await caller.mesh.commitments.keep(
                caller.title,
                caller.host,
                caller.called,
                asked.transaction_uid,
                asked.references,
            )
        except MeshError as fault:
            status = RESOURCE_LIMITATION if isinstance(fault, NoPlace) else PROCESSING_FAILURE
            comment = comment_on(fault, caller.title)
    else:
        log.warning(
            "commitment_refused",
            calling=caller.title,
            host=caller.host,
            status=f"{status:04X}",
            what=comment,
        )
    answer = ActionResponse(
        responded_id=request.message_id,
        status=status,
        comment=comment,
        sop_class=STORAGE_COMMITMENT,
        sop_uid=PUSH_MODEL_INSTANCE,
        action_type=request.action_type,
    )
    try:
        await caller.respond(number, answer)
    finally:
        if transaction is not None:
            caller.done["asked_to_commit"] += transaction.instances
            reporter.begin(transaction, Line(caller, context))


async def _asked(
    caller: Caller, context: Context, request: ActionRequest
) -> tuple[int, str, Asked | None]:
    """Status, Error Comment, and what is asked for, if it can be taken in."""
    data = b""
    try:
        if request.has_data:
            data = await caller.identifier(COMMITMENT_BYTES)
    except OversizedIdentifier as fault:
        return RESOURCE_LIMITATION, fault.what, None
    refused = action_refused(request, context.abstract_syntax)
    if refused is not None:
        return refused, "", None
    explicit = context.transfer_syntax == EXPLICIT_LITTLE
    try:
        read = partial(read_asked, data, explicit=explicit)
        asked = await trio.to_thread.run_sync(read, limiter=LARGE)
    except OversizedIdentifier as fault:
        return RESOURCE_LIMITATION, fault.what, None
    except MalformedIdentifier as fault:
        return INVALID_ARGUMENT, fault.what, None
    return SUCCESS, "", asked
