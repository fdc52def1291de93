"""A live engine with its real roster, notary and archive, and members who send it anything."""

import hashlib
from random import Random
from typing import assert_never

import msgpack

from garbage.mesh import NOW_S, Company
from garbage.messages import QUERIES, ROWS, ask_body, done_of, entries_of, messages
from garbage.mutations import NUMBERS, scramble, warp
from meshpacs.archive.archive import Archive
from meshpacs.engine.asking import query_id_of
from meshpacs.engine.effects import (
    Blame,
    DeliverFinal,
    DeliverRows,
    Dial,
    Effect,
    Hangup,
    KeepBoot,
    KeepRoster,
    SearchLocal,
    Send,
    Visit,
)
from meshpacs.engine.engine import Engine
from meshpacs.engine.gossip import RosterGossip
from meshpacs.model.errors import MeshError, PeerFault
from meshpacs.model.ids import SECOND, Micros, NodeId
from meshpacs.model.query import Ball, Everyone
from meshpacs.wire.admission import ADMIT_CONTEXT
from meshpacs.wire.bodies import ASK_CONTEXT, DONE_CONTEXT, Answer, AskBody
from meshpacs.wire.codec import encode, pack, unpack
from meshpacs.wire.entries import ENTRY_CONTEXT
from meshpacs.wire.keys import Identity, Signed
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Message, Part, Recall, RosterNews
from meshpacs.wire.notary import RosterNotary
from meshpacs.wire.parts import cut
from meshpacs.wire.record import RECORD_CONTEXT

QUIET_S = 120
"""Seconds after which nothing may be open any more: 30 of budget, and every patience."""


