"""The only C-FIND matching semantics in the project: PS3.4 C.2.2.2.

Where the standard leaves a choice, or the practice of archives differs from its letter:

- An attribute that an entity lacks, or has without a value, matches universal keys only (and empty
  value matching, where granted). The letter of C.2.2.1.2 lets an unknown value match every
  required key: asked for one accession number, a mesh would list every study that has none.
- Several values in one key, without multiple value matching: one of them must match (undefined in
  C.2.2.2.8; what viewers mean by CT and MR in ModalitiesInStudy). UIDs are so by C.2.2.2.2.
- An attribute with several values matches if one of its values does (C.2.2.3).
- A lone `*` is universal in every VR; other wild cards only where C.2.2.2.4 has them.
- Numbers are compared as numbers (C.2.2.2.1 leaves it open): 007 is 7.
- A date or time that is none, in a key or in a file, is compared as text.
- Keys that the index does not know, and keys of lower levels unless relational queries were
  granted, are not matched (C.2.2.1.3); `ignored` names them.
- Time zones: a DT is compared in UTC if both zones are known, from the value or from Timezone
  Offset From UTC beside it; DA and TM as the clocks read, as timezone query adjustment is not
  granted.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from meshpacs.model.attributes import (
    LEVELS,
    TIME_OF_DATE,
    TIMEZONE_OFFSET,
    UNMATCHED,
    Attribute,
    Element,
    Level,
    Lexicon,
    Record,
    Value,
    by_tag,
    element,
)
from meshpacs.model.names import NameKey, wild_card
from meshpacs.model.query import Query, Rules
from meshpacs.model.times import PARSERS, Period, Range, combine, join, parse_offset, parse_range

WILD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""Where `*` and `?` are wild cards: PS3.4 C.2.2.2.4."""

MULTIPLE_VRS = frozenset({"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"})
"""Where several key values may be a logical and: PS3.4 C.2.2.2.8."""

NUMBER_VRS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})

LEADING_COUNTS = frozenset({"LT", "ST", "UC", "UR", "UT", "PN"})
"""Where leading spaces are significant (PS3.5 6.2). A PN trims its own components."""

EMPTY = '""'
"""The key that asks for an absent or empty attribute: PS3.4 C.2.2.2.7."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")

Test = Callable[[Record], bool]


def matches(query: Query, record: Record, rules: Rules) -> bool:
    """Whether an entity is one of those asked for.

    `record` holds the attributes of the level that `search_level` names, and of those above it.
    """
    return Matcher(query, rules).matches(record)


def search_level(query: Query, rules: Rules) -> Level:
    """The level whose records must be judged: lower than the query's if a relational key is.

    A relational query for studies by SeriesDescription finds the studies that have such a series
    (PS3.4 C.4.1.2.2.2): judge series, return their studies.
    """
    found = query.level
    for tag, value in query.keys:
        attribute = by_tag(tag)
        if attribute and rules.relational and not universal(value):
            found = max(found, attribute.level, key=LEVELS.index)
    return found


def ignored(query: Query, rules: Rules) -> tuple[int, ...]:
    """The keys with a value that are not matched, for the status FF01 (PS3.4 C.4.1.1.4)."""
    level = search_level(query, rules)
    return tuple(
        tag
        for tag, value in query.keys
        if not universal(value) and tag not in UNMATCHED and not _judged(tag, level)
    )


def universal(value: Value) -> bool:
    """Whether a key's value matches everything (PS3.4 C.2.2.2.3, and 6 for sequences)."""
    return not any(
        item.strip(" \0*") if isinstance(item, str) else not all(map(universal, item.values()))
        for item in value
    )


def _judged(tag: int, level: Level) -> Attribute | None:
    """The attribute, if it is known and a record of this level has it."""
    attribute = by_tag(tag)
    if attribute is None or LEVELS.index(attribute.level) > LEVELS.index(level):
        return None
    return attribute


class Matcher:
    """A query made ready once, to judge many records."""

    def __init__(self, query: Query, rules: Rules) -> None:
        """Read the keys."""
        level = search_level(query, rules)
        keys = [(found, value) for tag, value in query.keys if (found := _judged(tag, level))]
        zone = next((value for tag, value in query.keys if tag == TIMEZONE_OFFSET), ())
        self._tests = _tests(keys, rules, _offset(zone), element)

    def matches(self, record: Record) -> bool:
        """Whether this entity is one of those asked for."""
        return all(test(record) for test in self._tests)


def flat_matcher(record: Record, rules: Rules, lexicon: Lexicon) -> Test:
    """A matcher for an information model of one level, such as a worklist's (PS3.4 K.6).

    Every key of `record` that `lexicon` knows is matched, inside the items of sequences too.
    """
    keys = [(found, value) for tag, value in sorted(record.items()) if (found := lexicon(tag))]
    tests = _tests(keys, rules, _offset(record.get(TIMEZONE_OFFSET, ())), lexicon)
    return lambda found: all(test(found) for test in tests)


# ---------------------------------------------------------------- keys to tests


def _tests(
    keys: Iterable[tuple[Attribute | Element, Value]],
    rules: Rules,
    zone: int | None,
    lexicon: Lexicon,
) -> tuple[Test, ...]:
    """One test for each key that is not universal, or for each pair of keys that is one."""
    wanted = {known.tag: (known, value) for known, value in keys if not universal(value)}
    tests = []
    if rules.combined_datetime:
        for date_tag, time_tag in TIME_OF_DATE.items():
            both = _combined(wanted, date_tag, time_tag)
            if both:
                tests.append(both)
                del wanted[date_tag], wanted[time_tag]
    tests.extend(
        _test(known, value, rules, zone, lexicon)
        for tag, (known, value) in wanted.items()
        if tag not in UNMATCHED
    )
    return tuple(tests)


