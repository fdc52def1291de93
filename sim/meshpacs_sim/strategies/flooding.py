"""Floods over roads of different lengths: what the protocol and Gnutella have in common.

Copies arrive in the order of (time, node, sender, number). Who accepts a copy opens a *wave*: it
sends the question on to all its neighbours but the one that the copy came from, and answers along
the way that the copy came. How floods differ is told by three switches:

- a *promise* (PROTOCOL 4.3, mode ball) accepts a copy again if it may go further than any before;
  without it only the first copy counts, however far it may go;
- *acknowledged* (PROTOCOL 2.5, 4.4): a Got and a Closed for every Ask;
- *everybody* answers, so that a miss looks as a hit does (PROTOCOL 5.5), or only *holders* do.

Left out: searching an archive takes no time, and answers do not wait for one another on a link.

It sends what `kernel.events` sends, copy for copy, and keeps besides what answers need: the waves.
What is certain to be a repeat is counted and never put on the heap, so that no list of all copies
is kept; the twin of the engine is what follows it message for message.
"""

import numpy as np

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word
from meshpacs_sim.strategies.ground import (
    ASK,
    CLOSED,
    GOT,
    PART,
    Ground,
    Tally,
    ground,
    learn,
    outcomes,
    road_us,
    send,
    tally,
)
from meshpacs_sim.strategies.heap import AT, DST, SRC, pop, push
from meshpacs_sim.strategies.search import Int32s, Int64s, Outcomes, Scene, Searches

FAR = 1 << 30
"""A TTL that no path uses up."""

# Columns of a node: the last flood that asked it and the largest TTL that it accepted then; the
# last flood in which a copy was under way to it, and the one that no later copy need better; the
# last search whose content it holds.
_ASKED, _BEST, _DUE, _DUE_AT, _DUE_TTL, _DUE_SRC, _HOLDS, _NODE_COLUMNS = range(8)

# Columns of a copy under way, after those that the heap orders by.
_TTL, _HOPS, _BY, _COPY_COLUMNS = range(3, 7)

# Columns of a wave: how long an answer takes from it to the asker, whether its node had not been
# asked before, how many answers pass from it to its parent, and when it closes. The asker's own is
# number 0, and its parent -1.
NODE, OPENED, DEPTH, PARENT, BACK, NEW, _LEFT, _CARRIES, _CLOSES, _WAVE_COLUMNS = range(10)

# What one flood keeps count of: copies on the heap, copies made, when the last one arrives.
_UNDER_WAY, _MADE, _LAST = range(3)


SILENCE, HOLDERS, EVERYBODY = range(3)
"""Who answers a flood along the way that the question came; with silence its owner sees to it."""


class Floods:
    """One flood after another over one view, and the memory that they share.

    Time goes on from flood to flood, so that nothing has to be cleared between them.
    """

    def __init__(
        self, view: Ground, told: Tally, *, promise: bool, acknowledged: bool, answers: int
    ) -> None:
        """`told` is what the floods are entered in."""
        self._view = view
        self._told = told
        self._manner = (promise, acknowledged, answers)
        self._nodes = np.full((len(view.up), _NODE_COLUMNS), -1, np.int64)
        self._lanes = np.zeros(len(view.ends), np.int64)
        self._copies = np.empty((1024, _COPY_COLUMNS), np.int64)
        self._heap = np.empty(1024, np.int32)
        self.waves = np.empty((1024, _WAVE_COLUMNS), np.int64)
        """Of the last flood, in the order in which they were opened."""
        self.clock: Word = 0
        """When the last flood was over."""
        self._number = 0

    def flood(self, search: int, ttl: int, begun: Word) -> int:
        """Put a search's question to everybody within so many hops; how many waves there were.

        `begun` is the moment of `clock` from which latencies count.
        """
        self._copies, self._heap, self.waves, count, self.clock = spread(
            self._view, self._told, search, ttl, *self._manner, self._nodes, self._lanes,
            self._copies, self._heap, self.waves, self.clock, self._number, begun,
        )  # fmt: skip
        self._number += 1
        return int(count)


