"""The protocol's mode everyone, as clinics of up to 200 members run it (PROTOCOL 4.3)."""

from dataclasses import dataclass

from meshpacs_sim.strategies.flooding import EVERYBODY, FAR, flooded
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches


@dataclass(frozen=True)
class Everyone(Parameters):
    """The protocol's flood of everybody, which only deduplication stops, and in which a miss is
    answered as a hit is (PROTOCOL 4.3, 5.5).
    """

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "everyone"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search floods all that hangs together."""
        return flooded(scene, searches, (FAR,), promise=False, acknowledged=True, answers=EVERYBODY)
