"""Asking nodes one after another in random order until one holds a copy."""

import numpy as np

from meshpacs_sim.graphs.chance import Chance, Int64s, scaled
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Reproduction, agreeing, certain
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import mean_of

SIZE = 10_000
COPIES = (1, 3, 10, 30, 100, 300, 1_000)
SEARCHES = 20_000


def with_repeats(chance: Chance, copies: int, searches: int) -> Int64s:
    """Probes of each search when nobody remembers whom it has asked."""
    probes = np.zeros(searches, np.int64)
    open_ones = np.arange(searches)
    while len(open_ones):
        probes[open_ones] += 1
        hit = chance.below("probe", SIZE, len(open_ones)) < copies
        open_ones = open_ones[~hit]
    return probes


def without_repeats(chance: Chance, copies: int, searches: int) -> Int64s:
    """Probes when nobody is asked twice: in a random order of the nodes the first holder's place.

    Given that no place before was a holder's, the next one is with copies in as many places as
    are left.
    """
    first = np.full(searches, SIZE, np.int64)
    open_ones = np.arange(searches)
    for place in range(SIZE - copies + 1):
        bits = chance.bits("place", len(open_ones))
        hit = scaled(bits, SIZE - place) < copies
        first[open_ones[hit]] = place + 1
        open_ones = open_ones[~hit]
        if not len(open_ones):
            break
    return first


def reproduce() -> Reproduction:
    """Both ways, for every number of copies."""
    findings, repeats, none = [], [], []
    for copies in COPIES:
        chance = Chance(copies, b"random probing")
        again = with_repeats(chance, copies, SEARCHES)
        once = without_repeats(chance, copies, SEARCHES)
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
