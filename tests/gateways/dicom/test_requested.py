"""Commitment asked of others: they report on the same association, or come to our door."""

from functools import partial
from typing import Any

import pytest
import trio
from pynetdicom import AE, evt

from meshpacs.dimse.commands import EventReportResponse, Response
from meshpacs.dimse.commitment import Report, event_request, write_report
from meshpacs.dimse.pdu import Role
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.gateways.dicom import requested
from meshpacs.gateways.dicom.requested import Awaited, Requests, ask_commitment
from meshpacs.model.commitment import Promise, Reference
from meshpacs.model.errors import Unavailable
from meshpacs.node.book import Entry
from tests.gateways.dicom.doors import CT, PLAIN, Strangers, opened
from tests.gateways.dicom.test_committing import aside
from tests.gateways.fake_mesh import FakeMesh
from tests.peers.modality import end, remember

pytestmark = pytest.mark.timeout(60)

ONE, TWO = Reference(CT, "1.2.1"), Reference(CT, "1.2.2")
PAIRS = ((STORAGE_COMMITMENT, PLAIN),)


class Ours(Strangers):
    """The asking node's place in the answering node's book."""

    port = 0

    def prefers(self, title: str, host: str) -> str | None:
        return None

    def allows(self, title: str, host: str) -> frozenset[str]:
        return frozenset()

    def destination(self, title: str) -> tuple[Entry, ...]:
        return (Entry(title, "127.0.0.1", self.port),) if self.port else ()


@pytest.mark.parametrize("stays", [True, False])
async def test_two_nodes_ask_and_answer_each_other(
    monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    monkeypatch.setattr(requested, "STAY_S", 10.0 if stays else 0.0)
    archive, book, requests = FakeMesh(), Ours(), Requests()
    archive.promises.promised[ONE] = Promise.COMMITTED
    async with (
        opened(archive, "FAR", book=book) as far,
        opened(FakeMesh(), "NEAR", requests=requests) as near,
    ):
        book.port = near.port
        with trio.fail_after(30):
            uid, report = await ask_commitment(
                requests, far.host, far.port, "FAR", "NEAR", (ONE, TWO), wait_s=20
            )
        assert report == Report(uid, (ONE,), ((TWO, 0x0112),), "FAR")
        with trio.fail_after(10):
            while await archive.commitments.open_ones():  # it was acknowledged
                await trio.sleep(0.01)


async def test_who_does_not_report_in_time_has_not_reported() -> None:
    async with opened(FakeMesh(), "FAR") as far:  # which does not know where we listen
        _, report = await ask_commitment(
            Requests(), far.host, far.port, "FAR", "NEAR", (ONE,), wait_s=0.2
        )
        assert report is None


async def test_who_has_no_commitment_or_refuses_it_is_named() -> None:
    for classes, status, words in (
        (("1.2.840.10008.1.1",), 0, "no storage commitment"),
        ((STORAGE_COMMITMENT,), 0x0213, "status 0213"),
    ):
        ae = AE("FAR")
        for one in classes:
            ae.add_supported_context(one)
        sockets: list[Any] = []
        handlers: list[Any] = [
            (evt.EVT_N_ACTION, lambda _, answer=status: (answer, None)),
            (evt.EVT_CONN_OPEN, remember(sockets)),
        ]
        server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        port = server.socket.getsockname()[1]
        try:
            with pytest.raises(Unavailable, match=words):
                await ask_commitment(Requests(), "127.0.0.1", port, "FAR", "NEAR", (ONE,), wait_s=5)
        finally:
            with trio.move_on_after(60, shield=True):
                await aside(partial(end, server, sockets))


async def test_reports_that_come_in_are_taken_from_either_role_and_only_if_asked_for() -> None:
    requests = Requests()
    with requests.begin() as awaited:
        await come_in(requests, awaited)


async def come_in(requests: Requests, awaited: Awaited) -> None:
    data = write_report(Report(awaited.uid, (ONE,)), explicit=True)
    other = write_report(Report("1.2.3", (ONE,)), explicit=True)
    request = event_request(1, 1)
    as_scp = (Role(STORAGE_COMMITMENT, scu=False, scp=True),)
    async with opened(FakeMesh(), requests=requests) as door:
        statuses: list[Response] = []
        for roles in ((), as_scp):
            async with door.called(pairs=PAIRS, roles=roles) as raw:
                (context,) = raw.agreement.of(STORAGE_COMMITMENT)
                assert context.scp is bool(roles)
                statuses = [
                    await raw.ask(context.id, request, each)
                    for each in (data, data, other, b"\x08\0")
                ]
        assert all(isinstance(each, EventReportResponse) for each in statuses)
        assert [each.status for each in statuses] == [0, 0, 0x0115, 0x0115]
    assert awaited.report == Report(awaited.uid, (ONE,))


def test_requests_that_nobody_waits_for_are_forgotten_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requested, "REMEMBERED", 2)
    requests = Requests()
    with requests.begin() as one, requests.begin() as two, requests.begin() as three:
        first, second, third = one.uid, two.uid, three.uid
    assert not requests.told(Report(first, ()), "FAR")
    assert requests.told(Report(second, ()), "FAR")
    assert requests.told(Report(third, ()), "FAR")


async def test_of_a_request_that_is_over_only_its_name_is_kept() -> None:
    """A report names up to 50,000 instances, and a thousand requests are remembered."""
    archive, requests = FakeMesh(), Requests()
    async with opened(archive, "FAR") as far:
        uid, report = await ask_commitment(
            requests, far.host, far.port, "FAR", "NEAR", (ONE,), wait_s=20
        )
        with pytest.raises(Unavailable):  # one that fails is not kept either
            await ask_commitment(requests, far.host, 1, "FAR", "NEAR", (ONE,), wait_s=20)
    assert report is not None
    assert list(requests._known.values()) == [None, None]
    assert requests.told(Report(uid, (ONE,)), "FAR")  # a repeat is acknowledged
