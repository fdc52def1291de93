"""Sharing out copies: what random probing costs in the mean, and how much the square root saves.

With m contents that are asked for at rates q, which sum to 1, and rho copies for each node in all,
uniform and proportional shares cost m/rho probes, and square-root shares (sum sqrt q)^2 / rho,
which is the least that any shares can cost.
"""

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Finding, Reproduction, agreeing, certain, within
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import Estimate, Floats, mean_of
from meshpacs_sim.strategies.placement import PLACEMENTS, shared_out
from meshpacs_sim.strategies.search import Int64s
from meshpacs_sim.world.quantiles import popularity

SIZE, CONTENTS, RHO = 1_000_000, 100, 1.0
EXPONENTS_PERCENT = (0, 40, 80, 120, 160, 200)
SEARCHES = 200_000
ROUNDED = 0.005
"""Copies are whole, and one at least: by so much their shares may differ from the formula's."""


def of_zipf(exponent_percent: int) -> Floats:
    """Shape (contents,): shares of all questions, the most asked for first."""
    weights = np.diff(np.array(popularity(CONTENTS, exponent_percent), np.float64), prepend=0)
    rates: Floats = weights / weights.sum()
    return rates


def copies_of(share: str, rates: Floats) -> Int64s:
    """Shape (contents,): copies of each."""
    budget = round(RHO * SIZE)
    return shared_out(PLACEMENTS[share](budget).weights(rates), budget, SIZE)


def in_theory(share: str, rates: Floats) -> float:
    """Probes of a search, in the mean."""
    if share == "square_root":
        return float(np.sqrt(rates).sum() ** 2 / RHO)
    return CONTENTS / RHO


def probes(rates: Floats, counts: Int64s, seed: int) -> Floats:
    """Probes of each of many searches, anybody being asked again."""
    chance = Chance(seed, b"square root")
    limits = np.cumsum(rates)
    wanted = np.searchsorted(limits, chance.below("content", 1 << 40, SEARCHES) / 2**40)
    copies = counts[np.minimum(wanted, CONTENTS - 1)]
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
    exponents = [percent / 100 for percent in EXPONENTS_PERCENT]
    ours: dict[str, list[Estimate]] = {share: [] for share in PLACEMENTS}
    theory: dict[str, list[Estimate]] = {share: [] for share in PLACEMENTS}
    for at, (percent, exponent) in enumerate(zip(EXPONENTS_PERCENT, exponents, strict=True)):
        rates = of_zipf(percent)
        for share in PLACEMENTS:
            counts = copies_of(share, rates)
            taken = probes(rates, counts, at)
            expected = in_theory(share, rates)
            whole = certain(float((rates * SIZE / counts).sum()))
            what = f"Zipf {exponent}, {_plain(share)}: probes"
            findings.append(within(f"{what} with whole copies", expected, whole, ROUNDED))
            findings.append(agreeing(what, whole.value, taken))
            ours[share].append(mean_of(taken))
            theory[share].append(certain(expected))
        gain = in_theory("uniform", rates) / in_theory("square_root", rates)
        best = ours["square_root"][-1].value
        measured = certain(ours["uniform"][-1].value / best)
        findings.append(within(f"Zipf {exponent}: gain of the square root", gain, measured, 0.03))
    drawn = []
    for share in PLACEMENTS:
        drawn.append(Curve(f"{_plain(share)}, formula", exponents, theory[share]))
        drawn.append(Curve(f"{_plain(share)}, searches", exponents, ours[share], hollow=True))
    picture = curves(
        "square-root",
        f"Probes until a copy is found, {CONTENTS} contents, a copy for each node in all",
        [Panel("", drawn)],
        Axis("Zipf exponent of what is asked for"),
        Axis("nodes asked, mean"),
    )
    return Reproduction(published("square_root"), findings, [picture])


def _plain(share: str) -> str:
    return share.replace("_", "-")
