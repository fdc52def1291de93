"""The header scan: what it reads, what it tolerates, and where it stops."""

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from warnings import catch_warnings, simplefilter

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import Scanner, Wanted
from meshpacs.archive.indexed import WANTED, header_of, scan
from meshpacs.archive.part10 import read_preface
from meshpacs.archive.window import FileWindow
from meshpacs.model.attributes import Record, Value
from meshpacs.model.limits import (
    ATTRIBUTE_BYTES,
    HEADER_BYTES,
    SEQUENCE_DEPTH,
    VALUE_CHARACTERS,
    VALUES_PER_KEY,
)
from meshpacs.model.values import PADDING
from tests.archive.instances import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PIXELS,
    SEQUENCE_END,
    corpus,
    dataset,
    element,
    item,
    tag_of,
)

NAME = 0x0010_0010
REQUESTS = tag_of("RequestAttributesSequence")
STEP = 0x0040_0009
PROCEDURE_CODES = 0x0032_1064
PRIVATE = 0x0009_1010


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, count: data[offset : offset + count]


def read(data: bytes, syntax: str = EXPLICIT, wanted: Wanted = WANTED) -> Record:
    return Scanner(FileWindow(reader(data), len(data)), "latin_1").run(wanted, syntax)


def refusal(data: bytes, syntax: str = EXPLICIT) -> Reason:
    with pytest.raises(Refused) as caught:
        scan(reader(data), len(data), syntax, "latin_1")
    return caught.value.reason


# ---------------------------------------------------------------- equal to pydicom


def plain(found: DataElement, wanted: object) -> Value:
    """A pydicom element as the index has it."""
    if found.VR == "SQ":
        assert isinstance(wanted, dict)
        return tuple(
            {e.tag: plain(e, wanted[e.tag]) for e in one if e.tag in wanted} for one in found.value
        )
    value = found.value
    if value is None or found.VM == 0 or value == "":
        return ()
    several = found.VM > 1 and not isinstance(value, str)
    texts = [str(v) for v in (value if several else [value])]
    if found.VR == "PN":
        texts = [text.rstrip("=") for text in texts]  # pydicom leaves empty groups out
    return tuple(text.strip(PADDING)[:VALUE_CHARACTERS] for text in texts)


def as_pydicom_reads(data: Dataset) -> Record:
    return {t: plain(data[t], wanted) for t, wanted in WANTED.items() if t in data}


def without_empty_groups(record: Record) -> Record:
    return {
        tag: tuple(
            text.rstrip("=") if isinstance(text, str) and tag == NAME else text for text in value
        )
        for tag, value in record.items()
    }


def test_the_scan_reads_of_every_real_file_what_pydicom_reads() -> None:
    compared = 0
    for path in corpus():
        raw = path.read_bytes()
        try:
            preface = read_preface(raw, whole=True)
            assert preface is not None
            body = raw[preface.offset :]
            header = scan(reader(body), len(body), preface.transfer_syntax, "latin_1")
        except Refused:
            continue
        with catch_warnings():
            simplefilter("ignore")
            data = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            expected = as_pydicom_reads(data)
        assert without_empty_groups(header.record) == expected, path.name
        compared += 1
    assert compared > 225


TEXTS = st.text("ABCabc 012^=äöé", max_size=12).map(str.strip)
ELEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "PatientName": st.text("ABCabc ^äöé", max_size=12).map(str.strip),
        "PatientID": TEXTS,
        "StudyDescription": TEXTS,
        "StudyDate": st.dates().map(lambda d: d.strftime("%Y%m%d").zfill(8)),
        "Rows": st.integers(0, 65535),
        "ImageType": st.lists(st.text("ABC", min_size=1, max_size=6), min_size=1, max_size=4),
        "SliceLocation": st.decimals(-999, 999, places=3).map(str),
        "PatientComments": st.text("abc \r\n\\", max_size=20).map(str.strip),
        "FrameOfReferenceUID": st.just("1.2.3.4"),
        "RequestAttributesSequence": st.lists(
            st.text("XYZ12", min_size=1, max_size=16), max_size=3
        ),
        "OverlayData_": st.binary(max_size=40),
    },
)


