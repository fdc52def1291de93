# ruff: noqa: ARG002 - every trick is handed the same, wanted or not.
"""Members that lie: their engines are sound, and what these want sent is tampered with on its way.

A liar has its own keys and the mesh's secret. It drops, forges, reorders, withholds, repeats and
invents; what it cannot do is sign for others, read what is sealed to others, or touch links that
are not its own. Each liar plays some of the tricks, drawn, so that plain mischief is not always
drowned by what costs a liar its links (swarm testing, Groce et al. 2012).
"""

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshpacs.engine.asking import query_id_of
from meshpacs.engine.draws import Draws
from meshpacs.model.answer import Row, Status
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import UNREACHED_HINTS
from meshpacs.wire.bodies import DONE_CONTEXT, Answer, AskBody, Done, Piece, Rows
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Message, Part, Recall
from meshpacs.wire.parts import SIZES, cut
from meshpacs_sim.world.cellar import clinic, every_study

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

ONE_IN = 3
"""One message in so many is tampered with, of those that a trick fits. A guess."""

UNASKED_ONE_IN = 16
"""One message in so many is followed by another that nobody wanted sent. A guess."""

REMEMBERED = 256
"""Asks and Recalls that a liar keeps to send again. A guess."""

TORRENT = 300
"""Parts of 64 KiB at once: more than the 16 MiB that one wave carries back."""

STRETCHED = 1 << 40
"""Hops and milliseconds that no query has."""

HIGH_TOKEN = 1 << 41
"""Tokens of a liar's own begin here, so that its engine knows none of them."""

SAYABLE = (Status.ANSWERED, Status.REFUSED, Status.BUSY, Status.SKEWED, Status.FAILED)

TRICKS: dict[str, tuple[type[Message], ...]] = {
    "hide": (Ask,),
    "hurry": (Ask,),
    "stretch": (Ask,),
    "overreach": (Ask,),
    "missign": (Ask,),
    "insist": (Ask,),
    "withhold": (Part, Closed, Got),
    "rush": (Got,),
    "hush": (Closed,),
    "cry": (Closed,),
    "repeat": (Ask, Part, Closed, Got),
    "reorder": (Part, Closed, Got, Ask),
    "spoil": (Part,),
    "forge": (Part,),
    "scatter": (Part,),
    "torrent": (Part,),
}
"""What is done to which messages; each is a method of the same name."""

UNASKED = ("replay", "recall", "counterfeit", "close", "cancel")
"""What is said without an occasion."""

RARE = {"torrent": 40, "overreach": 4, "recall": 4, "counterfeit": 4}
"""Done only once in so many times: a torrent is much to carry, the others cost the link."""


