"""Lv et al.'s set-ups: floods and 32 checking walkers on three meshes of 10,000 nodes.

Hops take equally long, as theirs do. A hundred contents share copies for 1 % of the nodes each, in
the mean; questions follow a Zipf law of exponent 1.2, as we remember theirs. A flood is given the
smallest TTL at which it finds 99 % of what is asked, which no asker can know; and a flood of
everyone is what an asker pays who does not want to miss anything.
"""

from bisect import bisect_left

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.kernel import rounds
from meshpacs_sim.pictures import tradeoff
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.pictures.sheet import Picture
from meshpacs_sim.reproductions.finding import (
    Finding,
    Reproduction,
    agreeing,
    at_least,
    certain,
)
from meshpacs_sim.reproductions.meshes import all_up, of_every_kind
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, mean_of, proportion_of
from meshpacs_sim.strategies.expanding_ring import ExpandingRing
from meshpacs_sim.strategies.placement import PLACEMENTS
from meshpacs_sim.strategies.random_walkers import RandomWalkers
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches
from meshpacs_sim.strategies.ttl_flood import TtlFlood
from meshpacs_sim.world.quantiles import popularity

KINDS = ("PLRG", "random graph", "grid")
CONTENTS, ZIPF_PERCENT = 100, 120
COPIES_SHARE = 0.01
SEARCHES = 1_000
RATIOS = (0.00125, 0.0025, 0.005, 0.01, 0.02)
TTLS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40)
WALKERS = RandomWalkers(walkers=32, check_every=4, steps=8_192)
RINGS = ExpandingRing(ttls=tuple(range(1, 17)))
SEEN = 20
"""Hits and misses that must be expected: of fewer the spread is not known well enough for an
interval."""
ENOUGH = 0.99
TWO_ORDERS = 10**1.5
"""From here on a factor is nearer to two orders of magnitude than to one."""


# ---------------------------------------------------------------- success by TTL and ratio


def by_ttl(kind: str, mesh: Csr) -> tuple[list[Finding], Picture]:
    """Floods of every TTL for contents of every replica ratio.

    A flood that asks k others finds one of r copies among the other n - 1 nodes, wherever these
    are, with chance 1 - prod (1 - r / (n - 1 - j)) over j < k: each search is held to its own.
    """
    findings, drawn = [], []
    askers = [search * mesh.size // SEARCHES for search in range(SEARCHES)]
    hops = [rounds.flood(mesh, asker).hops() for asker in askers]
    asked = np.array([np.searchsorted(np.sort(each), TTLS, "right") - 1 for each in hops])
    orders = [Chance(asker, b"lv/copies").order("holders", mesh.size) for asker in askers]
    for ratio in RATIOS:
        copies = round(ratio * mesh.size)
        left = mesh.size - 1 - np.arange(mesh.size - 1)
        missing = np.cumprod(np.concatenate(([1.0], 1 - np.minimum(1, copies / left))))
        # The asker's own copy is not searched for.
        holders = [
            order[order != asker][:copies] for asker, order in zip(askers, orders, strict=True)
        ]
        nearest = np.array([each[at].min() for each, at in zip(hops, holders, strict=True)])
        found = nearest[:, None] <= np.array(TTLS)
        expected = 1 - missing[asked]
        success = [proportion_of(hits, SEARCHES) for hits in found.sum(axis=0).tolist()]
        drawn.append(Curve(f"{100 * ratio:g} % hold it", TTLS, success))
        findings += [
            agreeing(
                f"{kind}, {100 * ratio:g} % hold it, TTL {ttl}: success beyond what the nodes "
                "reached would give",
                0.0,
                found[:, at] - expected[:, at],
            )
            for at, ttl in enumerate(TTLS)
            if SEEN <= expected[:, at].sum() <= SEARCHES - SEEN
        ]
    name = f"lv2002-{_stem(kind)}"
    title = f"Success of a flood by its TTL: {kind} of {mesh.size} nodes"
    picture = curves(
        name,
        title,
        [Panel("", drawn)],
        Axis("TTL, hops", logarithmic=True),
        Axis("searches that find", share=True),
    )
    return findings, picture


# ---------------------------------------------------------------- messages of floods and walkers


def by_copies(kind: str, mesh: Csr) -> tuple[list[Finding], Picture]:
    """Walkers, rings and floods beside each other, with copies shared out in three ways."""
    running = np.array(popularity(CONTENTS, ZIPF_PERCENT))
    chance = Chance(1, b"lv/" + kind.encode())
    asked = np.searchsorted(running, chance.below("content", running[-1], SEARCHES), "right")
    origins = chance.below("origin", mesh.size, SEARCHES)
    searches = Searches(origins.astype(np.int32), asked.astype(np.int32))
    everyone = 2 * mesh.edge_count - (mesh.size - 1)
    findings: list[Finding] = []
    panels: list[tradeoff.Panel] = []
    for share, placement in PLACEMENTS.items():
        budget = round(COPIES_SHARE * CONTENTS * mesh.size)
        rates = np.diff(running, prepend=0)
        scene = all_up(mesh, placement(budget).place(rates, mesh.size, 1))
        shared = f"copies {share.replace('_', '-')}"
        walked = _way("32 walkers, checking every 4 steps", WALKERS.search(scene, searches))
        flooded = _enough(scene, searches)
        ringed = _way("expanding rings", RINGS.search(scene, searches))
        cost = walked.messages
        less = Estimate(everyone / cost.value, everyone / cost.high, everyone / cost.low, cost.n)
        what = f"{kind}, {shared}: times fewer messages by 32 walkers than by asking everyone"
        findings.append(at_least(what, TWO_ORDERS, less))
        found = f"{kind}, {shared}: walkers that find"
        findings.append(at_least(found, ENOUGH, walked.discovered))
        whole = certain(1.0)
        asking = tradeoff.Way("everyone", certain(everyone), whole, whole)
        panels.append(tradeoff.Panel(shared, [asking, flooded, ringed, walked]))
    name = f"lv2002-{_stem(kind)}-messages"
    title = f"What a search costs: {kind} of {mesh.size} nodes"
    return findings, tradeoff.tradeoff(panels, name, title)


def _way(name: str, outcomes: Outcomes) -> tradeoff.Way:
    found = proportion_of(int(outcomes.discovered.sum()), SEARCHES)
    return tradeoff.Way(name, mean_of(outcomes.messages), found, found)


def _enough(scene: Scene, searches: Searches) -> tradeoff.Way:
    """The flood of the smallest TTL that finds enough."""
    floods: dict[int, Outcomes] = {}

    def finds(ttl: int) -> bool:
        floods[ttl] = TtlFlood(ttl=ttl).search(scene, searches)
        return bool(floods[ttl].discovered.mean() >= ENOUGH)

    most = 1
    while not finds(most):
        most *= 2
    least = most // 2 + 1
    ttl = least + bisect_left(range(least, most), True, key=finds)
    return _way(f"flood of TTL {ttl}", floods[ttl])


def reproduce() -> Reproduction:
    """The three meshes."""
    findings: list[Finding] = []
    pictures: list[Picture] = []
    every = of_every_kind()
    for kind in KINDS:
        found, drawn = by_ttl(kind, every[kind])
        compared, beside = by_copies(kind, every[kind])
        findings += found + compared
        pictures += [drawn, beside]
    return Reproduction(published("lv2002"), findings, pictures)


def _stem(kind: str) -> str:
    return kind.replace(" ", "-").lower()
