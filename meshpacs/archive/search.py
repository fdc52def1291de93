"""Search: SQL narrows down, the model decides.

`narrow` makes of a query's keys conditions that no match fails (a superset, held by a property
test); `meshpacs.model.matching` judges what is left. Rows come in order of arrival, so the same
archive answers the same.
"""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from meshpacs.archive.filing import ANY, SEPARATOR
from meshpacs.archive.holdings import States
from meshpacs.archive.indexed import SOP_CLASS_UID, unpack
from meshpacs.model.answer import Row
from meshpacs.model.attributes import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    PATIENT_NAME,
    UNIQUE_KEYS,
    Level,
    Record,
    Value,
    attributes_to,
    by_keyword,
    levels_to,
)
from meshpacs.model.content import StudyState
from meshpacs.model.limits import ROWS_PER_HOLDER, VALUES_PER_KEY
from meshpacs.model.matching import EMPTY, Matcher, search_level, universal
from meshpacs.model.names import fold_groups
from meshpacs.model.query import Query
from meshpacs.model.times import DAY_US, parse_range


def _tag(keyword: str) -> int:
    found = by_keyword(keyword)
    assert found is not None
    return found.tag


PATIENT_COUNTS = tuple(map(_tag, (
    "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries",
    "NumberOfPatientRelatedInstances",
)))  # fmt: skip
MODALITIES = _tag("ModalitiesInStudy")
SOP_CLASSES = _tag("SOPClassesInStudy")
STUDY_SERIES = _tag("NumberOfStudyRelatedSeries")
STUDY_INSTANCES = _tag("NumberOfStudyRelatedInstances")
SERIES_INSTANCES = _tag("NumberOfSeriesRelatedInstances")

FROM = {
    Level.PATIENT: "FROM patients p",
    Level.STUDY: "FROM studies t",
    Level.SERIES: "FROM series s JOIN studies t USING (study)",
    Level.IMAGE: "FROM instances i JOIN series s USING (series) JOIN studies t USING (study)",
}
STUDY_COLUMNS = (
    "t.study, t.study_uid, t.patient, t.changed, t.record, t.modalities, t.sop_classes,"
    " t.series_count, t.instance_count"
)
COLUMNS = {
    Level.PATIENT: "p.patient",
    Level.STUDY: STUDY_COLUMNS,
    Level.SERIES: f"{STUDY_COLUMNS}, s.series, s.record, s.instance_count",
    Level.IMAGE: f"{STUDY_COLUMNS}, s.series, s.record, s.instance_count, i.instance, i.record",
}
ORDER = {
    Level.PATIENT: "p.patient", Level.STUDY: "t.study", Level.SERIES: "s.series",
    Level.IMAGE: "i.instance",
}  # fmt: skip

OWN_OF_STUDY = "SELECT 1 FROM series JOIN instances USING (series) WHERE study = ? AND own LIMIT 1"
OWN_OF_PATIENT = (
    "SELECT 1 FROM studies JOIN series USING (study) JOIN instances USING (series)"
    " WHERE patient = ? AND own LIMIT 1"
)

EXACT = {
    UNIQUE_KEYS[Level.STUDY]: "t.study_uid",
    UNIQUE_KEYS[Level.SERIES]: "s.series_uid",
    UNIQUE_KEYS[Level.IMAGE]: "i.sop_uid",
    SOP_CLASS_UID: "i.sop_class",
}
"""Columns of UIDs, which have no wild cards and never more than one value."""

TEXT = {PATIENT_ID: "{}.patient_id", _tag("AccessionNumber"): "t.accession"}
SETS = {MODALITIES: "t.modalities", SOP_CLASSES: "t.sop_classes"}
DATES = {_tag("PatientBirthDate"): "{}.birth_date", _tag("StudyDate"): "t.study_date"}

Condition = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """A search's answer."""

    rows: tuple[Row, ...]
    truncated: bool
    """There are more than the limit."""


# ---------------------------------------------------------------- narrowing down


