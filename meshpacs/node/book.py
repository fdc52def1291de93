"""The AE book: which DICOM machines may call this node, and where it may send to.

A TOML file that people may edit and `meshpacs dicom ae` writes. A running node looks at it every
`LOOK_S`; a change is taken whole, or kept out and told.
"""

import difflib
import ipaddress
import socket
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog
import trio

from meshpacs.dimse.syntaxes import KEYWORDS, find_syntax
from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault
from meshpacs.model.limits import DESTINATIONS
from meshpacs.model.titles import TITLE_RULE, is_ae_title
from meshpacs.node.home import write_durably

log = structlog.get_logger()

LOOK_S = 1.0
"""Between looks at the file: G2 promises a change within 2 s."""

ENTRIES = 1024
"""Machines in one book. A guess."""

SERVICES = ("echo", "store", "find", "get", "move", "worklist", "commit")
"""What a caller may be allowed: each DICOM service by its verb."""

HEADING = """\
# The DICOM machines that this node knows. `meshpacs dicom ae` writes this file.
# A running node takes a change over by itself.
"""

ANYWHERE = "*"
"""For a host: wherever it calls from."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One machine."""

    title: str
    host: str
    """An address, a network (192.0.2.0/24), a name, or `*`."""
    port: int = 0
    """Where it listens; 0 if nothing is ever sent to it."""
    services: tuple[str, ...] = SERVICES
    """What it may ask of us."""
    tls: bool = False
    """Whether it is sent to over TLS."""
    prefer: str = ""
    """A transfer syntax, by keyword or UID, that it is sent instances in where it takes it and
    they can be had so; empty: as they are stored, where it takes that."""
    shared: bool = False
    """Whether other members may have this node send to it (PROTOCOL 12)."""
    online: bool = False
    """Whether it is told that studies of other members are ONLINE: some viewers hide NEARLINE."""
    incomplete_fails: bool = False
    """Whether a C-FIND of which an answer is missing ends in a failure for it."""

    @property
    def address(self) -> str:
        """Where to send to, as people write it; without a port the host alone."""
        return write_address(self.host, self.port) if self.port else self.host


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ae: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class _Listed:
    entries: tuple[Entry, ...] = ()
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What the names among the hosts stood for when the file was read."""


def read_book(file: Path) -> tuple[Entry, ...]:
    """All entries; none if there is no file.

    Raises:
        LocalFault: the file cannot be read, or an entry cannot be used; the error names it.
    """
    try:
        shape = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File)
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise LocalFault(f"{file} cannot be read: {error}.", "Make it readable UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise LocalFault(f"{file} is not TOML: {error}.", "Mend that line.") from error
    except msgspec.ValidationError as error:
        raise LocalFault(
            f"{file}: {error}.", "`meshpacs dicom ae add` writes good ones."
        ) from error
    if len(shape.ae) > ENTRIES:
        raise LocalFault(f"{file} has {len(shape.ae)} entries.", f"At most {ENTRIES} can be kept.")
    for entry in shape.ae:
        check_entry(entry, str(file))
    shared = {entry.title for entry in shape.ae if entry.shared}
    if len(shared) > DESTINATIONS:
        raise LocalFault(
            f"{file} shares {len(shared)} destinations.", f"At most {DESTINATIONS} can be shared."
        )
    return shape.ae


def check_entry(entry: Entry, where: str) -> None:
    """What types alone cannot say.

    Raises:
        LocalFault: the error names the entry and what is wrong with it.
    """
    if not is_ae_title(entry.title):
        raise LocalFault(f"{where}: {entry.title!r} is no AE title.", TITLE_RULE)
    unknown = [name for name in entry.services if name not in SERVICES]
    if unknown:
        raise LocalFault(
            f"{where}: {entry.title}: there is no service {unknown[0]!r}.",
            f"Services are {', '.join(SERVICES)}.",
        )
    if entry.prefer and find_syntax(entry.prefer) is None:
        near = difflib.get_close_matches(entry.prefer, KEYWORDS, n=1, cutoff=0.3)
        raise LocalFault(
            f"{where}: {entry.title}: {entry.prefer!r} is no transfer syntax.",
            f"Did you mean {near[0]}?" if near else f"Say one of {', '.join(KEYWORDS)}.",
        )
    if not 0 <= entry.port <= 65535:
        raise LocalFault(f"{where}: {entry.title}: {entry.port} is no port.", "Say 1 to 65535.")
    if entry.shared and not entry.port:
        raise LocalFault(
            f"{where}: {entry.title}: without a port nothing can be sent there for others.",
            "Give the port at which it listens, or do not share it.",
        )
    if entry.host == ANYWHERE or _network(entry.host) is not None:
        if entry.port and (entry.host == ANYWHERE or "/" in entry.host):
            raise LocalFault(
                f"{where}: {entry.title}: nothing can be sent to {entry.host}.",
                "Give the address of the machine, or no port.",
            )
        return
    try:
        parse_address(write_address(entry.host, 1))
    except LocalFault as error:
        raise LocalFault(f"{where}: {entry.title}: {error.what}", error.mend) from error


def write_book(file: Path, entries: Iterable[Entry]) -> None:
    """Write the book anew, whole."""
    text = [HEADING]
    for entry in sorted(entries, key=lambda entry: (entry.title, entry.host)):
        text.append("\n[[ae]]\n")
        for name in entry.__struct_fields__:
            value = msgspec.json.encode(getattr(entry, name)).decode()
            text.append(f"{name} = {value}\n")
    write_durably(file, "".join(text).encode())


def _network(host: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(host, strict=False)
    except ValueError:
        return None


class Book:
    """The book as a running node has it."""

    def __init__(
        self, file: Path, on_change: Callable[[tuple[str, ...]], Awaitable[None]] | None = None
    ) -> None:
        """Nothing is read before `watch`; `on_change` is told what is shared, after each read."""
        self._file = file
        self._on_change = on_change
        self._listed = _Listed()
        self._stamp: tuple[int, int] | None = None

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read it, and again whenever it has changed, until cancelled."""
        await self._take_over()
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            if self._look() != self._stamp:
                await self._take_over()

    async def _take_over(self) -> None:
        taken = await trio.to_thread.run_sync(self._read)
        if taken and self._on_change is not None:
            await self._on_change(self.shared())

    def allows(self, title: str, host: str) -> frozenset[str]:
        """The services that this caller may use from there; none for a stranger."""
        found: set[str] = set()
        for entry in self._listed.entries:
            if entry.title == title and self._from(entry, host):
                found.update(entry.services)
        return frozenset(found)

    def prefers(self, title: str, host: str) -> str | None:
        """The transfer syntax that this caller is best sent."""
        for entry in self._listed.entries:
            if entry.title == title and entry.prefer and self._from(entry, host):
                return find_syntax(entry.prefer)
        return None

    def destination(self, title: str) -> tuple[Entry, ...]:
        """Where instances for this title are to be sent: one entry, none, or several."""
        return tuple(e for e in self._listed.entries if e.title == title and e.port)

    def entries_of(self, title: str, host: str) -> tuple[Entry, ...]:
        """What is noted of this caller."""
        return tuple(e for e in self._listed.entries if e.title == title and self._from(e, host))

    def shared(self) -> tuple[str, ...]:
        """Titles of the destinations that other members may have this node send to, sorted."""
        titles = sorted({entry.title for entry in self._listed.entries if entry.shared})
        return tuple(title for title in titles if len(self.destination(title)) == 1)

    def _from(self, entry: Entry, host: str) -> bool:
        if entry.host == ANYWHERE:
            return True
        network = _network(entry.host)
        if network is None:
            return host in self._listed.addresses.get(entry.host, frozenset())
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in network

    def _look(self) -> tuple[int, int] | None:
        try:
            facts = self._file.stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size

    def _read(self) -> bool:
        """In a thread: names are looked up here. Whether it is now in force."""
        self._stamp = self._look()
        try:
            entries = read_book(self._file)
        except LocalFault as fault:
            log.warning("ae_book_kept_out", what=fault.what, mend=fault.mend)
            return False
        names = {e.host for e in entries if e.host != ANYWHERE and _network(e.host) is None}
        self._listed = _Listed(entries, {name: _addresses(name) for name in sorted(names)})
        log.info("ae_book_in_force", entries=len(entries), shared=len(self.shared()))
        for title in sorted({entry.title for entry in entries if entry.shared} - {*self.shared()}):
            log.warning(
                "ae_not_shared",
                title=title,
                why="several machines in the book have this title and a port",
                mend="Give each a title of its own, or remove one with `meshpacs dicom ae remove`.",
            )
        return True


def _addresses(name: str) -> frozenset[str]:
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None))
    except OSError:
        log.warning("ae_host_unknown", host=name)
        return frozenset()
