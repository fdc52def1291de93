"""Random walks of one question: what random walkers and the growth of copies have in common."""

import numpy as np

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, below, draw
from meshpacs_sim.strategies.ground import (
    ASK,
    CHECK,
    PART,
    Ground,
    Tally,
    first_from,
    learn,
    road_us,
    send,
    words,
)
from meshpacs_sim.strategies.search import Int32s, Int64s

NEVER = (1 << 63) - 1
NOBODY = -1
_STEP = words("walkers/step")
_32 = np.uint64(32)


class Walks:
    """The walks of one search after another over one view, and the memory that they share."""

    def __init__(
        self,
        view: Ground,
        told: Tally,
        walkers: int,
        check_every: int,
        steps: int,
        *,
        state: bool,
        traced: bool = False,
    ) -> None:
        """`told` is what the walks are entered in; traced ones remember where they went."""
        self._view = view
        self._told = told
        self._manner = (check_every, steps)
        self._taken = np.full(len(view.ends) if state else 0, -1, np.int32)
        self.visited = np.full(len(view.up), -1, np.int32)
        """For each node the last search that came to it."""
        self._walkers = np.empty((3, walkers), np.int64)
        self._traces = np.empty((walkers if traced else 0, steps + 1), np.int32)

    def walk(self, search: int, holds: Int32s) -> Int32s:
        """Send a search's walkers, to whom `holds` tells where they find this search's number.

        What `holds` says of nodes that have told the asker is changed. Gives the way of the walker
        whose copy the asker heard of first, both ends included, if walks are traced and one found.
        """
        first, hops = _walk(
            self._view, self._told, search, *self._manner, holds, self.visited, self._taken,
            self._walkers, self._traces,
        )  # fmt: skip
        if first == NOBODY or not len(self._traces):
            return np.empty(0, np.int32)
        return self._traces[first, : hops + 1]


@compiled
def _walk(
    view: Ground,
    told: Tally,
    search: Word,
    check_every: Word,
    steps: Word,
    holds: Int32s,
    visited: Int32s,
    taken: Int32s,
    walkers: Int64s,
    traces: Int32s,
) -> tuple[Word, Word]:
    """One search; which walker's copy the asker heard of first, and after how many hops."""
    origin = np.int64(view.origins[search])
    at, gone, due = walkers[0], walkers[1], walkers[2]
    holds[origin] = NOBODY
    visited[origin] = search
    for each in range(len(at)):
        at[each], gone[each], due[each] = origin, 0, 0
        if len(traces):
            traces[each, 0] = origin
    heard_us, first, hops = np.int64(NEVER), np.int64(NOBODY), np.int64(0)
    while True:
        walker = np.int64(0)
        for each in range(1, len(due)):
            if due[each] < due[walker]:
                walker = np.int64(each)
        now, node, step = due[walker], at[walker], gone[walker]
        if now == NEVER:
            return first, hops
        due[walker] = NEVER
        if step == steps:
            continue
        if check_every and step and step % check_every == 0:
            now = _check(view, told, search, node, now, heard_us, step)
            if now == NEVER:
                continue
        counter = (np.uint64(walker) << _32) + np.uint64(step)
        bits = draw(view.seed, np.uint64(view.numbers[search]), _STEP, counter)
        end = _next(view, node, bits, taken, search)
        if end < 0:
            continue
        send(told.kinds, told.load, search, ASK, end)
        now += road_us(view.roads, view.numbers[search] + step, node, end)
        at[walker], gone[walker], due[walker] = end, step + 1, now
        if len(traces):
            traces[walker, step + 1] = end
        told.duplicates[search] += visited[end] == search
        told.reached[search] += visited[end] != search
        visited[end] = search
        if holds[end] == search or holds[end] == -2 - search:
            send(told.kinds, told.load, search, PART, origin)
            when = now + road_us(view.roads, view.numbers[search] + step, end, origin)
            if when < heard_us:
                heard_us, first, hops = when, walker, step + 1
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
