"""What is shipped for researchers: scenarios that load, examples that run and are short."""

import os
import subprocess
import sys
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
@pytest.mark.usefixtures("untraced")
def test_every_example_is_under_thirty_lines_and_runs(file: Path, tmp_path: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < 30
    ended = subprocess.run(
        [sys.executable, file],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SIM)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_something_is_shipped() -> None:
    assert len(SCENARIOS) >= 1
    assert len(EXAMPLES) >= 2
