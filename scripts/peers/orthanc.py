"""Orthanc, told over REST what to do as SCU."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clinics.clinic import Broken
from clinics.orthanc import Orthanc as Server
from clinics.orthanc import orthanc, program
from peers.content import ROW, Row
from peers.peer import (
    Address,
    Failed,
    Files,
    Heard,
    Lacks,
    Node,
    Peer,
    Reference,
    Report,
    Shown,
    run,
    version_in,
)
from peers.worklist import KEYS, QUESTION, STEP_KEYS

US = "/modalities/us"

REPORT_S = 30.0
"""How long a report is waited for. A guess for a busy machine."""


class Orthanc(Peer):
    """One server for both sides; it knows the node as a modality."""

    name, title = "Orthanc", "ORTHANC"
    package = "Debian, orthanc"
    verbatim = frozenset()  # it reads what comes and writes it anew
    compressed = frozenset({"store", "move", "receive"})
    notes = (
        "It writes anew what it has received.",
        (
            "It ends a C-GET (C000) at the first instance for which no context was accepted: a "
            "study that mixes compressed instances with others comes whole by C-MOVE alone."
        ),
        "`/modalities/x/query` shows no Error Comment: its list may lack clinics and not say so.",
    )
    shows = "`/modalities/x/query` and its log with `--verbose`"

    def __init__(self, folder: Path, node: Node) -> None:
        """See Peer."""
        self._program = program()
        super().__init__(folder, node)
        self._stack = ExitStack()
        self._server: Server
        self._secured: Server

    def version(self) -> str:
        """See Peer."""
        return version_in(run(self._program, "--version"))

    def start(self) -> None:
        """See Peer."""
        # 1.10 gives C-GET to modalities only where the configuration says so.
        options = {"DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}
        self._server = self._stack.enter_context(
            orthanc(self.folder / "server", title=self.title, options=options)
        )
        self.port = self._server.dicom_port
        # Its own port speaks TLS or does not: a second one.
        self._secured = self._stack.enter_context(
            orthanc(
                self.folder / "secured",
                title=self.title,
                options={
                    "DicomTlsEnabled": True,
                    "DicomTlsCertificate": str(self.keys.chain),
                    "DicomTlsPrivateKey": str(self.keys.key),
                    "DicomTlsTrustedCertificates": str(self.keys.authority),
                },
            )
        )
        self.tls_port = self._secured.dicom_port
        at = self.node_tls
        self._secured.know("us", at.title, at.host, at.port, UseDicomTls=True)
        self._server.know(
            "us", self.node.title, self.node.host, self.node.port, AllowStorageCommitment=True
        )

    def end(self) -> None:
        """See Peer."""
        self._stack.close()

    def _ask(self, path: str, body: object) -> Any:
        try:
            return self._server.ask(path, body)
        except Broken as broken:
            raise Failed(str(broken)) from broken

    def echo(self) -> None:
        """See Peer."""
        self._ask(f"{US}/echo", {})

    def echo_tls(self) -> None:
        """See Peer."""
        try:
            self._secured.ask(f"{US}/echo", {})
        except Broken as broken:
            raise Failed(str(broken)) from broken

    def commit(self, references: Sequence[Reference], *, stay: bool) -> Report:
        """See Peer."""
        if stay:
            raise Lacks("Orthanc has its reports on other associations alone")
        wanted = [{"SOPClassUID": c, "SOPInstanceUID": u} for c, u in references]
        asked = self._ask(f"{US}/storage-commitment", {"DicomInstances": wanted})["ID"]
        until_s = time.monotonic() + REPORT_S
        while (report := self._server.ask(f"/storage-commitment/{asked}"))["Status"] == "Pending":
            if time.monotonic() > until_s:
                raise Failed("no report")
            time.sleep(0.05)
        return Report(
            frozenset(one["SOPInstanceUID"] for one in report["Success"]),
            {one["SOPInstanceUID"]: one["FailureReason"] for one in report["Failures"]},
        )

    @property
    def commits(self) -> Address:
        """See Peer."""
        return self.listens

    def store(self, files: Sequence[Path]) -> None:
        """See Peer."""
        held = self._server.take_in(*files)
        self._ask(f"{US}/store", {"Resources": held, "Synchronous": True})

    def asked(self, keys: Mapping[str, str], at: Address) -> Shown:
        """See Peer; by a title it finds one modality alone, so it forgets the other one again."""
        try:
            return super().asked(keys, at)
        finally:
            self._server.ask("/modalities/other", method="DELETE")

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """See Peer."""
        whom = US
        if at is not None:
            self._server.know("other", at.title, at.host, at.port)
            whom = "/modalities/other"
        logged = len(self._server.log)
        query = dict.fromkeys(ROW[level], "") | dict(keys)
        found = self._ask(f"{whom}/query", {"Level": level.capitalize(), "Query": query})
        answers = f"/queries/{found['ID']}/answers"
        rows = [
            _row(self._server.ask(f"{answers}/{number}/content?simplify"), ROW[level])
            for number in self._server.ask(answers)
        ]
        said = [line for line in self._server.log[logged:].splitlines() if "INCOMPLETE" in line]
        return Heard(rows, "; ".join(said))

    def worklist(self) -> list[Row]:
        """See Peer."""
        step = {key: QUESTION.get(key, "") for key in STEP_KEYS}
        query = {key: "" for key in KEYS if key not in STEP_KEYS}
        body = query | {"ScheduledProcedureStepSequence": [step]}
        rows = []
        for answer in self._ask(f"{US}/find-worklist?simplify", {"Query": body}):
            (item,) = answer.pop("ScheduledProcedureStepSequence")
            rows.append(_row(answer | item, KEYS))
        return rows

    def get(self, study: str) -> Files:
        """See Peer."""
        raise Lacks("Orthanc has C-GET as SCU since 1.12.7")

    def move(self, study: str) -> Files:
        """See Peer."""
        body = {"Level": "Study", "Query": {"StudyInstanceUID": study}}
        query = self._ask(f"{US}/query", body)["ID"]
        body = {"TargetAet": self.title, "Synchronous": True}  # type: ignore[dict-item]
        self._ask(f"/queries/{query}/retrieve", body)
        return self.received(study)

    def hold(self, files: Sequence[Path]) -> None:
        """See Peer."""
        self._server.take_in(*files)

    def received(self, study: str) -> Files:
        """See Peer."""
        folder = self.folder / f"received-{study}"
        folder.mkdir(exist_ok=True)
        wanted = {"Level": "Instance", "Query": {"StudyInstanceUID": study}, "Expand": True}
        found = {}
        for instance in self._server.ask("/tools/find", wanted):
            file = folder / instance["ID"]
            file.write_bytes(self._server.fetch(f"/instances/{instance['ID']}/file"))
            found[instance["MainDicomTags"]["SOPInstanceUID"]] = file
        return found


def _row(answer: Mapping[str, str], keys: Sequence[str]) -> Row:
    """A row of Orthanc's JSON, which has several values as the element has them."""
    return {key: "\\".join(sorted((answer.get(key) or "").split("\\"))) for key in keys}
