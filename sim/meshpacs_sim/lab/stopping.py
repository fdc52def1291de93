"""Whether a run has been long enough: sequential stopping, looked at after each batch."""

from collections.abc import Sequence

from meshpacs_sim.lab.recording import QueryRow
from meshpacs_sim.lab.scenario import Measure
from meshpacs_sim.statistics.batches import run_mean, run_proportion

LEAST = 30
"""Observations before the first look: an interval of fewer stops runs that were alike by chance."""

SHARES = frozenset({"discovered", "retrievable"})
"""Columns that say yes or no."""


def enough(rows: Sequence[QueryRow], measure: Measure) -> bool:
    """Whether the interval around the mean is as narrow as the scenario wants it."""
    if not measure.half_width:
        return False
    told = [row for row in rows if row.ended and not row.warm_up]
    if measure.of == "latency_us":
        told = [row for row in told if row.discovered]
    values = [int(getattr(row, measure.of)) for row in told]
    if len(values) < LEAST:
        return False
    mean = run_proportion if measure.of in SHARES else run_mean
    batched = mean(values, measure.confidence)
    return not batched.alike and batched.estimate.relative <= measure.half_width