def flooded(
    scene: Scene,
    searches: Searches,
    ttls: tuple[int, ...],
    *,
    promise: bool,
    acknowledged: bool,
    answers: int,
) -> Outcomes:
    """Flood with each TTL in turn until one has found something."""
    view = ground(scene, searches)
    told = tally(view)
    floods = Floods(view, told, promise=promise, acknowledged=acknowledged, answers=answers)
    for search in range(len(view.origins)):
        begun = floods.clock
        for ttl in ttls:
            floods.flood(search, ttl, begun)
            if told.found[search]:
                break
    return outcomes(told)


@compiled
def bring_back(told: Tally, search: Word, waves: Int64s, wave: Word, kind: Word) -> None:
    """One answer goes back along the way that the question came by."""
    parent = waves[wave, PARENT]
    while parent >= 0:
        send(told.kinds, told.load, search, kind, waves[parent, NODE])
        parent = waves[parent, PARENT]


@compiled
def spread(
    view: Ground,
    told: Tally,
    search: Word,
    ttl: Word,
    promise: bool,
    acknowledged: bool,
    answers: Word,
    nodes: Int64s,
    lanes: Int64s,
    copies: Int64s,
    heap: Int32s,
    waves: Int64s,
    clock: Word,
    number: Word,
    begun: Word,
) -> tuple[Int64s, Int32s, Int64s, Word, Word]:
    """One flood; `lanes` holds when the last copy on each link arrives, as none overtakes.

    Gives back the memory, which may have grown, how many waves there were and when it was over.
    """
    origin, content = view.origins[search], view.contents[search]
    for at in range(view.copy_starts[content], view.copy_starts[content + 1]):
        nodes[view.holders[at], _HOLDS] = number
    nodes[origin, _ASKED], nodes[origin, _BEST] = number, ttl
    waves[0, NODE], waves[0, OPENED], waves[0, _LEFT] = origin, clock, ttl
    waves[0, DEPTH], waves[0, PARENT], waves[0, BACK], waves[0, NEW] = 0, -1, 0, 0
    marks = np.array([0, 0, clock])
    count = 1
    while True:
        node = waves[count - 1, NODE]
        if marks[_MADE] + view.starts[node + 1] - view.starts[node] > len(copies):
            copies = np.concatenate((copies, np.empty_like(copies)))
            heap = np.concatenate((heap, np.empty_like(heap)))
            continue
        _send_on(
            view, told, search, promise, acknowledged,
            nodes, lanes, copies, heap, waves, count - 1, number, marks,
        )  # fmt: skip
        copy = _accepted(promise, nodes, copies, heap, number, marks)
        if copy < 0:
            break
        if count == len(waves):
            waves = np.concatenate((waves, np.empty_like(waves)))
        end, left, parent = copies[copy, DST], copies[copy, _TTL], copies[copy, _BY]
        back = road_us(
            view.roads, view.numbers[search] + copies[copy, _HOPS], end, copies[copy, SRC]
        )
        waves[count, NODE], waves[count, OPENED] = end, copies[copy, AT]
        waves[count, _LEFT], waves[count, DEPTH] = left, copies[copy, _HOPS]
        waves[count, PARENT], waves[count, BACK] = parent, waves[parent, BACK] + back
        waves[count, NEW] = nodes[end, _ASKED] != number
        nodes[end, _ASKED], nodes[end, _BEST] = number, left
        count += 1
    _settle(view, told, search, acknowledged, answers, nodes, waves, count, number, begun)
    return copies, heap, waves, count, max(marks[_LAST], waves[0, _CLOSES])


