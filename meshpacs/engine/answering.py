"""What becomes of an Ask or a Recall that comes in (PROTOCOL 4.3 to 4.6, 5.1, 5.3).

Every Ask is acknowledged, then: closed at once if it is a repeat; opened as a further wave if it
may go further than any copy before; judged if it is new. What is judged well is sent on and
evaluated; what is not gets an answer that says why, sealed like any other. A Recall is answered
from what was kept; it is evaluated only where the flood never came, and never sent on.
"""

from meshpacs.engine.admission import Admission, Ruling
from meshpacs.engine.asking import query_id_of
from meshpacs.engine.effects import Effect, KeepBoot, SearchLocal, Send, Visit
from meshpacs.engine.flood import Flood
from meshpacs.engine.holding import Caller, Evaluation, Holding
from meshpacs.engine.peers import Peers
from meshpacs.engine.roll import Roll
from meshpacs.engine.seen import Seen
from meshpacs.engine.settings import Settings
from meshpacs.engine.wall import Wall
from meshpacs.model.answer import Row, Status
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import MILLISECOND, Micros, NodeId, QueryId
from meshpacs.model.limits import HOPS, MEMBERS, OPEN_QUERIES
from meshpacs.wire.bodies import AskBody
from meshpacs.wire.codec import unpack
from meshpacs.wire.messages import Ask, Closed, Got, Message, Part, Recall


