"""Folders of results, opened: runs that differ by their seed alone are one group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab.grids import Grid, Point, brief
from meshpacs_sim.lab.observations import Observations
from meshpacs_sim.lab.running import Run, load
from meshpacs_sim.lab.scenario import Scenario
from meshpacs_sim.lab.sweeping import FILE as SWEEP_FILE
from meshpacs_sim.lab.sweeping import Sweep
from meshpacs_sim.lab.words import described

GROUPS = 400
"""Groups of one report, at most. A guess: a table of more is read by no person."""


@dataclass(frozen=True, eq=False)
class Group:
    """One point of a sweep."""

    values: Mapping[str, Any]
    """What differs from the other groups, by dotted key."""
    name: str
    search: str
    """The way to search, in short."""
    place: str
    """Everything else that differs, in short; empty where nothing does."""
    runs: tuple[Observations, ...]
    """In the order of their seeds."""

    def name_without(self, key: str) -> str:
        """What tells it from others, but for one key."""
        rest = [each for each in self.values if each != key]
        elsewhere = in_short(self.values, [each for each in rest if not _is_search(each)])
        of_search = any(map(_is_search, rest)) or not elsewhere
        return ", ".join(filter(None, (self.search if of_search else "", elsewhere)))

    @property
    def scenario(self) -> Scenario:
        """Of its first run."""
        return self.runs[0].scenario


@dataclass(frozen=True, eq=False)
class Gathered:
    """Everything that lies in one folder of results."""

    name: str
    about: str
    text: str
    """The scenario, as a file."""
    words: str
    """The same, in sentences."""
    groups: tuple[Group, ...]
    manifests: tuple[Mapping[str, Any], ...]
    """One for each run, in order."""
    missing: int
    """Runs of the sweep that have not been done."""

    @classmethod
    def load(cls, folder: Path | str) -> "Gathered":
        """Open a folder that `run` or `sweep` has written.

        Raises:
            LocalFault: it holds neither, nothing has been done yet, or there is too much.
            Damaged: a table cannot be read.
        """
        folder = Path(folder)
        if not (folder / SWEEP_FILE).exists():
            return cls.of([(load(folder), {})])
        sweep = Sweep.load(folder)
        done = [(each.load(), each.values) for each in sweep.done()]
        if not done:
            raise LocalFault(
                f"{folder} holds no run that has ended.", "Run `meshpacs-sim sweep` on it again."
            )
        return cls.of(done, sweep.name, len(sweep.runs) - len(done))

    @classmethod
    def of(
        cls, runs: Sequence[tuple[Run, Mapping[str, Any]]], name: str = "", missing: int = 0
    ) -> "Gathered":
        """The same of runs that are at hand, each with what a sweep varied.

        Raises:
            LocalFault: there are more groups than a person can read.
        """
        first = runs[0][0].scenario
        together: dict[str, list[tuple[Run, Mapping[str, Any]]]] = {}
        for run, values in runs:
            together.setdefault(repr(sorted(values.items())), []).append((run, values))
        if len(together) > GROUPS:
            raise LocalFault(
                f"{len(together)} points are too many for one report.", f"Sweep over {GROUPS}."
            )
        varied = _varied([values for _, values in runs])
        names = _search_names([each[0][0].scenario for each in together.values()])
        points = tuple(Point(values, run.scenario) for run, values in runs)
        return cls(
            name or first.name,
            first.about,
            first.text,
            described(Grid(first, points)),
            tuple(
                _group(each, name, varied)
                for each, name in zip(together.values(), names, strict=True)
            ),
            tuple(run.manifest for run, _ in runs),
            missing,
        )


def _group(runs: list[tuple[Run, Mapping[str, Any]]], search: str, varied: list[str]) -> Group:
    _, values = runs[0]
    elsewhere = [key for key in varied if not _is_search(key)]
    place = in_short(values, elsewhere)
    of_search = len(elsewhere) < len(varied) or not place
    name = ", ".join(filter(None, (search if of_search else "", place)))
    opened = sorted(runs, key=lambda each: each[0].scenario.seed)
    observed = tuple(Observations(each.scenario, each.results) for each, _ in opened)
    return Group({key: values.get(key) for key in varied}, name, search, place, observed)


def _search_names(scenarios: list[Scenario]) -> list[str]:
    """Each way to search by its word, and by as few of its parameters as tell all of them apart."""
    tables = [dict(each.tree["search"]) for each in scenarios]
    words = [str(table.pop("strategy", "")) for table in tables]
    names = [word.replace("_", " ") for word in words]
    for word in dict.fromkeys(words):
        like = [at for at, its in enumerate(words) if its == word]
        distinct = len({repr(tables[at]) for at in like})
        for key in tables[like[0]]:
            if len({names[at] for at in like}) == distinct:
                break
            if len({repr(tables[at].get(key)) for at in like}) > 1:
                for at in like:
                    names[at] += f", {key.replace('_', ' ')} {brief(tables[at].get(key))}"
    return names


def _is_search(key: str) -> bool:
    return key.split(".", maxsplit=1)[0] == "search"


def _varied(all_values: list[Mapping[str, Any]]) -> list[str]:
    """Keys whose value is not the same everywhere."""
    keys = dict.fromkeys(key for values in all_values for key in values)
    return [key for key in keys if len({repr(values.get(key)) for values in all_values}) > 1]


def in_short(values: Mapping[str, Any], keys: list[str]) -> str:
    """Values in a few words: of a dotted key its last."""
    words = (f"{key.rsplit('.', 1)[-1]} {brief(values.get(key))}" for key in keys)
    return ", ".join(word.replace("_", " ") for word in words)
