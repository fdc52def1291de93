"""`meshpacs dicom ae`: the DICOM machines that this node knows.

These commands write the book itself; a running node takes a change over within two seconds.
"""

from pathlib import Path
from typing import Any

import click

from meshpacs.cli.dicom.machine import shared_by_others
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home


@click.group()
def ae() -> None:
    """The machines that may call this node, and that it may send to."""


@ae.command()
@click.argument("title")
@click.argument("host", metavar="HOST[:PORT]")
@click.option(
    "--service",
    "services",
    multiple=True,
    help="What it may ask for: echo, store, find, get, move, worklist, commit. Default: all.",
)
@click.option("--tls", "over_tls", is_flag=True, help="It is sent to over TLS.")
@click.option(
    "--prefer",
    metavar="SYNTAX",
    default="",
    help="The transfer syntax that it is best sent, by DICOM's keyword or UID. Default: as stored.",
)
@click.option("--shared", is_flag=True, help="Other members may have this node send to it.")
@click.option(
    "--online", is_flag=True, help="Tell it that other members' studies are ONLINE, not NEARLINE."
)
@click.option(
    "--incomplete-fails", is_flag=True, help="End its C-FIND in a failure if members are missing."
)
@json_option
@home_option
def add(
    title: str,
    host: str,
    services: tuple[str, ...],
    prefer: str,
    *,
    over_tls: bool,
    shared: bool,
    online: bool,
    incomplete_fails: bool,
    as_json: bool,
    home: Home,
) -> None:
    """Let the machine that calls itself TITLE in from HOST.

    HOST is an address, a network such as 192.0.2.0/24, a name, or * for anywhere. With a PORT the
    machine can also be sent to, by C-MOVE. An entry of the same title and host is replaced.
    """
    from meshpacs.node.book import SERVICES, Entry, check_entry, read_book, write_book

    home.require_made()
    name, port = _split(host)
    entry = Entry(
        title,
        name,
        port,
        services or SERVICES,
        tls=over_tls,
        prefer=prefer,
        shared=shared,
        online=online,
        incomplete_fails=incomplete_fails,
    )
    check_entry(entry, "the command line")
    others = [e for e in read_book(home.ae_book) if (e.title, e.host) != (title, name)]
    write_book(home.ae_book, [*others, entry])
    _tell(home.ae_book, [entry], as_json=as_json)


@ae.command()
@click.argument("title")
@click.option("--host", help="Only the entry for this host.")
@json_option
@home_option
def remove(title: str, host: str | None, *, as_json: bool, home: Home) -> None:
    """Forget the machine that calls itself TITLE."""
    from meshpacs.model.errors import LocalFault
    from meshpacs.node.book import read_book, write_book

    home.require_made()
    entries = read_book(home.ae_book)
    gone = [e for e in entries if e.title == title and host in (None, e.host)]
    if not gone:
        raise LocalFault(
            f"No machine {title!r} is known here.", "`meshpacs dicom ae list` shows those that are."
        )
    write_book(home.ae_book, [e for e in entries if e not in gone])
    _tell(home.ae_book, gone, as_json=as_json)


@ae.command("list")
@json_option
@home_option
def list_(*, as_json: bool, home: Home) -> None:
    """Show the machines that are known, and while the node is up those that other members share."""
    from meshpacs.node.book import read_book

    home.require_made()
    others = shared_by_others(home)
    _tell(home.ae_book, read_book(home.ae_book), as_json=as_json, others=others)


def _split(host: str) -> tuple[str, int]:
    """`host:port` or a host alone, which may be an IPv6 address without brackets."""
    from meshpacs.model.address import parse_address

    bare = ":" not in host or (host.count(":") > 1 and not host.startswith("["))
    return (host, 0) if bare else parse_address(host)


def _tell(
    file: Path, entries: Any, *, as_json: bool, others: list[dict[str, str]] | None = None
) -> None:
    from meshpacs.cli.screen import print_json, safe

    if as_json:
        fields = ("title", "host", "port", "services", "tls", "prefer", *SWITCHES)
        known = [{name: getattr(entry, name) for name in fields} for entry in entries]
        shared = {} if others is None else {"shared": others}
        print_json({"file": str(file), "ae": known, **shared})
        return
    for entry in entries:
        switches = [word for name, word in SWITCHES.items() if getattr(entry, name)]
        can = ", ".join([" ".join(entry.services), *switches])
        where = safe(entry.address) + (" over TLS" if entry.tls else "")
        prefer = f"  prefers {entry.prefer}" if entry.prefer else ""
        click.echo(f"{safe(entry.title):<16}  {where:<28}  {can}{prefer}")
    for other in others or ():
        click.echo(f"{safe(other['title']):<16}  reached through {safe(other['name'])}")
    if not entries:
        click.echo("No machine is known but this one, which may do everything.")


SWITCHES = {
    "shared": "shared",
    "online": "told ONLINE",
    "incomplete_fails": "incomplete fails",
}
"""Those of an entry, as they are shown."""
