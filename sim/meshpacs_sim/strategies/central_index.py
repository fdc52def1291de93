"""A central index: one server knows who holds what, and is asked (Napster, 1999).

Members tell the server what they hold when they come, and by hanging up that they are gone. Content
goes from member to member. Left out: Napster's several servers that knew nothing of each other.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word
from meshpacs_sim.strategies.ground import (
    ASK,
    Ground,
    Tally,
    chance,
    ground,
    learn,
    listed,
    naming,
    outcomes,
    road_us,
    tally,
)
from meshpacs_sim.strategies.parameters import Parameters, Share
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches, Upkeep
from meshpacs_sim.strategies.sizes import ENTRY_BYTES, ENVELOPE_BYTES

APART = -1
"""A machine of its own that is never down, and is none of the nodes."""


@dataclass(frozen=True)
class CentralIndex(Parameters):
    """One server knows who holds what; while it is down nothing is found (Napster, 1999)."""

    server: Annotated[int, Meta(ge=APART)] = APART
    """The node that is the server; -1 for a machine apart, which is never down."""
    stale: Share = 0.0
    """Of the copies of members that are down, the share that the server still names."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "central_index"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search asks the server.

        Raises:
            ValueError: the server is none of the nodes.
        """
        if self.server >= scene.overlay.size:
            raise ValueError(f"server {self.server} is none of the {scene.overlay.size} nodes")
        view = ground(scene, searches)
        told = tally(view)
        _look_up(view, told, self.server, chance(self.stale))
        return outcomes(told)

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:  # noqa: ARG002
        """Who comes tells all that it holds, in one message; who goes hangs up."""
        copies, nodes = len(scene.copies.holders), scene.overlay.size
        entries = changes + joins * copies // nodes
        told = joins + changes
        knowing = np.ones(scene.copies.contents, np.bool_)
        if self.server != APART:
            owners = np.repeat(np.arange(scene.copies.contents), scene.copies.counts)
            knowing[owners[scene.copies.holders == self.server]] = False
        could_tell = float(knowing.mean()) if len(knowing) else 0.0
        return Upkeep(told, told * ENVELOPE_BYTES + entries * ENTRY_BYTES, could_tell)


@compiled
def _look_up(view: Ground, told: Tally, server: int, stale: np.uint64) -> None:
    apart = server < 0
    place = len(view.up) if apart else server
    for search in range(len(view.origins)):
        origin, content = np.int64(view.origins[search]), np.int64(view.contents[search])
        there: Word = np.int64(0)
        if origin != place:
            told.kinds[search, ASK] += 1
            if not apart and not view.up[server]:
                continue
            if not apart:
                told.load[server] += 1
            told.reached[search] += 1
            there = road_us(view.roads, view.numbers[search], origin, place)
            there += road_us(view.roads, view.numbers[search], place, origin)
        names = 0
        for at in range(view.copy_starts[content], view.copy_starts[content + 1]):
            holder = np.int64(view.holders[at])
            if holder != origin and listed(view, holder, content, stale):
                names += 1
                learn(view, told, search, holder, 1 if origin != place else 0, there)
        if origin != place:
            told.kinds[search, naming(names)] += 1
            told.load[origin] += 1
