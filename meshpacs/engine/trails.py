"""The trails of queries: from whom each was first heard here, and to whom it was sent on.

Which copy of a query comes first is chance, and much hangs on it: an answer goes back the way that
its ask came. Nobody sees more of that way than its own step, so each node remembers its own, for
whoever looks after the mesh. Nothing that decides reads it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from meshpacs.model.ids import Micros, NodeId, QueryId
from meshpacs.model.limits import TRAILS


@dataclass(frozen=True, slots=True)
class Pass:
    """One copy that was accepted here: the first, or one that may go further than any before."""

    parent: NodeId | None
    """The neighbour that it came from; None where the query was asked here."""
    hops: int
    """From the origin to here, as the sender says."""
    ttl: int
    """Hops that it may still go from here; 0 for everyone."""
    children: tuple[NodeId, ...]
    """The neighbours that it was sent on to, in that order."""
    unreached: dict[NodeId, None] = field(default_factory=dict)
    """Members that could not be reached here or behind here, so far: the wave's own, as its Closed
    names them. A busy machine is enough: who does not acknowledge in time is given up."""


@dataclass(slots=True)
class Trail:
    """All that passed here of one query."""

    query_id: QueryId
    origin: NodeId
    ball: bool
    heard_us: Micros
    """When the first copy came."""
    passes: list[Pass] = field(default_factory=list)
    """In the order in which they came; each of a ball's has a larger TTL than the one before, so
    there are at most `HOPS` + 1."""


class Trails:
    """The last queries that passed here."""

    def __init__(self, limit: int = TRAILS) -> None:
        """Remember at most `limit`, the oldest forgotten first."""
        self._trails: OrderedDict[QueryId, Trail] = OrderedDict()
        self._limit = limit

    def note(
        self, query_id: QueryId, origin: NodeId, step: Pass, now: Micros, *, ball: bool
    ) -> None:
        """Remember that a copy was accepted."""
        trail = self._trails.get(query_id)
        if trail is None:
            trail = self._trails[query_id] = Trail(query_id, origin, ball, now)
            if len(self._trails) > self._limit:
                self._trails.popitem(last=False)
        trail.passes.append(step)

    def all(self) -> list[Trail]:
        """Every trail that is remembered, the oldest first."""
        return list(self._trails.values())
