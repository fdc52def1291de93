"""Whether something measured again and again grows: a straight line, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

BLOCKS = 20
"""Means that the line is laid through. What is measured hangs on what was measured just before, so
single samples would pretend to more certainty than there is; means of long blocks do not (batch
means, Law, Simulation Modeling and Analysis, 9.5.3, who has 20 to 40)."""

STUDENT = 2.101
"""Student's t for 95 %, two-sided, with BLOCKS - 2 = 18 degrees of freedom
(NIST/SEMATECH e-Handbook 1.3.6.7.2)."""

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Slope:
    """How much more an hour, with its interval of 95 % confidence."""

    an_hour: float
    lowest: float
    highest: float


def slope(samples: Sequence[tuple[float, float]]) -> Slope | None:
    """Of (seconds, value), ordered by time; None if they are too few for so many blocks."""
    if len(samples) < 2 * BLOCKS:
        return None
    count = len(samples)
    blocks = [
        samples[count * number // BLOCKS : count * (number + 1) // BLOCKS]
        for number in range(BLOCKS)
    ]
    times = [fmean(at for at, _ in block) / HOUR_S for block in blocks]
    values = [fmean(value for _, value in block) for block in blocks]
    time_mean, value_mean = fmean(times), fmean(values)
    spread = sum((at - time_mean) ** 2 for at in times)
    steep = (
        sum((at - time_mean) * (v - value_mean) for at, v in zip(times, values, strict=True))
        / spread
    )
    rest = sum(
        (v - value_mean - steep * (at - time_mean)) ** 2
        for at, v in zip(times, values, strict=True)
    )
    half = STUDENT * (rest / (BLOCKS - 2) / spread) ** 0.5
    return Slope(steep, steep - half, steep + half)
