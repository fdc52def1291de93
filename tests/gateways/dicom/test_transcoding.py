"""Studies in many transfer syntaxes, for receivers that take few (PS3.4 C.4, PS3.5 annex A)."""

import io
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
import structlog.testing
from pydicom.uid import UID

from meshpacs.archive.decoding import installed
from meshpacs.dimse.contexts import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Agreement,
    Context,
)
from meshpacs.dimse.pdu import Role
from meshpacs.dimse.services import STUDY_ROOT_GET
from meshpacs.dimse.syntaxes import DECODED, KEYWORDS, PLAIN
from meshpacs.gateways.dicom.sending import (
    CannotSend,
    best_sent,
    context_for,
    pairs_for,
    ways_for,
)
from meshpacs.model.content import Entry, content_root
from meshpacs.node.book import Entry as Known
from meshpacs.node.decoders import Decoders
from tests.archive.compressed import find
from tests.gateways.dicom.doors import CT, Opened, Strangers, dcmtk, dcmtk_fails, opened
from tests.gateways.dicom.doors import PLAIN as FIND_PLAIN
from tests.gateways.dicom.test_retrieving import MOVE_PAIRS, ONE, counts, get, move, storescp
from tests.gateways.fake_mesh import STUDY, FakeMesh
from tests.node.houses import House, street

SV1, J2K, JPEG, RLE = (
    KEYWORDS[k] for k in ("JPEGLosslessSV1", "JPEG2000Lossless", "JPEGBaseline8Bit", "RLELossless")
)
needs_extra = pytest.mark.skipif(not installed(), reason="pip install 'meshpacs[pixel]'")


def entry(number: int, syntax: str) -> Entry:
    return Entry(f"{STUDY}.{number}", CT, STUDY, "CT", syntax, 3, content_root(3, b""))


# ---------------------------------------------------------------- what is chosen


def test_an_instance_goes_as_it_is_stored_if_it_may_and_else_in_the_plainest() -> None:
    assert ways_for(entry(1, J2K), frozenset(), None) == (J2K,)
    assert ways_for(entry(1, J2K), DECODED, None) == (J2K, *PLAIN)
    assert ways_for(entry(1, EXPLICIT_BIG), frozenset(), None) == (
        EXPLICIT_BIG,
        EXPLICIT_LITTLE,
        IMPLICIT_LITTLE,
        DEFLATED,
    )


def test_what_a_receiver_prefers_goes_first_where_it_can_be_made() -> None:
    assert ways_for(entry(1, J2K), DECODED, IMPLICIT_LITTLE)[:2] == (IMPLICIT_LITTLE, J2K)
    assert ways_for(entry(1, J2K), frozenset(), IMPLICIT_LITTLE) == (J2K,)
    assert ways_for(entry(1, J2K), DECODED, SV1)[0] == J2K  # nothing is compressed anew
    assert best_sent(frozenset(), None) == ()
    assert best_sent(frozenset(), SV1) == (SV1,)
    assert best_sent(DECODED, SV1) == (SV1, *PLAIN)


def test_what_is_proposed_is_what_can_be_sent() -> None:
    assert pairs_for([entry(1, J2K)]) == ((CT, (J2K,)),)
    assert pairs_for([entry(1, J2K), entry(2, J2K)], DECODED) == ((CT, (J2K,)), (CT, PLAIN))
    assert pairs_for([entry(1, EXPLICIT_LITTLE)], DECODED, IMPLICIT_LITTLE) == (
        (CT, (IMPLICIT_LITTLE,)),
        (CT, (EXPLICIT_LITTLE,)),
        (CT, PLAIN),
    )


def test_why_an_instance_cannot_be_sent_says_what_would_help() -> None:
    agreement = Agreement({1: Context(1, CT, EXPLICIT_LITTLE, scp=True)}, 0, {})
    with pytest.raises(CannotSend) as without:
        context_for(entry(1, J2K), agreement, to_scp=True)
    assert "stored in JPEG2000Lossless" in str(without.value)
    assert "ExplicitVRLittleEndian was accepted" in str(without.value)
    assert "pip install 'meshpacs[pixel]'" in str(without.value)
    for syntax, decodable in ((KEYWORDS["MPEG4HP41"], frozenset[str]()), (J2K, frozenset({JPEG}))):
        with pytest.raises(CannotSend) as caught:
            context_for(entry(1, syntax), agreement, to_scp=True, decodable=decodable)
        assert "pip" not in str(caught.value)
    with pytest.raises(CannotSend, match="nothing was accepted"):
        context_for(entry(1, J2K), Agreement({}, 0, {}), to_scp=True)


