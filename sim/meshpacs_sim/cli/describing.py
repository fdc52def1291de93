"""`meshpacs-sim describe`: a scenario in words."""

from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.words import described


@click.command()
@options.scenario_file
@click.option("--toml", is_flag=True, help="Every key instead, defaults written out.")
def describe(scenario: Path, *, toml: bool) -> None:
    """Say in words what a scenario does; nothing is run."""
    grid = Grid.load(scenario)
    click.echo(grid.base.text if toml else described(grid), nl=False)
