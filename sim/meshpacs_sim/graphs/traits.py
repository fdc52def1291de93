"""What a graph is like in numbers: degrees, pieces, paths, clustering.

Exact for small graphs; for large ones paths and triangles are sampled by counter-based chance, so
that the same seed gives the same numbers. All are quotients of integers.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.graphs.pairs import Bools, Int64s, among
from meshpacs_sim.graphs.paths import Paths
from meshpacs_sim.graphs.pieces import largest, pieces
from meshpacs_sim.statistics.inequality import gini_of

VISITS = 4_000_000
"""Visits of nodes on paths: these lead from all of 2,000 nodes, and from 400 of 10,000. About a
second."""

EXACT_WEDGES = 5_000_000
"""Up to so many pairs of ends triangles are counted, not sampled: about a second, 100 MB."""

ORIGINS = 16
"""Nodes that paths lead from at least: a few tenths of a second each in a graph of a million."""

WEDGES = 100_000
"""Sampled pairs of neighbours: a standard error of at most 0.0016."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Of one graph."""

    name: str
    nodes: int
    edges: int
    degree_least: int
    degree_mean: float
    degree_median: int
    """The lower one, of an even number of nodes."""
    degree_most: int
    degree_gini: float
    """0 if all have the same degree, near 1 if a few have all edges."""
    degree_counts: tuple[tuple[int, int], ...]
    """Each degree that occurs, rising, and how many nodes have it."""
    assortativity: float | None
    """Newman's correlation of the degrees at the two ends of an edge (Phys. Rev. Lett. 89, 2002);
    None if all degrees are the same."""
    pieces: int
    """Connected components."""
    largest_share: float
    """Of all nodes, in the largest piece."""
    path_mean: float
    """Hops between two different nodes of the largest piece."""
    path_error: float
    """The standard error of that, from the differences between origins; 0 if exact."""
    diameter: int
    """The longest shortest path of the largest piece; if sampled, it may be longer."""
    path_origins: int
    """Nodes that paths were followed from."""
    paths_exact: bool
    """These were all."""
    clustering: float
    """Watts and Strogatz's: the mean over nodes of the share of a node's pairs of neighbours that
    are neighbours; 0 for a node with fewer than two."""
    transitivity: float
    """The share of all such pairs: three times the triangles over the connected triples."""
    clustering_exact: bool
    """Both were counted; otherwise each is the share of sampled pairs."""


