"""C-GET and C-MOVE as SCU, against doors of our own and DCMTK's archive (PS3.4 C.4.2, C.4.3)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydicom
import pytest
import trio

from meshpacs.dimse.services import STUDY_ROOT_GET
from meshpacs.dimse.syntaxes import LITTLE
from meshpacs.gateways.dicom import ordering as module
from meshpacs.gateways.dicom.classes import IMAGES, proposals
from meshpacs.gateways.dicom.ordering import Delivered, Order, get, move
from meshpacs.gateways.dicom.requesting import Machine
from meshpacs.model.attributes import Level
from meshpacs.model.errors import Unavailable
from meshpacs.model.limits import PRESENTATION_CONTEXTS
from meshpacs.node.book import Entry as Known
from meshpacs.node.spool import Spool, open_spool
from meshpacs.node.views import NotKept, Why
from tests.gateways.dicom.doors import CT, Opened, opened
from tests.gateways.dicom.test_retrieving import (
    JPEG,
    PATIENT_ID,
    STUDY_UID,
    Atlas,
    entry,
    mesh,
)
from tests.gateways.fake_mesh import STUDY, FakeMesh
from tests.node.clinics import instance
from tests.node.houses import street

REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
J2K = "1.2.840.10008.1.2.4.90"
ONE = Order(Level.STUDY, ((STUDY_UID, (STUDY,)),))


def machine(door: Opened) -> Machine:
    return Machine(door.host, door.port, "MESHPACS", "TEST")


def quiet(_: Delivered) -> None:
    pass


async def test_what_is_ordered_comes_with_every_byte() -> None:
    held, here = mesh(1, 2_500_000), FakeMesh()
    async with opened(held) as door:
        done = await get(machine(door), ONE, here.arrival, quiet, trio.Event())
    assert (done.status, done.completed, done.failed) == (0, 2, 0)
    assert here.arrived == list(held.held.values())
    assert here.asked[0] == ("arrival", CT, f"{STUDY}.1", "1.2.840.10008.1.2.1", "MESHPACS")
    assert done.stored == {f"{STUDY}.1", f"{STUDY}.2"}


async def test_what_fails_uncompressed_is_ordered_again_compressed() -> None:
    held, here = mesh(1), FakeMesh()
    held.held[entry(9, 1, syntax=JPEG)] = b"j"
    async with opened(held) as door:
        done = await get(machine(door), ONE, here.arrival, quiet, trio.Event())
    assert done.stored == {f"{STUDY}.1", f"{STUDY}.9"}
    assert here.arrived == [b"\1", b"j"]
    assert len([asked for asked in held.asked if isinstance(asked, tuple)]) < 7


async def test_an_instance_that_cannot_be_kept_is_answered_so_and_is_not_ordered_again() -> None:
    fault = Unavailable("The disk is full.")
    held, here = mesh(1, 2), FakeMesh(not_kept=NotKept(Why.NO_ROOM, fault))
    async with opened(held) as door:
        done = await get(machine(door), ONE, here.arrival, quiet, trio.Event())
    assert (done.status, done.completed, done.failed) == (0xA702, 0, 2)
    assert done.refused == {f"{STUDY}.{n}": "The disk is full." for n in (1, 2)}
    assert [asked[0] for asked in held.asked if isinstance(asked, tuple)] == ["find", "retrieve"]


async def test_a_cancel_ends_it_and_what_came_is_kept() -> None:
    held, here, cancel = mesh(1), FakeMesh(), trio.Event()
    held.held[entry(2, 1)] = None
    held.hang = trio.Event()

    def first_has_come(_: Delivered) -> None:
        cancel.set()

    async with opened(held) as door:
        with trio.fail_after(20):
            done = await get(machine(door), ONE, here.arrival, first_has_come, cancel)
    assert (done.status, done.remaining, done.completed) == (0xFE00, 1, 1)
    assert here.arrived == [b"\1"]


async def test_an_archive_that_may_not_send_that_way_is_told_apart() -> None:
    from pynetdicom import AE

    ae = AE("MESHPACS")  # its storage classes are not offered in the other role
    ae.add_supported_context(STUDY_ROOT_GET)
    ae.add_supported_context(CT)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    assert server.socket is not None
    try:
        peer = Machine("127.0.0.1", server.socket.getsockname()[1], "MESHPACS", "TEST")
        with pytest.raises(Unavailable, match="sends no class of images that way"):
            await get(peer, ONE, FakeMesh().arrival, quiet, trio.Event())
    finally:
        server.shutdown()
        server.server_close()


async def test_an_archive_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    async with opened(FakeMesh(silent=True)) as door:
        with pytest.raises(BaseExceptionGroup) as raised:
            await get(machine(door), ONE, FakeMesh().arrival, quiet, trio.Event())
    assert raised.group_contains(Unavailable, match=r"said nothing for 0 s")


async def test_a_move_counts_and_says_where_it_went() -> None:
    held, ward = mesh(1, 2), FakeMesh()
    async with opened(ward, "WARD") as receiver:
        book = Atlas(Known("WARD", receiver.host, receiver.port))
        async with opened(held, book=book) as door:
            done = await move(machine(door), ONE, "WARD", quiet, trio.Event())
            unknown = await move(machine(door), ONE, "NOBODY", quiet, trio.Event())
    assert (done.status, done.completed) == (0, 2)
    assert sorted(ward.arrived) == sorted(held.held.values())  # type: ignore[type-var]
    assert unknown.status == 0xA801


async def test_an_order_by_the_patient_is_one_of_the_patient_root() -> None:
    held = mesh(1)
    order = Order(Level.PATIENT, ((PATIENT_ID, ("12345678",)),))
    async with opened(held) as door:
        done = await get(machine(door), order, FakeMesh().arrival, quiet, trio.Event())
    assert (done.status, done.completed) == (0, 1)


BESIDE_IMAGES = (
    "88.11", "88.22", "88.33", "88.59", "88.67", "11.1", "66.4", "66.1", "104.1", "481.2", "481.3",
    "481.5", "9.1.1", "9.1.2", "9.4.1",
)  # fmt: skip
"""SRs, key objects, dose, presentation states, segmentations, registrations, PDF, radiotherapy,
ECG and dictation: what lies in a study beside its images."""


def test_a_whole_study_comes_on_the_first_association() -> None:
    # Orthanc 1.10 ends a C-GET at the first instance that it has no context for (C000), so what is
    # proposed on another association never comes together with the rest.
    first = {sop_class for sop_class, _ in next(proposals())}
    common = {f"1.2.840.10008.5.1.4.1.1.{end}" for end in (*BESIDE_IMAGES, "2", "4", "7", "20")}
    assert common - first == set()


def test_an_association_never_proposes_more_than_fit() -> None:
    known = proposals([CT, REPORT, "1.2.840.10008.1.1", CT])
    assert next(known)[:3] == ((CT, LITTLE), (REPORT, LITTLE), (CT, (J2K,)))
    every = list(known)
    assert every == list(proposals())
    assert len(next(proposals(IMAGES))) == PRESENTATION_CONTEXTS - 1
    assert all(len(pairs) < PRESENTATION_CONTEXTS for pairs in every)
    assert every[0][0] == (CT, ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"))
    assert len({pair for pairs in every for pair in pairs}) == sum(map(len, every))


@asynccontextmanager
async def spool(folder: Path) -> AsyncIterator[Spool]:
    folder.mkdir()
    async with open_spool(folder) as one:
        yield one


@pytest.mark.timeout(120)
async def test_a_spool_checks_what_comes_and_gives_it_on(tmp_path: Path) -> None:
    name = Path(pydicom.__file__).parent / "data" / "test_files" / "MR_small_RLE.dcm"
    study = pydicom.dcmread(name).StudyInstanceUID
    async with street(tmp_path) as houses, spool(tmp_path / "spool") as coming:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "n", {"a": name.read_bytes(), "b": instance(1)})
        async with opened(nord.up.mesh) as door:
            order = Order(Level.STUDY, ((STUDY_UID, (study, "1.2.826.0.1.7")),))
            done = await get(machine(door), order, coming.arrival, quiet, trio.Event())
        assert len(done.stored) == 2
        assert sum([await coming.export(uid, tmp_path / "out") for uid in done.studies]) == 2
    got = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    (rle,) = [data for data in got if data.StudyInstanceUID == study]
    assert rle.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert rle.PixelData == pydicom.dcmread(name).PixelData


def test_what_is_missing_is_known_with_a_list_of_what_failed_and_without() -> None:
    done = Delivered(completed=0, failed=2, stored={"1.1"}, refused={"1.2": "no room"})
    assert done.missing == 0
    done.failed = 3
    assert done.missing == 1
    done.failed_uids = ("1.2", "1.3", "1.4")
    assert done.missing == 2
    done.failed_uids = ("1.1",)
    assert done.missing == 0
