"""Rows of several holders as one list."""

from itertools import permutations

import pytest

from meshpacs.model.answer import Row
from meshpacs.model.attributes import Level, Record, Value, by_keyword
from meshpacs.model.content import Entry, StudyState, study_root
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.merge import Match, merge, needs_holdings

ANNA, BERT, CARL = (NodeId(letter * 32) for letter in (b"a", b"b", b"c"))

Rows = dict[NodeId, tuple[Row, ...]]
Holdings = dict[tuple[NodeId, str], tuple[Entry, ...]]


def tag(keyword: str) -> int:
    attribute = by_keyword(keyword)
    assert attribute is not None, keyword
    return attribute.tag


def record(**values: str) -> Record:
    return {tag(k): tuple(v.split("\\")) if v else () for k, v in values.items()}


def values(match: Match, *keywords: str) -> list[Value | None]:
    return [match.record.get(tag(keyword)) for keyword in keywords]


def entry(uid: str, *, series: str = "1.1", modality: str = "CT", root: bytes = b"r") -> Entry:
    return Entry(uid, f"9.{modality}", series, modality, "1.2.1", 10, Digest(root * 32))


def state(study: str, *entries: Entry) -> StudyState:
    return StudyState(study, study_root(entries), len(entries))


CT = (entry("1"), entry("2"))
SR = (entry("3", series="1.2", modality="SR"),)


def study(*entries: Entry, uid: str = "1.2", **more: str) -> Row:
    counts = record(
        StudyInstanceUID=uid,
        NumberOfStudyRelatedSeries=str(len({e.series_uid for e in entries})),
        NumberOfStudyRelatedInstances=str(len(entries)),
        ModalitiesInStudy="\\".join(sorted({e.modality for e in entries})),
        SOPClassesInStudy="\\".join(sorted({e.sop_class for e in entries})),
    )
    return Row(counts | record(**more), (state(uid, *entries),))


COUNTS = (
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "ModalitiesInStudy",
    "SOPClassesInStudy",
)


# ---------------------------------------------------------------- studies


def test_one_holders_rows_stay_as_they_are() -> None:
    row = study(*CT, PatientID="1")
    (match,) = merge(Level.STUDY, {ANNA: (row,)}, {})
    assert match == Match(row.record, (ANNA,))
    assert needs_holdings(Level.STUDY, {ANNA: (row,)}) == []


def test_equal_roots_are_one_study_with_the_counts_that_all_report() -> None:
    rows: Rows = {BERT: (study(*CT),), ANNA: (study(*CT),), CARL: ()}
    assert needs_holdings(Level.STUDY, rows) == []
    (match,) = merge(Level.STUDY, rows, {})
    assert match.holders == (ANNA, BERT)
    assert values(match, *COUNTS) == [("1",), ("2",), ("CT",), ("9.CT",)]
    assert not match.unresolved
    assert not match.differing


def test_a_study_in_three_contributions_is_one_row_with_the_counts_of_all() -> None:
    late = (*CT, entry("5", series="1.3", modality="KO"))
    rows: Rows = {ANNA: (study(*late),), BERT: (study(*SR),), CARL: (study(*CT, *SR),)}
    assert needs_holdings(Level.STUDY, rows) == [("1.2", [ANNA, BERT, CARL])]
    holdings: Holdings = {(ANNA, "1.2"): late, (BERT, "1.2"): SR, (CARL, "1.2"): (*CT, *SR)}
    (match,) = merge(Level.STUDY, rows, holdings)
    assert match.holders == (ANNA, BERT, CARL)
    assert values(match, *COUNTS) == [
        ("3",),
        ("4",),
        ("CT", "KO", "SR"),
        ("9.CT", "9.KO", "9.SR"),
    ]
    assert not match.unresolved


