"""Copies of queries on their way: waves, tokens, and the Closed that comes back for each.

A *wave* is one acceptance of one copy: it has a parent (the link and token the copy came by; none
at the origin) and children (the copies sent on). It closes, once, when every child has closed and
our own answer, if this wave is to carry it, is on its way. A copy with a larger remaining TTL than
any before opens a second wave with a parent of its own; waves are never merged, because one shared
counter deadlocks where two waves wait for each other (PROTOCOL 4.3, 4.4).

Answers follow the wave by which the ask came, so that on FIFO links they arrive before its Closed:
when the origin's last child has closed, every answer that was going to come has come.
"""

from collections import deque
from dataclasses import dataclass, field

from meshpacs.engine.agenda import Agenda
from meshpacs.engine.attendance import Attendance
from meshpacs.engine.effects import Effect, Send
from meshpacs.engine.peers import Peer, Peers
from meshpacs.engine.settings import Settings
from meshpacs.engine.trails import Pass, Trails
from meshpacs.model.ids import MILLISECOND, Micros, NodeId, QueryId
from meshpacs.model.limits import UNREACHED_HINTS
from meshpacs.wire.messages import Ask, Cancel, Closed, Part

RELAY_CREDIT_BYTES = 16 * 1024 * 1024
"""Answers that one wave carries back; what is beyond it the origin recalls directly. A guess."""


@dataclass(slots=True)
class Wave:
    """One accepted copy of one query."""

    query_id: QueryId
    parent: NodeId | None
    parent_token: int
    deadline: Micros
    answering: bool
    """Our own answer is still to be sent by this wave."""
    children: dict[int, NodeId] = field(default_factory=dict)
    """Token to neighbour, of copies that have not closed."""
    unreached: dict[NodeId, None] = field(default_factory=dict)
    """Members whose branches failed here or behind here, as far as Closed has room for them."""
    credit_bytes: int = RELAY_CREDIT_BYTES


@dataclass(slots=True)
class _Branches:
    """What is open on one link."""

    unacknowledged: dict[int, Micros] = field(default_factory=dict)
    """Token to the time it was sent, oldest first."""
    open: dict[int, int] = field(default_factory=dict)
    """Token to wave."""