class Fond(Strangers):
    """A book in which everybody prefers the same."""

    def __init__(self, prefer: str, *known: Known) -> None:
        self.prefer, self.known = prefer, known

    def prefers(self, title: str, host: str) -> str | None:
        del title, host
        return self.prefer

    def destination(self, title: str) -> tuple[Known, ...]:
        return tuple(known for known in self.known if known.title == title)


MANY = (SV1, IMPLICIT_LITTLE, EXPLICIT_LITTLE, J2K)


@pytest.mark.parametrize(
    ("decodable", "prefer", "taken"),
    [
        (frozenset(), None, SV1),  # the requestor's first
        (DECODED, None, EXPLICIT_LITTLE),
        (DECODED, J2K, J2K),
        (frozenset(), IMPLICIT_LITTLE, IMPLICIT_LITTLE),
        (frozenset(), JPEG, SV1),  # not proposed
    ],
)
async def test_a_context_of_a_get_is_accepted_for_what_will_be_sent(
    decodable: frozenset[str], prefer: str | None, taken: str
) -> None:
    held = FakeMesh(held={entry(1, taken): b"abc"}, decodable=decodable)
    pairs = ((STUDY_ROOT_GET, FIND_PLAIN), (CT, MANY))
    roles = (Role(CT, scu=False, scp=True),)
    book = Fond(prefer) if prefer else Strangers()
    async with opened(held, book=book) as door, door.called(pairs=pairs, roles=roles) as requestor:
        assert requestor.agreement.of(CT)[0].transfer_syntax == taken
        heard = await get(requestor, ONE)
    assert heard.instances == {f"{STUDY}.1": b"abc"}


async def test_a_modality_that_stores_is_given_its_first_whatever_the_node_decodes() -> None:
    async with (
        opened(FakeMesh(decodable=DECODED)) as door,
        door.called(pairs=((CT, MANY),)) as requestor,
    ):
        assert requestor.agreement.of(CT)[0].transfer_syntax == SV1


@pytest.mark.parametrize("prefer", ["ExplicitVRBigEndian", IMPLICIT_LITTLE])
async def test_a_move_sends_what_the_destination_prefers(prefer: str) -> None:
    receiver = FakeMesh()
    held = FakeMesh(held={entry(1, J2K): b"abc", entry(2, EXPLICIT_LITTLE): b"abc"})
    held.decodable = DECODED
    async with opened(receiver, "WARD") as ward:
        book = Fond("", Known("WARD", ward.host, ward.port, prefer=prefer))
        async with opened(held, book=book) as door, door.called(pairs=MOVE_PAIRS) as requestor:
            assert counts(await move(requestor, "WARD")) == (None, 2, 0, 0)
    uid = KEYWORDS.get(prefer, prefer)
    assert sorted(receiver.arrived) == [f"{STUDY}.{n} in {uid}".encode() for n in (1, 2)]


# ---------------------------------------------------------------- real studies to real programs

KINDS = (
    "MR_small_implicit.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_RLE.dcm",
)
"""One file in each of nine transfer syntaxes: four without compression, JPEG baseline and lossless,
JPEG-LS, JPEG 2000 and RLE."""

UID_ROOT = "1.2.826.0.1.3680043.8.498.7"


def one_study() -> dict[str, bytes]:
    """These files as instances of one study, otherwise as they are."""
    study: dict[str, bytes] = {}
    for number, name in enumerate(KINDS):
        found = pydicom.dcmread(find(name))
        found.StudyInstanceUID, found.SeriesInstanceUID = UID_ROOT, f"{UID_ROOT}.1"
        found.SOPInstanceUID = UID(f"{UID_ROOT}.1.{number}")
        found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
        found.PatientID, found.PatientName = "7", "Test"
        out = io.BytesIO()
        found.save_as(out)
        study[name] = out.getvalue()
    return study


