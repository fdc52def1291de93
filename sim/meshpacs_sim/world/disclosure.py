# ruff: noqa: ARG002 - a window hands every observer the same, wanted or not.
"""Who learns what of a query: that somebody asks for this patient, and who may have something.

A query is signed and readable, so that whoever it reaches knows who asks for whom. Answers are
sealed to the asker, and everybody answers; who carries one sees its size alone. Only a part of more
than the smallest size says that there are rows, somewhere behind the neighbour that it came from
(PROTOCOL 5.1): who has carried such a part could learn that, and is counted, though most could not
say which member it was.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshpacs.model.answer import Row
from meshpacs.model.ids import Micros, NodeId, QueryId
from meshpacs.wire.messages import Ask, Message, Part, Recall
from meshpacs.wire.parts import SIZES
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.observers import UNLINKED, Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World


@dataclass(slots=True)
class Disclosed:
    """Of one query; hosts in the order in which they learnt it, the asker nowhere among them."""

    origin: int
    asked: dict[int, None] = field(default_factory=dict)
    """Who has read that the origin asks for this patient."""
    carried: dict[int, None] = field(default_factory=dict)
    """Who has carried somebody's answer, of whatever size."""
    suspect: dict[int, None] = field(default_factory=dict)
    """Who has carried a part so large that it must hold rows."""
    holders: dict[int, None] = field(default_factory=dict)
    """Whose rows the asker has been given: what the asker alone knows by name."""
    tokens: list[tuple[int, int, int]] = field(default_factory=list)


class Disclosure(Observer):
    """Keeps of each query what whoever took part in it has learnt."""

    def __init__(self) -> None:
        """Nobody has learnt anything."""
        self.queries: dict[QueryId, Disclosed] = {}
        self._tokens: dict[tuple[int, int, int], Disclosed] = {}
        """(asker, asked, token) of Asks and Recalls."""

    def begin(self, world: "World") -> None:
        """Learn the hosts' numbers."""
        self._bodies, self._index = world.bodies, world.index

    def settle(self, query_id: QueryId) -> Disclosed:
        """Take a query out; what still comes of it is counted nowhere."""
        disclosed = self.queries.pop(query_id)
        for token in disclosed.tokens:
            self._tokens.pop(token, None)
        return disclosed

    def asked(self, now: Micros, asking: Asking) -> None:
        """A query of a host's own; others, of members that flood, are nobody's question."""
        self.queries[asking.query_id] = Disclosed(asking.origin)

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Note under which token this neighbour's answers come back."""
        if serial != UNLINKED and isinstance(message, Ask | Recall):
            disclosed = self.queries.get(self._bodies.read(message.body)[0])
            if disclosed is not None:
                token = (src, dst, message.token)
                self._tokens[token] = disclosed
                disclosed.tokens.append(token)

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Note who has read the question, and through whose hands an answer goes."""
        if isinstance(message, Ask | Recall):
            asked = self.queries.get(self._bodies.read(message.body)[0])
            if asked is not None and dst != asked.origin:
                asked.asked[dst] = None
        elif isinstance(message, Part):
            answered = self._tokens.get((dst, src, message.token))
            if answered is not None and dst != answered.origin:
                answered.carried[dst] = None
                if len(message.sealed) >= SIZES[1]:
                    answered.suspect[dst] = None

    def delivered(
        self, now: Micros, host: int, query_id: QueryId, holder: NodeId, rows: tuple[Row, ...]
    ) -> None:
        """The asker learns that somebody holds something."""
        disclosed, node = self.queries.get(query_id), self._index[holder]
        if disclosed is not None and rows and node != disclosed.origin:
            disclosed.holders[node] = None