class Flood:
    """All waves of this node."""

    def __init__(
        self, node: NodeId, peers: Peers, attendance: Attendance, settings: Settings
    ) -> None:
        """No wave is open."""
        self._node = node
        self._peers = peers
        self._attendance = attendance
        self._settings = settings
        self._waves: dict[int, Wave] = {}
        self._by_query: dict[QueryId, list[int]] = {}
        self._by_parent: dict[tuple[NodeId, int], int] = {}
        self._branches: dict[NodeId, _Branches] = {}
        self._numbers = 0
        self.deadlines: Agenda[int] = Agenda()
        """When each wave closes come what may."""
        self.watches: Agenda[NodeId] = Agenda()
        """When each neighbour with open branches must have been heard."""
        self.ended: deque[Wave] = deque()
        """Waves without a parent that have closed: our own queries. The engine takes them out."""
        self.trails = Trails()
        """By whom queries came and to whom they were sent on; for people to look at."""

    def __len__(self) -> int:
        """How many waves are open."""
        return len(self._waves)

    @property
    def branches(self) -> int:
        """How many copies that were sent on have not closed."""
        return sum(len(branches.open) for branches in self._branches.values())

    def token(self) -> int:
        """A token that this node has not used before."""
        self._numbers += 1
        return self._numbers

    def names(self, peer: NodeId, token: int) -> bool:
        """Whether a wave that this neighbour named so is open."""
        return (peer, token) in self._by_parent

    # ------------------------------------------------------------ opening

    def open(
        self,
        query_id: QueryId,
        ask: Ask,
        origin: NodeId,
        parent: NodeId | None,
        now: Micros,
        *,
        ball: bool,
        answering: bool,
    ) -> tuple[int, list[Effect]]:
        """Accept a copy and send it on to every other carrying neighbour.

        For a query of ours `ask` is the copy as if it had come from ourselves: hops 0, token 0.
        """
        number = self.token()
        wave = Wave(query_id, parent, ask.token, now + ask.remaining_ms * MILLISECOND, answering)
        self._waves[number] = wave
        self._by_query.setdefault(query_id, []).append(number)
        if parent is not None:
            self._by_parent[parent, ask.token] = number
        self.deadlines.set(number, wave.deadline)
        effects: list[Effect] = []
        if not ball or ask.ttl > 0:
            for peer in self._peers.all():
                if peer.node != parent and peer.carries:
                    effects += self._forward(number, wave, ask, peer, now, ball=ball)
                elif peer.node != parent and peer.lags:
                    self._hint(wave, peer.node)
        children = tuple(wave.children.values())
        step = Pass(parent, ask.hops, ask.ttl, children, wave.unreached)
        self.trails.note(query_id, origin, step, now, ball=ball)
        return number, effects + self._settle(number, wave)

    def _forward(
        self, number: int, wave: Wave, ask: Ask, to: Peer, now: Micros, *, ball: bool
    ) -> list[Effect]:
        peer = to.node
        remaining_ms = ask.remaining_ms - (to.rtt_us + self._settings.hop_us) // MILLISECOND
        if self._attendance.silent(peer) or remaining_ms <= 0:
            self._hint(wave, peer)
            return []
        token = self.token()
        wave.children[token] = peer
        branches = self._branches.get(peer)
        if branches is None:
            branches = self._branches[peer] = _Branches()
        branches.open[token] = number
        branches.unacknowledged[token] = now
        if peer not in self.watches:
            self.watches.set(peer, now + self._peers.patience_us(peer))
        ttl = ask.ttl - 1 if ball else 0
        copy = Ask(token, ttl, ask.hops + 1, remaining_ms, ask.body, ask.signature)
        return [Send(peer, copy)]

    # ------------------------------------------------------------ what comes back

    def wave_of(self, peer: NodeId, token: int) -> Wave | None:
        """The wave that sent this token to this neighbour, while it is open."""
        branches = self._branches.get(peer)
        number = branches.open.get(token) if branches else None
        return None if number is None else self._waves[number]

    def got(self, peer: NodeId, token: int, now: Micros) -> None:
        """A copy has arrived."""
        branches = self._branches.get(peer)
        if branches is None:
            return
        sent = branches.unacknowledged.pop(token, None)
        known = self._peers.get(peer)
        if sent is not None and known is not None:
            known.measured(now - sent)

    def carry(self, peer: NodeId, wave: Wave, part: Part) -> list[Effect]:
        """Send a piece of somebody's answer, which came from `peer`, on towards the origin."""
        assert wave.parent is not None
        wave.credit_bytes -= len(part.sealed)
        if wave.credit_bytes < 0:
            # Whose it was cannot be read here. Without a hint the origin of a ball would take
            # that member to be outside.
            self._hint(wave, peer)
            return []
        return [Send(wave.parent, Part(wave.parent_token, part.sealed))]

    def closed(self, peer: NodeId, message: Closed) -> list[Effect]:
        """A branch has closed; what it could not reach is passed on as a hint."""
        branches = self._branches.get(peer)
        number = branches.open.get(message.token) if branches else None
        if number is None:
            return []
        wave = self._waves[number]
        for node in message.unreached:
            self._hint(wave, node)
        return self._close_branch(peer, message.token)

    def answered(self, number: int) -> list[Effect]:
        """Our own answer has been sent by this wave, or never will be."""
        wave = self._waves.get(number)
        if wave is None:
            return []
        wave.answering = False
        return self._settle(number, wave)

    def cancel(self, query_id: QueryId, parent: NodeId | None) -> list[Effect]:
        """The origin has lost interest: forget the waves that came from `parent`, and pass on."""
        told: dict[NodeId, None] = {}
        for number in list(self._by_query.get(query_id, ())):
            wave = self._waves[number]
            if wave.parent == parent:
                told.update(dict.fromkeys(wave.children.values()))
                self._forget(number, wave)
        # A Cancel names the query, not the copy: it would end what another wave waits for.
        for number in self._by_query.get(query_id, ()):
            for peer in self._waves[number].children.values():
                told.pop(peer, None)
        return [Send(peer, Cancel(query_id)) for peer in told]

    def drop(self, query_id: QueryId) -> None:
        """Forget a query of our own without a word; late messages are ignored.

        Copies of it that come back are repeats, so that no wave of it has a parent.
        """
        for number in list(self._by_query.get(query_id, ())):
            self._forget(number, self._waves[number])

    # ------------------------------------------------------------ what does not

    def unlinked(self, peer: NodeId) -> list[Effect]:
        """The link is gone: its branches close, and waves that came by it have no way back."""
        effects = self.fail(peer)
        self._branches.pop(peer, None)
        for (parent, _), number in list(self._by_parent.items()):
            if parent == peer:
                self._forget(number, self._waves[number])
        return effects

    def fail(self, peer: NodeId) -> list[Effect]:
        """Close every branch on this link as unreached."""
        self.watches.clear(peer)
        effects: list[Effect] = []
        branches = self._branches.get(peer)
        for token, number in list(branches.open.items()) if branches else ():
            self._hint(self._waves[number], peer)
            effects += self._close_branch(peer, token)
        return effects

    def watch(self, peer: NodeId, now: Micros) -> list[Effect]:
        """A neighbour with open branches should have been heard by now (PROTOCOL 2.5).

        An Ask that was acknowledged may wait long for others, so whoever is waited for and says
        nothing is pinged: a member that freezes with our Ask in its hands is found out in two
        patiences, not at the deadline.
        """
        branches = self._branches.get(peer)
        known = self._peers.get(peer)
        if branches is None or known is None or not branches.open:
            return []
        patience = self._peers.patience_us(peer)
        if branches.unacknowledged:
            overdue = next(iter(branches.unacknowledged.values())) + patience
        elif known.pinged_us is not None and known.heard_us < known.pinged_us:
            overdue = known.pinged_us + patience
        elif known.heard_us + patience > now:
            self.watches.set(peer, known.heard_us + patience)
            return []
        else:
            self.watches.set(peer, now + patience)
            return self._peers.poke(peer, now)
        if overdue > now:
            self.watches.set(peer, overdue)
            return []
        self._attendance.missed(peer)
        return self.fail(peer)

    def expire(self, number: int) -> list[Effect]:
        """A wave's deadline: close it with what has come, and say what has not."""
        wave = self._waves[number]
        if wave.answering:
            self._hint(wave, self._node)
        for peer in wave.children.values():
            self._hint(wave, peer)
        return self._end(number, wave)

    # ------------------------------------------------------------ closing

    def _hint(self, wave: Wave, node: NodeId) -> None:
        if len(wave.unreached) < UNREACHED_HINTS:
            wave.unreached[node] = None

    def _close_branch(self, peer: NodeId, token: int) -> list[Effect]:
        branches = self._branches[peer]
        branches.unacknowledged.pop(token, None)
        number = branches.open.pop(token)
        wave = self._waves[number]
        del wave.children[token]
        return self._settle(number, wave)

    def _settle(self, number: int, wave: Wave) -> list[Effect]:
        if wave.children or wave.answering:
            return []
        return self._end(number, wave)

    def _end(self, number: int, wave: Wave) -> list[Effect]:
        self._forget(number, wave)
        if wave.parent is None:
            self.ended.append(wave)
            return []
        return [Send(wave.parent, Closed(wave.parent_token, tuple(wave.unreached)))]

    def _forget(self, number: int, wave: Wave) -> None:
        for token, peer in wave.children.items():
            branches = self._branches[peer]
            branches.unacknowledged.pop(token, None)
            del branches.open[token]
        wave.children.clear()
        del self._waves[number]
        self.deadlines.clear(number)
        if wave.parent is not None:
            del self._by_parent[wave.parent, wave.parent_token]
        numbers = self._by_query[wave.query_id]
        numbers.remove(number)
        if not numbers:
            del self._by_query[wave.query_id]