@settings(max_examples=150, deadline=None)
@given(
    found=ELEMENTS,
    syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]),
    undefined=st.booleans(),
)
def test_what_pydicom_writes_the_scan_reads(
    found: dict[str, object], syntax: str, undefined: bool
) -> None:
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    for keyword, value in found.items():
        if keyword == "RequestAttributesSequence":
            assert isinstance(value, list)
            steps = []
            for text in value:
                step = Dataset()
                step.ScheduledProcedureStepID = text
                step.is_undefined_length_sequence_item = undefined
                steps.append(step)
            data.RequestAttributesSequence = steps
            data["RequestAttributesSequence"].is_undefined_length = undefined
        elif keyword == "OverlayData_":
            data.add_new(PRIVATE, "OB" if syntax != IMPLICIT else "UN", value)
        else:
            setattr(data, keyword, value)
    out = DicomBytesIO()
    out.is_little_endian = syntax != BIG
    out.is_implicit_VR = syntax == IMPLICIT
    with catch_warnings():
        simplefilter("ignore")
        write_dataset(out, data)
    raw = out.getvalue()
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        raw = packer.compress(raw) + packer.flush()
    with pytest.raises(Refused) as caught:
        scan(reader(raw), len(raw), syntax, "latin_1")
    assert caught.value.reason is Reason.MISSING_UID  # it was read to its end
    if syntax != DEFLATED:
        assert read(raw, syntax) == as_pydicom_reads(data)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_every_encoding_says_the_same(syntax: str) -> None:
    raw = dataset(syntax=syntax, PatientName="Doe^Jane", more={0x0028_0010: ("US", b"\1\1")})
    record = read(raw, syntax)
    assert record[NAME] == ("Doe^Jane",)
    assert record[0x0028_0010] == ("257",)


def test_a_declared_encoding_that_is_wrong_is_seen() -> None:
    assert read(dataset(syntax=IMPLICIT, PatientName="A"), EXPLICIT)[NAME] == ("A",)
    assert read(dataset(syntax=EXPLICIT, PatientName="A"), IMPLICIT)[NAME] == ("A",)


def test_the_pixels_end_the_scan_and_must_be_there() -> None:
    raw = dataset(pixels=b"\0" * 100)
    assert read(raw + b"anything at all")
    assert refusal(raw[:-1]) is Reason.TRUNCATED


@pytest.mark.parametrize("length", [1, 9, 40, 60, 80])
def test_a_cut_is_seen_wherever_it_is(length: int) -> None:
    raw = dataset(pixels=b"")
    assert refusal(raw[:length]) is Reason.TRUNCATED


def test_zeros_behind_the_last_element_are_padding() -> None:
    raw = dataset(pixels=b"", PatientName="A")
    for count in (1, 7, 8, 300):
        assert read(raw + b"\0" * count)[NAME] == ("A",)


def test_a_stray_delimiter_is_passed_over() -> None:
    raw = dataset(pixels=b"")
    assert header_of(read(raw[:40] + raw[40:] + SEQUENCE_END)).sop_uid == "1.2.3"
    bad = struct.pack("<HHL", 0xFFFE, 0xE0DD, 8)
    assert refusal(raw + bad + b"\0" * 8) is Reason.MALFORMED


def encapsulated(*parts: bytes, end: bytes = SEQUENCE_END) -> bytes:
    body = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(p)) + p for p in parts)
    return element(PIXELS, "OB", b"", length=0xFFFFFFFF) + body + end


def test_fragments_of_pixels_are_passed_over_one_by_one() -> None:
    raw = dataset(pixels=b"")
    assert read(raw + encapsulated(b"", b"\xff\xd8" * 9))
    assert refusal(raw + encapsulated(b"", b"1234", end=b"")) is Reason.TRUNCATED
    assert refusal(raw + encapsulated(b"1234")[:-10]) is Reason.TRUNCATED
    odd = element(PIXELS, "OB", b"", length=0xFFFFFFFF) + struct.pack("<HHL", 8, 8, 0)
    assert refusal(raw + odd) is Reason.MALFORMED


