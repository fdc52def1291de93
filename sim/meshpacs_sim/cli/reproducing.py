"""`meshpacs-sim reproduce`: published results found again, with a page that shows it."""

import time
from pathlib import Path

import click

from meshpacs.model.errors import LocalFault
from meshpacs_sim.cli.progress import span
from meshpacs_sim.lab import reproduced as pages
from meshpacs_sim.reproductions.catalogue import NAMES, reproduced


@click.command(epilog=f"Names: {', '.join(NAMES)}.")
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]…")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reproductions"),
    show_default=True,
    help="The folder for the page, the table and the pictures.",
)
def reproduce(names: tuple[str, ...], out: Path) -> int:
    """Find published and analytic results again: all of them, or those that are named.

    All together take some minutes. Exits 1 if a value was not found again.
    """
    made = []
    chosen = [name for name in NAMES if name in names] or list(NAMES)
    for at, name in enumerate(chosen, 1):
        began = time.monotonic()
        each = reproduced(name)
        made.append((name, each))
        missed = [finding for finding in each.findings if not finding.passed]
        verdict = f"{len(missed)} NOT found again" if missed else "found again"
        took = span(time.monotonic() - began)
        click.echo(
            f"[{at}/{len(chosen)}] {each.published.title}: {len(each.findings)} values, {verdict}"
            f" ({took})"
        )
        for finding in missed:
            click.echo(f"  {finding.what}: {finding.ours.value:g}, not {finding.expected:g}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "reproductions.html").write_bytes(pages.html_of(made))
        (out / "reproductions.csv").write_text(pages.csv_of(made), encoding="utf-8")
        for _, each in made:
            for picture in each.pictures:
                (out / f"{picture.name}.svg").write_bytes(picture.svg())
    except OSError as error:
        raise LocalFault(f"{out} cannot be written: {error}.", "Name another --out.") from error
    click.echo(f"{out / 'reproductions.html'} shows them.")
    return 0 if all(each.passed for _, each in made) else 1
