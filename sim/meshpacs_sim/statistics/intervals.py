"""Means, proportions and quantiles, each with its interval; all of independent observations.

What one long run gives is not independent: `batches` makes it so first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = Sequence[float] | Sequence[int] | npt.NDArray[np.integer | np.floating | np.bool_]

CONFIDENCE = 0.95
"""How often, over many repetitions of the whole experiment, an interval holds the true value."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and between what the true one lies in `CONFIDENCE` of all experiments like this."""

    value: float
    low: float
    """-inf where so few observations bound nothing."""
    high: float
    """inf where so few observations bound nothing."""
    n: int
    """How many independent observations are behind it."""

    @property
    def bounded(self) -> bool:
        """Whether both ends are known."""
        return self.low > -inf and self.high < inf

    @property
    def half_width(self) -> float:
        """The distance to the farther end."""
        return max(self.high - self.value, self.value - self.low)

    @property
    def relative(self) -> float:
        """The half-width as a share of the value; inf for a value of 0 that may be another."""
        if self.half_width == 0:
            return 0.0
        return self.half_width / abs(self.value) if self.value else inf


def floats(values: Numbers) -> Floats:
    """The same numbers as one array.

    Raises:
        ValueError: there are none, or one is not a number: of nothing nothing can be said.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"one row of observations is wanted, this has the shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("an observation is not a finite number")
    return array


def mean_of(values: Numbers, confidence: float = CONFIDENCE) -> Estimate:
    """The mean with Student's interval (Student 1908, Biometrika 6:1).

    One observation says nothing of its spread: its interval has no ends.
    """
    array = floats(values)
    n, mean = len(array), float(array.mean())
    if n == 1:
        return Estimate(mean, -inf, inf, 1)
    half = student(n - 1, confidence) * float(array.std(ddof=1)) / sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def student(freedom: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors reach so far on both sides, with so many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def proportion_of(
    hits: int, n: int, *, inflation: float = 1.0, confidence: float = CONFIDENCE
) -> Estimate:
    """Wilson's score interval (Wilson 1927, JASA 22:209): it keeps within 0 and 1, and has a width
    where nothing, or everything, was a hit, as rare content has it.

    Args:
        hits: how many of them were.
        n: how many there were.
        inflation: by what the variance of the proportion exceeds that of `n` independent tries.
            The interval is that of `n / inflation` tries (Dean & Pagano 2015, J. Survey Stat.
            Methodol. 3:484); below 1 it counts as 1.
        confidence: how often the interval holds the true value.

    Raises:
        ValueError: there was no try, or more hits than tries.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n} are no proportion")
    p, tries = hits / n, n / max(1.0, inflation)
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    middle = (p + z2 / (2 * tries)) / (1 + z2 / tries)
    half = sqrt(z2) * sqrt(p * (1 - p) / tries + z2 / (4 * tries * tries)) / (1 + z2 / tries)
    # At both ends the formula gives exactly 0 and 1; its floating sum does not.
    low = 0.0 if hits == 0 else middle - half
    high = 1.0 if hits == n else middle + half
    return Estimate(p, low, high, int(tries))


def quantile_of(
    values: Numbers, q: float, *, inflation: float = 1.0, confidence: float = CONFIDENCE
) -> Estimate:
    """A quantile, with the interval between two of the observations that binomial chance gives,
    whatever their distribution (David & Nagaraja 2003, Order Statistics, 7.1).

    The value is one that was observed: the smallest that `q` of all do not exceed. An end that
    lies beyond the outermost observation is not known: the 99th percentile of 100 observations
    has no upper end, 368 have one. As in `proportion_of`, observations that resemble each other are
    worth `inflation` times fewer (Woodruff 1952, JASA 47:635).

    Raises:
        ValueError: there is no observation, or `q` is not between 0 and 1.
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, {q} does not")
    from scipy.special import bdtr

    array = np.sort(floats(values))
    n, tail = len(array), (1 - confidence) / 2
    worth = max(1, int(n / max(1.0, inflation)))
    # The true quantile lies below the k-th smallest of independent observations with the
    # probability that at most k - 1 of them lie below the quantile.
    below = bdtr(np.arange(worth, dtype=np.float64), worth, q)
    # Ranks from 1: the largest k with P(at most k - 1 below) <= tail, 0 if none has it; the
    # smallest with P(at most k - 1 below) >= 1 - tail, `worth` + 1 if none has it.
    under = int(np.searchsorted(below, tail, side="right"))
    over = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    low = float(array[max(1, under * n // worth) - 1]) if under else -inf
    high = float(array[min(n, ceil(over * n / worth)) - 1]) if over <= worth else inf
    rank = max(1, ceil(n * q - 1e-9))
    return Estimate(float(array[rank - 1]), low, high, worth)
