"""`meshpacs dicom get`: have another archive send here (C-GET)."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshpacs.cli.dicom.machine import machine, machine_options
from meshpacs.cli.dicom.order import (
    NOTHING,
    facts_of,
    interruptible,
    order_of,
    order_options,
    progress_shown,
    sum_of,
)
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

if TYPE_CHECKING:
    from meshpacs.gateways.dicom.ordering import Delivered

Json = dict[str, Any]


@click.command()
@machine_options
@order_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Put the files into this folder, as SERIES/INSTANCE.dcm, and not into the archive.",
)
@json_option
@home_option
def get(
    whom: str,
    called: str | None,
    calling: str | None,
    keys: tuple[str, ...],
    level: str | None,
    out: Path | None,
    *,
    over_tls: bool,
    as_json: bool,
    home: Home,
) -> int:
    """Have another archive send a study, or a part of it, into this node's archive or a folder.

    AE is a title of the AE book, TITLE@HOST:PORT, or HOST:PORT with --called. Needs nothing of it
    but that we may call. What comes is checked before it is acknowledged. Exits 1 unless all came
    and is kept; Ctrl-C cancels it, and what has come until then is kept.
    """
    import trio

    from meshpacs.cli.importing import bring_in
    from meshpacs.cli.main import INTERRUPTED
    from meshpacs.cli.screen import print_json
    from meshpacs.dimse.statuses import (
        CANNOT_PERFORM_SUB_OPERATIONS,
        SUB_OPERATIONS_WARNING,
        SUCCESS,
    )
    from meshpacs.gateways.dicom.ordering import Delivered
    from meshpacs.gateways.dicom.ordering import get as ordered
    from meshpacs.node.spool import open_spool

    home.require_made()
    whose = machine(whom, called, calling, home, over_tls=over_tls)
    order = order_of(keys, level)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".coming-", dir=out or home.folder) as name:
        with progress_shown(quiet=as_json) as told:

            async def work(cancel: trio.Event) -> tuple[Delivered, int, Path]:
                async with open_spool(Path(name)) as spool:
                    done = await ordered(whose, order, spool.arrival, told, cancel)
                    files = 0
                    if out is not None:
                        for study in done.studies:
                            files += await spool.export(study, out)
                    return done, files, spool.folder

            (delivered, files, folder), interrupted = interruptible(work)
        kept: Json = {"exported_to": str(out), "exported": files}
        troubled: list[Json] = []
        if out is None:
            kept, troubled = bring_in(home, (folder,)) if delivered.stored else ({}, [])
    # What failed on one association may have come on another; the last one may have had no other.
    status = delivered.status
    fine = status in (SUCCESS, SUB_OPERATIONS_WARNING) or (
        status == CANNOT_PERFORM_SUB_OPERATIONS and bool(delivered.stored)
    )
    whole = fine and not (troubled or delivered.refused or delivered.missing or delivered.nothing)
    if as_json:
        facts = {"title": whose.called, **facts_of(delivered), "received": len(delivered.stored)}
        print_json({**facts, "refused": delivered.refused, **kept, "troubled": troubled})
    else:
        _show(delivered, kept, troubled)
    if interrupted:
        return INTERRUPTED
    return 0 if whole else 1


def _show(delivered: "Delivered", kept: Json, troubled: list[Json]) -> None:
    from meshpacs.cli.importing import show
    from meshpacs.cli.screen import plural, safe

    came = plural(len(delivered.stored), "instance")
    if "exported" in kept:
        files = plural(kept["exported"], "file")
        click.echo(f"{came} came; {files} in {safe(kept['exported_to'])}.")
    elif kept:
        click.echo(f"{came} came.")
        show(kept, troubled)
    else:
        click.echo("Nothing came.")
    click.echo(f"The other side counts, at last: {sum_of(delivered)}")
    if delivered.nothing:
        click.echo(NOTHING, err=True)
    if delivered.missing:
        click.echo(f"{plural(delivered.missing, 'instance')} did not come.")
    for uid, why in list(delivered.refused.items())[:20]:
        click.echo(f"  {safe(uid)}: {safe(why)}")
