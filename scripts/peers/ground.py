"""Where peers meet: a node that is up, what they ask of it, and the peers themselves."""

import contextlib
import io
import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinics.clinic import Broken, Clinic, NotHere, free_ports
from clinics.mesh import alone
from meshpacs.cli.main import run
from meshpacs.model.address import parse_address
from peers import worklist
from peers.content import PLAIN, Study, by_uid, make
from peers.dcmjs import Dcmjs
from peers.dcmtk import Dcmtk
from peers.gdcm import Gdcm
from peers.orthanc import Orthanc
from peers.peer import Address, Failed, Files, Keys, Lacks, Node, Peer
from peers.pixelmed import Pixelmed
from peers.pynetdicom import Pynetdicom

PEERS: tuple[type[Peer], ...] = (Dcmtk, Orthanc, Pynetdicom, Dcmjs, Gdcm, Pixelmed)
"""One row each."""

WAIT_S = 20.0
"""How long the node may take until its log says what it has done. A guess for a busy machine."""


class Ground:
    """One node, and the peers that are installed, each started once."""

    def __init__(self, folder: Path, clinic: Clinic, *ports: int) -> None:
        """The node need not be up yet; `ports` are for DICOM, and for DICOM over TLS."""
        self.folder, self.clinic = folder, clinic
        pair = folder / "keys"
        keys = Keys(pair / "PEERS.key", pair / "PEERS.pem", pair / "authority.pem")
        plain, tls = (Address("MESHPACS", port) for port in ports)
        self.node = Node(plain, tls, keys)
        self._numbers = itertools.count(1)
        self._known: dict[type[Peer], Peer | Exception] = {}
        self._held: dict[type[Peer], Study] = {}
        wanted = [kind.exchanges(service) for kind in PEERS for service in ("get", "move")]
        self.shelf = {names: self.study(names) for names in dict.fromkeys((PLAIN, *wanted))}
        """What the node has, by the files that a study is made of."""

    def study(self, names: tuple[str, ...]) -> Study:
        """One that nobody has yet."""
        return make(self.folder / "studies", next(self._numbers), names)

    def peer(self, kind: type[Peer]) -> Peer:
        """The one of this kind.

        Raises:
            NotHere: it is not installed.
            Failed: it did not start.
        """
        found = self._known[kind]
        if isinstance(found, Exception):
            raise found
        return found

    def held(self, kind: type[Peer]) -> Study:
        """A study that this peer, and nobody else, has had from the beginning."""
        if kind not in self._held:
            peer = self.peer(kind)
            study = self.study(peer.exchanges("give"))
            peer.hold(tuple(study.files.values()))
            self._held[kind] = study
        return self._held[kind]

    def command(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        """A command of the node's home; its document.

        Raises:
            Broken: it ended with another code; the sentence has what it said.
        """
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["--home", str(self.clinic.home), *words, "--json"])
        if code not in codes:
            raise Broken(f"`meshpacs {' '.join(words[:2])}`: {err.getvalue() or out.getvalue()}")
        return json.loads(out.getvalue())

    def stored(self, study: str) -> Files:
        """What the node has of a study, as files."""
        folder = self.folder / f"stored-{study}"
        self.clinic.ask("/v1/fetch", {"study_uid": study, "to": str(folder)})
        return by_uid(path for path in folder.rglob("*") if path.is_file())

    def wait_logged(self, event: str, since: int, **fields: object) -> None:
        """Until the node has logged this, after its first `since` bytes.

        Raises:
            Failed: it does not.
        """
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            for line in self.clinic.log.read_bytes()[since:].splitlines():
                if f'"event": "{event}"'.encode() in line:
                    said = json.loads(line)
                    if all(said.get(key) == value for key, value in fields.items()):
                        return
            time.sleep(0.02)
        raise Failed(f"the node has not logged {event} with {fields}")

    def logged(self) -> int:
        """How much it has."""
        return self.clinic.log.stat().st_size

    def _start(self, kind: type[Peer]) -> None:
        try:
            peer = kind(self.folder / kind.title, self.node)
        except NotHere as reason:
            self._known[kind] = reason
            return
        try:
            peer.start()
        except (Failed, Broken, OSError) as fault:
            peer.end()
            self._known[kind] = Failed(f"{kind.name} does not start: {fault}")
        else:
            self._known[kind] = peer

    def _introduce(self) -> None:
        """Tell the node of them all, as its operator would."""
        since = self.logged()
        for found in self._known.values():
            if isinstance(found, Peer):
                with contextlib.suppress(Lacks):
                    at = found.listens
                    prefer = ("--prefer", found.prefer) if found.prefer else ()
                    self.command("dicom", "ae", "add", at.title, f"{at.host}:{at.port}", *prefer)
        count = sum(isinstance(found, Peer) for found in self._known.values())
        self.wait_logged("ae_book_in_force", since, entries=count)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Start everything; leave no process."""
        worklist.write(self.clinic.home / "worklist")
        self.command("dicom", "tls", "init", "--host", "127.0.0.1")
        pair = str(self.node.keys.key.parent)
        self.command("dicom", "tls", "issue", "PEERS", pair, "--host", "127.0.0.1")
        ports = self.node.plain.port, self.node.tls.port
        self.clinic.start("--dicom-port", str(ports[0]), "--dicom-tls-port", str(ports[1]))
        try:
            with ThreadPoolExecutor(len(PEERS)) as pool:
                list(pool.map(self._start, PEERS))
            self.clinic.wait_ready()
            self.clinic.take_in(self.folder / "studies")
            self._introduce()
            yield
        finally:
            with ThreadPoolExecutor(len(PEERS)) as pool:
                started = [found for found in self._known.values() if isinstance(found, Peer)]
                list(pool.map(lambda peer: peer.end(), started))


def dicom_port(clinic: Clinic) -> int:
    """Where a node that is up listens for DICOM, by its log."""
    ready = [
        json.loads(line)
        for line in clinic.log.read_text("utf-8").splitlines()
        if '"event": "ready"' in line
    ]
    return parse_address(ready[-1]["dicom"][0])[1]


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """One that is up."""
    with alone(folder / "node") as clinic:
        found = Ground(folder, clinic, *free_ports(2))
        with found.up():
            yield found
