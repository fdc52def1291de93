"""Compressed pixels decoded: every value as the codec has it, and said of it what is true."""

import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pydicom
import pytest

from meshpacs.archive import decoding
from meshpacs.archive.codestreams import LOSSY_JPEG, has_lost
from meshpacs.archive.decoding import decode, installed
from meshpacs.archive.faults import Reason, Refused
from meshpacs.dimse.contexts import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.dimse.syntaxes import DECODED, KEYWORDS, name_syntax
from tests.archive import compressed
from tests.archive.compressed import data_set, find, image, parsed, unparsed

pytestmark = [
    pytest.mark.skipif(not installed(), reason="pip install 'meshpacs[pixel]'"),
    pytest.mark.filterwarnings("ignore"),  # what pydicom says of odd files
]

FILES = {path.name: (path, syntax) for path, syntax in compressed.files()}

REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "cannot be decoded",  # its codestream is none
    "emri_small_jpeg_2k_lossless_too_short.dcm": "do not end",
}
NO_PIXELS = {"UN_sequence.dcm"}
PYDICOM_CANNOT = {"JPGExtended.dcm", "JPEG-lossy.dcm"}
"""12-bit JPEG, which pydicom decodes with a library under the GPL alone; DCMTK can."""

LOST = {
    "693_J2KI.dcm",
    "JPEG2000.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "MR2_J2KI.dcm",
    "RG1_J2KI.dcm",
    "RG3_J2KI.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "US1_J2KI.dcm",
}
"""Not JPEG, and yet with a loss; of SC_rgb_gdcm_KY.dcm the wavelet is the reversible one."""

MAY_CHANGE = {
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "LossyImageCompression",
}


def pixels(found: Any, **options: Any) -> Any:
    from pydicom.pixels.utils import pixel_array

    return pixel_array(found, **options)


def test_the_corpus_has_what_is_promised() -> None:
    names = {name_syntax(syntax) for _, syntax in FILES.values()}
    made_here = {"HTJ2K", "HTJ2KLossless", "HTJ2KLosslessRPCL", "JPEGLossless"}
    assert names | made_here == {name_syntax(syntax) for syntax in DECODED}
    assert len(FILES) >= 38  # pydicom's own; with pydicom-data 60


@pytest.mark.parametrize("name", sorted(FILES.keys() - REFUSED.keys() - NO_PIXELS))
def test_pixels_are_those_that_pydicom_decodes_and_nothing_else_changes(name: str) -> None:
    path, syntax = FILES[name]
    before = pydicom.dcmread(path)
    after = parsed(decode(data_set(path), syntax, EXPLICIT_LITTLE))
    for element in before:
        if element.tag.element and element.keyword not in MAY_CHANGE:
            assert after[element.tag].value == element.value, element.tag
    assert {e.tag for e in after} - {e.tag for e in before} <= {0x0028_2110, 0x0028_0006}
    frames = int(before.get("NumberOfFrames") or 1)
    size = after.Rows * after.Columns * after.SamplesPerPixel * after.BitsAllocated // 8 * frames
    assert len(after.PixelData) == size + size % 2
    assert ("OB" if after.BitsAllocated == 8 else "OW") == after["PixelData"].VR
    lossy = syntax in LOSSY_JPEG
    if lossy or name in LOST:
        assert after.LossyImageCompression == "01"
    else:
        assert after.get("LossyImageCompression") == before.get("LossyImageCompression")
    if name not in PYDICOM_CANNOT:
        options: dict[str, Any] = {} if lossy else {"raw": True}
        for number in {0, frames - 1}:
            decoded = pixels(before, index=number, **options)
            assert (pixels(after, index=number, raw=True) == decoded).all()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_decoded_is_refused_with_a_reason(name: str) -> None:
    if name not in FILES:
        pytest.skip("pydicom-data is not installed")
    path, syntax = FILES[name]
    with pytest.raises(Refused, match=REFUSED[name]):
        decode(data_set(path), syntax, EXPLICIT_LITTLE)


@pytest.mark.parametrize("name", sorted(NO_PIXELS))
def test_where_nothing_is_compressed_nothing_is_decoded(name: str) -> None:
    path, syntax = FILES[name]
    after = parsed(decode(data_set(path), syntax, EXPLICIT_LITTLE))
    assert after == pydicom.dcmread(path)


BY_DCMTK = {"JPEG": ("dcmdjpeg", "+cn"), "JPEGLS": ("dcmdjpls",), "RLE": ("dcmdrle",)}


def by_dcmtk(path: Path, syntax: str, folder: Path, *more: str) -> pydicom.FileDataset | None:
    """What DCMTK makes of it, if it can."""
    keyword = name_syntax(syntax)
    if "2000" in keyword:
        return None
    family = "RLE" if "RLE" in keyword else "JPEGLS" if "JPEGLS" in keyword else "JPEG"
    program, *options = BY_DCMTK[family]
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; on Debian: apt-get install dcmtk")
    words = [found, *(more or options), str(path), str(folder / "out.dcm")]
    done = subprocess.run(words, capture_output=True, check=False)
    return pydicom.dcmread(folder / "out.dcm") if done.returncode == 0 else None


