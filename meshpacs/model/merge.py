"""Rows of several holders as one list for a person (PROTOCOL 5.6).

Each study, series and instance stands once, under its UID. Patients are told apart by PatientID
and issuer: one number at two issuers is two people, and a number without an issuer is good at the
holder that gave it and nowhere else; a patient without a number is merged with nobody.

Counts come from the union of what the holders have. Where the roots of a study are equal at all
its holders, that is what any of them counted; where they differ, the holders' entries must be
fetched first (`needs_holdings`). An attribute takes the first value found, asking the holder of
the most instances first, then by node id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from meshpacs.model.answer import Row
from meshpacs.model.attributes import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_INSTANCE_UID,
    UNIQUE_KEYS,
    Level,
    Record,
    Value,
    by_keyword,
    by_tag,
)
from meshpacs.model.content import Entry, StudyState
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.names import fold_name

Holdings = Mapping[tuple[NodeId, str], tuple[Entry, ...]]
"""By holder and study: the entries of the holder's manifests, where they were fetched."""


@dataclass(frozen=True, slots=True)
class Match:
    """One patient, study, series or instance, wherever it is."""

    record: Record
    holders: tuple[NodeId, ...]
    """Who has it, or a part of it; sorted."""
    differing: bool = False
    """Holders disagree on an attribute's value, or have two contents under one SOP Instance UID."""
    unresolved: bool = False
    """Holders have different parts, and not all could say which: counts are the least there is."""


Found = Sequence[tuple[NodeId, Row]]
"""The rows of one match, each holder's once, in the order in which their values are preferred."""


def needs_holdings(
    level: Level, rows: Mapping[NodeId, tuple[Row, ...]]
) -> list[tuple[str, list[NodeId]]]:
    """Which studies' entries to fetch before merging, and whose: one holder for each root."""
    wanted: dict[str, list[NodeId]] = {}
    for found in _grouped(level, rows):
        if len(found) == 1:
            continue
        series_wanted = any(_SERIES_OF_PATIENT in row.record for _, row in found)
        every = level is Level.PATIENT and series_wanted and _overlap(found)
        for study, states in _studies(found).items():
            roots = _by_root(states)
            if every or len(roots) > 1:
                wanted[study] = sorted({nodes[0] for nodes in roots.values()})
    return sorted(wanted.items())


def merge(
    level: Level, rows: Mapping[NodeId, tuple[Row, ...]], holdings: Holdings
) -> tuple[Match, ...]:
    """All matches, each once, ordered for reading: by name, date, number, then UIDs."""
    matches = [_merged(level, found, holdings) for found in _grouped(level, rows)]
    return tuple(sorted(matches, key=_reading_order))


# ---------------------------------------------------------------- which rows are one


def _grouped(level: Level, rows: Mapping[NodeId, tuple[Row, ...]]) -> list[Found]:
    """The rows that speak of one thing, together."""
    groups: dict[tuple[str, ...], dict[NodeId, Row]] = {}
    for node in sorted(rows):
        for index, row in enumerate(rows[node]):
            key = _key(level, node, index, row.record)
            heard = groups.get(key, {}).get(node)
            if heard is not None and _person(heard.record) != _person(row.record):
                # Two people under one number, or in one study: never one (PROTOCOL 5.6).
                key = (*key, *_person(row.record))
            # A holder that names one thing twice is heard once.
            groups.setdefault(key, {}).setdefault(node, row)
    return [sorted(group.items(), key=_preference) for group in groups.values()]


def _person(record: Record) -> tuple[str, str]:
    return _text(record, PATIENT_ID), fold_name(_text(record, PATIENT_NAME))


def _key(level: Level, node: NodeId, index: int, record: Record) -> tuple[str, ...]:
    unique = _text(record, UNIQUE_KEYS[level])
    if not unique:
        return ("row", node.hex(), str(index))
    if level is not Level.PATIENT:
        return ("uid", unique)
    issuer = _text(record, ISSUER_OF_PATIENT_ID)
    return ("issuer", issuer, unique) if issuer else ("holder", node.hex(), unique)


