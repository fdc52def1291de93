"""The whole answer: as a person gets it, the same for the same seed."""

from pathlib import Path

import pytest

from meshpacs_sim.cli import main
from meshpacs_sim.pictures import heat
from meshpacs_sim.planning import report, tables
from meshpacs_sim.planning.answer import Answer, answer
from meshpacs_sim.planning.cautions import cautions_of
from meshpacs_sim.planning.course import Had
from meshpacs_sim.planning.loads import copies_from, ways
from meshpacs_sim.planning.plan import Plan
from meshpacs_sim.statistics.intervals import proportion_of
from tests.sim.planning.invented import plan, site, unlike


def quiet(done: int, of: int) -> None:
    assert 0 < done <= of


def asked_twice() -> Plan:
    return unlike(7, copies=2, repeats=2)


@pytest.fixture(scope="module")
def made() -> Answer:
    steps: list[tuple[int, int]] = []
    told = answer(asked_twice(), lambda done, of: steps.append((done, of)))
    assert steps[-1][0] == steps[-1][1] == len(steps)
    return told


def test_what_would_help_is_one_copy_more_and_the_best_site_always_on(made: Answer) -> None:
    names = [variant.name for variant in made.variants]
    assert names[:2] == ["as planned", "3 copies"]
    assert names[2].endswith(" always on")
    assert names[3] == f"3 copies and {names[2]}"
    shares = [variant.share(Had.AT_ONCE) for variant in made.variants]
    planned = shares[0]
    assert planned is not None
    assert all(share is not None and share.value >= planned.value for share in shares)


def test_of_few_repetitions_an_interval_is_that_of_questions_in_their_order(made: Answer) -> None:
    counts = [course.share(Had.AT_ONCE) for course in made.planned.courses]
    told = made.planned.share(Had.AT_ONCE)
    alone = proportion_of(sum(hits for hits, _ in counts), sum(tries for _, tries in counts))
    assert told is not None
    assert told.value == alone.value
    assert told.half_width < 2 * alone.half_width


def test_engine_alone_and_opening_hours_give_the_same_answer(made: Answer) -> None:
    alike, of = made.compared
    assert alike == of > 50
    thorough = answer(asked_twice(), quiet, thorough=True)
    assert thorough.thorough
    for one, other in zip(made.variants, thorough.variants, strict=True):
        assert one.share(Had.AT_ONCE) == other.share(Had.AT_ONCE), one.name


def test_the_same_seed_gives_the_same_bytes(made: Answer, tmp_path: Path) -> None:
    again = answer(asked_twice(), quiet)
    one, other = report.write(made, tmp_path / "one"), report.write(again, tmp_path / "other")
    assert [file.name for file in one] == [
        "plan.html",
        "plan.toml",
        "sites.csv",
        "hours.csv",
        "lines.csv",
        "transfers.csv",
    ]
    for mine, its in zip(one, other, strict=True):
        assert mine.read_bytes() == its.read_bytes(), mine.name
    assert Plan.load(tmp_path / "one" / "plan.toml") == made.plan


def test_tables_for_people_and_for_machines_tell_the_same(made: Answer, tmp_path: Path) -> None:
    report.write(made, tmp_path)
    lines = (tmp_path / "lines.csv").read_text(encoding="utf-8").splitlines()[1:]
    variants, sites = len(made.variants), len(made.plan.site)
    assert len(lines) == variants * sites * 2 * 168
    images = {"up": 0, "down": 0}
    for line in lines:
        words = line.split(",")
        if words[0] == "as planned":
            images[words[2]] += int(words[7]) + int(words[8])
    moved = sum(
        each.size_bytes - each.left
        for course in made.planned.courses
        for each in course.lines.transfers
    )
    # Each hour is a mean of two, rounded.
    assert all(abs(2 * total - moved) <= 2 * 2 * sites * 168 for total in images.values())
    hours = (tmp_path / "hours.csv").read_text(encoding="utf-8").splitlines()[1:]
    looked_up = sum(int(line.split(",")[5]) for line in hours)
    assert looked_up == sum(course.share(Had.AT_ONCE)[1] for course in made.planned.courses)


def test_a_line_that_is_too_narrow_is_named_and_its_copies_fall_behind() -> None:
    told = answer(
        plan(
            site("Nord", studies_a_day=200) | {"up_mbit": 4},
            site("Süd", "Mon-Fri 08:00-18:00", questions_a_day=20),
            site("West", "Sat 08:00-18:00", questions_a_day=20),
            copies=3,
            days=3,
        ),
        quiet,
    )
    cautions = " ".join(cautions_of(told))
    assert "Nord's upload of 4 Mbit/s is more than 80.0 % full in" in cautions
    assert "Copies from Nord fall behind" in cautions
    assert "goes between them: Süd and West." in cautions
    assert "looked up in all repetitions" in cautions
    up = next(way for way in ways(told, told.planned) if way.up and way.site == 0)
    assert up.share(up.fullest) > 0.95
    assert copies_from(told.planned, 0).behind > 0
    assert told.variants[1].name in {"West always on", "Süd always on"}
    assert len(told.variants) == 2


def test_where_nobody_looks_for_anything_from_elsewhere_that_is_said() -> None:
    told = answer(
        plan(site("A", studies_a_day=5, questions_a_day=5), site("B"), elsewhere_percent=0), quiet
    )
    assert tables.in_short(told) == ["Nobody looked up a prior that was made at another site."]
    assert report.html_of(told)


def test_a_person_begins_with_an_example_and_is_told_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "mine.toml", tmp_path / "out"
    assert main.run(["plan", str(file), "--new"]) == 0
    assert f"meshpacs-sim plan {file}" in capsys.readouterr().out
    assert main.run(["plan", str(file), "--new"]) == main.BROKEN
    text = file.read_text(encoding="utf-8")
    text = text.replace("days = 7", "days = 1").replace("repeats = 5", "repeats = 1")
    file.write_text(text, encoding="utf-8")
    assert main.run(["plan", str(file), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    for name in ("Hospital", "Radiology North", "Night practice", "With 2 copies", "Look out"):
        assert name in told
    page = (out / "plan.html").read_text(encoding="utf-8")
    assert "What would help" in page
    assert "<script" not in page
    file.write_text(text.replace("up_mbit", "upload", 1), encoding="utf-8")
    assert main.run(["plan", str(file)]) == main.BROKEN
    assert "mine.toml, line " in capsys.readouterr().err


def test_a_picture_of_a_week_has_weeks_and_tells_its_worst_hour() -> None:
    values = [1.0] * 168
    values[30] = 0.25
    drawn = heat.week("w", "A week", [("A", values), ("B", [None] * 168)], "share", bad_is_low=True)
    assert "A: 25.0 % to 100 %, worst on Tue 06:00. B: nothing." in drawn.told
    with pytest.raises(ValueError, match="168 hours"):
        heat.week("w", "A week", [("A", [1.0])], "share", bad_is_low=True)