def test_dcmtk_decodes_the_same_to_the_last_bit(tmp_path: Path) -> None:
    same: set[str] = set()
    for name in sorted(FILES.keys() - REFUSED.keys() - NO_PIXELS):
        path, syntax = FILES[name]
        if pydicom.dcmread(path).PhotometricInterpretation.startswith("YBR"):
            continue
        other = by_dcmtk(path, syntax, tmp_path)
        if other is None:
            continue
        after = parsed(decode(data_set(path), syntax, EXPLICIT_LITTLE))
        assert after.PixelData == other.PixelData, name
        assert after.PhotometricInterpretation == other.PhotometricInterpretation
        same.add(name_syntax(syntax))
    assert same == {
        "JPEGBaseline8Bit",
        "JPEGExtended12Bit",
        "JPEGLosslessSV1",
        "JPEGLSLossless",
        "JPEGLSNearLossless",
        "RLELossless",
    }


def test_colours_of_lossy_jpeg_are_dcmtks_but_for_rounding(tmp_path: Path) -> None:
    import numpy as np

    compared = 0
    for name in ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_ybr_color.dcm"):
        path, syntax = FILES[name]
        other = by_dcmtk(path, syntax, tmp_path, "+cp", "+pa")
        if other is None:
            continue
        after = parsed(decode(data_set(path), syntax, EXPLICIT_LITTLE))
        assert (after.PhotometricInterpretation, after.PlanarConfiguration) == ("RGB", 0)
        ours, theirs = pixels(after, raw=True).astype(int), pixels(other, raw=True).astype(int)
        assert np.abs(ours - theirs).max() <= 2, name
        compared += 1
    assert compared


UNCOMPRESSED = {
    "693_J2KR.dcm": "693_UNCR.dcm",
    "MR2_J2KR.dcm": "MR2_UNCR.dcm",
    "RG3_J2KR.dcm": "RG3_UNCR.dcm",
    "US1_J2KR.dcm": "US1_UNCR.dcm",
    "emri_small_jpeg_2k_lossless.dcm": "emri_small.dcm",
    "emri_small_jpeg_ls_lossless.dcm": "emri_small.dcm",
    "emri_small_RLE.dcm": "emri_small.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
}


@pytest.mark.parametrize(("name", "twin"), UNCOMPRESSED.items())
def test_a_lossless_image_is_its_uncompressed_twin(name: str, twin: str) -> None:
    if name not in FILES:
        pytest.skip("pydicom-data is not installed")
    path, syntax = FILES[name]
    after = parsed(decode(data_set(path), syntax, EXPLICIT_LITTLE))
    before = pydicom.dcmread(find(twin))
    assert (pixels(after, raw=True) == pixels(before, raw=True)).all()
    assert after.PhotometricInterpretation == before.PhotometricInterpretation


@pytest.mark.parametrize("keyword", ["HTJ2KLossless", "HTJ2KLosslessRPCL", "HTJ2K"])
def test_high_throughput_jpeg_2000_is_decoded(keyword: str) -> None:
    one = image([compressed.HTJ2K_GRAY])
    after = parsed(decode(unparsed(one), KEYWORDS[keyword], EXPLICIT_LITTLE))
    found = pixels(after, raw=True)
    assert all(found[r, c] == compressed.gray(r, c) for r in range(16) for c in range(12))
    two = image(
        [compressed.HTJ2K_COLOUR] * 2,
        extended=True,
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_RCT",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
    )
    after = parsed(decode(unparsed(two), KEYWORDS[keyword], EXPLICIT_LITTLE))
    assert (after.PhotometricInterpretation, after.NumberOfFrames) == ("RGB", 2)
    assert "ExtendedOffsetTable" not in after
    assert "ExtendedOffsetTableLengths" not in after
    found = pixels(after, raw=True)
    for frame in found:
        assert all(
            tuple(frame[r, c]) == compressed.colour(r, c) for r in range(16) for c in range(12)
        )


