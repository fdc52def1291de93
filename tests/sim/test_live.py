"""Real processes cost what World says: a small `scripts/live`; the script alone runs the large."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from meshpacs_sim.topologies import ring

SCRIPT = Path(__file__).parents[2] / "scripts" / "live.py"


@pytest.mark.live
@pytest.mark.timeout(180)
def test_a_live_mesh_on_a_frozen_graph_costs_what_the_simulated_one_costs() -> None:
    small = ("--nodes", "6", "--degree", "3", "--queries", "5", "--origins", "1")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *small],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # 9 links, 6 nodes: 2 * 9 - 5.
    assert "5 queries to everyone: 13 Asks and 13 Closed each" in done.stdout
    assert "live equals simulated" in done.stdout


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("live_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "live_script", module)
    spec.loader.exec_module(module)
    return module


def outcomes(script: ModuleType) -> list[Any]:
    """What node 0 of a ring of four must see: everyone, then a ball of one hop."""
    none = {"Recall": 0, "Cancel": 0}
    weight = dict.fromkeys(("Ask", "Got", "Part", "Closed"), 1000)
    whole = {"Ask": 5, "Got": 5, "Closed": 5, "Part": 4} | none
    near = {"Ask": 2, "Got": 2, "Closed": 2, "Part": 2} | none
    return [
        script.Outcome(whole, weight, (0, 1, 2, 3), 4, 1.0),
        script.Outcome(near, weight, (0, 1, 3), 2, 1.0),
    ]


def test_the_verdict_on_a_mesh_that_costs_what_it_should_is_good(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = [script.Question(0, 0), script.Question(0, 1)]
    script.compare(ring(4), questions, outcomes(script), outcomes(script))
    assert "5 Asks and 5 Closed each" in capsys.readouterr().out


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("side", ["live", "world"])
@pytest.mark.parametrize(
    "planted",
    [
        {"counts": {"Ask": 1, "Got": 1, "Closed": 1}},
        {"counts": {"Closed": 4}},
        {"counts": {"Got": 4}},
        {"counts": {"Part": 3}},
        {"counts": {"Recall": 1}},
        {"counts": {"Cancel": 1}},
        {"answered": (0, 1)},
        {"hops": 5},
    ],
    ids=str,
)
def test_whatever_is_not_as_it_should_be_is_a_bad_verdict(
    script: ModuleType, which: int, side: str, planted: dict[str, Any]
) -> None:
    questions = [script.Question(0, 0), script.Question(0, 1)]
    wrong = outcomes(script)
    counts = wrong[which].counts | planted.get("counts", {})
    wrong[which] = replace(wrong[which], **(planted | {"counts": counts}))
    sides = (wrong, outcomes(script)) if side == "live" else (outcomes(script), wrong)
    with pytest.raises(script.NotEqual):
        script.compare(ring(4), questions, *sides)


@pytest.mark.parametrize("name", ["Ask", "Got", "Closed", "Part"])
def test_bytes_further_than_five_per_cent_from_the_worlds_are_a_bad_verdict(
    script: ModuleType, name: str
) -> None:
    wrong = outcomes(script)
    wrong[0] = replace(wrong[0], bytes=wrong[0].bytes | {name: 1051})
    questions = [script.Question(0, 0), script.Question(0, 1)]
    with pytest.raises(script.NotEqual, match=name):
        script.compare(ring(4), questions, wrong, outcomes(script))
