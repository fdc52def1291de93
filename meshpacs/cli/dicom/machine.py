"""Which machine is meant, and what we call ourselves to it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from meshpacs.cli.screen import few_logs
from meshpacs.node.home import Home

if TYPE_CHECKING:
    import ssl

    from meshpacs.gateways.dicom.requesting import Machine

Command = TypeVar("Command", bound=Callable[..., Any])


def machine_options(command: Command) -> Command:
    """The argument AE, and the titles that differ from what is usual."""
    for option in reversed(
        (
            click.argument("whom", metavar="AE"),
            click.option("--called", help="Its AE title, where AE is HOST:PORT."),
            click.option(
                "--calling", help="What we call ourselves. Default: this node's first AE title."
            ),
            click.option(
                "--tls",
                "over_tls",
                is_flag=True,
                help="Over TLS; the AE book says so itself of whom it knows.",
            ),
        )
    ):
        command = option(command)
    return command


def machine(
    whom: str, called: str | None, calling: str | None, home: Home, *, over_tls: bool
) -> "Machine":
    """The machine that is meant by TITLE, as the AE book has it, TITLE@HOST:PORT or HOST:PORT.

    Raises:
        LocalFault: it is not known, it is not said what it is called, or it is to be spoken to over
            TLS and this node has no key.
    """
    from meshpacs.gateways.dicom.requesting import Machine
    from meshpacs.model.address import parse_address
    from meshpacs.model.errors import LocalFault
    from meshpacs.node.book import read_book

    click.get_current_context().with_resource(few_logs())

    title, host, port, prefer = whom, "", 0, ""
    before, at, address = whom.rpartition("@")
    known = [entry for entry in read_book(home.ae_book) if entry.title == whom and entry.port]
    if at:
        title, (host, port) = before, parse_address(address)
    elif len(known) == 1:
        (one,) = known
        host, port, over_tls, prefer = one.host, one.port, over_tls or one.tls, one.prefer
    elif not known and ":" in whom:
        host, port = parse_address(whom)
        if called is None:
            raise LocalFault(
                f"It is not said what the machine at {whom} is called.",
                "Add --called and its AE title.",
            )
    else:
        raise LocalFault(
            f"{len(known)} machines with a port are called {whom!r} in the AE book.",
            f"Say where it is: {whom}@HOST:PORT.",
        )
    title = title if called is None else called
    own = own_title(home) if calling is None else calling
    check_title(title)
    check_title(own)
    tls = _dialling(title, home) if over_tls else None
    return Machine(host, port, title, own, tls, prefer)


def check_title(title: str) -> None:
    """Raises LocalFault if it is no AE title."""
    from meshpacs.model.errors import LocalFault
    from meshpacs.model.titles import TITLE_RULE, is_ae_title

    if not is_ae_title(title):
        raise LocalFault(f"{title!r} is no AE title.", TITLE_RULE)


def own_title(home: Home) -> str:
    """This node's first AE title."""
    from meshpacs.node.config import load_config

    return load_config(home.config).ae_titles[0]


def _dialling(title: str, home: Home) -> "ssl.SSLContext":
    """What to speak TLS with to a machine.

    Raises:
        LocalFault: this node has no key.
    """
    from meshpacs.node.credentials import no_key, read_credentials

    credentials = read_credentials(home)
    if credentials is None:
        raise no_key()
    return credentials.dialling(title)


def is_listed(title: str, home: Home) -> bool:
    """Whether this node's own book says where it is."""
    from meshpacs.node.book import read_book

    return any(entry.title == title and entry.port for entry in read_book(home.ae_book))


def shared_by_others(home: Home) -> list[dict[str, str]] | None:
    """The machines that other members share; None where no node is up to be asked."""
    from meshpacs.cli.client import Client

    if home.running() is None:
        return None
    shared: list[dict[str, str]] = Client(home).get("/v1/destinations")["shared"]
    return shared