def test_an_icon_with_fragments_does_not_end_the_scan() -> None:
    icon = element(0x0088_0200, "SQ", item(encapsulated(b"12")))
    native = element(0x0088_0200, "SQ", item(element(PIXELS, "OW", b"1234")))
    tail = element(0x0088_0904, "LO", b"x")
    for sequence in (icon, native):
        assert read(dataset(pixels=b"") + sequence + tail)


def test_fragments_that_run_out_of_their_item_are_refused() -> None:
    icon = item(encapsulated(b"12345678"))
    short = icon[:4] + struct.pack("<L", len(icon) - 16) + icon[8:]
    broken = element(0x0088_0200, "SQ", b"", length=len(icon)) + short
    assert refusal(dataset(pixels=b"") + broken) is Reason.MALFORMED


def steps(*ids: bytes, undefined: bool, syntax: str = EXPLICIT) -> bytes:
    order = ">" if syntax == BIG else "<"
    body = b"".join(
        item(element(STEP, "SH", one, syntax), undefined=undefined, order=order) for one in ids
    )
    if undefined:
        end = struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0)
        return element(REQUESTS, "SQ", b"", syntax, length=0xFFFFFFFF) + body + end
    return element(REQUESTS, "SQ", body, syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("undefined", [True, False])
def test_items_of_wanted_sequences_are_read(syntax: str, undefined: bool) -> None:
    raw = dataset(pixels=b"", syntax=syntax) + steps(
        b"S1", b"S2", undefined=undefined, syntax=syntax
    )
    assert read(raw, syntax)[REQUESTS] == ({STEP: ("S1",)}, {STEP: ("S2",)})


def test_a_sequence_may_hide_in_un_and_turn_implicit() -> None:
    inside = item(element(STEP, "SH", b"S1", IMPLICIT))
    known = element(REQUESTS, "UN", inside)
    undefined = element(REQUESTS, "UN", b"", length=0xFFFFFFFF) + inside + SEQUENCE_END
    for sequence in (known, undefined):
        assert read(dataset(pixels=b"") + sequence)[REQUESTS] == ({STEP: ("S1",)},)


def test_un_is_read_as_what_it_should_be() -> None:
    raw = dataset(pixels=b"", syntax=BIG, more={0x0028_0010: ("UN", b"\1\0"), NAME: ("UN", b"A^B")})
    record = read(raw, BIG)
    assert record[0x0028_0010] == ("1",)  # UN is little-endian in any file
    assert record[NAME] == ("A^B",)


def test_one_element_without_vr_in_an_explicit_file_is_read() -> None:
    odd = struct.pack("<HHL", 0x0009, 0x1001, 2) + b"ab"
    raw = dataset(pixels=b"", PatientName="A")
    cut = raw.index(struct.pack("<HH", 0x10, 0x10))
    assert read(raw[:cut] + odd + raw[cut:])[NAME] == ("A",)


def test_an_unknown_vr_has_a_short_length() -> None:
    odd = struct.pack("<HH2sH", 0x0009, 0x1001, b"XX", 2) + b"ab"
    raw = dataset(pixels=b"", PatientName="A")
    cut = raw.index(struct.pack("<HH", 0x10, 0x10))
    assert read(raw[:cut] + odd + raw[cut:])[NAME] == ("A",)
    wanted = struct.pack("<HH2sH", 0x0010, 0x0010, b"XX", 2) + b"B "
    assert read(raw[:cut] + wanted)[NAME] == ("B",)


def test_a_wanted_sequence_that_is_something_else_is_not_read() -> None:
    raw = dataset(pixels=b"", more={REQUESTS: ("LO", b"no sequence")})
    assert REQUESTS not in read(raw)


def test_more_items_than_a_row_may_carry_are_dropped() -> None:
    raw = dataset(pixels=b"") + steps(*[b"S"] * (VALUES_PER_KEY + 5), undefined=True)
    assert len(read(raw)[REQUESTS]) == VALUES_PER_KEY


# ---------------------------------------------------------------- refusing


def nested(depth: int, *, undefined: bool, syntax: str = EXPLICIT, vr: str = "SQ") -> bytes:
    inside = b""
    for _ in range(depth):
        if undefined:
            opened = element(PRIVATE, vr, b"", syntax, length=0xFFFFFFFF)
            inside = opened + item(inside, undefined=True) + SEQUENCE_END
        else:
            inside = element(PRIVATE, vr, item(inside), syntax)
    return inside


@pytest.mark.parametrize(
    ("syntax", "vr", "undefined"),
    [
        (EXPLICIT, "SQ", True), (EXPLICIT, "SQ", False), (EXPLICIT, "UN", True),
        (IMPLICIT, "SQ", True), (IMPLICIT, "SQ", False),
    ],
)  # fmt: skip
def test_a_thousand_nested_sequences_are_refused(syntax: str, vr: str, undefined: bool) -> None:
    raw = dataset(pixels=b"", syntax=syntax)
    allowed = nested(SEQUENCE_DEPTH, undefined=undefined, syntax=syntax, vr=vr)
    deep = nested(1000, undefined=undefined, syntax=syntax, vr=vr)
    assert read(raw + allowed, syntax)
    assert refusal(raw + deep, syntax) is Reason.TOO_DEEP


def test_un_with_a_thousand_nested_sequences_is_refused() -> None:
    deep = element(PRIVATE, "UN", item(nested(1000, undefined=False, syntax=IMPLICIT)))
    assert refusal(dataset(pixels=b"") + deep) is Reason.TOO_DEEP


def test_private_bytes_that_only_begin_like_a_sequence_are_kept() -> None:
    jpeg = struct.pack("<HHL", 0xFFFE, 0xE000, 6) + b"\xff\xd8\xff\xe0ab"
    for value in (jpeg, jpeg[:10], jpeg + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)):
        assert read(dataset(pixels=b"") + element(PRIVATE, "UN", value))
        assert read(
            dataset(pixels=b"", syntax=IMPLICIT) + element(PRIVATE, "UN", value, IMPLICIT), IMPLICIT
        )


