"""Sweeps: every point and seed once; what is there is kept, what is another's is refused."""

import json
from pathlib import Path

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import Content, Measure, Mesh, Scenario, farms, sweep
from meshpacs_sim.lab.grids import Grid, Table
from meshpacs_sim.lab.shapes import Complete
from meshpacs_sim.lab.sweeping import Sweep

TINY = Scenario(mesh=Mesh(4, Complete()), content=Content(contents=3), measure=Measure(queries=3))
BALL = {"strategy": "ball", "ttl": 1}


def test_every_point_is_run_with_all_of_the_grid_and_every_seed() -> None:
    table = Table((1, 5), {"mesh.size": [4, 5]}, ({"search": BALL}, {"content": {"contents": 2}}))
    swept = Grid.of(TINY, table)
    assert [(dict(p.values), p.scenario.seed) for p in swept.points] == [
        ({**point, "mesh.size": size}, seed)
        for point in ({"search": BALL}, {"content.contents": 2})
        for size in (4, 5)
        for seed in (1, 5)
    ]


def test_a_key_of_a_table_that_picks_a_class_can_be_swept(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    for line in ('"churn.up_hours" = [1.0, 2.0]', "churn.up_hours = [1.0, 2.0]"):
        file.write_text(f"[churn]\nmodel = 'sessions'\n[sweep.grid]\n{line}\n", encoding="utf-8")
        hours = [each.scenario.churn.model(4) for each in Grid.load(file).points]
        assert len(hours) == 2
        assert hours[0] != hours[1]


def test_keys_may_be_dotted_or_tables(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    head = (
        "[mesh]\nsize = 4\n[mesh.topology]\nkind = 'complete'\n[sweep]\nseeds = 2\n[sweep.grid]\n"
    )
    points = []
    for line in ("mesh.size = [4, 5]", '"mesh.size" = [4, 5]', "mesh = {size = [4, 5]}"):
        file.write_text(head + line, encoding="utf-8")
        points.append([each.scenario for each in Grid.load(file).points])
    assert points[0] == points[1] == points[2]
    assert len(points[0]) == 4


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (Table(grid={"mesh.sizes": [4]}), r"mesh\.sizes is not known"),
        (Table(grid={"mesh.size": [1]}), r"at mesh\.size 1: mesh\.size is wrong"),
        (Table(grid={"mesh.size": 4}), "is not a list"),
        (Table(grid={"mesh.size": [4, 4]}), "two runs are the same"),
        (Table(grid={"seed": [4]}), r"sweep\.seeds"),
        (Table(grid={"measure.queries": list(range(1, 400))}, seeds=300), "more than 100000 runs"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(table: Table, said: str) -> None:
    with pytest.raises(LocalFault, match=said):
        Grid.of(TINY, table)


def test_an_interrupted_sweep_goes_on_where_it_was_and_gives_the_same_bytes(
    tmp_path: Path,
) -> None:
    grid = {"search": [{"strategy": "everyone"}, BALL]}
    whole = sweep(TINY, grid, out=tmp_path / "whole", seeds=2, jobs=1)

    def stop(done: int, of: int, before: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(TINY, grid, out=tmp_path / "parts", seeds=2, jobs=1, progress=stop)
    assert len(list(Sweep.load(tmp_path / "parts").done())) == 2
    told = []
    parts = sweep(
        TINY, grid, out=tmp_path / "parts", seeds=2, jobs=1, progress=lambda *how: told.append(how)
    )
    assert told == [(2, 4, 2), (3, 4, 2), (4, 4, 2)]
    for one, other in zip(whole.runs, parts.runs, strict=True):
        for name in ("queries", "loads", "messages", "availability", "totals"):
            file = f"{name}.parquet"
            assert (one.folder / file).read_bytes() == (other.folder / file).read_bytes()


def test_more_seeds_add_to_a_sweep_and_another_base_is_refused(tmp_path: Path) -> None:
    sweep(TINY, out=tmp_path, seeds=1, jobs=1)
    told = []
    sweep(TINY, out=tmp_path, seeds=2, jobs=1, progress=lambda *how: told.append(how))
    assert told == [(1, 2, 1), (2, 2, 1)]
    with pytest.raises(LocalFault, match=r"another scenario, .*: mesh\.size was 4, is 5\."):
        sweep(TINY.vary({"mesh.size": 5}), out=tmp_path, jobs=1)


def test_what_was_half_written_or_made_by_another_version_is_done_anew(tmp_path: Path) -> None:
    made = sweep(TINY, out=tmp_path, seeds=2, jobs=1)
    (made.runs[0].folder / "manifest.json").write_text("{", encoding="utf-8")
    old = json.loads((made.runs[1].folder / "manifest.json").read_text(encoding="utf-8"))
    old["code"]["version"] = "0.0.9"
    (made.runs[1].folder / "manifest.json").write_text(json.dumps(old), encoding="utf-8")
    told = []
    sweep(TINY, out=tmp_path, seeds=2, jobs=1, progress=lambda *how: told.append(how))
    assert told[0] == (0, 2, 0)


def test_one_run_that_cannot_be_costs_no_other(tmp_path: Path) -> None:
    shapes = [{"kind": "barabasi_albert", "links": 5}, {"kind": "ring"}]
    with pytest.raises(LocalFault, match=r"A run failed at mesh\.topology barabasi_albert"):
        sweep(TINY, {"mesh.topology": shapes}, out=tmp_path, jobs=1)
    assert len(list(Sweep.load(tmp_path).done())) == 1


@pytest.mark.usefixtures("untraced")
def test_processes_give_what_one_process_gives(tmp_path: Path) -> None:
    scenarios = [TINY.vary({"seed": seed}) for seed in range(2)]
    here = dict(farms.Local(1).done(scenarios, "csv"))
    there = dict(farms.Local(2).done(scenarios, "csv"))
    for number in range(2):
        one, other = here[number], there[number]
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for name in one.keys() - {"manifest.json"}:
            assert one[name] == other[name]
