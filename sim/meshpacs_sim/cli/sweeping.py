"""`meshpacs-sim sweep`: one scenario, many times."""

from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.cli.progress import shown
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.sweeping import sweep as swept


@click.command()
@options.scenario_file
@options.out
@options.form
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes. Default: one a core.")
@click.option("--dask", default="", metavar="ADDRESS", help="A Dask scheduler, instead.")
def sweep(scenario: Path, out: Path | None, form: Format, jobs: int | None, dask: str) -> None:
    """Run every point of the table [sweep] with every seed.

    Runs that are in the folder already, of this very scenario and program, are kept. Ctrl-C loses
    only the runs that are under way; the same command goes on.
    """
    folder = options.folder_for(scenario, out, "-sweep")
    with shown("runs") as meter:
        made = swept(scenario, out=folder, form=form, jobs=jobs, dask=dask, progress=meter)
    click.echo(f"{folder}: {len(made.runs)} runs")
