"""`meshpacs dicom`: the DICOM machines that this node knows, whether they can be reached, and
what they answer.

The commands of `ae` write the book itself; a running node takes a change over within two seconds.
"""

from pathlib import Path
from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.cli.worklist import worklist
from meshpacs.node.home import Home


@click.group()
def dicom() -> None:
    """What concerns DICOM's own network language."""


dicom.add_command(worklist)


@dicom.command()
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

    title, host, port = _whom(whom, home)
    wish = Wish(
        title,
        calling or _own_title(home),
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


@dicom.command()
@click.argument("whom", metavar="TITLE[@HOST:PORT]")
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]…")
@click.option(
    "--level",
    type=click.Choice(["patient", "study", "series", "image"], case_sensitive=False),
    default="study",
    show_default=True,
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=500, show_default=True)
@click.option("--calling", help="What we call ourselves. Default: this node's first AE title.")
@json_option
@home_option
def find(
    whom: str,
    keys: tuple[str, ...],
    level: str,
    limit: int,
    calling: str | None,
    *,
    as_json: bool,
    home: Home,
) -> int:
    """Ask another DICOM archive, as a workstation would; exits 1 if its answer is not whole.

    KEYs are those of `meshpacs find`; one without a value is asked to be shown.
    """
    import trio

    from meshpacs.cli.screen import print_json, safe
    from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
    from meshpacs.dimse.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
    from meshpacs.dimse.statuses import SUCCESS
    from meshpacs.gateways.dicom.asking import Answer, ask
    from meshpacs.gateways.dicom.requesting import Wish, associated
    from meshpacs.model.attributes import Level
    from meshpacs.model.identifier import parse_keys, readable

    title, host, port = _whom(whom, home)
    wanted = Level(level.upper())
    parsed = parse_keys(keys or USUAL[level.lower()], wanted)
    sop_class = PATIENT_ROOT_FIND if wanted is Level.PATIENT else STUDY_ROOT_FIND
    syntaxes = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    wish = Wish(title, calling or _own_title(home), ((sop_class, syntaxes),))

    async def work() -> Answer:
        async with associated(host, port, wish) as requestor:
            return await ask(requestor, sop_class, wanted, parsed, limit=limit)

    answer = trio.run(work)
    whole = answer.status == SUCCESS and not answer.comment and not answer.cut
    rows = [readable(row) for row in answer.rows]
    if as_json:
        facts = {"status": f"{answer.status:04X}", "comment": answer.comment, "cut": answer.cut}
        print_json({"title": title, **facts, "rows": rows})
        return 0 if whole else 1
    for row in rows:
        for keyword, text in row.items():
            click.echo(f"{keyword:<32} {safe(text)}")
        click.echo()
    more = ", and there are more" if answer.cut else ""
    said = f"; it says: {safe(answer.comment)}" if answer.comment else ""
    click.echo(f"{len(rows)} found{more}. Status {answer.status:04X}{said}.")
    return 0 if whole else 1


USUAL = {
    "patient": ("PatientName", "PatientBirthDate", "PatientSex"),
    "study": ("PatientName", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription"),
    "series": ("Modality", "SeriesNumber", "SeriesDescription"),
    "image": ("InstanceNumber", "SOPClassUID"),
}
"""What is shown at each level where no KEY is given."""


def _whom(text: str, home: Home) -> tuple[str, str, int]:
    """A machine's title and address."""
    from meshpacs.model.address import parse_address
    from meshpacs.model.errors import LocalFault
    from meshpacs.node.book import read_book

    title, at, address = text.rpartition("@")
    if at:
        return title, *parse_address(address)
    known = [entry for entry in read_book(home.ae_book) if entry.title == text and entry.port]
    if len(known) != 1:
        raise LocalFault(
            f"{len(known)} machines with a port are called {text!r} in the AE book.",
            f"Say where it is: meshpacs dicom check {text}@HOST:PORT.",
        )
    return text, known[0].host, known[0].port


def _own_title(home: Home) -> str:
    from meshpacs.node.config import load_config

    return load_config(home.config).ae_titles[0]


@dicom.group()
def ae() -> None:
    """The machines that may call this node, and that it may send to."""


@ae.command()
@click.argument("title")
@click.argument("host", metavar="HOST[:PORT]")
@click.option(
    "--service",
    "services",
    multiple=True,
    help="What it may ask for: echo, store, find, get, move, worklist. Default: all.",
)
@json_option
@home_option
def add(title: str, host: str, services: tuple[str, ...], *, as_json: bool, home: Home) -> None:
    """Let the machine that calls itself TITLE in from HOST.

    HOST is an address, a network such as 192.0.2.0/24, a name, or * for anywhere. With a PORT the
    machine can also be sent to, by C-MOVE. An entry of the same title and host is replaced.
    """
    from meshpacs.node.book import SERVICES, Entry, check_entry, read_book, write_book

    home.require_made()
    name, port = _split(host)
    entry = Entry(title, name, port, services or SERVICES)
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
    """Show the machines that are known."""
    from meshpacs.node.book import read_book

    home.require_made()
    _tell(home.ae_book, read_book(home.ae_book), as_json=as_json)


def _split(host: str) -> tuple[str, int]:
    """`host:port` or a host alone, which may be an IPv6 address without brackets."""
    from meshpacs.model.address import parse_address

    bare = ":" not in host or (host.count(":") > 1 and not host.startswith("["))
    return (host, 0) if bare else parse_address(host)


def _tell(file: Path, entries: Any, *, as_json: bool) -> None:
    from meshpacs.cli.screen import print_json, safe

    if as_json:
        fields = ("title", "host", "port", "services")
        known = [{name: getattr(entry, name) for name in fields} for entry in entries]
        print_json({"file": str(file), "ae": known})
        return
    for entry in entries:
        click.echo(
            f"{safe(entry.title):<16}  {safe(entry.address):<28}  {' '.join(entry.services)}"
        )
    if not entries:
        click.echo("No machine is known but this one, which may do everything.")
