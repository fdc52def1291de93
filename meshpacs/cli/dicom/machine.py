"""Which machine is meant, and what we call ourselves to it."""

from meshpacs.node.home import Home


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
