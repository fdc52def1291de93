"""DCMTK's command line tools, and its archive dcmqrscp."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydicom

from clinics.clinic import free_ports
from peers.content import ROW, Row, by_uid, of_study, text
from peers.peer import (
    Address,
    Files,
    Heard,
    Node,
    Peer,
    end,
    installed,
    run,
    version_in,
    wait_listening,
)
from peers.worklist import KEYS, QUESTION, STEP_KEYS, row_of

ARCHIVE = """\
NetworkTCPPort = {port}
MaxPDUSize = 65536
MaxAssociations = 16
HostTable BEGIN
node = ({title}, 127.0.0.1, {node})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMQR {folder} RW (200, 1024mb) ANY
AETable END
"""
"""dcmqrscp's configuration; dcmqrscp.cfg(5)."""


class Dcmtk(Peer):
    """storescp takes what is stored; dcmqrscp holds what is asked for."""

    name, title = "DCMTK", "DCMTK"
    package = "Debian, dcmtk"
    verbatim = frozenset(
        {"get", "move", "receive"}
    )  # storescu and dcmqrscp write what they send anew
    compressed = frozenset({"store", "move", "receive"})
    unanswered = frozenset({"ModalitiesInStudy", "NumberOfStudyRelatedInstances"})
    notes = (
        (
            "storescu and dcmqrscp send what they have read and written anew; storescp with `+B` "
            "keeps every byte, and getscu with `+B`."
        ),
        "getscu by its defaults proposes no compressed transfer syntax.",
        "dcmqrscp answers no counts and no ModalitiesInStudy.",
    )
    shows = "`findscu -v`; with `-d` also the Error Comment"

    def __init__(self, folder: Path, node: Node) -> None:
        """See Peer."""
        installed("findscu", "dcmtk")
        super().__init__(folder, node)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._archive = 0

    def version(self) -> str:
        """See Peer."""
        return version_in(run("findscu", "--version"))

    def start(self) -> None:
        """See Peer."""
        self.port, self._archive, self.tls_port = free_ports(3)
        for name in ("received", "archive"):
            (self.folder / name).mkdir()
        (self.folder / "cfg").write_text(
            ARCHIVE.format(
                port=self._archive,
                title=self.node.title,
                node=self.node.port,
                folder=self.folder / "archive",
            )
        )
        receiver = "storescp", "-aet", self.title, "+xa", "+B", "-od"
        self._listen(self.port, *receiver, self.folder / "received", str(self.port))
        self._listen(self._archive, "dcmqrscp", "-c", self.folder / "cfg")
        self._listen(
            self.tls_port, "storescp", *self._tls(), "-od", self.folder, str(self.tls_port)
        )

    def _listen(self, port: int, *words: str | Path) -> None:
        with (self.folder / f"{words[0]}.log").open("wb") as log:
            process = subprocess.Popen([str(w) for w in words], stdout=log, stderr=log)
        self._processes.append(process)
        wait_listening(port, process)

    def end(self) -> None:
        """See Peer."""
        for process in self._processes:
            end(process)

    def _ask(self, tool: str, *words: str | Path, at: Address | None = None) -> str:
        at = at or self.node
        where = "-aet", self.title, "-aec", at.title, at.host, str(at.port)
        return run(tool, "-v", *where, *words, cwd=self.folder)

    def _tls(self) -> tuple[str | Path, ...]:
        return "+tls", self.keys.key, self.keys.chain, "+cf", self.keys.authority

    def echo_tls(self) -> None:
        """See Peer."""
        self._ask("echoscu", *self._tls(), at=self.node_tls)

    def echo(self) -> None:
        """See Peer."""
        self._ask("echoscu")

    def store(self, files: Sequence[Path]) -> None:
        """See Peer.

        storescu proposes what each file has only where it is told by a profile: one for each.
        """
        for file in files:
            syntax = pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID
            self._ask("storescu", "-R", PROPOSE.get(str(syntax), "-x="), file)

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """See Peer."""
        wanted = {"QueryRetrieveLevel": level} | dict.fromkeys(ROW[level], "") | dict(keys)
        rows = self._rows("-d", "-S", *_keys(wanted), at=at)
        found = [{key: text(row, key) for key in ROW[level]} for row in rows[0]]
        return Heard(found, shown_end(rows[1]))

    def _rows(self, *words: str, at: Address | None = None) -> tuple[list[pydicom.Dataset], str]:
        for old in self.folder.glob("rsp*.dcm"):
            old.unlink()
        said = self._ask("findscu", "-X", *words, at=at)
        return [pydicom.dcmread(file) for file in sorted(self.folder.glob("rsp*.dcm"))], said

    def worklist(self) -> list[Row]:
        """See Peer."""
        step = "ScheduledProcedureStepSequence[0]."
        keys = {(step if key in STEP_KEYS else "") + key: QUESTION.get(key, "") for key in KEYS}
        return [row_of(row) for row in self._rows("-W", *_keys(keys))[0]]

    def get(self, study: str) -> Files:
        """See Peer.

        By its defaults: getscu takes one compressed transfer syntax at a time, where told which.
        """
        folder = self.folder / f"got-{study}"
        folder.mkdir()
        what = _keys({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study})
        self._ask("getscu", "-S", "+B", "-od", folder, *what)
        return by_uid(folder.iterdir())

    def move(self, study: str) -> Files:
        """See Peer."""
        what = _keys({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study})
        self._ask("movescu", "-S", "-aem", self.title, *what)
        return self.received(study)

    def hold(self, files: Sequence[Path]) -> None:
        """See Peer."""
        at = self.archive
        run("storescu", "-R", "-aec", at.title, at.host, str(at.port), *files)

    def received(self, study: str) -> Files:
        """See Peer."""
        return of_study(self.folder / "received", study)

    @property
    def archive(self) -> Address:
        """See Peer."""
        return Address("DCMQR", self._archive)


PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.5": "-xr",
}
"""storescu's options by transfer syntax; without one of these it would send others anew."""


def _keys(keys: Mapping[str, str]) -> list[str]:
    return [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]


def shown_end(said: str) -> str:
    """What findscu shows of the last response's comment."""
    return "; ".join(" ".join(line.split()) for line in said.splitlines() if "ErrorComment" in line)
