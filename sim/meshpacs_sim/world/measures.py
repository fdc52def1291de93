# ruff: noqa: ARG002 - a window hands every observer the same, wanted or not.
"""Messages and bytes, by type and by query; recalls apart, as PROTOCOL 5.3 wants them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshpacs.model.ids import Micros, QueryId
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Message, Part, Recall
from meshpacs_sim.world.observers import UNLINKED, Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

FRAME_BYTES = 4
"""The length in front of each frame. PROTOCOL 3.1."""


@dataclass(slots=True)
class Tally:
    """What one query has cost so far."""

    flood: Counter[str] = field(default_factory=Counter)
    """Messages by type, of asking along the links."""
    recall: Counter[str] = field(default_factory=Counter)
    """Messages by type, of asking directly."""
    repeats: int = 0
    """Asks that reached somebody who had been asked before."""
    reached: dict[int, int] = field(default_factory=dict)
    """Hosts that an Ask reached, and how often."""
    evaluated: list[int] = field(default_factory=list)
    """Hosts whose archives were searched, in the order in which they were."""


class Measures(Observer):
    """Counts what engines post; with `sizes`, also encodes every message to weigh it."""

    def __init__(self, *, sizes: bool = False) -> None:
        """Begin at nothing."""
        self._sizes = sizes
        self._tokens: dict[tuple[int, int, int], tuple[QueryId, bool]] = {}
        """(asker, asked, token): the query, and whether it is a recall."""
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        """By type, frame included; what encryption adds is not."""
        self.unposted = 0
        """Messages to peers without a link."""
        self.queries: dict[QueryId, Tally] = {}

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Count it, and find out whose it is."""
        if serial == UNLINKED:
            self.unposted += 1
            return
        name = type(message).__name__
        self.messages[name] += 1
        if self._sizes:
            self.bytes[name] += FRAME_BYTES + len(encode(message))
        match message:
            case Ask(token=token, body=body) | Recall(token=token, body=body):
                query_id, _ = self._bodies.read(body)
                recall = type(message) is Recall
                self._tokens[src, dst, token] = (query_id, recall)
            case Got(token) | Part(token) | Closed(token):
                if (dst, src, token) not in self._tokens:
                    return
                query_id, recall = self._tokens[dst, src, token]
            case Cancel(query_id):
                recall = False
            case _:
                return
        tally = self.of(query_id)
        (tally.recall if recall else tally.flood)[name] += 1

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Count whom an Ask reached."""
        if type(message) is Ask:
            query_id, body = self._bodies.read(message.body)
            tally = self.of(query_id)
            times = tally.reached[dst] = tally.reached.get(dst, 0) + 1
            if times > 1 or body.origin == self._names[dst]:
                tally.repeats += 1

    def begin(self, world: "World") -> None:
        """Learn the hosts' names."""
        self._bodies = world.bodies
        self._names = [host.node for host in world.hosts]

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """Note whose archive is searched."""
        self.of(query_id).evaluated.append(host)

    def of(self, query_id: QueryId) -> Tally:
        """One query's costs."""
        tally = self.queries.get(query_id)
        if tally is None:
            tally = self.queries[query_id] = Tally()
        return tally
