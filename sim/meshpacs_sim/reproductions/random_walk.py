"""How often a random walk comes to a node where it has not been: d - 2 times in d - 1 steps.

On a d-regular tree that is the chance never to come back, and a large random regular graph is a
tree as far as a walk sees that is short against it.
"""

import numpy as np

from meshpacs_sim.graphs.chance import Chance, scaled
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Reproduction, certain, within
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Floats, mean_of

SIZE = 200_000
DEGREES = (3, 4, 6, 8, 16)
WALKS, STEPS = 300, 1_000
SHARE = 0.01
"""By so much the graph differs from a tree: a walk that has seen 0.5 % of all nodes meets some of
them again."""


def new_node_rates(graph: Csr, seed: int) -> Floats:
    """For each walk the share of the second half of its steps that came to a new node."""
    chance = Chance(seed, b"random walk")
    at = chance.below("start", graph.size, WALKS)
    trail = np.empty((WALKS, STEPS + 1), np.int64)
    trail[:, 0] = at
    for step in range(1, STEPS + 1):
        slot = scaled(chance.bits("step", WALKS), graph.degrees[at])
        at = graph.ends[graph.starts[at] + slot].astype(np.int64)
        trail[:, step] = at
    # A first half, as the start is fresher than the rest.
    half = STEPS // 2
    whole = np.array([len(np.unique(row)) for row in trail])
    before = np.array([len(np.unique(row[: half + 1])) for row in trail])
    rates: Floats = (whole - before) / (STEPS - half)
    return rates


def reproduce() -> Reproduction:
    """Every degree."""
    ours = [mean_of(new_node_rates(regular(SIZE, d, d), d)) for d in DEGREES]
    expected = [(d - 2) / (d - 1) for d in DEGREES]
    findings = [
        within(f"degree {d}: new nodes a step", wanted, rate, SHARE)
        for d, wanted, rate in zip(DEGREES, expected, ours, strict=True)
    ]
    picture = curves(
        "random-walk",
        "How often a random walk comes to a new node",
        [
            Panel(
                "",
                [
                    Curve("(d-2)/(d-1)", DEGREES, [certain(each) for each in expected]),
                    Curve("walks", DEGREES, ours, hollow=True),
                ],
            )
        ],
        Axis("degree"),
        Axis("steps that reach a new node", share=True),
    )
    return Reproduction(published("random_walk"), findings, [picture])
