"""`meshpacs dicom store`: send files to another machine (C-STORE)."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshpacs.cli.dicom.machine import machine, machine_options
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

if TYPE_CHECKING:
    from meshpacs.gateways.dicom.requesting import Machine
    from meshpacs.node.decoders import Decoders
    from meshpacs.node.outgoing import Outgoing

Json = dict[str, Any]

END_S = 5.0
"""Seconds that the decoding processes have to end. A guess."""

LISTED = 20
"""Files in trouble that are named on the screen; --json names all."""

WORDS = {"0000": "kept", "A7": "no room there", "A9": "not of its class", "C": "not understood"}
"""Statuses in words, by how they begin (PS3.4 table B.2-1)."""


@dataclass(slots=True)
class _Sent:
    statuses: Counter[str] = field(default_factory=Counter)
    """Instances by the status that they were answered with."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Those that were not sent, by why."""
    troubled: list[Json] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.statuses.values()) + sum(self.reasons.values())


@click.command()
@machine_options
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@json_option
@home_option
def store(
    whom: str,
    called: str | None,
    calling: str | None,
    paths: tuple[Path, ...],
    *,
    over_tls: bool,
    as_json: bool,
    home: Home,
) -> int:
    """Send files, folders, zip files and DICOMDIR media to a DICOM machine, as a modality would.

    AE is a title of the AE book, TITLE@HOST:PORT, or HOST:PORT with --called. Each instance is sent
    as it is in its file; where that transfer syntax is not accepted, in another one: compressed
    pixels are decoded with the extra meshpacs[pixel]. Exits 1 if any was refused, taken with a
    warning or not sent.
    """
    import trio

    from meshpacs.cli.main import INTERRUPTED
    from meshpacs.cli.screen import print_json
    from meshpacs.node.config import load_config
    from meshpacs.node.decoders import Decoders
    from meshpacs.node.outgoing import Outgoing
    from meshpacs.node.rewriting import Rewriter

    whose = machine(whom, called, calling, home, over_tls=over_tls)
    charset = load_config(home.config).default_charset
    sent = _Sent()
    interrupted = False
    with (
        tempfile.TemporaryDirectory(prefix="meshpacs-") as name,
        _progress(quiet=as_json) as told,
    ):
        decoders = Decoders()
        files = Outgoing(paths, Path(name), charset, Rewriter(decoders))
        try:
            for count in files.look():
                told(f"looking: {count} instances")
            trio.run(_send, whose, files, decoders, sent, told)
        except KeyboardInterrupt:
            interrupted = True
    refused = [{"name": p.name, "why": p.why} for p in files.passed if p.refused]
    facts: Json = {
        "title": whose.called,
        "statuses": dict(sorted(sent.statuses.items())),
        "not_sent": sum(sent.reasons.values()),
        "reasons": dict(sent.reasons.most_common()),
        "unreadable": len(refused),
        "skipped": len(files.passed) - len(refused),
        "troubled": [*sent.troubled, *refused],
    }
    if as_json:
        print_json(facts)
    else:
        _show(facts, interrupted=interrupted)
    if interrupted:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    return 0 if set(sent.statuses) <= {"0000"} and not sent.reasons and not refused else 1


async def _send(
    whose: "Machine",
    files: "Outgoing",
    decoders: "Decoders",
    sent: _Sent,
    told: Callable[[str], None],
) -> None:
    import trio

    try:
        await _sent_all(whose, files, decoders.decodable, sent, told)
    finally:
        with trio.move_on_after(END_S, shield=True):
            await decoders.close()


async def _sent_all(
    whose: "Machine",
    files: "Outgoing",
    decodable: frozenset[str],
    sent: _Sent,
    told: Callable[[str], None],
) -> None:
    from meshpacs.gateways.dicom.delivery import Delivery
    from meshpacs.gateways.dicom.sending import CannotSend

    entries = await files.entries()
    if not entries:
        return
    async with AsyncExitStack() as stack:
        delivery = Delivery(whose, entries, stack, decodable=decodable)
        await delivery.begin()
        async for entry in files:
            try:
                status = f"{await delivery.store(files, entry):04X}"
            except CannotSend as fault:
                sent.reasons[str(fault)] += 1
                sent.troubled.append({"name": files.name, "why": str(fault)})
            else:
                sent.statuses[status] += 1
                if status != "0000":
                    sent.troubled.append({"name": files.name, "why": f"status {status}"})
            told(f"{sent.count} of {len(entries)} sent")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line on standard error where somebody is looking."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from meshpacs.cli.screen import console

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda words: progress.update(task, description=words)


def _show(facts: Json, *, interrupted: bool) -> None:
    """By status, then what was not sent and why."""
    from meshpacs.cli.screen import plural, safe

    for status, count in facts["statuses"].items():
        words = next((w for begins, w in WORDS.items() if status.startswith(begins)), "")
        words = words or ("kept, with a warning" if status.startswith("B") else "refused")
        click.echo(f"{plural(count, 'instance')} answered {status}: {words}.")
    for reason, count in facts["reasons"].items():
        click.echo(f"{plural(count, 'instance')} not sent: {safe(reason)}")
    if facts["skipped"]:
        click.echo(f"{plural(facts['skipped'], 'file')} skipped, not DICOM.")
    if not facts["statuses"] and not facts["reasons"] and not interrupted:
        click.echo("Nothing to send was found.")
    for one in facts["troubled"][:LISTED]:
        click.echo(f"  {safe(one['name'])}: {safe(one['why'])}")
    if len(facts["troubled"]) > LISTED:
        click.echo(f"  and {len(facts['troubled']) - LISTED} more; --json names all.")
