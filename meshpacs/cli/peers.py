"""`meshpacs peers`: the other members as seen from here."""

from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]


@click.command()
@json_option
@home_option
def peers(*, as_json: bool, home: Home) -> int:
    """The other members as seen from here; exits 1 if any cannot be reached."""
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json

    document = Client(home).get("/v1/peers")
    if as_json:
        print_json(document)
    else:
        show(document["peers"])
    return int(any(peer["state"] in ("unreachable", "suspended") for peer in document["peers"]))


STYLES = {"linked": "green", "unreachable": "red", "suspended": "red", "dialling": "yellow"}


def show(listed: list[Json]) -> None:
    """One line a member; then, for those in trouble, what it is and what mends it."""
    from meshpacs.cli.screen import clock, console, milliseconds, safe, size, table, text

    out = console()
    if not listed:
        out.print("No other member yet. `meshpacs invite` makes an invite for one.")
        return
    made = table(
        "Clinic", "State", "Round trip", "Last seen", "Address", "Version", "In", "Out", "Clock",
        right=("Round trip", "In", "Out", "Clock"),
    )  # fmt: skip
    for peer in listed:
        made.add_row(
            text(f"{peer['name']}\n{peer['node'][:8]}, {peer['role']}"),
            text(peer["state"], STYLES.get(peer["state"], "")),
            milliseconds(peer["round_trip_us"]),
            clock(peer["last_seen_us"]),
            text(peer["address"]),
            text(peer["version"]),
            f"{size(peer['bytes_in'])}\n{peer['messages_in']}",
            f"{size(peer['bytes_out'])}\n{peer['messages_out']}",
            _offset(peer["clock_offset_us"]),
        )
    out.print(made)
    for peer in listed:
        if peer["last_error"]:
            out.print(text(f"{peer['name']}: {peer['last_error']}", "yellow"))
            if peer["mend"]:
                out.print(f"  {safe(peer['mend'])}", markup=False)
        if peer["messages_dropped"]:
            out.print(
                text(f"{peer['name']}: {peer['messages_dropped']} messages dropped, it is slow.")
            )


def _offset(micros: int | None) -> str:
    if micros is None:
        return "–"
    return f"{micros / 1e6:+.1f} s"