WANTED = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={UID_ROOT}")


@asynccontextmanager
async def clinic(folder: Path) -> AsyncIterator[tuple[House, Opened]]:
    """A node that has them, and its door."""
    async with street(folder) as houses:
        house = await houses.founder()
        await house.take_in(folder / "n", one_study())
        async with opened(house.up.mesh) as door:
            yield house, door


def pixels(found: Any, **options: Any) -> Any:
    from pydicom.pixels.utils import pixel_array

    return pixel_array(found, **options)


@needs_extra
@pytest.mark.filterwarnings("ignore")  # what pydicom says of odd files
@pytest.mark.timeout(180)
@pytest.mark.parametrize("options", [(), ("+xs",), ("+xv",), ("+xi",), ("+xb",)])
async def test_getscu_is_given_a_study_in_every_syntax_whatever_it_proposes(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "got").mkdir()
    async with clinic(tmp_path) as (_, door):
        said = await dcmtk("getscu", door, *options, *WANTED, "-od", str(tmp_path / "got"))
    got = {f.SOPInstanceUID: f for f in map(pydicom.dcmread, (tmp_path / "got").iterdir())}
    assert len(got) == len(KINDS), said
    for number, name in enumerate(KINDS):
        before, after = pydicom.dcmread(find(name)), got[f"{UID_ROOT}.1.{number}"]
        assert after.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE  # it proposes that, too
        raw = before.file_meta.TransferSyntaxUID != JPEG
        assert (pixels(after, raw=True) == pixels(before, raw=raw)).all(), name
        if not raw:
            assert after.LossyImageCompression == "01"
            assert after.PhotometricInterpretation == "RGB"


