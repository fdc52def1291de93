"""Shapes of meshes: each a pure function of its sizes and a seed, and connected.

The chance is the engine's counter-based draws (PROTOCOL 6.1), so one seed is one graph, on every
machine and whatever else was drawn before. These are for the world, up to thousands of nodes, and
need nothing but Python; `lattices`, `random_graphs` and `power_laws` make arrays, to a million.
"""

from meshpacs.engine.draws import Draws
from meshpacs_sim.graphs.graph import Edge, Graph, graph

TRIES = 1_000
"""Draws of a whole graph until one is connected. A guess; from degree 3 on nearly all are."""


def complete(size: int) -> Graph:
    """Everybody with everybody."""
    return graph(f"complete({size})", size, [(a, b) for a in range(size) for b in range(a)])


def ring(size: int) -> Graph:
    """A circle: the longest paths that a connected graph of degree 2 can have."""
    return graph(f"ring({size})", size, [(a, (a + 1) % size) for a in range(size)])


def grid(width: int, height: int) -> Graph:
    """A sheet without wrapped edges; node x + width * y."""
    across = [(x + width * y, x + 1 + width * y) for y in range(height) for x in range(width - 1)]
    down = [(x + width * y, x + width * (y + 1)) for y in range(height - 1) for x in range(width)]
    return graph(f"grid({width},{height})", width * height, across + down)


def regular(size: int, degree: int, seed: int) -> Graph:
    """A random graph in which every node has `degree` neighbours.

    Stubs are paired at random, and a pair that would be a loop or a doubled edge is exchanged
    with a random earlier pair (McKay and Wormald's switchings, done until none is left); this is
    not exactly uniform over all regular graphs, which nothing here relies on.

    Raises:
        ValueError: no such graph exists, or none was found.
    """
    if size * degree % 2 or not 0 < degree < size:
        raise ValueError(f"no graph of {size} nodes has degree {degree} everywhere")
    for attempt in range(TRIES):
        draws = Draws(seed, b"regular/%d" % attempt)
        stubs = [node for node in range(size) for _ in range(degree)]
        _shuffle(stubs, draws)
        edges = _paired(stubs, draws)
        if edges is None:
            continue
        found = graph(f"regular({size},{degree},seed={seed})", size, edges)
        if found.connected:
            return found
    raise ValueError(f"no connected regular graph found in {TRIES} tries (seed {seed})")


def random(size: int, mean_degree: float, seed: int) -> Graph:
    """An Erdős–Rényi graph G(n, m) of size * mean_degree / 2 edges, drawn until connected.

    Sparse ones are hardly ever connected (the threshold is ln n), so after a few tries the
    smaller pieces are tied to the largest by one random edge each, and that is said in the name.

    Raises:
        ValueError: so few edges cannot connect so many nodes.
    """
    edge_count = min(round(size * mean_degree / 2), size * (size - 1) // 2)
    if edge_count < size - 1:
        raise ValueError(f"{edge_count} edges cannot connect {size} nodes")
    found = graph("", size, [])
    for attempt in range(8):
        draws = Draws(seed, b"random/%d" % attempt)
        chosen: dict[Edge, None] = {}
        while len(chosen) < edge_count:
            a, b = draws.below("end", size), draws.below("end", size)
            if a != b:
                chosen[(min(a, b), max(a, b))] = None
        found = graph(f"random({size},{mean_degree},seed={seed})", size, chosen)
        if found.connected:
            return found
    return _tied(found, Draws(seed, b"tie"))


def power_law(size: int, links: int, seed: int) -> Graph:
    """Barabási and Albert's growth: each newcomer links to `links` nodes, the popular preferred.

    Degrees fall off as a power law with exponent 3 (Science 286, 1999). It begins with a complete
    graph of links + 1 nodes.

    Raises:
        ValueError: more links than there are nodes to link to.
    """
    if not 0 < links < size:
        raise ValueError(f"a newcomer cannot make {links} links in a graph of {size}")
    draws = Draws(seed, b"power_law")
    edges = [(a, b) for a in range(links + 1) for b in range(a)]
    ends = [node for edge in edges for node in edge]
    for newcomer in range(links + 1, size):
        chosen: dict[int, None] = {}
        while len(chosen) < links:
            chosen[ends[draws.below("end", len(ends))]] = None
        for node in chosen:
            edges.append((newcomer, node))
            ends += (newcomer, node)
    return graph(f"power_law({size},{links},seed={seed})", size, edges)


def _shuffle(items: list[int], draws: Draws) -> None:
    """Fisher and Yates, in place."""
    for last in range(len(items) - 1, 0, -1):
        other = draws.below("shuffle", last + 1)
        items[last], items[other] = items[other], items[last]


def _paired(stubs: list[int], draws: Draws) -> list[Edge] | None:
    """Stubs two by two as edges; None if the bad pairs could not all be exchanged."""
    pairs = [(stubs[at], stubs[at + 1]) for at in range(0, len(stubs), 2)]
    for _ in range(100 * len(pairs)):
        seen: dict[Edge, int] = {}
        bad = -1
        for at, (a, b) in enumerate(pairs):
            key = (min(a, b), max(a, b))
            if a == b or key in seen:
                bad = at
                break
            seen[key] = at
        if bad < 0:
            return pairs
        other = draws.below("switch", len(pairs))
        (a, b), (c, d) = pairs[bad], pairs[other]
        pairs[bad], pairs[other] = (a, d), (c, b)
    return None


def _tied(loose: Graph, draws: Draws) -> Graph:
    """The same graph with every piece tied to the piece of node 0's side by one edge."""
    edges = list(loose.edges)
    while True:
        tied = graph(loose.name.replace(")", ",tied)"), loose.size, edges)
        hops = tied.distances(0)
        inside = [node for node in range(tied.size) if hops[node] is not None]
        outside = [node for node in range(tied.size) if hops[node] is None]
        if not outside:
            return tied
        edges.append(
            (inside[draws.below("in", len(inside))], outside[draws.below("out", len(outside))])
        )
