"""One run: a scenario goes in, results come out, and lie in a folder if one is named."""

import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import manifest, results
from meshpacs_sim.lab.engine_run import EngineRun
from meshpacs_sim.lab.kernel_run import KernelRun
from meshpacs_sim.lab.recording import Progress, Recording
from meshpacs_sim.lab.results import Format, Results
from meshpacs_sim.lab.scenario import Scenario, differences
from meshpacs_sim.lab.stage import Stage

SCENARIO_FILE = "scenario.toml"


@dataclass(frozen=True, eq=False)
class Run:
    """A run that is over, or was interrupted."""

    scenario: Scenario
    results: Results
    manifest: dict[str, Any]

    def files(self, form: Format = "parquet") -> dict[str, bytes]:
        """Everything that is kept of it, by file name; the manifest last."""
        return {
            **self.results.files(form),
            SCENARIO_FILE: self.scenario.text.encode(),
            manifest.FILE: manifest.written(self.manifest),
        }


def nobody(done: int, of: int) -> None:
    """Tell nobody how far it is."""


def run(scenario: Scenario, *, progress: Progress = nobody) -> Run:
    """Run one scenario in this process.

    An interrupt (Ctrl-C) ends it early with the queries that were answered, and its manifest says
    so.

    Raises:
        LocalFault: the scenario cannot be run.
    """
    scenario = Scenario.of(scenario.tree)  # what was made in Python is checked as a file is
    started, clock = datetime.now(UTC), time.monotonic()
    stage, interrupted = Stage(scenario), False
    recording = Recording(stage.copies)
    lab = (EngineRun if scenario.fidelity == "engine" else KernelRun)(stage, recording)
    try:
        lab.run(progress)
    except KeyboardInterrupt:
        interrupted = True
    lab.close()
    span = manifest.Span(started, time.monotonic() - clock)
    told = manifest.manifest(scenario, span, interrupted=interrupted, queries=len(recording.rows))
    return Run(scenario, recording.results(), told)


def summary(made: Run) -> list[str]:
    """What came of a run, in a few lines; `report` says it with intervals."""
    table = made.results.queries
    asked, ended = len(table), Counter(table["ended"].to_pylist())
    if not asked:
        return ["no query was asked"]
    found = sum(table["discovered"].to_pylist())
    delays = sorted(each for each in table["latency_us"].to_pylist() if each >= 0)
    sums = [sum(table[name].to_pylist()) for name in ("messages", "bytes", "reached")]
    messages, kilobytes, heard = (each / asked for each in sums)
    lines = [
        f"{found} of {asked} queries found a copy ({found / asked:.1%})",
        f"on average {messages:,.0f} messages, {kilobytes / 1000:,.0f} kB, {heard:,.0f} nodes told",
    ]
    if delays:
        lines.append(
            f"half of those that found one knew after {delays[len(delays) // 2] / 1e6:.3f} s"
        )
    other = [f"{count} {name}" for name, count in sorted(ended.items()) if name != "answered"]
    if other:
        lines.append(f"queries that came to nothing: {', '.join(other)}")
    return lines


# ---------------------------------------------------------------- folders


def keep(files: dict[str, bytes], folder: Path) -> None:
    """Put a run's files into their folder, all of them or none.

    Raises:
        LocalFault: the disk does not take them.
    """
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in files.items():
            with (part / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except OSError as error:
        raise LocalFault(f"{folder} cannot be written: {error}.", "Name another --out.") from error


def is_kept(scenario: Scenario, folder: Path, *, anew: bool = False) -> bool:
    """Whether the results of this very scenario, by this very program, lie there whole.

    With `anew` no results are good enough, and those of another scenario may be replaced.

    Raises:
        LocalFault: there is something else.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    told = manifest.read(folder)
    if told is None:
        raise LocalFault(
            f"{folder} has files, but no manifest of results.", "Name another folder by --out."
        )
    if anew:
        return False
    if told.get("digest") != scenario.digest:
        how = differences(str(told.get("scenario")), scenario) or "a file that it names has changed"
        raise LocalFault(
            f"{folder} holds the results of another scenario, {told.get('name')!r}: {how}.",
            "Name another folder by --out, or remove that one; `run --anew` replaces it.",
        )
    return not told.get("interrupted") and told.get("code") == manifest.code()


def load(folder: Path | str) -> Run:
    """A run as it lies in a folder.

    Raises:
        LocalFault: there is none.
        Damaged: a table cannot be read.
    """
    folder = Path(folder)
    told = manifest.read(folder)
    if told is None:
        raise LocalFault(f"{folder} holds no results.", "Name a folder that a run has written.")
    scenario = Scenario.load(folder / SCENARIO_FILE)
    return Run(scenario, results.read(folder), told)