def test_of_holders_with_equal_roots_one_is_asked_and_any_will_do() -> None:
    rows: Rows = {ANNA: (study(*CT),), BERT: (study(*CT),), CARL: (study(*SR),)}
    assert needs_holdings(Level.STUDY, rows) == [("1.2", [ANNA, CARL])]
    (match,) = merge(Level.STUDY, rows, {(BERT, "1.2"): CT, (CARL, "1.2"): SR})
    assert values(match, "NumberOfStudyRelatedInstances") == [("3",)]
    assert not match.unresolved


def test_without_the_entries_a_study_is_unresolved_and_counts_are_the_least_there_is() -> None:
    rows: Rows = {ANNA: (study(*CT),), BERT: (study(*SR),)}
    for holdings in ({}, {(ANNA, "1.2"): CT}):
        (match,) = merge(Level.STUDY, rows, holdings)
        assert match.unresolved
        assert values(match, *COUNTS) == [("1",), ("2",), ("CT", "SR"), ("9.CT", "9.SR")]


def test_counts_nobody_asked_for_are_not_invented() -> None:
    rows: Rows = {
        node: (Row(record(StudyInstanceUID="1.2"), (state("1.2", *entries),)),)
        for node, entries in ((ANNA, CT), (BERT, SR))
    }
    (match,) = merge(Level.STUDY, rows, {(ANNA, "1.2"): CT, (BERT, "1.2"): SR})
    assert match.record == record(StudyInstanceUID="1.2")


def test_one_uid_with_two_contents_differs() -> None:
    other = (entry("1", root=b"q"), entry("2"))
    rows: Rows = {ANNA: (study(*CT),), BERT: (study(*other),)}
    (match,) = merge(Level.STUDY, rows, {(ANNA, "1.2"): CT, (BERT, "1.2"): other})
    assert match.differing
    assert values(match, "NumberOfStudyRelatedInstances") == [("2",)]


def test_holders_that_disagree_on_an_attribute_differ_and_the_fuller_one_is_shown() -> None:
    rows: Rows = {
        ANNA: (study(*SR, PatientName="Doe^J", StudyDate="", AccessionNumber="A"),),
        BERT: (study(*CT, PatientName="Doe^Jane", StudyDate="20240131", AccessionNumber=""),),
    }
    (match,) = merge(Level.STUDY, rows, {})
    assert match.differing
    assert values(match, "PatientName", "StudyDate", "AccessionNumber") == [
        ("Doe^Jane",),
        ("20240131",),
        ("A",),
    ]


def test_a_holder_that_does_not_know_a_value_does_not_disagree() -> None:
    rows: Rows = {
        ANNA: (study(*CT, PatientName="Doe^J"),),
        BERT: (study(*CT, PatientName=""),),
        CARL: (study(*CT),),
    }
    (match,) = merge(Level.STUDY, rows, {})
    assert not match.differing
    rows = {ANNA: (Row({0x0099_0001: ("x",)} | study(*CT).record, (state("1.2", *CT),)),)}
    rows[BERT] = (Row({0x0099_0001: ("y",)} | study(*CT).record, (state("1.2", *CT),)),)
    (match,) = merge(Level.STUDY, rows, {})
    assert match.differing


@pytest.mark.parametrize(("one", "other", "expected"), [("3", "3", ("3",)), ("3", "4", None)])
def test_what_one_holder_counts_of_a_patient_is_not_said_of_the_mesh(
    one: str, other: str, expected: Value | None
) -> None:
    rows: Rows = {
        ANNA: (study(*CT, NumberOfPatientRelatedStudies=one),),
        BERT: (study(*CT, NumberOfPatientRelatedStudies=other),),
    }
    (match,) = merge(Level.STUDY, rows, {})
    assert values(match, "NumberOfPatientRelatedStudies") == [expected]
    assert not match.differing


def test_a_holder_that_names_a_study_twice_is_heard_once() -> None:
    rows: Rows = {ANNA: (study(*CT), study(*SR))}
    (match,) = merge(Level.STUDY, rows, {})
    assert values(match, "NumberOfStudyRelatedInstances") == [("2",)]


