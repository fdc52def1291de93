"""Intervals of one long run, whose neighbouring observations resemble each other: batch means.

Schmeiser 1982, Operations Research 30:556 (10 to 30 batches are enough, more gain nothing);
Fishman 1978, Management Science 24:510 (batches are long enough when von Neumann's ratio of their
means no longer shows that neighbours are alike).
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from meshpacs_sim.statistics.intervals import (
    CONFIDENCE,
    Estimate,
    Floats,
    Numbers,
    floats,
    mean_of,
    proportion_of,
    quantile_of,
)

COUNTS = (30, 24, 20, 16, 12, 10)
"""How many batches are tried, from short ones to long ones (Schmeiser 1982: 10 to 30)."""

SIGNIFICANCE = 0.1
"""Batches are alike if von Neumann's ratio would be so high in one of ten runs of unlike ones. Law
2015 (Simulation Modeling and Analysis, 9.5.3) warns of tests that find too little."""


@dataclass(frozen=True, slots=True)
class Batched:
    """The mean of one run, with an interval as honest as its length allows."""

    estimate: Estimate
    """Its `n` is the number of batches."""
    alike: bool
    """Neighbouring batches still resemble each other at the longest: the interval is too narrow,
    and the run too short."""
    inflation: float
    """The variance of the mean over what independent observations would have given; the
    observations were worth that many times fewer."""


def von_neumann(values: Numbers) -> float:
    """How alike neighbours are: 0 for independent ones, towards 1 for neighbours that are the same.

    1 - sum((x_i - x_{i+1})^2) / (2 sum((x_i - mean)^2)), after von Neumann 1941, Ann. Math. Stat.
    12:367.

    Raises:
        ValueError: there is no observation.
    """
    array = floats(values)
    around = array - array.mean()
    squares = float((around * around).sum())
    if squares == 0:
        return 0.0
    steps = np.diff(array)
    return 1 - float((steps * steps).sum()) / (2 * squares)


def are_alike(values: Numbers, significance: float = SIGNIFICANCE) -> bool:
    """Whether neighbours resemble each other more than chance explains: by the normal distribution
    of von Neumann's ratio, of mean 0 and variance (n - 2) / (n^2 - 1) (Fishman 1978).
    """
    n = len(values)
    if n < 3:
        return False
    limit = NormalDist().inv_cdf(1 - significance) * sqrt((n - 2) / (n * n - 1))
    return von_neumann(values) > limit


def batch_means(series: Numbers, count: int) -> Floats:
    """The means of so many batches, equally long; the first few observations are left out where
    the length does not divide, since they are nearest to how the run began.

    Raises:
        ValueError: there are fewer observations than batches.
    """
    array = floats(series)
    length = len(array) // count
    if count < 1 or length < 1:
        raise ValueError(f"{len(array)} observations do not fill {count} batches")
    means: Floats = array[len(array) - count * length :].reshape(count, length).mean(axis=1)
    return means


def run_mean(series: Numbers, confidence: float = CONFIDENCE) -> Batched:
    """The mean of a run after its warm-up.

    As many batches as are not alike, at least 10; with fewer than 20 observations each is its own.

    Raises:
        ValueError: there is no observation.
    """
    array = floats(series)
    means, alike = _unlike(array)
    estimate = mean_of(means, confidence)
    return Batched(estimate, alike, _inflation(array, means))


def run_proportion(hits: Numbers, confidence: float = CONFIDENCE) -> Batched:
    """The share of hits in a run after its warm-up: Wilson's interval for as many tries as these
    were worth.

    Raises:
        ValueError: there is no observation, or one is neither 0 nor 1.
    """
    array = floats(hits)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError("a hit is 1 and a miss 0; this has something else")
    means, alike = _unlike(array)
    inflation = _inflation(array, means)
    counted = int(array.sum())
    estimate = proportion_of(counted, len(array), inflation=inflation, confidence=confidence)
    return Batched(estimate, alike, inflation)


def run_quantile(series: Numbers, q: float, confidence: float = CONFIDENCE) -> Estimate:
    """A quantile of a run after its warm-up, its observations worth what their batches tell.

    Raises:
        ValueError: there is no observation, or `q` is not between 0 and 1.
    """
    array = floats(series)
    exceeding = (array > quantile_of(array, q).value).astype(np.float64)
    inflation = _inflation(exceeding, _unlike(exceeding)[0])
    return quantile_of(array, q, inflation=inflation, confidence=confidence)


def _unlike(array: Floats) -> tuple[Floats, bool]:
    """The most batches that are not alike; the fewest if all are, and True."""
    if len(array) < 2 * COUNTS[-1]:
        return array, are_alike(array)
    means = array
    for count in COUNTS:
        if len(array) < 2 * count:
            continue
        means = batch_means(array, count)
        if not are_alike(means):
            return means, False
    return means, True


def _inflation(array: Floats, means: Floats) -> float:
    """Variance of the mean by its batches, over that by its observations; at least 1."""
    if len(means) < 2:
        return 1.0
    independent = float(array.var(ddof=1)) / len(array)
    if independent == 0:
        return 1.0
    return max(1.0, float(means.var(ddof=1)) / len(means) / independent)
