"""Several runs of one experiment, each with a seed of its own: how surely they say what they say.

From `REPLICATIONS` runs on each counts as one observation, whatever resembles what within it; the
interval then speaks of all meshes that the scenario could have drawn. Fewer are taken as one long
run, whose interval speaks of these very meshes alone.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from meshpacs_sim.statistics.batches import Batched, run_mean, run_proportion, run_quantile
from meshpacs_sim.statistics.intervals import (
    CONFIDENCE,
    Estimate,
    Floats,
    Numbers,
    floats,
    mean_of,
    proportion_of,
    student,
)

REPLICATIONS = 5
"""Runs from which each counts as one observation. A guess: Student's factor is 2.8 then, of four
runs 3.2, of two 12.7."""


def mean_over(runs: Sequence[Numbers], confidence: float = CONFIDENCE) -> Batched | None:
    """The mean; each run weighs the same, however many observations it has.

    None if no run has an observation.
    """
    held = _held(runs)
    if not held:
        return None
    if len(held) < REPLICATIONS:
        return run_mean(np.concatenate(held), confidence)
    return Batched(
        mean_of([float(run.mean()) for run in held], confidence), alike=False, inflation=1
    )


def share_over(runs: Sequence[Numbers], confidence: float = CONFIDENCE) -> Batched | None:
    """The share of hits among all tries of all runs; None if there was no try.

    Raises:
        ValueError: an observation is neither 0 nor 1.
    """
    held = _held(runs)
    if not held:
        return None
    if len(held) < REPLICATIONS:
        return run_proportion(np.concatenate(held), confidence)
    hits = [int(run.sum()) for run in held]
    inflation = spread_of(hits, [len(run) for run in held], confidence)
    tries = sum(len(run) for run in held)
    estimate = proportion_of(sum(hits), tries, inflation=inflation, confidence=confidence)
    return Batched(estimate, alike=False, inflation=inflation)


def quantile_over(
    runs: Sequence[Numbers], q: float, confidence: float = CONFIDENCE
) -> Estimate | None:
    """A quantile of the observations of all runs together; None if there is none."""
    held = _held(runs)
    return run_quantile(np.concatenate(held), q, confidence) if held else None


def whole_over(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of a number that each run has once, such as the load of its busiest node.

    None if there was no run.
    """
    return mean_of(values, confidence) if values else None


def spread_of(hits: Sequence[int], tries: Sequence[int], confidence: float = CONFIDENCE) -> float:
    """By what the variance of a share of several runs exceeds that of independent tries.

    The ratio estimator's variance over runs (Cochran 1977, Sampling Techniques, 3.12), times the
    square of Student's factor over the normal one, since so few runs know it badly (Korn & Graubard
    1998, Survey Methodology 24:193); 1 where runs do not differ more than chance lets them.
    """
    total, count = sum(tries), len(tries)
    share = sum(hits) / total
    if share in {0.0, 1.0} or count < 2:
        return 1.0
    apart = np.array(hits, np.float64) - share * np.array(tries, np.float64)
    between = count / (count - 1) * float((apart * apart).sum()) / (total * total)
    ratio = between / (share * (1 - share) / total)
    if ratio <= 1:
        return 1.0
    normal = NormalDist().inv_cdf((1 + confidence) / 2)
    return ratio * (student(count - 1, confidence) / normal) ** 2


def _held(runs: Sequence[Numbers]) -> list[Floats]:
    return [floats(run) for run in runs if len(run)]
