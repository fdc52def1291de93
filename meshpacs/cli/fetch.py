"""`meshpacs fetch`: bring a study here, verified."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]


@click.command()
@click.argument("study_uid")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also put the files into this folder (the node writes them).",
)
@json_option
@home_option
def fetch(study_uid: str, to: Path | None, *, as_json: bool, home: Home) -> int:
    """Bring a study from whoever holds it; every byte is verified before it is kept.

    An interrupted fetch goes on where it was when it is asked for again. Exits 0 if the study is
    here whole, 1 if some of it could not be had or a clinic that may know more was not heard, 2 if
    none of it came.
    """
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json

    body: Json = {"study_uid": study_uid}
    if to is not None:
        body["to"] = str(to.absolute())
    done: Json = {}
    with closing(Client(home).lines("/v1/fetch", body)) as events:
        for event in _shown(events, quiet=as_json):
            if event["event"] == "fetched":
                done = event
    del done["event"]
    if as_json:
        print_json(done)
    else:
        show(done)
    return 1 if done["partial"] or done["unheard"] else 0


def _shown(events: Any, *, quiet: bool) -> Any:
    """Pass events on, with a bar on standard error where somebody is looking."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield from events
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from meshpacs.cli.screen import console

    columns = (TextColumn("fetching"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        for event in events:
            if event["event"] == "progress":
                progress.update(task, completed=event["bytes"], total=event["bytes_total"] or None)
            yield event


def show(done: Json) -> None:
    """What has come, and from whom."""
    from meshpacs.cli.screen import console, duration, milliseconds, plural, safe, size

    out = console()
    took_us = done["took_us"]
    took = milliseconds(took_us) if took_us < 10_000_000 else duration(took_us)
    instances = plural(done["instances"], "instance")
    if done["already_here"]:
        verb = "is" if done["instances"] == 1 else "are"
        out.print(f"{instances} {verb} here already; nothing had to be fetched.", style="green")
    else:
        givers = ", ".join(
            f"{safe(giver['name'])} ({giver['instances']})" for giver in done["from_members"]
        )
        out.print(
            f"{instances} here and verified: {size(done['bytes'])} in {took} from {givers}.",
            style="green",
            markup=False,
        )
    if done["partial"]:
        out.print(
            f"{plural(done['missing_total'], 'instance')} could not be had: nobody who answers "
            "holds them now. Fetch again when more clinics are up.",
            style="yellow",
        )
    if done["unheard"]:
        names = ", ".join(safe(member["name"]) for member in done["unheard"])
        out.print(
            f"Not heard: {names}. There may be more of this study than is here.",
            style="yellow",
            markup=False,
        )
    if done["conflicts"]:
        out.print(
            f"{plural(done['conflicts'], 'instance')} came with other content than is here and "
            "is kept aside: `meshpacs conflicts`.",
            style="yellow",
        )
    if done["exported_to"]:
        files = plural(done["exported"], "file")
        out.print(f"{files} in {safe(done['exported_to'])}.", markup=False)
