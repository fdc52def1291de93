"""The two ways by which retrieved instances reach their receiver."""

from collections.abc import Iterable
from contextlib import AsyncExitStack

import trio

from meshpacs.dimse.commands import MEDIUM, StoreRequest, StoreResponse
from meshpacs.dimse.contexts import Context
from meshpacs.dimse.faults import MalformedMessage
from meshpacs.dimse.syntaxes import find_syntax
from meshpacs.gateways.dicom.caller import Caller, Operation
from meshpacs.gateways.dicom.requesting import Machine, Requestor, Wish, associated
from meshpacs.gateways.dicom.sending import (
    CannotSend,
    Originator,
    context_for,
    pairs_for,
    pairs_of,
    send_instance,
)
from meshpacs.model.content import Entry
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.limits import PRESENTATION_CONTEXTS
from meshpacs.node.mesh import Retrieving

SUB_OPERATION_S = 120.0
"""Seconds that a receiver has to answer one C-STORE. A guess: some write to slow shares."""

ATTEMPTS = 2
"""For one instance: a receiver may have ended the association while the mesh was waited for; with
Orthanc's defaults it does after 30 s without a message."""

CUTS_MOST = 4
"""Associations in a row that end before an instance was answered, until the receiver is given up:
two instances. A guess."""


class NoRetrieval(Exception):
    """The whole retrieval is answered with this status."""

    def __init__(self, status: int, comment: str = "", offending: tuple[int, ...] = ()) -> None:
        """`comment` goes to the requestor as Error Comment, `offending` are tags."""
        super().__init__(comment)
        self.status, self.comment, self.offending = status, comment, offending


class RoundTrip:
    """Sub-operations on the association that the C-GET came on."""

    def __init__(self, caller: Caller, priority: int, operation: Operation) -> None:
        """Of one C-GET, whose responses to us `operation` is told of."""
        self._caller = caller
        self._priority = priority
        self._operation = operation
        self._last_id = 0

    async def store(self, source: Retrieving, entry: Entry) -> int:
        """Send one instance; the receiver's status.

        Raises:
            CannotSend: it cannot be sent; the next one may be.
            Unavailable: the association is gone.
        """
        caller, operation = self._caller, self._operation
        channel = caller.channel
        prefer = caller.book.prefers(caller.title, caller.host)
        context = context_for(
            entry,
            channel.agreement,
            to_scp=True,
            decodable=caller.mesh.decodable,
            prefer=prefer,
        )
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


NOBODY = Originator()


class Delivery:
    """Instances on associations of ours, each for at most 128 pairs of syntaxes: of a C-MOVE's
    sub-operations, or of whoever sends.
    """

    def __init__(
        self,
        whom: Machine,
        entries: Iterable[Entry],
        stack: AsyncExitStack,
        *,
        priority: int = MEDIUM,
        originator: Originator = NOBODY,
        decodable: frozenset[str] = frozenset(),
    ) -> None:
        """Associations that are opened end with `stack`.

        `originator`: whose C-MOVE it is. `decodable`: compressed transfer syntaxes that the source
        of the instances can decode.
        """
        self._whom = whom
        self._priority, self._originator = priority, originator
        self._stack = stack
        self._decodable = decodable
        self._prefer = find_syntax(whom.prefer)
        pairs = pairs_for(entries, self._decodable, self._prefer)
        most = PRESENTATION_CONTEXTS
        self._batches = [pairs[at : at + most] for at in range(0, len(pairs), most)]
        self._batch_of = {pair: n // most for n, pair in enumerate(pairs)}
        self._open: dict[int, tuple[Requestor, AsyncExitStack]] = {}
        self._cuts = 0
        self._gone: str = ""

    async def begin(self) -> None:
        """Reach the receiver once, so that all fails at once if it cannot be.

        Raises:
            Unavailable, PeerFault: the error says what is at fault.
        """
        await self._requestor(0)

    async def _requestor(self, batch: int) -> Requestor:
        if batch not in self._open:
            whom = self._whom
            wish = Wish(whom.called, whom.calling, self._batches[batch])
            stack = await self._stack.enter_async_context(AsyncExitStack())
            way = associated(whom.host, whom.port, wish, tls=whom.tls)
            requestor = await stack.enter_async_context(way)
            self._open[batch] = requestor, stack
        return self._open[batch][0]

    async def _abort(self, requestor: Requestor) -> None:
        """Of what was begun nothing must look whole; the next instance has an association anew."""
        await requestor.channel.abort()
        for batch, (known, stack) in tuple(self._open.items()):
            if known is requestor:
                del self._open[batch]
                await stack.aclose()

    async def _way_for(self, entry: Entry) -> tuple[Requestor, Context]:
        """The best, or else another, which may have been proposed in another batch."""
        refused = CannotSend("Nothing was proposed for it.")
        pairs = pairs_of(entry, self._decodable, self._prefer)
        for batch in dict.fromkeys(self._batch_of[pair] for pair in pairs):
            requestor = await self._requestor(batch)
            try:
                context = context_for(
                    entry,
                    requestor.agreement,
                    to_scp=False,
                    decodable=self._decodable,
                    prefer=self._prefer,
                )
            except CannotSend as refusal:
                refused = refusal
            else:
                return requestor, context
        raise refused

    async def store(self, source: Retrieving, entry: Entry) -> int:
        """Send one instance; the receiver's status.

        Raises:
            CannotSend: it cannot be sent, or nothing can be any more.
        """
        what = ""
        for _ in range(ATTEMPTS):
            if self._gone:
                raise CannotSend(self._gone)
            try:
                requestor, context = await self._way_for(entry)
            except (Unavailable, PeerFault) as fault:
                self._gone = fault.what
                raise CannotSend(fault.what) from fault
            try:
                status = await self._sent(requestor, context, source, entry)
            except (Unavailable, PeerFault, trio.TooSlowError) as fault:
                what = str(fault) or f"No answer within {SUB_OPERATION_S:.0f} s."
                self._cuts += 1
                if self._cuts >= CUTS_MOST or isinstance(fault, trio.TooSlowError):
                    self._gone = f"The destination is given up: {what}"
                await self._abort(requestor)
            else:
                self._cuts = 0
                return status
        raise CannotSend(what)

    async def _sent(
        self, requestor: Requestor, context: Context, source: Retrieving, entry: Entry
    ) -> int:
        request = StoreRequest(
            has_data=True,
            message_id=requestor.next_id(),
            sop_class=entry.sop_class,
            sop_uid=entry.sop_uid,
            priority=self._priority,
            originator=self._originator.title,
            originator_id=self._originator.message_id,
        )
        await send_instance(requestor.channel, context, request, source, entry)
        with trio.fail_after(SUB_OPERATION_S):
            answer = await requestor.answer(request)
        if not isinstance(answer, StoreResponse):
            raise MalformedMessage("A C-STORE was answered with something else.")
        return answer.status
