"""The engine: dispatches to its ideas, each a plain class in a file of its own.

Theory of operation. A driver hands the engine what happened (a message, a link, an answer of the
archive, the time) and carries out the effects that come back, in order. Messages are dispatched
by type, timers by agenda. Whatever a dispatch has set off in the other rooms (a wave of our own
that ended, an inquiry that is over) is settled before the call returns, so that between two calls
nothing is half-done.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, assert_never

from meshpacs.engine.admission import Admission
from meshpacs.engine.agenda import Agenda, Alarm
from meshpacs.engine.answering import Answering
from meshpacs.engine.asking import Asking
from meshpacs.engine.attendance import Attendance
from meshpacs.engine.draws import Draws
from meshpacs.engine.effects import Blame, Effect, Hangup, SearchLocal
from meshpacs.engine.flood import Flood
from meshpacs.engine.holding import Holding
from meshpacs.engine.inquiry import Inquiries
from meshpacs.engine.notary import Notary
from meshpacs.engine.overlay import Overlay
from meshpacs.engine.peers import Peer, Peers
from meshpacs.engine.roll import Roll
from meshpacs.engine.seen import Seen
from meshpacs.engine.settings import Settings
from meshpacs.engine.wall import Wall
from meshpacs.model.answer import Row, Status
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import MILLISECOND, Digest, MeshId, Micros, NodeId, QueryId
from meshpacs.model.limits import HOPS
from meshpacs.model.member import Member
from meshpacs.model.query import Ball, Everyone, Query, Scope
from meshpacs.wire.messages import (
    Ask,
    Cancel,
    Chunk,
    Closed,
    Deliver,
    Delivered,
    Delivering,
    Digests,
    Got,
    Heads,
    Hello,
    Knock,
    Leaves,
    Manifests,
    Message,
    Missing,
    Part,
    Ping,
    Pong,
    Recall,
    RosterNews,
    Sorry,
    StopDelivering,
    Unsupported,
    WantChunks,
    WantLeaves,
    WantManifests,
    Welcome,
)
from meshpacs.wire.roster import News

K = TypeVar("K")


class Gossip(Protocol):
    """What spreads the roster: `meshpacs.engine.gossip`, or nothing in a frozen world."""

    def linked(self, peer: NodeId) -> list[Effect]:
        """A link came up."""
        ...

    def settled(self, peer: NodeId) -> bool:
        """Whether both sides of a link have caught up with each other since it came up."""
        ...

    def receive(
        self, peer: NodeId, message: Heads | Digests | RosterNews, neighbours: list[NodeId]
    ) -> tuple[list[Effect], bool]:
        """Take in a message; also whether members or head have changed."""
        ...

    def learn(self, news: News, neighbours: list[NodeId]) -> tuple[list[Effect], bool]:
        """Keep and tell what was merged here; also whether members or head have changed."""
        ...

    def members(self) -> Mapping[NodeId, Member]:
        """Who is a member now."""
        ...

    def head(self) -> Digest:
        """The roster's digest."""
        ...


