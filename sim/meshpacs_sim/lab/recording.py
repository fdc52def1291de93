"""What a run notes as it goes on, and what becomes of it when it ends or is interrupted."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from meshpacs.model.ids import Micros
from meshpacs_sim.lab import results
from meshpacs_sim.lab.results import Results
from meshpacs_sim.strategies.search import Bools, Copies

Progress = Callable[[int, int], None]
"""Told how many of how many queries are done."""


@dataclass(slots=True)
class QueryRow:
    """One row of `queries`."""

    query: int
    asked_us: Micros
    origin: int
    content: int
    ended: str
    """`answered`; `refused` by the asker's own budget; `lost` with its asker; `nobody` was up."""
    warm_up: bool
    copies: int
    copies_up: int
    discovered: bool = False
    retrievable: bool = False
    copies_found: int = 0
    messages: int = 0
    bytes: int = 0
    duplicates: int = 0
    hops: int = -1
    latency_us: int = -1
    took_us: int = -1
    reached: int = 0
    coverage: float = 0.0
    complete: bool | None = False
    """None where the fidelity does not tell."""


class Recording:
    """Rows, counts and samples of one run."""

    def __init__(self, copies: Copies) -> None:
        """Nothing has happened."""
        self._copies = copies
        self._owners = np.repeat(np.arange(len(copies.starts) - 1), np.diff(copies.starts))
        self.rows: list[QueryRow] = []
        self.loads: dict[str, Any] = {}
        self.messages: list[tuple[str, str, int, int | None]] = []
        """Purpose, type, messages, bytes."""
        self.totals: dict[str, float] = {"contents": int((np.diff(copies.starts) > 0).sum())}
        self._samples: list[tuple[int, ...]] = []

    def sample(self, when: Micros, up: Bools) -> None:
        """Count the copies that are up."""
        there = up[self._copies.holders]
        available = np.zeros(len(self._copies.starts) - 1, bool)
        available[self._owners[there]] = True
        counts = (int(up.sum()), int(available.sum()), len(there), int(there.sum()))
        self._samples.append((when, *counts))

    def results(self) -> Results:
        """Everything so far as tables."""
        rows = [asdict(row) for row in self.rows]
        names = [each.name for each in fields(QueryRow)]
        kinds = list(zip(*sorted(self.messages), strict=True)) or [()] * 4
        seen = list(zip(*self._samples, strict=True)) or [()] * 5
        return Results(
            queries=results.table("queries", {key: [row[key] for row in rows] for key in names}),
            loads=results.table("loads", self.loads or {"node": []}),
            messages=results.table(
                "messages", dict(zip(results.MESSAGES.names, kinds, strict=True))
            ),
            availability=results.table(
                "availability", dict(zip(results.AVAILABILITY.names, seen, strict=True))
            ),
            totals=results.table(
                "totals", {"what": list(self.totals), "value": list(self.totals.values())}
            ),
        )
