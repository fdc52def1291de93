"""All links of this node, by peer and purpose; what comes and goes over them.

The driver posts here without waiting; here live the tasks that dial and that serve one link each.
What happens to links is told to the engine in the order in which it happened.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
import trio

from meshpacs.engine.effects import Effect
from meshpacs.engine.engine import Engine
from meshpacs.links.link import Link
from meshpacs.links.precedence import Precedence
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.ids import Micros, NodeId, short
from meshpacs.model.limits import LINKS, LINKS_OF_ONE, OPEN_QUERIES, UNREACHED_HINTS
from meshpacs.model.member import Member
from meshpacs.node.meters import Meters
from meshpacs.wire.messages import Closed, Message, Part, Purpose

log = structlog.get_logger()

VISIT_WAITING = 64
"""Messages that wait for one direct link to be dialled; more cost the peer the message. A guess:
a query brings one."""

DIRECT_IDLE_S = 30.0
"""Seconds without a message after which who dialled a direct link closes it: the longest budget.
The other side closes it after twice that, so that nothing is sent into a link that is closing."""

DIRECT_SPARE_S = 5.0
"""So long before its dialler may close it a direct link is not begun to be used any more. A guess:
a round trip, and clocks that do not run alike."""

GOODBYE_S = 1.0
"""Seconds that closing a link's socket may take when everything stops. A guess."""


class Dialing(Protocol):
    """Makes a link with a member: handshake done, greetings exchanged."""

    async def __call__(self, member: Member, purpose: Purpose) -> Link:
        """Try the member's addresses.

        Raises:
            Unavailable: none of them could be reached.
            PeerFault: somebody answered who is not this member, or broke the protocol.
        """
        ...


class Told(Protocol):
    """The driver, as far as links are concerned."""

    async def tell(self, turn: Callable[[Engine, Micros], list[Effect]]) -> None:
        """Have the engine called."""
        ...


@dataclass(slots=True)
class Line:
    """One link and what the switchboard knows of it."""

    link: Link
    peer: NodeId
    active_s: float
    """When a message last went either way, trio's clock."""
    silenced: bool = False
    """Ended by us, and the engine knows: nothing more of it is told."""
    deaf: bool = False
    """The peer broke the protocol: what else it has sent is not read."""
    cut: dict[int, None] = field(default_factory=dict)
    """Tokens whose parts a full outbox has cost the peer, until they are closed."""


