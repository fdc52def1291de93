"""dcmjs-dimse, a library of npm's, behind dcmjs.js."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from clinics.clinic import NotHere
from peers.content import CLASSES, ROW, SYNTAXES, Row, by_uid, of_study
from peers.peer import Address, Files, Heard, Node, Peer, Reference, Report, installed
from peers.program import Program
from peers.worklist import KEYS, QUESTION, STEP_KEYS

HERE = Path(__file__).parent


class Dcmjs(Peer):
    """One process of node's for both sides."""

    name, title = "dcmjs-dimse", "DCMJS"
    package = "npm, dcmjs-dimse"
    verbatim = frozenset()  # it reads a data set into objects and writes it anew
    unnamed = MappingProxyType({"get": frozenset({"rtplan.dcm", "waveform_ecg.dcm"})})
    compressed = frozenset({"store", "get", "move", "receive"})  # it sends JPEG decoded
    private = False  # it drops what it has no names for
    notes = (
        "It writes anew what it reads, and drops private elements.",
        "What it sends by C-GET and C-MOVE it may have decoded: JPEG baseline comes as RGB.",
        (
            "It proposes for C-GET the SOP classes that it has names for; RT plan and ECG are not "
            "among them."
        ),
        (
            "A worklist request by `createWorklistFindRequest` finds nothing: it asks for a "
            "Pregnancy Status of 0."
        ),
    )
    shows = "`response.getErrorComment()`"

    def __init__(self, folder: Path, node: Node) -> None:
        """See Peer."""
        self._node = installed("node", "nodejs")
        if not (HERE / "node_modules" / "dcmjs-dimse").is_dir():
            raise NotHere("dcmjs-dimse is not installed: scripts/setup --peers.")
        super().__init__(folder, node)
        self._stack = ExitStack()
        self._program: Program

    def version(self) -> str:
        """See Peer."""
        lock = json.loads((HERE / "package-lock.json").read_text())
        return str(lock["packages"]["node_modules/dcmjs-dimse"]["version"])

    def start(self) -> None:
        """See Peer."""
        at, keys = self.node, self.keys
        words = self.folder, at.title, str(at.port), self.title
        lists = ",".join(CLASSES), ",".join(SYNTAXES)
        secure = str(self.node_tls.port), keys.key, keys.chain, keys.authority
        command = self._node, HERE / "dcmjs.js", *words, *lists, *secure
        self._program = Program(command, self.folder / "log")
        self._stack.callback(self._program.end)
        self.port, self.tls_port = (self._program.ready[name] for name in ("port", "tlsPort"))

    def end(self) -> None:
        """See Peer."""
        self._stack.close()

    def echo(self) -> None:
        """See Peer."""
        self._program.ask("echo")

    def echo_tls(self) -> None:
        """See Peer."""
        self._program.ask("echo", "tls")

    def commit(self, references: Sequence[Reference], *, stay: bool) -> Report:
        """See Peer."""
        answer = self._program.ask("commit", json.dumps(references), "stay" if stay else "go")
        return Report(frozenset(answer["committed"]), answer["reasons"])

    @property
    def commits(self) -> Address:
        """See Peer."""
        return self.listens

    def store(self, files: Sequence[Path]) -> None:
        """See Peer."""
        self._program.ask("store", *files)

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """See Peer."""
        wanted = json.dumps(dict.fromkeys(ROW[level], "") | dict(keys))
        where = (at.title, at.port) if at else ()
        answer = self._program.ask("find", level, wanted, *where)
        rows = [_row(row, ROW[level]) for row in answer["rows"]]
        return Heard(rows, answer["shown"])

    def worklist(self) -> list[Row]:
        """See Peer."""
        step = {key: QUESTION.get(key, "") for key in STEP_KEYS}
        keys = {key: "" for key in KEYS if key not in STEP_KEYS}
        wanted = json.dumps(keys | {"ScheduledProcedureStepSequence": [step]})
        return [_row(row, KEYS) for row in self._program.ask("worklist", wanted)["rows"]]

    def get(self, study: str) -> Files:
        """See Peer."""
        folder = self.folder / f"got-{study}"
        folder.mkdir()
        self._program.ask("get", study, folder)
        return by_uid(folder.iterdir())

    def move(self, study: str) -> Files:
        """See Peer."""
        self._program.ask("move", study)
        return self.received(study)

    def hold(self, files: Sequence[Path]) -> None:
        """See Peer."""
        self._program.ask("hold", *files)

    def received(self, study: str) -> Files:
        """See Peer."""
        return of_study(self.folder / "received", study)


def _row(answer: Mapping[str, str], keys: Sequence[str]) -> Row:
    return {key: "\\".join(sorted(answer.get(key, "").split("\\"))) for key in keys}