@pytest.mark.parametrize("target", [IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_what_is_decoded_is_written_in_any_plain_syntax(target: str) -> None:
    data = decode(data_set(find("MR_small_RLE.dcm")), KEYWORDS["RLELossless"], target)
    if target == DEFLATED:
        assert len(data) % 2 == 0
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)
    after = parsed(data, EXPLICIT_LITTLE if target == DEFLATED else target)
    before = pydicom.dcmread(find("MR_small.dcm"))
    assert (pixels(after, raw=True) == pixels(before, raw=True)).all()
    assert after.SOPInstanceUID == before.SOPInstanceUID


RLE = KEYWORDS["RLELossless"]


def packed(values: bytes) -> bytes:
    """A frame of 16 x 12 bytes in one RLE segment, each row a literal run."""
    rows = b"".join(bytes([11]) + values[n : n + 12] for n in range(0, len(values), 12))
    return (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + rows


def test_colour_of_a_reversible_codec_stays_as_it_is() -> None:
    path, _ = FILES["SC_rgb_rle.dcm"]
    found = pydicom.dcmread(path)
    found.PhotometricInterpretation = "YBR_FULL"
    after = parsed(decode(unparsed(found), RLE, EXPLICIT_LITTLE))
    assert after.PhotometricInterpretation == "YBR_FULL"
    assert (pixels(after, raw=True) == pixels(pydicom.dcmread(path), raw=True)).all()


def test_a_narrow_codestream_fills_the_bits_that_are_allocated() -> None:
    """JPEG 2000 decoders give bytes where the precision is 8, whatever Bits Allocated is."""
    path = find("US1_J2KR.dcm") if "US1_J2KR.dcm" in FILES else None
    if path is None:
        pytest.skip("pydicom-data is not installed")
    found = pydicom.dcmread(path)
    found.BitsAllocated = 16
    after = parsed(decode(unparsed(found), KEYWORDS["JPEG2000Lossless"], EXPLICIT_LITTLE))
    assert (pixels(after, raw=True) == pixels(pydicom.dcmread(path), raw=True)).all()
    assert after["PixelData"].VR == "OW"


def test_an_icon_is_decoded_with_its_image_and_one_that_is_plain_stays() -> None:
    eight: dict[str, Any] = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    values = bytes(range(192))
    found = image([packed(values)], **eight)
    icon = image([packed(values[::-1])], **eight)
    plain = pydicom.Dataset()
    plain.Rows, plain.Columns, plain.BitsAllocated = 1, 2, 8
    plain.PixelData = b"\1\2"
    plain["PixelData"].VR = "OB"
    found.IconImageSequence = [icon, plain]
    after = parsed(decode(unparsed(found), RLE, EXPLICIT_LITTLE))
    assert after.PixelData == values
    assert after.IconImageSequence[0].PixelData == values[::-1]
    assert after.IconImageSequence[1].PixelData == b"\1\2"


@pytest.mark.parametrize(
    ("facts", "frames", "word"),
    [
        ({"NumberOfFrames": 3}, 2, "cannot be decoded|2 of its 3 frames"),
        ({"BitsAllocated": 1, "BitsStored": 1}, 1, "Bits Allocated of 1"),
        ({"BitsAllocated": 8, "BitsStored": 8}, 1, "16 bits a sample where Bits Allocated is 8"),
        ({"Rows": 15}, 1, "cannot be decoded"),
        ({"Rows": 65535, "Columns": 65535}, 1, "bytes when decoded"),
        ({"NumberOfFrames": 3_000_000}, 1, "bytes when decoded"),
    ],
)
def test_a_header_that_contradicts_its_pixels_is_refused(
    facts: dict[str, int], frames: int, word: str
) -> None:
    found = image([compressed.HTJ2K_GRAY] * frames)
    for keyword, value in facts.items():
        setattr(found, keyword, value)
    with pytest.raises(Refused, match=word):
        decode(unparsed(found), KEYWORDS["HTJ2KLossless"], EXPLICIT_LITTLE)


def test_a_refusal_names_no_patient() -> None:
    found = image([b"no codestream at all"], PatientName="Doe^Jane", PatientID="7")
    found.Rows = 16
    with pytest.raises(Refused) as caught:
        decode(unparsed(found), KEYWORDS["JPEG2000"], EXPLICIT_LITTLE)
    assert "Doe" not in str(caught.value)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("source", "target"),
    [(EXPLICIT_LITTLE, IMPLICIT_LITTLE), (KEYWORDS["MPEG4HP41"], EXPLICIT_LITTLE), (RLE, RLE)],
)
def test_only_still_images_are_decoded(source: str, target: str) -> None:
    with pytest.raises(Refused, match="is not decoded as"):
        decode(b"", source, target)


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "JPEGLSNearLossless_16.dcm", "JPGExtended.dcm"])
def test_a_loss_that_nothing_but_the_codec_tells_of_is_told_afterwards(name: str) -> None:
    found = pydicom.dcmread(find(name))
    syntax = str(found.file_meta.TransferSyntaxUID)
    for stated in (None, "00"):
        found.pop("LossyImageCompression", None)
        if stated:
            found.LossyImageCompression = stated
        after = parsed(decode(unparsed(found), syntax, EXPLICIT_LITTLE))
        assert after.LossyImageCompression == "01"


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\x4f\xff\x51\0\2", b"\xff" * 4000])
@pytest.mark.parametrize("keyword", ["JPEG2000", "JPEGLSNearLossless"])
def test_of_a_broken_head_nothing_is_said(frame: bytes, keyword: str) -> None:
    assert not has_lost(frame, KEYWORDS[keyword])


def test_what_is_too_large_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "REWRITTEN_BYTES", 100)
    with pytest.raises(Refused) as caught:
        decode(unparsed(image([compressed.HTJ2K_GRAY])), KEYWORDS["HTJ2K"], EXPLICIT_LITTLE)
    assert caught.value.reason is Reason.TOO_LARGE
