"""Worklist identifiers and rows, without files or sockets (PS3.4 annex K)."""

import pytest

from meshpacs.dimse.elements import read_data_set, write_data_set
from meshpacs.dimse.faults import IdentifierMismatch
from meshpacs.dimse.worklist import STEPS, read_wanted, write_step
from meshpacs.model.attributes import Element, Record, Value

KNOWN = {
    tag: Element(keyword, tag, vr)
    for keyword, tag, vr in (
        ("PatientName", 0x0010_0010, "PN"),
        ("PatientID", 0x0010_0020, "LO"),
        ("ScheduledProcedureStepSequence", STEPS, "SQ"),
        ("Modality", 0x0008_0060, "CS"),
        ("ScheduledProcedureStepStartDate", 0x0040_0002, "DA"),
        ("RecommendedDisplayFrameRate", 0x0008_2144, "IS"),
        ("FrameIncrementPointer", 0x0028_0009, "AT"),
    )
}


def vr_of(tag: int) -> str:
    known = KNOWN.get(tag)
    return known.vr if known else {0x0008_0052: "CS"}.get(tag, "")


def question(record: Record) -> bytes:
    return write_data_set(record, explicit=True, terms=("ISO_IR 100",), known=vr_of)


def answer(keys: Record, step: Record, *, explicit: bool = True) -> Record:
    read = read_data_set(question(keys), explicit=True, default="ascii", known=vr_of)
    row = write_step(read_wanted(read, KNOWN.get), step, KNOWN.get, explicit=explicit)
    return read_data_set(row, explicit=explicit, default="ascii", known=vr_of).record


STEP: Record = {
    0x0010_0010: ("Müller^Änne",),
    0x0010_0020: ("1",),
    0x0028_0009: ("00181063",),
    STEPS: ({0x0008_0060: ("CT",), 0x0040_0002: ("20240105",)},),
}


@pytest.mark.parametrize("explicit", [True, False])
def test_a_row_has_what_was_asked_for_and_nothing_else(explicit: bool) -> None:
    keys: Record = {0x0010_0010: (), 0x0028_0009: (), STEPS: ({0x0008_0060: (), 0x0009_0001: ()},)}
    assert answer(keys, STEP, explicit=explicit) == {
        0x0010_0010: ("Müller^Änne",),
        0x0028_0009: ("00181063",),
        STEPS: ({0x0008_0060: ("CT",)},),
    }


def test_what_an_entry_lacks_is_there_and_empty() -> None:
    assert answer({0x0010_0020: (), STEPS: ()}, {0x0010_0010: ("A",)}) == {
        0x0010_0020: (),
        STEPS: (),
    }


def test_a_sequence_without_a_named_key_is_asked_for_whole() -> None:
    both: tuple[Value, ...] = ((), ({},))
    for whole in both:
        assert answer({STEPS: whole}, STEP) == {STEPS: STEP[STEPS]}


def test_a_query_retrieve_level_is_no_key() -> None:
    assert answer({0x0008_0052: ("STUDY",), 0x0010_0020: ()}, STEP) == {0x0010_0020: ("1",)}


def test_what_is_not_known_and_has_a_value_is_told() -> None:
    private = b"\x09\x00\x01\x10LO\x02\x00ab"
    read = read_data_set(private, explicit=True, default="ascii", known=vr_of)
    assert read_wanted(read, KNOWN.get).ignored == (0x0009_1001,)


def test_a_value_of_no_allowed_form_is_refused_at_any_depth() -> None:
    both: tuple[Record, ...] = ({STEPS: ({0x0040_0002: ("soon",)},)}, {0x0008_2144: ("x",)})
    for keys in both:
        read = read_data_set(question(keys), explicit=True, default="ascii", known=vr_of)
        with pytest.raises(IdentifierMismatch):
            read_wanted(read, KNOWN.get)


def test_more_values_than_a_question_may_have_are_refused() -> None:
    keys: Record = {0x0010_0020: tuple("ab" * 300)}
    read = read_data_set(question(keys), explicit=True, default="ascii", known=vr_of)
    with pytest.raises(IdentifierMismatch, match="values"):
        read_wanted(read, KNOWN.get)


def test_a_tag_that_is_none_is_written_as_nothing() -> None:
    assert answer({0x0028_0009: ()}, {0x0028_0009: ("nothing",)}) == {0x0028_0009: ()}


def test_a_text_longer_than_its_element_can_say_is_left_out_whole() -> None:
    history = 0x0010_21B0
    for size, kept in ((0xFFFE, True), (0xFFFF, False)):
        record: Record = {history: ("x" * size,)}
        data = write_data_set(record, explicit=True, known=lambda _: "LT")
        read = read_data_set(data, explicit=True, default="ascii", known=lambda _: "LT").record
        assert read == {history: ("x" * size,) if kept else ()}
