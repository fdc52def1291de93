"""pynetdicom: an application entity that does everything, in this process."""

import queue
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pynetdicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_role

from peers.content import CLASSES, ROW, SYNTAXES, Row, by_uid, of_study, text
from peers.peer import Address, Failed, Files, Heard, Node, Peer, Reference, Report
from peers.worklist import identifier, row_of

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
COMMITTED, FAILED = "ReferencedSOPSequence", "FailedSOPSequence"

REPORT_S = 30.0
"""How long a report is waited for. A guess for a busy machine."""

WORKLIST = "1.2.840.10008.5.1.4.31"


class Pynetdicom(Peer):
    """Its SCP side answers from the files that it was told to hold."""

    name, title = "pynetdicom", "PYNETDICOM"
    package = "PyPI, pynetdicom"
    shows = "the status data set that `send_c_find` yields"

    def __init__(self, folder: Path, node: Node) -> None:
        """See Peer."""
        super().__init__(folder, node)
        self._held: list[Path] = []
        self._servers: list[Any] = []
        self._reports: queue.Queue[Report] = queue.Queue()
        (folder / "received").mkdir()

    def version(self) -> str:
        """See Peer."""
        return str(pynetdicom.__version__)

    def start(self) -> None:
        """See Peer."""
        ae = AE(self.title)
        ae.add_supported_context(VERIFICATION)
        for model in (FIND, MOVE, GET):
            ae.add_supported_context(model)
        for uid in CLASSES:
            ae.add_supported_context(uid, SYNTAXES, scu_role=True, scp_role=True)
            for syntax in SYNTAXES:
                ae.add_requested_context(uid, syntax)
        ae.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_N_ACTION, self._promise),
            (evt.EVT_N_EVENT_REPORT, self._told),
            (evt.EVT_C_STORE, self._take, [self.folder / "received"]),
            (evt.EVT_C_FIND, self._answer),
            (evt.EVT_C_GET, self._give),
            (evt.EVT_C_MOVE, self._send),
        ]
        self._listen(ae, handlers)
        self.port = self._servers[-1].socket.getsockname()[1]
        self._listen(ae, handlers, ssl_context=self._context(ssl.Purpose.CLIENT_AUTH))
        self.tls_port = self._servers[-1].socket.getsockname()[1]

    def _listen(self, ae: AE, handlers: list[Any], **options: Any) -> None:
        at = "127.0.0.1", 0
        self._servers.append(ae.start_server(at, block=False, evt_handlers=handlers, **options))

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        context = ssl.create_default_context(purpose, cafile=str(self.keys.authority))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.keys.chain, self.keys.key)
        return context

    def end(self) -> None:
        """See Peer."""
        for server in self._servers:
            server.shutdown()

    # ---------------------------------------------------------------- SCU

    def _associate(self, *models: str, at: Address | None = None, **options: Any) -> Any:
        ae = AE(self.title)
        for model in models:
            ae.add_requested_context(model, SYNTAXES if model in CLASSES else None)
        return self._open(ae, at, **options)

    def _open(self, ae: AE, at: Address | None = None, **options: Any) -> Any:
        at = at or self.node
        association = ae.associate(at.host, at.port, ae_title=at.title, **options)
        if not association.is_established:
            raise Failed("no association")
        return association

    def echo(self) -> None:
        """See Peer."""
        association = self._associate(VERIFICATION)
        _hold(association.send_c_echo().Status)
        association.release()

    def echo_tls(self) -> None:
        """See Peer."""
        tls = self._context(ssl.Purpose.SERVER_AUTH), self.node_tls.host
        association = self._associate(VERIFICATION, at=self.node_tls, tls_args=tls)
        _hold(association.send_c_echo().Status)
        association.release()

    def commit(self, references: Sequence[Reference], *, stay: bool) -> Report:
        """See Peer."""
        told, answered = threading.Event(), threading.Event()

        def tell(event: Any) -> tuple[int, None]:
            told.set()
            return self._told(event)

        def sent(event: Any) -> None:
            # pynetdicom breaks if it is released between a report and its answer.
            if told.is_set() and isinstance(event.pdu, P_DATA_TF):
                answered.set()

        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, tell), (evt.EVT_PDU_SENT, sent)]
        association = self._associate(COMMITMENT, evt_handlers=handlers)
        data = Dataset()
        data.TransactionUID = generate_uid()
        data.ReferencedSOPSequence = [_item(*reference) for reference in references]
        status, _ = association.send_n_action(data, 1, COMMITMENT, COMMITMENT_INSTANCE)
        _hold(status.Status)
        if not stay:
            association.release()
        try:
            return self._reports.get(timeout=REPORT_S)
        except queue.Empty:
            raise Failed("no report") from None
        finally:
            if stay:
                answered.wait(REPORT_S if told.is_set() else 0)
                association.release()

    def _told(self, event: Any) -> tuple[int, None]:
        data = event.event_information
        self._reports.put(
            Report(
                frozenset(item.ReferencedSOPInstanceUID for item in data.get(COMMITTED, ())),
                {
                    item.ReferencedSOPInstanceUID: item.FailureReason
                    for item in data.get(FAILED, ())
                },
            )
        )
        return 0, None

    def store(self, files: Sequence[Path]) -> None:
        """See Peer."""
        ae = AE(self.title)
        heads = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
        for kind in sorted({(h.SOPClassUID, h.file_meta.TransferSyntaxUID) for h in heads}):
            ae.add_requested_context(*kind)
        association = self._open(ae)
        for file in files:
            _hold(association.send_c_store(file).Status)
        association.release()

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """See Peer."""
        association = self._associate(FIND, at=at)
        data = Dataset()
        data.QueryRetrieveLevel = level
        for key in ROW[level]:
            setattr(data, key, keys.get(key, ""))
        *pending, (last, _) = association.send_c_find(data, FIND)
        association.release()
        _hold(last.Status)
        rows = [{key: text(row, key) for key in ROW[level]} for _, row in pending]
        return Heard(rows, str(last.get("ErrorComment", "")))

    def worklist(self) -> list[Row]:
        """See Peer."""
        association = self._associate(WORKLIST)
        *pending, (last, _) = association.send_c_find(identifier(), WORKLIST)
        association.release()
        _hold(last.Status)
        return [row_of(row) for _, row in pending]

    def get(self, study: str) -> Files:
        """See Peer."""
        folder = self.folder / f"got-{study}"
        folder.mkdir()
        ae = AE(self.title)
        ae.add_requested_context(GET)
        for uid in CLASSES:
            # One context for each: the acceptor takes the first of several that it could send.
            for syntax in SYNTAXES:
                ae.add_requested_context(uid, syntax)
        association = self._open(
            ae,
            ext_neg=[build_role(uid, scp_role=True) for uid in CLASSES],
            evt_handlers=[(evt.EVT_C_STORE, self._take, [folder])],
        )
        *_, (last, _) = association.send_c_get(_study(study), GET)
        association.release()
        _hold(last.Status)
        return by_uid(folder.iterdir())

    def move(self, study: str) -> Files:
        """See Peer."""
        association = self._associate(MOVE)
        *_, (last, _) = association.send_c_move(_study(study), self.title, MOVE)
        association.release()
        _hold(last.Status)
        return self.received(study)

    # ---------------------------------------------------------------- SCP

    def hold(self, files: Sequence[Path]) -> None:
        """See Peer."""
        self._held += files

    def received(self, study: str) -> Files:
        """See Peer."""
        return of_study(self.folder / "received", study)

    def _take(self, event: Any, folder: Path) -> int:
        (folder / event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
        return 0

    def _matching(self, wanted: Dataset) -> list[Dataset]:
        """The held instances of a query with single values."""
        held = [pydicom.dcmread(file) for file in self._held]
        keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return [h for h in held if all(wanted.get(k, "") in ("", None, h[k].value) for k in keys)]

    def _answer(self, event: Any) -> Iterator[tuple[int, Dataset]]:
        wanted = event.identifier
        level = wanted.QueryRetrieveLevel
        matching = self._matching(wanted)
        unique = "StudyInstanceUID" if level == "STUDY" else "SeriesInstanceUID"
        for uid in sorted({head[unique].value for head in matching}):
            heads = [head for head in matching if head[unique].value == uid]
            row = Dataset()
            row.SpecificCharacterSet = "ISO_IR 100"
            row.QueryRetrieveLevel = level
            for element in wanted:
                if element.keyword in heads[0]:
                    setattr(row, element.keyword, heads[0][element.keyword].value)
            row.ModalitiesInStudy = sorted({head.Modality for head in heads})
            row.NumberOfStudyRelatedInstances = len(heads)
            yield 0xFF00, row

    @property
    def commits(self) -> Address:
        """See Peer."""
        return self.listens

    def _promise(self, event: Any) -> tuple[int, None]:
        asked = event.action_information
        held = {str(pydicom.dcmread(file).SOPInstanceUID) for file in self._held}
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        items = asked.ReferencedSOPSequence
        good = [item for item in items if item.ReferencedSOPInstanceUID in held]
        bad = [item for item in items if item.ReferencedSOPInstanceUID not in held]
        report.ReferencedSOPSequence = good
        for item in bad:
            item.FailureReason = 0x0112
        if bad:
            report.FailedSOPSequence = bad
        threading.Thread(target=self._tell, args=[report, 2 if bad else 1]).start()
        return 0, None

    def _tell(self, report: Dataset, event: int) -> None:
        role = build_role(COMMITMENT, scp_role=True)
        association = self._associate(COMMITMENT, ext_neg=[role])
        association.send_n_event_report(report, event, COMMITMENT, COMMITMENT_INSTANCE)
        association.release()

    def _give(self, event: Any) -> Iterator[Any]:
        found = self._matching(event.identifier)
        yield len(found)
        for data in found:
            yield 0xFF00, data

    def _send(self, event: Any) -> Iterator[Any]:
        assert event.move_destination == self.node.title
        yield self.node.host, self.node.port, {"ae_title": self.node.title}
        yield from self._give(event)


def _study(uid: str) -> Dataset:
    data = Dataset()
    data.QueryRetrieveLevel, data.StudyInstanceUID = "STUDY", uid
    return data


def _item(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def _hold(status: int) -> None:
    if status != 0:
        raise Failed(f"the status is {status:04X}")
