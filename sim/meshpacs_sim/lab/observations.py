"""What one run has shown, as arrays: which of its queries count, and what was not measured."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from meshpacs_sim.lab.results import Results
from meshpacs_sim.lab.scenario import Scenario
from meshpacs_sim.statistics.intervals import Floats

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

ASKED = ("answered", "lost")
"""How a query ends that was sent out at all; of others no cost is counted."""

HOUR_US = 3_600_000_000


@dataclass(frozen=True, eq=False)
class Observations:
    """One run's tables, opened; rows in the order in which queries were asked."""

    scenario: Scenario
    results: Results

    @cached_property
    def counted(self) -> Bools:
        """Rows after the warm-up."""
        counted: Bools = ~self.results.queries["warm_up"].to_numpy().astype(np.bool_)
        return counted

    @cached_property
    def asked(self) -> Bools:
        """Rows after the warm-up whose query was sent out."""
        return self.counted & self._sent

    @property
    def sent(self) -> int:
        """How many queries were sent out, of all rows: loads and kinds of messages are of these."""
        return int(self._sent.sum())

    @cached_property
    def _sent(self) -> Bools:
        return np.array([each in ASKED for each in self.results.queries["ended"].to_pylist()], bool)

    def all_of(self, name: str) -> Floats:
        """One column of all rows, warm-up too."""
        values: Floats = self.results.queries[name].to_numpy().astype(np.float64)
        return values

    def share(self, name: str, among: Bools | None = None) -> Floats:
        """Hits and misses of the rows that count; none of them where the fidelity does not tell.

        A query that was never sent is a miss.
        """
        values = self.all_of(name)[self.counted if among is None else self.counted & among]
        return values[~np.isnan(values)]

    def cost(self, name: str, among: Bools | None = None) -> Floats:
        """One column of the rows that were sent out; none where the fidelity does not tell."""
        values = self.all_of(name)[self.asked if among is None else self.asked & among]
        return values[~np.isnan(values)]

    def found(self, name: str) -> Floats:
        """One column of the rows that count and have found something: hops, latency."""
        values = self.all_of(name)
        return values[self.counted & (values >= 0)]

    def load(self, name: str) -> Floats | None:
        """What each node did for each thousand queries; None where the fidelity does not tell."""
        column = self.results.loads[name]
        if column.null_count or not len(column) or not self.sent:
            return None
        loads: Floats = column.to_numpy().astype(np.float64) * 1_000 / self.sent
        return loads

    @property
    def size(self) -> int:
        """Nodes of the mesh; a topology may have fewer than were asked for."""
        return len(self.results.loads) or self.scenario.mesh.size

    @cached_property
    def hours(self) -> float | None:
        """How long the mesh lived; None where the run does not say."""
        told = self.totals.get("simulated_us")
        return told / HOUR_US if told else None

    @cached_property
    def totals(self) -> dict[str, int]:
        """Numbers of the whole run."""
        table = self.results.totals
        return dict(zip(table["what"].to_pylist(), table["value"].to_pylist(), strict=True))

    @cached_property
    def kinds(self) -> tuple[tuple[str, str, int, int | None], ...]:
        """Purpose, type, messages and bytes of each type, of the whole run."""
        table = self.results.messages
        names = ("purpose", "type", "messages", "bytes")
        return tuple(zip(*(table[name].to_pylist() for name in names), strict=True))

    @cached_property
    def moments(self) -> Int64s:
        """When copies were counted, in microseconds."""
        return self.course("when_us").astype(np.int64)

    @property
    def contents(self) -> int:
        """How many contents somebody holds."""
        return int(self.totals.get("contents", self.scenario.content.contents))

    def course(self, name: str) -> Floats:
        """One column of what was counted over time."""
        values: Floats = self.results.availability[name].to_numpy().astype(np.float64)
        return values