def narrow(query: Query, judged: Level) -> list[Condition]:
    """Conditions that every entity of the level `judged` meets that the query matches."""
    letter = "p" if judged is Level.PATIENT else "t"
    offered = {attribute.tag for attribute in attributes_to(judged)}
    conditions = []
    for tag, value in query.keys:
        texts = [t.strip(" \0") for t in value if isinstance(t, str)]
        texts = [t for t in texts if t]
        if tag not in offered or universal(value) or not texts or EMPTY in texts:
            continue
        if not all(t.strip("*") for t in texts):
            continue  # one of the values asks for everything
        if tag in EXACT:
            conditions.append(_among(EXACT[tag], texts))
        elif tag in TEXT:
            conditions.append(_text(TEXT[tag].format(letter), texts))
        elif tag in SETS:
            conditions.append(_contained(SETS[tag], texts))
        elif tag in DATES:
            conditions.append(_dates(DATES[tag].format(letter), texts))
        elif tag == PATIENT_NAME:
            conditions.append(_name(f"{letter}.names", texts))
    return [condition for condition in conditions if condition[0]]


def _among(column: str, texts: list[str]) -> Condition:
    return f"{column} IN ({', '.join('?' * len(texts))})", tuple(texts)


def _text(column: str, texts: list[str]) -> Condition:
    if not any("*" in text or "?" in text for text in texts):
        return _among(column, [*texts, ANY])
    test, parts = _contained(column, texts)
    return (f"({column} = ? OR {test})", (ANY, *parts)) if test else ("", ())


def _contained(column: str, texts: list[str]) -> Condition:
    # Any text between wild cards must be in the value somewhere; the longest is the rarest.
    parts = [max(re.split(r"[*?]+", text), key=len) for text in texts]
    if not all(parts):
        return "", ()
    return f"({' OR '.join([f'instr({column}, ?)'] * len(parts))})", tuple(parts)


def _name(column: str, texts: list[str]) -> Condition:
    return _contained(column, [_name_part(text) for text in texts])


def _name_part(text: str) -> str:
    """The longest text that a matching name must contain once both are folded, or nothing."""
    groups = fold_groups(text)
    if "?" not in text:
        return max((part for group in groups for part in group.split("*")), key=len, default="")
    # With `?` a name may also match unfolded (names.NameKey), where only ASCII letters are sure
    # to be themselves after folding.
    pieces = (piece for group in groups for piece in re.split(r"[*?^ ]+", group))
    return max((piece for piece in pieces if piece.isascii()), key=len, default="")


def _dates(column: str, texts: list[str]) -> Condition:
    tests, values = [f"{column} = ?"], [ANY]  # what is no date is judged by the model
    bounds: list[object] = list(values)
    for text in texts:
        wanted = parse_range("DA", text)
        if wanted is None:
            continue
        first = wanted.first.first_us // DAY_US if wanted.first else 0
        last = wanted.last.last_us // DAY_US if wanted.last else 4_000_000  # beyond year 9999
        tests.append(f"{column} BETWEEN ? AND ?")
        bounds += [first, last]
    return f"({' OR '.join(tests)})", tuple(bounds)


# ---------------------------------------------------------------- judging


