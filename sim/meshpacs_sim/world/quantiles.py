"""Integer tables to draw from, so that no machine's mathematics library shows in a result.

A table holds the quantiles (2i + 1) / (2 SLOTS) of a distribution, for i from 0 to SLOTS - 1; a
uniform draw picks one. They are made with `decimal`, whose every operation is defined to the last
digit (General Decimal Arithmetic, IEEE 754-2008), and rounded to integers. Nothing beyond the last
quantile is ever drawn: for 4,096 slots, the rarest 1 in 8,192 at either end is cut off.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from itertools import accumulate
from math import gcd

SLOTS = 4096
"""Quantiles in a table: the tails end at 1 in 8,192. A guess at what is fine enough."""

SCALE = 1 << 20
"""What stands for 1 in the tables of the exponential distribution."""

_EXACT = Context(prec=34)
"""Digits to compute with: twice what the integers need."""

_PI = Decimal("3.141592653589793238462643383279502884197")


def pick(bits: int) -> int:
    """Which slot 64 bits of chance choose."""
    return (bits * SLOTS) >> 64


@lru_cache(maxsize=1)
def exponential() -> tuple[int, ...]:
    """Quantiles of the exponential distribution of mean 1, in units of 1 / `SCALE`."""
    with localcontext(_EXACT):
        return tuple(
            int((-Decimal(2 * (SLOTS - slot) - 1).ln() + Decimal(2 * SLOTS).ln()) * SCALE)
            for slot in range(SLOTS)
        )


@lru_cache(maxsize=64)
def lognormal(median: int, sigma_percent: int) -> tuple[int, ...]:
    """Quantiles of exp(N(ln median, sigma)), rounded down to integers of the median's unit."""
    with localcontext(_EXACT):
        sigma = Decimal(sigma_percent) / 100
        return tuple(int(median * (sigma * z).exp()) for z in _normal())


@lru_cache(maxsize=8)
def popularity(size: int, exponent_percent: int) -> tuple[int, ...]:
    """Running sums of Zipf's weights: of rank r, r to the power of minus the exponent.

    Each weight is rounded down to a whole number of 1 / 2^40, and is at least one of them.
    """
    shared = gcd(exponent_percent, 100)
    above, below = exponent_percent // shared, 100 // shared
    return tuple(accumulate(_power(rank, above, below) for rank in range(1, size + 1)))


def rank_of(running: Sequence[int], bits: int) -> int:
    """Which rank 64 bits of chance choose, by running sums of weights; the first is 0."""
    return bisect_right(running, bits * running[-1] >> 64)


def _power(rank: int, above: int, below: int) -> int:
    """2^40 rank^(-above / below), rounded down: a guess by floats, mended by integers."""
    weight = int(rank ** (-above / below) * _ONE)
    # weight^below rank^above <= 2^(40 below) says exactly whether it is too large.
    base, most = rank**above, _ONE**below
    while weight**below * base > most:
        weight -= 1
    while (weight + 1) ** below * base <= most:
        weight += 1
    return max(weight, 1)


_ONE = 1 << 40


@lru_cache(maxsize=1)
def _normal() -> tuple[Decimal, ...]:
    """Quantiles of the standard normal distribution, by Newton's method from one to the next."""
    upper: list[Decimal] = []
    z = Decimal(0)
    root = (2 * _PI).sqrt()
    for slot in range(SLOTS // 2):
        wanted = Decimal(2 * slot + 1) / (2 * SLOTS)
        while True:
            density = (-z * z / 2).exp() / root
            step = (wanted - density * _series(z)) / density
            z += step
            # Quadratic: what is left of the error is the square of this step.
            if abs(step) < Decimal("1e-12"):
                break
        upper.append(z)
    return (*(-z for z in reversed(upper)), *upper)


def _series(z: Decimal) -> Decimal:
    """(Phi(z) - 1/2) / phi(z) = z + z^3/3 + z^5/15 + ... (Abramowitz & Stegun 26.2.11)."""
    term = total = z
    odd = 1
    while term > Decimal("1e-30"):
        odd += 2
        term = term * z * z / odd
        total += term
    return total
