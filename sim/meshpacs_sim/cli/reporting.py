"""`meshpacs-sim report`: one page about results."""

from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.lab import report as reports


@click.command()
@options.results
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page's file. Default: report.html in the folder of the results.",
)
@click.option(
    "--no-manifest",
    is_flag=True,
    help="Leave out when and where it was run: one scenario, one page, wherever it is made.",
)
def report(results: Path, out: Path | None, no_manifest: bool) -> None:
    """Write one HTML page: pictures, tables, scenario, manifest, and what speaks against it.

    It needs no network and no other file; the same results give the same bytes.
    """
    file = out or results / "report.html"
    reports.report(results, file, manifest=not no_manifest)
    click.echo(file)
