"""This node's own answers to others: made once, sealed, and kept until nobody can want them.

An answer is the signed Done together with its rows, sealed to the key that the query brought, in
parts of a few sizes. Relays carry it and cannot read it; a hit and a miss look alike (PROTOCOL
5.1, 5.3, 5.5).
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from meshpacs.engine.agenda import Agenda
from meshpacs.engine.notary import Notary
from meshpacs.model.answer import Row, Status
from meshpacs.model.ids import Digest, Micros, NodeId, QueryId
from meshpacs.model.limits import KEPT_ANSWER_BYTES
from meshpacs.wire.bodies import DONE_CONTEXT, Answer, AskBody, Done, Rows
from meshpacs.wire.codec import pack
from meshpacs.wire.parts import ANSWER_BYTES, cut

DONE_BYTES = 1024
"""Room kept for Done and signature when rows are cut to fit; they take about 300."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who waits for an answer of ours: a wave's parent, or a member that asked directly."""

    peer: NodeId
    token: int
    wave: int | None
    """The wave to be told when the answer is on its way; None for a Recall."""
    direct: bool = False
    """The Recall came over a direct link."""


@dataclass(slots=True)
class Evaluation:
    """A query that the archive is being searched for."""

    body: AskBody
    hops: int
    deadline: Micros
    callers: list[Caller] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Kept:
    parts: tuple[bytes, ...]
    size: int


class Holding:
    """Evaluations under way and answers kept."""

    def __init__(self, node: NodeId, notary: Notary) -> None:
        """Nothing is asked of us."""
        self._node = node
        self._notary = notary
        self._open: dict[QueryId, Evaluation] = {}
        self._kept: OrderedDict[QueryId, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self.deadlines: Agenda[QueryId] = Agenda()

    def __len__(self) -> int:
        """How many evaluations are open."""
        return len(self._open)

    @property
    def kept_count(self) -> int:
        """How many answers are kept for recall."""
        return len(self._kept)

    def begin(self, query_id: QueryId, evaluation: Evaluation) -> None:
        """The archive is asked; `finish` must follow."""
        self._open[query_id] = evaluation
        self.deadlines.set(query_id, evaluation.deadline)

    def join(self, query_id: QueryId, caller: Caller) -> list[Caller] | None:
        """Let one more caller wait for an evaluation under way; None if there is none.

        Whoever recalls again, however often, waits once: its earlier calls are given back.
        """
        evaluation = self._open.get(query_id)
        if evaluation is None:
            return None
        earlier = [c for c in evaluation.callers if c.wave is None and c.peer == caller.peer]
        evaluation.callers = [c for c in evaluation.callers if c not in earlier] + [caller]
        return earlier

    def cancel(self, query_id: QueryId, peer: NodeId) -> None:
        """This caller no longer waits."""
        evaluation = self._open.get(query_id)
        if evaluation is not None:
            evaluation.callers = [c for c in evaluation.callers if c.peer != peer]

    def take(self, query_id: QueryId) -> Evaluation | None:
        """End an evaluation; None if its deadline has passed."""
        return self._open.pop(query_id, None)

    def kept(self, query_id: QueryId) -> tuple[bytes, ...] | None:
        """The sealed parts of an answer given before."""
        kept = self._kept.get(query_id)
        return None if kept is None else kept.parts

    def expire(self, query_id: QueryId) -> Evaluation | None:
        """Nobody waits any more: forget the answer, and end an evaluation that is still open."""
        kept = self._kept.pop(query_id, None)
        if kept is not None:
            self._kept_bytes -= kept.size
        return self._open.pop(query_id, None)

    def make(
        self,
        query_id: QueryId,
        body: AskBody,
        status: Status,
        *,
        hops: int,
        wall_us: Micros,
        rows: tuple[Row, ...] = (),
        skew_us: Micros = 0,
    ) -> tuple[bytes, ...]:
        """Sign and seal an answer; rows beyond the largest answer are cut off, and it says so."""
        packed = pack(Rows(rows))
        while len(packed) > ANSWER_BYTES - DONE_BYTES:
            rows = rows[: len(rows) // 2]
            status = Status.TRUNCATED
            packed = pack(Rows(rows))
        digest = Digest(hashlib.sha256(packed).digest())
        done = pack(Done(query_id, self._node, status, hops, len(rows), digest, wall_us, skew_us))
        answer = pack(Answer(done, self._notary.sign(DONE_CONTEXT, done), packed))
        seal = self._notary.seal
        return tuple(seal(body.reply_key, plain) for plain in cut(self._node, answer))

    def keep(self, query_id: QueryId, parts: tuple[bytes, ...], deadline: Micros) -> None:
        """Keep an answer for recall, at the cost of the oldest where there is no room."""
        size = sum(map(len, parts))
        self._kept[query_id] = _Kept(parts, size)
        self._kept_bytes += size
        self.deadlines.set(query_id, deadline)
        while self._kept_bytes > KEPT_ANSWER_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.size
