"""What is shipped for researchers: scenarios that load, examples that run and are short."""

import runpy
from pathlib import Path

import pytest

from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.words import described

SIM = Path(__file__).parents[3] / "sim"
SCENARIOS = sorted((SIM / "scenarios").glob("*.toml"))
EXAMPLES = sorted((SIM / "examples").glob("*.py"))


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_every_shipped_scenario_loads_with_its_sweep_and_says_what_it_is_for(file: Path) -> None:
    swept = Grid.load(file)
    assert swept.base.about
    assert swept.base.about.split()[0] in described(swept)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_under_thirty_lines_and_runs(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < 30
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(file), run_name="__main__")
    assert capsys.readouterr().out


def test_something_is_shipped() -> None:
    assert len(SCENARIOS) >= 1
    assert len(EXAMPLES) >= 2
