"""`meshpacs dicom echo`: C-ECHO, once or several times."""

from typing import TYPE_CHECKING

import click

from meshpacs.cli.dicom.machine import machine, machine_options
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

if TYPE_CHECKING:
    from meshpacs.gateways.dicom.requesting import Machine


@click.command()
@machine_options
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True)
@json_option
@home_option
def echo(
    whom: str,
    called: str | None,
    calling: str | None,
    times: int,
    *,
    over_tls: bool,
    as_json: bool,
    home: Home,
) -> None:
    """Ask a DICOM machine whether it is there (C-ECHO), and time its answers.

    AE is a title of the AE book, TITLE@HOST:PORT, or HOST:PORT with --called.
    """
    from meshpacs.cli.screen import milliseconds, print_json, safe

    whose = machine(whom, called, calling, home, over_tls=over_tls)
    took_us, version = echoes(whose, times)
    facts = {"title": whose.called, "host": whose.host, "port": whose.port}
    if as_json:
        print_json({**facts, "tls": version or None, "took_us": took_us})
        return
    for took in took_us:
        click.echo(f"{safe(whose.called)} answers in {milliseconds(took)}.")


def echoes(whose: "Machine", times: int) -> tuple[list[int], str]:
    """Microseconds that each answer took, all on one association, and the version of TLS, or "".

    Raises:
        Unavailable: it cannot be reached, or does not answer; the error says what is at fault.
        PeerFault: it breaks the protocol.
    """
    import time

    import trio

    from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
    from meshpacs.dimse.services import VERIFICATION
    from meshpacs.gateways.dicom.probing import what_it_speaks
    from meshpacs.gateways.dicom.requesting import NotAnswered, Wish, associated, verify

    pairs = ((VERIFICATION, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)),)

    async def work() -> tuple[list[int], str]:
        took_us = []
        wish = Wish(whose.called, whose.calling, pairs)
        try:
            async with associated(whose.host, whose.port, wish, tls=whose.tls) as requestor:
                for _ in range(times):
                    began_s = time.perf_counter()
                    await verify(requestor)
                    took_us.append(round((time.perf_counter() - began_s) * 1_000_000))
                return took_us, requestor.tls
        except NotAnswered as fault:
            secure = whose.tls is not None
            raise await what_it_speaks(fault, whose.host, whose.port, wish, tls=secure) from fault

    return trio.run(work)
