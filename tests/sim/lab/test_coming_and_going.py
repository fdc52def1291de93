"""Churn, roads and links of scenarios: both fidelities see the same nodes come and go."""

from pathlib import Path
from typing import Any

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import Run, Scenario, run
from meshpacs_sim.lab.stage import Stage

BUSY = {
    "mesh": {"size": 16, "topology": {"kind": "regular", "degree": 4}},
    "churn": {"model": "sessions", "up_hours": 0.05, "down_hours": 0.03},
    "content": {"contents": 6, "copies": [1, 4]},
    "measure": {"queries": 20, "batch": 1, "sample_s": 20.0},
}


def lived(**more: Any) -> Run:
    return run(Scenario.of({**BUSY, **more}))


def test_both_fidelities_see_the_same_nodes_up_and_ask_the_same() -> None:
    live, compiled = lived(), lived(fidelity="kernel")
    for name in ("asked_us", "origin", "content", "copies", "copies_up"):
        assert live.results.queries[name].equals(compiled.results.queries[name]), name
    seen = min(len(live.results.availability), len(compiled.results.availability))
    assert live.results.availability.slice(0, seen).equals(
        compiled.results.availability.slice(0, seen)
    )
    up = live.results.availability["nodes_up"].to_pylist()
    assert len(set(up)) > 1
    assert max(up) <= 16


def test_what_is_down_is_not_found_and_costs_nothing_that_is_up() -> None:
    rows = lived().results.queries.to_pylist()
    assert any(row["copies_up"] == 0 and not row["discovered"] for row in rows)
    for row in rows:
        if row["ended"] == "answered" and row["copies_up"] == row["copies"]:
            assert row["discovered"] or not row["complete"]


def test_a_node_that_goes_takes_its_question_with_it() -> None:
    hurried = {"model": "sessions", "up_hours": 0.0008, "down_hours": 0.0004}
    ended = lived(churn=hurried).results.queries["ended"].to_pylist()
    assert {"answered", "lost"} <= set(ended)


@pytest.mark.parametrize(
    "churn",
    [
        {"model": "office_hours", "stay_on_percent": 0, "left_on_percent": 0, "begins": 3.0},
        {"model": "sessions", "up_hours": 0.02, "down_hours": 0.1},
        {"model": "recorded", "file": "record.csv"},
    ],
    ids=lambda churn: str(churn["model"]),
)
def test_every_model_of_churn_can_be_named(
    churn: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{node},0,{10_000_000 * (node + 1)}\n" for node in range(16))
    Path("record.csv").write_text(f"node,up_us,down_us\n{lines}", encoding="utf-8")
    made = lived(churn=churn, fidelity="kernel").results
    up = made.availability["nodes_up"].to_pylist()
    if churn["model"] == "office_hours":
        assert up[0] == 0
        assert set(made.queries["ended"].to_pylist()) == {"nobody"}
    if churn["model"] == "recorded":
        assert up == [16, 14]


def test_an_overlay_of_its_own_links_itself_and_asks_everyone() -> None:
    mesh = {"size": 12, "overlay": "own"}
    steady = {"queries": 3, "warm_up_s": 130.0}
    rows = run(Scenario.of({"mesh": mesh, "measure": steady})).results.queries.to_pylist()
    assert all(row["reached"] == 11 and row["complete"] for row in rows)


def test_a_narrow_line_makes_answers_late() -> None:
    quick: dict[str, Any] = {}
    narrow: dict[str, Any] = {"lines": [{"down_bps": 400_000, "up_bps": 100_000}]}
    asked = {"mesh": BUSY["mesh"], "measure": {"queries": 5}}
    first, second = (run(Scenario.of({**asked, "links": links})) for links in (quick, narrow))
    for one, other in zip(
        first.results.queries["latency_us"].to_pylist(),
        second.results.queries["latency_us"].to_pylist(),
        strict=True,
    ):
        assert other > one + 50_000


@pytest.mark.parametrize("kind", ["drop", "lie"])
def test_adversaries_ask_nothing_and_cost_the_others_no_found_copy_that_is_not_theirs(
    kind: str,
) -> None:
    asked = {"mesh": BUSY["mesh"], "content": {"contents": 4, "copies": [16]}}
    harm = {"kind": kind, "percent": 20}
    made = run(Scenario.of({**asked, "adversaries": harm, "measure": {"queries": 6}}))
    rows = made.results.queries.to_pylist()
    assert all(row["discovered"] for row in rows)
    if kind == "drop":
        assert all(row["copies_found"] == 16 - 1 - 4 and not row["complete"] for row in rows)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"links": {"loss_ppm": 5}}, "the table links, which takes fidelity"),
        ({"roads": {"model": "lognormal"}}, "roads.model that is neither uniform nor constant"),
        ({"adversaries": {"kind": "drop"}}, "the table adversaries"),
        ({"mesh": {"overlay": "own"}}, 'mesh.overlay = "own", which takes'),
    ],
)
def test_the_kernel_refuses_what_it_does_not_imagine(more: dict[str, Any], said: str) -> None:
    with pytest.raises(LocalFault, match=said):
        Scenario.of({"fidelity": "kernel", **more})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"churn": {"model": "sessions", "lengths": "pareto"}}, "pareto shape is from 1.2"),
        ({"links": {"lines": [{"down_bps": -1}]}}, "down_bps is wrong: -1 is less than 0"),
        (
            {"links": {"lines": [{"sideways_bps": 1}]}},
            r"links.lines\[0\].sideways_bps is not known",
        ),
        ({"roads": {"low_us": 5, "model": "uniform", "high_us": 1}}, "high_us not below low_us"),
    ],
)
def test_a_model_that_cannot_be_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(LocalFault, match=said):
        _ = Stage(Scenario.of(more)).churn
