"""Data sets in another byte order or with other VRs, their values unchanged."""

import io
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info

from meshpacs.archive import rewriting
from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.archive.part10 import read_preface
from meshpacs.archive.rewriting import rewrite
from tests.archive.compressed import unparsed

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def stored(name: str) -> tuple[bytes, str]:
    """A file's data set, and its transfer syntax."""
    data = (FILES / name).read_bytes()
    preface = read_preface(data, whole=True)
    assert preface is not None
    return data[preface.offset :], preface.transfer_syntax


def read(data: bytes, syntax: str) -> Dataset:
    return read_dataset(
        io.BytesIO(data), is_implicit_VR=syntax == IMPLICIT_LITTLE, is_little_endian=True
    )


@pytest.mark.parametrize("target", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("CT_small.dcm", EXPLICIT_LITTLE),
        ("rtplan.dcm", IMPLICIT_LITTLE),
        ("MR_small_implicit.dcm", IMPLICIT_LITTLE),
        ("image_dfl.dcm", DEFLATED),
    ],
)
def test_every_value_is_as_it_was(name: str, source: str, target: str) -> None:
    data, syntax = stored(name)
    assert syntax == source
    before = pydicom.dcmread(FILES / name)
    after = read(rewrite(data, source, target), target)
    assert [e.tag for e in after] == [e.tag for e in before]
    for element in before:
        if target == EXPLICIT_LITTLE or element.VR != "UN":
            assert after[element.tag].value == element.value, element.keyword


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "ExplVR_BigEnd.dcm"])
def test_words_of_pixels_are_turned_with_everything_else(name: str) -> None:
    data, syntax = stored(name)
    assert syntax == EXPLICIT_BIG
    after = read(rewrite(data, syntax, EXPLICIT_LITTLE), EXPLICIT_LITTLE)
    before = pydicom.dcmread(FILES / name)
    assert after.Rows == before.Rows
    wide = before["PixelData"].VR == "OW"
    pixels = before.PixelData
    turned = b"".join(pixels[n : n + 2][::-1] for n in range(0, len(pixels), 2))
    assert after.PixelData == (turned if wide else pixels)


def test_big_endian_is_the_same_image_as_its_little_endian_twin() -> None:
    big, syntax = stored("MR_small_bigendian.dcm")
    after = read(rewrite(big, syntax, EXPLICIT_LITTLE), EXPLICIT_LITTLE)
    assert after.PixelData == pydicom.dcmread(FILES / "MR_small.dcm").PixelData


@pytest.mark.parametrize(
    ("data", "source", "target", "reason"),
    [
        (b"", "1.2.840.10008.1.2.4.50", EXPLICIT_LITTLE, Reason.MALFORMED),
        (b"", EXPLICIT_LITTLE, "1.2.840.10008.1.2.5", Reason.MALFORMED),
        (b"\xff\xff\xff", DEFLATED, EXPLICIT_LITTLE, Reason.MALFORMED),
        (b"\x08\0\x05\0CS\xff\x7f1", EXPLICIT_LITTLE, IMPLICIT_LITTLE, Reason.MALFORMED),
    ],
)
def test_what_cannot_be_rewritten_is_refused(
    data: bytes, source: str, target: str, reason: Reason
) -> None:
    with pytest.raises(Refused) as caught:
        rewrite(data, source, target)
    assert caught.value.reason is reason


def test_a_bomb_is_inflated_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "REWRITTEN_BYTES", 1000)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(bytes(10_000_000)) + packer.flush()
    with pytest.raises(Refused) as caught:
        rewrite(bomb, DEFLATED, EXPLICIT_LITTLE)
    assert caught.value.reason is Reason.TOO_LARGE


# ---------------------------------------------------------------- big endian and deflated

VALUES = {
    "AT": ("0028,000A", [0x00100010, 0x7FE00010], "<HHHH", (0x10, 0x10, 0x7FE0, 0x10)),
    "FD": ("0018,9073", [1.5, -2.25], "<dd", (1.5, -2.25)),
    "FL": ("0018,1271", [1.5, -2.25], "<ff", (1.5, -2.25)),
    "OB": ("0042,0011", b"\1\2\3\4", "<4s", (b"\1\2\3\4",)),
    "OD": ("7FE0,0009", b"\1\2\3\4\5\6\7\10", "<Q", (0x0807060504030201,)),
    "OF": ("0064,0009", b"\1\2\3\4\5\6\7\10", "<II", (0x04030201, 0x08070605)),
    "OL": ("0066,0129", b"\1\2\3\4", "<I", (0x04030201,)),
    "OV": ("7FE0,0001", b"\1\2\3\4\5\6\7\10", "<Q", (0x0807060504030201,)),
    "OW": ("7FE0,0010", b"\1\2\3\4", "<HH", (0x0201, 0x0403)),
    "SL": ("0018,6020", [-2], "<i", (-2,)),
    "SS": ("0028,9503", [-2, 3], "<hh", (-2, 3)),
    "SV": ("0072,0082", [-2, 3], "<qq", (-2, 3)),
    "UL": ("0018,6044", [7, 8], "<II", (7, 8)),
    "UN": ("0009,1001", b"\1\2\3\4", "<4s", (b"\1\2\3\4",)),  # nobody knows what it is
    "US": ("0028,0010", [513], "<H", (513,)),
    "UV": ("0072,0083", [7, 8], "<QQ", (7, 8)),
    "LO": ("0008,0070", "Maker", "<6s", (b"Maker ",)),
}
"""One element of each VR whose bytes depend on the byte order, and of some whose do not."""


