"""Identifiers of C-FIND, C-MOVE and C-GET as the project's own questions, and rows as answers.

Source: PS3.4 C.4 and C.6. What is asked is checked against its information model: the level, the
unique keys of the levels above (each one value), wild cards only where C.2.2.2.4 has them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from meshpacs.dimse.elements import (
    CHARACTER_SET,
    SHORT_LENGTH,
    DataSet,
    vr_of,
    write_data_set,
)
from meshpacs.dimse.faults import IdentifierMismatch
from meshpacs.model.attributes import (
    ISSUER_OF_PATIENT_ID,
    LEVELS,
    UNIQUE_KEYS,
    UNMATCHED,
    Level,
    Lexicon,
    Record,
    Value,
    by_tag,
    element,
)
from meshpacs.model.errors import LocalFault
from meshpacs.model.identifier import allowed, keyword_of, tag_text
from meshpacs.model.matching import ignored, universal
from meshpacs.model.query import Query, Rules, beyond_limits

QUERY_LEVEL = 0x0008_0052
RETRIEVE_AE_TITLE = 0x0008_0054
AVAILABILITY = 0x0008_0056
FAILED_UIDS = 0x0008_0058

ANSWERED = frozenset({QUERY_LEVEL, 0x0008_0053, RETRIEVE_AE_TITLE, AVAILABILITY, CHARACTER_SET})
"""What an identifier may hold beside keys (PS3.4 C.4.1.1.3)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A C-FIND identifier, understood."""

    query: Query
    wanted: tuple[int, ...]
    """Tags that a row shows, with or without a value."""
    ignored: tuple[int, ...]
    """Keys that have a value and are not matched: status FF01."""
    terms: tuple[str, ...]
    """The requestor's Specific Character Set."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A C-MOVE or C-GET identifier, understood: the unique keys by level, down to `level`."""

    level: Level
    keys: dict[Level, tuple[str, ...]]
    issuer: str = ""
    """Whose number PatientID is, if that is said: no unique key, but without it one number may be
    two people's."""


def read_query(found: DataSet, levels: tuple[Level, ...], rules: Rules) -> Asked:
    """What a C-FIND identifier of the information model with these levels asks for.

    Raises:
        IdentifierMismatch: the error names the tag.
    """
    level = _level(found, levels)
    keys: list[tuple[int, Value]] = []
    for tag, value in sorted(found.record.items()):
        if tag not in ANSWERED and by_tag(tag) is not None:
            check_forms(tag, value, element)
            keys.append((tag, value))
    if not rules.relational:
        for above in levels[: levels.index(level)]:
            _one(found, above)
    wanted = tuple(tag for tag, _ in keys)
    query = Query(level, tuple(keys), returns=wanted, rules=rules)
    excess = beyond_limits(query)
    if excess:
        raise IdentifierMismatch(f"The identifier has {excess}.")
    unmatched = [tag for tag, filled in found.unknown.items() if filled]
    unmatched += [
        tag
        for tag, value in found.record.items()
        if by_tag(tag) is None and tag not in ANSWERED | UNMATCHED and not universal(value)
    ]
    shown = tuple(tag for tag in wanted if _within(tag, level))
    return Asked(query, shown, (*ignored(query, rules), *sorted(unmatched)), found.terms)


def read_selection(found: DataSet, levels: tuple[Level, ...]) -> Selected:
    """What a C-MOVE or C-GET identifier selects (PS3.4 C.4.2.1.4.1): unique keys, and an issuer.

    Raises:
        IdentifierMismatch: the error names the tag.
    """
    level = _level(found, levels)
    keys = {above: (_one(found, above),) for above in levels[: levels.index(level)]}
    values = _unique(found, level)
    if not values or (level is Level.PATIENT and len(values) > 1):
        raise _lacking(level)
    return Selected(level, keys | {level: values}, _issuer(found))


def _level(found: DataSet, levels: tuple[Level, ...]) -> Level:
    texts = _texts(found.record.get(QUERY_LEVEL, ()))
    level = next((level for level in levels if texts == [level.value]), None)
    if level is None:
        names = ", ".join(level.value for level in levels)
        raise IdentifierMismatch(f"Query/Retrieve Level is none of {names}.", QUERY_LEVEL)
    return level