def _test(
    known: Attribute | Element, value: Value, rules: Rules, zone: int | None, lexicon: Lexicon
) -> Test:
    """The test of one key that is not universal."""
    tag, vr = known.tag, known.vr
    if vr == "SQ":
        return _sequence(tag, value, rules, zone, lexicon)
    texts = [text for text in (_trim(vr, text) for text in _texts(value)) if text]
    enough = all if rules.multiple_value and known.many and vr in MULTIPLE_VRS else any
    if enough(not text.strip("*") for text in texts):
        return lambda _: True  # one of several alternatives is universal
    if rules.empty_value and texts == [EMPTY]:
        return lambda record: not any(_trim(vr, text) for text in _texts(record.get(tag, ())))
    singles = [_single(vr, text, zone) for text in texts]

    def test(record: Record) -> bool:
        stored = [
            text for text in (_trim(vr, text) for text in _texts(record.get(tag, ()))) if text
        ]
        if not stored:
            return False
        beside = _offset(record.get(TIMEZONE_OFFSET, ())) if vr == "DT" else None
        return enough(any(single(text, beside) for text in stored) for single in singles)

    return test


def _sequence(tag: int, value: Value, rules: Rules, zone: int | None, lexicon: Lexicon) -> Test:
    """One item of the attribute must match all keys of the key's item (PS3.4 C.2.2.2.6)."""
    alternatives: list[Sequence[Test]] = []
    for item in value:
        if isinstance(item, str):
            continue
        known = [(found, wanted) for t, wanted in sorted(item.items()) if (found := lexicon(t))]
        alternatives.append(_tests(known, rules, zone, lexicon))
    if not all(alternatives):
        # Nothing in this item can be judged: it asks for the whole sequence to be returned.
        return lambda _: True

    def test(record: Record) -> bool:
        return any(
            all(one(item) for one in tests)
            for item in record.get(tag, ())
            if not isinstance(item, str)
            for tests in alternatives
        )

    return test


def _combined(
    wanted: dict[int, tuple[Attribute | Element, Value]], date_tag: int, time_tag: int
) -> Test | None:
    """A date and a time range as one range of moments, if they are of one form."""
    if date_tag not in wanted or time_tag not in wanted:
        return None
    day = _only_range("DA", wanted[date_tag][1])
    clock = _only_range("TM", wanted[time_tag][1])
    if day is None or clock is None or day.form != clock.form or not day.ranged:
        return None
    moments = combine(day, clock)

    def test(record: Record) -> bool:
        days = [PARSERS["DA"](_trim("DA", text)) for text in _texts(record.get(date_tag, ()))]
        times = [PARSERS["TM"](_trim("TM", text)) for text in _texts(record.get(time_tag, ()))]
        moment = join(days[0] if days else None, times[0] if times else None)
        return moment is not None and moments.holds(moment)

    return test


def _only_range(vr: str, value: Value) -> Range | None:
    texts = _texts(value)
    return parse_range(vr, _trim(vr, texts[0])) if len(texts) == 1 else None


# ---------------------------------------------------------------- single values

Single = Callable[[str, int | None], bool]
"""One key value against one stored value and the time zone recorded beside it."""


def _single(vr: str, text: str, zone: int | None) -> Single:
    if vr in PARSERS:
        return _moment(vr, text, zone)
    if vr == "PN":
        name = NameKey(text)
        return lambda stored, _: name.matches(stored)
    if vr in NUMBER_VRS and (number := _number(text)) is not None:
        return lambda stored, _: _number(stored) == number
    if vr in WILD_VRS and ("*" in text or "?" in text):
        pattern = wild_card(text)
        return lambda stored, _: pattern.fullmatch(stored) is not None
    return lambda stored, _: stored == text


def _moment(vr: str, text: str, zone: int | None) -> Single:
    """A date, a time or a range of them, matched by meaning (PS3.4 C.2.2.2.1 and 5)."""
    wanted = parse_range(vr, text)
    if wanted is None:
        return lambda stored, _: stored == text
    wanted = Range(_placed(wanted.first, zone), _placed(wanted.last, zone), wanted.ranged)
    parse = PARSERS[vr]

    def test(stored: str, beside: int | None) -> bool:
        moment = _placed(parse(stored), beside)
        return stored == text if moment is None else wanted.holds(moment)

    return test


def _placed(moment: Period | None, zone: int | None) -> Period | None:
    """The moment in this zone, unless it names its own."""
    if moment is None or moment.offset_us is not None or zone is None:
        return moment
    return replace(moment, offset_us=zone)


def _offset(value: Value) -> int | None:
    """Timezone Offset From UTC (PS3.3 C.12.1.1.8), in microseconds."""
    texts = _texts(value)
    return parse_offset(_trim("SH", texts[0])) if texts else None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _texts(value: Value) -> list[str]:
    return [item for item in value if isinstance(item, str)]


def _trim(vr: str, text: str) -> str:
    """Without padding: spaces and nulls that PS3.5 6.2 calls insignificant."""
    return text.rstrip(" \0") if vr in LEADING_COUNTS else text.strip(" \0")
