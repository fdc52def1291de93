"""Sends to this node's own machines what other members have ordered (PROTOCOL 12.4)."""

from collections.abc import Callable

import structlog
import trio

from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.dimse.services import VERIFICATION
from meshpacs.dimse.statuses import (
    CANCELLED,
    CANNOT_PERFORM_SUB_OPERATIONS,
    MOVE_DESTINATION_UNKNOWN,
    SUCCESS,
)
from meshpacs.gateways.dicom.caller import Operation
from meshpacs.gateways.dicom.carrying import Carrying, by_delivery, log_failures
from meshpacs.gateways.dicom.comments import comment_on_machine
from meshpacs.gateways.dicom.delivery import NoRetrieval
from meshpacs.gateways.dicom.requesting import Machine, Wish, associated, verify
from meshpacs.gateways.dicom.sending import Originator
from meshpacs.gateways.dicom.titles import Allowing
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.errors import MeshError
from meshpacs.model.limits import DELIVERY_INSTANCES
from meshpacs.node.book import Entry
from meshpacs.node.credentials import Credentials, tls_for
from meshpacs.node.mesh import Mesh

log = structlog.get_logger()


class Courier:
    """Implements `mesh.Courier`."""

    def __init__(
        self,
        mesh: Mesh,
        book: Allowing,
        ours: Callable[[], tuple[str, ...]],
        credentials: Callable[[], Credentials | None],
    ) -> None:
        """`ours` are the titles that we answer to, as configured now; we call by the first."""
        self._mesh = mesh
        self._book = book
        self._ours = ours
        self._credentials = credentials

    async def __call__(self, order: Order, tally: Tally, stop: trio.Event) -> Ending:
        """Carry out one order: a task's top, as it is for who asks over our own door."""
        known = self._book.destination(order.destination)
        if len(known) != 1 or not known[0].shared:
            return Ending(MOVE_DESTINATION_UNKNOWN, "NOT SHARED ANY MORE")
        operation = Operation(order.originator_id)
        ending = Ending(CANNOT_PERFORM_SUB_OPERATIONS, "IT HAS MET A FAULT OF ITS OWN")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancelled_by, stop, operation)
            try:
                ending = await self._sent(known[0], order, tally, operation)
            except Exception:
                # What a machine or an archive does here must not end the node.
                log.exception("delivery_failed", destination=order.destination)
            nursery.cancel_scope.cancel()
        return ending

    async def _sent(self, known: Entry, order: Order, tally: Tally, operation: Operation) -> Ending:
        try:
            tls = tls_for(known, self._credentials())
            whom = Machine(known.host, known.port, known.title, self._ours()[0], tls, known.prefer)
            if not order.studies:
                await _verified(whom)
            else:
                originator = Originator(order.originator, order.originator_id)
                carrying = Carrying(self._mesh, operation, tally, order.originator)
                way = by_delivery(
                    whom, order.priority, originator, self._mesh.decodable, most=DELIVERY_INSTANCES
                )
                await carrying.run(order.studies, order.series, order.instances, way)
        except NoRetrieval as refusal:
            log.warning("delivery_refused_there", destination=known.title, what=refusal.comment)
            return Ending(refusal.status, refusal.comment[:COMMENT_MOST])
        except MeshError as fault:
            comment = comment_on_machine(fault, known.title, known.host, known.port)
            return Ending(CANNOT_PERFORM_SUB_OPERATIONS, comment[:COMMENT_MOST])
        finally:
            log_failures(tally, order.originator)
        cut = operation.cancelled and (tally.remaining or not tally.total)
        return Ending(CANCELLED if cut else SUCCESS)


async def _verified(whom: Machine) -> None:
    syntaxes = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    wish = Wish(whom.called, whom.calling, ((VERIFICATION, syntaxes),))
    async with associated(whom.host, whom.port, wish, tls=whom.tls) as requestor:
        await verify(requestor)


COMMENT_MOST = 200
"""Characters of a comment that are passed on; DICOM's own has 64. A guess."""


async def _cancelled_by(stop: trio.Event, operation: Operation) -> None:
    await stop.wait()
    operation.cancel()
