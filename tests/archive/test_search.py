"""Search: what SQL narrows down to is never less than what the model's matching finds."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshpacs.archive.archive import Archive
from meshpacs.archive.faults import Refused
from meshpacs.archive.search import narrow
from meshpacs.model.answer import Row
from meshpacs.model.attributes import (
    LEVELS,
    PATIENT_ID,
    PATIENT_NAME,
    UNIQUE_KEYS,
    Level,
    Record,
    Value,
)
from meshpacs.model.content import study_root
from meshpacs.model.limits import ROWS_PER_HOLDER
from meshpacs.model.matching import matches, search_level
from meshpacs.model.names import fold_name
from meshpacs.model.query import Query, Rules
from tests.archive.instances import corpus, instance, tag_of, take

ISSUER = 0x0010_0021
STUDY_UID = UNIQUE_KEYS[Level.STUDY]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """All real files, and a few patients that are hard to tell apart."""
    with Archive.open(tmp_path_factory.mktemp("real")) as archive:
        for path in corpus():
            try:
                take(archive, path.read_bytes())
            except Refused:
                continue
        odd: list[Mapping[str, str]] = [
            {"PatientName": "Müller^Ärne", "SpecificCharacterSet_": "ISO_IR 100"},
            {"PatientName": "GROSSMANN^J=\xdf^?", "StudyDate": "2004.01.19"},
            {"PatientName": "Doe^Jane\\Doe^Joan", "PatientID": "12\\34", "StudyDate": "no date"},
            {"PatientName": "Gro\xdfmann^J", "PatientID": "A*B?C", "AccessionNumber": "1\\2"},
            {"StudyDate": "20040119\\20050101", "PatientBirthDate": "19000101"},
        ]
        for i, texts in enumerate(odd):
            kept = {k: v for k, v in texts.items() if k[-1] != "_"}
            take(archive, instance(f"2.1.{i}", study=f"2.2.{i}", series=f"2.3.{i}", **kept))
        yield archive


@cache
def everything(archive: Archive, level: Level) -> list[Record]:
    return [row.record for row in archive.search(Query(level)).rows]


def found(archive: Archive, keys: Mapping[str, str], level: Level = Level.STUDY) -> list[Row]:
    wanted = tuple(sorted((tag_of(k), (v,) if v else ()) for k, v in keys.items()))
    return list(archive.search(Query(level, wanted)).rows)


# ---------------------------------------------------------------- equal to brute force

TRICKS = ("{}", "{}*", "*{}", "*{}*", "?{}", "{}?", "*", "", "{}-", "-{}", "{}-{}", '""', "no")


@st.composite
def queries(draw: st.DrawFn, archive: Archive) -> Query:
    """A query whose keys are made of values that are there, bent in many ways."""
    level = draw(st.sampled_from(LEVELS))
    rules = draw(st.builds(Rules, *[st.booleans()] * 4))
    records = everything(archive, draw(st.sampled_from(LEVELS)) if rules.relational else level)
    keys: dict[int, Value] = {}
    favourites = [
        tag_of(k)
        for k in ("PatientName", "PatientID", "StudyDate", "AccessionNumber", "PatientBirthDate",
                  "StudyInstanceUID", "Modality", "ModalitiesInStudy", "SOPClassUID")
    ]  # fmt: skip
    for _ in range(draw(st.integers(1, 3))):
        record = draw(st.sampled_from(records))
        tag = draw(st.sampled_from(sorted(record)) | st.sampled_from(favourites))
        values = [v for v in record.get(tag, ()) if isinstance(v, str)] or ["20040119"]
        texts = []
        for _ in range(draw(st.integers(1, 2))):
            text = draw(st.sampled_from(values))
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, len(text)))
            if draw(st.booleans()):
                start, end = 0, len(text)
            bent = draw(st.sampled_from(TRICKS)).format(text[start:end], text[start:end])
            texts.append(draw(st.sampled_from([bent, bent.lower(), bent.swapcase(), bent + " "])))
        keys[tag] = tuple(texts)
    return Query(level, tuple(sorted(keys.items())), rules=rules)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_search_finds_what_matching_every_record_finds(real: Archive, data: st.DataObject) -> None:
    query = data.draw(queries(real))
    judged = search_level(query, query.rules)
    expected = [r for r in everything(real, judged) if matches(query, r, query.rules)]
    rows = real.search(query).rows
    if judged is query.level:
        # Rows carry the keys asked for; the rest of the level comes with empty `returns`.
        assert [row.record for row in rows] == expected
    else:
        # Several parts may tell of one entity: it is found once.
        told = {entity(query.level, record): None for record in expected}
        seen = [entity(query.level, row.record) for row in rows]
        assert sorted(key[:-1] for key in told) == sorted(key[:-1] for key in seen)


def entity(level: Level, record: Record) -> tuple[Value, ...]:
    """What tells one from another; the last is no part of a patient's row."""
    if level is not Level.PATIENT:
        return record[UNIQUE_KEYS[level]], record.get(PATIENT_ID, ()), ()
    number = record.get(PATIENT_ID, ())
    name = tuple(fold_name(str(text)) for text in record.get(PATIENT_NAME, ())[:1])
    return number, record.get(ISSUER, ()), name, () if number else record.get(STUDY_UID, ())


