"""`meshpacs-sim plan`: what clinics of a file could have of each other, and what lines carry."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from meshpacs.model.errors import LocalFault
from meshpacs_sim.cli.progress import shown
from meshpacs_sim.lab import shipped
from meshpacs_sim.lab.page import Table
from meshpacs_sim.planning import report, tables
from meshpacs_sim.planning.answer import Answer, answer
from meshpacs_sim.planning.cautions import cautions_of
from meshpacs_sim.planning.plan import Plan

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("clinics", type=click.Path(path_type=Path, dir_okay=False), metavar="CLINICS.TOML")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a page, plan.html, and tables as CSV into this folder, too.",
)
@click.option("--new", is_flag=True, help="Write an example to CLINICS.TOML, to be changed.")
@click.option(
    "--thorough", is_flag=True, help="Put every question to the engine; many times as long."
)
def plan(clinics: Path, *, out: Path | None, new: bool, thorough: bool) -> None:
    """Tell how often a prior can be had, and what each line will carry.

    CLINICS.TOML says which sites there are, when they are open, how wide their lines are, what they
    do in a day, and how many sites keep each study.
    """
    if new:
        _begin(clinics)
        return
    wanted = Plan.load(clinics)
    with shown("steps") as meter:
        made = answer(wanted, meter, thorough=thorough)
    _show(made)
    if out is not None:
        report.write(made, out)
        click.echo(f"{out / report.PAGE}: the same with pictures; tables beside it")


def _begin(file: Path) -> None:
    text = shipped.plan_place().read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise LocalFault(f"{file} cannot be written: {error}.", "Name another file.") from error
    click.echo(f"{file}: change it, then `meshpacs-sim plan {file}`")


def _show(made: Answer) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PAPER
    console.print(Text(made.plan.name, style="bold"))
    _listed(console, tables.in_short(made), "")
    cautions = cautions_of(made)
    if cautions:
        console.print(Text("\nLook out", style="bold yellow"))
        _listed(console, cautions, "yellow")
    for each in (
        tables.by_site(made),
        tables.helped(made),
        tables.alone(made),
        tables.lines(made, made.planned),
        tables.waits(made, made.planned),
    ):
        _table(console, each)
    console.print(Text("\nHow it was found out", style="bold"))
    _listed(console, tables.how(made), "")


PAPER, GAP = 100, 2
"""Columns where there is no terminal, and between two of a table."""


def _listed(console: "Console", sentences: Sequence[str], style: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for sentence in sentences:
        console.print(Padding(Text(sentence, style=style), (0, 0, 0, 2), expand=False))


def _table(console: "Console", made: Table) -> None:
    """Names are never read as markup; a number and its unit stay on one line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Rows
    from rich.text import Text

    title = Text(made.caption, style="bold")
    rows = Rows(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    columns = [
        [_bound(head), *(_bound(row[number]) for row in made.rows)]
        for number, head in enumerate(made.heads)
    ]
    room = console.width - GAP * len(columns)
    for number, width in enumerate(_widths(columns, room)):
        side: Literal["left", "right"] = "right" if number else "left"
        rows.add_column(Text(columns[number][0]), justify=side, width=width)
    for row in made.rows:
        rows.add_row(*(Text(_bound(cell)) for cell in row))
    console.print()
    console.print(rows)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Columns as wide as their longest word, and wider where most is to be gained.

    Left to itself rich makes the widest narrower until words break.
    """
    widths = [max(len(word) for cell in cells for word in [*cell.split(), ""]) for cells in columns]
    most = [max(len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    while sum(widths) < room:
        gain, at = max((most[at] - widths[at], -at) for at in range(len(widths)))
        if gain <= 0:
            break
        widths[-at] += 1
    return widths


def _bound(cell: str) -> str:
    """Rich breaks lines at every kind of space, so none is left before a unit."""
    return cell.replace(" %", "%")
