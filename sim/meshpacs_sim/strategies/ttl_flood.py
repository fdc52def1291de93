"""Gnutella's flood: the first copy goes on while its TTL lasts, all others are dropped.

After the Gnutella protocol 0.4 (Clip2, 2001), with TTL 7 as its clients had it. Only holders
answer, along the way that the question came; nothing is acknowledged, so the asker never knows
that it is over. Where latencies differ the first copy may have come by a detour, and then it ends
too soon: some of the ball is not asked, which is why the protocol's ball is another (PROTOCOL 4.3).
Left out: pings, and the limit of a link's rate at which clients dropped questions.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from meshpacs_sim.strategies.flooding import HOLDERS, flooded
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches


@dataclass(frozen=True)
class TtlFlood(Parameters):
    """A flood of so many hops that sends on the first copy alone, and in which only holders answer
    (Gnutella 0.4).
    """

    ttl: Annotated[int, Meta(ge=1, le=10_000)] = 7
    """Hops that the question goes at most."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "ttl_flood"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search floods once."""
        return flooded(
            scene, searches, (self.ttl,), promise=False, acknowledged=False, answers=HOLDERS
        )
