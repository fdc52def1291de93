"""The members we have links with, and how well each is heard (PROTOCOL 2.5)."""

from dataclasses import dataclass

from meshpacs.engine.agenda import Agenda
from meshpacs.engine.effects import Effect, Hangup, Send
from meshpacs.engine.settings import Settings
from meshpacs.model.ids import Micros, NodeId
from meshpacs.wire.messages import Ping, Pong

HEALTH_WORST = 8
"""memberlist's awareness ceiling (Lifeguard, Dadgar et al. 2018)."""


@dataclass(slots=True)
class Peer:
    """One neighbour: a member with whom a control link is up."""

    node: NodeId
    outbound: bool
    heard_us: Micros
    """When anything last came over the link, or it came up."""
    rtt_us: Micros = 0
    """Smoothed round trip (RFC 6298's gain of 1/8); 0 until measured."""
    pinged_us: Micros | None = None
    """When the Ping was sent that is not answered yet."""
    nonce: int = 0
    misses: int = 0
    carries: bool = True
    """Asks may travel over this link (PROTOCOL 1.3)."""
    lags: bool = False
    """They would, by roles, but the rosters have not been compared yet."""
    offset_us: Micros = 0
    """Its wall clock minus ours, from the last Pong."""

    def measured(self, sample_us: Micros) -> None:
        """Take in one round trip."""
        sample_us = max(sample_us, 1)
        self.rtt_us = sample_us if not self.rtt_us else (7 * self.rtt_us + sample_us) // 8


class Peers:
    """All neighbours. Iterates in the order in which their links came up."""

    def __init__(self, settings: Settings) -> None:
        """Nobody is linked."""
        self._settings = settings
        self._peers: dict[NodeId, Peer] = {}
        self._nonce = 0
        self.health = 0
        """Lifeguard's local health: how often we ourselves were late; 0 is well."""
        self.agenda: Agenda[NodeId] = Agenda()

    def __contains__(self, node: NodeId) -> bool:
        """Whether this member is a neighbour."""
        return node in self._peers

    def __len__(self) -> int:
        """How many neighbours there are."""
        return len(self._peers)

    def get(self, node: NodeId) -> Peer | None:
        """This neighbour, if it is one."""
        return self._peers.get(node)

    def all(self) -> list[Peer]:
        """Every neighbour."""
        return list(self._peers.values())

    def add(self, node: NodeId, now: Micros, *, outbound: bool) -> list[Effect]:
        """A link came up; it is measured at once, so that deadlines know its round trip."""
        peer = Peer(node, outbound, now)
        self._peers[node] = peer
        return self._ping(peer, now)

    def remove(self, node: NodeId) -> bool:
        """The link is gone; False if there was none."""
        self.agenda.clear(node)
        return self._peers.pop(node, None) is not None

    def heard(self, node: NodeId, now: Micros) -> None:
        """Something came over this neighbour's link."""
        peer = self._peers.get(node)
        if peer is not None:
            peer.heard_us = now

    def patience_us(self, node: NodeId) -> Micros:
        """How long an acknowledgement may take on this link: max(1 s, 4 RTT)."""
        peer = self._peers.get(node)
        return max(self._settings.ack_us, 4 * peer.rtt_us if peer else 0)

    def pong(self, node: NodeId, message: Pong, now: Micros, wall_us: Micros) -> None:
        """An answer to a Ping, perhaps a late one."""
        peer = self._peers.get(node)
        if peer is None or peer.pinged_us is None or message.nonce != peer.nonce:
            return
        sample = now - peer.pinged_us
        peer.measured(sample)
        peer.offset_us = message.wall_us + sample // 2 - wall_us
        peer.pinged_us = None
        peer.misses = 0
        self.health = max(0, self.health - 1)
        self.agenda.set(node, now + self._settings.keepalive_us)

    def overslept(self) -> None:
        """We ourselves were late: others' silence says less about them."""
        self.health = min(HEALTH_WORST, self.health + 1)

    def poke(self, node: NodeId, now: Micros) -> list[Effect]:
        """Ping this neighbour now, unless a Ping is under way."""
        peer = self._peers.get(node)
        return [] if peer is None or peer.pinged_us is not None else self._ping(peer, now)

    def due(self, node: NodeId, now: Micros) -> list[Effect]:
        """The keepalive timer of this neighbour has run out."""
        peer = self._peers[node]
        if peer.pinged_us is None or peer.heard_us > peer.pinged_us:
            # Whoever sends anything is alive, even where its Pong was lost in a full outbox.
            peer.misses = 0
            return self._ping(peer, now)
        peer.misses += 1
        if peer.misses >= self._settings.misses * (self.health + 1):
            return [Hangup(node, f"{peer.misses} keepalives were not answered")]
        return self._ping(peer, now)

    def _ping(self, peer: Peer, now: Micros) -> list[Effect]:
        self._nonce += 1
        peer.nonce = self._nonce
        peer.pinged_us = now
        self.agenda.set(peer.node, now + self._settings.keepalive_us)
        return [Send(peer.node, Ping(self._nonce))]
