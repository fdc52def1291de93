"""An association that a request for commitment came on, as the first way to report on it."""

from functools import partial

import trio

from meshpacs.dimse.commitment import Report, event_request, write_report
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, Context
from meshpacs.gateways.dicom.caller import Caller
from meshpacs.gateways.dicom.reporting import ANSWER_S, report_answered
from meshpacs.model.errors import Unavailable

QUIET_S = 1.0
"""Seconds that an association must have been quiet before a report is sent on it. A guess: who does
not wait for it there releases at once, and would meet it where it expects the answer to that."""

LOOK_S = 0.1
"""Between two looks whether it is quiet."""

FREE_S = 60.0
"""Seconds that a report waits for an association on which other things go on. A guess."""


class Line:
    """The association that a request came on, on which it may be reported (PS3.4 J.3.3)."""

    def __init__(self, caller: Caller, context: Context) -> None:
        """Its requestor is the SCU of `context`, so we are the SCP who may report there."""
        self._caller = caller
        self._context = context

    async def report(self, report: Report) -> None:
        """Send it as soon as the association is quiet, and wait for the answer.

        Raises:
            Unavailable: it is over, or does not come to be quiet, or the answer is a failure.
        """
        caller, telling = self._caller, self._caller.telling
        explicit = self._context.transfer_syntax == EXPLICIT_LITTLE
        data = await trio.to_thread.run_sync(partial(write_report, report, explicit=explicit))
        async with telling.turn:
            await self._quiet()
            request = event_request(telling.next_id(), report.event_type)
            await caller.channel.send(self._context.id, request, data)
            with trio.move_on_after(ANSWER_S):
                await telling.answer_came.wait()
            report_answered(telling.answer)

    async def _quiet(self) -> None:
        caller = self._caller
        until_s = trio.current_time() + FREE_S
        while not caller.over.is_set() and trio.current_time() < until_s:
            left_s = caller.touched_s + QUIET_S - trio.current_time()
            if caller.idle and left_s <= 0:
                return
            with trio.move_on_after(max(left_s, LOOK_S)):
                await caller.over.wait()
        raise Unavailable("The association has ended, or other things go on there.")