@pytest.mark.parametrize("level", LEVELS)
def test_universal_keys_narrow_nothing(level: Level) -> None:
    keys: tuple[tuple[int, Value], ...] = (
        (tag_of("StudyDate"), ()), (PATIENT_NAME, ("*",)), (PATIENT_ID, ("**",)),
        (STUDY_UID, ("",)),
    )  # fmt: skip
    assert narrow(Query(level, keys), level) == []


def test_wild_cards_without_any_letter_narrow_nothing() -> None:
    keys: tuple[tuple[int, Value], ...] = ((PATIENT_NAME, ("?*?",)), (PATIENT_ID, ("?",)))
    assert narrow(Query(Level.STUDY, keys), Level.STUDY) == []


# ---------------------------------------------------------------- rows


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path) as opened:
        yield opened


def put(
    archive: Archive, number: int, study: str = "1.1", series: str = "1.1.1", **texts: str
) -> None:
    sop = f"9.{number}"
    take(archive, instance(sop, study=study, series=series, InstanceNumber=str(number), **texts))


def test_counts_and_sets_of_a_study_follow_what_is_stored(archive: Archive) -> None:
    put(archive, 1, PatientID="P")
    put(archive, 2, series="1.1.2", Modality="SR", PatientID="P")
    put(archive, 3, series="1.1.2", Modality="SR", PatientID="P", SOPClassUID="1.2.9")
    put(archive, 4, study="1.2", series="1.2.1", Modality="", PatientID="P")
    (row,) = found(archive, {"StudyInstanceUID": "1.1"})
    said = {
        keyword: row.record[tag_of(keyword)]
        for keyword in (
            "ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances", "NumberOfPatientRelatedStudies",
            "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances",
        )
    }  # fmt: skip
    assert said == {
        "ModalitiesInStudy": ("CT", "SR"),
        "SOPClassesInStudy": ("1.2.840.10008.5.1.4.1.1.2", "1.2.9"),
        "NumberOfStudyRelatedSeries": ("2",),
        "NumberOfStudyRelatedInstances": ("3",),
        "NumberOfPatientRelatedStudies": ("2",),
        "NumberOfPatientRelatedSeries": ("3",),
        "NumberOfPatientRelatedInstances": ("4",),
    }
    (bare,) = found(archive, {"StudyInstanceUID": "1.2"})
    assert bare.record[tag_of("ModalitiesInStudy")] == ()
    reports = found(archive, {"Modality": "SR"}, Level.SERIES)
    assert [row.record[tag_of("Modality")] for row in reports] == [("SR",)]
    (patient,) = found(archive, {"NumberOfPatientRelatedInstances": "4"}, Level.PATIENT)
    assert [state.study_uid for state in patient.studies] == ["1.1", "1.2"]


