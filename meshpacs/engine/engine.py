"""The engine: dispatches to its ideas, each a plain class in a file of its own.

Theory of operation. A driver hands the engine what happened (a message, a link, an answer of the
archive, the time) and carries out the effects that come back, in order. Messages are dispatched
by type; timers by agenda. Whatever a dispatch has set off in the other rooms (a wave of our own
that ended, an inquiry that is over) is settled before the call returns, so that between two calls
nothing is half-done.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, assert_never

from meshpacs.engine.admission import Admission, Ruling
from meshpacs.engine.agenda import Agenda
from meshpacs.engine.attendance import Attendance
from meshpacs.engine.budget import Budget, interval_us
from meshpacs.engine.draws import Draws
from meshpacs.engine.effects import Blame, Effect, Hangup, KeepBoot, SearchLocal, Send, Visit
from meshpacs.engine.flood import Flood
from meshpacs.engine.holding import Caller, Evaluation, Holding
from meshpacs.engine.inquiry import Inquiries, Inquiry
from meshpacs.engine.notary import Notary
from meshpacs.engine.overlay import Overlay
from meshpacs.engine.peers import Peers
from meshpacs.engine.reading import Reading
from meshpacs.engine.seen import Seen
from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Row, Status
from meshpacs.model.errors import LocalFault, PeerFault, Unavailable
from meshpacs.model.ids import MILLISECOND, Digest, MeshId, Micros, NodeId, QueryId
from meshpacs.model.limits import HOPS, OPEN_QUERIES, OWN_QUERIES
from meshpacs.model.member import Member
from meshpacs.model.query import Ball, Everyone, Query, Scope
from meshpacs.wire.bodies import ASK_CONTEXT, AskBody
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.messages import (
    Ask,
    Cancel,
    Chunk,
    Closed,
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
    Unsupported,
    WantChunks,
    WantLeaves,
    WantManifests,
    Welcome,
)

K = TypeVar("K")


class Gossip(Protocol):
    """What spreads the roster: `meshpacs.engine.gossip`, or nothing in a frozen world."""

    def linked(self, peer: NodeId) -> list[Effect]:
        """A link came up."""
        ...

    def receive(
        self, peer: NodeId, message: Heads | Digests | RosterNews, neighbours: list[NodeId]
    ) -> tuple[list[Effect], bool]:
        """Take in a message; also whether members or head have changed."""
        ...

    def members(self) -> Mapping[NodeId, Member]:
        """Who is a member now."""
        ...

    def head(self) -> Digest:
        """The roster's digest."""
        ...


