"""`meshpacs down`: stop the node that is up, and wait until it has stopped."""

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.model.errors import Unavailable
from meshpacs.node.home import Home

STOP_S = 10.0
"""How long to wait for the end; a clean stop takes at most 5 s."""

LOOK_S = 0.05


@click.command()
@json_option
@home_option
def down(*, as_json: bool, home: Home) -> None:
    """Stop the node that is up; fine if none is."""
    import time

    from meshpacs.cli.screen import print_json

    home.require_made()
    running = home.running()
    stopped = running is not None and "http" in running
    if stopped:
        stopped = _stop(home)
    pid = running.get("pid") if running else None
    until = time.monotonic() + STOP_S
    while stopped and (now := home.running()) is not None and now.get("pid") == pid:
        if time.monotonic() > until:
            raise Unavailable(
                f"Process {pid} was told to stop and has not within {STOP_S:.0f} s.",
                "Its log may say what holds it.",
            )
        time.sleep(LOOK_S)
    if as_json:
        print_json({"stopped": stopped, "pid": pid if stopped else None})
    else:
        click.echo("Stopped." if stopped else f"No node is up in {home.folder}.")


def _stop(home: Home) -> bool:
    from meshpacs.cli.client import Client
    from meshpacs.model.errors import LocalFault

    try:
        Client(home).post("/v1/stop")
    except LocalFault:
        return False  # what running.json says is left over from a process that was killed
    return True
