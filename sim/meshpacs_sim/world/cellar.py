"""Fake archives: what an imaginary clinic holds, searched by the project's own `matches`."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from meshpacs.engine.draws import draw, word
from meshpacs.model.answer import Row
from meshpacs.model.attributes import Level, Record
from meshpacs.model.content import StudyState
from meshpacs.model.ids import Digest
from meshpacs.model.matching import matches
from meshpacs.model.query import Query

STUDY_DATE = 0x0008_0020
ACCESSION_NUMBER = 0x0008_0050
MODALITIES_IN_STUDY = 0x0008_0061
PATIENT_NAME = 0x0010_0010
PATIENT_ID = 0x0010_0020
ISSUER_OF_PATIENT_ID = 0x0010_0021
STUDY_INSTANCE_UID = 0x0020_000D

FAMILIES = ("Arendt", "Bodel", "Celan", "Drakulić", "Éluard", "Ferrante", "García", "Hrabal")
GIVEN = ("Ada", "Boris", "Chloé", "Dragan", "Elif", "Femi", "Greta", "Hugo")
MODALITIES = ("CT", "MR", "US", "CR", "MG")


class Cellar(Protocol):
    """An archive that can be searched."""

    def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """The rows, and whether there were more than the query's limit."""
        ...


class Shelves:
    """Study records, each looked at by `matches`; only study level is imagined."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Hold these; the order is the order of the rows."""
        self._held = tuple((record, _state(record)) for record in records)
        self._found: dict[Query, tuple[tuple[Row, ...], bool]] = {}
        """Answers given before: what is held does not change."""

    def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """Every record that matches, up to the limit."""
        known = self._found.get(query)
        if known is None:
            known = self._found[query] = self._look(query)
        return known

    def _look(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        found = [
            Row(record, (state,))
            for record, state in self._held
            if matches(query, record, query.rules)
        ]
        return tuple(found[: query.limit]), len(found) > query.limit


class Growing(Shelves):
    """An archive that new studies come to, and that finds one patient's by their number."""

    def __init__(self) -> None:
        """Hold nothing."""
        super().__init__(())
        self._by_patient: dict[str, list[Record]] = {}

    def add(self, record: Record) -> None:
        """A study has been stored; what was found before may be found no more."""
        self._held += ((record, _state(record)),)
        self._by_patient.setdefault(str(record[PATIENT_ID][0]), []).append(record)
        self._found.clear()

    def _look(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        patient = dict(query.keys).get(PATIENT_ID, ())
        if len(patient) == 1 and isinstance(patient[0], str) and patient[0].isalnum():
            return Shelves(self._by_patient.get(patient[0], ())).search(query)
        return super()._look(query)


class Canned:
    """The same rows whatever is asked: for counting messages, not matches."""

    def __init__(self, rows: tuple[Row, ...] = ()) -> None:
        """Keep the rows."""
        self._rows = rows

    def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """All of them, up to the limit."""
        return self._rows[: query.limit], len(self._rows) > query.limit


def clinic(seed: int, host: int, studies: int) -> Shelves:
    """An imaginary clinic's archive: `studies` studies of people with drawn names."""
    return Shelves([_study(seed, host, number) for number in range(studies)])


def by_name(pattern: str) -> Query:
    """A study query by patient's name, with `*` and `?`."""
    return Query(Level.STUDY, keys=((PATIENT_NAME, (pattern,)),))


def every_study() -> Query:
    """A study query that all match."""
    return Query(Level.STUDY)


def _study(seed: int, host: int, number: int) -> Record:
    bits = draw(seed, host, word(b"study"), number)
    family, bits = FAMILIES[bits % len(FAMILIES)], bits // len(FAMILIES)
    given, bits = GIVEN[bits % len(GIVEN)], bits // len(GIVEN)
    modality, bits = MODALITIES[bits % len(MODALITIES)], bits // len(MODALITIES)
    month, bits = bits % 12 + 1, bits // 12
    day, bits = bits % 28 + 1, bits // 28
    return {
        STUDY_DATE: (f"2024{month:02}{day:02}",),
        ACCESSION_NUMBER: (f"A{host}.{number}",),
        MODALITIES_IN_STUDY: (modality,),
        PATIENT_NAME: (f"{family}^{given}",),
        PATIENT_ID: (f"{bits % 100_000:05}",),
        ISSUER_OF_PATIENT_ID: (f"clinic {host}",),
        # 2.25 is the root under which any UUID is a UID (PS3.5 B.2).
        STUDY_INSTANCE_UID: (f"2.25.{(host << 32) + number}",),
    }


def _state(record: Record) -> StudyState:
    uid = str(record[STUDY_INSTANCE_UID][0])
    return StudyState(uid, Digest(hashlib.sha256(uid.encode()).digest()), 1)
