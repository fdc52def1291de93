"""The table of attributes, held against the dictionary that pydicom carries."""

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag

from meshpacs.model.attributes import (
    ATTRIBUTES,
    ITEM_ELEMENTS,
    LEVELS,
    TIME_OF_DATE,
    UNIQUE_KEYS,
    Attribute,
    Element,
    Level,
    attributes_to,
    by_keyword,
    by_tag,
    element,
    element_by_keyword,
    levels_to,
)

ALL: tuple[Attribute | Element, ...] = (*ATTRIBUTES, *ITEM_ELEMENTS)


def test_every_entry_is_as_the_data_dictionary_has_it() -> None:
    for known in ALL:
        assert keyword_for_tag(known.tag) == known.keyword
        assert dictionary_VR(known.tag) == known.vr
        assert (dictionary_VM(known.tag) != "1") == known.many, known.keyword


def test_every_entry_stands_once() -> None:
    tags = [known.tag for known in ALL]
    assert len(tags) == len(set(tags))


def test_sequences_and_only_they_have_items_and_all_of_those_are_known() -> None:
    for known in ALL:
        assert (known.vr == "SQ") == bool(known.items), known.keyword
        assert all(element(tag) for tag in known.items), known.keyword


def test_attributes_are_found_by_tag_and_keyword_and_elements_of_items_apart() -> None:
    name = by_keyword("PatientName")
    assert name is by_tag(0x0010_0010)
    assert by_tag(0x0008_0100) is None
    assert by_keyword("CodeValue") is None
    assert element(0x0008_0100) is element_by_keyword("CodeValue")
    assert element(0x0010_0010) is name
    assert element(0x7FE0_0010) is None
    assert element_by_keyword("PixelData") is None


def test_levels_are_in_order_and_hold_those_above() -> None:
    assert levels_to(Level.PATIENT) == (Level.PATIENT,)
    assert levels_to(Level.IMAGE) == LEVELS
    assert len(attributes_to(Level.PATIENT)) < len(attributes_to(Level.STUDY))
    assert attributes_to(Level.IMAGE) == ATTRIBUTES


def test_unique_keys_are_of_their_level() -> None:
    for level, tag in UNIQUE_KEYS.items():
        known = by_tag(tag)
        assert isinstance(known, Attribute)
        assert known.level is level


def test_pairs_of_date_and_time_are_pairs() -> None:
    for date, time in TIME_OF_DATE.items():
        known = by_tag(date), by_tag(time)
        if known == (None, None):
            assert date >> 16 == 0x0040, "of a scheduled step, which the archive does not have"
            continue
        assert [k and k.vr for k in known] == ["DA", "TM"]
        assert len({k.level for k in known if k}) == 1
