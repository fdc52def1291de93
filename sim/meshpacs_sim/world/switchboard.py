"""Links between hosts as they come and go: dials, hang-ups, and direct links for visits."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshpacs.model.ids import SECOND, Micros
from meshpacs.model.limits import HANDSHAKE_S, UNREACHED_HINTS
from meshpacs.wire.messages import Closed, Message, Part
from meshpacs_sim.world.acts import Accepted, Arrive, Call, Fin, Heard, Knock, Refused, TimeOut
from meshpacs_sim.world.hosts import Host
from meshpacs_sim.world.observers import DIRECT, UNLINKED

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

CONNECT_US: Micros = HANDSHAKE_S * SECOND
"""How long a dial waits for an answer, as the live links do."""


GOODBYE_US: Micros = 2 * SECOND
"""What has not been sent so long after a hang-up is lost, as on live links."""


class Switchboard:
    """Who is linked with whom, as each side believes.

    A control link has a serial, higher than that of any link before it; a side that holds another
    serial, or none, does not belong to it. Each side learns of its end for itself.
    """

    def __init__(self, world: "World") -> None:
        """No link is up."""
        self._world = world
        self._serials = 0
        self._attempts = 0
        self._direct: dict[tuple[int, int], bool] = {}

    # ------------------------------------------------------------ control links

    def link(self, a: int, b: int) -> None:
        """Make a control link at once, without a dial, as a scenario begins; `a` dialled."""
        self._serials += 1
        hosts = self._world.hosts
        # Both ends know before either engine says anything, so that nothing is lost.
        hosts[a].links[b] = hosts[b].links[a] = self._serials
        self._linked(hosts[a], b, self._serials, outbound=True)
        self._linked(hosts[b], a, self._serials, outbound=False)

    def link_all(self, order: Sequence[Sequence[int]]) -> None:
        """Make all control links at once; each host hears of its own in an order of its own."""
        hosts = self._world.hosts
        pairs = [(host, peer) for host, peers in enumerate(order) for peer in peers]
        for host, peer in pairs:
            if host < peer:
                self._serials += 1
                hosts[host].links[peer] = hosts[peer].links[host] = self._serials
        for host, peer in pairs:
            serial = hosts[host].links[peer]
            self._linked(hosts[host], peer, serial, outbound=host < peer)

    def whole(self, a: int, b: int) -> bool:
        """Whether both ends hold the same link."""
        serial = self._world.hosts[a].links.get(b)
        return serial is not None and serial == self._world.hosts[b].links.get(a)

    def dial(self, host: Host, dst: int) -> None:
        """Try to make a control link; `linked` or `unreachable` comes of it."""
        host.dials[dst] = attempt = self._attempt(host, dst)
        knocking = self._world.network.direct(host.index, dst)
        self._world.network.post(knocking, Knock(attempt), self._world.now)

    def _attempt(self, host: Host, dst: int) -> int:
        self._attempts += 1
        time_out = TimeOut(self._attempts)
        self._world.push_own(host, self._world.now + CONNECT_US, time_out, src=dst)
        return self._attempts

    def knocked(self, host: Host, src: int, attempt: int) -> None:
        """Somebody dials this host, which may be down or frozen."""
        world, caller = self._world, self._world.hosts[src]
        if host.dark or host.frozen or not world.network.reachable(host.index, src):
            return
        if host.engine is None:
            world.network.post(world.network.direct(host.index, src), Refused(attempt), world.now)
            return
        if self.whole(host.index, src) or not self._fresh(host, caller):
            return
        if src in host.dials:
            # PROTOCOL 2.3: where two handshakes overlap, the smaller NodeId's dial wins.
            if host.node < caller.node:
                return
            del host.dials[src]
        if src in host.links:
            self.lose(host, src)
        host.heard_boots[caller.node] = caller.stored_boot
        self._serials += 1
        accepted = Accepted(attempt, self._serials)
        world.network.post(world.network.control(host.index, src), accepted, world.now)
        self._linked(host, src, self._serials, outbound=False)

    def _fresh(self, host: Host, caller: Host) -> bool:
        """Whether the caller's boot is none that a stranger may have recorded. PROTOCOL 2.1."""
        return caller.stored_boot >= host.heard_boots.get(caller.node, 0)

    def accepted(self, host: Host, src: int, attempt: int, serial: int) -> None:
        """This host's dial has become a link, if it still wants it."""
        if host.engine is None or host.dials.get(src) != attempt:
            self._fin(host, src, serial)
            return
        if src in host.links:
            self.lose(host, src)
        self._linked(host, src, serial, outbound=True)

    def _linked(self, host: Host, peer: int, serial: int, *, outbound: bool) -> None:
        world = self._world
        assert host.engine is not None
        host.dials.pop(peer, None)
        host.links[peer] = serial
        world.tell("linked", host.index, peer, serial)
        effects = host.engine.linked(world.hosts[peer].node, world.now, outbound=outbound)
        world.carry_out(host, effects)

    def lose(self, host: Host, peer: int) -> None:
        """A host learns that a control link is gone."""
        world = self._world
        serial = host.links.pop(peer)
        world.network.closed(host.index, peer, serial, 0)
        world.tell("unlinked", host.index, peer, serial)
        if host.engine is not None:
            world.carry_out(host, host.engine.unlinked(world.hosts[peer].node, world.now))

    def hang_up(self, host: Host, peer: int) -> None:
        """A host closes a control link; its engine knows."""
        serial = host.links.pop(peer, None)
        if serial is not None:
            self._world.tell("unlinked", host.index, peer, serial)
            self._fin(host, peer, serial)
            self._world.network.closed(host.index, peer, serial, GOODBYE_US)

    def _fin(self, host: Host, peer: int, serial: int) -> None:
        network = self._world.network
        network.post(network.control(host.index, peer), Fin(serial), self._world.now)

    def tend(self, every_us: Micros) -> None:
        """Dial what is missing of a frozen overlay, where both sides could take it; for ever."""
        world = self._world

        def look() -> None:
            for a, b in world.graph.edges:
                one, other = world.hosts[a], world.hosts[b]
                reachable = one.able and other.able and world.network.reachable(a, b)
                if reachable and not self.whole(a, b) and b not in one.dials:
                    # Who was rolled back may have to be dialled, because its own dials look old.
                    pair = (one, b) if self._fresh(other, one) else (other, a)
                    self.dial(*pair)
            world.at(world.now + every_us, look)

        world.at(world.now + every_us, look)

    # ------------------------------------------------------------ messages

    def send(self, host: Host, dst: int, message: Message) -> None:
        """Post what an engine wants sent on the control link."""
        if host.liar is None:
            self.post(host, dst, message)
            return
        for other in host.liar.instead(dst, message):
            self.post(host, dst, other)

    def post(self, host: Host, dst: int, message: Message) -> None:
        """Post a message on the control link; without a link it is dropped."""
        world, serial = self._world, host.links.get(dst, UNLINKED)
        if host.cut:
            message = self._confessed(host, dst, message)
        for hear in world.on_sent:
            hear(world.now, host.index, dst, message, serial)
        if serial:
            channel = world.network.control(host.index, dst)
            if not world.network.post(channel, Arrive(serial, message), world.now):
                self._dropped(host, dst, message)

    def _confessed(self, host: Host, dst: int, message: Message) -> Message:
        """A Closed that follows dropped parts names who dropped them. PROTOCOL 5.2."""
        if isinstance(message, Closed) and (dst, message.token) in host.cut:
            del host.cut[dst, message.token]
            hints = (host.node, *message.unreached)
            return replace(message, unreached=hints[:UNREACHED_HINTS])
        return message

    def _dropped(self, host: Host, dst: int, message: Message) -> None:
        if isinstance(message, Part):
            host.cut[dst, message.token] = None

    # ------------------------------------------------------------ direct links

    def visit(self, host: Host, dst: int, message: Message) -> None:
        """Post what an engine wants sent over a direct link."""
        if host.liar is None:
            self.call(host, dst, message)
            return
        for other in host.liar.instead(dst, message):
            self.call(host, dst, other)

    def call(self, host: Host, dst: int, message: Message) -> None:
        """Post a message over a direct link, which is dialled if it is not there."""
        world = self._world
        message = self._confessed(host, dst, message)
        for hear in world.on_sent:
            hear(world.now, host.index, dst, message, DIRECT)
        channel = world.network.direct(host.index, dst)
        if _pair(host.index, dst) in self._direct:
            if not world.network.post(channel, Call(0, message), world.now):
                self._dropped(host, dst, message)
            return
        attempt = self._attempt(host, dst)
        host.calls[attempt] = dst
        # TCP's handshake is one round trip before the first byte; Noise's is one more, but its
        # third message carries ours.
        handshake_us = 4 * channel.latency_us
        world.network.launch_in(channel, Call(attempt, message), world.now, handshake_us)

    def called(self, host: Host, src: int, attempt: int) -> bool:
        """Whether a message that came by a direct link gets as far as the engine."""
        world = self._world
        if host.dark or not world.network.reachable(host.index, src):
            return False
        back = world.network.direct(host.index, src)
        if host.engine is None:
            world.network.post(back, Refused(attempt), world.now)
            return False
        if attempt:
            caller = world.hosts[src]
            if not self._fresh(host, caller):
                return False
            host.heard_boots[caller.node] = caller.stored_boot
            self._direct[_pair(host.index, src)] = True
            world.network.post(back, Heard(attempt), world.now)
        return _pair(host.index, src) in self._direct

    def in_vain(self, host: Host, peer: int, attempt: int) -> None:
        """A dial or a visit was refused, or has waited long enough."""
        world = self._world
        if host.dials.get(peer) == attempt:
            del host.dials[peer]
        elif host.calls.pop(attempt, None) is None:
            return
        assert host.engine is not None
        world.carry_out(host, host.engine.unreachable(world.hosts[peer].node, world.now))

    def close_direct(self, a: int, b: int) -> None:
        """The direct link between these two is gone, if there was one."""
        self._direct.pop(_pair(a, b), None)

    def close_all_direct(self, host: int) -> None:
        """Every direct link of this host is gone."""
        for pair in [pair for pair in self._direct if host in pair]:
            del self._direct[pair]


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)
