"""`meshpacs import`: take in DICOM files, through the node that is up or into an idle home."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]

LISTED = 20
"""Refused files that are named on the screen; --json names all."""

ASIDE = (
    "kept aside: its SOP Instance UID is here with other content; `meshpacs conflicts` names both."
)


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@json_option
@home_option
def take_in(paths: tuple[Path, ...], *, as_json: bool, home: Home) -> int:
    """Take in files, folders, zip files and DICOMDIR media.

    DICOM is found by content, whatever a file is called. Can be interrupted and repeated: what
    is here already stays as it is. Exits 1 if a file was refused or kept aside as a conflict.
    """
    from meshpacs.cli.screen import print_json

    summary, troubled = bring_in(home, paths, quiet=as_json)
    if as_json:
        print_json({**summary, "troubled": troubled})
    else:
        show(summary, troubled)
    return int(bool(troubled))


def bring_in(home: Home, paths: tuple[Path, ...], *, quiet: bool = True) -> tuple[Json, list[Json]]:
    """Import; the sum, and the files in trouble."""
    troubled: list[Json] = []
    summary: Json = {}
    with _events(home, paths) as events:
        for event in _shown(events, quiet=quiet):
            if event["event"] == "imported":
                summary = event
            elif event["taken"] in ("refused", "conflict"):
                troubled.append({key: event[key] for key in ("name", "taken", "reason")})
    del summary["event"]
    return summary, troubled


@contextmanager
def _events(home: Home, paths: tuple[Path, ...]) -> Iterator[Iterable[Json]]:
    """From the node that is up, or from this process where the home is idle."""
    from meshpacs.cli.client import Client

    home.require_made()
    absolute = [str(path.absolute()) for path in paths]
    running = home.running()
    if running is not None and "http" in running:
        with closing(Client(home).lines("/v1/import", {"paths": absolute})) as lines:
            yield lines
        return
    from meshpacs.cli.offline import import_offline

    with import_offline(home, absolute) as events:
        yield events


def _shown(events: Iterable[Json], *, quiet: bool) -> Iterator[Json]:
    """Pass events on, with counts on standard error where somebody is looking."""
    if quiet or not sys.stderr.isatty():
        yield from events
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from meshpacs.cli.screen import console, size

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    count = taken = 0
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task("looking for DICOM", total=None)
        for event in events:
            if event["event"] == "file":
                count, taken = count + 1, taken + event["size_bytes"]
                progress.update(task, description=f"{count} files, {size(taken)}")
            yield event


def show(summary: Json, troubled: list[Json]) -> None:
    """The sum, then every file in trouble by name."""
    from meshpacs.cli.screen import console, plural, size, text

    out = console()
    parts = [f"{plural(summary['stored'], 'instance')} stored ({size(summary['bytes'])})"]
    parts += [
        f"{summary[key]} {words}"
        for key, words in (
            ("unchanged", "here already"),
            ("conflicts", "kept aside in conflict"),
            ("refused", "refused"),
            ("skipped", "skipped, not DICOM"),
        )
        if summary[key]
    ]
    out.print(", ".join(parts) + ".", style="yellow" if troubled else "green")
    for file in troubled[:LISTED]:
        reason = file["reason"] or ASIDE
        out.print(text(f"  {file['name']}: {reason}"), soft_wrap=True)
    if len(troubled) > LISTED:
        out.print(f"  and {len(troubled) - LISTED} more; --json names all.")