class Engine:
    """The mind of one node."""

    def __init__(
        self,
        *,
        node: NodeId,
        mesh: MeshId,
        boot: int,
        seed: int,
        notary: Notary,
        members: Mapping[NodeId, Member],
        roster_head: Digest,
        boots: Mapping[NodeId, int],
        settings: Settings | None = None,
        gossip: Gossip | None = None,
    ) -> None:
        """Wake up, linked with nobody; `start` begins to look for neighbours.

        `boot` is higher than at every start before. `boots` are those kept by `KeepBoot`. Without
        `gossip` the roster stays as it is given.
        """
        self.node = node
        self.settings = settings = settings or Settings()
        self._gossip = gossip
        self._roll = roll = Roll(node, members, roster_head)
        self._wall = wall = Wall()
        self.peers = peers = Peers(settings)
        self.attendance = attendance = Attendance()
        self._seen = seen = Seen()
        self._flood = flood = Flood(node, peers, attendance, settings)
        self.trails = flood.trails
        self._holding = holding = Holding(node, notary)
        admission = Admission(mesh, roll, wall, notary, boots, settings)
        self._answering = Answering(roll, wall, peers, flood, holding, admission, seen, settings)
        self._asking = Asking(mesh, boot, roll, wall, peers, notary, settings)
        self._inquiries = Inquiries(roll, wall, peers, attendance, flood.token, settings)
        self._overlay = Overlay(roll, peers, Draws(seed, node), settings)
        self._alarm = Alarm(
            flood.watches,
            flood.deadlines,
            peers.agenda,
            holding.deadlines,
            self._inquiries.visits,
            self._inquiries.turns,
            self._inquiries.ends,
            self._overlay.resting,
        )

    # ------------------------------------------------------------ the world changes

    def clock(self, wall_offset_us: Micros) -> None:
        """Say how far the wall clock is ahead of `now`: wall = now + offset."""
        self._wall.offset_us = wall_offset_us

    def start(self, now: Micros) -> list[Effect]:
        """Begin to look for neighbours."""
        return self._settle(self._overlay.fill(), now)

    def members_changed(
        self, members: Mapping[NodeId, Member], roster_head: Digest, now: Micros
    ) -> list[Effect]:
        """The roster has changed: hang up on whoever is no member any more, meet the new."""
        gone = [node for node in self._roll.members if node not in members]
        self._roll.change(members, roster_head)
        for peer in self.peers.all():
            self._compare(peer)
        effects: list[Effect] = []
        for node in gone:
            self._overlay.gone(node)
            effects.append(Hangup(node, "it is no member any more", everything=True))
            effects += self._lose(node, now)
        return self._settle(effects + self._overlay.fill(), now)

    def linked(self, peer: NodeId, now: Micros, *, outbound: bool) -> list[Effect]:
        """A control link with this member is up: it is a neighbour now.

        A link that replaces another (a higher boot, or two that crossed) is told by `unlinked`
        first, then by this.
        """
        self._overlay.linked(peer)
        if peer not in self._roll:
            return [Hangup(peer, "it is no member", everything=True)]
        crowded = self._overlay.crowded(peer, outbound=outbound)
        if crowded:
            return crowded
        self.attendance.heard(peer, now)
        effects = self._gossip.linked(peer) if self._gossip else []
        effects += self.peers.add(peer, now, outbound=outbound)
        self._compare(self.peers.get(peer))
        return effects

    def _compare(self, peer: Peer | None) -> None:
        """Whether Asks go over this link: roles allow it, and both sides know one roster.

        Whoever is behind catches up first (PROTOCOL 1.7); until then it is asked directly.
        """
        if peer is not None:
            settled = self._gossip is None or self._gossip.settled(peer.node)
            by_roles = self._roll.carries(peer.node)
            peer.carries, peer.lags = by_roles and settled, by_roles and not settled

    def unlinked(self, peer: NodeId, now: Micros) -> list[Effect]:
        """The control link is gone."""
        self._overlay.failed(peer, now)
        return self._settle(self._lose(peer, now) + self._overlay.fill(), now)

    def unreachable(self, peer: NodeId, now: Micros) -> list[Effect]:
        """A `Dial` or `Visit` came to nothing, or a direct link broke."""
        self._overlay.failed(peer, now)
        effects = self._inquiries.unreachable(peer, now) + self._overlay.fill()
        return self._settle(effects, now)

    def _lose(self, peer: NodeId, now: Micros) -> list[Effect]:
        if not self.peers.remove(peer):
            return []
        return self._flood.unlinked(peer) + self._inquiries.unlinked(peer, now)

    # ------------------------------------------------------------ asking

    def default_scope(self) -> Scope:
        """Everyone in a mesh of up to 200; above that a ball that should hold it whole.

        ceil(log_{d-1} N) + 1 hops, for d neighbours. PROTOCOL 4.3.
        """
        if len(self._roll) <= self.settings.whole_mesh_up_to:
            return Everyone()
        degree = max(len(self.peers), 3)
        return Ball(min(HOPS, math.ceil(math.log(len(self._roll), degree - 1)) + 1))

    def ask(
        self, query: Query, scope: Scope, now: Micros, *, budget_us: Micros | None = None
    ) -> tuple[QueryId, list[Effect]]:
        """Begin a query of ours.

        Raises:
            Unavailable: asked too often (the error says how long to wait), or too many are open.
            LocalFault: the scope, the time or the query is beyond the limits.
        """
        budget_us = self.settings.budget_us if budget_us is None else budget_us
        inquiry = self._asking.compose(query, scope, now, budget_us, open_now=len(self._inquiries))
        query_id, ttl = inquiry.query_id, inquiry.ttl
        self._inquiries.begin(inquiry)
        self._seen.note(query_id, ttl)
        effects: list[Effect] = []
        if self._roll.answering:
            effects.append(SearchLocal(query_id, query))
        copy = Ask(0, ttl, 0, budget_us // MILLISECOND, inquiry.body, inquiry.signature)
        _, sent = self._flood.open(
            query_id, copy, self.node, None, now, ball=ttl > 0, answering=False
        )
        return query_id, self._settle(effects + sent, now)

    def cancel(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """We have lost interest; the final report follows at once, marked cancelled."""
        if self._inquiries.get(query_id) is None:
            return []
        effects = self._flood.cancel(query_id, None)
        return self._settle(effects + self._inquiries.cancel(query_id, now), now)

    def local_found(
        self, query_id: QueryId, rows: tuple[Row, ...], now: Micros, *, truncated: bool = False
    ) -> list[Effect]:
        """The archive's answer to a `SearchLocal`."""
        status = Status.TRUNCATED if truncated else Status.ANSWERED
        return self._local(query_id, status, rows, now)

    def local_failed(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """The archive could not be searched."""
        return self._local(query_id, Status.FAILED, (), now)

    def _local(
        self, query_id: QueryId, status: Status, rows: tuple[Row, ...], now: Micros
    ) -> list[Effect]:
        inquiry = self._inquiries.get(query_id)
        if inquiry is None:
            return self._settle(self._answering.found(query_id, status, rows, now), now)
        return self._settle(self._inquiries.found(inquiry, rows, now, status), now)

    # ------------------------------------------------------------ messages

    def receive(
        self, peer: NodeId, message: Message, now: Micros, *, direct: bool = False
    ) -> list[Effect]:
        """Take in one message, from a control link or a direct one.

        Raises:
            PeerFault: the message breaks the protocol; the state is unchanged.
        """
        self.attendance.heard(peer, now)
        if not direct:
            # What comes by another way says nothing about the link.
            self.peers.heard(peer, now)
        return self._settle(self._dispatch(peer, message, now, direct=direct), now)

    def _dispatch(
        self, peer: NodeId, message: Message, now: Micros, *, direct: bool
    ) -> list[Effect]:
        match message:
            case Ask():
                if direct:
                    raise PeerFault("An Ask came over a direct link.")
                return self._answering.ask(peer, message, now)
            case Got(token):
                self._flood.got(peer, token, now)
                self._inquiries.got(peer, token)
                return []
            case Part():
                return self._part(peer, message, now)
            case Closed(token):
                effects = self._flood.closed(peer, message)
                return effects + self._inquiries.closed(peer, token, now)
            case Recall():
                return self._answering.recall(peer, message, now, direct=direct)
            case Cancel(query_id):
                self._holding.cancel(query_id, peer)
                return self._flood.cancel(query_id, peer)
            case Ping(nonce):
                pong = Pong(nonce, self._wall.at(now))
                return self._answering.reply(peer, pong, direct=direct)
            case Pong():
                self.peers.pong(peer, message, now, self._wall.at(now))
                return []
            case Heads() | Digests() | RosterNews():
                return self._roster(peer, message, now)
            case Unsupported():
                return []
            case Hello() | Knock() | WantManifests() | WantLeaves() | WantChunks():
                raise PeerFault(f"{type(message).__name__} does not belong on this link.")
            case Deliver() | Delivering() | Delivered() | StopDelivering():
                raise PeerFault(f"{type(message).__name__} does not belong on this link.")
            case Welcome() | Sorry() | Manifests() | Leaves() | Chunk() | Missing():
                raise PeerFault(f"{type(message).__name__} does not belong on this link.")
            case _:
                assert_never(message)

    def _part(self, peer: NodeId, part: Part, now: Micros) -> list[Effect]:
        wave = self._flood.wave_of(peer, part.token)
        if wave is not None and wave.parent is not None:
            return self._flood.carry(peer, wave, part)
        inquiry = self._inquiries.recalled(peer, part.token)
        if inquiry is None and wave is not None:
            inquiry = self._inquiries.get(wave.query_id)
        if inquiry is None:
            return []
        try:
            verified = inquiry.reading.part(part.token, part.sealed)
        except PeerFault as fault:
            # Not raised: whoever carried this could not read it, and is not to lose its link for
            # what somebody behind it forged. But an honest answer may be spoiled by it.
            inquiry.reading.spoiled = True
            return [Blame(peer, fault.what)]
        return [] if verified is None else self._inquiries.verified(inquiry, verified, now)

    def learnt(self, news: News, now: Micros) -> list[Effect]:
        """The roster was added to here: an admission, our own record, a founder's entry."""
        if self._gossip is None:
            return []
        effects, changed = self._gossip.learn(news, [known.node for known in self.peers.all()])
        if changed:
            effects += self.members_changed(self._gossip.members(), self._gossip.head(), now)
        return effects

    def _roster(
        self, peer: NodeId, message: Heads | Digests | RosterNews, now: Micros
    ) -> list[Effect]:
        if self._gossip is None:
            return []
        neighbours = [known.node for known in self.peers.all()]
        effects, changed = self._gossip.receive(peer, message, neighbours)
        self._compare(self.peers.get(peer))
        if changed:
            effects += self.members_changed(self._gossip.members(), self._gossip.head(), now)
        return effects

    # ------------------------------------------------------------ time

    def next_deadline(self) -> Micros | None:
        """When to call `wake`; None for never."""
        return self._alarm.due()

    def open_work(self) -> dict[str, int]:
        """What is open, by name; all 0 once the deadline of every query has passed."""
        return {
            "waves": len(self._flood),
            "branches": self._flood.branches,
            "evaluations": len(self._holding),
            "kept answers": self._holding.kept_count,
            "inquiries": len(self._inquiries),
            "recalls": self._inquiries.recalls,
        }

    def wake(self, now: Micros) -> list[Effect]:
        """Do what is due."""
        due = self.next_deadline()
        if due is not None and now - due > self.settings.ack_us:
            self._overslept(now)
        effects: list[Effect] = []
        flood, inquiries = self._flood, self._inquiries
        for peer in _due(flood.watches, now):
            effects += flood.watch(peer, now)
        for peer in _due(self.peers.agenda, now):
            effects += self._keepalive(peer, now)
        for query_id in _due(self._holding.deadlines, now):
            effects += self._answering.expire(query_id)
        for wave in _due(flood.deadlines, now):
            effects += flood.expire(wave)
        for token in _due(inquiries.visits, now):
            effects += inquiries.overdue(token, now)
        effects = self._settle(effects, now)
        for query_id in _due(inquiries.turns, now):
            effects += inquiries.turn(query_id, now)
        for query_id in _due(inquiries.ends, now):
            effects += inquiries.expire(query_id, now)
        if list(_due(self._overlay.resting, now)):
            effects += self._overlay.fill()
        return self._settle(effects, now)

    def _overslept(self, now: Micros) -> None:
        """We ourselves were stopped: what others sent meanwhile is still in our sockets.

        Whoever should have been heard by now gets as long again.
        """
        self.peers.overslept()
        for peer in list(_due(self._flood.watches, now)):
            self._flood.watches.set(peer, now + self.peers.patience_us(peer))
        for token in list(_due(self._inquiries.visits, now)):
            self._inquiries.visits.set(token, now + self.settings.visit_us)

    def _keepalive(self, peer: NodeId, now: Micros) -> list[Effect]:
        effects = self.peers.due(peer, now)
        if any(isinstance(effect, Hangup) for effect in effects):
            self._overlay.failed(peer, now)
            effects += self._lose(peer, now) + self._overlay.fill()
        return effects

    def _settle(self, effects: list[Effect], now: Micros) -> list[Effect]:
        """Carry on what the other rooms have set off, until nothing is left."""
        flood, inquiries = self._flood, self._inquiries
        while flood.ended or inquiries.finished:
            if flood.ended:
                wave = flood.ended.popleft()
                inquiry = inquiries.get(wave.query_id)
                if inquiry is not None:
                    effects += inquiries.flooded(inquiry, now, failed=bool(wave.unreached))
            else:
                flood.drop(inquiries.finished.popleft())
        return effects


def _due(agenda: Agenda[K], now: Micros) -> Iterator[K]:
    while (key := agenda.pop(now)) is not None:
        yield key