def traits_of(
    csr: Csr,
    seed: int = 0,
    *,
    visits: int = VISITS,
    exact_wedges: int = EXACT_WEDGES,
    wedges: int = WEDGES,
) -> Traits:
    """The numbers of one graph; `seed` draws what is sampled.

    Raises:
        ValueError: a graph without nodes.
    """
    if not csr.size:
        raise ValueError(f"{csr.name} has no nodes to describe")
    chance = Chance(seed, b"traits")
    counts = np.bincount(csr.degrees)
    counted = tuple((d, int(counts[d])) for d in np.flatnonzero(counts).tolist())
    of_piece = np.bincount(pieces(csr))
    paths = _paths(largest(csr), chance, visits)
    exact = int((csr.degrees**2).sum()) <= exact_wedges
    clustering, transitivity = _counted(csr) if exact else _sampled(csr, chance, wedges)
    return Traits(
        name=csr.name,
        nodes=csr.size,
        edges=csr.edge_count,
        degree_least=counted[0][0],
        degree_mean=2 * csr.edge_count / csr.size,
        degree_median=int(np.sort(csr.degrees)[(csr.size - 1) // 2]),
        degree_most=counted[-1][0],
        degree_gini=gini_of(csr.degrees),
        degree_counts=counted,
        assortativity=_assortativity(csr, counted),
        pieces=int((of_piece > 0).sum()),
        largest_share=int(of_piece.max()) / csr.size,
        path_mean=paths.mean,
        path_error=paths.error,
        diameter=paths.longest,
        path_origins=paths.origins,
        paths_exact=paths.exact,
        clustering=clustering,
        transitivity=transitivity,
        clustering_exact=exact,
    )


def _assortativity(csr: Csr, counted: tuple[tuple[int, int], ...]) -> float | None:
    directed = 2 * csr.edge_count
    squares = sum(nodes * degree**2 for degree, nodes in counted)
    cubes = sum(nodes * degree**3 for degree, nodes in counted)
    products = int((np.repeat(csr.degrees, csr.degrees) * csr.degrees[csr.ends]).sum())
    spread = directed * cubes - squares**2
    return (directed * products - squares**2) / spread if spread else None


# ---------------------------------------------------------------- paths


@dataclass(frozen=True, slots=True)
class _Followed:
    mean: float
    error: float
    longest: int
    origins: int
    exact: bool


def _paths(csr: Csr, chance: Chance, visits: int) -> _Followed:
    """The paths of a connected graph, from all its nodes or from a few."""
    origins = max(ORIGINS, visits // csr.size)
    exact = origins >= csr.size
    chosen = range(csr.size) if exact else chance.order("origins", csr.size)[:origins].tolist()
    paths, longest, farthest = Paths(csr), 0, 0
    hops: list[int] = []
    for origin in chosen:
        levels, last = paths.levels(origin)
        hops.append(int((levels * np.arange(len(levels))).sum()))
        if len(levels) - 1 > longest:
            longest, farthest = len(levels) - 1, last
    if not exact:
        # From the far end of the longest path the way back is often longer still.
        longest = max(longest, len(paths.levels(farthest)[0]) - 1)
    count, others = len(hops), max(csr.size - 1, 1)
    error = 0.0
    if not exact and count > 1:
        spread = count * sum(each**2 for each in hops) - sum(hops) ** 2
        error = math.sqrt(spread / (count**2 * (count - 1) * others**2))
    return _Followed(sum(hops) / (count * others), error, longest, count, exact)


# ---------------------------------------------------------------- triangles


def _counted(csr: Csr) -> tuple[float, float]:
    """Clustering and transitivity, from all triangles."""
    ones = np.ones(len(csr.ends), np.int64)
    matrix = csr_array((ones, csr.ends, csr.starts), shape=(csr.size, csr.size))
    closed = ((matrix @ matrix) * matrix).sum(axis=1)
    possible = csr.degrees * (csr.degrees - 1)
    some = possible > 0
    if not some.any():
        return 0.0, 0.0
    local = math.fsum((closed[some] / possible[some]).tolist()) / csr.size
    return local, int(closed.sum()) / int(possible.sum())


def _sampled(csr: Csr, chance: Chance, wedges: int) -> tuple[float, float]:
    """The same, from random pairs of neighbours (Schank and Wagner's, JGAA 9, 2005).

    For the clustering every node is as likely to be in the middle, for the transitivity every pair
    of neighbours.
    """
    keys = np.repeat(np.arange(csr.size), csr.degrees) * csr.size + csr.ends
    middles = chance.below("node", csr.size, wedges)
    able = middles[csr.degrees[middles] > 1]
    local = int(_closed(csr, able, keys, chance).sum()) / wedges
    until = np.cumsum(csr.degrees * (csr.degrees - 1) // 2)
    if not until[-1]:
        return 0.0, 0.0
    pairs = chance.below("pair", int(until[-1]), wedges)
    middles = np.searchsorted(until, pairs, side="right")
    return local, int(_closed(csr, middles, keys, chance).sum()) / wedges


def _closed(csr: Csr, middles: Int64s, keys: Int64s, chance: Chance) -> Bools:
    """For each node whether a random two of its neighbours are neighbours."""
    degrees = csr.degrees[middles]
    one = chance.below_each("one", degrees)
    other = chance.below_each("other", degrees - 1)
    other += other >= one
    first, second = (csr.ends[csr.starts[middles] + at].astype(np.int64) for at in (one, other))
    return among(first * csr.size + second, keys)
