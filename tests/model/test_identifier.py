"""Identifiers as people write and read them."""

import json

import pytest

from meshpacs.model.attributes import Level, Record
from meshpacs.model.errors import LocalFault
from meshpacs.model.identifier import (
    dicom_json,
    keyword_of,
    parse_keys,
    parse_query,
    readable,
    tag_text,
)
from meshpacs.model.limits import VALUES_PER_KEY
from meshpacs.model.query import Purpose, Rules

REQUEST, STEP, CODES, CODE = 0x0040_0275, 0x0040_0009, 0x0040_0008, 0x0008_0100


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ([], ()),
        (["PatientName=Müll*"], ((0x0010_0010, ("Müll*",)),)),
        (["patientname=x"], ((0x0010_0010, ("x",)),)),
        (["0010,0010=x"], ((0x0010_0010, ("x",)),)),
        (["(0010,0010)=x"], ((0x0010_0010, ("x",)),)),
        (["00100010=x"], ((0x0010_0010, ("x",)),)),
        (["0008,103e=x"], ((0x0008_103E, ("x",)),)),
        (["PatientID"], ((0x0010_0020, ()),)),
        (["PatientID="], ((0x0010_0020, ()),)),
        (["PatientID=a=b"], ((0x0010_0020, ("a=b",)),)),
        (["PatientID=2", "AccessionNumber=1"], ((0x0008_0050, ("1",)), (0x0010_0020, ("2",)))),
        (["Modality=CT\\MR"], ((0x0008_0060, ("CT", "MR")),)),
        (["StudyInstanceUID=1.2", "StudyInstanceUID=1.3"], ((0x0020_000D, ("1.2", "1.3")),)),
        (["PatientComments=a\\b"], ((0x0010_4000, ("a\\b",)),)),
        (["StudyDate=20240101 - 20240131"], ((0x0008_0020, ("20240101 - 20240131",)),)),
        (["StudyDate=*"], ((0x0008_0020, ("*",)),)),
        (['StudyDate=""'], ((0x0008_0020, ('""',)),)),
        (["SeriesNumber=007"], ((0x0020_0011, ("007",)),)),
        (["PatientAge=034Y"], ((0x0010_1010, ("034Y",)),)),
        (["RequestAttributesSequence"], ((REQUEST, ()),)),
        (["RequestAttributesSequence.ScheduledProcedureStepID=7"], ((REQUEST, ({STEP: ("7",)},)),)),
        (["RequestAttributesSequence[0].0040,0009=7"], ((REQUEST, ({STEP: ("7",)},)),)),
        (
            ["RequestAttributesSequence", "RequestAttributesSequence.ScheduledProcedureStepID=7",
             "RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue=X",
             "RequestAttributesSequence"],
            ((REQUEST, ({STEP: ("7",), CODES: ({CODE: ("X",)},)},)),),
        ),
    ],
)  # fmt: skip
def test_words_become_keys(words: list[str], keys: object) -> None:
    assert parse_keys(words, Level.IMAGE) == keys


@pytest.mark.parametrize(
    ("word", "what", "mend"),
    [
        ("PatentName=x", "'PatentName'", "PatientName"),
        ("Zzzzzz=x", "'Zzzzzz'", "lists the usual keys"),
        ("7fe0,0010=x", "'7fe0,0010'", "lists the usual keys"),
        ("=x", "no usable key", "KEY=VALUE"),
        ("PatientName[1]=x", "no usable key", "[0]"),
        ("PatientName.CodeValue=x", "PatientName is no sequence", "PatientName=VALUE"),
        ("CodeValue=x", "'CodeValue'", ""),
        ("ProcedureCodeSequence.PatientName=x", "inside ProcedureCodeSequence", ""),
        ("ProcedureCodeSequence.CodeValues=x", "inside ProcedureCodeSequence", "CodeValue"),
        ("ProcedureCodeSequence=x", "is a sequence", "ProcedureCodeSequence.KEY=VALUE"),
        ("Modality=CT", "level SERIES", "ModalitiesInStudy"),
        ("SOPClassUID=1.2", "level IMAGE", "SOPClassesInStudy"),
        ("SeriesNumber=1", "level SERIES", "--level SERIES"),
        ("StudyDate=31.1.2024", "'31.1.2024' is not a date", "20240131"),
        ("StudyDate=2024*", "not a date", "20240131"),
        ("StudyTime=noon", "not a time", "0930"),
        ("StudyDate=20241231-20240101", "StudyDate ends before it begins", "earlier first"),
        ("StudyTime=1200-0800", "StudyTime ends before it begins", "earlier first"),
        ("Meier", "under 'Meier'", "PatientName=Meier"),
        ("StudyInstanceUID=1.2.*", "not a UID", "no wild cards"),
        ("PatientAge=34", "not an age", "034Y"),
        ("PatientWeight=heavy", "not a number", "digits"),
    ],
)
def test_what_cannot_be_asked_is_said_with_what_to_write_instead(
    word: str, what: str, mend: str
) -> None:
    with pytest.raises(LocalFault) as caught:
        parse_keys([word], Level.STUDY)
    assert what in caught.value.what
    assert mend in caught.value.mend


