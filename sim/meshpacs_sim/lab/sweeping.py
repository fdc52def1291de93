"""Sweeps: many runs into one folder, of which those that are there already are kept."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import manifest
from meshpacs_sim.lab.farms import Cluster, Farm, Local, cores
from meshpacs_sim.lab.grids import Grid, Point, Table, told
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.running import Run, is_kept, keep, load
from meshpacs_sim.lab.scenario import Scenario, differences

FILE = "sweep.json"
RUNS = "runs"

Progress = Callable[[int, int, int], None]
"""Told how many runs are done, of how many, and how many of them were there before."""


@dataclass(frozen=True)
class Kept:
    """One run of a sweep, as its folder has it."""

    values: Mapping[str, Any]
    seed: int
    folder: Path

    def load(self) -> Run:
        """Its scenario, results and manifest.

        Raises:
            LocalFault: it has not been run.
            Damaged: it cannot be read.
        """
        return load(self.folder)


@dataclass(frozen=True)
class Sweep:
    """A folder of runs."""

    folder: Path
    name: str
    runs: tuple[Kept, ...]

    @classmethod
    def load(cls, folder: Path | str) -> "Sweep":
        """A sweep as it lies in a folder, whether it has ended or not.

        Raises:
            LocalFault: there is none.
        """
        folder = Path(folder)
        listed = _listed(folder)
        if listed is None:
            raise LocalFault(f"{folder} holds no sweep.", "Name a folder that a sweep has written.")
        runs = tuple(
            Kept(each["values"], each["seed"], folder / RUNS / each["folder"])
            for each in listed["runs"]
        )
        return cls(folder, listed["name"], runs)

    def done(self) -> Iterator[Kept]:
        """Those that have been run."""
        return (each for each in self.runs if (each.folder / manifest.FILE).exists())


def nobody(done: int, of: int, before: int) -> None:
    """Tell nobody how far it is."""


def sweep(
    scenario: Scenario | Path | str,
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    out: Path | str,
    points: Sequence[Mapping[str, Any]] = (),
    seeds: int | Sequence[int] = 1,
    jobs: int | None = None,
    dask: str = "",
    form: Format = "parquet",
    progress: Progress = nobody,
) -> Sweep:
    """Run every point of a sweep with every seed into the folder `out`; what is there is kept.

    Args:
        scenario: the base; or a file, whose own table `[sweep]` then says the rest.
        grid: for each dotted key a list of values; every combination is run.
        out: the folder; runs lie in it one by one as they end.
        points: tables of values, each run with all of the grid.
        seeds: so many from the scenario's own on, or a list.
        jobs: processes of this machine; by default one for each core.
        dask: the address of a cluster's scheduler, instead.
        form: of the tables.
        progress: who is told how far it is.

    Raises:
        LocalFault: a value is impossible, the folder holds another sweep, or a run failed; all
            others have been done then.
        KeyboardInterrupt: as it came; what has ended is kept, and a rerun goes on from there.
    """
    if isinstance(scenario, Scenario):
        given = tuple(seeds) if isinstance(seeds, Sequence) else seeds
        table = Table(given, dict(grid or {}), tuple(map(dict, points)))
        swept = Grid.of(scenario, table)
    else:
        swept = Grid.load(scenario)
    folder = Path(out)
    _claim(swept, folder)
    todo = [each for each in swept.points if not _is_there(each, folder)]
    before, total = len(swept.points) - len(todo), len(swept.points)
    progress(before, total, before)
    farm: Farm = Cluster(dask) if dask else Local(jobs or cores())
    faults = []
    if todo:
        ended = farm.done([each.scenario for each in todo], form)
        for count, (number, files) in enumerate(ended, 1):
            if isinstance(files, str):
                faults.append(f"{told(todo[number].values)}: {files}")
            else:
                keep(files, _place(todo[number], folder))
            progress(before + count, total, before)
    if faults:
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        raise LocalFault(f"A run failed at {faults[0]}{more}", "The other runs are kept.")
    return Sweep.load(folder)


def _claim(swept: Grid, folder: Path) -> None:
    """List the runs in the folder, if it is free or holds a sweep of the same base.

    Raises:
        LocalFault: it holds something else, or cannot be written.
    """
    base = replace(swept.base, seed=0)
    listed = _listed(folder)
    if listed is not None and listed["base"] != base.digest:
        raise LocalFault(
            f"{folder} holds the runs of another scenario, {listed['name']!r}: "
            f"{differences(listed['text'], base) or 'a file that it names has changed'}.",
            "Name another folder by --out, or remove that one; two scenarios are not mixed.",
        )
    if listed is None and folder.exists() and any(folder.iterdir()):
        raise LocalFault(f"{folder} has files, but no sweep.", "Name another folder by --out.")
    runs = [
        {"folder": _name(each), "seed": each.scenario.seed, "values": dict(each.values)}
        for each in swept.points
    ]
    tree = {"name": base.name, "base": base.digest, "text": base.text, "runs": runs}
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        part = folder / (FILE + ".part")
        part.write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(folder / FILE)
    except OSError as error:
        raise LocalFault(f"{folder} cannot be written: {error}.", "Name another --out.") from error


def _listed(folder: Path) -> dict[str, Any] | None:
    try:
        tree = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return tree if isinstance(tree, dict) else None


def _is_there(point: Point, folder: Path) -> bool:
    place = _place(point, folder)
    if manifest.read(place) is None:
        # What was killed in the middle of writing is done anew.
        shutil.rmtree(place, ignore_errors=True)
    return is_kept(point.scenario, place)


def _place(point: Point, folder: Path) -> Path:
    return folder / RUNS / _name(point)


def _name(point: Point) -> str:
    return point.scenario.digest[:16]
