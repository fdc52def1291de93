"""Asking nodes one after another in random order until one holds a copy."""

import numpy as np

from meshpacs_sim.graphs.csr import from_edges
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Reproduction, agreeing, certain
from meshpacs_sim.reproductions.meshes import all_up
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import mean_of
from meshpacs_sim.strategies.placement import scattered
from meshpacs_sim.strategies.random_probing import RandomProbing
from meshpacs_sim.strategies.search import Int64s, Searches
from meshpacs_sim.strategies.sizes import Kind

SIZE = 10_000
"""Nodes that can be asked: all but the asker, who holds nothing."""
COPIES = (1, 3, 10, 30, 100, 300, 1_000)
SEARCHES = 5_000


def probes(copies: int, searched: int, *, again: bool) -> Int64s:
    """Nodes that each of many searches asks. Who neighbours whom does not matter."""
    nobody = np.zeros(0, np.int64)
    scene = all_up(
        from_edges("no links", SIZE + 1, nobody, nobody),
        scattered(np.array([copies]), SIZE, copies),
    )
    asker = np.full(searched, SIZE, np.int32)  # the last node, which none was put at
    searches = Searches(asker, np.zeros(searched, np.int32))
    return RandomProbing(again=again).search(scene, searches).kinds[:, Kind.ASK]


def reproduce() -> Reproduction:
    """Both ways, for every number of copies."""
    findings, repeats, none = [], [], []
    for copies in COPIES:
        again = probes(copies, SEARCHES, again=True)
        once = probes(copies, SEARCHES, again=False)
        findings.append(agreeing(f"{copies} copies, anybody again: probes", SIZE / copies, again))
        findings.append(
            agreeing(f"{copies} copies, nobody twice: probes", (SIZE + 1) / (copies + 1), once)
        )
        repeats.append(mean_of(again))
        none.append(mean_of(once))
    picture = curves(
        "random-probing",
        "Probes until a copy is found",
        [
            Panel(
                "",
                [
                    Curve("1/p", COPIES, [certain(SIZE / r) for r in COPIES]),
                    Curve("anybody again", COPIES, repeats, hollow=True),
                    Curve("(n+1)/(r+1)", COPIES, [certain((SIZE + 1) / (r + 1)) for r in COPIES]),
                    Curve("nobody twice", COPIES, none, hollow=True),
                ],
            )
        ],
        Axis(f"copies among {SIZE} nodes", logarithmic=True),
        Axis("nodes asked, mean", logarithmic=True),
    )
    return Reproduction(published("random_probing"), findings, [picture])
