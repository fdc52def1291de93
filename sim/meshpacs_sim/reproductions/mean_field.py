"""How far a flood has come after each hop on a random regular graph: the mean-field recursion.

The asker has d stubs. In each round every stub that is held out finds a partner among all stubs
that are free, those of its own kind too; whoever is found for the first time holds its own free
stubs out in the next round.
"""

import numpy as np

from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.kernel.rounds import flood
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Finding, Reproduction, certain, within
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, mean_of

SIZE = 10_000
DEGREES = (3, 4, 6, 8, 16)
GRAPHS, ORIGINS = 10, 5
SHARE = 0.005
"""The issue's 0.5 %."""


def mean_field(size: int, degree: int) -> list[float]:
    """Nodes asked within 0, 1, 2, … hops, until a further hop would ask less than a node."""
    unasked, stubs = size - 1.0, float(degree)
    asked = [1.0]
    while unasked > 0.5:
        p = stubs / (degree * unasked + stubs)
        missed = 1 - p
        stubs = degree * unasked * missed * (1 - missed ** (degree - 1))
        unasked *= missed**degree
        if size - unasked - asked[-1] < 0.5:
            break
        asked.append(size - unasked)
    return asked


def observed(size: int, degree: int, hops: int) -> list[Estimate]:
    """The same of floods: the mean over graphs, each of which is one observation."""
    means = []
    for seed in range(GRAPHS):
        graph = regular(size, degree, seed)
        reached = np.zeros((ORIGINS, hops + 1))
        for turn in range(ORIGINS):
            found = np.cumsum(flood(graph, turn * (size // ORIGINS)).reached)[: hops + 1]
            reached[turn, : len(found)] = found
            reached[turn, len(found) :] = found[-1]
        means.append(reached.mean(axis=0))
    return [mean_of([mean[hop] for mean in means]) for hop in range(hops + 1)]


def reproduce() -> Reproduction:
    """Every degree, every hop."""
    findings: list[Finding] = []
    drawn: list[Curve] = []
    for degree in DEGREES:
        expected = mean_field(SIZE, degree)
        ours = observed(SIZE, degree, len(expected) - 1)
        hops = range(len(expected))
        findings += [
            within(f"degree {degree}: nodes asked in {hop} hops", expected[hop], ours[hop], SHARE)
            for hop in hops
        ]
        drawn.append(Curve(f"degree {degree}, recursion", hops, [certain(x) for x in expected]))
        drawn.append(Curve(f"degree {degree}, floods", hops, ours, hollow=True))
    picture = curves(
        "mean-field",
        "How far a flood has come after each hop",
        [Panel("", drawn)],
        Axis("hops"),
        Axis(f"nodes asked, of {SIZE}", logarithmic=True),
    )
    return Reproduction(published("mean_field"), findings, [picture])
