"""Results that no run has made, so that what is told of them is known beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from meshpacs_sim.lab import results
from meshpacs_sim.lab.groups import Gathered, Group
from meshpacs_sim.lab.results import Results
from meshpacs_sim.lab.running import Run
from meshpacs_sim.lab.scenario import Content, Measure, Mesh, Scenario

Runs = Sequence[tuple[Run, Mapping[str, Any]]]

SECOND_US = 1_000_000


def scenario(seed: int = 1, **changes: Any) -> Scenario:
    """Ten nodes and four contents, of one and of three copies."""
    made = Scenario(
        name="Invented",
        about="Nothing of this has happened.",
        seed=seed,
        mesh=Mesh(size=10),
        content=Content(contents=4, copies=(1, 3)),
        measure=Measure(queries=8),
    )
    return replace(made, **changes)


def queries(count: int = 8, **columns: Any) -> dict[str, Any]:
    """So many rows: all found at the second hop, for 10 messages; but for the given columns."""
    rows: dict[str, Any] = {
        "query": range(count),
        "asked_us": [number * SECOND_US for number in range(count)],
        "origin": [0] * count,
        "content": [number % 4 for number in range(count)],
        "ended": ["answered"] * count,
        "warm_up": [False] * count,
        "copies": [(1, 3)[number % 2] for number in range(count)],
        "copies_up": [1] * count,
        "discovered": [True] * count,
        "retrievable": [True] * count,
        "copies_found": [1] * count,
        "messages": [10] * count,
        "bytes": [1_000] * count,
        "duplicates": [3] * count,
        "hops": [2] * count,
        "latency_us": [40_000] * count,
        "took_us": [90_000] * count,
        "reached": [9] * count,
        "coverage": [1.0] * count,
        "complete": [True] * count,
    }
    return {**rows, **columns}


def tables(
    rows: Mapping[str, Any] | None = None,
    *,
    loads: Mapping[str, Any] | None = None,
    kinds: Sequence[tuple[str, str, int, int | None]] = (("search", "Ask", 40, 4_000),),
    moments: Sequence[tuple[int, int, int, int, int]] = ((0, 10, 4, 8, 8),),
    totals: Mapping[str, int] | None = None,
) -> Results:
    """Results with these tables."""
    load = loads or {"received": [1] * 10, "received_bytes": [9] * 10, "sent": [1] * 10}
    told = totals or {"simulated_us": 3_600 * SECOND_US}
    columns = list(zip(*kinds, strict=True)) or [()] * 4
    courses = list(zip(*moments, strict=True)) or [()] * 5
    return Results(
        queries=results.table("queries", rows or queries()),
        loads=results.table("loads", {"node": range(len(load["received"])), **load}),
        messages=results.table("messages", dict(zip(results.MESSAGES.names, columns, strict=True))),
        availability=results.table(
            "availability", dict(zip(results.AVAILABILITY.names, courses, strict=True))
        ),
        totals=results.table("totals", {"what": list(told), "value": list(told.values())}),
    )


def run(made: Results, of: Scenario | None = None, **manifest: Any) -> Run:
    """A run that has these results."""
    of = of or scenario()
    told = {
        "name": of.name,
        "digest": of.digest,
        "seed": of.seed,
        "code": {"version": "0.1.0", "git": "c0ffee"},
        "queries": len(made.queries),
        "interrupted": False,
        "started": "2026-01-02T03:04:05+00:00",
        "took_s": 1.5,
        "machine": {"system": "Imaginary", "cores": 2, "python": "3.11", "packages": {}},
        "scenario": of.text,
    }
    return Run(of, made, {**told, **manifest})


def gathered(*made: Results, **manifest: Any) -> Gathered:
    """One group, whose runs have these results and the seeds 1, 2 and on."""
    runs: Runs = [(run(each, scenario(seed), **manifest), {}) for seed, each in enumerate(made, 1)]
    return Gathered.of(runs)


def group(*made: Results) -> Group:
    """The same without its folder."""
    (only,) = gathered(*made).groups
    return only


def waves(seed: int, count: int, level: float = 100.0) -> list[int]:
    """Numbers around a level, each for itself."""
    return [int(each) for each in np.random.default_rng(seed).normal(level, 10, count)]
