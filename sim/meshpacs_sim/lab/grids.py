"""What a sweep varies: a grid, a list of points, and seeds; each run a scenario of its own."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

from msgspec import Meta

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import form
from meshpacs_sim.lab.form import Misfit
from meshpacs_sim.lab.scenario import Scenario, tree_of

RUNS = 100_000
"""Runs of one sweep, at most. A guess: each is a folder."""

Values = Mapping[str, Any]
"""Values by dotted keys of a scenario."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table `[sweep]` of a file."""

    seeds: Annotated[int, Meta(ge=1, le=RUNS)] | tuple[int, ...] = 1
    """So many seeds, from the scenario's own on; or a list of them."""
    grid: dict[str, Any] = field(default_factory=dict)
    """Each key a list of values: every combination is run."""
    points: tuple[dict[str, Any], ...] = ()
    """Tables of values that are run as they stand; with a grid, each point with all of the grid."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a sweep."""

    values: Values
    """What differs from the sweep's base, the seed apart."""
    scenario: Scenario


@dataclass(frozen=True)
class Grid:
    """A base and what is varied of it."""

    base: Scenario
    points: tuple[Point, ...]
    """In the order in which a person would count: seeds last."""

    @classmethod
    def load(cls, file: Path | str) -> Self:
        """Read a scenario file with its table `[sweep]`; without one it is a sweep of one run.

        Raises:
            LocalFault: as `Scenario.load`; or a value that is swept is impossible.
        """
        tree, text = tree_of(Path(file))
        swept = tree.pop("sweep", {})
        base = Scenario.of(tree, str(file), text)
        try:
            table = form.read(Table, swept, "sweep")
        except Misfit as misfit:
            raise form.explained(misfit, str(file), text) from misfit
        return cls.of(base, table, str(file))

    @classmethod
    def of(cls, base: Scenario, table: Table, file: str = "sweep") -> Self:
        """All runs of a sweep.

        Raises:
            LocalFault: a key is unknown, a value impossible, or two runs would be the same.
        """
        grid = flat(table.grid)
        for key, values in grid.items():
            if not isinstance(values, list | tuple) or not values:
                raise LocalFault(
                    f"{file}: sweep.grid.{key} is not a list of values.", f"Write {key} = […]."
                )
        points = [flat(each) for each in table.points] or [{}]
        whole = {path for path in (*grid, *itertools.chain(*points)) if path == "seed"}
        if whole:
            raise LocalFault(f"{file}: a grid cannot vary the seed.", "Use sweep.seeds.")
        seeds = (
            range(base.seed, base.seed + table.seeds)
            if isinstance(table.seeds, int)
            else table.seeds
        )
        combinations = [
            dict(zip(grid, each, strict=True)) for each in itertools.product(*grid.values())
        ]
        if len(points) * len(combinations) * len(seeds) > RUNS:
            raise LocalFault(f"{file}: more than {RUNS} runs.", "Sweep over less.")
        made: dict[str, Point] = {}
        for point, combination in itertools.product(points, combinations):
            values = {**point, **combination}
            for seed in seeds:
                scenario = base.vary({**values, "seed": seed}, f"{file}, at {told(values)}")
                if scenario.digest in made:
                    raise LocalFault(
                        f"{file}: two runs are the same: {told(values)}, seed {seed}.",
                        "Take the doubled value out of the sweep.",
                    )
                made[scenario.digest] = Point(values, scenario)
        return cls(base, tuple(made.values()))


def flat(tree: Mapping[str, Any], path: str = "", kind: type = Scenario) -> dict[str, Any]:
    """Tables in tables as dotted keys, down to values; a table that picks a class stays whole."""
    hints = get_type_hints(kind, include_extras=True)
    found: dict[str, Any] = {}
    for key, value in tree.items():
        here, _, below = key.partition(".")
        hint = hints.get(here)
        if below:
            value, key = {below: value}, here  # noqa: PLW2901 - "a.b" = 1 is a = {b = 1}
        name = f"{path}.{key}" if path else key
        choice = form.one_of(hint)
        if isinstance(value, dict) and isinstance(hint, type):
            found |= flat(value, name, hint)
        elif isinstance(value, dict) and choice is not None and choice.key not in value:
            found |= {f"{name}.{each}": inside for each, inside in value.items()}
        else:
            found[name] = value
    return found


def told(values: Values) -> str:
    """Values in a line that a person can read."""
    return ", ".join(f"{key} {brief(value)}" for key, value in values.items()) or "the base"


def brief(value: Any) -> str:
    """One value; of a table that picks a class, its word and what else it says."""
    if isinstance(value, dict):
        word, *rest = [f"{each}" for each in value.values()] or ["nothing"]
        keys = list(value)[1:]
        inner = ", ".join(f"{key} {each}" for key, each in zip(keys, rest, strict=True))
        return f"{word} ({inner})" if inner else word
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(brief, value)) + "]"
    return str(value)


def seeds_of(points: Sequence[Point]) -> tuple[int, ...]:
    """The seeds of a sweep, in order."""
    return tuple(dict.fromkeys(point.scenario.seed for point in points))
