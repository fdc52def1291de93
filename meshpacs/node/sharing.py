"""DICOM machines that one member's node sends to for others (PROTOCOL 12).

Only the node that shares a machine can reach it: so that node fetches and sends, and whoever was
asked by a C-MOVE passes the order on and is told how far it is.
"""

import shlex
from collections import Counter

import structlog
import trio

from meshpacs.dimse.statuses import CANNOT_PERFORM_SUB_OPERATIONS, SUCCESS
from meshpacs.links.delivery import carry_out, place, take_order
from meshpacs.links.link import Link
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.errors import LocalFault, PeerFault, Unavailable
from meshpacs.model.ids import NodeId, short
from meshpacs.model.limits import DELIVERIES, DELIVERIES_OF_ONE
from meshpacs.model.member import Role
from meshpacs.node.mesh import Courier
from meshpacs.node.rooms import Rooms
from meshpacs.node.views import OrderLost, SharedView

log = structlog.get_logger()

EVERYBODY = "*"
"""In `dicom.shared_for`: every member."""


class Sharing:
    """This node's part in it: as who shares, and as who passes on."""

    def __init__(self, rooms: Rooms) -> None:
        """Nothing is carried out before there is a courier."""
        self._rooms = rooms
        self._served: Counter[NodeId] = Counter()
        self.courier: Courier | None = None
        """The DICOM front door, which knows how to send."""

    # ------------------------------------------------------------ who shares what

    def sharers(self, title: str) -> tuple[NodeId, ...]:
        """Other members that send to this machine, in the order of their ids."""
        rooms = self._rooms
        return tuple(
            node
            for node, member in rooms.roster.members().items()
            if node != rooms.node and member.role is Role.MEMBER and title in member.destinations
        )

    def views(self) -> tuple[SharedView, ...]:
        """What other members share, by title."""
        rooms, names = self._rooms, self._rooms.names()
        shared = [
            SharedView(title, node, names[node])
            for node, member in rooms.roster.members().items()
            if node != rooms.node and member.role is Role.MEMBER
            for title in member.destinations
        ]
        return tuple(sorted(shared, key=lambda view: (view.title, view.name)))

    # ------------------------------------------------------------ passing on

    async def deliver(self, member: NodeId, order: Order, tally: Tally, stop: trio.Event) -> Ending:
        """Have another member carry out an order; see `mesh.Mesh.deliver`."""
        switchboard = self._rooms.switchboard
        log.info(
            "delivery_passed_on",
            peer=short(member),
            destination=order.destination,
            studies=len(order.studies),
        )
        try:
            async with switchboard.delivery(member) as link:
                try:
                    return await place(link, order, tally, stop)
                except Unavailable as lost:
                    raise OrderLost(lost.what, lost.mend) from lost
        except PeerFault as fault:
            switchboard.blame(member, fault.what)
            raise
        except Unavailable as fault:
            log.warning("delivery_failed", peer=short(member), cause=fault.what)
            raise

    async def check(self, title: str) -> SharedView:
        """Have the member that shares this machine ask whether it is there (C-ECHO).

        Raises:
            LocalFault: not exactly one other member shares a machine of that title.
            Unavailable: the member cannot be reached, or not the machine from there.
        """
        shared = [view for view in self.views() if view.title == title]
        if len(shared) != 1:
            names = ", ".join(view.name for view in shared)
            raise LocalFault(
                f"{title} is shared by {names}." if shared else f"No member shares {title}.",
                "`meshpacs dicom ae list` shows what is known.",
            )
        (view,) = shared
        try:
            ending = await self.deliver(view.node, Order(title), Tally(0), trio.Event())
        except (PeerFault, Unavailable) as fault:
            raise Unavailable(
                f"{title} is reached through {view.name}, and that node not: {fault.what}",
                fault.mend,
            ) from fault
        if ending.status != SUCCESS:
            said = ending.comment.rstrip(".")
            raise Unavailable(
                f"{title} is reached through {view.name}, which says: {said}.",
                f"`meshpacs dicom check {shlex.quote(title)}` at {view.name} says more.",
            )
        return view

    # ------------------------------------------------------------ carrying out

    async def serve(self, link: Link) -> None:
        """Carry out one member's order. Never raises for what the member does."""
        peer = link.peer
        began_s = trio.current_time()
        try:
            order = await take_order(link)
            ending = await self._carried_out(link, order)
        except PeerFault as fault:
            self._rooms.switchboard.blame(peer, fault.what)
        except Unavailable as lost:
            log.info("delivery_ended", peer=short(peer), cause=lost.what)
        else:
            log.info(
                "delivery_carried_out",
                peer=short(peer),
                destination=order.destination,
                studies=len(order.studies),
                status=f"{ending.status:04X}",
                comment=ending.comment,
                took_ms=round((trio.current_time() - began_s) * 1000),
            )

    async def _carried_out(self, link: Link, order: Order) -> Ending:
        peer, courier = link.peer, self.courier
        refusal = self._refusal(peer, order)
        if courier is None or refusal:

            async def refuse(order: Order, tally: Tally, stop: trio.Event) -> Ending:
                del order, tally, stop
                await trio.lowlevel.checkpoint()
                return Ending(CANNOT_PERFORM_SUB_OPERATIONS, refusal or "IT HAS NOT STARTED YET")

            return await carry_out(link, order, refuse)
        self._served[peer] += 1
        try:
            return await carry_out(link, order, courier)
        finally:
            self._served -= Counter((peer,))  # and forgets who has none

    def _refusal(self, peer: NodeId, order: Order) -> str:
        """Why this member's order is not carried out; empty if it is."""
        rooms = self._rooms
        member = rooms.roster.members().get(peer)
        # PROTOCOL 12.6
        allowed = rooms.config.config.shared_for
        if member is None or member.role is not Role.MEMBER:
            return "NOT OF ROLE MEMBER"
        if EVERYBODY not in allowed and not rooms.is_named(peer, allowed):
            log.warning(
                "delivery_refused",
                peer=short(peer),
                name=member.name,
                destination=order.destination,
                mend=f"Add {member.name!r} or its id {peer.hex()} to dicom.shared_for.",
            )
            return "THIS MEMBER MAY NOT USE ITS DESTINATIONS"
        if self._served.total() >= DELIVERIES or self._served[peer] >= DELIVERIES_OF_ONE:
            return "TOO MANY ORDERS AT ONCE"
        return ""