def test_moments_are_held_to_their_form() -> None:
    with pytest.raises(LocalFault, match="not a moment"):
        parse_keys(["AcquisitionDateTime=now"], Level.IMAGE)


def test_a_key_twice_is_a_mistake_unless_it_is_a_uid() -> None:
    with pytest.raises(LocalFault, match="twice"):
        parse_keys(["PatientID=1", "PatientID=2"], Level.STUDY)


def test_a_query_carries_what_goes_with_it() -> None:
    relational = Rules(relational=True)
    query = parse_query(
        ["Modality=CT"], Level.STUDY, rules=relational, purpose=Purpose.ADMIN, limit=5
    )
    assert (query.level, query.rules, query.purpose, query.limit) == (
        Level.STUDY,
        relational,
        Purpose.ADMIN,
        5,
    )
    assert parse_query([], Level.PATIENT).rules == Rules()


def test_a_query_beyond_the_limits_is_refused() -> None:
    uids = "\\".join(["1.2"] * (VALUES_PER_KEY + 1))
    with pytest.raises(LocalFault, match="values in one key"):
        parse_query([f"StudyInstanceUID={uids}"], Level.STUDY)


RECORD: Record = {
    0x0020_0011: ("7",),
    0x0010_1030: ("70.5",),
    0x0010_0010: ("Yamada^Tarou=山田^太郎",),
    0x0008_0061: ("CT", "SR"),
    0x0010_0020: (),
    0x0020_0013: ("seven",),
    REQUEST: ({STEP: ("7",), CODES: ({CODE: ("X",)},)}, {}),
    0x0099_0001: ("?",),
}


def test_a_record_is_readable_by_keyword() -> None:
    assert readable(RECORD) == {
        "ModalitiesInStudy": "CT\\SR",
        "PatientName": "Yamada^Tarou=山田^太郎",
        "PatientID": "",
        "PatientWeight": "70.5",
        "SeriesNumber": "7",
        "InstanceNumber": "seven",
        "RequestAttributesSequence": (
            "[ScheduledProtocolCodeSequence=[CodeValue=X], ScheduledProcedureStepID=7]\\[]"
        ),
        "(0099,0001)": "?",
    }


def test_a_record_in_the_dicom_json_model() -> None:
    found = dicom_json(RECORD)
    json.dumps(found)
    assert found["00200011"] == {"vr": "IS", "Value": [7]}
    assert found["00101030"] == {"vr": "DS", "Value": [70.5]}
    assert found["00200013"] == {"vr": "IS", "Value": ["seven"]}
    assert found["00100010"] == {
        "vr": "PN",
        "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}],
    }
    assert found["00100020"] == {"vr": "LO"}
    assert found["00990001"] == {"vr": "UN", "Value": ["?"]}
    assert found["00400275"]["Value"] == [
        {
            "00400008": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}]},
            "00400009": {"vr": "SH", "Value": ["7"]},
        },
        {},
    ]


def test_tags_have_names() -> None:
    assert keyword_of(0x0010_0010) == "PatientName"
    assert keyword_of(CODE) == "CodeValue"
    assert tag_text(0x0008_103E) == "(0008,103E)"
