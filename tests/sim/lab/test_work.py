"""Workloads of scenarios that bring their own contents: clinics at work, and diaries."""

from pathlib import Path
from typing import Any

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import Scenario, run
from meshpacs_sim.lab.stage import Stage
from meshpacs_sim.world import diary
from meshpacs_sim.world.workloads import DAY_US, EXACT, Clinics

CLINICS = {"kind": "clinics", "patients": 60, "studies_before": 150, "questions_a_day": 2_000}
MESH = {"size": 10, "topology": {"kind": "regular", "degree": 4}}


def clinics(**more: Any) -> Scenario:
    return Scenario.of({"mesh": MESH, "workload": CLINICS, "measure": {"queries": 8}, **more})


def test_clinics_ask_for_patients_that_others_know_and_both_fidelities_find_them() -> None:
    live, compiled = run(clinics()), run(clinics(fidelity="kernel"))
    for name in ("asked_us", "origin", "content", "copies", "copies_found", "reached"):
        assert live.results.queries[name].equals(compiled.results.queries[name]), name
    for row in live.results.queries.to_pylist():
        assert row["copies_found"] == row["copies"] > 0


def test_questions_come_at_the_times_and_from_the_places_that_the_workload_says() -> None:
    stage = Stage(clinics())
    model = stage.scenario.workload
    assert isinstance(model, Clinics)
    exact = {
        (each.when, each.origin, each.content)
        for each in model.arrivals(stage.seed("workload"), 10, DAY_US)
        if each.kind == EXACT
    }
    wishes = list(stage.wishes())
    assert len(wishes) == 8
    assert {(each.when, each.origin, each.content) for each in wishes} <= exact
    assert all(len(stage.others(each.content, each.origin)) for each in wishes)


def test_a_diary_is_the_same_work_from_a_file(tmp_path: Path) -> None:
    stage = Stage(clinics())
    model = stage.scenario.workload
    assert isinstance(model, Clinics)
    file = tmp_path / "diary.csv"
    diary.write(model.arrivals(stage.seed("workload"), 10, DAY_US), file)
    read = Stage(clinics(workload={"kind": "diary", "file": str(file)}))
    assert list(read.wishes()) == list(stage.wishes())
    assert read.copies.holders.tolist() == stage.copies.holders.tolist()


def test_contents_of_ones_own_beside_such_a_workload_are_refused() -> None:
    with pytest.raises(LocalFault, match="has a table content, and a workload"):
        clinics(content={"contents": 5})
