"""`meshpacs dicom check`: can a DICOM machine be reached, and if not, what is at fault?"""

import click

from meshpacs.cli.dicom.echo import echoes
from meshpacs.cli.dicom.machine import is_listed, machine, machine_options, shared_by_others
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

CHECK_S = 60.0
"""Seconds that another member and its machine have to answer. A guess: three time-outs of 20 s."""


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
    mends it. A title that only another member shares is tried by that member's node.
    """
    from meshpacs.cli.screen import milliseconds, print_json, safe

    if not is_listed(whom, home) and any(
        shared["title"] == whom for shared in shared_by_others(home) or ()
    ):
        _check_shared(whom, home, as_json=as_json)
        return
    whose = machine(whom, called, calling, home, over_tls=over_tls)
    (took_us,), version = echoes(whose, 1)
    if as_json:
        facts = {"title": whose.called, "host": whose.host, "port": whose.port}
        print_json({**facts, "tls": version or None, "took_us": took_us})
        return
    over = f" over {version}" if version else ""
    where = f"{safe(whose.host)}:{whose.port}"
    click.echo(f"{safe(whose.called)} at {where} answers{over} in {milliseconds(took_us)}.")


def _check_shared(title: str, home: Home, *, as_json: bool) -> None:
    """Have the member try that shares it."""
    import time

    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import milliseconds, print_json, safe

    began_s = time.perf_counter()
    found = Client(home).post("/v1/destinations/check", {"title": title}, answer_s=CHECK_S)
    took_us = round((time.perf_counter() - began_s) * 1_000_000)
    if as_json:
        print_json({**found, "took_us": took_us})
        return
    how = f"answers, reached through {safe(found['name'])}, in {milliseconds(took_us)}."
    click.echo(f"{safe(title)} {how}")