@compiled
def _send_on(
    view: Ground,
    told: Tally,
    search: Word,
    promise: bool,
    acknowledged: bool,
    nodes: Int64s,
    lanes: Int64s,
    copies: Int64s,
    heap: Int32s,
    waves: Int64s,
    wave: Word,
    number: Word,
    marks: Int64s,
) -> None:
    """Open a wave. What is certain to be a repeat is counted, and not put on the heap."""
    node, opened, parent = waves[wave, NODE], waves[wave, OPENED], waves[wave, PARENT]
    left, hops = waves[wave, _LEFT] - 1, waves[wave, DEPTH] + 1
    waves[wave, _CLOSES], waves[wave, _CARRIES] = opened, 0
    came_from = waves[parent, NODE] if parent >= 0 else -1
    if left < 0:
        return
    for slot in range(view.starts[node], view.starts[node + 1]):
        end = np.int64(view.ends[slot])
        if end == came_from or not view.up[end]:
            continue
        arrives = max(
            opened + road_us(view.roads, view.numbers[search] + hops, node, end), lanes[slot]
        )
        lanes[slot] = arrives
        marks[_LAST] = max(marks[_LAST], arrives)
        told.kinds[search, ASK] += 1
        told.load[end] += 1
        if acknowledged:
            told.kinds[search, GOT] += 1
            told.kinds[search, CLOSED] += 1
            told.load[node] += 2
            closes = arrives + road_us(view.roads, view.numbers[search] + hops, end, node)
            waves[wave, _CLOSES] = max(waves[wave, _CLOSES], closes)
        if nodes[end, _ASKED] == number and (not promise or left <= nodes[end, _BEST]):
            continue
        if nodes[end, _DUE] == number:
            due_at, due_src = nodes[end, _DUE_AT], nodes[end, _DUE_SRC]
            sooner = due_at < arrives or (due_at == arrives and due_src < node)
            if sooner and (not promise or left <= nodes[end, _DUE_TTL]):
                continue
        nodes[end, _DUE], nodes[end, _DUE_AT] = number, arrives
        nodes[end, _DUE_TTL], nodes[end, _DUE_SRC] = left, node
        made = marks[_MADE]
        copies[made, AT], copies[made, DST], copies[made, SRC] = arrives, end, node
        copies[made, _TTL], copies[made, _HOPS], copies[made, _BY] = left, hops, wave
        push(heap, marks[_UNDER_WAY], made, copies)
        marks[_UNDER_WAY] += 1
        marks[_MADE] += 1


@compiled
def _accepted(
    promise: bool, nodes: Int64s, copies: Int64s, heap: Int32s, number: Word, marks: Int64s
) -> Word:
    """The next copy that is no repeat; -1 if all have arrived."""
    while marks[_UNDER_WAY]:
        copy = pop(heap, marks[_UNDER_WAY], copies)
        marks[_UNDER_WAY] -= 1
        end, left = copies[copy, DST], copies[copy, _TTL]
        if nodes[end, _ASKED] != number or (promise and left > nodes[end, _BEST]):
            return copy
    return -1


@compiled
def _settle(
    view: Ground,
    told: Tally,
    search: Word,
    acknowledged: bool,
    answers: Word,
    nodes: Int64s,
    waves: Int64s,
    count: Word,
    number: Word,
    begun: Word,
) -> None:
    """Bring the answers back and close the waves, the last one first."""
    asked = 0
    for wave in range(count - 1, 0, -1):
        node, parent = waves[wave, NODE], waves[wave, PARENT]
        if waves[wave, NEW]:
            asked += 1
            holds = answers != SILENCE and nodes[node, _HOLDS] == number
            waves[wave, _CARRIES] += holds or answers == EVERYBODY
            if holds:
                when = waves[wave, OPENED] + waves[wave, BACK] - begun
                learn(view, told, search, node, waves[wave, DEPTH], when)
        carries = waves[wave, _CARRIES]
        waves[parent, _CARRIES] += carries
        told.kinds[search, PART] += carries
        told.load[waves[parent, NODE]] += carries
        if acknowledged:
            back = waves[wave, BACK] - waves[parent, BACK]
            waves[parent, _CLOSES] = max(waves[parent, _CLOSES], waves[wave, _CLOSES] + back)
    told.reached[search] = asked
    told.duplicates[search] = told.kinds[search, ASK] - asked
