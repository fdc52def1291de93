"""Lv et al.'s set-ups: floods and 32 checking walkers on three meshes of 10,000 nodes.

Hops take equally long, as theirs do. A hundred contents share copies for 1 % of the nodes each, in
the mean; questions follow a Zipf law of exponent 1.2, as we remember theirs. A flood is given the
smallest TTL at which it finds 99 % of what is asked, which no asker can know; and a flood of
everyone is what an asker pays who does not want to miss anything.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from meshpacs_sim.graphs import lattices, power_laws, random_graphs
from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.graphs.pieces import largest
from meshpacs_sim.kernel import rounds
from meshpacs_sim.pictures.curves import Axis, Curve, curves
from meshpacs_sim.pictures.curves import Panel as Series
from meshpacs_sim.pictures.sheet import Picture
from meshpacs_sim.pictures.tradeoff import Panel, Way, tradeoff
from meshpacs_sim.reproductions.finding import (
    Finding,
    Reproduction,
    agreeing,
    at_least,
    certain,
)
from meshpacs_sim.reproductions.placing import SHARES, copies_of, of_zipf, placed
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, mean_of, proportion_of
from meshpacs_sim.strategies.expanding_ring import ExpandingRing
from meshpacs_sim.strategies.random_walkers import RandomWalkers
from meshpacs_sim.strategies.search import Copies, Outcomes, Roads, Scene, Searches
from meshpacs_sim.strategies.ttl_flood import TtlFlood

SIZE, CONTENTS, EXPONENT = 10_000, 100, 1.2
COPIES_SHARE = 0.01
SEARCHES = 1_000
UNIT = Roads(10_000, 10_000, 0)
RATIOS = (0.00125, 0.0025, 0.005, 0.01, 0.02)
TTLS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40)
WALKERS = RandomWalkers(walkers=32, check_every=4, steps=8_192)
RINGS = ExpandingRing(ttls=tuple(range(1, 17)))
ENOUGH = 0.99
TWO_ORDERS = 10**1.5
"""From here on a factor is nearer to two orders of magnitude than to one."""


def meshes() -> dict[str, Csr]:
    """The paper's kinds; of the first two the largest piece."""
    return {
        "PLRG": largest(power_laws.plrg(SIZE, 1, Fraction(4, 5))),
        "random graph": largest(random_graphs.erdos_renyi(SIZE, 4.0, 1)),
        "grid": lattices.grid(100, 100),
    }


def scene_of(mesh: Csr, copies: Copies) -> Scene:
    """Everybody is up."""
    return Scene(1, mesh, np.ones(mesh.size, np.bool_), copies, UNIT)


# ---------------------------------------------------------------- success by TTL and ratio


