"""gdcmscu, GDCM's command line tool.

Debian 12's build (3.0.21) ends itself by SIGABRT ("ProtocolStream as nullptr is invalid") whenever
an association has been released, with DCMTK's servers, too. Everything has been exchanged by then,
but rows, which it would print afterwards, are never seen. So its exit code says nothing; what it
has received is read from its debug output, and what it sent is looked for at the node.
"""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from clinics.clinic import free_ports
from peers.content import Row, by_uid
from peers.peer import (
    Address,
    Failed,
    Files,
    Heard,
    Lacks,
    Node,
    Peer,
    Shown,
    installed,
    run,
    version_in,
)

ABORTED = -signal.SIGABRT.value

NO_ROWS = "gdcmscu 3.0.21 of Debian 12 aborts, whoever answers, before it prints rows"

NO_SCP = "gdcmscu is no SCP"


class Gdcm(Peer):
    """It is an SCU; while it moves, it listens for what it has ordered."""

    name, title = "gdcmscu", "GDCM"
    package = "Debian, libgdcm-tools"
    verbatim = frozenset()
    compressed = frozenset()
    prefer = "1.2.840.10008.1.2"
    notes = (
        (
            "As Debian 12 builds it (3.0.21) it ends by SIGABRT after each association, with any "
            "server: what it does has been done by then, but rows are never printed."
        ),
        (
            "With `--move` it accepts explicit VR and reads it as implicit: its entry in the AE "
            "book has to prefer implicit VR."
        ),
    )
    shows = "`gdcmscu --find -D`"

    def __init__(self, folder: Path, node: Node) -> None:
        """See Peer."""
        installed("gdcmscu", "libgdcm-tools")
        super().__init__(folder, node)
        self._mover = free_ports(1)[0]

    def version(self) -> str:
        """See Peer."""
        return version_in(run("gdcmscu", "--version"))

    def _ask(self, *words: str | Path, at: Address | None = None) -> str:
        at = at or self.node
        where = "--aetitle", self.title, "--call", at.title, at.host, str(at.port)
        said = run("gdcmscu", "-D", *where, *words, codes=(0, ABORTED))
        statuses = [line for line in said.splitlines() if line.startswith("(0000,0900)")]
        if not statuses or "(US) 0 " not in statuses[-1]:
            raise Failed(f"gdcmscu has received {statuses[-1:]}")
        return said

    def echo(self) -> None:
        """See Peer."""
        self._ask("--echo")

    def store(self, files: Sequence[Path]) -> None:
        """See Peer."""
        for file in files:
            self._ask("--store", "-i", file)

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """See Peer."""
        raise Lacks(NO_ROWS)

    def asked(self, keys: Mapping[str, str], at: Address) -> Shown:
        """See Peer; rows are never seen."""
        tags = {key: f"{tag_for_keyword(key):08X}" for key in keys}
        named = (f"{tag[:4]},{tag[4:]}={keys[key]}" for key, tag in tags.items())
        wanted = [word for key in named for word in ("--key", key)]
        said = self._ask("--find", "--studyroot", "--study", *wanted, at=at)
        shown = [" ".join(line.split()) for line in said.splitlines() if "(0000,0902)" in line]
        return Shown(None, shown[-1] if shown else "")

    def worklist(self) -> list[Row]:
        """See Peer."""
        raise Lacks(NO_ROWS)

    def get(self, study: str) -> Files:
        """See Peer."""
        raise Lacks("gdcmscu has an option for C-GET and nothing behind it")

    @property
    def listens_tls(self) -> Address:
        """See Peer."""
        raise Lacks(NO_SCP)

    @property
    def receives(self) -> Address:
        """See Peer."""
        raise Lacks(NO_SCP)

    @property
    def commits(self) -> Address:
        """See Peer."""
        raise Lacks(NO_SCP)

    @property
    def listens(self) -> Address:
        """Where it listens while it moves."""
        return Address(self.title, self._mover)

    @property
    def archive(self) -> Address:
        """See Peer."""
        raise Lacks(NO_SCP)

    def move(self, study: str) -> Files:
        """See Peer."""
        folder = self.folder / f"moved-{study}"
        folder.mkdir()
        self._ask(
            *("--move", "--studyroot", "--study", "--key", f"20,d={study}"),
            *("--port-scp", str(self._mover), "-o", folder),
        )
        return by_uid(folder.iterdir())