def test_two_people_whom_one_holder_names_under_one_number_stay_two() -> None:
    rows: Rows = {
        ANNA: tuple(
            Row(record(PatientID="12345678", PatientName=name), ())
            for name in ("Adler^A", "Brandt^B", "brandt^b")
        )
    }
    found = merge(Level.PATIENT, rows, {})
    assert [values(match, "PatientName") for match in found] == [[("Adler^A",)], [("Brandt^B",)]]


def test_rows_without_a_uid_merge_with_nothing() -> None:
    rows: Rows = {ANNA: (study(uid=""), study(uid="")), BERT: (study(uid=""),)}
    assert len(merge(Level.STUDY, rows, {})) == 3


def test_items_where_a_uid_belongs_break_nothing() -> None:
    odd = Row({tag("StudyInstanceUID"): ({1: ("x",)},)}, ())
    assert len(merge(Level.STUDY, {ANNA: (odd,), BERT: (odd,)}, {})) == 2


# ---------------------------------------------------------------- series and instances


def series(uid: str, count: str, *entries: Entry) -> Row:
    return Row(
        record(
            StudyInstanceUID="1.2",
            SeriesInstanceUID=uid,
            NumberOfSeriesRelatedInstances=count,
            NumberOfStudyRelatedInstances=str(len(entries)),
        ),
        (state("1.2", *entries),),
    )


def test_a_series_is_counted_from_the_union_of_its_studys_entries() -> None:
    more = (entry("2"), entry("4"))
    rows: Rows = {ANNA: (series("1.1", "2", *CT),), BERT: (series("1.1", "2", *more, *SR),)}
    assert needs_holdings(Level.SERIES, rows) == [("1.2", [ANNA, BERT])]
    (match,) = merge(
        Level.SERIES, rows, {(ANNA, "1.2"): CT, (BERT, "1.2"): tuple(sorted((*more, *SR)))}
    )
    assert values(
        match, "NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances"
    ) == [("3",), ("4",)]  # fmt: skip


def test_series_and_instances_stand_under_their_uids_in_the_order_of_their_numbers() -> None:
    def image(uid: str, number: str) -> Row:
        return Row(
            record(StudyInstanceUID="1.2", SOPInstanceUID=uid, InstanceNumber=number),
            (state("1.2", *CT),),
        )

    rows: Rows = {
        ANNA: (image("9", "10"), image("8", "2"), image("7", "x" * 30)),
        BERT: (image("9", "10"),),
    }
    found = merge(Level.IMAGE, rows, {})
    assert [values(match, "SOPInstanceUID") for match in found] == [[("7",)], [("8",)], [("9",)]]
    assert [match.holders for match in found] == [(ANNA,), (ANNA,), (ANNA, BERT)]


# ---------------------------------------------------------------- patients


def patient(
    number: str, issuer: str, *states: StudyState, series_count: str = "", **more: str
) -> Row:
    known = record(
        PatientID=number,
        IssuerOfPatientID=issuer,
        NumberOfPatientRelatedStudies=str(len(states)),
        NumberOfPatientRelatedInstances=str(sum(s.count for s in states)),
        **more,
    )
    if series_count:
        known |= record(NumberOfPatientRelatedSeries=series_count)
    return Row(known, states)


OF_PATIENT = (
    "NumberOfPatientRelatedStudies",
    "NumberOfPatientRelatedSeries",
    "NumberOfPatientRelatedInstances",
)


def test_one_number_at_two_issuers_is_two_people() -> None:
    rows: Rows = {ANNA: (patient("1", "A"), patient("1", "B")), BERT: (patient("1", "A"),)}
    found = merge(Level.PATIENT, rows, {})
    assert [(values(m, "IssuerOfPatientID"), m.holders) for m in found] == [
        ([("A",)], (ANNA, BERT)),
        ([("B",)], (ANNA,)),
    ]


def test_one_number_without_an_issuer_is_another_person_at_every_holder() -> None:
    rows: Rows = {ANNA: (patient("1", ""),), BERT: (patient("1", " "),), CARL: (patient("1", "A"),)}
    assert len(merge(Level.PATIENT, rows, {})) == 3


