"""Random graphs as arrays, to a million nodes: equal degrees, or an equal chance for every edge."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr, from_edges
from meshpacs_sim.graphs.pairs import Int64s, all_pairs, among, firsts, keys
from meshpacs_sim.graphs.pieces import connected

TRIES = 100
"""Draws of a whole graph until one is connected. A guess; from degree 3 on nearly all are."""

SWITCHES = 100
"""Switchings tried for each edge until a pairing is given up. A guess: about two are needed."""

Ends = tuple[Int64s, Int64s]


def regular(size: int, degree: int, seed: int) -> Csr:
    """A connected random graph in which every node has `degree` neighbours.

    Stubs are paired at random, and a pair that would be a loop or a doubled edge is exchanged with
    a random other one where that makes two good edges (McKay and Wormald's switchings); not exactly
    uniform over all regular graphs, which nothing here relies on. Degree 2 is a circle of nodes in
    random order; a degree above half is what such a graph of few neighbours leaves out.

    Raises:
        ValueError: no such graph exists, or none was found.
    """
    check_regular(size, degree)
    name = f"regular({size},{degree},seed={seed})"
    if degree == 2:
        order = Chance(seed, b"regular/ring").order("shuffle", size)
        return from_edges(name, size, order, np.roll(order, 1))
    others = size - 1 - degree
    for attempt in range(TRIES):
        chance = Chance(seed, b"regular/%d" % attempt)
        ends = _paired(size, min(degree, others), chance)
        if ends is not None:
            found = from_edges(name, size, *(ends if degree <= others else _rest(size, ends)))
            if connected(found):
                return found
    raise ValueError(f"no connected regular graph found in {TRIES} tries (seed {seed})")


def check_regular(size: int, degree: int) -> None:
    """Check that there is a connected graph in which so many nodes have this degree.

    Raises:
        ValueError: there is none.
    """
    if size * degree % 2 or not 0 < degree < size or (degree == 1 and size > 2):
        raise ValueError(f"no connected graph of {size} nodes has degree {degree} everywhere")


def erdos_renyi(size: int, mean_degree: float, seed: int) -> Csr:
    """Erdős and Rényi's G(n, m): size * mean_degree / 2 edges, each pair of nodes as likely.

    It is connected only if the mean degree is well above ln n; `pieces.largest` cuts the rest off.
    Where `topologies.random` needs no second try, this is the same graph.

    Raises:
        ValueError: more edges than there are pairs.
    """
    edges, pairs = round(size * mean_degree / 2), size * (size - 1) // 2
    if not 0 <= edges <= pairs:
        raise ValueError(f"{size} nodes have {pairs} pairs, too few for {edges} edges")
    chance = Chance(seed, b"random/0")
    one, other = np.zeros(0, np.int64), np.zeros(0, np.int64)
    while len(one) < edges:
        # Of few edges among many pairs nearly all are new; the last of all pairs come slowly.
        more = max(edges - len(one), edges // 8) + 64
        ends = chance.below("end", size, 2 * more).reshape(-1, 2)
        one, other = np.concatenate((one, ends[:, 0])), np.concatenate((other, ends[:, 1]))
        good = (one != other) & firsts(keys(size, one, other))
        one, other = one[good], other[good]
    name = f"erdos_renyi({size},{mean_degree},seed={seed})"
    return from_edges(name, size, one[:edges], other[:edges])


def _paired(size: int, degree: int, chance: Chance) -> Ends | None:
    """The two ends of each edge of a regular graph; None if switchings did not mend them all."""
    stubs = chance.order("shuffle", size * degree) // max(degree, 1)
    one, other = stubs[0::2].copy(), stubs[1::2].copy()
    drawn = keys(size, one, other)
    bad = np.flatnonzero((one == other) | ~firsts(drawn))
    if not len(bad):
        return one, other
    known, changed = np.sort(drawn), Counter[int]()

    def times(a: int, b: int) -> int:
        key = min(a, b) * size + max(a, b)
        first, last = np.searchsorted(known, key), np.searchsorted(known, key, "right")
        return int(last - first) + changed[key]

    def change(at: int, a: int, b: int) -> None:
        for key, by in ((drawn[at], -1), (min(a, b) * size + max(a, b), 1)):
            changed[int(key)] += by
        one[at], other[at], drawn[at] = a, b, min(a, b) * size + max(a, b)

    switches = _switches(len(one), chance)
    for at in bad.tolist():
        a, b = int(one[at]), int(other[at])
        while a == b or times(a, b) > 1:
            partner = next(switches, None)
            if partner is None:
                return None
            c, d = int(one[partner]), int(other[partner])
            if a != d and c != b and {a, d} != {c, b} and not times(a, d) and not times(c, b):
                change(at, a, d)
                change(partner, c, b)
                break
    return one, other


def _switches(edges: int, chance: Chance) -> Iterator[int]:
    """Random edges to switch with, as many as are allowed."""
    for _ in range(0, edges * SWITCHES, 1024):
        yield from chance.below("switch", edges, 1024).tolist()


def _rest(size: int, ends: Ends) -> Ends:
    """The two ends of each edge that is not among these."""
    low, high = all_pairs(size)
    absent = ~among(keys(size, low, high), np.sort(keys(size, *ends)))
    return low[absent], high[absent]
