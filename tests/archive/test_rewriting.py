"""Data sets in another byte order or with other VRs, their values unchanged."""

import io
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from meshpacs.archive import rewriting
from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.archive.part10 import read_preface
from meshpacs.archive.rewriting import rewrite

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
        (b"", EXPLICIT_LITTLE, EXPLICIT_BIG, Reason.MALFORMED),
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