def by_ttl(kind: str, mesh: Csr) -> tuple[list[Finding], Picture]:
    """Floods of every TTL for contents of every replica ratio.

    A flood that asks k others finds one of r copies among the other n - 1 nodes, wherever these
    are, with chance 1 - prod (1 - r / (n - 1 - j)) over j < k: each search is held to its own.
    """
    findings, drawn = [], []
    reached = _reached(mesh)
    for ratio in RATIOS:
        copies = round(ratio * mesh.size)
        found: dict[int, list[bool]] = {ttl: [] for ttl in TTLS}
        surplus: dict[int, list[float]] = {ttl: [] for ttl in TTLS}
        for search, hops in enumerate(reached):
            order = Chance(search, b"lv/%d" % copies).order("holders", mesh.size)
            # The asker's own copy is not searched for.
            holders = order[order != search * mesh.size // SEARCHES][:copies]
            nearest = int(hops[holders].min())
            for ttl in TTLS:
                asked = int((hops <= ttl).sum()) - 1
                met = nearest <= ttl
                found[ttl].append(met)
                left = mesh.size - 1 - np.arange(asked)
                chance = 1 - float(np.prod(1 - np.minimum(1, copies / left)))
                surplus[ttl].append(met - chance)
        drawn.append(
            Curve(
                f"{100 * ratio:g} % hold it",
                TTLS,
                [proportion_of(sum(found[ttl]), len(found[ttl])) for ttl in TTLS],
            )
        )
        findings += [
            agreeing(
                f"{kind}, {100 * ratio:g} % hold it, TTL {ttl}: success beyond what the nodes "
                "reached would give",
                0.0,
                surplus[ttl],
            )
            for ttl in TTLS
            if 0 < sum(found[ttl]) < len(found[ttl])
        ]
    name = f"lv2002-{_stem(kind)}"
    title = f"Success of a flood by its TTL: {kind} of {mesh.size} nodes"
    picture = curves(
        name,
        title,
        [Series("", drawn)],
        Axis("TTL, hops", logarithmic=True),
        Axis("searches that find", share=True),
    )
    return findings, picture


def _reached(mesh: Csr) -> Sequence["np.ndarray[tuple[int], np.dtype[np.int32]]"]:
    """Hops from each of the askers, who are spread evenly, to every node."""
    askers = [search * mesh.size // SEARCHES for search in range(SEARCHES)]
    return [rounds.flood(mesh, asker).hops() for asker in askers]


# ---------------------------------------------------------------- messages of floods and walkers


def by_copies(kind: str, mesh: Csr) -> tuple[list[Finding], Picture]:
    """Walkers, rings and floods beside each other, with copies shared out in three ways."""
    rates = of_zipf(CONTENTS, EXPONENT)
    chance = Chance(1, b"lv/" + kind.encode())
    asked = np.searchsorted(np.cumsum(rates), chance.below("content", 1 << 32, SEARCHES) / 2**32)
    origins = chance.below("origin", mesh.size, SEARCHES)
    searches = Searches(origins.astype(np.int32), asked.astype(np.int32))
    everyone = 2 * mesh.edge_count - (mesh.size - 1)
    findings: list[Finding] = []
    panels: list[Panel] = []
    for share in SHARES:
        counts = copies_of(share, rates, round(COPIES_SHARE * CONTENTS * mesh.size), mesh.size)
        scene = scene_of(mesh, placed(counts, mesh.size, 1))
        walked = _way("32 walkers, checking every 4 steps", WALKERS.search(scene, searches))
        flooded = _enough(scene, searches)
        ringed = _way("expanding rings", RINGS.search(scene, searches))
        cost = walked.messages
        less = Estimate(everyone / cost.value, everyone / cost.high, everyone / cost.low, cost.n)
        what = f"{kind}, copies {share}: times fewer messages by 32 walkers than by asking everyone"
        findings.append(at_least(what, TWO_ORDERS, less))
        found = f"{kind}, copies {share}: walkers that find"
        findings.append(at_least(found, ENOUGH, walked.discovered))
        whole = certain(1.0)
        ways = [Way("everyone", certain(everyone), whole, whole), flooded, ringed, walked]
        panels.append(Panel(f"copies shared out: {share}", ways))
    name = f"lv2002-{_stem(kind)}-messages"
    return findings, tradeoff(panels, name, f"What a search costs: {kind} of {mesh.size} nodes")


def _way(name: str, outcomes: Outcomes) -> Way:
    found = proportion_of(int(outcomes.discovered.sum()), SEARCHES)
    return Way(name, mean_of(outcomes.messages), found, found)


def _enough(scene: Scene, searches: Searches) -> Way:
    """The flood of the smallest TTL that finds enough."""
    ttl = 1
    while True:
        flooded = TtlFlood(ttl=ttl).search(scene, searches)
        if flooded.discovered.mean() >= ENOUGH:
            return _way(f"flood of TTL {ttl}", flooded)
        ttl += 1


def reproduce() -> Reproduction:
    """The three meshes."""
    findings: list[Finding] = []
    pictures: list[Picture] = []
    for kind, mesh in meshes().items():
        found, drawn = by_ttl(kind, mesh)
        compared, beside = by_copies(kind, mesh)
        findings += found + compared
        pictures += [drawn, beside]
    return Reproduction(published("lv2002"), findings, pictures)


def _stem(kind: str) -> str:
    return kind.replace(" ", "-").lower()
