"""clinics.toml: read whole, or refused with file, line, key and reason."""

from pathlib import Path

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import form, shipped, toml
from meshpacs_sim.planning.plan import Plan

GOOD = """
copies = 2

[[site]]
name = "A"
open = "always on"
down_mbit = 50
up_mbit = 10
studies_a_day = 10

[[site]]
name = "B"
open = "Mon-Fri 08:00-18:00"
down_mbit = 50
up_mbit = 10
questions_a_day = 10
"""


def refused(tmp_path: Path, text: str) -> str:
    file = tmp_path / "clinics.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LocalFault) as told:
        Plan.load(file)
    return f"{told.value.what} {told.value.mend}".replace(str(file), "FILE")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("up_mbit = 10\nquestions", "uplod_mbit = 1\nup_mbit = 10\nquestions", "FILE, line 15: "),
        ("up_mbit = 10\nquestions", "up_mbi = 10\nquestions", "Did you mean up_mbit?"),
        ("copies = 2", "copies = 3", "FILE, line 2: copies is 3 for 2 sites"),
        ("copies = 2", 'copies = "two"', "FILE, line 2: copies is wrong: expected a whole number"),
        ('"Mon-Fri 08:00-18:00"', '"9 to 5"', "FILE, line 13: site[1].open cannot be: '9 to 5'"),
        ("questions_a_day = 10", 'time_zone = "Mars"', "FILE, line 16: site[1].time_zone"),
        ("questions_a_day = 10", 'partner = "C"', "'C' is no other site. There are A."),
        ("questions_a_day = 10", 'partner = "B"', "'B' is no other site. There are A."),
        ('name = "B"', 'name = "A"', "FILE, line 12: site[1].name 'A' is there twice"),
        ("studies_a_day = 10", "studies_a_day = { CTT = 1 }", "site[0].studies_a_day.CTT is no mo"),
        ("studies_a_day = 10", "studies_a_day = { CT = -1 }", "FILE, line 9: "),
        ("studies_a_day = 10", "studies_a_day = 0", "makes no studies"),
        ("questions_a_day = 10", "questions_a_day = 0", "asks nothing"),
        ("up_mbit = 10\nstudies", "up_mbit = 0\nstudies", "FILE, line 8: site[0].up_mbit"),
        ("[[site]]", "[site", "is not TOML"),
        (
            "down_mbit = 50\nup_mbit = 10\nquestions",
            "up_mbit = 1\nquestions",
            "down_mbit is missing",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_file_line_key_and_reason(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    assert before in GOOD
    assert told in refused(tmp_path, GOOD.replace(before, after, 1))


def test_one_site_is_no_mesh_and_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "has 1, not 2 to 40" in refused(tmp_path, GOOD[: GOOD.rindex("[[site]]")])
    with pytest.raises(LocalFault, match="cannot be read"):
        Plan.load(tmp_path / "nowhere.toml")


def test_a_plan_written_out_with_its_defaults_is_the_same_plan(tmp_path: Path) -> None:
    plan = Plan.load(shipped.plan_place())
    file = tmp_path / "again.toml"
    file.write_text(toml.text(form.dump(plan)), encoding="utf-8")
    assert Plan.load(file) == plan
