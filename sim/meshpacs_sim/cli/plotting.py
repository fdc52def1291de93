"""`meshpacs-sim plot`: pictures of results."""

from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.lab import plots


@click.command()
@options.results
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the pictures. Default: pictures/ in the folder of the results.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "png"]),
    default="svg",
    show_default=True,
    help="SVG is sharp at any size; PNG is for programs that take no SVG.",
)
@click.option("--only", multiple=True, metavar="NAME", help="This picture; may be given again.")
def plot(results: Path, out: Path | None, form: plots.Form, only: tuple[str, ...]) -> None:
    """Draw what a run or a sweep has shown, each picture into a file of its own.

    What is found against what it costs; success by number of copies; curves over a number that was
    swept; latency, hops, load; availability over time.
    """
    files = plots.plot(results, out or results / "pictures", form, only)
    for file in files:
        click.echo(file)
    if not files:
        click.echo(f"{results} has nothing that could be drawn", err=True)
