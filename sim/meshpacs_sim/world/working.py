"""A workload at work in a world: studies come to archives, questions to nodes that are up."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from meshpacs.model.attributes import Level, Record
from meshpacs.model.errors import Unavailable
from meshpacs.model.query import Query, Scope
from meshpacs_sim.world.cellar import (
    FAMILIES,
    GIVEN,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    Growing,
)
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.modalities import MODALITIES
from meshpacs_sim.world.workloads import DATES, EXACT, NEW, WILD, Arrival, Clinics
from meshpacs_sim.world.world import World

DAY_ZERO = date(2023, 11, 13)
"""A Monday, as workloads begin; the day before the world's clock does."""

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "ri", "so", "tu")


class Working:
    """What has come of each arrival."""

    def __init__(
        self,
        world: World,
        arrivals: Iterable[Arrival],
        *,
        clinics: Clinics | None = None,
        scope: Scope | None = None,
    ) -> None:
        """Store what was there before, and let the rest happen as the world runs.

        Args:
            world: its hosts' archives must be able to grow (`Growing`).
            arrivals: in the order of time, of no more clinics than the world has hosts.
            clinics: knows at which hour the world begins; only studies' dates hang on it.
            scope: of all questions; by default everyone.
        """
        self._world = world
        self._arrivals: Iterator[Arrival] = iter(arrivals)
        self._clinics = clinics or Clinics()
        self._scope = scope
        self.stored = 0
        """Studies."""
        self.asked: list[tuple[Arrival, Asking]] = []
        self.failed: Counter[str] = Counter()
        """Questions that were not asked: nobody was up, or the node's own budget refused."""
        self.unstored = 0
        """Studies that no archive took, because a disk was lost."""
        self._next = next(self._arrivals, None)
        self._happen()

    def _happen(self) -> None:
        """Everything that is due, and then wait for what comes next."""
        world = self._world
        while self._next is not None and self._next.when <= world.now:
            self._take(self._next)
            self._next = next(self._arrivals, None)
        if self._next is not None:
            world.at(self._next.when, self._happen)

    def _take(self, arrival: Arrival) -> None:
        host = self._world.hosts[arrival.origin]
        if arrival.kind == NEW:
            # A clinic's archive takes studies in whether or not its node is up.
            if isinstance(host.cellar, Growing):
                host.cellar.add(record_of(arrival, self._clinics))
                self.stored += 1
            else:
                self.unstored += 1
        elif not host.able:
            self.failed["down"] += 1
        else:
            query = query_of(arrival)
            try:
                asking = self._world.ask(arrival.origin, query, self._scope)
            except Unavailable:
                self.failed["refused"] += 1
            else:
                self.asked.append((arrival, asking))


def query_of(arrival: Arrival) -> Query:
    """The study query that a question is."""
    if arrival.kind == EXACT:
        return _query(PATIENT_ID, _number_of(arrival.content))
    if arrival.kind == WILD:
        return _query(PATIENT_NAME, _family_of(arrival.content) + "*")
    assert arrival.kind == DATES
    return _query(STUDY_DATE, _date_of(arrival.content))


def record_of(arrival: Arrival, clinics: Clinics) -> Record:
    """The study that has come, as it is indexed."""
    return {
        STUDY_DATE: (_date_of(clinics.day(arrival.when)),),
        MODALITIES_IN_STUDY: (MODALITIES[arrival.modality].code,),
        PATIENT_NAME: (f"{_family_of(arrival.content)}^{_given_of(arrival.content)}",),
        PATIENT_ID: (_number_of(arrival.content),),
        # 2.25 is the root under which any UUID is a UID (PS3.5 B.2).
        STUDY_INSTANCE_UID: (f"2.25.{(1 << 64) + arrival.study}",),
    }


def _query(tag: int, value: str) -> Query:
    return Query(Level.STUDY, keys=((tag, (value,)),))


def _number_of(patient: int) -> str:
    return f"{patient:08}"


def _family_of(patient: int) -> str:
    """One of 800 names."""
    left, family = divmod(patient, len(FAMILIES))
    left, first = divmod(left, len(SYLLABLES))
    return FAMILIES[family] + SYLLABLES[first] + SYLLABLES[left % len(SYLLABLES)]


def _given_of(patient: int) -> str:
    return GIVEN[patient // (len(FAMILIES) * len(SYLLABLES) ** 2) % len(GIVEN)]


def _date_of(day: int) -> str:
    return (DAY_ZERO + timedelta(days=day)).strftime("%Y%m%d")
