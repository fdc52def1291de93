"""`meshpacs status`: how this node is, in words and as an exit code."""

from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]

DOORS = {
    "mesh": "members at",
    "http": "commands at",
    "dicom": "DICOM at",
    "dicom_tls": "DICOM, TLS",
}

CODES = {"fine": 0, "degraded": 1, "broken": 2}


@click.command()
@json_option
@home_option
def status(*, as_json: bool, home: Home) -> int:
    """How this node is; exits 0 fine, 1 degraded, 2 broken or not up."""
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json

    facts = Client(home).get("/v1/status")
    if as_json:
        print_json(facts)
    else:
        show(facts)
    return CODES[facts["level"]]


def show(facts: Json) -> None:
    """The level first, then reasons with what mends them, then everything else."""
    from rich.table import Table

    from meshpacs.cli.screen import (
        COLOURS,
        clock,
        console,
        duration,
        milliseconds,
        plural,
        safe,
        size,
        text,
    )

    out = console()
    colour = COLOURS[facts["level"]]
    out.print(text(f"{facts['name']} is {facts['level']}", f"bold {colour}"))
    for trouble in facts["troubles"]:
        out.print(text(f"  {trouble['what']}", COLOURS[trouble["level"]]))
        if trouble["mend"]:
            out.print(text(f"    {trouble['mend']}"))
    archive, roster, config = facts["archive"], facts["roster"], facts["config"]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")

    def row(title: str, value: str) -> None:
        grid.add_row(title, text(value))

    founder = ", founder's key here" if facts["founder"] else ""
    row("mesh", f"{facts['mesh_name']} ({facts['mesh'][:8]})")
    row("node", f"{facts['node'][:8]}, {facts['role']}{founder}")
    row(
        "members",
        f"{roster['members']} with this one, of which {facts['neighbours']} linked with this node",
    )
    for reach in facts["reach"]:
        row(DOORS[reach["purpose"]], f"{reach['address']}: {reach['words']}")
    row("advertised", ", ".join(facts["advertised"]) or "nothing")
    row(
        "archive",
        f"{plural(archive['patients'], 'patient')}, "
        f"{plural(archive['studies'], 'study', 'studies')}, "
        f"{archive['series']} series, {plural(archive['instances'], 'instance')}, "
        f"{size(archive['bytes'])}",
    )
    pace = archive["disk_sync_p95_us"]
    row(
        "disk",
        f"{archive['disk']}, {size(archive['disk_free_bytes'])} free, of which "
        f"{size(archive['disk_keep_free_bytes'])} are kept for the node itself"
        + (f"; most writes are durable within {milliseconds(pace)}" if pace else ""),
    )
    if archive["conflicts"]:
        row("conflicts", f"{archive['conflicts']}; see `meshpacs conflicts`")
    asked = facts["commitments"]
    if asked["open"] or asked["given_up"]:
        row(
            "commitment",
            f"{plural(asked['open'], 'report')} to be delivered, {asked['given_up']} given up",
        )
    for one in asked["transactions"]:
        tried = f", tried {plural(one['attempts'], 'time')}" if one["attempts"] else ""
        again = f", again {clock(one['next_us'])}" if one["next_us"] else ""
        row(
            "",
            f"{one['calling']}, asked {clock(one['asked_us'])}: "
            f"{plural(one['instances'], 'instance')}, {one['state']}{tried}{again}",
        )
    for sentence in archive["repaired"]:
        row("repaired", sentence)
    for fork in roster["forks"]:
        row("fork", fork)
    if roster["suspended"]:
        row("suspended", f"{len(roster['suspended'])} whose invite was used twice")
    row("config", f"{config['file']}, in force since {clock(config['in_force_since_us'])}")
    if config["refused"]:
        row("", f"kept out: {safe(config['refused'])} {safe(config['mend'])}")
    if config["waits_for_restart"]:
        row("", f"waits for a restart: {', '.join(config['waits_for_restart'])}")
    row("home", facts["home"])
    row("running", f"meshpacs {facts['version']} for {duration(facts['uptime_us'])}")
    out.print(grid)