def test_a_patient_without_a_number_merges_with_nobody() -> None:
    rows: Rows = {ANNA: (patient("", "A"), patient("", "A")), BERT: (patient("", "A"),)}
    assert len(merge(Level.PATIENT, rows, {})) == 3


def test_a_patients_studies_at_different_holders_add_up() -> None:
    rows: Rows = {
        ANNA: (patient("1", "A", state("1.2", *CT), series_count="1"),),
        BERT: (patient("1", "A", state("1.3", *CT, *SR), series_count="2"),),
        CARL: (patient("1", "A", state("1.3", *CT, *SR), series_count="2"),),
    }
    assert needs_holdings(Level.PATIENT, rows) == []
    (match,) = merge(Level.PATIENT, rows, {})
    assert values(match, *OF_PATIENT) == [("2",), ("3",), ("5",)]
    assert not match.unresolved


OVERLAPPING: Rows = {
    ANNA: (patient("1", "A", state("1.2", *CT), state("1.3", *SR), series_count="2"),),
    BERT: (patient("1", "A", state("1.3", *SR), series_count="1"),),
}


def test_series_of_overlapping_studies_are_counted_from_the_entries() -> None:
    assert needs_holdings(Level.PATIENT, OVERLAPPING) == [("1.2", [ANNA]), ("1.3", [ANNA])]
    (match,) = merge(
        Level.PATIENT, OVERLAPPING, {(ANNA, "1.2"): CT, (ANNA, "1.3"): SR}
    )  # fmt: skip
    assert values(match, *OF_PATIENT) == [("2",), ("2",), ("3",)]
    assert not match.unresolved


def test_without_the_entries_they_are_unresolved() -> None:
    (match,) = merge(Level.PATIENT, OVERLAPPING, {})
    assert match.unresolved
    assert values(match, *OF_PATIENT) == [("2",), ("2",), ("3",)]


def test_series_nobody_asked_for_need_no_entries() -> None:
    rows: Rows = {
        ANNA: (patient("1", "A", state("1.2", *CT), state("1.3", *SR)),),
        BERT: (patient("1", "A", state("1.3", *SR)),),
    }
    assert needs_holdings(Level.PATIENT, rows) == []
    (match,) = merge(Level.PATIENT, rows, {})
    assert not match.unresolved


def test_a_patients_differing_studies_are_resolved_too() -> None:
    rows: Rows = {
        ANNA: (patient("1", "A", state("1.2", *CT)),),
        BERT: (patient("1", "A", state("1.2", *SR)),),
    }
    assert needs_holdings(Level.PATIENT, rows) == [("1.2", [ANNA, BERT])]
    (match,) = merge(Level.PATIENT, rows, {(ANNA, "1.2"): CT, (BERT, "1.2"): SR})
    assert values(match, "NumberOfPatientRelatedInstances") == [("3",)]
    (match,) = merge(Level.PATIENT, rows, {})
    assert match.unresolved
    assert values(match, "NumberOfPatientRelatedInstances") == [("2",)]


# ---------------------------------------------------------------- order


def test_the_list_is_the_same_whoever_answers_first_and_ordered_for_reading() -> None:
    names = {ANNA: ("Zoë", "20240101"), BERT: ("adams", "20240301"), CARL: ("Adams", "20230101")}
    rows = {
        node: (study(*CT, uid=str(n), PatientName=name, StudyDate=day),)
        for n, (node, (name, day)) in enumerate(names.items())
    }
    lists = [
        merge(Level.STUDY, {node: rows[node] for node in order}, {}) for order in permutations(rows)
    ]
    assert all(found == lists[0] for found in lists)
    assert [values(m, "PatientName", "StudyDate") for m in lists[0]] == [
        [("Adams",), ("20230101",)],
        [("adams",), ("20240301",)],
        [("Zoë",), ("20240101",)],
    ]