def _preference(item: tuple[NodeId, Row]) -> tuple[int, NodeId]:
    node, row = item
    return -sum(state.count for state in row.studies), node


def _reading_order(match: Match) -> tuple[object, ...]:
    record = match.record

    def number(keyword: str) -> tuple[int, str]:
        text = _text(record, _tag(keyword))
        return (_number(record, _tag(keyword)), text)

    return (
        fold_name(_text(record, PATIENT_NAME)),
        _text(record, PATIENT_ID),
        _text(record, ISSUER_OF_PATIENT_ID),
        _text(record, _tag("StudyDate")),
        _text(record, _tag("StudyTime")),
        _text(record, UNIQUE_KEYS[Level.STUDY]),
        number("SeriesNumber"),
        _text(record, UNIQUE_KEYS[Level.SERIES]),
        number("InstanceNumber"),
        _text(record, UNIQUE_KEYS[Level.IMAGE]),
        match.holders,
    )


# ---------------------------------------------------------------- one match


def _merged(level: Level, found: Found, holdings: Holdings) -> Match:
    record, differing = _attributes([row.record for _, row in found])
    holders = tuple(sorted(node for node, _ in found))
    if len(found) == 1:
        return Match(record, holders)
    unions = {study: _union(study, s, holdings) for study, s in _studies(found).items()}
    unresolved = any(union.incomplete for union in unions.values())
    if level is Level.PATIENT:
        counts = _patient_counts(found, unions)
        if _SERIES_OF_PATIENT in record and counts.get(_SERIES_OF_PATIENT) is None:
            unresolved = True
    else:
        counts = _study_counts(unions.values(), _text(record, SERIES_INSTANCE_UID))
    for tag in sorted(record):
        attribute = by_tag(tag)
        if attribute is not None and attribute.counted:
            value = counts.get(tag) or _least(level, tag, [row.record for _, row in found])
            if value is None:
                del record[tag]
            else:
                record[tag] = value
    return Match(
        dict(sorted(record.items())),
        holders,
        differing or any(union.conflicting for union in unions.values()),
        unresolved,
    )


def _attributes(records: Sequence[Record]) -> tuple[Record, bool]:
    """The first value of each attribute that is none of the counted, and whether others differ."""
    merged: Record = {}
    differing = False
    for record in records:
        for tag, value in sorted(record.items()):
            before = merged.get(tag, ())
            if not before:
                merged[tag] = value
            elif value and value != before:
                attribute = by_tag(tag)
                differing = differing or attribute is None or not attribute.counted
    return dict(sorted(merged.items())), differing


@dataclass(frozen=True, slots=True)
class _Union:
    """One study as all its holders have it together."""

    instances: int
    """Known at least."""
    entries: tuple[Entry, ...] | None
    """By SOP Instance UID, where all parts are known."""
    incomplete: bool
    """The holders have different parts, and not all are known."""
    conflicting: bool


def _union(study: str, states: Sequence[tuple[NodeId, StudyState]], holdings: Holdings) -> _Union:
    roots = _by_root(states)
    parts = [
        next((holdings[node, study] for node in nodes if (node, study) in holdings), None)
        for nodes in roots.values()
    ]
    most = max(state.count for _, state in states)
    known: dict[str, Entry] = {}
    conflicting = False
    for part in parts:
        for entry in part or ():
            first = known.setdefault(entry.sop_uid, entry)
            conflicting = conflicting or first.content != entry.content
    if any(part is None for part in parts):
        return _Union(max(most, len(known)), None, len(parts) > 1, conflicting)
    return _Union(len(known), tuple(known.values()), incomplete=False, conflicting=conflicting)


