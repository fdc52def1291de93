"""Identifiers as people write and read them: `KEY=VALUE` words in, text and JSON out.

A key is a keyword of PS3.6 (in any case), `gggg,eeee`, `(gggg,eeee)` or `ggggeeee`; a path leads
into the items of sequences: `RequestAttributesSequence.ScheduledProcedureStepID=7`. No value asks
for the attribute without matching by it. Several values are parted by backslashes.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from meshpacs.model.attributes import (
    ATTRIBUTES,
    LEVELS,
    Attribute,
    Element,
    Level,
    Record,
    Value,
    by_tag,
    element,
)
from meshpacs.model.errors import LocalFault
from meshpacs.model.limits import ROWS_PER_HOLDER
from meshpacs.model.matching import EMPTY, NUMBER_VRS
from meshpacs.model.query import Purpose, Query, Rules, beyond_limits
from meshpacs.model.times import PARSERS, parse_range

JsonValue = str | int | float | dict[str, str] | dict[str, "JsonAttribute"]
JsonAttribute = dict[str, str | list[JsonValue]]
"""One attribute in the DICOM JSON model: `vr` and `Value` (PS3.18 annex F)."""

UNSPLIT_VRS = frozenset({"LT", "ST", "UT", "UR"})
"""Where a backslash is a character like others (PS3.5 6.4)."""

_TAG = re.compile(r"\(?([0-9a-fA-F]{4}),?([0-9a-fA-F]{4})\)?")
_STEP = re.compile(r"(?P<name>[^\[\]]+)(?:\[0\])?")

_FORMS: Mapping[str, tuple[str, str]] = {
    "DA": ("a date or a range of dates", "Write 20240131, 20240101-20240630 or 20240101-."),
    "TM": ("a time or a range of times", "Write 0930, 093000, 0800-1200, 0800- or -1200."),
    "DT": ("a moment or a range of moments", "Write 20240131093000, 2024, 2023-2024 or 2023-."),
    "UI": ("a UID", "Write digits and dots; UIDs take no wild cards."),
    "AS": ("an age", "Write 034Y, 006M, 012W or 003D."),
}  # fmt: skip

_UID = re.compile(r"[0-9.]{1,64}")
_AGE = re.compile(r"\d{3}[DWMY]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")

EXAMPLES = (
    "Write KEY=VALUE, such as 'PatientName=Meier*' or StudyDate=20240101-20241231; docs/CLI.md "
    "lists the usual keys."
)

# ---------------------------------------------------------------- words to keys


def parse_keys(
    words: Iterable[str], level: Level, *, relational: bool = False
) -> tuple[tuple[int, Value], ...]:
    """The keys of a query from words, sorted by tag.

    Raises:
        LocalFault: a word that cannot be used, and what to write instead.
    """
    found: Record = {}
    for word in words:
        path, _, text = word.partition("=")
        elements = _path(path.strip(), word)
        first = elements[0]
        if (
            isinstance(first, Attribute)
            and LEVELS.index(first.level) > LEVELS.index(level)
            and not relational
        ):
            raise LocalFault(
                f"{first.keyword} belongs to the level {first.level}; "
                f"this is a query for level {level}.",
                _below(first),
            )
        _put(found, elements, _values(elements[-1], text), path)
    return tuple(sorted(found.items()))


def parse_query(
    words: Iterable[str],
    level: Level,
    *,
    rules: Rules | None = None,
    purpose: Purpose = Purpose.TREATMENT,
    limit: int = ROWS_PER_HOLDER,
) -> Query:
    """A query from words.

    Raises:
        LocalFault: a word that cannot be used, or more than a query may hold.
    """
    granted = rules or Rules()
    keys = parse_keys(words, level, relational=granted.relational)
    query = Query(level, keys, rules=granted, purpose=purpose, limit=limit)
    excess = beyond_limits(query)
    if excess:
        raise LocalFault(f"This query has {excess}.", "Ask several smaller questions.")
    return query


def _below(attribute: Attribute) -> str:
    if attribute.keyword == "Modality":
        return "Use ModalitiesInStudy, or ask with --level SERIES."
    if attribute.keyword == "SOPClassUID":
        return "Use SOPClassesInStudy, or ask with --level IMAGE."
    return f"Ask with --level {attribute.level}."


def _path(text: str, word: str) -> list[Attribute | Element]:
    """The elements that a dotted path leads through: all but the last are sequences."""
    elements: list[Attribute | Element] = []
    for number, step in enumerate(text.split(".")):
        matched = _STEP.fullmatch(step.strip())
        if matched is None:
            raise LocalFault(
                f"{word!r} has no usable key.",
                "Write KEY=VALUE, for example PatientID=4711; a key's only item is [0] or nothing.",
            )
        if number and elements[-1].vr != "SQ":
            raise LocalFault(
                f"{elements[-1].keyword} is no sequence, so nothing lies inside it.",
                f"Write {elements[-1].keyword}=VALUE.",
            )
        elements.append(_named(matched["name"].strip(), elements[-1] if number else None))
    return elements


def _named(name: str, inside: Attribute | Element | None) -> Attribute | Element:
    """The element of this keyword or tag, at the top or in a sequence's items."""
    known: list[Attribute | Element] = (
        list(ATTRIBUTES) if inside is None else [e for tag in inside.items if (e := element(tag))]
    )
    tagged = _TAG.fullmatch(name)
    if tagged:
        tag = int(tagged[1] + tagged[2], 16)
        of_tag = [e for e in known if e.tag == tag]
        if of_tag:
            return of_tag[0]
    by_name = {e.keyword.lower(): e for e in known}
    if name.lower() in by_name:
        return by_name[name.lower()]
    near = [by_name[n].keyword for n in get_close_matches(name.lower(), by_name, n=3, cutoff=0.6)]
    where = f" inside {inside.keyword}" if inside else ""
    mend = f"Did you mean {' or '.join(near)}?" if near else EXAMPLES
    raise LocalFault(f"Nothing can be asked for under {name!r}{where}.", mend)


