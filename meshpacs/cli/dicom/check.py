"""`meshpacs dicom check`: can a DICOM machine be reached, and if not, what is at fault?"""

import click

from meshpacs.cli.dicom.machine import own_title, whom_is
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home


@click.command()
@click.argument("whom", metavar="TITLE[@HOST:PORT]")
@click.option("--calling", help="What we call ourselves. Default: this node's first AE title.")
@json_option
@home_option
def check(whom: str, calling: str | None, *, as_json: bool, home: Home) -> None:
    """Say whether a DICOM machine can be reached, or what is at fault.

    TITLE is looked up in the AE book, unless an address is given. Tries the name, the address and
    the port, the two AE titles, and a C-ECHO; exits 2 with what is wrong and what mends it.
    """
    import time

    import trio

    from meshpacs.cli.screen import milliseconds, print_json, safe
    from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
    from meshpacs.dimse.services import VERIFICATION
    from meshpacs.gateways.dicom.requesting import Wish, associated, verify

    title, host, port = whom_is(whom, home)
    wish = Wish(
        title,
        calling or own_title(home),
        ((VERIFICATION, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)),),
    )

    async def work() -> float:
        async with associated(host, port, wish) as requestor:
            began_s = time.perf_counter()
            await verify(requestor)
            return time.perf_counter() - began_s

    took_us = round(trio.run(work) * 1_000_000)
    if as_json:
        print_json({"title": title, "host": host, "port": port, "took_us": took_us})
        return
    click.echo(f"{safe(title)} at {safe(host)}:{port} answers in {milliseconds(took_us)}.")
