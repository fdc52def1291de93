"""Which machine is meant, and what we call ourselves to it."""

from typing import TYPE_CHECKING

import click

from meshpacs.node.home import Home

if TYPE_CHECKING:
    import ssl

tls_option = click.option(
    "--tls", "over_tls", is_flag=True, help="Over TLS; the AE book says so itself of whom it knows."
)


def whom_is(text: str, home: Home) -> tuple[str, str, int]:
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


def own_title(home: Home) -> str:
    """This node's first AE title."""
    from meshpacs.node.config import load_config

    return load_config(home.config).ae_titles[0]


def tls_to(text: str, home: Home, *, asked: bool) -> "ssl.SSLContext | None":
    """What to speak TLS with to a machine, if it was asked for or the AE book says so.

    Raises:
        LocalFault: this node has no key.
    """
    from meshpacs.node.book import read_book
    from meshpacs.node.credentials import no_key, read_credentials

    title, at, _ = text.rpartition("@")
    known = () if at else read_book(home.ae_book)
    if not asked and not any(e.tls for e in known if e.title == text and e.port):
        return None
    credentials = read_credentials(home)
    if credentials is None:
        raise no_key()
    return credentials.dialling(title or text)
