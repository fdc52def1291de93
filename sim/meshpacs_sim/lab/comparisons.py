"""Ways to search compared on the same chance: by how much each differs from the first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meshpacs_sim.lab.groups import Group
from meshpacs_sim.lab.observations import Observations
from meshpacs_sim.statistics.batches import run_mean
from meshpacs_sim.statistics.differences import difference_of
from meshpacs_sim.statistics.intervals import Estimate, Floats
from meshpacs_sim.statistics.replications import REPLICATIONS

COLUMNS = ("retrievable", "discovered", "messages", "bytes")
"""What is compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group against another."""

    group: Group
    other: Group
    differences: dict[str, Estimate | None]
    """By column: this one minus the other; None where nothing could be paired."""


def comparisons_of(groups: Sequence[Group]) -> list[Comparison]:
    """Each group against the first that is like it in everything but the way to search."""
    firsts: dict[str, Group] = {}
    made = []
    for group in groups:
        first = firsts.setdefault(group.place, group)
        if first is not group:
            differences = {column: _difference(group, first, column) for column in COLUMNS}
            made.append(Comparison(group, first, differences))
    return made


def _difference(one: Group, other: Group, column: str) -> Estimate | None:
    """Pairs of runs with the same seed if there are enough; else pairs of queries of such runs."""
    sure = one.scenario.measure.confidence
    seeds = {run.scenario.seed: run for run in other.runs}
    pairs = [(run, seeds[run.scenario.seed]) for run in one.runs if run.scenario.seed in seeds]
    queries = [_paired(run, its, column) for run, its in pairs]
    queries = [each for each in queries if len(each[0])]
    if len(queries) >= REPLICATIONS:
        means = [[float(each.mean()) for each in side] for side in zip(*queries, strict=True)]
        return difference_of(means[0], means[1], sure).difference
    if not queries:
        return None
    return run_mean(np.concatenate([mine - its for mine, its in queries]), sure).estimate


def _paired(one: Observations, other: Observations, column: str) -> tuple[Floats, Floats]:
    """The same queries of both: by their number, since both draw the same wishes."""
    _, mine, its = np.intersect1d(
        _numbers(one), _numbers(other), assume_unique=True, return_indices=True
    )
    first, second = one.all_of(column)[one.counted][mine], other.all_of(column)[other.counted][its]
    told = ~(np.isnan(first) | np.isnan(second))
    return first[told], second[told]


def _numbers(run: Observations) -> Floats:
    return run.all_of("query")[run.counted]
