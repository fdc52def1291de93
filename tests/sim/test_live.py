"""Real processes cost what World says: a small `scripts/live`; the script alone runs the large."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinics.equality import FLOOD, KINDS, NotEqual, Outcome, Question, compare
from clinics.ways import Way
from meshpacs_sim.graphs.topologies import ring

SCRIPT = Path(__file__).parents[2] / "scripts" / "live.py"
HANGS_S = 540
"""Seconds, only against a hang: 150 were too few where others wanted the processors, too."""


@pytest.mark.live
@pytest.mark.timeout(HANGS_S + 60)
def test_a_live_mesh_on_a_frozen_graph_costs_what_the_simulated_one_costs() -> None:
    small = ("--nodes", "6", "--degree", "3", "--queries", "5", "--origins", "1")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *small],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # 9 links, 6 nodes: 2 * 9 - 5.
    assert "5 queries to everyone: 13 Asks and 13 Closed each" in done.stdout
    assert "Each of these 21 queries, in messages and bytes of every type" in done.stdout
    assert "live equals simulated" in done.stdout


def outcomes() -> list[Outcome]:
    """What node 0 of a ring of four must see: everyone, then a ball of one hop."""
    none = {"Recall": 0, "Cancel": 0}
    weight = dict.fromkeys(("Ask", "Got", "Part", "Closed"), 1000) | none
    whole = {"Ask": 5, "Got": 5, "Closed": 5, "Part": 4} | none
    near = {"Ask": 2, "Got": 2, "Closed": 2, "Part": 2} | none
    return [
        Outcome(whole, weight, (0, 1, 2, 3), 4, 1.0),
        Outcome(near, weight, (0, 1, 3), 2, 1.0),
    ]


QUESTIONS = [Question(0, 0), Question(0, 1)]


def test_the_verdict_on_a_mesh_that_costs_what_it_should_is_good(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compare(ring(4), QUESTIONS, outcomes(), outcomes(), outcomes())
    assert "5 Asks and 5 Closed each" in capsys.readouterr().out


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("told", [True, False])
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
def test_whatever_breaks_an_identity_is_a_bad_verdict_though_live_and_told_be_equal(
    which: int, told: bool, planted: dict[str, Any]
) -> None:
    wrong = outcomes()
    counts = wrong[which].counts | planted.get("counts", {})
    wrong[which] = replace(wrong[which], **(planted | {"counts": counts}))
    good = outcomes()
    with pytest.raises(NotEqual, match="World" if not told else "live"):
        compare(ring(4), QUESTIONS, *((wrong, wrong, good) if told else (good, good, wrong)))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", FLOOD)
def test_a_byte_more_or_less_than_in_a_world_that_is_told_is_a_bad_verdict(
    which: int, name: str
) -> None:
    for off in (-1, 1):
        wrong = outcomes()
        weight = wrong[which].bytes
        wrong[which] = replace(wrong[which], bytes=weight | {name: weight[name] + off})
        with pytest.raises(NotEqual, match=f"{name}, "):
            compare(ring(4), QUESTIONS, wrong, outcomes(), outcomes())


def test_more_messages_of_a_ball_than_in_a_world_that_is_told_are_a_bad_verdict() -> None:
    wrong = outcomes()
    wrong[1] = replace(wrong[1], counts=wrong[1].counts | {"Ask": 3, "Got": 3, "Closed": 3})
    with pytest.raises(NotEqual, match="Ask, "):
        compare(ring(4), QUESTIONS, wrong, outcomes(), outcomes())


@pytest.mark.parametrize("name", KINDS)
def test_bytes_further_than_five_per_cent_from_a_world_that_is_not_told_are_a_bad_verdict(
    name: str,
) -> None:
    wrong = outcomes()
    wrong[0] = replace(wrong[0], bytes=wrong[0].bytes | {name: 1051})
    with pytest.raises(NotEqual, match=name):
        compare(ring(4), QUESTIONS, wrong, wrong, outcomes())


def test_names_of_members_that_were_late_are_taken_off_closeds_as_their_nodes_tell() -> None:
    way = Way({}, {}, (1, 16))
    assert way.named_bytes == 34 + 16 * 34 + 2, "a name is 32 bytes and two marks"
    late = outcomes()
    weight = late[0].bytes | {"Closed": late[0].bytes["Closed"] + way.named_bytes}
    late[0] = replace(late[0], bytes=weight, named_bytes=way.named_bytes)
    compare(ring(4), QUESTIONS, late, outcomes(), outcomes())
    late[0] = replace(late[0], named_bytes=way.named_bytes - 1)
    with pytest.raises(NotEqual, match="Closed, "):
        compare(ring(4), QUESTIONS, late, outcomes(), outcomes())