def _values(known: Attribute | Element, text: str) -> Value:
    """A key's values, each of a form that its VR allows in a key."""
    if known.vr == "SQ":
        if text:
            raise LocalFault(
                f"{known.keyword} is a sequence and has no value of its own.",
                f"Name an item's key: {known.keyword}.KEY=VALUE.",
            )
        return ()
    if not text:
        return ()
    values = (text,) if known.vr in UNSPLIT_VRS else tuple(text.split("\\"))
    for value in values:
        if value.strip() and not allowed(known.vr, value.strip()):
            form, mend = _FORMS.get(
                known.vr, ("a number", "Write digits; numbers take no wild cards.")
            )
            raise LocalFault(f"{value!r} is not {form}, as {known.keyword} needs.", mend)
        if known.vr in ("DA", "TM") and _backward(known.vr, value.strip()):
            # It would match nothing anywhere, and "no such study" would be believed.
            raise LocalFault(
                f"{value!r} for {known.keyword} ends before it begins.", "Write the earlier first."
            )
    return values


def allowed(vr: str, value: str) -> bool:
    """Whether a key of this VR may have this value: wild cards only where PS3.4 has them."""
    if value == EMPTY or not value.strip("*"):
        return True
    if vr in PARSERS:
        return parse_range(vr, value) is not None
    if vr in NUMBER_VRS:
        return _NUMBER.fullmatch(value) is not None
    form = {"UI": _UID, "AS": _AGE}.get(vr)
    return form is None or form.fullmatch(value) is not None


def _backward(vr: str, value: str) -> bool:
    asked = parse_range(vr, value)
    return (
        asked is not None
        and asked.first is not None
        and asked.last is not None
        and asked.last.last_us < asked.first.first_us
    )


def _put(record: Record, elements: list[Attribute | Element], value: Value, path: str) -> None:
    """Lay a value down at the end of a path, making the one item of each sequence on the way."""
    *sequences, last = elements
    for sequence in sequences:
        item: Record = {}
        items = record.get(sequence.tag, ())
        if items and isinstance(items[0], dict):
            item = items[0]
        record[sequence.tag] = (item,)
        record = item
    if last.vr == "SQ":
        record.setdefault(last.tag, ())
    elif last.tag not in record:
        record[last.tag] = value
    elif last.vr == "UI":
        record[last.tag] += value
    else:
        raise LocalFault(
            f"{path} is given twice.", "Give it once; several values are parted by backslashes."
        )


# ---------------------------------------------------------------- records to text and JSON


def tag_text(tag: int) -> str:
    """A tag as people write it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def keyword_of(tag: int) -> str:
    """A tag's keyword, or the tag where the index has no name for it."""
    known = element(tag)
    return known.keyword if known else tag_text(tag)


def to_text(value: Value) -> str:
    """One attribute for people: values parted by backslashes, items in brackets."""
    parts = []
    for item in value:
        if isinstance(item, str):
            parts.append(item)
        else:
            inside = ", ".join(f"{keyword_of(t)}={to_text(v)}" for t, v in sorted(item.items()))
            parts.append(f"[{inside}]")
    return "\\".join(parts)


def readable(record: Record) -> dict[str, str]:
    """A record for people, from keyword to text, in the order of the tags."""
    return {keyword_of(tag): to_text(value) for tag, value in sorted(record.items())}


def dicom_json(record: Record) -> dict[str, JsonAttribute]:
    """A record in the DICOM JSON model (PS3.18 annex F): numbers are numbers, names have groups.

    What cannot be read as a number stays text, so that nothing is lost.
    """
    found: dict[str, JsonAttribute] = {}
    for tag, value in sorted(record.items()):
        known = by_tag(tag) or element(tag)
        vr = known.vr if known else "UN"
        attribute: JsonAttribute = {"vr": vr}
        if value:
            attribute["Value"] = [_json_value(vr, item) for item in value]
        found[f"{tag:08X}"] = attribute
    return found


def _json_value(vr: str, item: str | Record) -> JsonValue:
    if not isinstance(item, str):
        return dicom_json(item)
    if vr == "PN":
        names = ("Alphabetic", "Ideographic", "Phonetic")
        return {name: text for name, text in zip(names, item.split("="), strict=False) if text}
    if vr in NUMBER_VRS and _NUMBER.fullmatch(item.strip()):
        text = item.strip()
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    return item
