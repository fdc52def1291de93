"""`meshpacs dicom move`: have another archive send somewhere (C-MOVE)."""

import click

from meshpacs.cli.dicom.machine import check_title, machine, machine_options, own_title
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


@click.command()
@machine_options
@order_options
@click.option("--to", help="The title that it sends to. Default: this node, which must be up.")
@json_option
@home_option
def move(
    whom: str,
    called: str | None,
    calling: str | None,
    keys: tuple[str, ...],
    level: str | None,
    to: str | None,
    *,
    over_tls: bool,
    as_json: bool,
    home: Home,
) -> int:
    """Have another archive send a study, or a part of it, to this node or to any machine it knows.

    AE is a title of the AE book, TITLE@HOST:PORT, or HOST:PORT with --called. It must know the
    title that it is to send to, and where that is. Exits 1 unless all was sent; Ctrl-C cancels it.
    """
    import trio

    from meshpacs.cli.main import INTERRUPTED
    from meshpacs.cli.screen import print_json
    from meshpacs.dimse.statuses import MOVE_DESTINATION_UNKNOWN, SUCCESS
    from meshpacs.gateways.dicom.ordering import Delivered
    from meshpacs.gateways.dicom.ordering import move as ordered
    from meshpacs.model.errors import LocalFault

    whose = machine(whom, called, calling, home, over_tls=over_tls)
    order = order_of(keys, level)
    if to is None and not (home.running() or {}).get("dicom"):
        raise LocalFault(
            "This node is not up, or speaks no DICOM, so nothing can be sent to it.",
            "Start it with `meshpacs up`, or name another machine with --to.",
        )
    destination = own_title(home) if to is None else to
    check_title(destination)

    with progress_shown(quiet=as_json) as told:

        async def work(cancel: trio.Event) -> Delivered:
            return await ordered(whose, order, destination, told, cancel)

        delivered, interrupted = interruptible(work)
    if as_json:
        facts = {"title": whose.called, "to": destination, **facts_of(delivered)}
        print_json(facts)
    else:
        click.echo(sum_of(delivered))
        if delivered.status == MOVE_DESTINATION_UNKNOWN:
            click.echo(f"It must be told who {destination} is, and where.", err=True)
        elif delivered.nothing:
            click.echo(NOTHING, err=True)
    if interrupted:
        return INTERRUPTED
    whole = delivered.status == SUCCESS and not delivered.failed and not delivered.nothing
    return 0 if whole else 1
