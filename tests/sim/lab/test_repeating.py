"""A sweep takes seeds until it is known well enough, and no more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from meshpacs_sim.cli import main
from meshpacs_sim.lab import repeating
from meshpacs_sim.lab.grids import Grid, Table
from meshpacs_sim.lab.repeating import sweep_until
from meshpacs_sim.lab.scenario import Scenario
from meshpacs_sim.lab.sweeping import Sweep
from meshpacs_sim.lab.sweeping import sweep as real_sweep
from meshpacs_sim.statistics.stopping import Precision, Verdict

SCENARIO = """
fidelity = "kernel"
[mesh]
size = 12
[content]
contents = 6
[measure]
queries = 20
[sweep.grid]
search = [{ strategy = "ball", ttl = 1 }, { strategy = "everyone" }]
"""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With how many seeds the sweep was called, one after another."""
    seen: list[int] = []

    def counted(*given: Any, seeds: int, **rest: Any) -> Sweep:
        seen.append(seeds)
        return real_sweep(*given, seeds=seeds, **rest)

    monkeypatch.setattr(repeating, "sweep", counted)
    return seen


def grid(points: Sequence[Mapping[str, Any]] = ()) -> Grid:
    base = Scenario.of(
        {
            "fidelity": "kernel",
            "search": {"strategy": "everyone"},
            "mesh": {"size": 10},
            "content": {"contents": 4},
            "measure": {"queries": 8},
        }
    )
    return Grid.of(base, Table(seeds=2, points=tuple(map(dict, points))))


def test_what_never_varies_needs_the_least_number_of_seeds(
    tmp_path: Path, looks: list[int]
) -> None:
    settled = sweep_until(grid(), "reached", Precision(least=5), out=tmp_path, jobs=1)
    assert (settled.verdict, settled.seeds, looks) == (Verdict.PRECISE, 5, [5])
    (estimate,) = settled.estimates.values()
    assert estimate is not None
    assert (estimate.value, estimate.n) == (9, 5)  # everyone but the asker


def test_every_point_gets_as_many_seeds_as_the_one_that_needs_most(
    tmp_path: Path, looks: list[int]
) -> None:
    precision = Precision(relative=0.001, least=5, most=9)
    ball = {"search": {"strategy": "ball", "ttl": 1}, "mesh.topology": {"kind": "random"}}
    settled = sweep_until(grid([{}, ball]), "messages", precision, out=tmp_path, jobs=1)
    assert (settled.verdict, looks) == (Verdict.LIMIT, [5, 7, 9])
    assert len(Sweep.load(tmp_path).runs) == 18
    assert len(list((tmp_path / "runs").iterdir())) == 18


def test_the_command_says_how_many_seeds_it_took_and_why_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(SCENARIO, encoding="utf-8")
    words = ["sweep", "mine.toml", "--jobs", "1", "--out", "mine", "--most", "12"]
    assert main.run([*words, "--within", "0.5"]) == 0
    assert capsys.readouterr().out == (
        "mine: 10 seeds of each point, the interval is narrow enough\n"
    )
    assert main.run([*words, "--until", "0.0001", "--of", "messages"]) == 0
    told = capsys.readouterr()
    assert told.out == "mine: 12 seeds of each point, the limit was reached first\n"
    assert "20 of 20 runs were there" in told.err
