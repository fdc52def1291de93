"""`meshpacs invite` and `meshpacs revoke`: who is a member."""

import re

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

UNITS = {"m": 60, "h": 3600, "d": 86_400}


def span(_ctx: click.Context, _option: click.Parameter, value: str) -> int:
    """A span of time such as 90m, 72h or 7d, in seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no span of time; say 90m, 72h or 7d, at least 1m.")
    return int(found[1]) * UNITS[found[2]]


@click.command()
@click.option(
    "--role",
    type=click.Choice(["member", "custodian", "relay", "researcher", "observer"]),
    default="member",
    show_default=True,
)
@click.option("--expires", callback=span, default="72h", show_default=True, metavar="SPAN")
@click.option("--local", is_flag=True, help="For several nodes on this one machine.")
@json_option
@home_option
def invite(role: str, expires: int, *, local: bool, as_json: bool, home: Home) -> None:
    """Make an invite for one clinic; it can be used once, with any member that is up.

    Send it by a way that nobody else reads: whoever uses it first is the member.
    """
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import clock, print_json

    body = {"role": role, "expires_s": expires, "local": local}
    made = Client(home).post("/v1/invite", body)
    if as_json:
        print_json(made)
        return
    click.echo(made["text"])
    until = clock(made["expires_us"])
    click.echo(f"For one {role} of {made['mesh_name']}, until {until}. There:", err=True)
    click.echo("  meshpacs join INVITE --name NAME", err=True)


@click.command()
@click.argument("who")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@home_option
def revoke(who: str, *, yes: bool, as_json: bool, home: Home) -> None:
    """Take a member's membership, by its name or the beginning of its id. It cannot be undone."""
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json, safe

    client = Client(home)
    if not yes:
        click.confirm(f"Revoke {who}? What it has fetched stays there.", abort=True, err=True)
    gone = client.post("/v1/revoke", {"who": who})
    if as_json:
        print_json(gone)
        return
    click.echo(f"{safe(gone['name'])} ({gone['node'][:8]}) is no member any more.")
