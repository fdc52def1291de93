"""`meshpacs dicom check`: can a DICOM machine be reached, and if not, what is at fault?"""

import click

from meshpacs.cli.dicom.machine import own_title, tls_option, tls_to, whom_is
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home


@click.command()
@click.argument("whom", metavar="TITLE[@HOST:PORT]")
@click.option("--calling", help="What we call ourselves. Default: this node's first AE title.")
@tls_option
@json_option
@home_option
def check(whom: str, calling: str | None, *, over_tls: bool, as_json: bool, home: Home) -> None:
    """Say whether a DICOM machine can be reached, or what is at fault.

    TITLE is looked up in the AE book, unless an address is given. Tries the name, the address and
    the port, TLS, the two AE titles, and a C-ECHO; exits 2 with what is wrong and what mends it.
    """
    import time

    import trio

    from meshpacs.cli.screen import milliseconds, print_json, safe
    from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
    from meshpacs.dimse.services import VERIFICATION
    from meshpacs.gateways.dicom.probing import what_it_speaks
    from meshpacs.gateways.dicom.requesting import NotAnswered, Wish, associated, verify

    title, host, port = whom_is(whom, home)
    wish = Wish(
        title,
        calling or own_title(home),
        ((VERIFICATION, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)),),
    )

    tls = tls_to(whom, home, asked=over_tls)

    async def work() -> tuple[float, str]:
        try:
            async with associated(host, port, wish, tls=tls) as requestor:
                began_s = time.perf_counter()
                await verify(requestor)
                return time.perf_counter() - began_s, requestor.tls
        except NotAnswered as fault:
            raise await what_it_speaks(fault, host, port, wish, tls=tls is not None) from fault

    took_s, version = trio.run(work)
    took_us = round(took_s * 1_000_000)
    if as_json:
        facts = {"title": title, "host": host, "port": port, "tls": version or None}
        print_json({**facts, "took_us": took_us})
        return
    over = f" over {version}" if version else ""
    click.echo(f"{safe(title)} at {safe(host)}:{port} answers{over} in {milliseconds(took_us)}.")
