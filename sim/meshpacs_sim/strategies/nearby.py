"""Who is within so many hops: breadth first over links of which both ends are up."""

import numpy as np

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word
from meshpacs_sim.strategies.search import (
    Bools,
    Int32s,
    Int64s,
)

PLACE, HOPS = 0, 1
"""Columns of what was found: a node, and how far it is."""


@compiled
def blank(nodes: Word) -> tuple[Int64s, Int64s]:
    """What `around` works in: for each node the last look that saw it, and what that found."""
    return np.zeros(nodes + 1, np.int64), np.empty((nodes, 2), np.int64)


@compiled
def around(
    starts: Int64s,
    ends: Int32s,
    up: Bools,
    centres: Word,
    hops: Word,
    seen: Int64s,
    found: Int64s,
) -> Word:
    """Fill `found`, which begins with so many centres, with all within so many hops; how many.

    A node that is down is seen from its neighbours, and looks no further; a centre that is down
    is seen by its neighbours all the same, because they have heard of it.
    """
    # The last place counts the looks, so that nothing has to be cleared between them.
    seen[-1] += 1
    look, count, at = seen[-1], centres, 0
    for centre in range(centres):
        seen[found[centre, PLACE]] = look
        found[centre, HOPS] = 0
    while at < count and found[at, HOPS] < hops:
        node = found[at, PLACE]
        if up[node] or found[at, HOPS] == 0:
            for slot in range(starts[node], starts[node + 1]):
                end = ends[slot]
                if seen[end] != look:
                    seen[end] = look
                    found[count, PLACE], found[count, HOPS] = end, found[at, HOPS] + 1
                    count += 1
        at += 1
    return count
