"""`meshpacs dicom check`: can a DICOM machine be reached, and if not, what is at fault?"""

import click

from meshpacs.cli.dicom.echo import echoes
from meshpacs.cli.dicom.machine import machine, machine_options
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home


@click.command()
@machine_options
@json_option
@home_option
def check(
    whom: str, called: str | None, calling: str | None, *, over_tls: bool, as_json: bool, home: Home
) -> None:
    """Say whether a DICOM machine can be reached, or what is at fault.

    AE is a title of the AE book, TITLE@HOST:PORT, or HOST:PORT with --called. Tries the name, the
    address and the port, TLS, the two AE titles, and a C-ECHO; exits 2 with what is wrong and what
    mends it.
    """
    from meshpacs.cli.screen import milliseconds, print_json, safe

    whose = machine(whom, called, calling, home, over_tls=over_tls)
    (took_us,), version = echoes(whose, 1)
    if as_json:
        facts = {"title": whose.called, "host": whose.host, "port": whose.port}
        print_json({**facts, "tls": version or None, "took_us": took_us})
        return
    over = f" over {version}" if version else ""
    where = f"{safe(whose.host)}:{whose.port}"
    click.echo(f"{safe(whose.called)} at {where} answers{over} in {milliseconds(took_us)}.")
