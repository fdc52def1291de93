"""A modality by pynetdicom: asks for storage commitment, and takes the reports."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF

from meshpacs.dimse.commitment import PUSH_MODEL_INSTANCE
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.model.commitment import Reference

REPORT_S = 30.0
"""How long a report is waited for. A guess for a busy machine."""


@dataclass
class Told:
    """One N-EVENT-REPORT as it came."""

    event_type: int
    uid: str
    committed: list[str]
    failed: dict[str, int]
    retrieve_title: str


@dataclass
class Modality:
    """One with the title that it calls itself."""

    title: str = "PYNET"
    answer: int = 0
    """The status that reports are answered with."""
    told: list[Told] = field(default_factory=list)
    roles: list[bool | None] = field(default_factory=list)
    """What role selection said of us as SCP, on each association to its own port."""
    port: int = 0
    _news: threading.Condition = field(default_factory=threading.Condition)

    def ask(
        self,
        host: str,
        port: int,
        *references: Reference,
        uid: str = "1.2.3.4",
        stay: bool = False,
        called: str = "MESHPACS",
        **odd: Any,
    ) -> tuple[int, str]:
        """Ask; status and Error Comment. `stay`: the report is awaited on the association."""
        ae = AE(self.title)
        ae.add_requested_context(STORAGE_COMMITMENT)
        opened: list[Any] = []
        before = len(self.told)
        answered = threading.Event()

        def sent(event: Any) -> None:
            # pynetdicom breaks if it is released between a report and its answer.
            if isinstance(event.pdu, P_DATA_TF) and len(self.told) > before:
                answered.set()

        handlers: list[Any] = [
            (evt.EVT_N_EVENT_REPORT, self._report),
            (evt.EVT_CONN_OPEN, remember(opened)),
            (evt.EVT_PDU_SENT, sent),
        ]
        association = ae.associate(host, port, ae_title=called, evt_handlers=handlers)
        assert association.is_established
        status, _ = association.send_n_action(
            odd.get("information", request(uid, *references)),
            odd.get("action_type", 1),
            STORAGE_COMMITMENT,
            odd.get("instance", PUSH_MODEL_INSTANCE),
        )
        if stay and status.Status == 0:
            self.wait_told(before + 1)
            assert answered.wait(REPORT_S), "no answer to the report"
        association.release()
        association.join(REPORT_S)
        close(opened)
        return int(status.Status), str(status.get("ErrorComment", ""))

    def wait_told(self, count: int) -> list[Told]:
        """Until so many reports have come."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.told) >= count, REPORT_S), "no report"
        return self.told

    @contextmanager
    def listening(self, *, scp_role: bool | None = True, serves: bool = True) -> Iterator[None]:
        """Its own port, for reports on associations of ours.

        `scp_role`: what it says to ours; None: it knows no roles.
        """
        opened: list[Any] = []
        ae = AE(self.title)
        if serves:
            scu_role = None if scp_role is None else False
            ae.add_supported_context(STORAGE_COMMITMENT, scu_role=scu_role, scp_role=scp_role)
        else:
            ae.add_supported_context("1.2.840.10008.1.1")
        handlers: list[Any] = [
            (evt.EVT_N_EVENT_REPORT, self._report),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_CONN_OPEN, remember(opened)),
        ]
        server: Any = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = server.socket.getsockname()[1]
        try:
            yield
        finally:
            end(server, opened)

    def _requested(self, event: Any) -> None:
        roles = event.assoc.requestor.role_selection
        item = roles.get(STORAGE_COMMITMENT)
        self.roles.append(None if item is None else bool(item.scp_role))

    def _report(self, event: Any) -> tuple[int, None]:
        data = event.event_information
        told = Told(
            event.event_type,
            data.TransactionUID,
            [item.ReferencedSOPInstanceUID for item in data.get("ReferencedSOPSequence", [])],
            {
                item.ReferencedSOPInstanceUID: item.FailureReason
                for item in data.get("FailedSOPSequence", [])
            },
            data.get("RetrieveAETitle", ""),
        )
        with self._news:
            self.told.append(told)
            self._news.notify_all()
        return self.answer, None


def remember(opened: list[Any]) -> Callable[[Any], None]:
    """Handles EVT_CONN_OPEN: pynetdicom leaves sockets to the garbage that a peer has closed."""
    return lambda event: opened.append(event.assoc.dul.socket.socket)


def close(opened: list[Any]) -> None:
    """Close what was opened; a socket that is closed already does not mind."""
    for socket in opened:
        if socket is not None:
            socket.close()


def end(server: Any, opened: list[Any]) -> None:
    """Stop a server; blocks until its peers have hung up: not for the thread that they live in."""
    for association in server.active_associations:
        association.join(REPORT_S)
    server.shutdown()
    close(opened)


def request(uid: str, *references: Reference) -> Dataset:
    """The action information of a request."""
    data = Dataset()
    data.TransactionUID = UID(uid)
    data.ReferencedSOPSequence = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = UID(reference.sop_class)
        item.ReferencedSOPInstanceUID = UID(reference.sop_uid)
        data.ReferencedSOPSequence.append(item)
    return data
