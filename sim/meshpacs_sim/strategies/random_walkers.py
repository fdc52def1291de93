"""k random walkers with state and checking (Lv, Cao, Cohen, Li, Shenker, ICS 2002, section 5).

The asker sends k walkers; a walker goes to a random neighbour, again and again. With *state* nodes
remember where they have sent walkers of a question to, and where these came from, and send the next
one elsewhere as long as there is an elsewhere. Before every c-th step a walker *checks* with the
asker whether it is still wanted. A holder tells the asker, and the walker that found it ends.

As in the paper checks and answers go to the asker directly, not along the walk. Left out: what
opening a connection to the asker costs.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.strategies.ground import ground, outcomes, tally
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches
from meshpacs_sim.strategies.walking import Walks


@dataclass(frozen=True)
class RandomWalkers(Parameters):
    """So many random walkers that avoid links they took before, and ask the asker now and then
    whether to go on (Lv et al. 2002).
    """

    walkers: Annotated[int, Meta(ge=1, le=4_096)] = 32
    """How many. The paper's: 16 to 64."""
    check_every: Annotated[int, Meta(ge=0, le=1_000_000)] = 4
    """Steps between two checks; 0: never, and each walker goes on to its end. The paper's: 4."""
    steps: Annotated[int, Meta(ge=1, le=10_000_000)] = 1_024
    """Steps that one walker goes at most. The paper's TTL for walkers that check."""
    state: bool = True
    """Whether nodes remember where they have sent walkers of a question to."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "random_walkers"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search sends its walkers."""
        view = ground(scene, searches)
        told = tally(view)
        walks = Walks(view, told, self.walkers, self.check_every, self.steps, state=self.state)
        holds = np.full(len(view.up), -1, np.int32)
        for search, content in enumerate(view.contents.tolist()):
            holds[scene.copies.of(content)] = search
            walks.walk(search, holds)
        return outcomes(told)
