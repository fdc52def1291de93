"""The soak: what it takes for growth, what it takes for explained, and a small one of its own."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from campaigns.campaign import Outcome
from campaigns.gauge import GROWTH_MB, SHORT_S, Sample, judge
from campaigns.logbook import Explanation, Explanations, read
from campaigns.trend import slope

SCRIPT = Path(__file__).parents[2] / "scripts" / "campaign.py"
HOUR_S = 3600


def noisy(an_hour: float, seed: int) -> list[tuple[float, float]]:
    """An hour of values around a line, every 5 s; what is measured hangs on what came before."""
    draw = random.Random(seed)
    found, wave = [], 0.0
    for at in range(0, HOUR_S, 5):
        wave = 0.9 * wave + draw.gauss(0, 0.5)
        found.append((float(at), 50 + an_hour * at / HOUR_S + wave))
    return found


def test_a_line_without_noise_has_its_own_slope() -> None:
    line = slope([(float(at), 7 + at / 360) for at in range(400)])
    assert line is not None
    assert line.an_hour == pytest.approx(10)
    assert line.highest - line.lowest == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("an_hour", [0.0, 6.0, -3.0])
def test_the_interval_holds_the_true_slope_about_as_often_as_it_says(an_hour: float) -> None:
    held = 0
    for seed in range(200):
        line = slope(noisy(an_hour, seed))
        assert line is not None
        held += line.lowest <= an_hour <= line.highest
    assert held >= 180


def test_too_few_looks_have_no_slope() -> None:
    assert slope([(float(at), 1.0) for at in range(39)]) is None


def life(*, grows_mb: float = 0.0, grows_files: float = 0.0, pid: int = 1) -> list[Sample]:
    """An hour of one process."""
    return [
        Sample(at, 60, 50 + grows_mb * at / HOUR_S, round(20 + grows_files * at / HOUR_S), 9, pid)
        for at in range(0, HOUR_S, 5)
    ]


def judged(samples: list[Sample], *, lasted_s: float = HOUR_S, through: bool = True) -> Outcome:
    outcome = Outcome()
    judge(outcome, "Alster", samples, lasted_s, through=through)
    return outcome


def test_a_node_that_stays_as_it_is_is_flat_and_all_four_slopes_are_told() -> None:
    outcome = judged(life())
    assert not outcome.wrong
    assert len(outcome.notes) == 4
    assert "+0.00 MB an hour (95 %: +0.00 to +0.00)" in outcome.notes[0]


@pytest.mark.parametrize("grows", [{"grows_mb": GROWTH_MB + 1}, {"grows_files": 12}], ids=str)
def test_growth_that_is_shown_is_named_with_its_figure(grows: dict[str, Any]) -> None:
    (wrong,) = judged(life(**grows)).wrong
    assert wrong.startswith("Alster, ")
    assert " grows: +" in wrong


def test_what_grows_only_while_a_node_warms_up_is_no_growth() -> None:
    early = [Sample(at, 60, 50 + min(at, HOUR_S / 4), 20, 9, 1) for at in range(0, HOUR_S, 5)]
    assert not judged(early).wrong


def test_a_restarted_node_is_told_of_and_its_first_moments_are_left_out() -> None:
    lives = [sample for sample in life(pid=1) if sample.at_s < HOUR_S / 2]
    lives += [
        Sample(s.at_s, 60, 9 if s.at_s < HOUR_S / 2 + 30 else 50, 20, 9, 2)
        for s in life()
        if s.at_s >= HOUR_S / 2
    ]
    outcome = judged(lives, through=False)
    assert "memory of its own: 50.0 to 50.0 MB" in outcome.notes[0]


def test_a_node_that_was_hardly_looked_at_is_not_taken_for_flat() -> None:
    assert judged([]).wrong == ["Alster was never seen for so long that it was warm."]
    assert len(judged(life()[::36]).wrong) == 4
    assert not judged([], through=False).wrong


def test_a_short_soak_tells_slopes_and_judges_none() -> None:
    short = [sample for sample in life(grows_mb=1000) if sample.at_s < SHORT_S / 2]
    outcome = judged(short, lasted_s=SHORT_S / 2)
    assert not outcome.wrong
    assert "MB an hour" in outcome.notes[0]


def test_what_is_logged_above_info_needs_an_explanation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [
        json.dumps({"event": "ready", "level": "info"}),
        json.dumps({"event": "archive_repaired", "level": "warning", "what": "1 removed"}),
        json.dumps({"event": "archive_repaired", "level": "warning", "what": "1 lost"}),
        json.dumps({"event": "search_failed", "level": "warning"}),
        "Traceback (most recent call last):",
        "7",
    ]
    log.write_text("\n".join(lines), encoding="utf-8")
    explanations = Explanations(Explanation("archive_repaired", "a kill", "removed"))
    left = explanations.unexplained(read(log))
    assert explanations.counts == {"logged: a kill": 1}
    assert len(left) == 4
    assert "lost" in left[0]
    assert "search_failed" in left[1]
    assert "Traceback" in left[2]


@pytest.mark.live
@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="figures are read from /proc")
def test_a_short_soak_ends_with_everything_found_again_and_nothing_unexplained() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "soak", "--minutes", "0.1", "--stock", "2"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "soak, seed 1: all held" in done.stdout
    assert "Clinic 4 (restarted)" in done.stdout
