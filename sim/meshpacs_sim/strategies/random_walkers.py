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

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, below, draw
from meshpacs_sim.strategies.ground import (
    ASK,
    CHECK,
    PART,
    Ground,
    Tally,
    first_from,
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
from meshpacs_sim.strategies.search import Int32s, Outcomes, Scene, Searches

NEVER = (1 << 63) - 1
_STEP = words("walkers/step")
_32 = np.uint64(32)


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
        _walks(view, told, self.walkers, self.check_every, self.steps, self.state)
        return outcomes(told)


@compiled
def _walks(
    view: Ground, told: Tally, walkers: int, check_every: int, steps: int, state: bool
) -> None:
    holds = np.full(len(view.up), -1, np.int32)
    visited = np.full(len(view.up), -1, np.int32)
    taken = np.full(len(view.ends) if state else 0, -1, np.int32)
    at = np.empty(walkers, np.int32)
    gone = np.empty(walkers, np.int64)
    due = np.empty(walkers, np.int64)
    for search in range(len(view.origins)):
        origin = np.int64(view.origins[search])
        mark_holders(view, view.contents[search], holds, search)
        holds[origin] = -1
        visited[origin] = search
        for each in range(walkers):
            at[each], gone[each], due[each] = origin, 0, 0
        heard_us = np.int64(NEVER)
        while True:
            walker = 0
            for each in range(1, walkers):
                if due[each] < due[walker]:
                    walker = each
            now = due[walker]
            if now == NEVER:
                break
            node, step = at[walker], gone[walker]
            if step == steps:
                due[walker] = NEVER
                continue
            if check_every and step and step % check_every == 0:
                now = _check(view, told, search, node, now, heard_us, step)
                if now == NEVER:
                    due[walker] = NEVER
                    continue
            counter = (np.uint64(walker) << _32) + np.uint64(step)
            bits = draw(view.seed, np.uint64(view.numbers[search]), _STEP, counter)
            end = _next(view, node, bits, taken, search)
            if end < 0:
                due[walker] = NEVER
                continue
            send(told.kinds, told.load, search, ASK, end)
            now += road_us(view.roads, view.numbers[search] + step, node, end)
            at[walker], gone[walker], due[walker] = end, step + 1, now
            if visited[end] == search:
                told.duplicates[search] += 1
            else:
                visited[end] = search
                told.reached[search] += 1
            if holds[end] == search or holds[end] == -2 - search:
                send(told.kinds, told.load, search, PART, origin)
                when = now + road_us(view.roads, view.numbers[search] + step, end, origin)
                heard_us = min(heard_us, when)
                if holds[end] == search:
                    learn(view, told, search, end, step + 1, when)
                holds[end] = -2 - search
                due[walker] = NEVER


@compiled
def _check(
    view: Ground, told: Tally, search: Word, node: Word, now: Word, heard_us: Word, step: Word
) -> Word:
    """When a walker, having asked and been told, may go on; `NEVER` if it is not wanted."""
    origin = view.origins[search]
    send(told.kinds, told.load, search, CHECK, origin)
    send(told.kinds, told.load, search, CHECK, node)
    asked = now + road_us(view.roads, view.numbers[search] + step, node, origin)
    if heard_us <= asked:
        return NEVER
    return asked + road_us(view.roads, view.numbers[search] + step, origin, node)


@compiled
def _next(view: Ground, node: Word, bits: np.uint64, taken: Int32s, search: Word) -> Word:
    """A random neighbour that is up, if possible one that no walker went to or came from."""
    fresh = alive = 0
    for slot in range(view.starts[node], view.starts[node + 1]):
        if view.up[view.ends[slot]]:
            alive += 1
            fresh += len(taken) > 0 and taken[slot] != search
    if not alive:
        return -1
    choice = below(bits, fresh or alive)
    for slot in range(view.starts[node], view.starts[node + 1]):
        if view.up[view.ends[slot]] and (not fresh or taken[slot] != search):
            if choice == 0:
                break
            choice -= 1
    end = np.int64(view.ends[slot])
    if len(taken):
        taken[slot] = search
        back = first_from(view.ends, view.starts[end], view.starts[end + 1], np.int32(node))
        taken[back] = search
    return end