def test_a_row_carries_what_was_asked_for_and_who_it_is_about(archive: Archive) -> None:
    put(archive, 1, PatientID="P", IssuerOfPatientID="CLINIC", PatientName="A^B", StudyID="7")
    query = Query(
        Level.SERIES,
        ((PATIENT_NAME, ("A*",)),),
        returns=(tag_of("StudyID"), tag_of("SeriesNumber"), tag_of("InstanceNumber")),
    )
    (row,) = archive.search(query).rows
    assert row.record == {
        PATIENT_NAME: ("A^B",),
        PATIENT_ID: ("P",),
        ISSUER: ("CLINIC",),
        tag_of("StudyID"): ("7",),
        STUDY_UID: ("1.1",),
        UNIQUE_KEYS[Level.SERIES]: ("1.1.1",),
    }
    (state,) = row.studies
    assert (state.study_uid, state.count) == ("1.1", 1)
    assert state.root == study_root(archive.study_entries("1.1"))


def test_a_studys_state_changes_with_the_study_and_not_otherwise(archive: Archive) -> None:
    put(archive, 1)
    first = archive.study_state("1.1")
    put(archive, 2, study="1.2", series="1.2.1")
    assert archive.study_state("1.1") is first
    put(archive, 3)
    second = archive.study_state("1.1")
    assert second is not None
    assert first is not None
    assert (first.count, second.count) == (1, 2)
    assert first.root != second.root
    assert archive.study_state("1.9") is None


