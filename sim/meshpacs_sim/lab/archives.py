"""What the imaginary clinics of a scenario hold, and the questions that find it."""

from collections.abc import Iterable

from meshpacs.model.answer import Row
from meshpacs.model.attributes import Level, Record
from meshpacs.model.query import Query
from meshpacs_sim.world.cellar import (
    FAMILIES,
    GIVEN,
    MODALITIES,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    Shelves,
)

UID_ROOT = "2.25."
"""The root under which any UUID is a UID (PS3.5 B.2)."""


def uid_of(content: int) -> str:
    """The study instance UID of one content."""
    return f"{UID_ROOT}{content + 1}"


def query_for(content: int) -> Query:
    """A study query that this content alone matches."""
    return Query(Level.STUDY, keys=((STUDY_INSTANCE_UID, (uid_of(content),)),))


class Stock:
    """An archive in which a question for one study looks at that study alone, as an index does."""

    def __init__(self, contents: Iterable[int]) -> None:
        """Hold these."""
        self._by_uid = {uid_of(content): Shelves([_record(content)]) for content in contents}

    def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """What matches, by the project's own matching."""
        wanted = dict(query.keys).get(STUDY_INSTANCE_UID, ())
        shelves = [self._by_uid[uid] for uid in wanted if uid in self._by_uid]
        rows = [row for each in shelves for row in each.search(query)[0]]
        return tuple(rows[: query.limit]), len(rows) > query.limit


def _record(content: int) -> Record:
    """A study as it is at every holder; what is in it matters for its size alone."""
    family, given = FAMILIES[content % len(FAMILIES)], GIVEN[content // 8 % len(GIVEN)]
    return {
        STUDY_DATE: (f"2024{content % 12 + 1:02}{content % 28 + 1:02}",),
        MODALITIES_IN_STUDY: (MODALITIES[content % len(MODALITIES)],),
        PATIENT_NAME: (f"{family}^{given}",),
        PATIENT_ID: (f"{content:08}",),
        STUDY_INSTANCE_UID: (uid_of(content),),
    }