def _one(found: DataSet, level: Level) -> str:
    """The unique key of a level above the one that is asked for."""
    values = _unique(found, level)
    if len(values) != 1:
        raise _lacking(level)
    return values[0]


def _unique(found: DataSet, level: Level) -> tuple[str, ...]:
    values = tuple(filter(None, _texts(found.record.get(UNIQUE_KEYS[level], ()))))
    if any("*" in value or "?" in value for value in values):
        raise _lacking(level)
    return values


def _issuer(found: DataSet) -> str:
    values = tuple(filter(None, _texts(found.record.get(ISSUER_OF_PATIENT_ID, ()))))
    if len(values) > 1 or any("*" in value or "?" in value for value in values):
        tag = ISSUER_OF_PATIENT_ID
        raise IdentifierMismatch(f"{keyword_of(tag)} must have a single value.", tag)
    return values[0] if values else ""


def _lacking(level: Level) -> IdentifierMismatch:
    tag = UNIQUE_KEYS[level]
    return IdentifierMismatch(f"{keyword_of(tag)} must have a single value.", tag)


def check_forms(tag: int, value: Value, lexicon: Lexicon) -> None:
    """Every value of a form that its VR allows in a key, in items too.

    Raises:
        IdentifierMismatch: the error names the tag.
    """
    known = lexicon(tag)
    for item in value:
        if not isinstance(item, str):
            for inner, values in item.items():
                check_forms(inner, values, lexicon)
        elif known is not None and item and not _fits(known.vr, item):
            raise IdentifierMismatch(f"{tag_text(tag)} has a value of no allowed form.", tag)


def _fits(vr: str, text: str) -> bool:
    if vr == "UI":  # with letters too: de-identified archives hold such
        return text == "*" or not {"*", "?"} & set(text)
    return allowed(vr, text)


def _texts(value: Value) -> list[str]:
    return [item for item in value if isinstance(item, str)]


def _within(tag: int, level: Level) -> bool:
    known = by_tag(tag)
    return known is not None and LEVELS.index(known.level) <= LEVELS.index(level)


# ---------------------------------------------------------------- answers


def write_row(
    asked: Asked, record: Record, *, title: str, availability: str, explicit: bool
) -> bytes:
    """The identifier of one match (PS3.4 C.4.1.1.3.2).

    Keys that were asked for and have no value are there and empty; IssuerOfPatientID and the
    unique keys are always there, because without them a row is not told from another.
    """
    level = asked.query.level
    row: Record = {tag: record.get(tag, ()) for tag in asked.wanted}
    for above in LEVELS[: LEVELS.index(level) + 1]:
        key = UNIQUE_KEYS[above]
        if key in record:
            row[key] = record[key]
    issuer = record.get(ISSUER_OF_PATIENT_ID)
    if issuer:
        row[ISSUER_OF_PATIENT_ID] = issuer
    row[QUERY_LEVEL] = (level.value,)
    row[RETRIEVE_AE_TITLE] = (title,)
    row[AVAILABILITY] = (availability,)
    return write_data_set(row, explicit=explicit, terms=asked.terms)


def write_failed(uids: Iterable[str], *, explicit: bool) -> bytes:
    """Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2), at the end of a retrieval with failures."""
    return write_data_set({FAILED_UIDS: tuple(uids)}, explicit=explicit)


def write_query(
    level: Level, keys: Iterable[tuple[int, Value]], *, explicit: bool, terms: tuple[str, ...] = ()
) -> bytes:
    """An identifier to ask others with.

    Raises:
        LocalFault: a key has more values than fit, and fewer would ask for something else.
    """
    row: Record = {tag: value for tag, value in keys if vr_of(tag)}
    for tag, value in row.items():
        said = "\\".join(item for item in value if isinstance(item, str))
        if len(said.encode(errors="replace")) > SHORT_LENGTH:
            raise LocalFault(
                f"A question has no room for all that {keyword_of(tag)} says.",
                "Ask for less at a time.",
            )
    row[QUERY_LEVEL] = (level.value,)
    return write_data_set(row, explicit=explicit, terms=terms)
