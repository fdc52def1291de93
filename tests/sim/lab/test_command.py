"""`meshpacs-sim` as a person meets it."""

import importlib.util
from pathlib import Path

import pytest

from meshpacs_sim.cli import main
from meshpacs_sim.cli.progress import Meter

SCENARIO = """
name = "Four"
[mesh]
size = 4
[mesh.topology]
kind = "complete"
[content]
contents = 3
[measure]
queries = 3
[sweep]
seeds = 2
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("four.toml").write_text(SCENARIO, encoding="utf-8")
    return "four.toml"


def test_run_keeps_tables_and_a_manifest_and_does_not_repeat_itself(
    scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["run", scenario]) == 0
    told = capsys.readouterr().out
    assert "3 of 3 queries found a copy (100.0%)" in told
    assert "results/four: availability.parquet" in told
    assert main.run(["run", scenario]) == 0
    assert "has the results already" in capsys.readouterr().out
    assert main.run(["run", scenario, "--seed", "7"]) == main.BROKEN
    assert "another scenario" in capsys.readouterr().err


def test_a_changed_scenario_is_run_in_place_of_the_old_one_by_anew_but_no_other_folder(
    scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["run", scenario]) == 0
    Path(scenario).write_text(SCENARIO.replace("size = 4", "size = 5"), encoding="utf-8")
    assert main.run(["run", scenario]) == main.BROKEN
    assert "mesh.size was 4, is 5" in (told := capsys.readouterr().err)
    assert "`run --anew` replaces it" in told
    assert main.run(["run", scenario, "--anew"]) == 0
    assert "size = 5" in Path("results/four/scenario.toml").read_text(encoding="utf-8")
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear", encoding="utf-8")
    assert main.run(["run", scenario, "--anew", "--out", "mine"]) == main.BROKEN
    assert Path("mine/letter.txt").exists()


def test_sweep_runs_what_is_missing(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["sweep", scenario, "--jobs", "1", "--format", "csv"]) == 0
    assert "results/four-sweep: 2 runs" in capsys.readouterr().out
    assert len(list(Path("results/four-sweep/runs").glob("*/queries.csv"))) == 2


def test_an_interrupted_sweep_says_what_it_has_and_how_to_go_on(
    scenario: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(done: int, of: int, before: int = 0) -> None:
        if done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Meter, "__call__", lambda _, *how: once(*how))
    assert main.run(["sweep", scenario, "--jobs", "1"]) == main.INTERRUPTED
    assert "results/four-sweep has 1 runs, the same command goes on" in capsys.readouterr().err


def test_describe_tells_what_will_be_run(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["describe", scenario]) == 0
    told = capsys.readouterr().out
    assert "Mesh: 4 nodes" in told
    assert "Sweep: 2 runs" in told
    assert main.run(["describe", scenario, "--toml"]) == 0
    assert 'kind = "complete"' in capsys.readouterr().out


def test_keys_tells_one_table_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["keys", "content"]) == 0
    assert "copies = [1]" in capsys.readouterr().out
    assert main.run(["keys"]) == 0
    assert main.run(["keys", "nonsense"]) == main.BROKEN


def test_new_lists_what_there_is_and_writes_one_but_over_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["new"]) == 0
    assert "first-look\n    Sixty clinics" in capsys.readouterr().out
    assert main.run(["new", "mine.toml"]) == 0
    assert main.run(["describe", "mine.toml"]) == 0
    assert main.run(["new", "mine.toml"]) == main.BROKEN
    assert main.run(["new", "other.toml", "--from", "nonsense"]) == main.BROKEN
    assert "There are" in capsys.readouterr().err


def test_a_fault_is_told_in_two_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["run", "nowhere.toml"]) == main.BROKEN
    assert "nowhere.toml does not exist" in capsys.readouterr().err


def test_without_the_extra_one_sentence_says_what_installs_it(
    scenario: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "numba" else find(name)
    )
    assert main.run(["run", scenario]) == main.BROKEN
    assert 'pip install "meshpacs[sim]"' in capsys.readouterr().err
    assert main.run(["--help"]) == 0
