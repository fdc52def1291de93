"""Arguments that several commands take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

scenario_file: Decorator = click.argument(
    "scenario", type=click.Path(path_type=Path, dir_okay=False), metavar="SCENARIO.TOML"
)

results: Decorator = click.argument(
    "results", type=click.Path(path_type=Path, file_okay=False), metavar="RESULTS"
)

out: Decorator = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the results. Default: results/ and the file's name; -sweep for a sweep.",
)

form: Decorator = click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="How the tables are written.",
)


def folder_for(scenario: Path, out: Path | None, more: str = "") -> Path:
    """Where results of this file go."""
    return out or Path("results") / (scenario.stem + more)
