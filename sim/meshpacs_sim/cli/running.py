"""`meshpacs-sim run`: one scenario, once."""

from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.cli.main import INTERRUPTED
from meshpacs_sim.cli.progress import shown, span
from meshpacs_sim.lab import running
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.scenario import Scenario


@click.command()
@options.scenario_file
@options.out
@options.form
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), help="Instead of the file's.")
@click.option("--anew", is_flag=True, help="In place of the results that are there.")
def run(scenario: Path, out: Path | None, form: Format, seed: int | None, *, anew: bool) -> int:
    """Run a scenario once, and keep its tables and its manifest in a folder.

    A table [sweep] in the file is passed over. Ctrl-C keeps what was measured until then.
    """
    asked, folder = Scenario.load(scenario), options.folder_for(scenario, out)
    if seed is not None:
        asked = asked.vary({"seed": seed})
    if running.is_kept(asked, folder, anew=anew):
        click.echo(f"{folder} has the results already; --anew runs it again")
        return 0
    with shown("queries") as meter:
        made = running.run(asked, progress=meter)
    running.keep(made.files(form), folder)
    for line in running.summary(made):
        click.echo(line)
    click.echo(f"{folder}: {', '.join(sorted(made.files(form)))} ({span(made.manifest['took_s'])})")
    return INTERRUPTED if made.manifest["interrupted"] else 0