def test_remembered_states_are_bounded(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.archive.holdings.STATES_KEPT", 2)
    for i in range(4):
        put(archive, i, study=f"1.{i}", series=f"1.{i}.1")
    assert len(found(archive, {"PatientName": ""})) == 4
    assert len(archive._states._known) == 2


def test_rows_end_at_the_limit_and_say_so(archive: Archive) -> None:
    for i in range(5):
        put(archive, i, study=f"1.{i}", series=f"1.{i}.1")
    for limit, rows, truncated in ((4, 4, True), (5, 5, False), (0, 0, True), (-1, 0, True)):
        answer = archive.search(Query(Level.STUDY, limit=limit))
        assert (len(answer.rows), answer.truncated) == (rows, truncated)
    first = archive.search(Query(Level.STUDY, limit=3)).rows
    assert first == archive.search(Query(Level.STUDY, limit=ROWS_PER_HOLDER * 9)).rows[:3]


def test_a_relational_key_finds_a_study_once(archive: Archive) -> None:
    put(archive, 1)
    put(archive, 2)
    put(archive, 3, series="1.1.2", Modality="SR")
    keys: tuple[tuple[int, Value], ...] = ((tag_of("InstanceNumber"), ("1", "2")),)
    for level in (Level.PATIENT, Level.STUDY, Level.SERIES):
        rows = archive.search(Query(level, keys, rules=Rules(relational=True))).rows
        assert len(rows) == 1
        assert tag_of("InstanceNumber") not in rows[0].record


# ---------------------------------------------------------------- who is who


def names(rows: list[Row]) -> list[Value | None]:
    return [row.record.get(PATIENT_NAME) for row in rows]


def test_one_number_with_two_issuers_is_two_patients(archive: Archive) -> None:
    put(archive, 1, study="1.1", PatientID="1", IssuerOfPatientID="X", PatientName="A")
    put(archive, 2, study="1.2", PatientID="1", IssuerOfPatientID="Y", PatientName="A")
    assert len(found(archive, {"PatientID": "1"}, Level.PATIENT)) == 2


def test_a_number_without_an_issuer_is_the_local_issuers_unless_it_came_from_the_mesh(
    tmp_path: Path,
) -> None:
    with Archive.open(tmp_path, issuer="HERE") as archive:
        put(archive, 1, study="1.1", PatientID="1", PatientName="A")
        put(archive, 2, study="1.2", PatientID="1", PatientName="B", IssuerOfPatientID="X")
        put(archive, 3, study="1.3", PatientName="C")
        other = instance("1.9", study="1.4", series="1.4.1", PatientID="1", PatientName="D")
        take(archive, other, own=False)
        for level in (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE):
            rows = found(archive, {"PatientName": "*"}, level)
            issuers = {row.record[PATIENT_NAME]: row.record.get(ISSUER, ()) for row in rows}
            assert issuers == {("A",): ("HERE",), ("B",): ("X",), ("C",): (), ("D",): ()}
            keys = {"PatientID": "1", "IssuerOfPatientID": "HERE"}
            assert names(found(archive, keys, level)) == [("A",)]
        take(archive, other)  # the same instance, now by the own door
        keys = {"PatientID": "1", "IssuerOfPatientID": "HERE"}
        assert names(found(archive, keys, Level.PATIENT)) == [("A",), ("D",)]


def test_two_names_under_one_number_are_two_patients(archive: Archive) -> None:
    put(archive, 1, study="1.1", PatientID="12345678", PatientName="Adler^Anna")
    put(archive, 2, study="1.2", PatientID="12345678", PatientName="Brandt^Bert")
    put(archive, 3, study="1.3", PatientID="12345678", PatientName="ADLER^ANNA^")
    rows = found(archive, {"PatientID": "12345678"}, Level.PATIENT)
    assert names(rows) == [("Adler^Anna",), ("Brandt^Bert",)]
    assert [len(row.studies) for row in rows] == [2, 1]
    assert names(found(archive, {"PatientName": "brandt*"}, Level.PATIENT)) == [("Brandt^Bert",)]


def test_a_study_with_two_numbers_is_shown_for_each_and_has_one_state(archive: Archive) -> None:
    put(archive, 1, PatientID="A")
    put(archive, 2, PatientID="B")
    rows = found(archive, {"StudyInstanceUID": "1.1"})
    assert [row.record[PATIENT_ID] for row in rows] == [("A",), ("B",)]
    assert [row.record[tag_of("NumberOfStudyRelatedInstances")] for row in rows] == [("1",)] * 2
    assert rows[0].studies == rows[1].studies
    assert rows[0].studies[0].count == 2
    assert archive.counts().studies == 1


def test_a_study_whose_name_is_spelled_in_two_ways_is_one(archive: Archive) -> None:
    put(archive, 1, PatientID="A", PatientName="Jon")
    put(archive, 2, PatientID="A", PatientName="John")
    (row,) = found(archive, {"StudyInstanceUID": "1.1"})
    assert row.record[PATIENT_NAME] == ("Jon",)
    assert row.record[tag_of("NumberOfStudyRelatedInstances")] == ("2",)


def test_studies_without_a_number_have_a_patient_each(archive: Archive) -> None:
    put(archive, 1, study="1.1", PatientName="A")
    put(archive, 2, study="1.2", PatientName="A")
    assert len(found(archive, {"PatientName": "a"}, Level.PATIENT)) == 2


def test_names_are_found_in_any_case_accent_and_script(real: Archive) -> None:
    for key in ("yamada*", "山田*", "やまだ*", "Buc^jerome", "люк*"):
        assert found(real, {"PatientName": key}), key


# ---------------------------------------------------------------- notes


def test_the_newest_manifest_of_each_origin_is_kept(archive: Archive) -> None:
    assert archive.keep_manifest("1.1", b"a", 2, b"two")
    assert not archive.keep_manifest("1.1", b"a", 2, b"other")
    assert not archive.keep_manifest("1.1", b"a", 1, b"one")
    assert archive.keep_manifest("1.1", b"b", 1, b"b one")
    assert archive.keep_manifest("1.1", b"a", 3, b"three")
    assert archive.manifests("1.1") == {b"a": (3, b"three"), b"b": (1, b"b one")}
    assert archive.manifests("1.2") == {}


def test_boots_only_rise_and_facts_stay(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        for boot in (5, 7, 6):
            archive.keep_boot(b"n", boot)
        archive.remember("x", b"1")
        archive.remember("x", b"2")
    with Archive.open(tmp_path) as archive:
        assert archive.boots() == {b"n": 7}
        assert archive.recall("x") == b"2"
        assert archive.recall("y") is None
        assert archive.free_bytes() > 0
