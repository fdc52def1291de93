"""`meshpacs-sim sweep`: one scenario, many times."""

from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.cli.main import INTERRUPTED
from meshpacs_sim.cli.progress import shown
from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.repeating import MEASURES, sweep_until
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.sweeping import Sweep
from meshpacs_sim.lab.sweeping import sweep as swept
from meshpacs_sim.statistics.stopping import Precision


@click.command()
@options.scenario_file
@options.out
@options.form
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes. Default: one a core.")
@click.option("--dask", default="", metavar="ADDRESS", help="A Dask scheduler, instead.")
@click.option(
    "--until",
    type=click.FloatRange(0, 1, min_open=True),
    help="Add seeds until the interval of --of is so narrow, as a share of the value: 0.05.",
)
@click.option(
    "--within",
    type=click.FloatRange(0, min_open=True),
    help="The same in the measure's unit: 0.01 of a share is a point of a hundred.",
)
@click.option("--of", type=click.Choice(MEASURES), default="retrievable", show_default=True)
@click.option("--most", type=click.IntRange(10, 10_000), default=100, show_default=True)
def sweep(
    scenario: Path,
    out: Path | None,
    form: Format,
    jobs: int | None,
    dask: str,
    until: float | None,
    within: float | None,
    of: str,
    most: int,
) -> int:
    """Run every point of the table [sweep] with every seed.

    Runs that are in the folder already, of this very scenario and program, are kept. Ctrl-C loses
    only the runs that are under way; the same command goes on.

    With --until or --within every point is run with 10 seeds, then with half as many again each
    time, up to --most, whatever the file says of seeds.
    """
    folder = options.folder_for(scenario, out, "-sweep")
    try:
        with shown("runs") as meter:
            if until is None and within is None:
                made = swept(scenario, out=folder, form=form, jobs=jobs, dask=dask, progress=meter)
                told = f"{len(made.runs)} runs"
            else:
                grid = Grid.load(scenario)
                sure = grid.base.measure.confidence
                precision = Precision(until or 0.0, within or 0.0, most=most, confidence=sure)
                settled = sweep_until(
                    grid, of, precision, out=folder, form=form, jobs=jobs, dask=dask, progress=meter
                )
                told = f"{settled.seeds} seeds of each point, {settled.verdict.value}"
    except KeyboardInterrupt:
        ended = len(list(Sweep.load(folder).done()))
        click.echo(f"interrupted; {folder} has {ended} runs, the same command goes on", err=True)
        return INTERRUPTED
    click.echo(f"{folder}: {told}")
    return 0
