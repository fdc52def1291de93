"""Members asked at random, one after another: the blind search of Cohen and Shenker (2002).

It needs no overlay, only a list of members, which a clinic's roster is. With `again` a member may
be asked more than once, as in their model: until a copy is found among n members of whom r hold
one, n/r members are asked on average, without it (n + 1)/(r + 1). Members that are known to be
down are not asked, and how that is known is left out.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import below, draw
from meshpacs_sim.strategies.ground import (
    ASK,
    CLOSED,
    PART,
    Ground,
    Tally,
    ground,
    learn,
    mark_holders,
    outcomes,
    road_us,
    send,
    tally,
    words,
)
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches

_PROBE = words("probing/probe")


@dataclass(frozen=True)
class RandomProbing(Parameters):
    """Members that are up are asked directly in random order until one holds a copy (Cohen and
    Shenker 2002).
    """

    probes: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1_000_000_000
    """Members asked at most."""
    again: bool = False
    """Whether a member may be asked more than once."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "random_probing"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search asks on until it has found something."""
        view = ground(scene, searches)
        told = tally(view)
        _probe(view, told, self.probes, self.again)
        return outcomes(told)


@compiled
def _probe(view: Ground, told: Tally, probes: int, again: bool) -> None:
    holds = np.full(len(view.up), -1, np.int32)
    asked = np.full(len(view.up), -1, np.int32)
    members = np.flatnonzero(view.up)
    swapped = np.empty(len(members), np.int64)
    for search in range(len(view.origins)):
        origin = np.int64(view.origins[search])
        mark_holders(view, view.contents[search], holds, search)
        now, count, turns = np.int64(0), 0, 0
        while count < probes and (again or turns < len(members)):
            bits = draw(view.seed, np.uint64(view.numbers[search]), _PROBE, np.uint64(turns))
            first = 0 if again else turns
            other = first + below(bits, len(members) - first)
            if again and len(members) == 1:
                break
            member = members[other]
            if not again:
                members[turns], members[other] = member, members[turns]
                swapped[turns] = other
            turns += 1
            if member == origin:
                continue
            count += 1
            send(told.kinds, told.load, search, ASK, member)
            send(told.kinds, told.load, search, PART if holds[member] == search else CLOSED, origin)
            now += road_us(view.roads, view.numbers[search] + count, origin, member)
            now += road_us(view.roads, view.numbers[search] + count, member, origin)
            told.duplicates[search] += asked[member] == search
            told.reached[search] += asked[member] != search
            asked[member] = search
            if holds[member] == search:
                learn(view, told, search, member, count, now)
                break
        # Back into the order that every search begins with: each is for itself.
        for turn in range(-1 if again else turns - 1, -1, -1):
            other = swapped[turn]
            members[turn], members[other] = members[other], members[turn]
