"""What matches what: rows by hand, each with the section of PS3.4 that decides it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.model.attributes import ATTRIBUTES, Element, Level, Record, Value, by_keyword
from meshpacs.model.matching import Matcher, flat_matcher, ignored, matches, search_level, universal
from meshpacs.model.query import Query, Rules

BASE = Rules()
COMBINED = Rules(combined_datetime=True)
EMPTY = Rules(empty_value=True)
MULTIPLE = Rules(multiple_value=True)
YES, NO = True, False


def tag(keyword: str) -> int:
    attribute = by_keyword(keyword)
    assert attribute is not None, keyword
    return attribute.tag


def verdict(keyword: str, key: str, stored: str | None, rules: Rules = BASE, **beside: str) -> bool:
    """One key against one attribute; backslashes part values, None is an absent attribute."""
    record: Record = {tag(name): (value,) for name, value in beside.items() if name[0] != "_"}
    if stored is not None:
        record[tag(keyword)] = tuple(stored.split("\\")) if stored else ()
    keys: dict[int, Value] = {tag(keyword): tuple(key.split("\\")) if key else ()}
    if "_zone" in beside:
        keys[tag("TimezoneOffsetFromUTC")] = (beside["_zone"],)
    query = Query(Level.IMAGE, tuple(sorted(keys.items())))
    return matches(query, record, rules)


FULL_NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"
ZONED = "20240131-0500-20240131-0500"

ROWS: list[tuple[str, str, str | None, bool, str]] = [
    # C.2.2.2.1 Single value: exact and case-sensitive, but for names
    ("PatientID", "4711", "4711", YES, "C.2.2.2.1"),
    ("PatientID", "4711", "4712", NO, "C.2.2.2.1"),
    ("PatientID", "4711", "47111", NO, "C.2.2.2.1"),
    ("PatientID", "4711", "04711", NO, "C.2.2.2.1"),
    ("PatientID", "ab12", "AB12", NO, "C.2.2.2.1"),
    ("PatientID", "4711 ", "4711", YES, "C.2.2.2.1, PS3.5 6.2: padding"),
    ("PatientID", "4711", " 4711 ", YES, "C.2.2.2.1, PS3.5 6.2: spaces of LO"),
    ("PatientID", "47 11", "4711", NO, "C.2.2.2.1"),
    ("StudyDescription", "Thorax", "thorax", NO, "C.2.2.2.1"),
    ("StudyDescription", "Schädel", "Schädel", YES, "C.2.2.2.1"),
    ("StudyDescription", "Schadel", "Schädel", NO, "C.2.2.2.1"),
    ("StudyDescription", "a.c", "abc", NO, "C.2.2.2.1: no pattern"),
    ("Modality", "CT", "CT", YES, "C.2.2.2.1"),
    ("Modality", "ct", "CT", NO, "C.2.2.2.1"),
    ("PatientSex", "O", "O ", YES, "C.2.2.2.1"),
    ("PatientComments", "x", "x  ", YES, "C.2.2.2.1, PS3.5 6.2: trailing spaces of LT"),
    ("PatientComments", "x", " x", NO, "C.2.2.2.1, PS3.5 6.2: leading spaces of LT count"),
    ("PatientAge", "034Y", "034Y", YES, "C.2.2.2.1"),
    ("PatientAge", "034Y", "035Y", NO, "C.2.2.2.1"),
    ("AccessionNumber", "A1", None, NO, "C.2.2.1.2, deviating: unknown matches nothing"),
    ("AccessionNumber", "A1", "", NO, "C.2.2.1.2, deviating: unknown matches nothing"),
    ("AccessionNumber", "A1", "  ", NO, "C.2.2.1.2, deviating: unknown matches nothing"),
    # C.2.2.2.1 Numbers are compared as numbers
    ("SeriesNumber", "7", "7", YES, "C.2.2.2.1"),
    ("SeriesNumber", "7", "007", YES, "C.2.2.2.1"),
    ("SeriesNumber", "+7", " 7", YES, "C.2.2.2.1"),
    ("SeriesNumber", "7", "-7", NO, "C.2.2.2.1"),
    ("SeriesNumber", "7", "70", NO, "C.2.2.2.1"),
    ("PatientWeight", "70", "70.0", YES, "C.2.2.2.1"),
    ("PatientWeight", "7e1", "70", YES, "C.2.2.2.1"),
    ("PatientWeight", "70", "heavy", NO, "C.2.2.2.1"),
    ("PatientWeight", "heavy", "heavy", YES, "C.2.2.2.1"),
    ("Rows", "512", "512", YES, "C.2.2.2.1"),
    ("Rows", "512", "1024", NO, "C.2.2.2.1"),
    # C.2.2.2.1 Names: case, accents, empty ends and spaces do not count; position does
    ("PatientName", "MULLER^HANS", "Müller^Hans", YES, "C.2.2.2.1, PN"),
    ("PatientName", "Müller^Hans", "MULLER^HANS", YES, "C.2.2.2.1, PN"),
    ("PatientName", "müller^hans", "Mu\u0308ller^Hans", YES, "C.2.2.2.1, PN"),
    ("PatientName", "Muller", "Müller^Hans", NO, "C.2.2.2.1, PN"),
    ("PatientName", "Hans^Muller", "Müller^Hans", NO, "C.2.2.2.1, PN"),
    ("PatientName", "Muller^Hans^^^", "Müller^Hans", YES, "C.2.2.2.1, PS3.5 6.2.1.1"),
    ("PatientName", "Muller^Hans", "Müller^Hans^^Dr.", NO, "C.2.2.2.1, PN"),
    ("PatientName", "Muller ^Hans", "Müller^Hans ", YES, "C.2.2.2.1, PN"),
    ("PatientName", "van  der Berg^Jan", "Van der Berg^Jan", YES, "C.2.2.2.1, PN"),
    ("PatientName", "Soren^Kierkegaard", "Søren^Kierkegaard", YES, "C.2.2.2.1, PN"),
    ("PatientName", "Lukasz", "Łukasz", YES, "C.2.2.2.1, PN"),
    ("PatientName", "STRASSE", "Straße", YES, "C.2.2.2.1, PN"),
    ("PatientName", "люкceмбург", "Люкceмбург", YES, "C.2.2.2.1, PN"),
    ("PatientName", "Διονυσιος", "Διονύσιος", YES, "C.2.2.2.1, PN"),
    ("PatientName", "か", "が", NO, "C.2.2.2.1, PN: another letter"),
    ("PatientName", "Ｙａｍａｄａ", "Yamada", YES, "C.2.2.2.1, PN: width"),
    ("PatientName", "O'Neil", "O’Neil", YES, "C.2.2.2.1, PN"),
    # Component groups
    ("PatientName", "Yamada^Tarou", FULL_NAME, YES, "C.2.2.2.1, PN groups"),
    ("PatientName", "山田^太郎", FULL_NAME, YES, "C.2.2.2.1, PN groups"),
    ("PatientName", "やまだ^たろう", FULL_NAME, YES, "C.2.2.2.1, PN groups"),
    ("PatientName", "=山田^太郎", "Yamada^Tarou=山田^太郎", YES, "C.2.2.2.1, PN groups"),
    ("PatientName", "山田^太郎=", "Yamada^Tarou=山田^太郎", NO, "C.2.2.2.1, PN groups"),
    ("PatientName", "Yamada^Tarou=", "Yamada^Tarou=山田^太郎", YES, "C.2.2.2.1, PN groups"),
    ("PatientName", "Yamada^Tarou=山田^花子", "Yamada^Tarou=山田^太郎", NO, "C.2.2.2.1, PN groups"),
    ("PatientName", "yamada*=山田*", "Yamada^Tarou=山田^太郎", YES, "C.2.2.2.4, PN groups"),
    ("PatientName", "*=山田^太郎", "Yamada^Tarou=山田^太郎", YES, "C.2.2.2.4, PN groups"),
    ("PatientName", "==やまだ*", "Yamada^Tarou=山田^太郎", NO, "C.2.2.2.1, PN groups"),
    ("PatientName", "ジャン＝ポール", "Jean=ジャン＝ポール", YES, "PN: a wide sign parts nothing"),
    # C.2.2.2.2 List of UIDs
    ("StudyInstanceUID", "1.2.3", "1.2.3", YES, "C.2.2.2.2"),
    ("StudyInstanceUID", "1.2.3\0", "1.2.3", YES, "C.2.2.2.2, PS3.5 6.2: null padding"),
    ("StudyInstanceUID", "1.2", "1.2.3", NO, "C.2.2.2.2"),
    ("StudyInstanceUID", "1.2.4\\1.2.3", "1.2.3", YES, "C.2.2.2.2"),
    ("StudyInstanceUID", "1.2.4\\1.2.5", "1.2.3", NO, "C.2.2.2.2"),
    ("SOPClassesInStudy", "1.2.4\\1.2.5", "1.2.3\\1.2.5", YES, "C.2.2.2.2, C.2.2.3"),
    ("StudyInstanceUID", "1.2.*", "1.2.3", NO, "C.2.2.2.4: not in UI"),
    ("StudyInstanceUID", "1.2.?", "1.2.3", NO, "C.2.2.2.4: not in UI"),
    # C.2.2.2.3 Universal
    ("PatientName", "", "Müller", YES, "C.2.2.2.3"),
    ("PatientName", "", None, YES, "C.2.2.2.3"),
    ("StudyDate", "", "", YES, "C.2.2.2.3"),
    ("PatientID", "  ", "4711", YES, "C.2.2.2.3"),
    ("PatientName", "*", None, YES, "C.2.2.2.4 note 1"),
    ("AccessionNumber", "*", "", YES, "C.2.2.2.4 note 1"),
    ("AccessionNumber", "**", "", YES, "C.2.2.2.4 note 1"),
    ("StudyDate", "*", "20240131", YES, "C.2.2.2.4 note 1, lenient"),
    ("StudyInstanceUID", "*", "1.2.3", YES, "C.2.2.2.4 note 1, lenient"),
    ("PatientID", "4711\\*", "1", YES, "C.2.2.2.3"),
    ("PatientName", "^", "Müller", YES, "C.2.2.2.3: a name of nothing"),
    # C.2.2.2.4 Wild cards
    ("PatientID", "47*", "4711", YES, "C.2.2.2.4"),
    ("PatientID", "47*", "47", YES, "C.2.2.2.4: none is any"),
    ("PatientID", "*11", "4711", YES, "C.2.2.2.4"),
    ("PatientID", "4*1", "4711", YES, "C.2.2.2.4"),
    ("PatientID", "4*2", "4711", NO, "C.2.2.2.4"),
    ("PatientID", "47?1", "4711", YES, "C.2.2.2.4"),
    ("PatientID", "47?1", "471", NO, "C.2.2.2.4: exactly one"),
    ("PatientID", "????", "4711", YES, "C.2.2.2.4"),
    ("PatientID", "?", "", NO, "C.2.2.2.4"),
    ("PatientID", "?*", "4", YES, "C.2.2.2.4"),
    ("PatientID", "*7*1*", "4711", YES, "C.2.2.2.4"),
    ("PatientID", "[4]*", "4711", NO, "C.2.2.2.4: no other signs"),
    ("PatientID", "*a*b", "ab1ab", YES, "C.2.2.2.4"),
    ("Modality", "C*", "CT", YES, "C.2.2.2.4"),
    ("Modality", "c*", "CT", NO, "C.2.2.2.4: case-sensitive"),
    ("StudyDescription", "*SCHÄDEL*", "CT Schädel", NO, "C.2.2.2.4: case-sensitive"),
    ("PatientName", "mul*", "Müller^Hans", YES, "C.2.2.2.4, PN"),
    ("PatientName", "*^hans", "Müller^Hans", YES, "C.2.2.2.4, PN"),
    ("PatientName", "*hans*", "Müller^Hans^^Dr.", YES, "C.2.2.2.4, PN"),
    ("PatientName", "m?ller^hans", "Müller^Hans", YES, "C.2.2.2.4, PN"),
    ("PatientName", "Gro?", "Groß", YES, "C.2.2.2.4, PN: one sign as written"),
    ("PatientName", "Gro??", "Groß", YES, "C.2.2.2.4, PN: two signs as folded"),
    ("PatientName", "Gro???", "Groß", NO, "C.2.2.2.4, PN"),
    ("PatientName", "金?중", "Kim=金희중", YES, "C.2.2.2.4, PN: a syllable is one sign"),
    ("SeriesNumber", "1*", "12", NO, "C.2.2.2.4: not in IS"),
    ("PatientWeight", "7?", "70", NO, "C.2.2.2.4: not in DS"),
    ("StudyDate", "2024*", "20240131", NO, "C.2.2.2.4: not in DA"),
    ("StudyTime", "10*", "101500", NO, "C.2.2.2.4: not in TM"),
    ("AcquisitionDateTime", "2024*", "20240131", NO, "C.2.2.2.4: not in DT"),
    ("PatientAge", "03?Y", "034Y", NO, "C.2.2.2.4: not in AS"),
    # C.2.2.2.1 and 5.1 Dates
    ("StudyDate", "20240131", "20240131", YES, "C.2.2.2.1"),
    ("StudyDate", "20240131", "2024.01.31", YES, "C.2.2.2.1: by meaning"),
    ("StudyDate", "2024.01.31", "20240131", YES, "C.2.2.2.1: by meaning"),
    ("StudyDate", "20240131", "20240201", NO, "C.2.2.2.1"),
    ("StudyDate", "20240101-20240131", "20240131", YES, "C.2.2.2.5.1"),
    ("StudyDate", "20240101-20240131", "20240101", YES, "C.2.2.2.5.1"),
    ("StudyDate", "20240101-20240131", "20240201", NO, "C.2.2.2.5.1"),
    ("StudyDate", "20240101-20240131", "20231231", NO, "C.2.2.2.5.1"),
    ("StudyDate", "20240101 - 20240131", "20240115", YES, "C.2.2.2.5.1"),
    ("StudyDate", "20240101-", "20240101", YES, "C.2.2.2.5.1"),
    ("StudyDate", "20240101-", "20231231", NO, "C.2.2.2.5.1"),
    ("StudyDate", "-20240101", "20240101", YES, "C.2.2.2.5.1"),
    ("StudyDate", "-20240101", "20240102", NO, "C.2.2.2.5.1"),
    ("StudyDate", "20240131-20240101", "20240115", NO, "C.2.2.2.5.1: backwards"),
    ("StudyDate", "20240101-", "", NO, "C.2.2.2.5.1: unknown"),
    ("StudyDate", "20240101-", "unknown", NO, "C.2.2.2.5.1"),
    ("StudyDate", "unknown", "unknown", YES, "C.2.2.2.1: as text"),
    ("StudyDate", "20240230", "20240230", YES, "C.2.2.2.1: no date, as text"),
    ("StudyDate", "20240230", "20240301", NO, "C.2.2.2.1"),
    ("StudyDate", "-", "20240301", NO, "C.2.2.2.5.1: no range"),
    # C.2.2.2.1 and 5.2 Times
    ("StudyTime", "101500", "101500", YES, "C.2.2.2.1"),
    ("StudyTime", "2230", "223000", YES, "C.2.2.2.1: by meaning"),
    ("StudyTime", "223000", "2230", YES, "C.2.2.2.1: by meaning"),
    ("StudyTime", "223000", "22:30:00", YES, "C.2.2.2.1: by meaning"),
    ("StudyTime", "223000", "223000.000", YES, "C.2.2.2.1: by meaning"),
    ("StudyTime", "2230", "223015", YES, "C.2.2.2.1: the whole minute"),
    ("StudyTime", "22", "225959.9", YES, "C.2.2.2.1: the whole hour"),
    ("StudyTime", "22", "230000", NO, "C.2.2.2.1"),
    ("StudyTime", "223015", "2230", NO, "C.2.2.2.1: not so precise"),
    ("StudyTime", "1000-1200", "110000", YES, "C.2.2.2.5.2"),
    ("StudyTime", "1000-1200", "120059.999999", YES, "C.2.2.2.5.2: to the end of the minute"),
    ("StudyTime", "1000-1200", "120100", NO, "C.2.2.2.5.2"),
    ("StudyTime", "1000-", "235959", YES, "C.2.2.2.5.2"),
    ("StudyTime", "-1000", "000000", YES, "C.2.2.2.5.2"),
    ("StudyTime", "-1000", "110000", NO, "C.2.2.2.5.2"),
    ("StudyTime", "2200-0600", "230000", NO, "C.2.2.2.5.2: not across midnight"),
    ("StudyTime", "1060", "1060", YES, "C.2.2.2.1: no time, as text"),
    ("StudyTime", "235960", "235960", YES, "C.2.2.2.1, PS3.5 6.2: a leap second"),
    ("StudyTime", "2500", "2500", YES, "C.2.2.2.1: no time, as text"),
    # C.2.2.2.5.3 Moments
    ("AcquisitionDateTime", "2024", "20240131101500", YES, "C.2.2.2.1: the whole year"),
    ("AcquisitionDateTime", "202401", "20240131101500", YES, "C.2.2.2.1: the whole month"),
    ("AcquisitionDateTime", "202402", "20240131101500", NO, "C.2.2.2.1"),
    ("AcquisitionDateTime", "20240131", "20240131235959.999999", YES, "C.2.2.2.1: the day"),
    ("AcquisitionDateTime", "2023-2024", "20241231235959", YES, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "2023-2024", "20250101", NO, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "2024-", "2031", YES, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "-202401", "20240131235959", YES, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "20240131101500.0000", "20240131101500", YES, "C.2.2.2.1"),
    ("AcquisitionDateTime", "20240131101500+0000", "20240131111500+0100", YES, "C.2.2.2.1: UTC"),
    ("AcquisitionDateTime", "20240131101500+0000", "20240131101500+0100", NO, "C.2.2.2.1: UTC"),
    ("AcquisitionDateTime", "20240131101500-0500", "20240131151500+0000", YES, "C.2.2.2.1: UTC"),
    ("AcquisitionDateTime", ZONED, "20240201040000+0000", YES, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", ZONED, "20240131040000+0000", NO, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "-20240131-0500", "20240201040000+0000", YES, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "20240131-0500-", "20240131040000+0000", NO, "C.2.2.2.5.3"),
    ("AcquisitionDateTime", "20240131101500", "20240131101500+0100", YES, "C.2.2.2.5.3: no zone"),
    ("AcquisitionDateTime", "20240131+1500", "20240131+1500", YES, "no such zone, as text"),
    ("AcquisitionDateTime", "2024013125", "2024013125", YES, "no such hour, as text"),
    ("AcquisitionDateTime", "20241331", "20241331", YES, "no such month, as text"),
    ("AcquisitionDateTime", "202402", "20240229", YES, "C.2.2.2.1: the whole month"),
    ("AcquisitionDateTime", "9999", "99991231", YES, "C.2.2.2.1: the whole year"),
    # C.2.2.2.8, without its negotiation, and C.2.2.3
    ("ModalitiesInStudy", "CT", "CT\\SR", YES, "C.2.2.3"),
    ("ModalitiesInStudy", "MR", "CT\\SR", NO, "C.2.2.3"),
    ("ModalitiesInStudy", "CT\\MR", "CT\\SR", YES, "C.2.2.2.8: undefined, one is enough"),
    ("ModalitiesInStudy", "PT\\MR", "CT\\SR", NO, "C.2.2.2.8: undefined, one is enough"),
    ("OtherPatientNames", "doe*", "Roe^R\\Doe^J", YES, "C.2.2.3"),
    ("ImageType", "PRIMARY", "ORIGINAL\\PRIMARY\\AXIAL", YES, "C.2.2.3"),
    # C.2.2.2.7, without its negotiation: two quotation marks are text
    ("AccessionNumber", '""', "", NO, "C.2.2.2.7"),
    ("AccessionNumber", '""', '""', YES, "C.2.2.2.1"),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "key", "stored", "expected", "section"), ROWS)
def test_a_key_matches_as_the_standard_says(
    keyword: str, key: str, stored: str | None, expected: bool, section: str
) -> None:
    assert verdict(keyword, key, stored) is expected, section


GRANTED: list[tuple[Rules, str, str, str | None, bool, str]] = [
    (EMPTY, "AccessionNumber", '""', "", YES, "C.2.2.2.7"),
    (EMPTY, "AccessionNumber", '""', None, YES, "C.2.2.2.7"),
    (EMPTY, "AccessionNumber", '""', " ", YES, "C.2.2.2.7"),
    (EMPTY, "AccessionNumber", '""', "A1", NO, "C.2.2.2.7"),
    (EMPTY, "StudyDate", '""', None, YES, "C.2.2.2.7"),
    (EMPTY, "StudyDate", '""', "20240131", NO, "C.2.2.2.7"),
    (EMPTY, "PatientName", '""', "", YES, "C.2.2.2.7"),
    (EMPTY, "OtherPatientIDs", '""', "\\", YES, "C.2.2.2.7"),
    (EMPTY, "AccessionNumber", "A1", "", NO, "C.2.2.1.2, deviating"),
    (MULTIPLE, "ModalitiesInStudy", "CT\\SR", "CT\\SR", YES, "C.2.2.2.8"),
    (MULTIPLE, "ModalitiesInStudy", "SR\\CT", "CT\\SR", YES, "C.2.2.2.8: any order"),
    (MULTIPLE, "ModalitiesInStudy", "CT\\SR", "CT\\SR\\PR", YES, "C.2.2.2.8 note 2"),
    (MULTIPLE, "ModalitiesInStudy", "CT\\PT", "CT\\SR", NO, "C.2.2.2.8 note 1"),
    (MULTIPLE, "OtherPatientNames", "roe^r\\DOE^J", "Doe^J\\Roe^R", YES, "C.2.2.2.8"),
    (MULTIPLE, "SOPClassesInStudy", "1.2\\1.3", "1.2", YES, "C.2.2.2.2: a list of UIDs stays one"),
    (MULTIPLE, "ModalitiesInStudy", "CT\\*", "MR", NO, "C.2.2.2.8"),
    (MULTIPLE, "ModalitiesInStudy", "CT\\*", "CT", YES, "C.2.2.2.8"),
    (MULTIPLE, "PatientID", "1\\2", "2", YES, "C.2.2.2.8: one value only, undefined"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "keyword", "key", "stored", "expected", "section"), GRANTED)
def test_negotiated_matching_is_as_granted(
    rules: Rules, keyword: str, key: str, stored: str | None, expected: bool, section: str
) -> None:
    assert verdict(keyword, key, stored, rules) is expected, section


@pytest.mark.parametrize(
    ("key", "stored", "key_zone", "stored_zone", "expected"),
    [
        ("20240131101500", "20240131111500", "+0000", "+0100", YES),
        ("20240131101500", "20240131101500", "+0000", "+0100", NO),
        ("20240131101500", "20240131101500", "+0000", "", YES),
        ("20240131101500", "20240131101500", "", "+0100", YES),
        ("20240131101500+0100", "20240131101500", "+0000", "+0100", YES),
        ("20240131101500", "20240131101500", "nonsense", "+9900", YES),
    ],
)
def test_moments_are_compared_in_utc_where_both_zones_are_known(
    key: str, stored: str, key_zone: str, stored_zone: str, expected: bool
) -> None:
    found = verdict(
        "AcquisitionDateTime", key, stored, _zone=key_zone, TimezoneOffsetFromUTC=stored_zone
    )
    assert found is expected


# ---------------------------------------------------------------- combined date and time

DAY, TIME = tag("StudyDate"), tag("StudyTime")


@pytest.mark.parametrize(
    ("days", "times", "day", "time", "apart", "combined"),
    [
        ("20240105-20240107", "1000-1800", "20240105", "1100", YES, YES),
        ("20240105-20240107", "1000-1800", "20240106", "0300", NO, YES),
        ("20240105-20240107", "1000-1800", "20240105", "0900", NO, NO),
        ("20240105-20240107", "1000-1800", "20240107", "1801", NO, NO),
        ("20240105-", "1000-", "20240106", "0300", NO, YES),
        ("-20240107", "-1800", "20240106", "2300", NO, YES),
        ("20240105-20240107", "1000-", "20240106", "0300", NO, NO),
        ("20240105", "1000", "20240105", "1030", NO, NO),
        ("20240105", "1000-1800", "20240105", "1030", YES, YES),
        ("20240105-20240107", "1000-1800", "20240106", "", NO, YES),
        ("20240105-20240107", "1000-1800", "", "1100", NO, NO),
        ("20240105-20240107", "nonsense", "20240106", "0300", NO, NO),
        ("20240105-20240107", "", "20240106", "0300", YES, YES),
    ],
)
def test_a_date_and_a_time_range_are_one_range_where_granted(
    days: str, times: str, day: str, time: str, apart: bool, combined: bool
) -> None:
    record: Record = {DAY: (day,) if day else (), TIME: (time,) if time else ()}
    query = Query(Level.STUDY, ((DAY, (days,)), (TIME, (times,))))
    assert matches(query, record, BASE) is apart
    assert matches(query, record, COMBINED) is combined


def test_several_ranges_are_never_combined() -> None:
    query = Query(Level.STUDY, ((DAY, ("20240105-", "20230101-")), (TIME, ("1000-",))))
    assert not matches(query, {DAY: ("20240106",), TIME: ("0300",)}, COMBINED)


# ---------------------------------------------------------------- sequences

REQUEST = tag("RequestAttributesSequence")
STEP, PROCEDURE, CODES, CODE = 0x0040_0009, 0x0040_1001, 0x0040_0008, 0x0008_0100


def sequenced(item: Record | str, *items: Record, rules: Rules = BASE) -> bool:
    query = Query(Level.SERIES, ((REQUEST, (item,)),))
    return matches(query, {REQUEST: items} if items else {}, rules)


def test_all_keys_of_an_item_must_match_one_and_the_same_item() -> None:
    """C.2.2.2.6."""
    both: Record = {STEP: ("1",), PROCEDURE: ("2",)}
    assert sequenced({STEP: ("1",)}, {STEP: ("3",)}, {STEP: ("1",)})
    assert not sequenced({STEP: ("1",)}, {STEP: ("3",)})
    assert not sequenced({STEP: ("1",)})
    assert sequenced(both, {STEP: ("1",), PROCEDURE: ("2",)})
    assert not sequenced(both, {STEP: ("1",)}, {PROCEDURE: ("2",)})


def test_the_kinds_of_matching_are_the_same_inside_items() -> None:
    """C.2.2.2.6."""
    assert sequenced({STEP: ("1*",)}, {STEP: ("12",)})
    assert sequenced({CODES: ({CODE: ("X",)},)}, {CODES: ({CODE: ("Y",)}, {CODE: ("X",)})})
    assert not sequenced({CODES: ({CODE: ("Z",)},)}, {CODES: ({CODE: ("Y",)},)})
    assert sequenced({STEP: ('""',)}, {PROCEDURE: ("1",)}, rules=EMPTY)


def test_a_sequence_that_asks_for_nothing_matches_everything() -> None:
    """C.2.2.2.6: it asks for the sequence to be returned."""
    keys: list[Record] = [{}, {STEP: ()}, {STEP: ("",)}, {STEP: ("*",)}, {CODES: ({CODE: ()},)}]
    for item in keys:
        assert sequenced(item)
        assert sequenced(item, {STEP: ("1",)})
    assert matches(Query(Level.SERIES, ((REQUEST, ()),)), {}, BASE)


def test_keys_of_items_that_are_not_known_are_not_matched() -> None:
    """C.2.2.1.3."""
    assert sequenced({0x0099_0001: ("1",)}, {STEP: ("1",)})
    assert not sequenced({0x0099_0001: ("1",), STEP: ("2",)}, {STEP: ("1",)})


def test_several_items_in_a_key_are_alternatives() -> None:
    query = Query(Level.SERIES, ((REQUEST, ({STEP: ("1",)}, {STEP: ("2",)})),))
    assert matches(query, {REQUEST: ({STEP: ("2",)},)}, BASE)
    assert not matches(query, {REQUEST: ({STEP: ("3",)},)}, BASE)


def test_texts_and_items_in_each_others_place_match_nothing_and_break_nothing() -> None:
    assert not sequenced("text", {STEP: ("1",)})
    assert not matches(
        Query(Level.SERIES, ((REQUEST, ({STEP: ("1",)},)),)), {REQUEST: ("text",)}, BASE
    )
    item: Value = ({STEP: ("1",)},)
    assert not matches(Query(Level.STUDY, ((DAY, ("20240105",)),)), {DAY: item}, BASE)
    assert not matches(Query(Level.STUDY, ((DAY, item),)), {DAY: ("20240105",)}, BASE)


# ---------------------------------------------------------------- levels and what is ignored


def test_keys_of_lower_levels_are_not_matched_unless_queries_may_be_relational() -> None:
    """C.4.1.2.2.1 and 2."""
    relational = Rules(relational=True)
    query = Query(Level.STUDY, ((tag("Modality"), ("CT",)), (tag("SOPClassUID"), ())))
    assert matches(query, {}, BASE)
    assert not matches(query, {tag("Modality"): ("MR",)}, relational)
    assert matches(query, {tag("Modality"): ("CT",)}, relational)
    assert search_level(query, BASE) is Level.STUDY
    assert search_level(query, relational) is Level.SERIES
    assert ignored(query, BASE) == (tag("Modality"),)
    assert ignored(query, relational) == ()


def test_keys_that_the_index_does_not_know_are_not_matched_and_are_named() -> None:
    """C.2.2.1.3, C.4.1.1.4: FF01."""
    query = Query(Level.STUDY, ((0x0008_0005, ("ISO_IR 192",)), (0x0099_0001, ("x",))))
    assert matches(query, {}, BASE)
    assert ignored(query, BASE) == (0x0099_0001,)


def test_the_zone_of_the_query_is_never_matched() -> None:
    assert verdict("TimezoneOffsetFromUTC", "+0100", "+0200")


def test_all_keys_must_match() -> None:
    query = Query(Level.STUDY, ((tag("PatientID"), ("1",)), (DAY, ("20240105",))))
    judge = Matcher(query, BASE)
    assert judge.matches({tag("PatientID"): ("1",), DAY: ("20240105",)})
    assert not judge.matches({tag("PatientID"): ("1",), DAY: ("20240106",)})


# ---------------------------------------------------------------- properties

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
known = st.sampled_from([a for a in ATTRIBUTES if a.vr != "SQ"])
rules = st.builds(Rules, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=300, deadline=None)
@given(known, texts, texts, rules)
def test_whatever_is_asked_of_whatever_there_is_an_answer(
    attribute: object, key: str, stored: str, granted: Rules
) -> None:
    keyword = attribute.keyword  # type: ignore[attr-defined]
    assert verdict(keyword, key, stored, granted) in {True, False}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["PatientID", "PatientName", "StudyDescription", "StudyDate", "StudyTime"]),
    st.text("abcXYZäøß019^ .", min_size=1, max_size=10),
)
def test_a_value_that_is_there_matches_itself(keyword: str, text: str) -> None:
    if text.strip():
        assert verdict(keyword, text, text)


@settings(max_examples=300, deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wild_cards_match_as_a_plain_reading_has_it(key: str, stored: str) -> None:
    def plain(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return plain(pattern[1:], text) or (bool(text) and plain(pattern, text[1:]))
        return bool(text) and pattern[0] in {"?", text[0]} and plain(pattern[1:], text[1:])

    if key.strip("*") and stored:
        assert verdict("PatientID", key, stored) is plain(key, stored)
        assert verdict("PatientName", key, stored) is plain(key, stored)


def test_a_wicked_key_takes_no_time() -> None:
    assert not verdict("PatientID", "*a" * 400 + "b", "a" * 5000)


def test_universal_keys_are_known_as_such() -> None:
    assert universal(())
    assert universal(("*", " "))
    assert universal(({}, {1: ("*",)}))
    assert not universal(({1: ("x",)},))
    assert not universal(("?",))


def test_in_a_model_of_one_level_every_key_is_matched_that_the_lexicon_knows() -> None:
    known = {
        0x0040_0100: Element("ScheduledProcedureStepSequence", 0x0040_0100, "SQ"),
        0x0040_0002: Element("ScheduledProcedureStepStartDate", 0x0040_0002, "DA"),
        0x0040_0003: Element("ScheduledProcedureStepStartTime", 0x0040_0003, "TM"),
    }
    step: Record = {0x0040_0002: ("20240106",), 0x0040_0003: ("0700",)}
    record: Record = {0x0040_0100: (step,)}

    def found(date: str, time: str) -> bool:
        keys: Record = {
            0x0040_0100: ({0x0040_0002: (date,), 0x0040_0003: (time,)},),
            0x0009_1001: ("nothing is known of it",),
        }
        return flat_matcher(keys, Rules(combined_datetime=True), known.get)(record)

    assert found("20240105-20240106", "0900-0800"), "one range from morning to morning"
    assert not found("20240105-20240106", "0900-0600")
    assert not found("20240107", "")