class Switchboard:
    """The links of one node."""

    def __init__(
        self,
        *,
        members: Callable[[], Mapping[NodeId, Member]],
        dial: Dialing,
        precedence: Precedence,
        meters: Meters,
        on_bulk: Callable[[Link], Awaitable[None]],
    ) -> None:
        """`members` are those in force; `precedence` says which of two control links stays.

        `on_bulk` serves a bulk or delivery link that a member has dialled, to its end.
        """
        self._members = members
        self._dial_link = dial
        self._precedence = precedence
        self.meters = meters
        self._on_bulk = on_bulk
        self._driver: Told
        self._nursery: trio.Nursery
        self._lines: dict[NodeId, list[Line]] = {}
        self._control: dict[NodeId, Line] = {}
        self._direct: dict[NodeId, Line] = {}
        self._dialling: dict[NodeId, None] = {}
        self._waiting: dict[NodeId, list[Message]] = {}
        """Messages for members whose direct link is being dialled."""
        self.count = 0

    async def run(self, driver: Told, *, task_status: trio.TaskStatus[None]) -> None:
        """Dial when told to, until cancelled; what was dialled ends with it."""
        self._driver = driver
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def dialling(self, peer: NodeId) -> bool:
        """Whether a control link is being made."""
        return peer in self._dialling

    def lines(self, peer: NodeId) -> tuple[Link, ...]:
        """All links with this peer."""
        return tuple(line.link for line in self._lines.get(peer, ()))

    def links(self) -> tuple[Link, ...]:
        """All links that are up."""
        return tuple(line.link for lines in self._lines.values() for line in lines)

    def control(self, peer: NodeId) -> Link | None:
        """The control link with this peer."""
        line = self._control.get(peer)
        return None if line is None else line.link

    # ------------------------------------------------------------ what the driver wants

    def post(self, peer: NodeId, message: Message) -> None:
        """Put it into the outbox of the control link; a full outbox costs the peer the message."""
        line = self._control.get(peer)
        if line is not None:
            self._post(line, message)

    def visit(self, peer: NodeId, message: Message) -> None:
        """Post it over a direct link, dialled if need be.

        Not over a control link that is up: the engine visits a neighbour when that link is silent.
        """
        line = self._direct.get(peer)
        if line is not None and _stays(line):
            self._post(line, message)
        elif peer not in self._waiting:
            self._waiting[peer] = [message]
            self._nursery.start_soon(self._visit, peer)
        elif len(self._waiting[peer]) < VISIT_WAITING:
            self._waiting[peer].append(message)
        else:
            self._dropped(peer, message)

    def dial(self, peer: NodeId) -> None:
        """Try to make a control link."""
        if peer not in self._dialling and peer not in self._control:
            self._dialling[peer] = None
            self._nursery.start_soon(self._dial, peer)

    def hangup(self, peer: NodeId, reason: str, *, everything: bool) -> None:
        """Close the control link with this peer, or every link."""
        lines = self._lines.get(peer, [])
        if not everything:
            lines = [line for line in lines if line is self._control.get(peer)]
        for line in lines:
            line.silenced = True
            line.link.close(reason)
            # Gone for us from now on, though it may take a moment to say goodbye: the engine dials
            # again, perhaps sooner than that.
            for named in (self._control, self._direct):
                if named.get(peer) is line:
                    del named[peer]
        if lines:
            log.info("hung_up", peer=short(peer), links=len(lines), reason=reason)
            mend = "" if everything else "It is dialled again by itself."
            self.meters.of(peer).trouble(f"Hung up: {reason}.", mend, self.meters.wall())

    def blame(self, peer: NodeId, what: str) -> None:
        """Count and log a breach of the protocol."""
        meter = self.meters.of(peer)
        meter.blamed += 1
        if _worth_a_line(meter.blamed):
            log.warning("peer_blamed", peer=short(peer), what=what, so_far=meter.blamed)
        meter.trouble(what, "Compare the versions of both nodes.", self.meters.wall())

    def _post(self, line: Line, message: Message) -> None:
        if isinstance(message, Closed) and message.token in line.cut:
            # So that the origin does not take what was dropped for a member that was not asked.
            del line.cut[message.token]
            hints = (self._precedence.node, *message.unreached)
            message = replace(message, unreached=hints[:UNREACHED_HINTS])
        if line.link.post(message):
            line.active_s = trio.current_time()
            return
        self._dropped(line.peer, message)
        if isinstance(message, Part):
            line.cut[message.token] = None
            if len(line.cut) > OPEN_QUERIES:  # of waves that were cancelled and never closed
                del line.cut[next(iter(line.cut))]

    def _dropped(self, peer: NodeId, message: Message) -> None:
        meter = self.meters.of(peer)
        meter.dropped += 1
        if _worth_a_line(meter.dropped):
            log.warning(
                "outbox_full",
                peer=short(peer),
                dropped=type(message).__name__,
                dropped_so_far=meter.dropped,
            )

    # ------------------------------------------------------------ dialling

    async def _dial(self, peer: NodeId) -> None:
        link = None
        try:
            link = await self._connect(peer, Purpose.CONTROL)
        except MeshError as error:
            self._failed(peer, error, Purpose.CONTROL)
        finally:
            self._dialling.pop(peer, None)
        served = link is not None and await self.serve(link)
        if not served and peer not in self._control:
            await self._driver.tell(lambda engine, now: engine.unreachable(peer, now))

    async def _visit(self, peer: NodeId) -> None:
        served = False
        try:
            link = await self._connect(peer, Purpose.DIRECT)
        except MeshError as error:
            self._failed(peer, error, Purpose.DIRECT)
        else:
            served = await self.serve(link)
        if not served:
            del self._waiting[peer]
            await self._driver.tell(lambda engine, now: engine.unreachable(peer, now))

    @asynccontextmanager
    async def bulk(self, peer: NodeId) -> AsyncIterator[Link]:
        """A bulk link to this member, dialled for the caller and closed after.

        Raises:
            Unavailable: it cannot be had.
            PeerFault: somebody else answered.
        """
        async with self._dialled(peer, Purpose.BULK) as link:
            yield link

    @asynccontextmanager
    async def delivery(self, peer: NodeId) -> AsyncIterator[Link]:
        """The same for one order that this member is to carry out (PROTOCOL 12)."""
        async with self._dialled(peer, Purpose.DELIVERY) as link:
            yield link

    @asynccontextmanager
    async def _dialled(self, peer: NodeId, purpose: Purpose) -> AsyncIterator[Link]:
        try:
            link = await self._connect(peer, purpose)
        except MeshError as error:
            self._failed(peer, error, purpose)
            raise
        line = self._enter(link)
        try:
            yield link
        finally:
            with trio.move_on_after(GOODBYE_S, shield=True):
                await self._leave(line)

    async def _connect(self, peer: NodeId, purpose: Purpose) -> Link:
        member = self._members().get(peer)
        if member is None:
            raise Unavailable(f"{short(peer)} is no member any more.")
        if not member.addresses:
            raise Unavailable(
                f"{member.name} has not said under which address it can be reached.",
                f"Was it ever up? Start it with `meshpacs up`; else set mesh.advertise at "
                f"{member.name}.",
            )
        return await self._dial_link(member, purpose)

    def _failed(self, peer: NodeId, error: MeshError, purpose: Purpose) -> None:
        meter = self.meters.of(peer)
        if error.what != meter.last_error:  # a member that is off all night is one line, not 500
            log.info(
                "dial_failed", peer=short(peer), purpose=purpose.name.lower(), cause=error.what
            )
        meter.trouble(error.what, error.mend, self.meters.wall())

    # ------------------------------------------------------------ serving

    async def serve(self, link: Link) -> bool:
        """Serve a link of any purpose but JOIN, whose greetings are over, until it ends.

        False if it was turned away at once.
        """
        of_one = len(self._lines.get(link.peer, ()))
        if self.count >= LINKS or of_one >= LINKS_OF_ONE:
            log.warning("links_full", peer=short(link.peer), links=self.count, of_one=of_one)
            await link.aclose()
            return False
        if link.peer not in self._members():
            # Revoked while hands were shaken, after it had been recognised. PROTOCOL 1.6.
            log.info("link_refused", peer=short(link.peer), reason="it is no member any more")
            await link.aclose()
            return False
        line = self._enter(link)
        try:
            if link.purpose == Purpose.CONTROL:
                await self._serve_control(line)
            elif link.purpose == Purpose.DIRECT:
                await self._serve_direct(line)
            else:
                await self._on_bulk(link)
        finally:
            with trio.move_on_after(GOODBYE_S, shield=True):
                await self._leave(line)
        return True

    def _enter(self, link: Link) -> Line:
        line = Line(link, link.peer, trio.current_time())
        self._lines.setdefault(link.peer, []).append(line)
        self.count += 1
        log.info(
            "link_up",
            peer=short(link.peer),
            purpose=Purpose(link.purpose).name.lower(),
            address=link.address,
            outbound=link.outbound,
        )
        return line

    async def _leave(self, line: Line) -> None:
        peer = line.peer
        lines = self._lines[peer]
        lines.remove(line)
        if not lines:
            del self._lines[peer]
        self.count -= 1
        meter, counts = self.meters.of(peer), line.link.meter
        meter.bytes_in += counts.bytes_in
        meter.bytes_out += counts.bytes_out
        meter.messages_in += counts.messages_in
        meter.messages_out += counts.messages_out
        self.meters.counters.ended(line.link)
        meter.seen(self.meters.wall() if line.active_s else 0)
        await line.link.aclose()

    async def _serve_control(self, line: Line) -> None:
        peer = line.peer
        old = self._control.get(peer)
        if old is not None and not self._precedence.prefers(peer, line.link, old.link):
            log.info("link_spare", peer=short(peer), outbound=line.link.outbound)
            return
        self._control[peer] = line
        self.meters.of(peer).reached()
        if old is not None:
            old.silenced = True
            old.link.close("replaced by a newer link")

        def linked(engine: Engine, now: Micros) -> list[Effect]:
            if line.silenced:
                return []
            effects = engine.unlinked(peer, now) if old is not None else []
            return effects + engine.linked(peer, now, outbound=line.link.outbound)

        await self._driver.tell(linked)
        try:
            await self._read(line)
        finally:
            if self._control.get(peer) is line:
                del self._control[peer]
        if not line.silenced:
            line.silenced = True
            await self._driver.tell(lambda engine, now: engine.unlinked(peer, now))

    async def _serve_direct(self, line: Line) -> None:
        peer = line.peer
        self._direct[peer] = line
        if line.link.outbound:
            for message in self._waiting.pop(peer, []):
                self._post(line, message)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._close_when_idle, line)
                await self._read(line)
                nursery.cancel_scope.cancel()
        finally:
            if self._direct.get(peer) is line:
                del self._direct[peer]
        if line.link.outbound and not line.silenced:
            await self._driver.tell(lambda engine, now: engine.unreachable(peer, now))

    async def _close_when_idle(self, line: Line) -> None:
        idle_s = DIRECT_IDLE_S if line.link.outbound else 2 * DIRECT_IDLE_S
        while (until_s := line.active_s + idle_s) > trio.current_time():
            await trio.sleep_until(until_s)
        line.silenced = True
        line.link.close("idle")

    async def _read(self, line: Line) -> None:
        """Hand every message to the engine; back-pressure reaches the peer by its socket."""
        peer, direct = line.peer, line.link.purpose == Purpose.DIRECT

        def fault(error: PeerFault) -> None:
            line.deaf = True
            self.blame(peer, error.what)
            line.link.close("broke the protocol")

        async def deliver(message: Message) -> None:
            line.active_s = trio.current_time()
            self.meters.of(peer).seen(self.meters.wall())

            def receive(engine: Engine, now: Micros) -> list[Effect]:
                if line.silenced or line.deaf:
                    return []
                try:
                    return engine.receive(peer, message, now, direct=direct)
                except PeerFault as error:
                    fault(error)
                    return []

            await self._driver.tell(receive)

        try:
            await line.link.run(deliver)
        except PeerFault as error:
            fault(error)
        except Unavailable as error:
            log.info("link_lost", peer=short(peer), cause=error.what)
            self.meters.of(peer).trouble(error.what, error.mend, self.meters.wall())


def _stays(line: Line) -> bool:
    """Whether a direct link is not about to be closed as idle by who has dialled it."""
    return line.link.outbound or (
        line.active_s + DIRECT_IDLE_S - DIRECT_SPARE_S > trio.current_time()
    )


def _worth_a_line(count: int) -> bool:
    """The first, the second, the fourth…: a peer that misbehaves for ever fills no disk."""
    return count & (count - 1) == 0
