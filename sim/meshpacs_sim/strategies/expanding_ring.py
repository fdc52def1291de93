"""Wider and wider balls until one has found something (Lv et al. 2002, section 4.1).

Lv et al. wait a fixed time for each ring; here a ring is over when all its branches have closed,
which the protocol tells (PROTOCOL 4.4). Each ring is a new question, so nodes of the ring before
are asked and answer again.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from meshpacs.model.limits import HOPS
from meshpacs_sim.strategies.ball import Hops
from meshpacs_sim.strategies.flooding import EVERYBODY, flooded
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches


@dataclass(frozen=True)
class ExpandingRing(Parameters):
    """Balls of the protocol, each wider than the one before, until one has found a copy (Lv et al.
    2002).
    """

    ttls: Annotated[tuple[Hops, ...], Meta(min_length=1, max_length=HOPS)] = (1, 2, 3, 5, 7)
    """The balls' widths in hops, rising."""

    def __post_init__(self) -> None:
        """Check the widths.

        Raises:
            ValueError: a ball that is not wider than the one before, or is too wide.
        """
        super().__post_init__()
        rising = list(self.ttls) == sorted(set(self.ttls))
        if not (self.ttls and rising and self.ttls[0] >= 1 and self.ttls[-1] <= HOPS):
            raise ValueError(f"ttls are {list(self.ttls)}; they must rise, from 1 to {HOPS}")

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "expanding_ring"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search floods ball after ball."""
        return flooded(
            scene, searches, self.ttls, promise=True, acknowledged=True, answers=EVERYBODY
        )