@pytest.mark.parametrize(
    "broken",
    [
        element(PRIVATE, "SQ", item(element(STEP, "SH", b"a", length=200))),
        element(PRIVATE, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, 500)),
        element(PRIVATE, "SQ", struct.pack("<HHL", 8, 8, 0)),
        element(PRIVATE, "SQ", item(struct.pack("<HHL", 0xFFFE, 0xE000, 0))),
        element(PRIVATE, "SQ", item(element(PIXELS, "OW", b"ab", length=90))),
        element(PRIVATE, "SQ", item(b"\1\0\2\0") + b"\0" * 8),
        element(PRIVATE, "LO", b"", length=0xFFFF)[:6]
        + b"\0\0"
        + element(PRIVATE, "UT", b"", length=0xFFFFFFFF)[:2],
    ],
)
def test_lengths_that_do_not_fit_are_refused(broken: bytes) -> None:
    tail = element(0x0043_1010, "LO", b"x" * 600)
    assert refusal(dataset(pixels=b"") + broken + tail) in {Reason.MALFORMED, Reason.TRUNCATED}


def test_an_element_of_no_length_that_cannot_be_so_is_refused() -> None:
    # An implicit item length in a text element, in an explicit file with a 32-bit VR, is the
    # only way to say so; UT takes fragments as little as SH.
    raw = dataset(pixels=b"") + element(PRIVATE, "UT", b"", length=0xFFFFFFFF) + b"ab" * 8
    assert refusal(raw) is Reason.MALFORMED


