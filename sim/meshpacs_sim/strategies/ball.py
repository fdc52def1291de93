"""The protocol's mode ball: everybody within so many hops is asked, for certain (PROTOCOL 4.3)."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from meshpacs.model.limits import HOPS
from meshpacs_sim.strategies.flooding import EVERYBODY, flooded
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches

Hops = Annotated[int, Meta(ge=1, le=HOPS)]


@dataclass(frozen=True)
class Ball(Parameters):
    """The protocol's flood of everybody within so many hops, kept as a promise whatever the
    latencies (PROTOCOL 4.3).
    """

    ttl: Hops = 5
    """Hops that the question goes."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "ball"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search floods one ball."""
        return flooded(
            scene, searches, (self.ttl,), promise=True, acknowledged=True, answers=EVERYBODY
        )
