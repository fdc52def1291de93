"""Who can still reach most others when a share of all nodes has failed (site percolation).

On a random d-regular graph a link leads to a small piece with chance u = 1 - q + q u^(d-1) if a
share q of the nodes is up, and the large piece holds S = q (1 - u^d) of all nodes; there is none
up to q = 1/(d-1).
"""

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr, from_edges
from meshpacs_sim.graphs.pieces import pieces
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Reproduction, certain, near
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, mean_of

SIZE = 100_000
DEGREES = (4, 8)
UP = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
GRAPHS = 4
DISTANCE = 0.01
"""Of the size of the large piece; at the threshold itself that of a finite graph is smeared."""


def large_piece(degree: int, up: float) -> float:
    """S, by iterating u from below to its smallest fixed point."""
    u = 0.0
    for _ in range(100_000):
        u = 1 - up + up * u ** (degree - 1)
    return up * (1 - u**degree)


def observed(graph: Csr, up_share: float, seed: int) -> float:
    """The share of all nodes in the largest piece of those that are up."""
    order = Chance(seed, b"percolation").order("failed", graph.size)
    up = np.zeros(graph.size, np.bool_)
    up[order[: round(up_share * graph.size)]] = True
    sources = np.repeat(np.arange(graph.size), graph.degrees)
    kept = up[sources] & up[graph.ends] & (sources < graph.ends)
    left = from_edges("left", graph.size, sources[kept], graph.ends[kept])
    return float(np.bincount(pieces(left)[up]).max() / graph.size)


def reproduce() -> Reproduction:
    """Every degree and share."""
    findings, drawn = [], []
    for degree in DEGREES:
        graphs = [regular(SIZE, degree, seed) for seed in range(GRAPHS)]
        ours: list[Estimate] = []
        for up in UP:
            ours.append(mean_of([observed(graph, up, at) for at, graph in enumerate(graphs)]))
            what = f"degree {degree}, {up:.0%} up: share in the largest piece"
            findings.append(near(what, large_piece(degree, up), ours[-1], DISTANCE))
        theory = [certain(large_piece(degree, up)) for up in UP]
        drawn.append(Curve(f"degree {degree}, generating functions", UP, theory))
        drawn.append(Curve(f"degree {degree}, graphs", UP, ours, hollow=True))
    picture = curves(
        "percolation",
        "How much of a mesh hangs together when nodes fail",
        [Panel("", drawn)],
        Axis("share of nodes that are up"),
        Axis("nodes in the largest piece, of all", share=True),
    )
    return Reproduction(published("percolation"), findings, [picture])
