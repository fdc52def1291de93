"""Queries of our own, from asking to the final report (PROTOCOL 4, 5.3, 5.4).

An inquiry goes through two phases. While its wave is open the flood brings answers. When the wave
has closed, or its time is nearly up, every member that is unaccounted for is asked directly: one
crash or one lazy relay must not hide the clinics behind it. Then comes the report, which names
every member. Members that are silent already are not waited for.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from meshpacs.engine.admission import HELD_BACK
from meshpacs.engine.agenda import Agenda
from meshpacs.engine.attendance import Attendance
from meshpacs.engine.effects import DeliverFinal, DeliverRows, Effect, Send, Visit
from meshpacs.engine.peers import Peers
from meshpacs.engine.reading import Reading, Verified
from meshpacs.engine.roll import Roll
from meshpacs.engine.settings import Settings
from meshpacs.engine.wall import Wall
from meshpacs.model.answer import MemberAnswer, Report, Row, Status
from meshpacs.model.ids import MILLISECOND, Micros, NodeId, QueryId
from meshpacs.model.limits import RECALLS_AT_ONCE
from meshpacs.wire.messages import Ping, Recall


@dataclass(slots=True)
class Inquiry:
    """One query of ours."""

    query_id: QueryId
    body: bytes
    signature: bytes
    ttl: int
    """Of the ball; 0 for everyone."""
    asked_us: Micros
    deadline: Micros
    reading: Reading
    answers: dict[NodeId, MemberAnswer] = field(default_factory=dict)
    recalling: bool = False
    failed: bool = False
    """Something in the flood failed, so who is silent may well have been within the ball."""
    silent: dict[NodeId, None] = field(default_factory=dict)
    """Members that were silent when the query began: they are not waited for."""
    outside: dict[NodeId, None] = field(default_factory=dict)
    """Members that say they were never asked."""
    waiting: deque[NodeId] = field(default_factory=deque)
    """To be recalled when there is room."""
    recalls: dict[int, NodeId] = field(default_factory=dict)
    """Token to member, of recalls that are open."""


class Inquiries:
    """All open queries of this node."""

    def __init__(
        self,
        roll: Roll,
        wall: Wall,
        peers: Peers,
        attendance: Attendance,
        token: Callable[[], int],
        settings: Settings,
    ) -> None:
        """Tokens are drawn from where the flood draws its own: both are answered on one link."""
        self._roll = roll
        self._wall = wall
        self._peers = peers
        self._attendance = attendance
        self._settings = settings
        self._open: dict[QueryId, Inquiry] = {}
        self._tokens: dict[int, QueryId] = {}
        """Of open recalls."""
        self._token = token
        self.ends: Agenda[QueryId] = Agenda()
        self.turns: Agenda[QueryId] = Agenda()
        """When to stop waiting for the flood and recall."""
        self.visits: Agenda[int] = Agenda()
        """When a recall must have been acknowledged, then answered."""
        self.finished: deque[QueryId] = deque()
        """Queries that are over, so that their waves can be forgotten. The engine takes them."""

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def recalls(self) -> int:
        """How many recalls are open."""
        return len(self._tokens)

    def get(self, query_id: QueryId) -> Inquiry | None:
        """This query, if it is ours and open."""
        return self._open.get(query_id)

    def begin(self, inquiry: Inquiry) -> None:
        """A query of ours is on its way."""
        self._open[inquiry.query_id] = inquiry
        inquiry.silent = self._attendance.all_silent()
        budget = inquiry.deadline - inquiry.asked_us
        reserve = min(self._settings.recall_us, budget // 3)
        self.ends.set(inquiry.query_id, inquiry.deadline)
        self.turns.set(inquiry.query_id, inquiry.deadline - reserve)

    # ------------------------------------------------------------ answers

    def found(
        self, inquiry: Inquiry, rows: tuple[Row, ...], now: Micros, status: Status
    ) -> list[Effect]:
        """Our own archive's answer."""
        answer = MemberAnswer(
            self._roll.node,
            status,
            len(rows),
            took_us=now - inquiry.asked_us,
            as_of_us=self._wall.at(now),
        )
        return self._account(inquiry, answer, rows)

    def verified(self, inquiry: Inquiry, verified: Verified, now: Micros) -> list[Effect]:
        """Another member's answer; a second one (both flood and recall may bring it) is dropped."""
        done = verified.done
        self._attendance.heard(done.responder, now)
        if not self._roll.answers(done.responder) or done.responder in inquiry.answers:
            return []
        answer = MemberAnswer(
            done.responder,
            verified.status,
            len(verified.rows),
            done.hops,
            now - inquiry.asked_us,
            done.as_of_us,
            skew_us=done.skew_us,
        )
        return self._account(inquiry, answer, verified.rows)

    def _account(
        self, inquiry: Inquiry, answer: MemberAnswer, rows: tuple[Row, ...]
    ) -> list[Effect]:
        inquiry.answers[answer.node] = answer
        effects: list[Effect] = []
        if answer.status in (Status.ANSWERED, Status.TRUNCATED):
            effects.append(DeliverRows(inquiry.query_id, answer.node, rows))
        return effects + self._finish_if_over(inquiry, inquiry.asked_us + answer.took_us)

    def _lacks(self, inquiry: Inquiry) -> bool:
        """Whether an answer is still expected of anybody."""
        # Counting tells as long as there are too few. It cannot tell that there are enough: of
        # those who have answered some may be no members any more.
        return len(inquiry.answers) < self._roll.answerers or bool(self._unaccounted(inquiry))

    def _unaccounted(self, inquiry: Inquiry) -> list[NodeId]:
        return [
            node
            for node, member in self._roll.members.items()
            if member.answers and node not in inquiry.answers
        ]

    # ------------------------------------------------------------ asking directly

    def flooded(self, inquiry: Inquiry, now: Micros, *, failed: bool) -> list[Effect]:
        """The flood has ended, or has had its time: ask the unaccounted directly."""
        if inquiry.recalling:
            return []
        inquiry.recalling = True
        held_back = any(answer.status in HELD_BACK for answer in inquiry.answers.values())
        inquiry.failed = failed = failed or inquiry.reading.spoiled or held_back
        self.turns.clear(inquiry.query_id)
        # Where nothing failed, whoever has not answered a ball is outside it.
        if not failed and inquiry.ttl:
            return self._recall(inquiry, now)
        silent: list[NodeId] = []
        for node in self._unaccounted(inquiry):
            if node in inquiry.silent and self._attendance.silent(node):
                silent.append(node)
            elif node != self._roll.node:
                inquiry.waiting.append(node)
        return self._knock(silent, now) + self._recall(inquiry, now)

    def _knock(self, silent: list[NodeId], now: Micros) -> list[Effect]:
        """Ask silent members, whom nobody waits for, whether they are back.

        Nothing else would make one heard that is no neighbour, if the flood comes to it and back
        only through a member that drops it. Neighbours have their keepalives.
        """
        pause, effects = self._settings.keepalive_us, list[Effect]()
        for node in silent:
            if len(effects) == RECALLS_AT_ONCE:
                break
            if node not in self._peers and self._attendance.knock(node, now, pause):
                effects.append(Visit(node, Ping(0)))
        return effects

    def turn(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """The flood has had its time; that it has not closed means that something failed."""
        return self.flooded(self._open[query_id], now, failed=True)

    def _recall(self, inquiry: Inquiry, now: Micros) -> list[Effect]:
        effects: list[Effect] = []
        remaining_ms = (inquiry.deadline - now) // MILLISECOND
        while inquiry.waiting and len(inquiry.recalls) < RECALLS_AT_ONCE and remaining_ms > 0:
            peer = inquiry.waiting.popleft()
            if peer in inquiry.answers:
                continue
            token = self._token()
            inquiry.recalls[token] = peer
            self._tokens[token] = inquiry.query_id
            patience = max(self._settings.visit_us, self._peers.patience_us(peer))
            self.visits.set(token, now + patience)
            message = Recall(token, remaining_ms, inquiry.body, inquiry.signature)
            # A neighbour that has just missed its deadline may be well, and the link ill.
            linked = peer in self._peers and not self._attendance.silent(peer)
            effects.append(Send(peer, message) if linked else Visit(peer, message))
        return effects + self._finish_if_over(inquiry, now)

    def recalled(self, peer: NodeId, token: int) -> Inquiry | None:
        """The query that this member was asked directly for under this token."""
        query_id = self._tokens.get(token)
        inquiry = self._open.get(query_id) if query_id is not None else None
        return inquiry if inquiry is not None and inquiry.recalls.get(token) == peer else None

    def got(self, peer: NodeId, token: int) -> None:
        """A Recall has arrived: give the archive behind it the time that is left."""
        inquiry = self.recalled(peer, token)
        if inquiry is not None:
            self.visits.set(token, inquiry.deadline)

    def closed(self, peer: NodeId, token: int, now: Micros) -> list[Effect]:
        """A recall has ended."""
        inquiry = self.recalled(peer, token)
        if inquiry is None:
            return []
        inquiry.outside[peer] = None
        return self._end_recall(inquiry, token, now)

    def overdue(self, token: int, now: Micros) -> list[Effect]:
        """A recall was not acknowledged in time."""
        inquiry = self._open[self._tokens[token]]
        self._attendance.missed(inquiry.recalls[token])
        return self._end_recall(inquiry, token, now)

    def unlinked(self, peer: NodeId, now: Micros) -> list[Effect]:
        """A neighbour's link is gone, perhaps the link alone: recall it over a direct one."""
        effects: list[Effect] = []
        for inquiry, token in self._recalls_of(peer):
            inquiry.waiting.append(peer)
            effects += self._end_recall(inquiry, token, now)
        return effects

    def unreachable(self, peer: NodeId, now: Micros) -> list[Effect]:
        """A direct link could not be had, or broke."""
        effects: list[Effect] = []
        for inquiry, token in self._recalls_of(peer):
            self._attendance.missed(peer)
            effects += self._end_recall(inquiry, token, now)
        return effects

    def _recalls_of(self, peer: NodeId) -> list[tuple[Inquiry, int]]:
        return [
            (inquiry, token)
            for inquiry in self._open.values()
            for token, node in inquiry.recalls.items()
            if node == peer
        ]

    def _end_recall(self, inquiry: Inquiry, token: int, now: Micros) -> list[Effect]:
        del inquiry.recalls[token]
        del self._tokens[token]
        self.visits.clear(token)
        return self._recall(inquiry, now)

    # ------------------------------------------------------------ the end

    def expire(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """The deadline: report what there is."""
        inquiry = self._open[query_id]
        for peer in inquiry.recalls.values():
            self._attendance.missed(peer)
        return self._finish(inquiry, now)

    def cancel(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """Nobody wants the answer any more."""
        inquiry = self._open.get(query_id)
        return [] if inquiry is None else self._finish(inquiry, now, cancelled=True)

    def _finish_if_over(self, inquiry: Inquiry, now: Micros) -> list[Effect]:
        local = self._roll.answering and self._roll.node not in inquiry.answers
        asked = inquiry.recalling and not inquiry.recalls and not inquiry.waiting
        if (local or not asked) and self._lacks(inquiry):
            return []
        return self._finish(inquiry, now)

    def _finish(self, inquiry: Inquiry, now: Micros, *, cancelled: bool = False) -> list[Effect]:
        query_id = inquiry.query_id
        del self._open[query_id]
        for token in inquiry.recalls:
            del self._tokens[token]
            self.visits.clear(token)
        self.ends.clear(query_id)
        self.turns.clear(query_id)
        self.finished.append(query_id)
        members = tuple(
            inquiry.answers.get(node) or self._absent(inquiry, node)
            for node in sorted(self._roll.members)
            if self._roll.members[node].answers
        )
        # What the flood did not reach we cannot tell from what is too far.
        doubtful = inquiry.failed and any(m.status is Status.OUTSIDE for m in members)
        report = Report(query_id, members, now - inquiry.asked_us, cancelled, doubtful)
        return [DeliverFinal(query_id, report)]

    def _absent(self, inquiry: Inquiry, node: NodeId) -> MemberAnswer:
        if node == self._roll.node:
            return MemberAnswer(node, Status.FAILED)
        if inquiry.ttl and (node in inquiry.outside or not inquiry.failed):
            return MemberAnswer(node, Status.OUTSIDE)
        since = self._attendance.since(node)
        return MemberAnswer(
            node,
            Status.UNREACHABLE,
            since_us=0 if since is None else self._wall.at(since),
        )
