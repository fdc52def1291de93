"""Storage commitment asked for by pynetdicom of a real node, and reported to it (PS3.4 J.3)."""

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pydicom
import pytest
import structlog.testing
import trio

from meshpacs.archive.faults import DiskFull, IndexDamaged
from meshpacs.dimse import commitment as rules
from meshpacs.dimse.commands import (
    ActionResponse,
    EventReportRequest,
    EventReportResponse,
    Response,
    StoreRequest,
    StoreResponse,
)
from meshpacs.dimse.commitment import Asked, action_request, read_report, write_asked
from meshpacs.dimse.elements import Bounds
from meshpacs.dimse.pdu import Abort
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.gateways.dicom import comments, committing, line, reporting, titles
from meshpacs.gateways.dicom.caller import LARGE
from meshpacs.gateways.dicom.channel import message
from meshpacs.gateways.dicom.requesting import Requestor
from meshpacs.model.commitment import GIVE_UP_US, Reference
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.node import commitments as table
from meshpacs.node.book import Entry
from meshpacs.node.views import Health, StatusView
from tests.gateways.dicom.doors import CT, MR, PLAIN, PRIVATE, Opened, Strangers, opened
from tests.gateways.dicom.test_storing import data_set_of
from tests.gateways.fake_mesh import FakeMesh
from tests.node.clinics import STUDY, instance
from tests.node.houses import House, street
from tests.peers.modality import Modality, request

pytestmark = pytest.mark.timeout(120)

T = TypeVar("T")

ONE, TWO, THREE = (Reference(CT, f"{STUDY}.1.{number}") for number in (1, 2, 3))
HERE = "127.0.0.1"
ACTION = action_request(1)
ASKED = write_asked(Asked("1.2.9", (ONE,)), explicit=True)


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "QUIET_S", 0.05)
    monkeypatch.setattr(line, "LOOK_S", 0.01)
    monkeypatch.setattr(reporting, "LOOK_S", 0.05)


@dataclass
class Known(Strangers):
    """A book of one machine, once it has a port."""

    modality: Modality
    services: frozenset[str] = frozenset()

    def prefers(self, title: str, host: str) -> str | None:
        return None

    def allows(self, title: str, host: str) -> frozenset[str]:
        return self.services if title == self.modality.title else frozenset()

    def destination(self, title: str) -> tuple[Entry, ...]:
        listens = self.modality.port and title == self.modality.title
        return (Entry(title, HERE, self.modality.port),) if listens else ()


@dataclass
class Scene:
    """A node that has the first two instances, its door, and a modality."""

    nord: House
    door: Opened
    modality: Modality = field(default_factory=Modality)

    async def ask(self, *references: Reference, **options: Any) -> tuple[int, str]:
        call = partial(self.modality.ask, self.door.host, self.door.port, *references, **options)
        return await aside(call)

    async def asked(self, *references: Reference, **options: Any) -> dict[str, int]:
        """Ask, wait on the association; what failed."""
        assert await self.ask(*references, stay=True, **options) == (0, "")
        return self.modality.told[-1].failed

    @asynccontextmanager
    async def listening(self, **how: bool | None) -> AsyncIterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.modality.listening(**how))  # type: ignore[arg-type]
            try:
                yield
            finally:
                with trio.move_on_after(60, shield=True):
                    await aside(stack.close)

    async def told(self, count: int) -> None:
        await aside(partial(self.modality.wait_told, count))


async def aside(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work)


@asynccontextmanager
async def scene(folder: Path, services: frozenset[str] = frozenset()) -> AsyncIterator[Scene]:
    async with street(folder) as houses:
        nord = await houses.founder()
        await nord.take_in(folder / "in", {"a": instance(1), "b": instance(2)})
        modality = Modality()
        async with opened(nord.up.mesh, book=Known(modality, services)) as door:
            yield Scene(nord, door, modality)


# ---------------------------------------------------------------- where the report goes


