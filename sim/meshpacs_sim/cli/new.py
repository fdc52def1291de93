"""`meshpacs-sim new`: a scenario of one's own, begun from one that is there."""

import textwrap
from pathlib import Path

import click

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import shipped

WIDTH = 100


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "name", default="first-look", show_default=True, help="Which of them.")
def new(file: Path | None, name: str) -> None:
    """Write a scenario to FILE, to be changed; without FILE, list those that can be begun from."""
    if file is None:
        for each in shipped.names():
            click.echo(each)
            click.echo(textwrap.indent(textwrap.fill(shipped.about(each), WIDTH - 4), "    "))
        return
    text = shipped.place_of(name).read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise LocalFault(f"{file} cannot be written: {error}.", "Name another file.") from error
    click.echo(f"{file}: change it, then `meshpacs-sim describe {file}`")
