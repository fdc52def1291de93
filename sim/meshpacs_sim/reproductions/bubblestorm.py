"""Two random bubbles meet: a question and what it looks for, each at c times root n nodes.

A copy of the content is kept at each node of its bubble, and each node of the question's bubble
searches what it keeps. Two random sets miss each other with chance exp(-c^2) as n grows. Bubbles
that grow along links (bubblecast: a node takes one part of what is left for itself and splits the
rest between some neighbours, of which the one that it came from is none) do so only where there
are many links to choose from: with few, whoever meets once meets its neighbours there as well, and
as the mean number of meetings stays c^2, fewer searches have one. Degree 8 is shown for that.
"""

from math import exp, log1p

import numpy as np

from meshpacs.engine.draws import word
from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, below, draw
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Reproduction, agreeing, certain, near
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, proportion_of

SIZE, SPLIT = 100_000, 2
MANY, FEW = 64, 8
"""Degrees of the two meshes."""
CERTAINTIES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""c: a bubble's nodes in units of root n."""
SEARCHES = 4_000
DISTANCE = 0.03
"""Of the success rate of bubblecast with many links: what the neighbours take still shows."""

Int32s = np.ndarray[tuple[int], np.dtype[np.int32]]


def success(graph: Csr, reach: int, seed: int) -> Estimate:
    """How often the bubbles of a question and of a content had a node in common."""
    content = np.full(graph.size, -1, np.int32)
    hits = 0
    for search in range(SEARCHES):
        hits += _met(graph.starts, graph.ends, reach, np.uint64(seed), search, content)
    return proportion_of(hits, SEARCHES)


_GROW = np.uint64(word(b"bubble/split"))
_PLACE = np.uint64(word(b"bubble/place"))


@compiled
def _met(
    starts: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    ends: Int32s,
    reach: int,
    seed: Word,
    search: int,
    content: Int32s,
) -> bool:
    """Grow both bubbles; whether a node is in both."""
    size = len(starts) - 1
    met = False
    counter = np.uint64(search) << np.uint64(32)
    nodes = np.empty(4 * reach + 4, np.int32)
    senders = np.empty(4 * reach + 4, np.int32)
    lefts = np.empty(4 * reach + 4, np.int64)
    for bubble in range(2):
        place = draw(seed, np.uint64(bubble), _PLACE, np.uint64(search))
        nodes[0], senders[0], lefts[0] = below(place, size), -1, reach
        first, last = 0, 1
        while first < last:
            node, sender, left = nodes[first], senders[first], lefts[first] - 1
            first += 1
            if bubble == 0:
                content[node] = search
            elif content[node] == search:
                met = True
            degree = starts[node + 1] - starts[node]
            counter += np.uint64(1)
            turn = below(draw(seed, np.uint64(bubble), _GROW, counter), degree)
            part = SPLIT - 1
            while part >= 0 and left + part >= SPLIT:  # whoever is left nothing gets no copy
                end = ends[starts[node] + turn % degree]
                turn += 1
                if end != sender:
                    nodes[last], senders[last], lefts[last] = end, node, (left + part) // SPLIT
                    last += 1
                    part -= 1
    return met


def sets(reach: int, seed: int) -> list[bool]:
    """The same for two random sets of so many nodes: for each search whether they met.

    The question's nodes are drawn one after another without repeats; each is one of the content's
    with its share of what is left.
    """
    chance = Chance(seed, b"bubblestorm/sets")
    missed = np.ones(SEARCHES, np.bool_)
    for drawn in range(reach):
        missed &= chance.below("node", SIZE - drawn, SEARCHES) >= reach
    return [not each for each in missed]


def reproduce() -> Reproduction:
    """The whole curve."""
    many, few = regular(SIZE, MANY, 1), regular(SIZE, FEW, 1)
    findings, by_sets, by_many, by_few, expected = [], [], [], [], []
    for at, c in enumerate(CERTAINTIES):
        reach = round(c * SIZE**0.5)
        expected.append(1 - exp(-(c**2)))
        met = sets(reach, at)
        # What random sets of this many nodes must give; the curve is its limit.
        exact = 1 - exp(sum(log1p(-reach / (SIZE - drawn)) for drawn in range(reach)))
        findings.append(agreeing(f"c = {c}: success of random sets", exact, met))
        by_sets.append(proportion_of(sum(met), SEARCHES))
        by_many.append(success(many, reach, at))
        what = f"c = {c}: success of bubblecast, degree {MANY}"
        findings.append(near(what, expected[-1], by_many[-1], DISTANCE))
        by_few.append(success(few, reach, at))
    picture = curves(
        "bubblestorm",
        "How often two bubbles meet",
        [
            Panel(
                "",
                [
                    Curve("1 - exp(-c²)", CERTAINTIES, [certain(each) for each in expected]),
                    Curve("random sets", CERTAINTIES, by_sets, hollow=True),
                    Curve(f"bubblecast, degree {MANY}", CERTAINTIES, by_many),
                    Curve(f"bubblecast, degree {FEW}", CERTAINTIES, by_few),
                ],
            )
        ],
        Axis("c: nodes in a bubble, in roots of n"),
        Axis("searches that find", share=True),
    )
    return Reproduction(published("bubblestorm"), findings, [picture])
