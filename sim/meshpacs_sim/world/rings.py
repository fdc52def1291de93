# ruff: noqa: ARG002 - a window hands every observer the same, wanted or not.
"""Expanding rings: a ball, and while nobody within it holds anything, a wider one.

The next ball is asked as soon as the one before has its final, by the same node, and costs that
node's budget as any question does. A ring is over when somebody holds something, when its last
ball has its final, when a ball is cancelled, when its node dies, and when that may not ask again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshpacs.model.answer import Report
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import Micros, QueryId
from meshpacs.model.query import Ball, Everyone, Query
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.observers import Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World


@dataclass(slots=True)
class Ring:
    """One question, asked ever wider."""

    origin: int
    ttls: tuple[int, ...]
    """Rising, at most `HOPS`; 0 asks everyone."""
    query: Query | None = None
    budget_us: Micros | None = None
    """Of each ball."""
    askings: list[Asking] = field(default_factory=list)
    """The balls so far."""
    over: bool = False

    @property
    def found(self) -> bool:
        """Whether somebody holds something."""
        return any(any(asking.rows.values()) for asking in self.askings)


class Rings(Observer):
    """Asks the next ball when a final has come."""

    def __init__(self) -> None:
        """No ring is open."""
        self._open: dict[QueryId, Ring] = {}

    def begin(self, world: "World") -> None:
        """Learn whom to ask."""
        self._world = world

    def ask(
        self,
        origin: int,
        ttls: Sequence[int],
        query: Query | None = None,
        *,
        budget_us: Micros | None = None,
    ) -> Ring:
        """Ask the first ball of a ring; it is over at once where its node may not ask."""
        ring = Ring(origin, tuple(ttls), query, budget_us)
        self._widen(ring)
        return ring

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """A ball is over: ask the next, unless that is not wanted any more."""
        ring = self._open.pop(query_id, None)
        if ring is not None:
            self._ended(ring, report)

    def _ended(self, ring: Ring, report: Report) -> None:
        if report.cancelled or ring.found or len(ring.askings) == len(ring.ttls):
            ring.over = True
        else:
            # Not from here, where an engine's effects are only half carried out.
            self._world.at(self._world.now, lambda: self._widen(ring))

    def _widen(self, ring: Ring) -> None:
        ttl = ring.ttls[len(ring.askings)]
        scope = Ball(ttl) if ttl else Everyone()
        if self._world.hosts[ring.origin].engine is None:
            ring.over = True
            return
        try:
            asking = self._world.ask(ring.origin, ring.query, scope, budget_us=ring.budget_us)
        except Unavailable:
            ring.over = True
            return
        ring.askings.append(asking)
        if asking.report is None:
            self._open[asking.query_id] = ring
        else:
            self._ended(ring, asking.report)
