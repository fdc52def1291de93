"""Identifiers, read and written, with pydicom as the other side (PS3.4 C.4, C.6; PS3.5 7)."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from meshpacs.dimse.elements import (
    ELEMENTS_MOST,
    DataSet,
    read_data_set,
    vr_of,
    write_data_set,
)
from meshpacs.dimse.faults import IdentifierMismatch, MalformedIdentifier
from meshpacs.dimse.identifiers import (
    read_query,
    read_selection,
    write_failed,
    write_query,
    write_row,
)
from meshpacs.model.attributes import ATTRIBUTES, LEVELS, Level, Record
from meshpacs.model.errors import LocalFault
from meshpacs.model.limits import IDENTIFIER_BYTES, IDENTIFIER_DEPTH, VALUES_PER_KEY
from meshpacs.model.query import Rules
from meshpacs.model.values import CHARACTER_SET_VRS

STUDY_ROOT = LEVELS[1:]
NAME, PATIENT_ID, ISSUER = 0x0010_0010, 0x0010_0020, 0x0010_0021
STUDY_UID, SERIES_UID, SOP_UID = 0x0020_000D, 0x0020_000E, 0x0008_0018
LEVEL = 0x0008_0052


def by_pydicom(data: Dataset, *, explicit: bool) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, not explicit
    write_dataset(out, data)
    return out.getvalue()


def to_pydicom(data: bytes, *, explicit: bool) -> Dataset:
    return read_dataset(io.BytesIO(data), is_implicit_VR=not explicit, is_little_endian=True)


def read(data: bytes, *, explicit: bool = True) -> DataSet:
    return read_data_set(data, explicit=explicit, default="latin_1")


def asked(level: str = "STUDY", **fields: object) -> DataSet:
    data = Dataset()
    data.QueryRetrieveLevel = level
    for name, value in fields.items():
        setattr(data, name, value)
    return read(by_pydicom(data, explicit=True))


# ---------------------------------------------------------------- data sets

TEXTS = st.text("abcÄé山太0 ", min_size=1, max_size=8).map(str.strip).filter(bool)


def values(vr: str) -> st.SearchStrategy[str]:
    if vr in CHARACTER_SET_VRS:
        return TEXTS
    forms = {
        "UI": st.integers(1, 10**20).map(lambda n: f"2.25.{n}"),
        "DA": st.just("20240131"),
        "TM": st.just("093000"),
        "DT": st.just("20240131093000"),
        "US": st.integers(0, 65535).map(str),
        "IS": st.integers(-99, 99).map(str),
        "DS": st.just("1.5"),
        "AS": st.just("034Y"),
    }
    return forms.get(vr, st.just("ABC"))


@st.composite
def records(draw: st.DrawFn) -> Record:
    found: Record = {}
    for attribute in draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=8, unique=True)):
        if attribute.vr == "SQ":
            item: Record = {
                tag: (draw(values(vr_of(tag))),) for tag in attribute.items if vr_of(tag) != "SQ"
            }
            found[attribute.tag] = tuple([item] * draw(st.integers(0, 2)))
        else:
            count = draw(st.integers(0, 2)) if attribute.many else draw(st.integers(0, 1))
            found[attribute.tag] = tuple(draw(values(attribute.vr)) for _ in range(count))
    return found


@settings(max_examples=200, deadline=None)
@given(records(), st.booleans(), st.sampled_from([(), ("ISO_IR 100",), ("ISO_IR 192",)]))
def test_what_is_written_is_read_as_it_was(
    record: Record, explicit: bool, terms: tuple[str, ...]
) -> None:
    data = write_data_set(record, explicit=explicit, terms=terms)
    found = read(data, explicit=explicit)
    assert found.record == record
    assert found.unknown == {}


@settings(max_examples=150, deadline=None)
@given(records(), st.booleans())
def test_pydicom_reads_what_we_write(record: Record, explicit: bool) -> None:
    data = write_data_set(record, explicit=explicit)
    found = to_pydicom(data, explicit=explicit)
    for tag, value in record.items():
        theirs = found[tag]
        if theirs.VR == "SQ":
            assert len(theirs.value) == len(value)
            continue
        assert len(value) == theirs.VM
        text = theirs.value if theirs.VM == 1 else "\\".join(map(str, theirs.value or ()))
        assert str(text) == "\\".join(map(str, value)) or theirs.VR == "DS"
    assert [element.tag for element in found] == sorted(element.tag for element in found)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_garbage_gives_only_named_errors(garbage: bytes, explicit: bool) -> None:
    with suppress(MalformedIdentifier):
        read(garbage, explicit=explicit)


@settings(max_examples=300, deadline=None)
@given(records(), st.booleans(), st.data())
def test_broken_data_sets_give_only_named_errors(
    record: Record, explicit: bool, data: st.DataObject
) -> None:
    broken = bytearray(write_data_set({STUDY_UID: ("1.2",), **record}, explicit=explicit))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedIdentifier):
        read_query(read(bytes(broken), explicit=explicit), LEVELS, Rules())


def item(body: bytes, *, undefined: bool = False) -> bytes:
    if undefined:
        return b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + body + b"\xfe\xff\x0d\xe0\0\0\0\0"
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(body)) + body


def sequence(tag: int, body: bytes, *, undefined: bool = False) -> bytes:
    head = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"SQ", 0)
    if undefined:
        return head + b"\xff\xff\xff\xff" + body + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return head + struct.pack("<L", len(body)) + body


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


STEP = element(0x0040_0009, b"SH", b"S1")
REQUESTS = 0x0040_0275


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("inner", [False, True])
def test_sequences_are_read_with_lengths_and_without(whole: bool, inner: bool) -> None:
    data = sequence(REQUESTS, item(STEP, undefined=inner) * 2, undefined=whole)
    step = {0x0040_0009: ("S1",)}
    assert read(data).record == {REQUESTS: (step, step)}


def deep(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = sequence(REQUESTS, item(data))
    return data


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\0" * (IDENTIFIER_BYTES + 1), "more than"),
        (b"\x08\0\x05\0", "within an element's head"),
        (b"\x08\0\x05\0SQ\0\0", "within an element's head"),
        (b"\x08\0\x52\0CS\x09\0STUDY ", r"0008,0052\) is longer"),
        (sequence(REQUESTS, item(b""), undefined=True)[:-8], "does not end"),
        (sequence(REQUESTS, item(b"", undefined=True)[:-8]), "item of the identifier"),
        (sequence(REQUESTS, STEP), "no usable items"),
        (sequence(REQUESTS, item(b"") * (VALUES_PER_KEY + 1)), "more than 512"),
        (STEP * (ELEMENTS_MOST + 1), "more than"),
        (deep(IDENTIFIER_DEPTH + 1), "deeper"),
    ],
)  # fmt: skip
def test_a_broken_data_set_is_refused_by_name(data: bytes, word: str) -> None:
    with pytest.raises(MalformedIdentifier, match=word):
        read(data)


def test_what_nobody_knows_is_remembered_and_passed_over() -> None:
    data = Dataset()
    data.add_new(0x0009_0010, "LO", "ACME")
    data.add_new(0x0009_1001, "LO", "")
    data.add_new(0x0008_1140, "SQ", Sequence([Dataset()]))
    data.add_new(0x0008_1115, "SQ", [])
    data.StudyID = "7"
    found = read(b"\x08\0\0\0UL\4\0\1\0\0\0" + by_pydicom(data, explicit=True))
    assert found.record == {0x0020_0010: ("7",)}
    assert found.unknown == {
        0x0009_0010: True,
        0x0009_1001: False,
        0x0008_1140: False,
        0x0008_1115: False,
    }


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ("ISO_IR 100", "Müller^Änne"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller=Люкceмбypг"),
    ],
)
def test_names_pass_both_ways_in_any_character_set(terms: str | list[str], text: str) -> None:
    data = Dataset()
    data.SpecificCharacterSet = terms
    data.PatientName = text
    found = read(by_pydicom(data, explicit=True))
    assert found.record[NAME] == (text,)
    ours = write_data_set({NAME: (text,)}, explicit=True, terms=found.terms)
    assert found.terms == ((terms,) if isinstance(terms, str) else tuple(terms))
    theirs = to_pydicom(ours, explicit=True)
    assert str(theirs.PatientName) == text
    assert theirs.SpecificCharacterSet == terms


def test_chinese_is_written_as_the_standards_example_has_it() -> None:
    # PS3.5 K.2. pydicom leaves these escape sequences out, and does not read them.
    data = write_data_set(
        {NAME: ("Zhang^XiaoDong=张^小东",)}, explicit=True, terms=("", "ISO 2022 IR 58")
    )
    assert b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab" in data


def test_what_the_requestors_set_cannot_express_goes_out_as_utf_8() -> None:
    ours = write_data_set({NAME: ("山田",)}, explicit=True, terms=("ISO_IR 100",))
    theirs = to_pydicom(ours, explicit=True)
    assert theirs.SpecificCharacterSet == "ISO_IR 192"
    assert str(theirs.PatientName) == "山田"


def test_ascii_needs_no_character_set() -> None:
    ours = write_data_set({NAME: ("Meier",)}, explicit=True)
    assert "SpecificCharacterSet" not in to_pydicom(ours, explicit=True)


def test_what_a_number_or_a_code_cannot_hold_is_left_out() -> None:
    theirs = to_pydicom(
        write_data_set({0x0028_0010: ("many", "70000", "5"), 0x0008_0060: ("ÄÄ",)}, explicit=True),
        explicit=True,
    )
    assert theirs.Rows == 5
    assert theirs.Modality == "??"


def test_a_value_longer_than_its_vr_can_say_is_cut_between_values() -> None:
    uids = [f"2.25.{10**30 + n}" for n in range(3000)]
    data = write_failed(uids, explicit=True)
    found = read(data).record[0x0008_0058]
    assert found == tuple(uids[: len(found)])
    assert 65000 < len(data) <= 65534 + 8


@pytest.mark.timeout(20)
def test_a_very_long_value_is_cut_in_one_pass() -> None:
    uids = [f"2.25.{10**30 + n}" for n in range(100_000)]
    assert write_failed(uids, explicit=True) == write_failed(uids[:3000], explicit=True)


@pytest.mark.parametrize("value", [("A" * 65_535,), tuple("1.2.3" for _ in range(11_000))])
def test_a_question_that_is_cut_would_be_another_and_is_not_asked(value: tuple[str, ...]) -> None:
    with pytest.raises(LocalFault, match="no room for all that PatientID says"):
        write_query(Level.STUDY, [(0x0010_0020, value)], explicit=False)


def test_tags_without_a_name_here_are_not_written() -> None:
    assert write_data_set({0x0009_1001: ("x",)}, explicit=True) == b""


# ---------------------------------------------------------------- queries


def test_a_query_holds_the_keys_and_asks_for_no_more() -> None:
    found = read_query(
        asked(
            PatientName="Mei*", StudyDate="20240101-", StudyInstanceUID="", ModalitiesInStudy="CT"
        ),
        STUDY_ROOT,
        Rules(),
    )
    query = found.query
    assert query.level is Level.STUDY
    assert dict(query.keys) == {
        NAME: ("Mei*",),
        0x0008_0020: ("20240101-",),
        STUDY_UID: (),
        0x0008_0061: ("CT",),
    }
    assert query.returns == found.wanted == tuple(tag for tag, _ in query.keys)
    assert found.ignored == ()
    assert found.terms == ()


def test_items_of_sequences_are_keys_too() -> None:
    inner = Dataset()
    inner.ScheduledProcedureStepID = "S1"
    data = asked("SERIES", StudyInstanceUID="1.2", RequestAttributesSequence=[inner])
    found = read_query(data, STUDY_ROOT, Rules())
    assert dict(found.query.keys)[REQUESTS] == ({0x0040_0009: ("S1",)},)
    uid = struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", 4) + b"1.2*"
    wrong = element(LEVEL, b"CS", b"STUDY ") + sequence(REQUESTS, item(uid))
    with pytest.raises(IdentifierMismatch) as caught:
        read_query(read(wrong), STUDY_ROOT, Rules())
    assert caught.value.offending == (STUDY_UID,)


@pytest.mark.parametrize("level", [b"", b"PATIENT ", b"study ", b"IMAGE\\STUDY "])
def test_a_level_that_the_model_lacks_is_refused(level: bytes) -> None:
    with pytest.raises(IdentifierMismatch) as caught:
        read_query(read(element(LEVEL, b"CS", level)), STUDY_ROOT, Rules())
    assert caught.value.offending == (LEVEL,)
    assert "STUDY, SERIES, IMAGE" in caught.value.what


@pytest.mark.parametrize(
    ("levels", "level", "fields", "lacking"),
    [
        (LEVELS, "STUDY", {}, PATIENT_ID),
        (LEVELS, "STUDY", {"PatientID": "4*"}, PATIENT_ID),
        (LEVELS, "SERIES", {"PatientID": "4"}, STUDY_UID),
        (STUDY_ROOT, "SERIES", {}, STUDY_UID),
        (STUDY_ROOT, "SERIES", {"StudyInstanceUID": ["1.2", "1.3"]}, STUDY_UID),
        (STUDY_ROOT, "IMAGE", {"StudyInstanceUID": "1.2"}, SERIES_UID),
    ],
)
def test_each_level_above_needs_its_unique_key(
    levels: tuple[Level, ...], level: str, fields: dict[str, object], lacking: int
) -> None:
    with pytest.raises(IdentifierMismatch) as caught:
        read_query(asked(level, **fields), levels, Rules())
    assert caught.value.offending == (lacking,)
    read_query(asked(level, **fields), levels, Rules(relational=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("StudyInstanceUID", b"1.2.*"),
        ("StudyDate", b"2024*"),
        ("StudyTime", b"09??"),
        ("SeriesNumber", b"1* "),
        ("PatientAge", b"0?Y "),
    ],
)
def test_wild_cards_are_refused_where_the_standard_has_none(field: str, value: bytes) -> None:
    tag = next(a.tag for a in ATTRIBUTES if a.keyword == field)
    vr = vr_of(tag).encode()
    head = element(LEVEL, b"CS", b"STUDY ")
    with pytest.raises(IdentifierMismatch) as caught:
        read_query(read(head + element(tag, vr, value)), STUDY_ROOT, Rules())
    assert caught.value.offending == (tag,)
    read_query(read(head + element(tag, vr, b"* ")), STUDY_ROOT, Rules())


def test_keys_that_are_not_matched_are_named() -> None:
    found = read_query(
        asked(SeriesDescription="Head", PatientBirthName="X", PatientName="A"), STUDY_ROOT, Rules()
    )
    assert found.ignored == (0x0008_103E, 0x0010_1005)
    assert found.wanted == (NAME,)
    only_asked = asked(SeriesDescription="", PatientBirthName="")
    assert read_query(only_asked, STUDY_ROOT, Rules()).ignored == ()


def test_an_element_of_items_alone_is_no_key_at_the_top() -> None:
    found = read_query(asked(CodeValue="1"), STUDY_ROOT, Rules())
    assert found.ignored == (0x0008_0100,)


def test_too_much_is_refused() -> None:
    many = asked(StudyInstanceUID=[f"1.{n}" for n in range(VALUES_PER_KEY + 1)])
    with pytest.raises(IdentifierMismatch, match="more than"):
        read_query(many, STUDY_ROOT, Rules())


# ---------------------------------------------------------------- rows


def test_a_row_shows_what_was_asked_for_and_where_it_is() -> None:
    found = read_query(
        asked(PatientName="", AccessionNumber="", NumberOfStudyRelatedInstances=""),
        STUDY_ROOT,
        Rules(),
    )
    record: Record = {
        NAME: ("Meier^Anna",),
        PATIENT_ID: ("4711",),
        ISSUER: ("Nord",),
        STUDY_UID: ("1.2.3",),
        0x0020_1208: ("30",),
        0x0008_1030: ("not asked for",),
    }
    data = write_row(found, record, title="MESHPACS", availability="NEARLINE", explicit=False)
    row = to_pydicom(data, explicit=False)
    assert {e.keyword: str(e.value or "") for e in row} == {
        "PatientName": "Meier^Anna",
        "PatientID": "4711",
        "IssuerOfPatientID": "Nord",
        "StudyInstanceUID": "1.2.3",
        "NumberOfStudyRelatedInstances": "30",
        "AccessionNumber": "",
        "QueryRetrieveLevel": "STUDY",
        "RetrieveAETitle": "MESHPACS",
        "InstanceAvailability": "NEARLINE",
    }


def test_a_row_without_an_issuer_has_none() -> None:
    found = read_query(asked(PatientName=""), STUDY_ROOT, Rules())
    data = write_row(found, {NAME: ("A",)}, title="M", availability="ONLINE", explicit=True)
    assert "IssuerOfPatientID" not in to_pydicom(data, explicit=True)


# ---------------------------------------------------------------- retrievals


def test_a_selection_is_the_unique_keys_down_to_its_level() -> None:
    found = read_selection(
        asked("SERIES", StudyInstanceUID="1.2", SeriesInstanceUID=["1.3", "1.4"]), STUDY_ROOT
    )
    assert found.level is Level.SERIES
    assert found.keys == {Level.STUDY: ("1.2",), Level.SERIES: ("1.3", "1.4")}


@pytest.mark.parametrize(
    ("levels", "level", "fields"),
    [
        (LEVELS, "PATIENT", {}),
        (LEVELS, "PATIENT", {"PatientID": "A*"}),
        (LEVELS, "PATIENT", {"PatientID": "A", "IssuerOfPatientID": "B*"}),
        (STUDY_ROOT, "STUDY", {}),
        (STUDY_ROOT, "SERIES", {"SeriesInstanceUID": "1.3"}),
    ],
)
def test_a_selection_of_nothing_in_particular_is_refused(
    levels: tuple[Level, ...], level: str, fields: dict[str, object]
) -> None:
    with pytest.raises(IdentifierMismatch):
        read_selection(asked(level, **fields), levels)


def test_a_selection_may_say_whose_number_is_meant() -> None:
    found = read_selection(asked("PATIENT", PatientID="7", IssuerOfPatientID="NORTH"), LEVELS)
    assert found.issuer == "NORTH"
    assert read_selection(asked("PATIENT", PatientID="7"), LEVELS).issuer == ""


def test_two_patients_are_not_selected_at_once() -> None:
    data = read(element(LEVEL, b"CS", b"PATIENT ") + element(PATIENT_ID, b"LO", b"1\\2 "))
    with pytest.raises(IdentifierMismatch):
        read_selection(data, LEVELS)


def test_our_own_questions_are_understood() -> None:
    keys = ((NAME, ("Müller*",)), (STUDY_UID, ()), (0x0009_1001, ("x",)))
    data = write_query(Level.STUDY, keys, explicit=False, terms=("ISO_IR 100",))
    found = read_query(read(data, explicit=False), STUDY_ROOT, Rules())
    assert dict(found.query.keys) == {NAME: ("Müller*",), STUDY_UID: ()}
    assert found.terms == ("ISO_IR 100",)