class Liar:
    """One member's tongue."""

    def __init__(self, world: "World", index: int, number: int) -> None:
        """`number` tells this liar from others of the same night."""
        self._world = world
        self._host = world.hosts[index]
        self._notary = world.notaries[index]
        self._draws = Draws(world.seed, b"liar %d %d" % (index, number))
        self._tricks = [name for name in TRICKS if self._draws.below("plays", 2)]
        self._unasked = [name for name in UNASKED if self._draws.below("says", 2)]
        self._bodies: dict[tuple[int, int], bytes] = {}
        """(asker, token): the query that is answered under it."""
        self._heard: deque[Ask | Recall] = deque(maxlen=REMEMBERED)
        self._held: dict[int, Message] = {}
        """By receiver, what is to go after the next message."""
        self._tokens = HIGH_TOKEN
        self._lies: Row = clinic(world.seed, HIGH_TOKEN + index, 1).search(every_study())[0][0]
        """A study that nobody holds."""

    def hear(self, src: int, message: Message) -> None:
        """Remember what may be sent again, and which query is answered by which token."""
        if isinstance(message, Ask | Recall):
            if len(self._bodies) >= REMEMBERED:
                del self._bodies[next(iter(self._bodies))]
            self._bodies[src, message.token] = message.body
            self._heard.append(message)

    def instead(self, dst: int, message: Message) -> Sequence[Message]:
        """What goes out in the place of this message."""
        fitting = [name for name in self._tricks if type(message) in TRICKS[name]]
        said: list[Message] = [message]
        held = self._held.pop(dst, None)
        if fitting and not self._draws.below("whether", ONE_IN):
            trick = fitting[self._draws.below("trick", len(fitting))]
            if not self._draws.below("rare", RARE.get(trick, 1)):
                said = getattr(self, f"_{trick}")(dst, message)
        if held is not None:
            said.append(held)
        if self._unasked and not self._draws.below("unasked", UNASKED_ONE_IN):
            name = self._unasked[self._draws.below("which", len(self._unasked))]
            if not self._draws.below("rare", RARE.get(name, 1)):
                said += getattr(self, f"_{name}")()
        return said

    # ------------------------------------------------------------ copies of queries

    def _hide(self, dst: int, ask: Ask) -> list[Message]:
        return []

    def _hurry(self, dst: int, ask: Ask) -> list[Message]:
        return [replace(ask, remaining_ms=self._draws.below("hurry", 50))]

    def _stretch(self, dst: int, ask: Ask) -> list[Message]:
        """As far and as long as can be said without breaking a rule; and beyond, of time."""
        ttl0 = unpack(AskBody, ask.body).ttl0
        hops = 1 if ttl0 else STRETCHED
        return [replace(ask, ttl=max(ttl0 - 1, 0), hops=hops, remaining_ms=STRETCHED)]

    def _overreach(self, dst: int, ask: Ask) -> list[Message]:
        return [replace(ask, ttl=ask.ttl + 1 + self._draws.below("overreach", 20))]

    def _missign(self, dst: int, ask: Ask) -> list[Message]:
        return [replace(ask, signature=_flipped(ask.signature))]

    def _insist(self, dst: int, ask: Ask) -> list[Message]:
        """Of a ball a second copy that may go further, with a signature that is none."""
        ttl0 = unpack(AskBody, ask.body).ttl0
        again = replace(ask, token=self._token(), signature=_flipped(ask.signature))
        return [ask, replace(again, ttl=max(ttl0 - 1, 0), hops=1)]

    # ------------------------------------------------------------ what comes back

    def _withhold(self, dst: int, message: Message) -> list[Message]:
        return []

    def _repeat(self, dst: int, message: Message) -> list[Message]:
        return [message, message]

    def _reorder(self, dst: int, message: Message) -> list[Message]:
        """It goes after the next one, or never."""
        self._held[dst] = message
        return []

    def _rush(self, dst: int, got: Got) -> list[Message]:
        """All is done, though nothing has begun."""
        return [got, Closed(got.token)]

    def _hush(self, dst: int, closed: Closed) -> list[Message]:
        return [replace(closed, unreached=())]

    def _cry(self, dst: int, closed: Closed) -> list[Message]:
        return [replace(closed, unreached=self._somebody())]

    def _spoil(self, dst: int, part: Part) -> list[Message]:
        return [replace(part, sealed=_flipped(part.sealed))]

    def _forge(self, dst: int, part: Part) -> list[Message]:
        """An answer in another's name, in front of the true one."""
        return [*self._forged(dst, part.token), part]

    def _scatter(self, dst: int, part: Part) -> list[Message]:
        """Beginnings of answers in everybody's name, so that the true ones seem to contradict."""
        body = self._bodies.get((dst, part.token))
        if body is None:
            return [part]
        key = unpack(AskBody, body).reply_key
        pieces = [pack(Piece(host.node, 0, 3, b"scattered")) for host in self._world.hosts]
        sealed = [self._notary.seal(key, len(p).to_bytes(4, "big") + p) for p in pieces]
        return [*(Part(part.token, each) for each in sealed), part]

    def _torrent(self, dst: int, part: Part) -> list[Message]:
        return [part, *([Part(part.token, bytes(SIZES[-1]))] * TORRENT)]

    def _forged(self, dst: int, token: int) -> list[Message]:
        packed = self._bodies.get((dst, token))
        if packed is None:
            return []
        body, victim = unpack(AskBody, packed), self._member()
        status = SAYABLE[self._draws.below("status", len(SAYABLE))]
        rows = (self._lies,) if status is Status.ANSWERED else ()
        bare = pack(Rows(rows))
        skew_us = body.budget_ms << 20 if status is Status.SKEWED else 0
        digest, now = Digest(hashlib.sha256(bare).digest()), body.sent_at_us
        done = pack(Done(query_id_of(packed), victim, status, 1, len(rows), digest, now, skew_us))
        answer = pack(Answer(done, self._notary.sign(DONE_CONTEXT, done), bare))
        parts = cut(victim, answer)
        return [Part(token, self._notary.seal(body.reply_key, part)) for part in parts]

    # ------------------------------------------------------------ without an occasion

    def _replay(self) -> list[Message]:
        old = self._old()
        if isinstance(old, Ask):
            return [replace(old, token=self._token())]
        return []

    def _recall(self) -> list[Message]:
        old = self._old()
        if old is None:
            return []
        return [Recall(self._token(), 5_000, old.body, old.signature)]

    def _counterfeit(self) -> list[Message]:
        """A query that its origin never asked."""
        old = self._old()
        if not isinstance(old, Ask):
            return []
        body = unpack(AskBody, old.body)
        other = pack(replace(body, counter=body.counter + 1 + self._draws.below("counter", 9)))
        return [replace(old, token=self._token(), body=other)]

    def _close(self) -> list[Message]:
        """Tokens are counted: somebody else's, or one's own, can be guessed."""
        return [Closed(1 + self._draws.below("guess", 2_000), self._somebody())]

    def _cancel(self) -> list[Message]:
        old = self._old()
        return [] if old is None else [Cancel(query_id_of(old.body))]

    # ------------------------------------------------------------ chance

    def _old(self) -> Ask | Recall | None:
        return self._heard[self._draws.below("old", len(self._heard))] if self._heard else None

    def _token(self) -> int:
        self._tokens += 1
        return self._tokens

    def _member(self) -> NodeId:
        return self._world.hosts[self._draws.below("member", len(self._world.hosts))].node

    def _somebody(self) -> tuple[NodeId, ...]:
        count = self._draws.below("hints", UNREACHED_HINTS + 1)
        return tuple(self._member() for _ in range(count))


def _flipped(data: bytes) -> bytes:
    """The same length, another last byte."""
    return data[:-1] + bytes([data[-1] ^ 1])