class Search:
    """One search over one connection's view of the index."""

    def __init__(
        self, con: sqlite3.Connection, query: Query, states: States, issuer: str = ""
    ) -> None:
        """Make the query ready; `issuer` is as in `Archive.open`."""
        self._issuer = issuer
        self._con = con
        self._query = query
        self._states = states
        self._judged = search_level(query, query.rules)
        self._matcher = Matcher(query, query.rules)
        keys = {tag for tag, _ in query.keys}
        offered = {attribute.tag for attribute in attributes_to(query.level)}
        always = {UNIQUE_KEYS[level] for level in levels_to(query.level)} | {ISSUER_OF_PATIENT_ID}
        self._tags = (offered & (keys | {*query.returns}) | always) if query.returns else offered
        self._counts_patients = bool((self._tags | keys) & {*PATIENT_COUNTS})
        self._upper: dict[str, tuple[int, Record]] = {}
        """The study and the series decoded last, which the next row likely shares."""

    def run(self) -> Found:
        """All matches up to the limit."""
        limit = max(0, min(self._query.limit, ROWS_PER_HOLDER))
        rows: list[Row] = []
        seen: set[int] = set()
        for number, patient, record in self._candidates():
            if number in seen or not self._matcher.matches(record):
                continue
            if self._judged is not self._query.level:
                seen.add(number)  # a relational key may be met by several of an entity's parts
            if len(rows) == limit:
                return Found(tuple(rows), truncated=True)
            whole = self._query.level is Level.PATIENT and self._judged is not Level.PATIENT
            rows.append(self._row(patient, self._patient(number) if whole else record))
        return Found(tuple(rows), truncated=False)

    def _candidates(self) -> Iterator[tuple[int, tuple[int, str, int], Record]]:
        """Number of the wanted entity, what its study states need, and the whole record."""
        conditions = narrow(self._query, self._judged)
        sql = f"SELECT {COLUMNS[self._judged]} {FROM[self._judged]}"
        if conditions:
            sql += " WHERE " + " AND ".join(text for text, _ in conditions)
        sql += f" ORDER BY {ORDER[self._judged]}"
        values = [value for _, bound in conditions for value in bound]
        for row in self._con.execute(sql, values):
            if self._judged is Level.PATIENT:
                yield row[0], (row[0], "", 0), self._patient(row[0])
                continue
            record = dict(self._study(row))
            if self._judged is not Level.STUDY:
                record.update(self._series(row))
            if self._judged is Level.IMAGE:
                record.update(unpack(row[13]))
            place = {Level.PATIENT: 2, Level.STUDY: 0, Level.SERIES: 9, Level.IMAGE: 12}
            yield row[place[self._query.level]], (row[2], row[1], row[3]), record

    def _study(self, row: tuple[object, ...]) -> Record:
        study, _, patient, _, packed, modalities, classes, series, instances = row[:9]
        known = self._upper.get("study")
        if known is not None and known[0] == study:
            return known[1]
        record = unpack(packed)  # type: ignore[arg-type]  # a BLOB
        record[MODALITIES] = _values(modalities)
        record[SOP_CLASSES] = _values(classes)
        record[STUDY_SERIES] = (str(series),)
        record[STUDY_INSTANCES] = (str(instances),)
        if self._counts_patients:
            record.update(self._patient_counts(patient))
        self._add_issuer(record, OWN_OF_STUDY, study)
        self._upper["study"] = (study, record)  # type: ignore[assignment]  # an INTEGER
        return record

    def _series(self, row: tuple[object, ...]) -> Record:
        series, packed, instances = row[9:12]
        known = self._upper.get("series")
        if known is not None and known[0] == series:
            return known[1]
        record = unpack(packed)  # type: ignore[arg-type]  # a BLOB
        record[SERIES_INSTANCES] = (str(instances),)
        self._upper["series"] = (series, record)  # type: ignore[assignment]  # an INTEGER
        return record

    def _patient(self, patient: int) -> Record:
        """A patient as a search for patients shows it, not as one of the studies has it."""
        (row,) = self._con.execute("SELECT record FROM patients WHERE patient = ?", (patient,))
        record = unpack(row[0])
        if self._counts_patients:
            record.update(self._patient_counts(patient))
        self._add_issuer(record, OWN_OF_PATIENT, patient)
        return record

    def _add_issuer(self, record: Record, own: str, number: object) -> None:
        """Say whose a number is that came in by our own door without an issuer.

        What came from the mesh alone has a number of who gave it, and 7 there is another's 7.
        """
        unsaid = universal(record.get(ISSUER_OF_PATIENT_ID, ()))
        if not self._issuer or not unsaid or universal(record.get(PATIENT_ID, ())):
            return
        if self._con.execute(own, (number,)).fetchone() is not None:
            record[ISSUER_OF_PATIENT_ID] = (self._issuer,)

    def _patient_counts(self, patient: object) -> Record:
        (row,) = self._con.execute(
            "SELECT count(*), sum(series_count), sum(instance_count) FROM studies"
            " WHERE patient = ?",
            (patient,),
        )
        return {tag: (str(n),) for tag, n in zip(PATIENT_COUNTS, row, strict=True)}

    def _row(self, place: tuple[int, str, int], record: Record) -> Row:
        kept = {tag: value for tag, value in record.items() if tag in self._tags}
        return Row(kept, self._studies(*place))

    def _studies(self, patient: int, study_uid: str, changed: int) -> tuple[StudyState, ...]:
        if self._query.level is not Level.PATIENT:
            return (self._states.of(self._con, study_uid, changed),)
        rows = self._con.execute(
            "SELECT study_uid, changed FROM studies WHERE patient = ? ORDER BY study LIMIT ?",
            (patient, VALUES_PER_KEY),
        ).fetchall()
        return tuple(self._states.of(self._con, uid, stamp) for uid, stamp in rows)


def _values(column: object) -> Value:
    return tuple(str(column).split(SEPARATOR)) if column else ()