def test_absurd_lengths_are_refused_before_anything_is_read() -> None:
    raw = dataset(pixels=b"")
    long = element(tag_of("ImageComments"), "UT", b"x" * (ATTRIBUTE_BYTES + 2))
    assert refusal(raw + long) is Reason.TOO_LARGE
    assert refusal(raw + element(PRIVATE, "OB", b"ab", length=0xFFFFFFF0)) is Reason.TRUNCATED
    charset = element(0x0008_0005, "UT", b"x" * (ATTRIBUTE_BYTES + 2))
    assert refusal(charset + raw) is Reason.TOO_LARGE


def test_too_many_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.archive.header.SCANNED_ELEMENTS", 50)
    many = b"".join(element(0x0009_1000 + i, "SQ", b"") for i in range(60))
    assert refusal(dataset(pixels=b"") + many) is Reason.TOO_LARGE


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def test_elements_in_values_of_unknown_kind_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.archive.header.SCANNED_ELEMENTS", 50)
    few = [element(PRIVATE, "UN", item(*[element(PRIVATE, "UN", b"", IMPLICIT)] * 20))]
    read(dataset(pixels=b"") + b"".join(few))
    assert refusal(dataset(pixels=b"") + b"".join(few * 3)) is Reason.TOO_LARGE


def test_what_is_kept_of_one_header_has_a_limit_though_each_value_is_within_its_own() -> None:
    long = element(STEP, "SH", b"x" * 60_000)
    enough = element(REQUESTS, "SQ", item(long) * 17)
    assert len(read(dataset(pixels=b"") + enough)[REQUESTS]) == 17
    many = element(REQUESTS, "SQ", item(long) * 18)
    assert refusal(dataset(pixels=b"") + many) is Reason.TOO_LARGE
    # Nor are items of nothing free: these are a quarter of a million.
    empty = item(element(PROCEDURE_CODES, "SQ", item() * VALUES_PER_KEY)) * VALUES_PER_KEY
    assert refusal(dataset(pixels=b"") + element(REQUESTS, "SQ", empty)) is Reason.TOO_LARGE


def test_deflated_data_sets_are_read_through() -> None:
    raw = deflate(dataset(pixels=b"\0" * 500_000, PatientName="Black^Image"))
    header = scan(reader(raw), len(raw), DEFLATED, "latin_1")
    assert header.record[NAME] == ("Black^Image",)
    assert scan(reader(raw + b"\0"), len(raw) + 1, DEFLATED, "latin_1").sop_uid == "1.2.3"
    without = deflate(dataset(pixels=b""))
    assert scan(reader(without), len(without), DEFLATED, "latin_1").sop_uid == "1.2.3"


def test_deflated_data_sets_that_are_cut_or_garbled_are_refused() -> None:
    raw = deflate(dataset(pixels=bytes(range(256)) * 400))
    assert refusal(raw[:-9], DEFLATED) is Reason.TRUNCATED
    short = deflate(dataset(pixels=b"\0" * 300_000)[:-100_000])
    assert refusal(short, DEFLATED) is Reason.TRUNCATED
    assert refusal(b"\xff" * 200, DEFLATED) is Reason.MALFORMED


def test_a_deflate_bomb_is_refused_before_it_has_grown() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 4 * HEADER_BYTES
    raw = packer.compress(dataset(pixels=b""))
    raw += packer.compress(element(PIXELS, "OW", b"", length=size))
    for _ in range(size >> 20):
        raw += packer.compress(b"\0" * (1 << 20))
    raw += packer.flush()
    assert len(raw) < size / 900
    assert refusal(raw, DEFLATED) is Reason.TOO_LARGE


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_garbage_is_refused_or_read_and_never_anything_else(data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]))
    encoding = EXPLICIT if syntax == DEFLATED else syntax
    raw = bytearray(
        dataset(syntax=encoding, PatientName="A^B")[:-16]
        + steps(b"S1", b"S2", undefined=data.draw(st.booleans()), syntax=encoding)
        + encapsulated(b"12", b"3456")
    )
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    packed = deflate(bytes(raw)) if syntax == DEFLATED else bytes(raw)
    with suppress(Refused):
        scan(reader(packed), len(packed), syntax, "latin_1")
