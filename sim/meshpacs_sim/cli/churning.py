"""`meshpacs-sim churn`: who is up when in a scenario, in numbers or as a record."""

from collections.abc import Sequence
from pathlib import Path

import click

from meshpacs.model.errors import LocalFault
from meshpacs_sim.cli import options
from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.stage import Stage
from meshpacs_sim.world.churn.office_hours import HOUR
from meshpacs_sim.world.churn.recorded import write_record
from meshpacs_sim.world.churn.schedule import Schedule, schedule


@click.command()
@options.scenario_file
@click.option(
    "--hours",
    type=click.IntRange(1, 87_600),
    default=168,
    show_default=True,
    help="How long to look on, from the beginning of the run.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write who is up when to this CSV file, too; a scenario can name it (churn.file).",
)
def churn(scenario: Path, *, hours: int, record: Path | None) -> None:
    """Tell how much of the time the nodes of a scenario are up.

    Of a file with a sweep it is the churn of what is not swept.
    """
    stage = Stage(Grid.load(scenario).base)
    if stage.churn is None:
        click.echo("Nobody comes or goes.")
        return
    seed = stage.seed("world")
    kept = [schedule(stage.churn, seed, node, hours * HOUR) for node in range(stage.size)]
    for line in _lines(kept):
        click.echo(line)
    if record is not None:
        try:
            write_record(record, kept)
        except OSError as error:
            raise LocalFault(f"{record} cannot be written: {error.strerror}.") from error


def _lines(kept: Sequence[Schedule]) -> Sequence[str]:
    shares = sorted(each.availability for each in kept)
    least, median, most = (float(shares[at]) for at in (0, (len(shares) - 1) // 2, -1))
    hourly = [
        sum(each.up_at(moment) for each in kept) for moment in range(0, kept[0].horizon_us, HOUR)
    ]
    sessions = [span.down_us - span.up_us for each in kept for span in each.spans]
    mean_hours = sum(sessions) / max(1, len(sessions)) / HOUR
    return (
        f"{len(kept):,} nodes over {len(hourly):,} hours",
        f"  up            {float(sum(shares) / len(kept)):.2%} of the time",
        f"  node by node  {least:.2%} to {most:.2%}, median {median:.2%}",
        f"  nodes up      {min(hourly):,} to {max(hourly):,}, {hourly[0]:,} at the beginning",
        f"  sessions      {len(sessions):,}, of {mean_hours:.4g} hours on average as far as seen",
    )