class Answering:
    """Takes in the queries of others."""

    def __init__(
        self,
        roll: Roll,
        wall: Wall,
        peers: Peers,
        flood: Flood,
        holding: Holding,
        admission: Admission,
        seen: Seen,
        settings: Settings,
    ) -> None:
        """The rooms that an Ask passes through."""
        self._roll = roll
        self._wall = wall
        self._peers = peers
        self._flood = flood
        self._holding = holding
        self._admission = admission
        self._seen = seen
        self._settings = settings

    # ------------------------------------------------------------ an Ask

    def ask(self, peer: NodeId, ask: Ask, now: Micros) -> list[Effect]:
        """Take in one copy of a query.

        Raises:
            PeerFault: the copy breaks the protocol or is forged; the state is unchanged.
        """
        sender = self._peers.get(peer)
        # By roles alone: that we have not caught up with a peer does not mean that it has not.
        if sender is None or not self._roll.carries(peer):
            raise PeerFault("An Ask came over a link that carries none.")
        if self._flood.names(peer, ask.token):
            raise PeerFault("An Ask came with a token that is in use.")
        query_id = query_id_of(ask.body)
        got: list[Effect] = [Send(peer, Got(ask.token))]
        best = self._seen.best(query_id)
        if best is not None and ask.ttl <= best:
            return [*got, Send(peer, Closed(ask.token))]
        body = unpack(AskBody, ask.body)
        ball = _check_hops(ask, body)
        # Neither number is signed. No path is longer than the mesh, no query lives longer than
        # its origin has said; and nobody downstream is to blame us for what a sender made up.
        budget_ms = self._budget_ms(body)
        remaining_ms = min(ask.remaining_ms, budget_ms)
        hops = min(ask.hops, MEMBERS)
        ask = Ask(ask.token, ask.ttl, hops, remaining_ms, ask.body, ask.signature)
        if best is not None:
            # A larger remaining TTL than any before: forwarded again, never evaluated again. The
            # body is the one that was verified; the signature came anew.
            if not self._admission.genuine(body.origin, ask.body, ask.signature):
                return [*got, Send(peer, Closed(ask.token, (self._roll.node,)))]
            self._seen.note(query_id, ask.ttl)
            _, sent = self._flood.open(
                query_id, ask, body.origin, peer, now, ball=ball, answering=False
            )
            return got + sent
        ruling = self._judge(body, ask.body, ask.signature, now)
        if ruling is None:
            return [*got, Send(peer, Closed(ask.token, (self._roll.node,)))]
        effects = got + self._remember(query_id, body, ask.ttl, ruling)
        wave = None
        if ruling.carried:
            wave, sent = self._flood.open(
                query_id,
                ask,
                body.origin,
                peer,
                now,
                ball=ball,
                answering=self._roll.answering,
            )
            effects += sent
        if not self._roll.answering:
            # What is behind us has not been asked, and no answer of ours will say so.
            lost = Send(peer, Closed(ask.token, (self._roll.node,)))
            return effects if ruling.carried else [*effects, lost]
        # By what the origin has signed: a sender that says too little must not cost it the answer.
        deadline = now + budget_ms * MILLISECOND
        callers = [Caller(peer, ask.token, wave)]
        evaluation = Evaluation(body, ask.hops, deadline, callers)
        return effects + self._evaluate(query_id, evaluation, ruling, now)

    def _budget_ms(self, body: AskBody) -> int:
        """The longest that anybody can wait for this query, from now on."""
        return min(body.budget_ms, self._settings.budget_most_us // MILLISECOND)

    def _judge(self, body: AskBody, packed: bytes, signature: bytes, now: Micros) -> Ruling | None:
        return self._admission.judge(
            body,
            packed,
            signature,
            now=now,
            neighbours=len(self._peers),
            busy=max(len(self._flood), len(self._holding)) >= OPEN_QUERIES,
        )

    def _remember(self, query_id: QueryId, body: AskBody, ttl: int, ruling: Ruling) -> list[Effect]:
        if ruling.status is Status.SKEWED:
            # Not remembered: when a clock is put right, the same bytes may be sound. It costs a
            # sealed answer for each copy, from neighbours alone, because it goes no further.
            return []
        self._seen.note(query_id, ttl)
        return [KeepBoot(body.origin, body.boot)] if self._admission.note(body) else []

    # ------------------------------------------------------------ a Recall

    def recall(self, peer: NodeId, recall: Recall, now: Micros, *, direct: bool) -> list[Effect]:
        """Give the answer to a query to its origin, again or for the first time.

        Over the link that the Recall came by: a neighbour that visits us has its reasons.

        Raises:
            PeerFault: it is another's query, or forged; the state is unchanged.
        """
        query_id = query_id_of(recall.body)
        body = unpack(AskBody, recall.body)
        if body.origin != peer:
            raise PeerFault("A query was recalled by another than its origin.")
        got = self.reply(peer, Got(recall.token), direct=direct)
        caller = Caller(peer, recall.token, None, direct)
        kept = self._holding.kept(query_id)
        if kept is not None:
            return got + self._hand_out([caller], kept)
        replaced = self._holding.join(query_id, caller)
        if replaced is not None:
            return got + [effect for old in replaced for effect in self._end(old)]
        ruling = None
        if self._seen.best(query_id) is None and not body.ttl0 and self._roll.answering:
            ruling = self._judge(body, recall.body, recall.signature, now)
        if ruling is None:
            # Forgotten, or a ball that never came this far.
            return got + self._end(caller)
        effects = got + self._remember(query_id, body, 0, ruling)
        deadline = now + min(recall.remaining_ms, self._budget_ms(body)) * MILLISECOND
        evaluation = Evaluation(body, 1, deadline, [caller])
        return effects + self._evaluate(query_id, evaluation, ruling, now)

    # ------------------------------------------------------------ the answer

    def _evaluate(
        self, query_id: QueryId, evaluation: Evaluation, ruling: Ruling, now: Micros
    ) -> list[Effect]:
        """Search the archive, or say at once why not; either way the answer looks the same."""
        if ruling.status is Status.ANSWERED:
            self._holding.begin(query_id, evaluation)
            return [SearchLocal(query_id, evaluation.body.query)]
        return self._answer(query_id, evaluation, ruling, (), now)

    def found(
        self, query_id: QueryId, status: Status, rows: tuple[Row, ...], now: Micros
    ) -> list[Effect]:
        """The archive has been searched."""
        evaluation = self._holding.take(query_id)
        if evaluation is None:
            return []
        return self._answer(query_id, evaluation, Ruling(status), rows, now)

    def _answer(
        self,
        query_id: QueryId,
        evaluation: Evaluation,
        ruling: Ruling,
        rows: tuple[Row, ...],
        now: Micros,
    ) -> list[Effect]:
        parts = self._holding.make(
            query_id,
            evaluation.body,
            ruling.status,
            hops=evaluation.hops,
            wall_us=self._wall.at(now),
            rows=rows,
            skew_us=ruling.skew_us,
        )
        if ruling.status is not Status.SKEWED:
            self._holding.keep(query_id, parts, evaluation.deadline)
        return self._hand_out(evaluation.callers, parts)

    def _hand_out(self, callers: list[Caller], parts: tuple[bytes, ...]) -> list[Effect]:
        """Send an answer to everybody who waits for it."""
        effects: list[Effect] = []
        for caller in callers:
            pieces = (Part(caller.token, part) for part in parts)
            effects += self.reply(caller.peer, *pieces, direct=caller.direct)
            effects += self._end(caller)
        return effects

    def expire(self, query_id: QueryId) -> list[Effect]:
        """Nobody can want this answer any more; waves close by deadlines of their own."""
        evaluation = self._holding.expire(query_id)
        effects: list[Effect] = []
        for caller in evaluation.callers if evaluation else ():
            if caller.wave is None:
                effects += self._end(caller)
        return effects

    def _end(self, caller: Caller) -> list[Effect]:
        if caller.wave is None:
            return self.reply(caller.peer, Closed(caller.token), direct=caller.direct)
        return self._flood.answered(caller.wave)

    def reply(self, peer: NodeId, *messages: Message, direct: bool) -> list[Effect]:
        """Answer over the link that was asked by; if that was a neighbour's, and is gone, directly.

        A link may be dead in one direction, or known to one side only, long before keepalives
        find out; who therefore asks by another way must not be answered into it.
        """
        if direct or peer not in self._peers:
            return [Visit(peer, message) for message in messages]
        return [Send(peer, message) for message in messages]


def _check_hops(ask: Ask, body: AskBody) -> bool:
    """Whether this is a ball; its numbers are sound (PROTOCOL 4.3)."""
    if ask.hops < 1 or body.ttl0 > HOPS:
        raise PeerFault("An Ask's hops are impossible.")
    if body.ttl0 and ask.ttl + ask.hops > body.ttl0:
        raise PeerFault("An Ask promises to go further than its origin asked for.")
    if not body.ttl0 and ask.ttl:
        raise PeerFault("An Ask to everyone has a TTL.")
    return body.ttl0 > 0
