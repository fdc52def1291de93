"""Floods over roads of different lengths: what the protocol and Gnutella have in common.

Copies arrive in the order of (time, node, sender, number). Who accepts a copy opens a *wave*: it
sends the question on to all its neighbours but the one that the copy came from, and answers along
the way that the copy came. How floods differ is told by three switches:

- a *promise* (PROTOCOL 4.3, mode ball) accepts a copy again if it may go further than any before;
  without it only the first copy counts, however far it may go;
- *acknowledged* (PROTOCOL 2.5, 4.4): a Got and a Closed for every Ask;
- *all answer* (PROTOCOL 5.5): a miss looks as a hit does. Else only holders answer.

Left out: searching an archive takes no time, and answers do not wait for one another on a link.
The twin of the engine (`meshpacs_sim.kernel`) is what follows it message for message.
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
    tally,
)
from meshpacs_sim.strategies.search import Int32s, Int64s, Outcomes, Scene, Searches

FAR = 1 << 30
"""A TTL that no path uses up."""

# Columns of a node: the last flood that asked it and the largest TTL that it accepted then; the
# last flood in which a copy was under way to it, and the one that no later copy need better; the
# last search whose content it holds.
_ASKED, _BEST, _DUE, _DUE_AT, _DUE_TTL, _DUE_SRC, _HOLDS, _NODE_COLUMNS = range(8)

# Columns of a copy under way.
_AT, _DST, _SRC, _TTL, _HOPS, _BY, _COPY_COLUMNS = range(7)

# Columns of a wave: how long an answer takes from it to the asker, whether its node had not been
# asked before, how many answers pass from it to its parent, and when it closes.
_NODE, _OPENED, _LEFT, _DEPTH, _PARENT, _BACK, _NEW, _CARRIES, _CLOSES, _WAVE_COLUMNS = range(10)

# What one flood keeps count of: copies on the heap, copies made, when the last one arrives.
_UNDER_WAY, _MADE, _LAST = range(3)


def flooded(
    scene: Scene,
    searches: Searches,
    ttls: tuple[int, ...],
    *,
    promise: bool,
    acknowledged: bool,
    all_answer: bool,
) -> Outcomes:
    """Flood with each TTL in turn until one has found something."""
    view = ground(scene, searches)
    told = tally(view)
    _floods(view, told, np.array(ttls, np.int64), promise, acknowledged, all_answer)
    return outcomes(told)


@compiled
def _floods(
    view: Ground,
    told: Tally,
    ttls: Int64s,
    promise: bool,
    acknowledged: bool,
    all_answer: bool,
) -> None:
    nodes = np.full((len(view.up), _NODE_COLUMNS), -1, np.int64)
    lanes = np.zeros(len(view.ends), np.int64)
    copies = np.empty((1024, _COPY_COLUMNS), np.int64)
    heap = np.empty(1024, np.int32)
    waves = np.empty((1024, _WAVE_COLUMNS), np.int64)
    clock: Word = np.int64(0)
    number: Word = np.int64(0)
    for search in range(len(view.origins)):
        content = view.contents[search]
        for at in range(view.copy_starts[content], view.copy_starts[content + 1]):
            nodes[view.holders[at], _HOLDS] = search
        nodes[view.origins[search], _HOLDS] = -1
        begun = clock
        for ttl in ttls:
            copies, heap, waves, count, clock = spread(
                view, told, search, ttl, promise, acknowledged,
                nodes, lanes, copies, heap, waves, clock, number,
            )  # fmt: skip
            number += 1
            told.reached[search] = _settle(
                view, told, search, acknowledged, all_answer, nodes, waves, count, begun
            )
            clock = max(clock, waves[0, _CLOSES])
            if told.found[search]:
                break
        asks = told.kinds[search, ASK]
        told.duplicates[search] = asks - told.reached[search]


@compiled
def spread(
    view: Ground,
    told: Tally,
    search: Word,
    ttl: Word,
    promise: bool,
    acknowledged: bool,
    nodes: Int64s,
    lanes: Int64s,
    copies: Int64s,
    heap: Int32s,
    waves: Int64s,
    clock: Word,
    number: Word,
) -> tuple[Int64s, Int32s, Int64s, Word, Word]:
    """One flood; `lanes` holds when the last copy on each link arrives, as none overtakes.

    Time goes on from flood to flood, so that nothing has to be cleared between them. Gives back
    the memory, which may have grown, how many waves there were and when the last copy arrived.
    """
    origin = view.origins[search]
    nodes[origin, _ASKED], nodes[origin, _BEST] = number, ttl
    waves[0, _NODE], waves[0, _OPENED], waves[0, _LEFT] = origin, clock, ttl
    waves[0, _DEPTH], waves[0, _PARENT], waves[0, _BACK], waves[0, _NEW] = 0, -1, 0, 0
    marks = np.array([0, 0, clock])
    count = 1
    while True:
        node = waves[count - 1, _NODE]
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
            return copies, heap, waves, count, marks[_LAST]
        if count == len(waves):
            waves = np.concatenate((waves, np.empty_like(waves)))
        end, left, parent = copies[copy, _DST], copies[copy, _TTL], copies[copy, _BY]
        back = road_us(view, end, copies[copy, _SRC], search + copies[copy, _HOPS])
        waves[count, _NODE], waves[count, _OPENED] = end, copies[copy, _AT]
        waves[count, _LEFT], waves[count, _DEPTH] = left, copies[copy, _HOPS]
        waves[count, _PARENT], waves[count, _BACK] = parent, waves[parent, _BACK] + back
        waves[count, _NEW] = nodes[end, _ASKED] != number
        nodes[end, _ASKED], nodes[end, _BEST] = number, left
        count += 1


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
    node, opened, parent = waves[wave, _NODE], waves[wave, _OPENED], waves[wave, _PARENT]
    left, hops = waves[wave, _LEFT] - 1, waves[wave, _DEPTH] + 1
    waves[wave, _CLOSES], waves[wave, _CARRIES] = opened, 0
    came_from = waves[parent, _NODE] if parent >= 0 else -1
    if left < 0:
        return
    for slot in range(view.starts[node], view.starts[node + 1]):
        end = view.ends[slot]
        if end == came_from or not view.up[end]:
            continue
        arrives = max(opened + road_us(view, node, end, search + hops), lanes[slot])
        lanes[slot] = arrives
        marks[_LAST] = max(marks[_LAST], arrives)
        told.kinds[search, ASK] += 1
        told.load[end] += 1
        if acknowledged:
            told.kinds[search, GOT] += 1
            told.kinds[search, CLOSED] += 1
            told.load[node] += 2
            closes = arrives + road_us(view, end, node, search + hops)
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
        copies[made, _AT], copies[made, _DST], copies[made, _SRC] = arrives, end, node
        copies[made, _TTL], copies[made, _HOPS], copies[made, _BY] = left, hops, wave
        _push(heap, marks[_UNDER_WAY], made, copies)
        marks[_UNDER_WAY] += 1
        marks[_MADE] += 1


@compiled
def _accepted(
    promise: bool, nodes: Int64s, copies: Int64s, heap: Int32s, number: Word, marks: Int64s
) -> Word:
    """The next copy that is no repeat; -1 if all have arrived."""
    while marks[_UNDER_WAY]:
        copy = _pop(heap, marks[_UNDER_WAY], copies)
        marks[_UNDER_WAY] -= 1
        end, left = copies[copy, _DST], copies[copy, _TTL]
        if nodes[end, _ASKED] != number or (promise and left > nodes[end, _BEST]):
            return copy
    return -1


@compiled
def _settle(
    view: Ground,
    told: Tally,
    search: Word,
    acknowledged: bool,
    all_answer: bool,
    nodes: Int64s,
    waves: Int64s,
    count: Word,
    begun: Word,
) -> Word:
    """Bring the answers back and close the waves, the last one first; how many were asked."""
    asked = 0
    for wave in range(count - 1, 0, -1):
        node, parent = waves[wave, _NODE], waves[wave, _PARENT]
        holds = nodes[node, _HOLDS] == search
        if waves[wave, _NEW]:
            asked += 1
            waves[wave, _CARRIES] += all_answer or holds
            if holds:
                when = waves[wave, _OPENED] + waves[wave, _BACK] - begun
                learn(view, told, search, node, waves[wave, _DEPTH], when)
        carries = waves[wave, _CARRIES]
        waves[parent, _CARRIES] += carries
        told.kinds[search, PART] += carries
        told.load[waves[parent, _NODE]] += carries
        if acknowledged:
            back = waves[wave, _BACK] - waves[parent, _BACK]
            waves[parent, _CLOSES] = max(waves[parent, _CLOSES], waves[wave, _CLOSES] + back)
    return asked


@compiled
def _before(copies: Int64s, one: Word, other: Word) -> bool:
    """Whether a copy arrives before another: by time, node, sender, and as they were sent."""
    for column in (_AT, _DST, _SRC):
        earlier: bool = copies[one, column] < copies[other, column]
        if earlier or copies[one, column] > copies[other, column]:
            return earlier
    return bool(one < other)


@compiled
def _push(heap: Int32s, size: Word, copy: Word, copies: Int64s) -> None:
    at = size
    while at:
        above = (at - 1) >> 1
        if not _before(copies, copy, heap[above]):
            break
        heap[at] = heap[above]
        at = above
    heap[at] = copy


@compiled
def _pop(heap: Int32s, size: Word, copies: Int64s) -> Word:
    first, moved = int(heap[0]), int(heap[size - 1])
    at, size = 0, size - 1
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(copies, heap[below + 1], heap[below]):
            below += 1
        if not _before(copies, heap[below], moved):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = moved
    return first