def _study_counts(unions: Iterable[_Union], series: str) -> dict[int, Value]:
    """Counts of one study, and of one series of it; none where the parts are not all known."""
    counts: dict[int, Value] = {}
    for union in unions:
        counts[_tag("NumberOfStudyRelatedInstances")] = (str(union.instances),)
        if union.entries is None:
            continue
        counts[_tag("NumberOfStudyRelatedSeries")] = (
            str(len({entry.series_uid for entry in union.entries})),
        )
        counts[_tag("ModalitiesInStudy")] = _distinct(e.modality for e in union.entries)
        counts[_tag("SOPClassesInStudy")] = _distinct(e.sop_class for e in union.entries)
        counts[_tag("NumberOfSeriesRelatedInstances")] = (
            str(sum(entry.series_uid == series for entry in union.entries)),
        )
    return counts


def _patient_counts(found: Found, unions: Mapping[str, _Union]) -> dict[int, Value]:
    counts: dict[int, Value] = {
        _tag("NumberOfPatientRelatedStudies"): (str(len(unions)),),
        _tag("NumberOfPatientRelatedInstances"): (str(sum(u.instances for u in unions.values())),),
    }
    if all(union.entries is not None for union in unions.values()):
        series = sum(len({e.series_uid for e in u.entries or ()}) for u in unions.values())
        counts[_SERIES_OF_PATIENT] = (str(series),)
    elif not _overlap(found):
        # No study is at two holders unless they have all the same ones: their counts add up.
        apart = {
            frozenset(row.studies): _number(row.record, _SERIES_OF_PATIENT) for _, row in found
        }
        counts[_SERIES_OF_PATIENT] = (str(sum(apart.values())),)
    return counts


def _least(level: Level, tag: int, records: Sequence[Record]) -> Value | None:
    """What can be said of a count without the entries: the most any holder has, or all kinds."""
    attribute = by_tag(tag)
    values = [record[tag] for record in records if record.get(tag)]
    if attribute is not None and attribute.many:
        return _distinct(text for value in values for text in value if isinstance(text, str))
    if level is not Level.PATIENT and tag in _OF_PATIENT:
        # What each holder has of the patient says nothing of the patient's studies elsewhere,
        # unless the holders agree.
        return values[0] if values and all(value == values[0] for value in values) else None
    return (str(max(_number(record, tag) for record in records)),)


# ---------------------------------------------------------------- small readings


def _studies(found: Found) -> dict[str, list[tuple[NodeId, StudyState]]]:
    """What each holder has of each study, by study."""
    studies: dict[str, list[tuple[NodeId, StudyState]]] = {}
    for node, row in found:
        for state in row.studies:
            studies.setdefault(state.study_uid, []).append((node, state))
    return studies


def _by_root(states: Sequence[tuple[NodeId, StudyState]]) -> dict[Digest, list[NodeId]]:
    roots: dict[Digest, list[NodeId]] = {}
    for node, state in sorted(states, key=lambda item: item[0]):
        roots.setdefault(state.root, []).append(node)
    return roots


def _overlap(found: Found) -> bool:
    """Whether some holders have a study in common without having all the same studies."""
    seen: set[str] = set()
    for studies in dict.fromkeys(frozenset(row.studies) for _, row in found):
        uids = {state.study_uid for state in studies}
        if uids & seen:
            return True
        seen |= uids
    return False


def _text(record: Record, tag: int) -> str:
    value = record.get(tag, ())
    return value[0].strip(" \0") if value and isinstance(value[0], str) else ""


def _number(record: Record, tag: int) -> int:
    text = _text(record, tag)
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _distinct(texts: Iterable[str]) -> Value:
    return tuple(sorted({text for text in texts if text}))


def _tag(keyword: str) -> int:
    attribute = by_keyword(keyword)
    assert attribute is not None
    return attribute.tag


_SERIES_OF_PATIENT = _tag("NumberOfPatientRelatedSeries")
_OF_PATIENT = frozenset(
    {
        _SERIES_OF_PATIENT,
        _tag("NumberOfPatientRelatedStudies"),
        _tag("NumberOfPatientRelatedInstances"),
    }
)
