"""Sharing out copies: what random probing costs in the mean, and how much the square root saves.

With m contents that are asked for at rates q, which sum to 1, and rho copies for each node in all,
uniform and proportional shares cost m/rho probes, and square-root shares (sum sqrt q)^2 / rho,
which is the least that any shares can cost.
"""

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Finding, Reproduction, agreeing, certain, within
from meshpacs_sim.reproductions.placing import SHARES, copies_of, of_zipf
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, Floats, mean_of

SIZE, CONTENTS, RHO = 1_000_000, 100, 1.0
EXPONENTS = (0.0, 0.4, 0.8, 1.2, 1.6, 2.0)
SEARCHES = 200_000
ROUNDED = 0.005
"""Copies are whole, and one at least: by so much their shares may differ from the formula's."""


def in_theory(share: str, rates: Floats) -> float:
    """Probes of a search, in the mean."""
    if share == "square-root":
        return float(np.sqrt(rates).sum() ** 2 / RHO)
    return CONTENTS / RHO


def probes(share: str, rates: Floats, seed: int) -> Floats:
    """Probes of each of many searches, anybody being asked again."""
    chance = Chance(seed, b"square root")
    limits = np.cumsum(rates)
    wanted = np.searchsorted(limits, chance.below("content", 1 << 40, SEARCHES) / 2**40)
    copies = copies_of(share, rates, round(RHO * SIZE), SIZE)[np.minimum(wanted, CONTENTS - 1)]
    taken = np.zeros(SEARCHES)
    open_ones = np.arange(SEARCHES)
    while len(open_ones):
        taken[open_ones] += 1
        asked = chance.below("probe", SIZE, len(open_ones))
        open_ones = open_ones[asked >= copies[open_ones]]
    return taken


def reproduce() -> Reproduction:
    """Every way to share out, for every Zipf exponent."""
    findings: list[Finding] = []
    ours: dict[str, list[Estimate]] = {share: [] for share in SHARES}
    theory: dict[str, list[Estimate]] = {share: [] for share in SHARES}
    for at, exponent in enumerate(EXPONENTS):
        rates = of_zipf(CONTENTS, exponent)
        for share in SHARES:
            taken = probes(share, rates, at)
            expected = in_theory(share, rates)
            counts = copies_of(share, rates, round(RHO * SIZE), SIZE)
            whole = certain(float((rates * SIZE / counts).sum()))
            what = f"Zipf {exponent}, {share}: probes with whole copies"
            findings.append(within(what, expected, whole, ROUNDED))
            findings.append(agreeing(f"Zipf {exponent}, {share}: probes", whole.value, taken))
            ours[share].append(mean_of(taken))
            theory[share].append(certain(expected))
        gain = in_theory("uniform", rates) / in_theory("square-root", rates)
        best = ours["square-root"][-1].value
        measured = certain(ours["uniform"][-1].value / best)
        findings.append(within(f"Zipf {exponent}: gain of the square root", gain, measured, 0.03))
    drawn = []
    for share in SHARES:
        drawn.append(Curve(f"{share}, formula", EXPONENTS, theory[share]))
        drawn.append(Curve(f"{share}, searches", EXPONENTS, ours[share], hollow=True))
    picture = curves(
        "square-root",
        f"Probes until a copy is found, {CONTENTS} contents, a copy for each node in all",
        [Panel("", drawn)],
        Axis("Zipf exponent of what is asked for"),
        Axis("nodes asked, mean"),
    )
    return Reproduction(published("square_root"), findings, [picture])
