"""Who is up when in a scenario is told, and written so that another scenario can name it."""

from pathlib import Path

import pytest

from meshpacs_sim.cli import main
from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.stage import Stage
from meshpacs_sim.world.churn.recorded import read_record
from meshpacs_sim.world.churn.schedule import Presence

OFFICE = """[mesh]
size = 12
[churn]
model = "office_hours"
ragged_minutes = 0
stay_on_percent = 0
left_on_percent = 0
"""


def test_a_week_of_clinics_is_told_in_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "office.toml"
    path.write_text(OFFICE)
    assert main.run(["churn", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "12 nodes over 168 hours",
        "  up            29.76% of the time",
        "  node by node  29.76% to 29.76%, median 29.76%",
        "  nodes up      0 to 12, 12 at the beginning",
        "  sessions      60, of 10 hours on average as far as seen",
    ]


def test_a_record_of_a_scenario_is_the_same_churn_in_another(tmp_path: Path) -> None:
    path, record = tmp_path / "sessions.toml", tmp_path / "record.csv"
    path.write_text('[mesh]\nsize = 12\n[churn]\nmodel = "sessions"\n')
    assert main.run(["churn", str(path), "--hours", "50", "--record", str(record)]) == 0
    stage = Stage(Grid.load(path).base)
    assert stage.churn is not None
    drawn, seen = (
        Presence(churn, stage.seed("world"), 12) for churn in (stage.churn, read_record(record))
    )
    for moment in range(0, 50 * 3_600_000_000, 1_800_000_000):
        assert drawn.at(moment) == seen.at(moment)
    path.write_text(f'[mesh]\nsize = 12\n[churn]\nmodel = "recorded"\nfile = "{record}"\n')
    assert main.run(["churn", str(path), "--hours", "50"]) == 0


def test_without_churn_there_is_nothing_to_tell_and_a_wrong_place_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[mesh]\nsize = 12\n")
    assert main.run(["churn", str(path)]) == 0
    assert "Nobody comes or goes" in capsys.readouterr().out
    path.write_text(OFFICE)
    assert main.run(["churn", str(path), "--record", str(tmp_path / "no" / "x.csv")]) == main.BROKEN
    assert "cannot be written" in capsys.readouterr().err
