"""How many copies of a question are too many: relative message redundancy, m/(n-1) - 1.

m counts the question alone, in copies sent; notices, acknowledgements and answers are control, and
not in it. The protocol's flood and Gnutella's send as many: nobody's TTL ends before everybody has
been asked.
"""

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Finding, Reproduction, certain
from meshpacs_sim.reproductions.meshes import SIZE, all_up
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import mean_of
from meshpacs_sim.strategies.broadcast_tree import BroadcastTree
from meshpacs_sim.strategies.everyone import Everyone
from meshpacs_sim.strategies.placement import scattered
from meshpacs_sim.strategies.search import Int64s, Searches, Strategy
from meshpacs_sim.strategies.sizes import Kind
from meshpacs_sim.strategies.ttl_flood import TtlFlood

DEGREES = (3, 4, 6, 8, 16)
SEARCHES = 10
FARTHEST = 100
"""Hops; no mesh of these is so wide."""

WAYS: dict[str, Strategy] = {
    "asking everyone": Everyone(),
    "Gnutella's flood": TtlFlood(ttl=FARTHEST),
    "broadcast tree": BroadcastTree(),
}


def redundancies(way: Strategy, size: int, degree: int) -> Int64s:
    """Of each search, copies of the question beyond one for each of the others."""
    origins = Chance(1, b"reproductions/plumtree").below("origin", size, SEARCHES)
    searches = Searches(origins.astype(np.int32), np.zeros(SEARCHES, np.int32))
    scene = all_up(regular(size, degree, degree), scattered(np.ones(1, np.int64), size, 1))
    asks: Int64s = way.search(scene, searches).kinds[:, Kind.ASK]
    return asks - (size - 1)


def of_a_flood(size: int, degree: int) -> int:
    """Copies beyond one for each of the others: nd - 2n + 2, as 2E - (n - 1) are sent (4.7)."""
    return size * degree - 2 * size + 2


def held_to_the_formula(size: int, degree: int) -> list[Finding]:
    """Every way on one mesh."""
    findings = []
    for name, way in WAYS.items():
        wanted = 0 if isinstance(way, BroadcastTree) else of_a_flood(size, degree)
        ours = redundancies(way, size, degree)
        what = f"degree {degree}, {name}: redundancy"
        expected, told = wanted / (size - 1), mean_of(ours / (size - 1))
        rule, passed = "equal, each search", bool((ours == wanted).all())
        findings.append(Finding(what, expected, told, rule, passed))
    return findings


def reproduce() -> Reproduction:
    """Every degree."""
    by_degree = [held_to_the_formula(SIZE, degree) for degree in DEGREES]
    # Both floods send as many, so that one is enough to see.
    floods, _, trees = ([findings[at].ours for findings in by_degree] for at in range(len(WAYS)))
    series = [
        Curve("d - 2", DEGREES, [certain(degree - 2) for degree in DEGREES]),
        Curve("floods", DEGREES, floods, hollow=True),
        Curve("broadcast tree", DEGREES, trees),
    ]
    picture = curves(
        "plumtree",
        f"Copies of a question beyond one for each node, of {SIZE} nodes",
        [Panel("", series)],
        Axis("neighbours of each node"),
        Axis("relative message redundancy"),
    )
    return Reproduction(
        published("plumtree"), [each for row in by_degree for each in row], [picture]
    )
