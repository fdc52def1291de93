"""Workloads that a scenario can name: one that is drawn here, and `world.workloads`' clinics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Protocol

from msgspec import Meta

from meshpacs.model.ids import Micros
from meshpacs_sim.world import diary, workloads
from meshpacs_sim.world.workloads import DAY_US, EXACT, NEW, Arrival

HORIZON_US: Micros = 3_650 * DAY_US
"""Where a workload ends that goes on for ever: ten years."""


class Work(Protocol):
    """A frozen dataclass whose fields are the parameters."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Somebody who is up and has no copy, if there is anybody like that, asks for a content, at
    any time.
    """

    queries_per_minute: Annotated[float, Meta(gt=0, le=1_000_000)] = 60.0
    """Of the whole mesh, on average. With the engine a node asks 20 at once and then as often as
    live nodes may (PROTOCOL 4.6); what it refuses to ask is counted as not found."""


@dataclass(frozen=True, slots=True)
class Diary:
    """As it is written in a file: studies that are stored and questions for patients."""

    file: str
    """CSV of arrivals, as docs/SIMULATOR.md tells; a relative name is looked for beside the
    scenario."""

    def arrivals(self, seed: int, size: int, until: Micros) -> Iterator[Arrival]:  # noqa: ARG002
        """As they are in the file."""
        return takewhile(lambda each: each.when < until, diary.read(self.file, size))


WORK: Mapping[str, type] = {
    "steady": Workload,
    "clinics": workloads.Clinics,
    "diary": Diary,
}
"""By the word in `workload.kind`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a workload that brings its own contents: patients."""

    when: Micros
    origin: int
    content: int


class Clinical:
    """What a kernel and an engine make of arrivals: patients' holders, and questions for patients.

    Studies that were there when the run began are what is looked for. A question for a patient of
    whom nobody but the asker holds anything is left out, as are those by names and by days.
    """

    def __init__(self, work: workloads.Clinics | Diary, seed: int, size: int) -> None:
        """Take in what was there before."""
        self._arrivals = work.arrivals(seed, size, HORIZON_US)
        self._waiting: list[Arrival] = []
        held: dict[int, dict[int, None]] = {}
        for arrival in self._arrivals:
            if arrival.when >= 0:
                self._waiting.append(arrival)
                break
            if arrival.kind == NEW:
                held.setdefault(arrival.content, {})[arrival.origin] = None
        patients = max(held, default=-1) + 1
        self.holders = [tuple(sorted(held.get(patient, ()))) for patient in range(patients)]

    def questions(self) -> Iterator[Asked]:
        """In the order of time; to be gone through once."""
        for arrival in self._rest():
            if arrival.kind == EXACT and arrival.content < len(self.holders):
                others = set(self.holders[arrival.content]) - {arrival.origin}
                if others:
                    yield Asked(arrival.when, arrival.origin, arrival.content)

    def _rest(self) -> Iterator[Arrival]:
        yield from self._waiting
        yield from self._arrivals
