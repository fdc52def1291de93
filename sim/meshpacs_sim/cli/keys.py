"""`meshpacs-sim keys`: the reference of scenario files."""

import textwrap

import click

from meshpacs_sim.lab.keys import Keys, tables

WIDTH = 100


@click.command()
@click.argument("table", required=False, default="")
def keys(table: str) -> None:
    """Tell every key of a scenario file; of one TABLE only, as mesh or search."""
    found = [each for each in tables() if each.table.startswith(table)]
    if not found:
        names = dict.fromkeys(each.table.partition(",")[0] for each in tables() if each.table)
        raise click.UsageError(f"there is no table {table}; there are {', '.join(names)}")
    for each in found:
        click.echo(f"[{each.table}]" if each.table else "At the top")
        click.echo(textwrap.fill(each.about, WIDTH))
        _rows(each)
        click.echo()


def _rows(table: Keys) -> None:
    for key in table.keys:
        default = f" = {key.default}" if key.default else ""
        click.echo(f"  {key.name}{default}    {key.kind.replace('`', '')}")
        if key.means:
            text = key.means.replace("`", "")
            click.echo(textwrap.indent(textwrap.fill(text, WIDTH - 6), " " * 6))
