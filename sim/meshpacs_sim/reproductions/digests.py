"""Digests of radius r save r hops: S_r(t) = S_0(t + r).

Where everybody knows exactly what those within r hops hold, a question of TTL t finds what one of
TTL t + r finds without: in each search the copies within t + r hops of the asker. These are counted
on the graph, and searches of every radius, 0 among them, are held to the count.
"""

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.kernel import rounds
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Finding, Reproduction, certain
from meshpacs_sim.reproductions.meshes import all_up, of_every_kind
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, proportion_of
from meshpacs_sim.strategies.digests import Digests
from meshpacs_sim.strategies.placement import scattered
from meshpacs_sim.strategies.search import Copies, Int64s, Searches

RADII = (0, 1, 2, 3)
FARTHEST = 12
"""Hops within which copies are looked for, unless all searches have found one before."""
COPIES, SEARCHES = 50, 200
DRAWN = ("8-regular", "PLRG", "grid")
ITSELF = FARTHEST + 1
"""Hops to a copy of the asker's own, which is not searched for."""


def hops_to_copies(mesh: Csr, searches: Searches, copies: Copies) -> Int64s:
    """Shape (searches, copies): from each asker to each copy of what it looks for."""
    rows = []
    for origin, content in zip(searches.origins.tolist(), searches.contents.tolist(), strict=True):
        hops = rounds.flood(mesh, origin).hops()[copies.of(content)].astype(np.int64)
        hops[hops == 0] = ITSELF
        rows.append(hops)
    return np.array(rows)


def held_to_the_count(
    kind: str, mesh: Csr, copies: int = COPIES, searched: int = SEARCHES
) -> tuple[list[Finding], list[Curve]]:
    """Every radius and TTL on one mesh: whether each search agrees, and success by TTL."""
    held = scattered(np.full(searched, copies), mesh.size, 1)
    origins = Chance(1, b"reproductions/digests").below("origin", mesh.size, searched)
    searches = Searches(origins.astype(np.int32), np.arange(searched, dtype=np.int32))
    scene, hops = all_up(mesh, held), hops_to_copies(mesh, searches, held)
    findings: list[Finding] = []
    success: dict[int, dict[int, Estimate]] = {radius: {} for radius in RADII}
    for reach in range(1, FARTHEST + 1):
        within = (hops <= reach).sum(axis=1)
        for radius in RADII[: reach + 1]:
            ttl = reach - radius
            way = Digests(radius=radius, ttl=ttl, false_positives=0.0)
            found = way.search(scene, searches).copies_found
            hits = int((found > 0).sum())
            what = f"{kind}, radius {radius}, TTL {ttl}: searches that find"
            alike = bool((found == within).all())
            rule = "equal, and in each search as many copies"
            findings.append(Finding(what, int((within > 0).sum()), certain(hits), rule, alike))
            success[radius][ttl] = proportion_of(hits, searched)
        if within.all():
            break
    drawn = [
        Curve(f"radius {radius}", list(by_ttl), list(by_ttl.values()))
        for radius, by_ttl in success.items()
    ]
    return findings, drawn


def reproduce() -> Reproduction:
    """Every kind of mesh."""
    findings: list[Finding] = []
    panels: list[Panel] = []
    for kind, mesh in of_every_kind().items():
        found, drawn = held_to_the_count(kind, mesh)
        findings += found
        if kind in DRAWN:
            panels.append(Panel(kind, drawn))
    picture = curves(
        "digests",
        "What digests save: the same success, so many hops earlier",
        panels,
        Axis("TTL, hops"),
        Axis("searches that find", share=True),
    )
    return Reproduction(published("digests"), findings, [picture])
