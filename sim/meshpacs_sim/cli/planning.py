"""`meshpacs-sim plan`: what clinics of a file could have of each other, and what lines carry."""

from collections.abc import Sequence
from pathlib import Path

import click

from meshpacs.model.errors import LocalFault
from meshpacs_sim.cli.progress import shown
from meshpacs_sim.lab import shipped
from meshpacs_sim.lab.page import Table
from meshpacs_sim.planning import report, tables
from meshpacs_sim.planning.answer import Answer, answer
from meshpacs_sim.planning.cautions import cautions_of
from meshpacs_sim.planning.plan import Plan


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

    console = Console(soft_wrap=False, highlight=False)
    console.print(Text(made.plan.name, style="bold"))
    _listed(tables.in_short(made), "")
    cautions = cautions_of(made)
    if cautions:
        console.print(Text("\nLook out", style="bold yellow"))
        _listed(cautions, "yellow")
    for each in (
        tables.by_site(made),
        tables.helped(made),
        tables.alone(made),
        tables.lines(made, made.planned),
        tables.waits(made, made.planned),
    ):
        _table(each)
    console.print(Text("\nHow it was found out", style="bold"))
    _listed(tables.how(made), "dim")


def _listed(sentences: Sequence[str], style: str) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for sentence in sentences:
        console.print(Padding(Text(sentence, style=style), (0, 0, 0, 2)))


def _table(made: Table) -> None:
    """On paper a table's first column is its rows' name; names are never read as markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Rows
    from rich.text import Text

    rows = Rows(
        title=Text(made.caption, style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for number, head in enumerate(made.heads):
        rows.add_column(head, justify="right" if number else "left", no_wrap=not number)
    for row in made.rows:
        rows.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    console.print()
    console.print(rows)
