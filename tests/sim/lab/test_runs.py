"""One run: what its tables say is what happened, and the same seed says the same bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meshpacs.engine.budget import BURST
from meshpacs.model.errors import LocalFault
from meshpacs_sim.graphs import identities
from meshpacs_sim.lab import Content, Measure, Mesh, Run, Scenario, load, manifest, run, running
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.searching import AskBall, AskRings
from meshpacs_sim.lab.shapes import Regular
from meshpacs_sim.lab.stage import Stage, weights

SMALL = Scenario(
    mesh=Mesh(16, Regular(4)),
    content=Content(contents=8, copies=(1, 3)),
    measure=Measure(queries=12, sample_s=5.0),
)


def rows(made: Run) -> list[dict[str, object]]:
    told = made.results.queries.to_pylist()
    assert isinstance(told, list)
    return told


def test_a_question_to_everyone_finds_every_copy_and_costs_what_the_identities_say() -> None:
    made = run(SMALL)
    cost = identities.everyone(Stage(SMALL).overlay.graph())
    for row in rows(made):
        assert row["ended"] == "answered"
        assert (row["complete"], row["discovered"], row["retrievable"]) == (True,) * 3
        assert row["copies_found"] == row["copies"] == row["copies_up"]
        assert row["reached"] == 15
        assert row["coverage"] == 1.0
        assert row["duplicates"] == cost.repeats
    kinds = {each["type"]: each for each in made.results.messages.to_pylist()}
    assert kinds["Ask"]["messages"] == 12 * cost.asks
    assert kinds["Closed"]["messages"] == 12 * cost.closeds
    searched = [each for each in kinds.values() if each["purpose"] == "search"]
    for column in ("messages", "bytes"):
        assert sum(each[column] for each in searched) == sum(row[column] for row in rows(made))  # type: ignore[misc]
    told = made.results.totals.to_pydict()
    totals = dict(zip(told["what"], told["value"], strict=True))
    assert totals["could_tell"] == 0  # a hit is as long as a miss
    loads = made.results.loads.to_pydict()
    assert sum(loads["received"]) == sum(loads["sent"]) == sum(r["messages"] for r in rows(made))  # type: ignore[misc]


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    files = run(SMALL).results.files()
    assert run(SMALL).results.files() == files
    other = run(SMALL.vary({"seed": 2})).results.files()
    assert other["queries.parquet"] != files["queries.parquet"]


def test_strategies_are_asked_the_same_questions_on_the_same_mesh() -> None:
    ball = SMALL.vary({"search": {"strategy": "ball", "ttl": 1}})
    for one, other in zip(rows(run(SMALL)), rows(run(ball)), strict=True):
        for column in ("asked_us", "origin", "content", "copies"):
            assert one[column] == other[column]
        assert other["reached"] == 4
        holders = set(Stage(SMALL).copies.of(int(str(one["content"]))).tolist())
        near = set(Stage(SMALL).overlay.graph().neighbours[int(str(one["origin"]))])
        assert other["copies_found"] == len(holders & near)
        assert other["discovered"] == bool(holders & near)
        assert other["hops"] == (1 if holders & near else -1)


def test_a_ring_goes_on_until_it_has_found_a_copy_and_costs_all_its_balls() -> None:
    rings = Scenario(
        mesh=SMALL.mesh, content=SMALL.content, measure=SMALL.measure, search=AskRings((1, 2, 8))
    )
    narrow = Scenario(
        mesh=SMALL.mesh, content=SMALL.content, measure=SMALL.measure, search=AskBall(1)
    )
    for ring, ball in zip(rows(run(rings)), rows(run(narrow)), strict=True):
        assert ring["discovered"]
        if ball["discovered"]:
            assert ring["messages"] == ball["messages"]
        else:
            assert int(str(ring["messages"])) > int(str(ball["messages"]))
            assert int(str(ring["latency_us"])) > int(str(ball["took_us"]))


def test_a_node_that_asks_too_often_is_refused_as_a_live_one_is() -> None:
    # Everybody but one node has a copy, so that one asks for all.
    all_but_one = {"content.contents": 1, "content.copies": [15], "measure.queries": 60}
    made = rows(run(SMALL.vary({**all_but_one, "workload.queries_per_minute": 20_000})))
    assert {row["ended"] for row in made[:BURST]} == {"answered"}
    refused = [row for row in made if row["ended"] == "refused"]
    assert refused
    assert not any(row["discovered"] or row["messages"] for row in refused)


def test_a_run_stops_early_once_its_interval_is_narrow() -> None:
    wanted = {"measure.queries": 90, "measure.batch": 30, "measure.half_width": 0.05}
    made = run(SMALL.vary({**wanted, "measure.of": "messages"}))
    assert 30 <= len(rows(made)) < 90


def test_a_run_ends_with_its_time_or_with_its_queries() -> None:
    short = list(Stage(SMALL.vary({"measure.queries": 1000, "measure.duration_s": 30.0})).wishes())
    long = list(Stage(SMALL.vary({"measure.queries": 1000})).wishes())
    assert short == long[: len(short)]
    assert short[-1].when < 35_000_000 <= long[len(short)].when


def test_an_interrupt_keeps_what_was_measured_and_the_manifest_says_so(tmp_path: Path) -> None:
    made = run(SMALL, progress=interrupt_after(6))
    assert made.manifest["interrupted"]
    assert 0 < len(rows(made)) <= 6
    whole = {row["query"]: row["messages"] for row in rows(run(SMALL))}
    assert {row["query"]: row["messages"] for row in rows(made)} == {
        number: whole[number] for number in range(len(rows(made)))
    }
    running.keep(made.files(), tmp_path / "out")
    assert not running.is_kept(SMALL, tmp_path / "out")


def interrupt_after(queries: int) -> Callable[[int, int], None]:
    def progress(done: int, of: int) -> None:
        if done == queries:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_what_is_kept_is_read_again_and_found_there(tmp_path: Path, form: Format) -> None:
    made, folder = run(SMALL), tmp_path / "out"
    running.keep(made.files(form), folder)
    again = load(folder)
    assert again.scenario == SMALL
    assert again.manifest == made.manifest
    assert again.results.queries.equals(made.results.queries)
    assert again.results.loads.equals(made.results.loads)
    assert running.is_kept(SMALL, folder)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    running.keep(run(SMALL).files(), tmp_path / "out")
    with pytest.raises(LocalFault, match=r"another scenario, .*: seed was 1, is 9\."):
        running.is_kept(SMALL.vary({"seed": 9}), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(LocalFault, match="no manifest"):
        running.is_kept(SMALL, tmp_path / "mine")


def test_the_manifest_names_our_commit_and_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert manifest.commit_of(tmp_path) == ""
    assert run(SMALL.vary({"measure.queries": 1})).manifest["code"] == manifest.code()


def test_popularity_falls_as_zipf_says() -> None:
    assert weights(3, 0) == [1, 1, 1]
    first, second, third, *_ = weights(100, 1.0)
    assert (first, second, third) == (1 << 32, 1 << 31, round((1 << 32) / 3))


def test_whoever_asks_has_no_copy_unless_everybody_has() -> None:
    stage = Stage(SMALL.vary({"content.copies": [15, 16]}))
    up = np.ones(16, bool)
    for wish in stage.wishes():
        holders = stage.copies.of(wish.content)
        assert (stage.asker(wish, up) in holders) == (len(holders) == 16)
    assert stage.asker(wish, np.zeros(16, bool)) == -1


SEARCHES = [
    {"strategy": "everyone"},
    {"strategy": "ball", "ttl": 2},
    {"strategy": "expanding_ring", "ttls": [1, 2]},
]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda each: str(each["strategy"]))
def test_both_fidelities_find_the_same_and_reach_the_same(search: dict[str, object]) -> None:
    asked = {"search": search, "measure.queries": 20, "mesh.topology": {"kind": "random"}}
    live = run(SMALL.vary({**asked, "fidelity": "engine"}))
    compiled = run(SMALL.vary({**asked, "fidelity": "kernel"}))
    same = ("query", "asked_us", "origin", "content", "ended", "copies", "copies_up")
    found = ("discovered", "retrievable", "copies_found", "reached", "coverage")
    for name in (*same, *found):
        assert live.results.queries[name].equals(compiled.results.queries[name]), name
    if search["strategy"] == "everyone":
        assert live.results.queries["duplicates"].equals(compiled.results.queries["duplicates"])
