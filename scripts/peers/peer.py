"""What a peer can do: another maker's program, as a modality, workstation or archive would be.

Each method is one service. What a program does not offer raises `Lacks`, which the base does for
all; what it offers and does not manage raises `Failed`.
"""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from clinics.clinic import NotHere
from peers.content import COMPRESSED, PLAIN, Row

PROGRAM_S = 60.0
"""How long one program of a peer's may take. A guess for a busy machine."""

LISTEN_S = 30.0
"""How long a server of a peer's may take until it listens. A guess for a busy machine."""

Files = Mapping[str, Path]
"""By SOP Instance UID."""


class Lacks(Exception):
    """The peer has no such service; the sentence says what it has not."""


class Failed(Exception):
    """The peer says that it did not work; the sentence has its words."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an application entity listens, and what it is called."""

    title: str
    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Keys:
    """A key for TLS, as `meshpacs dicom tls issue` makes it: PEM files."""

    key: Path
    chain: Path
    authority: Path
    """Who is trusted."""


@dataclass(frozen=True, slots=True)
class Node:
    """The node, as a peer knows it."""

    plain: Address
    tls: Address
    keys: Keys
    """What the peer shows it."""


Reference = tuple[str, str]
"""SOP Class UID and SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a storage commitment has come to."""

    committed: frozenset[str]
    failed: Mapping[str, int]
    """Reasons by SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A C-FIND's rows, and what the program shows of the last response."""

    rows: list[Row]
    shown: str
    """What it shows of the last response's Error Comment, with all that goes with it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The same for a person who looks at it."""

    rows: list[Row] | None
    """None where it shows none of any answer."""
    shown: str


class Peer:
    """One program, of a version, with a folder of its own."""

    name: ClassVar[str]
    title: ClassVar[str]
    """Its AE title, as SCU and SCP."""
    package: ClassVar[str]
    """Where it comes from."""
    verbatim: ClassVar[frozenset[str]] = frozenset({"store", "get", "move", "receive", "give"})
    """The services in which it keeps a data set's bytes; else it writes anew what it has read. As
    SCU `store`, `get` and `move`; as SCP it may `receive`, and `give` for C-GET and C-MOVE."""
    compressed: ClassVar[frozenset[str]] = frozenset({"store", "get", "move", "receive", "give"})
    """The services in which it takes or sends instances with compressed pixels."""
    unnamed: ClassVar[Mapping[str, frozenset[str]]] = MappingProxyType({})
    """By service, files whose SOP class it does not know."""
    private: ClassVar[bool] = True
    """Whether it keeps private elements."""
    unanswered: ClassVar[frozenset[str]] = frozenset()
    """Optional keys that its archive does not answer."""
    prefer: ClassVar[str] = ""
    """The transfer syntax that its entry in the AE book has to name."""
    notes: ClassVar[tuple[str, ...]] = ()
    """What a person who uses it has to know, a sentence each."""
    shows: ClassVar[str] = ""
    """Where a person has to look for what it shows of an answer."""

    def __init__(self, folder: Path, node: Node) -> None:
        """Raises `NotHere` if it is not installed."""
        self.folder, self.node, self.node_tls = folder, node.plain, node.tls
        self.keys = node.keys
        self.port = self.tls_port = 0
        """Where it listens, if it does."""
        folder.mkdir(parents=True)

    @classmethod
    def exchanges(cls, service: str) -> tuple[str, ...]:
        """The files that are sent to it or by it in a service."""
        every = (*PLAIN, *COMPRESSED) if service in cls.compressed else PLAIN
        return tuple(name for name in every if name not in cls.unnamed.get(service, ()))

    def version(self) -> str:
        """As it says itself."""
        raise NotImplementedError

    def start(self) -> None:
        """Have it listen, if it can."""

    def end(self) -> None:
        """Leave no process."""

    # ---------------------------------------------------------------- as SCU of the node

    def echo(self) -> None:
        """C-ECHO."""
        raise Lacks("no C-ECHO SCU")

    def store(self, files: Sequence[Path]) -> None:
        """C-STORE of files to the node."""
        raise Lacks("no C-STORE SCU")

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """C-FIND in Study Root; the node's own address if no other is given."""
        raise Lacks("no C-FIND SCU")

    def asked(self, keys: Mapping[str, str], at: Address) -> Shown:
        """A C-FIND of studies at another node; what a person sees of the answer."""
        heard = self.find("STUDY", keys, at)
        return Shown(heard.rows, heard.shown)

    def get(self, study: str) -> Files:
        """C-GET of a study; what came."""
        raise Lacks("no C-GET SCU")

    def move(self, study: str) -> Files:
        """C-MOVE of a study to the peer itself; what came."""
        raise Lacks("no C-MOVE SCU")

    def worklist(self) -> list[Row]:
        """C-FIND of the modality worklist: `worklist.QUESTION`; the rows."""
        raise Lacks("no worklist SCU")

    def echo_tls(self) -> None:
        """C-ECHO over TLS."""
        raise Lacks("no TLS")

    def commit(self, references: Sequence[Reference], *, stay: bool) -> Report:
        """Storage commitment, with the report on the same association if it can `stay`."""
        raise Lacks("no storage commitment")

    # ---------------------------------------------------------------- as SCP of the node

    def hold(self, files: Sequence[Path]) -> None:
        """Have it hold these in its own archive, from which others ask and fetch."""
        raise Lacks("no archive")

    def received(self, study: str) -> Files:
        """What the node has stored there."""
        raise Lacks("no C-STORE SCP")

    @property
    def listens(self) -> Address:
        """Where the node can store."""
        if not self.port:
            raise Lacks("no SCP")
        return Address(self.title, self.port)

    @property
    def listens_tls(self) -> Address:
        """Where the node can call over TLS."""
        if not self.tls_port:
            raise Lacks("no TLS")
        return Address(self.title, self.tls_port)

    @property
    def receives(self) -> Address:
        """Where the node can store at any time."""
        return self.listens

    @property
    def commits(self) -> Address:
        """Where the node can ask for storage commitment."""
        raise Lacks("no storage commitment")

    @property
    def archive(self) -> Address:
        """Where the node can ask for what it holds."""
        return self.listens


def installed(program: str, package: str) -> str:
    """Where a program is.

    Raises:
        NotHere: it is not.
    """
    found = shutil.which(program)
    if found is None:
        raise NotHere(f"{program} is not installed; on Debian: apt-get install {package}.")
    return found


def run(*words: str | Path, cwd: Path | None = None, codes: Sequence[int] = (0,)) -> str:
    """One program to its end; all that it says.

    Raises:
        Failed: it ended with another code, or did not end.
    """
    try:
        done = subprocess.run(
            [str(word) for word in words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=PROGRAM_S,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{Path(words[0]).name} does not end") from late
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode not in codes:
        raise Failed(f"{Path(words[0]).name} ends with {done.returncode}: {said.strip()[-300:]}")
    return said


def wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there.

    Raises:
        Failed: its process is gone, or it takes too long.
    """
    until_s = time.monotonic() + LISTEN_S
    while time.monotonic() < until_s and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Failed(f"{process.args!s:.80} does not listen")


def end(process: subprocess.Popen[bytes] | None) -> None:
    """Whatever it does."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def version_in(said: str) -> str:
    """The first version number."""
    found = re.search(r"\d+(\.\d+)*", said)
    assert found is not None, said
    return found[0]