class Mind:
    """One node's engine, its effects carried out as the driver does, without a network."""

    def __init__(self, company: Company, archive: Archive, seed: int) -> None:
        """Linked with both members, caught up with each."""
        self._company = company
        self._archive = archive
        self._roster = company.roster()
        self.now: Micros = 10_000 * SECOND
        self.engine = Engine(
            node=company.target.node,
            mesh=company.mesh,
            boot=1,
            seed=seed,
            notary=RosterNotary(company.target, self._roster),
            members=self._roster.members(),
            roster_head=self._roster.head(),
            boots={},
            gossip=RosterGossip(self._roster),
        )
        self.engine.clock(NOW_S * SECOND - self.now)
        self.asks: dict[NodeId, list[Ask | Recall]] = {}
        """Copies that were sent to a member and may still be answered."""
        self.gone: list[NodeId] = []
        """Members who were hung up on."""
        for identity in (company.bert, company.carl):
            self.link(identity)

    def link(self, identity: Identity) -> None:
        """A link, and the roster's conversation to its end."""
        engine, peer = self.engine, identity.node
        self._carry_out(engine.linked(peer, self.now, outbound=True))
        self._carry_out(engine.receive(peer, self._roster.heads(), self.now))
        self._carry_out(engine.receive(peer, RosterNews((), (), ()), self.now))

    def receive(self, identity: Identity, message: Message, *, direct: bool = False) -> None:
        """What one member sends; a breach ends its link, and it comes back.

        Raises:
            PeerFault: it was a breach.
        """
        peer = identity.node
        try:
            self._carry_out(self.engine.receive(peer, message, self.now, direct=direct))
        except PeerFault:
            self._carry_out(self.engine.unlinked(peer, self.now))
            self.link(identity)
            raise
        gone, self.gone = self.gone, []
        for peer in gone:
            if peer in self._roster.members():
                self.link(self._identity(peer))

    def _identity(self, peer: NodeId) -> Identity:
        return self._company.bert if peer == self._company.bert.node else self._company.carl

    @property
    def alone(self) -> bool:
        """Whether what the founder signed has cost one of the two its membership."""
        members = self._roster.members()
        return any(one.node not in members for one in (self._company.bert, self._company.carl))

    def ask(self, draw: Random) -> None:
        """A query of the node's own."""
        scope = draw.choice((Everyone(), Everyone(), Ball(3)))
        _, effects = self.engine.ask(draw.choice(QUERIES), scope, self.now)
        self._carry_out(effects)

    def let_pass(self, micros: Micros) -> None:
        """Time goes by."""
        until = self.now + micros
        while (due := self.engine.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self._carry_out(self.engine.wake(self.now))
        self.now = until

    def still_open(self) -> dict[str, int]:
        """What is open although the time of everything has passed."""
        for peer in (self._company.bert.node, self._company.carl.node):
            self._carry_out(self.engine.unlinked(peer, self.now))
        self.let_pass(QUIET_S * SECOND)
        return {name: count for name, count in self.engine.open_work().items() if count}

    def _carry_out(self, effects: list[Effect]) -> None:
        waiting = list(effects)
        while waiting:
            match waiting.pop(0):
                case Send(peer, message) | Visit(peer, message):
                    encode(message)
                    if isinstance(message, Ask | Recall):
                        self.asks.setdefault(peer, []).append(message)
                        del self.asks[peer][:-20]
                case SearchLocal(query_id, query):
                    try:
                        found = self._archive.search(query)
                    except MeshError:
                        waiting += self.engine.local_failed(query_id, self.now)
                    else:
                        waiting += self.engine.local_found(
                            query_id, found.rows, self.now, truncated=found.truncated
                        )
                case Hangup(peer):
                    self.gone.append(peer)
                case DeliverRows() | DeliverFinal() | Dial() | KeepBoot() | KeepRoster() | Blame():
                    pass
                case unknown:
                    assert_never(unknown)


class Insider:
    """A member with sound keys, who signs whatever it likes."""

    def __init__(self, company: Company, draw: Random) -> None:
        """Bert, most of the time."""
        self._company = company
        self._draw = draw
        self._counter = 0
        self._messages = messages(company)
        self._entries = entries_of(company)

    def next(self, mind: Mind) -> tuple[Identity, bytes]:
        """Who sends, and the payload of its frame."""
        draw, company = self._draw, self._company
        who = draw.choice((company.bert, company.bert, company.carl))
        theirs = mind.asks.get(who.node, [])
        kind = draw.randrange(10)
        if kind < 3:
            return who, self._ask(who, mind.now)
        if kind < 6 and theirs:
            return who, self._answer(who, draw.choice(theirs))
        if kind < 8:
            return who, self._news()
        payload = encode(draw.choice(self._messages))
        return who, payload[:1] + (warp(payload[1:], draw) if draw.random() < 0.9 else payload[1:])

    def _maybe(self, packed: bytes, share: float = 0.5) -> bytes:
        """Warped, or left whole so that what is inside is reached."""
        if self._draw.random() > share:
            return packed
        return warp(packed, self._draw)

    def _ask(self, who: Identity, now: Micros) -> bytes:
        draw = self._draw
        self._counter += 1
        ttl0 = draw.choice((0, 0, 3, 16))
        body = pack(ask_body(self._company, draw.choice(QUERIES), self._counter, ttl0=ttl0))
        tree = msgpack.unpackb(body, strict_map_key=False)
        wall = NOW_S * SECOND + now - 10_000 * SECOND
        tree[1], tree[4] = bytes(who.node), wall
        body = self._maybe(msgpack.packb(tree), 0.8)
        signature = who.sign(ASK_CONTEXT, self._company.mesh, body)
        token, remaining = draw.randrange(2**40), draw.choice((0, 5_000, 30_000))
        message: Message = Ask(token, max(0, ttl0 - 1), 1, remaining, body, signature)
        if draw.random() < 0.2:
            message = Recall(token, remaining, body, signature)
        packed = encode(message)
        return packed[:1] + self._maybe(packed[1:], 0.2)

    def _answer(self, who: Identity, ask: Ask | Recall) -> bytes:
        draw = self._draw
        match draw.randrange(8):
            case 0:
                return encode(Got(ask.token))
            case 1:
                return encode(Closed(ask.token, (self._company.carl.node,) * draw.choice((0, 99))))
            case 2:
                return encode(Cancel(query_id_of(ask.body)))
            case _:
                return encode(Part(ask.token, self._sealed(who, ask)))

    def _sealed(self, who: Identity, ask: Ask | Recall) -> bytes:
        draw, mesh = self._draw, self._company.mesh
        rows = self._maybe(pack(ROWS))
        done = pack(done_of(query_id_of(ask.body), who.node, rows, 2))
        tree = msgpack.unpackb(done)
        tree[5] = hashlib.sha256(rows).digest()
        try:
            tree[4] = len(msgpack.unpackb(rows, strict_map_key=False)[0])
        except Exception:  # noqa: BLE001  warped beyond being countable
            tree[4] = draw.choice(NUMBERS[:8])
        done = self._maybe(msgpack.packb(tree), 0.3)
        answer = pack(Answer(done, who.sign(DONE_CONTEXT, mesh, done), rows))
        plain = draw.choice(cut(who.node, self._maybe(answer, 0.1)))
        if draw.random() < 0.3:
            plain = scramble(plain, draw)
        key = unpack(AskBody, ask.body).reply_key
        sealed = RosterNotary(who, self._company.roster()).seal(key, plain)
        return scramble(sealed, draw) if draw.random() < 0.05 else sealed

    def _news(self) -> bytes:
        """Roster items whose bodies are wrong and whose signatures are right."""
        draw, company = self._draw, self._company
        entries, admissions, records = [], [], []
        for _ in range(draw.choice((1, 1, 3))):
            match draw.randrange(4):
                case 0 | 1:
                    signed = unpack(Signed, draw.choice((*self._entries, *company.items.entries)))
                    body = msgpack.unpackb(signed.body)
                    body[4] = self._maybe(body[4], 0.7)
                    body = self._maybe(msgpack.packb(body), 0.3)
                    signature = company.founder.sign(ENTRY_CONTEXT, company.mesh, body)
                    entries.append(self._maybe(pack(Signed(body, signature)), 0.1))
                case 2:
                    signed = unpack(Signed, company.items.admissions[0])
                    body = self._maybe(signed.body, 0.8)
                    signature = company.target.sign(ADMIT_CONTEXT, company.mesh, body)
                    admissions.append(pack(Signed(body, signature)))
                case _:
                    number = draw.randrange(3)
                    signed = unpack(Signed, company.items.records[number])
                    author = (company.target, company.bert, company.carl)[number]
                    body = self._maybe(signed.body, 0.8)
                    signature = author.sign(RECORD_CONTEXT, company.mesh, body)
                    records.append(pack(Signed(body, signature)))
        message = RosterNews(tuple(entries), tuple(admissions), tuple(records), draw.random() < 0.5)
        return encode(message)