@needs_extra
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("options", "prefer", "kept"),
    [((), "", 0), (("+xi",), "", 0), (("+xb",), "", 0), (("+xa",), "", 9), (("+xa",), RLE, 9)],
)
async def test_movescu_delivers_a_study_in_every_syntax_to_whoever_takes_some(
    tmp_path: Path, options: tuple[str, ...], prefer: str, kept: int
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with street(tmp_path) as houses, storescp(tmp_path / "got", port, *options):
        house = await houses.founder()
        await house.take_in(tmp_path / "n", one_study())
        book = Fond("", Known("WARD", "127.0.0.1", port, prefer=prefer))
        async with opened(house.up.mesh, book=book) as door:
            said = await dcmtk("movescu", door, "-aem", "WARD", *WANTED)
    got = {f.SOPInstanceUID: f for f in map(pydicom.dcmread, (tmp_path / "got").iterdir())}
    assert len(got) == len(KINDS), said
    same = 0
    for number, name in enumerate(KINDS):
        before, after = pydicom.dcmread(find(name)), got[f"{UID_ROOT}.1.{number}"]
        stored = before.file_meta.TransferSyntaxUID
        same += after.file_meta.TransferSyntaxUID == stored
        raw = stored != JPEG or after.file_meta.TransferSyntaxUID == JPEG
        assert (pixels(after, raw=raw) == pixels(before, raw=raw)).all(), name
        if options == ("+xi",):
            assert after.file_meta.TransferSyntaxUID == IMPLICIT_LITTLE
        elif not kept:
            assert not after.file_meta.TransferSyntaxUID.is_encapsulated
    assert same == kept or not kept


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("options", "got"), [((), 4), (("+xs",), 1), (("+xv",), 1), (("+xi",), 4), (("+xr",), 1)]
)
async def test_without_the_extra_getscu_is_given_what_needs_no_decoder(
    tmp_path: Path, options: tuple[str, ...], got: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.decoders.installed", lambda: False)
    (tmp_path / "got").mkdir()
    with structlog.testing.capture_logs() as logs:
        async with clinic(tmp_path) as (_, door):
            await dcmtk_fails("getscu", door, *options, *WANTED, "-od", str(tmp_path / "got"))
    assert len(list((tmp_path / "got").iterdir())) == got
    refused = [line for line in logs if line["event"] == "dicom_instances_not_sent"]
    assert sum(line["failed"] for line in refused) == len(KINDS) - got
    reasons = [words for line in refused for words in line["reasons"].items()]
    compressed = sum(count for words, count in reasons if "pip install 'meshpacs[pixel]'" in words)
    assert compressed == 5 - (options in (("+xs",), ("+xv",), ("+xr",)))


@needs_extra
@pytest.mark.timeout(180)
@pytest.mark.parametrize("harm", ["crash", "explode", "hang"])
async def test_a_decoder_that_comes_to_harm_costs_one_instance_and_one_line(
    tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = Path(__file__).parents[2] / "node" / "planted_decoder.py"
    monkeypatch.setattr(
        "meshpacs.node.decoders.COMMAND", (sys.executable, str(planted), harm, "JPEGLSLossless")
    )
    decode = Decoders.decode

    async def impatient(made: Decoders, data: bytes, source: str, target: str) -> bytearray:
        made._patience_s = 0.2 if source == KEYWORDS["JPEGLSLossless"] and harm == "hang" else 60.0
        return await decode(made, data, source, target)

    monkeypatch.setattr(Decoders, "decode", impatient)
    (tmp_path / "got").mkdir()
    with structlog.testing.capture_logs() as logs:
        async with clinic(tmp_path) as (house, door):
            await dcmtk_fails("getscu", door, *WANTED, "-od", str(tmp_path / "got"))
            assert (await house.up.mesh.status()).archive.instances == len(KINDS)
    assert len(list((tmp_path / "got").iterdir())) == len(KINDS) - 1
    told = [line for line in logs if line["log_level"] == "warning"]
    assert [line["event"] for line in told] == ["dicom_instances_not_sent"]
    assert told[0]["first"] == f"{UID_ROOT}.1.{KINDS.index('MR_small_jpeg_ls_lossless.dcm')}"
    words = {
        "crash": "ended its process (signal 11)",
        "explode": "memory",
        "hang": "not decoded within",
    }
    ((why, count),) = told[0]["reasons"].items()
    assert words[harm] in why
    assert count == 1


@needs_extra
@pytest.mark.timeout(180)
async def test_pynetdicom_that_takes_big_endian_alone_is_sent_that(tmp_path: Path) -> None:
    import trio

    async with clinic(tmp_path) as (_, door):
        got = await trio.to_thread.run_sync(get_big_endian, door)
    assert len(got) == len(KINDS)
    for number, name in enumerate(KINDS):
        before, after = pydicom.dcmread(find(name)), got[f"{UID_ROOT}.1.{number}"]
        raw = before.file_meta.TransferSyntaxUID != JPEG
        assert (pixels(after, raw=True) == pixels(before, raw=raw)).all(), name


def get_big_endian(door: Opened) -> dict[str, pydicom.FileDataset]:
    """Get all of it with pynetdicom, which reads what comes by itself."""
    from pydicom.dataset import Dataset
    from pynetdicom import AE, build_role, evt

    got: dict[str, pydicom.FileDataset] = {}

    def keep(event: Any) -> int:
        found = event.dataset
        found.file_meta = event.file_meta
        out = io.BytesIO()
        found.save_as(out, enforce_file_format=True)
        out.seek(0)
        got[str(found.SOPInstanceUID)] = pydicom.dcmread(out)
        return 0

    ae = AE(ae_title="PYNET")
    ae.add_requested_context(STUDY_ROOT_GET)
    classes = {str(pydicom.dcmread(find(name)).SOPClassUID) for name in KINDS}
    for sop_class in sorted(classes):
        ae.add_requested_context(sop_class, UID(EXPLICIT_BIG))
    association = ae.associate(
        door.host,
        door.port,
        ae_title="MESHPACS",
        ext_neg=[build_role(UID(sop_class), scp_role=True) for sop_class in sorted(classes)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", UID_ROOT
    statuses = [int(s.Status) for s, _ in association.send_c_get(wanted, STUDY_ROOT_GET)]
    association.release()
    assert statuses[-1] == 0
    return got
