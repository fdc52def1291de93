"""Sweeps that take more seeds until what they are made for is known well enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.groups import Gathered
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.summaries import summary_of
from meshpacs_sim.lab.sweeping import Progress, nobody, sweep
from meshpacs_sim.statistics.intervals import Estimate
from meshpacs_sim.statistics.stopping import Precision, Verdict

MEASURES = ("retrievable", "discovered", "messages", "bytes", "latency_ms", "reached")
"""What a sweep may be repeated for."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it."""

    seeds: int
    """How many every point has been run with."""
    verdict: Verdict
    """`PRECISE`: every point is known well enough; `LIMIT`: some were not when the seeds ended."""
    estimates: Mapping[str, Estimate | None]
    """The measure by point; None where no run has shown one."""


def sweep_until(
    grid: Grid,
    measure: str,
    precision: Precision,
    *,
    out: Path,
    jobs: int | None = None,
    dask: str = "",
    form: Format = "parquet",
    progress: Progress = nobody,
) -> Settled:
    """Run every point with more and more seeds until one measure is known well enough at each.

    Seeds are counted from the scenario's own on; those that the file names are passed over. Every
    point has as many as the one that needs most, so that all stand on the same chance.
    What lies in the folder already is kept.

    Raises:
        LocalFault: as `sweep`.
    """
    points = list({repr(point.values): point.values for point in grid.points}.values())
    seeds = 0
    while True:
        seeds = precision.next_look(seeds)
        sweep(
            grid.base,
            out=out,
            points=points,
            seeds=seeds,
            jobs=jobs,
            dask=dask,
            form=form,
            progress=progress,
        )
        summaries = [summary_of(group) for group in Gathered.load(out).groups]
        estimates = {each.group.name: each.estimate(measure) for each in summaries}
        verdicts = {precision.after(seeds, estimate) for estimate in estimates.values()}
        if Verdict.MORE not in verdicts:
            reached = Verdict.LIMIT if Verdict.LIMIT in verdicts else Verdict.PRECISE
            return Settled(seeds, reached, estimates)
