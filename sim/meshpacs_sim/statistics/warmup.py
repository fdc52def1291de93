"""How much of a run's beginning still shows how the run began: MSER-5.

White 1997, Simulation 69:323 (the rule); White, Cobb & Spratt 2000, Winter Simulation Conference,
p. 755 (batches of five, and the best of five rules compared).
"""

from dataclasses import dataclass

import numpy as np

from meshpacs_sim.statistics.intervals import Numbers, floats

BATCH = 5
"""Observations put together before the rule is applied (White, Cobb & Spratt 2000)."""

LEAST_BATCHES = 10
"""Below, nothing is judged. A guess: half of them may go, and five are left for a variance."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What should be cut off a run's beginning."""

    cut: int
    """Observations to leave out."""
    settled: bool
    """Whether the run is long enough to tell; if not, the least sum lay in its second half, where
    the rule only says that what is left is short."""


def warm_up_of(series: Numbers) -> WarmUp:
    """Where the mean of what is left is estimated best.

    Of all ways to cut off the first d batches, the one with the least sum((Y_i - mean)^2) / (k -
    d)^2 over the k - d batches left, d at most k / 2.

    Raises:
        ValueError: there is no observation.
    """
    array = floats(series)
    count = len(array) // BATCH
    if count < LEAST_BATCHES:
        return WarmUp(0, settled=False)
    batches = array[: count * BATCH].reshape(count, BATCH).mean(axis=1)
    # Variances from sums of squares are exact enough only around a value near the mean; that of
    # the second half is near what the run settles at.
    around = batches - batches[count // 2 :].mean()
    left = np.arange(count, 0, -1, dtype=np.float64)
    sums = np.cumsum(around[::-1])[::-1]
    squares = np.cumsum((around * around)[::-1])[::-1]
    errors = np.maximum(squares - sums * sums / left, 0.0) / (left * left)
    # The last few batches are alike by chance alone; the rule never looks at fewer than five.
    judged = errors[: count - LEAST_BATCHES // 2 + 1]
    best = int(np.argmin(judged))
    if best > count // 2:
        return WarmUp(int(np.argmin(errors[: count // 2 + 1])) * BATCH, settled=False)
    return WarmUp(best * BATCH, settled=True)