async def test_who_waits_is_told_on_the_same_association(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert await here.asked(ONE, TWO, uid="1.2.1") == {}
        (told,) = here.modality.told
        assert (told.event_type, told.uid, told.retrieve_title) == (1, "1.2.1", "MESHPACS")
        assert told.committed == [ONE.sop_uid, TWO.sop_uid]
        view = (await here.nord.up.mesh.status()).commitments
        assert (view.open, view.given_up, view.transactions) == (0, 0, ())


@pytest.mark.parametrize(
    ("scp_role", "associations"), [(True, [True]), (False, [True, None]), (None, [True])]
)
async def test_who_has_left_is_called_with_our_role_and_else_without_roles(
    tmp_path: Path, scp_role: bool | None, associations: list[bool | None]
) -> None:
    async with scene(tmp_path) as here:
        async with here.listening(scp_role=scp_role):
            assert await here.ask(ONE, THREE) == (0, "")
            await here.told(1)
        (told,) = here.modality.told
        assert (told.event_type, told.committed) == (2, [ONE.sop_uid])
        assert told.failed == {THREE.sop_uid: 0x0112}
        assert here.modality.roles == associations


async def test_an_unknown_requestor_waits_and_people_are_told_once_what_to_do(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as here:
        with structlog.testing.capture_logs() as logged:
            for number in (1, 2):
                assert await here.ask(ONE, uid=f"1.2.{number}") == (0, "")
            status = await pending(here, 2)
        assert status.level is Health.DEGRADED
        (trouble,) = status.troubles
        assert trouble.mend == f"meshpacs dicom ae add PYNET {HERE}:PORT"
        assert trouble.what.startswith("Each of 2 reports of storage commitment for PYNET waits")
        view = status.commitments
        assert [one.attempts for one in view.transactions] == [0, 0]
        told = [entry for entry in logged if entry["event"] == "commitment_requestor_unknown"]
        assert [entry["mend"] for entry in told] == [trouble.mend]
        async with here.listening():  # and now the book knows its port
            await here.told(2)
        assert sorted(told.uid for told in here.modality.told) == ["1.2.1", "1.2.2"]


async def pending(here: Scene, count: int) -> StatusView:
    """The status once so many reports wait and it is known why."""
    with trio.fail_after(30):
        while True:
            status = await here.nord.up.mesh.status()
            if sum(bool(one.what) for one in status.commitments.transactions) == count:
                return status
            await trio.sleep(0.01)


async def test_a_report_that_is_not_taken_is_kept_and_comes_at_once_when_asked_again(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as here:
        here.modality.answer = 0x0110
        async with here.listening():
            assert await here.ask(ONE) == (0, "")
            status = await pending(here, 1)
            (one,) = status.commitments.transactions
            assert one.what == "It answers the report with the status 0110."
            assert (one.attempts, one.state, one.transaction_uid) == (1, "open", "1.2.3.4")
            assert one.next_us - one.asked_us > 0
            here.modality.answer = 0
            assert await here.ask(ONE) == (0, "")  # a minute before the next attempt is due
            await here.told(2)
        assert [told.uid for told in here.modality.told] == ["1.2.3.4", "1.2.3.4"]
        with trio.fail_after(30):
            while (await here.nord.up.mesh.status()).commitments.open:
                await trio.sleep(0.01)


async def test_one_that_was_given_up_is_shown_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as here:
        await here.ask(ONE)
        await pending(here, 1)
        kept = here.nord.up.mesh.commitments
        (one,) = await kept.open_ones()
        monkeypatch.setattr(kept, "_wall", lambda: one.asked_us + GIVE_UP_US)
        with trio.fail_after(30):
            while (await here.nord.up.mesh.status()).commitments.open:
                await trio.sleep(0.01)
        status = await here.nord.up.mesh.status()
        assert (status.commitments.open, status.commitments.given_up) == (0, 1)
        (trouble,) = status.troubles
        assert "for PYNET was given up after a day. The AE book" in trouble.what


async def test_a_machine_without_the_service_is_told_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        async with here.listening(serves=False):
            await here.ask(ONE)
            status = await pending(here, 1)
        assert "no reports of storage commitment" in status.troubles[0].what


async def test_a_report_waits_until_what_goes_on_has_ended(tmp_path: Path) -> None:
    store = StoreRequest(has_data=True, message_id=8, sop_class=CT, sop_uid=THREE.sop_uid)
    pairs = ((STORAGE_COMMITMENT, PLAIN), (CT, PLAIN))
    async with scene(tmp_path) as here, here.door.called(pairs=pairs, calling="RAW") as raw:
        (asking,), (storing,) = (raw.agreement.of(uid) for uid, _ in pairs)
        data = data_set_of(instance(3))
        await raw.channel.send(asking.id, ACTION, ASKED)
        assert isinstance((await raw.receive())[1], ActionResponse)
        pdus = message(storing.id, store, data, 4096)
        await raw.channel.send_all([pdus[:-10]])
        await trio.sleep(0.2)  # four times as long as it takes to be quiet
        await raw.channel.send_all([pdus[-10:]])
        assert isinstance((await raw.receive())[1], StoreResponse)
        _, report, event = await raw.receive()
        assert isinstance(report, EventReportRequest)
        assert read_report(event, explicit=True).committed == (ONE,)
        late = EventReportResponse(responded_id=report.message_id, status=0)
        await raw.channel.send(asking.id, late)
        await raw.channel.send(asking.id, late)  # once more does no harm
        assert isinstance(await raw.ask(asking.id, replace(ACTION, message_id=9), ASKED), Response)


async def test_an_answer_to_a_report_that_was_never_sent_ends_the_association(
    tmp_path: Path,
) -> None:
    pairs = ((STORAGE_COMMITMENT, PLAIN),)
    async with scene(tmp_path) as here, here.door.called(pairs=pairs) as raw:
        await raw.channel.send(1, EventReportResponse(responded_id=1, status=0))
        assert isinstance(await raw.channel.receive(), Abort)


# ---------------------------------------------------------------- what is said of an instance


async def test_each_failure_has_the_standards_reason(tmp_path: Path) -> None:
    other = Reference(MR, TWO.sop_uid)
    unknown = Reference("1.2.840.10008.1.9", "1.2.3")
    private = Reference(PRIVATE, "1.2.4")
    async with scene(tmp_path) as here:
        failed = await here.asked(ONE, other, THREE, unknown, private)
        assert here.modality.told[-1].committed == [ONE.sop_uid]
        assert failed == {
            TWO.sop_uid: 0x0119,
            THREE.sop_uid: 0x0112,
            "1.2.3": 0x0122,
            "1.2.4": 0x0112,
        }


async def test_an_instance_in_conflict_is_a_failure_until_the_conflict_is_gone(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as here:
        await here.nord.take_in(tmp_path / "again", {"a": instance(1, variant=1)})
        assert await here.asked(ONE, TWO, uid="1.2.1") == {ONE.sop_uid: 0x0110}
        await here.nord.up.mesh.delete(STUDY, even_if_last=True, confirmed=True)
        assert await here.asked(ONE, uid="1.2.2") == {ONE.sop_uid: 0x0112}
        await here.nord.take_in(tmp_path / "right", {"a": instance(1, variant=1)})
        assert await here.asked(ONE, uid="1.2.3") == {}


async def test_bytes_that_the_disk_has_changed_are_not_committed(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        for path in (here.nord.home.archive / "blobs").rglob("*.dcm"):
            if pydicom.dcmread(path).SOPInstanceUID == ONE.sop_uid:
                with path.open("r+b") as file:
                    file.seek(-1, os.SEEK_END)
                    file.write(b"\xff")
        assert await here.asked(ONE, TWO) == {ONE.sop_uid: 0x0112}
        assert (await here.nord.up.mesh.status()).troubles[0].what.startswith("The disk has lost")


async def test_a_uid_that_is_in_use_for_other_instances_is_a_duplicate(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert await here.asked(ONE, uid="1.2.1") == {}
        assert await here.asked(ONE, TWO, uid="1.2.1") == {
            ONE.sop_uid: 0x0131,
            TWO.sop_uid: 0x0131,
        }
        assert await here.asked(ONE, uid="1.2.1") == {}  # the first, which is told again
        here.modality.title = "OTHER"
        assert await here.asked(TWO, uid="1.2.1") == {}


# ---------------------------------------------------------------- what is refused at once


async def test_what_is_no_request_is_refused_with_the_standards_status(tmp_path: Path) -> None:
    lacking = request("1.2.3")
    async with scene(tmp_path) as here:
        assert (await here.ask(ONE, instance="1.2.3"))[0] == 0x0112
        assert (await here.ask(ONE, action_type=2))[0] == 0x0123
        status, comment = await here.ask(information=lacking)
        assert (status, "Referenced SOP Sequence" in comment) == (0x0115, True)
        assert (await here.ask(ONE, information=None))[0] == 0x0114
        assert (await here.nord.up.mesh.status()).commitments.open == 0


async def test_what_cannot_be_kept_is_refused_without_telling_our_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mesh = FakeMesh()
    file = Path("/srv/clinic/commitments.sqlite")
    faults = [
        (DiskFull(f"The disk that holds {file} is full."), 0x0213),
        (Unavailable(f"{file} could not be read or written: failing."), 0x0110),
        (IndexDamaged(f"The index {file} is damaged."), 0x0110),
    ]

    async with (
        opened(mesh) as door,
        door.called(pairs=((STORAGE_COMMITMENT, PLAIN),)) as raw,
    ):
        for fault, status in faults:

            async def failing(_: object, fault: MeshError = fault) -> NoReturn:
                raise fault

            monkeypatch.setattr(mesh.commitments, "_do", failing)
            answer = await raw.ask(1, replace(ACTION, message_id=raw.next_id()), ASKED)
            assert answer.status == status
            assert answer.comment
            assert "srv" not in answer.comment


async def test_so_many_large_requests_are_read_at_once_and_the_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    callers = 5
    go, at_once = threading.Event(), LARGE.total_tokens

    def read(data: bytes, *, explicit: bool) -> Asked:
        assert go.wait(60)
        return rules.read_asked(data, explicit=explicit)

    monkeypatch.setattr(committing, "read_asked", read)
    async with opened(FakeMesh()) as door, AsyncExitStack() as stack:
        answers: list[int] = []

        async def ask(raw: Requestor) -> None:
            answers.append((await raw.ask(1, ACTION, ASKED)).status)

        try:
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    for _ in range(callers):
                        called = door.called(pairs=((STORAGE_COMMITMENT, PLAIN),))
                        nursery.start_soon(ask, await stack.enter_async_context(called))
                    while LARGE.statistics().tasks_waiting < callers - at_once:
                        await trio.sleep(0.01)
                    assert LARGE.borrowed_tokens == at_once
                    go.set()
        finally:
            go.set()
        assert answers == [0] * callers


async def test_more_than_is_taken_in_is_a_resource_limitation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as here:
        with monkeypatch.context() as patch:
            patch.setattr(rules, "BOUNDS", Bounds(items=2))
            assert (await here.ask(ONE, TWO, THREE))[0] == 0x0213
        async with here.door.called(pairs=((STORAGE_COMMITMENT, PLAIN),)) as raw:
            with monkeypatch.context() as patch:  # in pieces that are not kept
                patch.setattr(committing, "COMMITMENT_BYTES", 50)
                await raw.channel.send_all([message(1, ACTION, ASKED, 64)])
                _, answer, _ = await raw.receive()
            assert isinstance(answer, ActionResponse)
            assert answer.status == 0x0213
        with monkeypatch.context() as patch:
            patch.setattr(table, "COMMITMENTS_OF_ONE", 1)
            assert (await here.ask(ONE, uid="1.2.1"))[0] == 0
            status, comment = await here.ask(ONE, uid="1.2.2")
            assert (status, comment) == (0x0213, comments.NO_ROOM)


async def test_a_table_that_cannot_be_written_is_a_processing_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_words: object) -> NoReturn:
        raise Unavailable("The disk does not answer.")

    async with scene(tmp_path) as here:
        monkeypatch.setattr(table.Commitments, "keep", fails)
        assert await here.ask(ONE) == (0x0110, comments.LATER)


async def test_who_may_only_store_is_not_committed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titles, "is_loopback", lambda _host: False)
    for services, accepted in ((frozenset({"store"}), 0), (frozenset({"commit"}), 1)):
        async with scene(tmp_path / str(accepted), services) as here:
            pairs = ((STORAGE_COMMITMENT, PLAIN), (CT, PLAIN))
            async with here.door.called(pairs=pairs, calling="PYNET") as raw:
                assert len(raw.agreement.of(STORAGE_COMMITMENT)) == accepted
                assert len(raw.agreement.of(CT)) == 1 - accepted
