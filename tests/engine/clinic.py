"""One engine among imaginary members, for tests that look at single rules."""

import hashlib
from dataclasses import dataclass, field
from typing import TypeVar

from meshpacs.engine.asking import query_id_of
from meshpacs.engine.effects import DeliverFinal, Effect, Send, Visit
from meshpacs.engine.engine import Engine
from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Report, Row, Status
from meshpacs.model.attributes import Level
from meshpacs.model.content import StudyState
from meshpacs.model.ids import SECOND, Digest, MeshId, Micros, NodeId, QueryId
from meshpacs.model.member import Member, Role
from meshpacs.model.query import Query
from meshpacs.wire.bodies import ASK_CONTEXT, DONE_CONTEXT, Answer, AskBody, Done, Rows
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.messages import Ask, Message, Part, Recall
from meshpacs.wire.parts import cut, read
from meshpacs_sim.world.notary import FakeNotary

T = TypeVar("T")

MESH = MeshId(b"M" * 32)
HEAD = Digest(b"H" * 32)


def node(name: str) -> NodeId:
    return NodeId(hashlib.sha256(name.encode()).digest())


ME, ANNA, BERT, CARL, DORA, STRANGER = map(node, ("me", "anna", "bert", "carl", "dora", "x"))
EVERYBODY = {n: Member(n, "somebody", Role.MEMBER) for n in (ME, ANNA, BERT, CARL, DORA)}

CT = Query(Level.STUDY, ((0x00080060, ("CT",)),))
NOW: Micros = 10_000 * SECOND
ROW = Row({0x0020000D: ("1.2.3",)}, (StudyState("1.2.3", HEAD, 7),))
FROZEN = Settings(frozen_overlay=True)


@dataclass
class Clinic:
    """An engine, and everybody's fake notaries."""

    neighbours: tuple[NodeId, ...] = ()
    members: dict[NodeId, Member] = field(default_factory=lambda: dict(EVERYBODY))
    settings: Settings = FROZEN
    boots: dict[NodeId, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = Engine(
            node=ME,
            mesh=MESH,
            boot=1,
            seed=1,
            notary=FakeNotary(ME, self.members, 1),
            members=self.members,
            roster_head=HEAD,
            boots=self.boots,
            settings=self.settings,
        )
        for peer in self.neighbours:
            self.engine.linked(peer, NOW, outbound=True)

    def notary(self, who: NodeId) -> FakeNotary:
        return FakeNotary(who, {**EVERYBODY, **self.members}, 2)

    def body(self, origin: NodeId, counter: int = 1, **changes: object) -> bytes:
        fields: dict[str, object] = {
            "mesh": MESH,
            "origin": origin,
            "boot": 1,
            "counter": counter,
            "sent_at_us": NOW,
            "ttl0": 0,
            "budget_ms": 10_000,
            "roster_head": HEAD,
            "key_epoch": 0,
            "query": CT,
            "reply_key": self.reply_keys(origin)[0],
        }
        return pack(AskBody(**{**fields, **changes}))  # type: ignore[arg-type]

    def reply_keys(self, origin: NodeId) -> tuple[bytes, bytes]:
        return FakeNotary(origin, EVERYBODY, 3).reply_keys()

    def ask(
        self,
        origin: NodeId,
        token: int,
        *,
        counter: int = 1,
        ttl: int = 0,
        hops: int = 1,
        remaining_ms: int = 10_000,
        **changes: object,
    ) -> Ask:
        body = self.body(origin, counter, **changes)
        signature = self.notary(origin).sign(ASK_CONTEXT, body)
        return Ask(token, ttl, hops, remaining_ms, body, signature)

    def recall(self, origin: NodeId, token: int, **changes: object) -> Recall:
        ask = self.ask(origin, token, **changes)  # type: ignore[arg-type]
        return Recall(token, ask.remaining_ms, ask.body, ask.signature)

    def answer(
        self,
        responder: NodeId,
        ask: Ask | Recall,
        rows: tuple[Row, ...] = (),
        *,
        signer: NodeId | None = None,
        changes: dict[str, object] | None = None,
    ) -> list[bytes]:
        """What `responder` would send back: sealed parts."""
        packed = pack(Rows(rows))
        fields: dict[str, object] = {
            "query_id": query_id_of(ask.body),
            "responder": responder,
            "status": "answered",
            "hops": 1,
            "row_count": len(rows),
            "rows": Digest(hashlib.sha256(packed).digest()),
            "as_of_us": 5,
        }
        done = pack(Done(**{**fields, **(changes or {})}))  # type: ignore[arg-type]
        signature = self.notary(signer or responder).sign(DONE_CONTEXT, done)
        answer = pack(Answer(done, signature, packed))
        key = unpack(AskBody, ask.body).reply_key
        return [self.notary(responder).seal(key, plain) for plain in cut(responder, answer)]

    def opened(self, origin: NodeId, part: Part) -> tuple[Done, Rows]:
        """What an origin reads in an answer of one part."""
        public, private = self.reply_keys(origin)
        plain = self.notary(origin).unseal(public, private, part.sealed)
        assert plain is not None
        answer = unpack(Answer, read(plain).data)
        return unpack(Done, answer.done), unpack(Rows, answer.rows)


def sent(effects: list[Effect], to: NodeId | None = None) -> list[Message]:
    """The messages among effects, to one peer or to all."""
    return [
        effect.message
        for effect in effects
        if isinstance(effect, Send | Visit) and to in (None, effect.peer)
    ]


def only(kind: type[T], effects: list[Effect] | list[Message]) -> T:
    """The one effect or message of this kind."""
    (found,) = [effect for effect in effects if isinstance(effect, kind)]
    return found


def final(effects: list[Effect]) -> Report:
    return only(DeliverFinal, effects).report


def statuses(report: Report) -> dict[NodeId, Status]:
    return {answer.node: answer.status for answer in report.members}


def some_id(query: Ask | Recall) -> QueryId:
    return query_id_of(query.body)
