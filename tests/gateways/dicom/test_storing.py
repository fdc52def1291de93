"""Instances sent to a real node: durable, unchanged, found (PS3.4 annex B)."""

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trio
from pydicom.filereader import read_file_meta_info

from meshpacs.dimse.commands import StoreRequest
from meshpacs.model.attributes import Level
from meshpacs.model.query import Query
from tests.gateways.dicom.doors import CT, Opened, dcmtk, opened
from tests.node.clinics import instance
from tests.node.houses import House, street

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
SENT = (
    "CT_small.dcm",
    "MR_small_RLE.dcm",
    "ExplVR_BigEnd.dcm",
    "JPEG2000.dcm",
    "JPEG-lossy.dcm",
    "rtplan.dcm",
    "reportsi.dcm",
    "image_dfl.dcm",
)
"""No two of one SOP Instance UID; plain, big-endian, deflated, RLE, JPEG and JPEG 2000."""


def send(door: Opened, files: list[Path]) -> dict[str, tuple[int, str]]:
    """Send files with pynetdicom; status and comment by name."""
    from pynetdicom import AE

    ae = AE(ae_title="PYNET")
    metas = {path: read_file_meta_info(path) for path in files}
    for meta in metas.values():
        ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    association = ae.associate(door.host, door.port, ae_title="MESHPACS", max_pdu=0)
    assert association.is_established
    found: dict[str, Any] = {}
    for path in files:
        answer = association.send_c_store(path)
        found[path.name] = int(answer.Status), str(answer.get("ErrorComment", ""))
    association.release()
    return found


async def sent_raw(door: Opened, path: Path) -> int:
    """Send a file's data set byte for byte, which pynetdicom would decode and write anew."""
    meta, head = read_file_meta_info(path), pydicom.dcmread(path, stop_before_pixels=True)
    sop_class = str(head.SOPClassUID)
    async with door.called(pairs=((sop_class, (str(meta.TransferSyntaxUID),)),)) as requestor:
        (context,) = requestor.agreement.of(sop_class)
        request = StoreRequest(
            has_data=True, message_id=1, sop_class=sop_class, sop_uid=str(head.SOPInstanceUID)
        )
        return (await requestor.ask(context.id, request, data_set(path))).status


def data_set(path: Path) -> bytes:
    """The bytes behind the file meta information."""
    return data_set_of(path.read_bytes())


def data_set_of(data: bytes) -> bytes:
    """The same of a file that is in memory."""
    length = int.from_bytes(data[140:144], "little")
    assert data[132:138] == b"\2\0\0\0UL"
    return data[144 + length :]


async def kept(house: House, sop_uid: str, study_uid: str) -> bytes:
    """The stored data set of one instance."""
    archive = house.up.rooms.vault.archive
    (entry,) = [e for e in archive.study_entries(study_uid) if e.sop_uid == sop_uid]
    leaves = range(-(-entry.size_bytes // 2**20))
    return b"".join(archive.read_leaf(entry.root, n, entry.transfer_syntax) for n in leaves)


@pytest.mark.timeout(120)
async def test_what_is_stored_is_what_was_sent_in_any_transfer_syntax(tmp_path: Path) -> None:
    files = [FILES / name for name in SENT]
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        async with opened(nord.up.mesh) as door:
            for path in files:
                assert await sent_raw(door, path) == 0, path.name
        for path in files:
            head = pydicom.dcmread(path, stop_before_pixels=True)
            stored = await kept(nord, head.SOPInstanceUID, head.StudyInstanceUID)
            assert stored == data_set(path), path.name


@pytest.mark.timeout(120)
async def test_dcmtk_sends_an_instance_again_and_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    file.write_bytes(instance(1, size=300_000))
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        async with opened(nord.up.mesh) as door:
            for _ in range(2):
                said = await dcmtk("storescu", door, str(file))
                assert "Received Store Response (Success)" in said
        found = await nord.find(Query(Level.STUDY), local_only=True)
        assert [m.record[0x0020_1208] for m in found.matches] == [("1",)]


@pytest.mark.timeout(120)
async def test_what_cannot_be_kept_is_refused_by_name(tmp_path: Path) -> None:
    lacking = pydicom.dcmread(io.BytesIO(instance(1)))
    del lacking.StudyInstanceUID
    lacking.save_as(tmp_path / "lacking.dcm")
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        async with opened(nord.up.mesh) as door:
            statuses = await trio.to_thread.run_sync(send, door, [tmp_path / "lacking.dcm"])
            async with door.called() as requestor:
                # What is announced is another instance than what comes.
                (context,) = requestor.agreement.of(CT)
                request = StoreRequest(has_data=True, message_id=1, sop_class=CT, sop_uid="1.2.3")
                (tmp_path / "b.dcm").write_bytes(instance(2))
                mixed = await requestor.ask(context.id, request, data_set(tmp_path / "b.dcm"))
        assert statuses["lacking.dcm"][0] == 0xC000
        assert "Study Instance UID" in statuses["lacking.dcm"][1]
        assert mixed.status == 0xA900
        assert (await nord.find(local_only=True)).matches == ()