@pytest.mark.parametrize("vr", VALUES)
@pytest.mark.parametrize("nested", [False, True])
def test_every_kind_of_word_is_turned_for_a_receiver_of_the_other_byte_order(
    vr: str, nested: bool
) -> None:
    where, value, layout, parts = VALUES[vr]
    tag = int(where.replace(",", ""), 16)
    found = item = Dataset()
    if nested:
        item = Dataset()
        found.add_new(0x0040A730, "SQ", [item])
    item.add_new(tag, vr, value)
    little = unparsed(found)
    big = rewrite(little, EXPLICIT_LITTLE, EXPLICIT_BIG)
    assert struct.pack(layout, *parts) in little
    expected = struct.pack(layout.replace("<", ">"), *parts)
    assert big.endswith(expected)
    assert tag.to_bytes(4, "big") in big
    assert rewrite(big, EXPLICIT_BIG, EXPLICIT_LITTLE) == little


def test_of_several_possible_kinds_the_right_one_is_turned() -> None:
    """Implicit VR leaves open whether a table is US or OW, a value US or SS."""
    found = Dataset()
    found.BitsAllocated, found.PixelRepresentation = 16, 1
    found.add_new(0x00280106, "SS", -2)  # Smallest Image Pixel Value: US or SS
    lut = Dataset()
    lut.add_new(0x00283002, "SS", [4, -2, 16])
    lut.add_new(0x00283006, "OW", b"\1\2\3\4\5\6\7\10")  # LUT Data: US or OW
    found.add_new(0x00283000, "SQ", [lut])
    found.add_new(0x7FE00010, "OW", b"\1\2\3\4")
    little = unparsed(found)
    implicit = rewrite(little, EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    big = rewrite(implicit, IMPLICIT_LITTLE, EXPLICIT_BIG)
    assert b"SS\0\2\xff\xfe" in big
    assert b"\2\1\4\3\6\5\10\7" in big
    assert big.endswith(b"\2\1\4\3")


def test_bytes_of_pixels_that_stand_in_words_are_turned_as_words() -> None:
    """8-bit pixels as OW: the first is in a word's low byte (PS3.5 8.1.1, A.3)."""
    found = Dataset()
    found.BitsAllocated = 8
    for vr, big in (("OW", b"\2\1\4\3"), ("OB", b"\1\2\3\4")):
        found.add_new(0x7FE00010, vr, b"\1\2\3\4")
        assert rewrite(unparsed(found), EXPLICIT_LITTLE, EXPLICIT_BIG).endswith(big)


def plain_files() -> list[str]:
    """Files of pydicom's without compression."""
    names = []
    for path in sorted(FILES.glob("*.dcm")):
        try:
            _, syntax = stored(path.name)
        except (Refused, AssertionError):
            continue
        if syntax in rewriting.PLAIN:
            names.append(path.name)
    return names


@pytest.mark.filterwarnings("ignore")  # what pydicom says of odd files
def test_every_plain_file_is_the_same_after_a_way_through_the_other_syntaxes() -> None:
    tried = 0
    for name in plain_files():
        data, syntax = stored(name)
        try:
            explicit = rewrite(data, syntax, EXPLICIT_LITTLE)
        except Refused:
            continue
        for other in (EXPLICIT_BIG, DEFLATED):
            way = rewrite(explicit, EXPLICIT_LITTLE, other)
            assert rewrite(way, other, EXPLICIT_LITTLE) == explicit, (name, other)
        tried += 1
    assert tried >= 35


@pytest.mark.filterwarnings("ignore")
def test_dcmtk_reads_the_same_in_what_was_turned(tmp_path: Path) -> None:
    dcmconv = shutil.which("dcmconv")
    if dcmconv is None:
        pytest.skip("dcmconv is not installed; on Debian: apt-get install dcmtk")
    for name in ("CT_small.dcm", "rtplan.dcm", "examples_palette.dcm", "rtdose.dcm"):
        data, syntax = stored(name)
        meta = pydicom.dcmread(FILES / name).file_meta
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        head = DicomBytesIO()
        head.is_little_endian, head.is_implicit_VR = True, False
        write_file_meta_info(head, meta)
        big = rewrite(data, syntax, EXPLICIT_BIG)
        (tmp_path / "big.dcm").write_bytes(bytes(128) + b"DICM" + head.getvalue() + big)
        words = [dcmconv, "+te", str(tmp_path / "big.dcm"), str(tmp_path / "back.dcm")]
        subprocess.run(words, check=True, capture_output=True)
        before, after = pydicom.dcmread(FILES / name), pydicom.dcmread(tmp_path / "back.dcm")
        for element in before:
            if element.VR != "UN" and element.tag.element:
                assert after[element.tag].value == element.value, (name, element.tag)