def query_id_of(body: bytes) -> QueryId:
    """A query's name: its signed body's digest, cut to 16 bytes. PROTOCOL 4.2."""
    return QueryId(hashlib.sha256(body).digest()[:16])


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
        """Wake up, linked with nobody.

        `boot` is higher than at every start before. `boots` are those kept by `KeepBoot`. Without
        `gossip` the roster stays as it is given.
        """
        self.node = node
        self.settings = settings = settings or Settings()
        self._mesh = mesh
        self._boot = boot
        self._notary = notary
        self._members = members
        self._roster_head = roster_head
        self._gossip = gossip
        self._wall_offset_us: Micros = 0
        self._counter = 0
        self.peers = Peers(settings)
        self.attendance = Attendance()
        self._seen = Seen()
        self._budget = Budget()
        self._admission = Admission(mesh, notary, boots, settings)
        self._flood = Flood(self.peers, self.attendance, settings)
        self._holding = Holding(node, notary)
        self._inquiries = Inquiries(node, self.peers, self.attendance, self._flood.token, settings)
        self._overlay = Overlay(node, self.peers, Draws(seed, node), settings)
        self._agendas: tuple[Agenda[NodeId] | Agenda[QueryId] | Agenda[int], ...] = (
            self._flood.watches,
            self._flood.deadlines,
            self.peers.agenda,
            self._holding.deadlines,
            self._inquiries.visits,
            self._inquiries.turns,
            self._inquiries.ends,
            self._overlay.resting,
        )
        self._set_members(members)

    # ------------------------------------------------------------ the world changes

    def clock(self, wall_offset_us: Micros) -> None:
        """Say how far the wall clock is ahead of `now`: wall = now + offset."""
        self._wall_offset_us = wall_offset_us
        self._inquiries.wall_offset_us = wall_offset_us

    def start(self, now: Micros) -> list[Effect]:
        """Begin to look for neighbours."""
        return self._settle(self._overlay.fill(), now)

    def members_changed(
        self, members: Mapping[NodeId, Member], roster_head: Digest, now: Micros
    ) -> list[Effect]:
        """The roster has changed: hang up on whoever is no member any more, meet the new."""
        gone = [node for node in self._members if node not in members]
        self._roster_head = roster_head
        self._set_members(members)
        effects: list[Effect] = []
        for node in gone:
            self._overlay.gone(node)
            effects.append(Hangup(node, "it is no member any more", everything=True))
            effects += self._lose(node, now)
        return self._settle(effects + self._overlay.fill(), now)

    def _set_members(self, members: Mapping[NodeId, Member]) -> None:
        self._members = members
        self._admission.members = members
        self._inquiries.members = members
        self._overlay.members = members
        for peer in self.peers.all():
            peer.carries = self._carries(peer.node)

    def _carries(self, node: NodeId) -> bool:
        own, other = self._members.get(self.node), self._members.get(node)
        return own is not None and own.carries and other is not None and other.carries

    def linked(self, peer: NodeId, now: Micros, *, outbound: bool) -> list[Effect]:
        """A control link with this member is up: it is a neighbour now.

        A link that replaces another (a higher boot, or two that crossed) is told by `unlinked`
        first, then by this.
        """
        self._overlay.linked(peer)
        if peer not in self._members:
            return [Hangup(peer, "it is no member", everything=True)]
        crowded = self._overlay.crowded(peer, outbound=outbound)
        if crowded:
            return crowded
        self.attendance.heard(peer, now)
        effects = self._gossip.linked(peer) if self._gossip else []
        effects += self.peers.add(peer, now, outbound=outbound, carries=self._carries(peer))
        return self._settle(effects, now)

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
        return self._flood.unlinked(peer) + self._inquiries.unreachable(peer, now)

    # ------------------------------------------------------------ asking

    def default_scope(self) -> Scope:
        """Everyone in a mesh of up to 200; above that a ball that should hold it whole.

        ceil(log_{d-1} N) + 1 hops, for d neighbours. PROTOCOL 4.3.
        """
        count = len(self._members)
        if count <= self.settings.whole_mesh_up_to:
            return Everyone()
        degree = max(len(self.peers), 3)
        return Ball(min(HOPS, math.ceil(math.log(count) / math.log(degree - 1)) + 1))

    def ask(
        self, query: Query, scope: Scope, now: Micros, *, budget_us: Micros | None = None
    ) -> tuple[QueryId, list[Effect]]:
        """Begin a query of ours.

        Raises:
            Unavailable: asked too often (the error says how long to wait), or too many are open.
            LocalFault: the scope or the time is beyond the limits.
        """
        ttl = scope.ttl if isinstance(scope, Ball) else 0
        budget_us = self.settings.budget_us if budget_us is None else budget_us
        self._check(scope, now, budget_us)
        public, private = self._notary.reply_keys()
        self._counter += 1
        body = pack(
            AskBody(
                self._mesh,
                self.node,
                self._boot,
                self._counter,
                now + self._wall_offset_us,
                ttl,
                budget_us // MILLISECOND,
                self._roster_head,
                0,
                query,
                public,
            )
        )
        signature = self._notary.sign(ASK_CONTEXT, body)
        query_id = query_id_of(body)
        inquiry = Inquiry(
            query_id,
            body,
            signature,
            ttl > 0,
            now,
            now + budget_us,
            Reading(query_id, (public, private), self._notary),
        )
        self._inquiries.begin(inquiry)
        self._seen.note(query_id, ttl)
        effects: list[Effect] = []
        own = self._members.get(self.node)
        if own is not None and own.answers:
            effects.append(SearchLocal(query_id, query))
        copy = Ask(0, ttl, 0, budget_us // MILLISECOND, body, signature)
        _, sent = self._flood.open(query_id, copy, None, now, ball=ttl > 0, answering=False)
        return query_id, self._settle(effects + sent, now)

    def _check(self, scope: Scope, now: Micros, budget_us: Micros) -> None:
        if isinstance(scope, Ball) and not 1 <= scope.ttl <= HOPS:
            raise LocalFault(
                f"A ball of {scope.ttl} hops was asked for.", f"Ask for 1 to {HOPS} hops."
            )
        if not MILLISECOND <= budget_us <= self.settings.budget_most_us:
            most_s = self.settings.budget_most_us // 1_000_000
            raise LocalFault(
                f"A query was given {budget_us / 1_000_000:g} s.", f"Give it up to {most_s} s."
            )
        if len(self._inquiries) >= OWN_QUERIES:
            raise Unavailable(
                f"{OWN_QUERIES} queries of this node are open.", "Wait until one has ended."
            )
        interval = interval_us(len(self._members), len(self.peers))
        wait_us = self._budget.wait_us(self.node, now, interval)
        if wait_us:
            raise Unavailable(
                "This node asks the mesh too often.", f"Wait {wait_us / 1_000_000:.1f} s."
            )
        self._budget.spend(self.node, now, interval)

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
        if inquiry is not None:
            return self._settle(self._inquiries.found(inquiry, rows, now, status), now)
        evaluation = self._holding.take(query_id)
        if evaluation is None:
            return []
        parts = self._holding.make(
            query_id,
            evaluation.body,
            status,
            hops=evaluation.hops,
            wall_us=now + self._wall_offset_us,
            rows=rows,
        )
        self._holding.keep(query_id, parts, evaluation.deadline)
        return self._settle(self._hand_out(evaluation.callers, parts), now)

    def _hand_out(self, callers: list[Caller], parts: tuple[bytes, ...]) -> list[Effect]:
        effects: list[Effect] = []
        for caller in callers:
            effects += self._reply(caller.peer, *(Part(caller.token, part) for part in parts))
            if caller.wave is None:
                effects += self._reply(caller.peer, Closed(caller.token))
            else:
                effects += self._flood.answered(caller.wave)
        return effects

    def _reply(self, peer: NodeId, *messages: Message) -> list[Effect]:
        """Answer over whichever link there is: a neighbour's, or the one it visits us by."""
        if peer in self.peers:
            return [Send(peer, message) for message in messages]
        return [Visit(peer, message) for message in messages]

    # ------------------------------------------------------------ messages

    def receive(self, peer: NodeId, message: Message, now: Micros) -> list[Effect]:
        """Take in one message, from a control or a direct link.

        Raises:
            PeerFault: the message breaks the protocol; the state is unchanged.
        """
        self.attendance.heard(peer, now)
        self.peers.heard(peer, now)
        return self._settle(self._dispatch(peer, message, now), now)

    def _dispatch(self, peer: NodeId, message: Message, now: Micros) -> list[Effect]:
        match message:
            case Ask():
                return self._ask(peer, message, now)
            case Got(token):
                self._flood.got(peer, token, now)
                self._inquiries.got(peer, token)
                return []
            case Part():
                return self._part(peer, message, now)
            case Closed(token):
                return self._flood.closed(peer, message) + self._inquiries.closed(peer, token, now)
            case Recall():
                return self._recall(peer, message, now)
            case Cancel(query_id):
                self._holding.cancel(query_id, peer)
                return self._flood.cancel(query_id, peer)
            case Ping(nonce):
                return self._reply(peer, Pong(nonce, now + self._wall_offset_us))
            case Pong():
                self.peers.pong(peer, message, now, now + self._wall_offset_us)
                return []
            case Heads() | Digests() | RosterNews():
                return self._roster(peer, message, now)
            case Unsupported():
                return []
            case Hello() | Knock() | WantManifests() | WantLeaves() | WantChunks():
                raise PeerFault(f"{type(message).__name__} does not belong on this link.")
            case Welcome() | Sorry() | Manifests() | Leaves() | Chunk() | Missing():
                raise PeerFault(f"{type(message).__name__} does not belong on this link.")
            case _:
                assert_never(message)

    def _ask(self, peer: NodeId, ask: Ask, now: Micros) -> list[Effect]:
        sender = self.peers.get(peer)
        if sender is None or not sender.carries:
            raise PeerFault("An Ask came over a link that carries none.")
        if self._flood.names(peer, ask.token):
            raise PeerFault("An Ask came with a token that is in use.")
        query_id = query_id_of(ask.body)
        got: list[Effect] = [Send(peer, Got(ask.token))]
        closed = Send(peer, Closed(ask.token))
        best = self._seen.best(query_id)
        if best is not None and ask.ttl <= best:
            return [*got, closed]
        body = unpack(AskBody, ask.body)
        ball = _check_hops(ask, body)
        if best is not None:
            # A larger remaining TTL than any before: forwarded again, never evaluated again.
            self._seen.note(query_id, ask.ttl)
            _, sent = self._flood.open(query_id, ask, peer, now, ball=ball, answering=False)
            return got + sent
        ruling = self._judge(body, ask.body, ask.signature, now)
        if ruling is None:
            return [*got, Send(peer, Closed(ask.token, (self.node,)))]
        effects = got + self._admit(query_id, body, ask.ttl, ruling)
        if ruling.status is Status.ANSWERED or ruling.status is Status.REFUSED:
            own = self._members.get(self.node)
            answering = own is not None and own.answers
            number, sent = self._flood.open(
                query_id, ask, peer, now, ball=ball, answering=answering
            )
            effects += sent
            if not answering:
                return effects
            caller = Caller(peer, ask.token, number)
        else:
            caller = Caller(peer, ask.token, None)
        deadline = now + ask.remaining_ms * MILLISECOND
        evaluation = Evaluation(body, ask.hops, deadline, [caller])
        return effects + self._evaluate(query_id, evaluation, ruling, now)

    def _judge(self, body: AskBody, packed: bytes, signature: bytes, now: Micros) -> Ruling | None:
        return self._admission.judge(
            body,
            packed,
            signature,
            now=now,
            wall_us=now + self._wall_offset_us,
            neighbours=len(self.peers),
            busy=len(self._flood) >= OPEN_QUERIES or len(self._holding) >= OPEN_QUERIES,
        )

    def _admit(self, query_id: QueryId, body: AskBody, ttl: int, ruling: Ruling) -> list[Effect]:
        if ruling.status is Status.SKEWED:
            # Not remembered: when a clock is put right, the same bytes may be sound. It costs a
            # sealed answer for each copy, from neighbours alone, because it goes no further.
            return []
        self._seen.note(query_id, ttl)
        return [KeepBoot(body.origin, body.boot)] if self._admission.note(body) else []

    def _evaluate(
        self, query_id: QueryId, evaluation: Evaluation, ruling: Ruling, now: Micros
    ) -> list[Effect]:
        """Search the archive, or say at once why not; either way the answer looks the same."""
        body = evaluation.body
        if ruling.status is Status.ANSWERED:
            self._holding.begin(query_id, evaluation)
            return [SearchLocal(query_id, body.query)]
        parts = self._holding.make(
            query_id,
            body,
            ruling.status,
            hops=evaluation.hops,
            wall_us=now + self._wall_offset_us,
            skew_us=ruling.skew_us,
        )
        if ruling.status is not Status.SKEWED:
            self._holding.keep(query_id, parts, evaluation.deadline)
        return self._hand_out(evaluation.callers, parts)

    def _recall(self, peer: NodeId, recall: Recall, now: Micros) -> list[Effect]:
        query_id = query_id_of(recall.body)
        body = unpack(AskBody, recall.body)
        if body.origin != peer:
            raise PeerFault("A query was recalled by another than its origin.")
        got = self._reply(peer, Got(recall.token))
        closed = self._reply(peer, Closed(recall.token))
        caller = Caller(peer, recall.token, None)
        kept = self._holding.kept(query_id)
        if kept is not None:
            return got + self._hand_out([caller], kept)
        if self._holding.join(query_id, caller):
            return got
        own = self._members.get(self.node)
        if self._seen.best(query_id) is not None or body.ttl0 or own is None or not own.answers:
            # Forgotten, or a ball that never came this far.
            return got + closed
        ruling = self._judge(body, recall.body, recall.signature, now)
        if ruling is None:
            return got + closed
        effects = got + self._admit(query_id, body, 0, ruling)
        evaluation = Evaluation(body, 1, now + recall.remaining_ms * MILLISECOND, [caller])
        return effects + self._evaluate(query_id, evaluation, ruling, now)

    def _part(self, peer: NodeId, part: Part, now: Micros) -> list[Effect]:
        wave = self._flood.wave_of(peer, part.token)
        if wave is not None and wave.parent is not None:
            return self._flood.carry(wave, part)
        inquiry = self._inquiries.recalled(peer, part.token)
        if inquiry is None and wave is not None:
            inquiry = self._inquiries.get(wave.query_id)
        if inquiry is None:
            return []
        try:
            verified = inquiry.reading.part(part.token, part.sealed)
        except PeerFault as fault:
            # Not raised: whoever carried this could not read it, and is not to lose its link for
            # what somebody behind it forged.
            return [Blame(peer, fault.what)]
        return [] if verified is None else self._inquiries.verified(inquiry, verified, now)

    def _roster(
        self, peer: NodeId, message: Heads | Digests | RosterNews, now: Micros
    ) -> list[Effect]:
        if self._gossip is None:
            return []
        neighbours = [known.node for known in self.peers.all()]
        effects, changed = self._gossip.receive(peer, message, neighbours)
        if changed:
            effects += self.members_changed(self._gossip.members(), self._gossip.head(), now)
        return effects

    # ------------------------------------------------------------ time

    def next_deadline(self) -> Micros | None:
        """When to call `wake`; None for never."""
        earliest = None
        for agenda in self._agendas:
            when = agenda.next()
            if when is not None and (earliest is None or when < earliest):
                earliest = when
        return earliest

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
            effects += self._too_late(query_id)
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
            effects += self._lose(peer, now)
        return effects

    def _too_late(self, query_id: QueryId) -> list[Effect]:
        """Nobody waits for this answer any more; its wave closes by its own deadline."""
        evaluation = self._holding.expire(query_id)
        effects: list[Effect] = []
        for caller in evaluation.callers if evaluation else ():
            if caller.wave is None:
                effects += self._reply(caller.peer, Closed(caller.token))
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


def _check_hops(ask: Ask, body: AskBody) -> bool:
    """Whether this is a ball; its numbers are sound (PROTOCOL 4.3)."""
    if ask.hops < 1 or body.ttl0 > HOPS:
        raise PeerFault("An Ask's hops are impossible.")
    if body.ttl0 and ask.ttl + ask.hops > body.ttl0:
        raise PeerFault("An Ask promises to go further than its origin asked for.")
    if not body.ttl0 and ask.ttl:
        raise PeerFault("An Ask to everyone has a TTL.")
    return body.ttl0 > 0
