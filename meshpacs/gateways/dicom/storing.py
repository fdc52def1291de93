"""C-STORE as SCP: a data set goes piece by piece into the archive's door (PS3.4 annex B).

An instance that goes from a task to a thread and back several times waits for each to wake, on a
machine with nothing else to do longer than the disk takes. So while a sender sends, one thread
reads its socket, writes, makes durable and answers, instance after instance; the event loop has the
association back when the sender pauses, or says anything else. Where no thread can be had, and over
TLS, the event loop reads, and makes a trip to a thread for each write.
"""

from collections.abc import Callable
from functools import partial

import structlog
import trio

from meshpacs.dimse.commands import StoreRequest, StoreResponse
from meshpacs.dimse.messages import Piece
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
from meshpacs.gateways.dicom.lent import Lent
from meshpacs.node.mesh import Arriving
from meshpacs.node.views import Kept, NotKept, Why

log = structlog.get_logger()

STATUSES = {
    Why.NO_ROOM: STORE_OUT_OF_RESOURCES,
    Why.MISMATCH: STORE_DATA_SET_MISMATCH,
    Why.UNREADABLE: STORE_CANNOT_UNDERSTAND,
    Why.FAILED: PROCESSING_FAILURE,
}
"""PS3.4 table B.2-1, and PS3.7 C.5.13 for what is our own fault."""


MIXED = "Another SOP class was negotiated for this context."


PAUSE_S = 0.05
"""Seconds without a byte after which a thread gives an association back; also what a stop may have
to wait for. A guess: senders read their next file in a few milliseconds."""

DWELL_S = 2.0
"""Seconds after which a thread gives an association back, that others may have a turn. A guess."""

DISCARD_S = 5.0
"""Seconds that throwing away what was not stored may take, when its sender is gone. A guess."""


class Storing:
    """The C-STOREs of one association, one after the other."""

    def __init__(self, caller: Caller, fits: Callable[[int], bool]) -> None:
        """`fits`: whether the caller may store on that context."""
        self._caller = caller
        self._fits = fits
        self._incoming: _Incoming | None = None

    async def serve(self, number: int, request: StoreRequest) -> None:
        """Take in an instance, and what is stored right behind it.

        Each is durable before it is answered with success.
        """
        self._incoming = _Incoming(self._caller, number, request)
        try:
            while self._incoming is not None:
                await self._hurry()
                if self._incoming is not None:
                    await self._plod(self._incoming)
        finally:
            if self._incoming is not None:
                with trio.move_on_after(DISCARD_S, shield=True):
                    await self._incoming.discard()

    async def _hurry(self) -> None:
        """Have a thread go on, as long as the sender does, if there is one."""
        caller = self._caller
        if caller.channel.lendable:
            async with caller.channel.lent(DWELL_S) as lent:
                await caller.mesh.dwell(partial(self._dwell, lent))
            caller.touched_s = trio.current_time()

    def _dwell(self, lent: Lent) -> None:
        while (found := self._caller.take_lent(lent, PAUSE_S)) is not None:
            if isinstance(found, Piece):
                assert self._incoming is not None, "data follows what announced it"
                self._incoming.take_here(found)
                if found.last:
                    done, self._incoming = self._incoming, None
                    lent.send(done.number, done.response())
            elif isinstance(found.command, StoreRequest) and self._fits(found.context):
                self._incoming = _Incoming(self._caller, found.context, found.command)
            else:
                self._caller.leave(found)
                return

    async def _plod(self, incoming: "_Incoming") -> None:
        """Wait for one piece, and take it in."""
        piece = await self._caller.piece()
        await incoming.take(piece)
        if piece.last:
            self._incoming = None
            await self._caller.respond(incoming.number, incoming.response())


class _Incoming:
    """One instance on its way in."""

    def __init__(self, caller: Caller, number: int, request: StoreRequest) -> None:
        """Nothing of it has come."""
        self.number = number
        self._caller = caller
        self._request = request
        self._answer = SUCCESS, "", ""
        """Status, Error Comment, and what is said here."""
        self._arriving: Arriving | None = None
        """None once it is kept, or was refused: then the rest of it passes."""
        context = caller.context(number)
        if request.sop_class == context.abstract_syntax:
            self._arriving = caller.mesh.arrival(
                request.sop_class, request.sop_uid, context.transfer_syntax, caller.title
            )
        else:
            self._answer = SOP_CLASS_NOT_SUPPORTED, MIXED, MIXED

    async def take(self, piece: Piece) -> None:
        """Take its next piece; with the last one it is kept."""
        arriving = self._arriving
        if arriving is None:
            return
        try:
            await arriving.write(piece.data)
            if piece.last:
                self._kept(await arriving.commit())
        except NotKept as fault:
            await arriving.discard()
            self._refused(fault)

    def take_here(self, piece: Piece) -> None:
        """The same in a thread."""
        arriving = self._arriving
        if arriving is None:
            return
        try:
            arriving.write_here(piece.data)
            if piece.last:
                self._kept(arriving.commit_here())
        except NotKept as fault:
            arriving.discard_here()
            self._refused(fault)

    def _kept(self, kept: Kept) -> None:
        self._arriving = None
        self._caller.done[kept.outcome] += kept.outcome != "stored"

    def _refused(self, fault: NotKept) -> None:
        self._arriving = None
        self._answer = STATUSES[fault.why], comment_on_refused(fault), fault.what

    async def discard(self) -> None:
        """Leave nothing behind: the rest of it does not come."""
        if self._arriving is not None:
            await self._arriving.discard()

    def response(self) -> StoreResponse:
        """Its answer, which is counted."""
        status, comment, what = self._answer
        request, caller = self._request, self._caller
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
        return StoreResponse(
            responded_id=request.message_id,
            status=status,
            comment=comment,
            sop_class=request.sop_class,
            sop_uid=request.sop_uid,
        )
