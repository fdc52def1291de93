"""What a scenario's mesh is like is told without running anything."""

from pathlib import Path

import pytest

from meshpacs_sim.cli import main


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], mesh: str, *words: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(mesh)
    assert main.run(["graph", str(path), *words]) == 0
    return capsys.readouterr().out


def test_a_small_mesh_is_told_exactly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = '[mesh]\nsize = 10\n[mesh.topology]\nkind = "ring"\n'
    lines = told(tmp_path, capsys, ring).splitlines()
    assert lines == [
        "ring(10)",
        "  nodes         10",
        "  edges         10",
        "  degrees       2 to 2, mean 2, median 2, Gini 0.000",
        "  assortativity none, as all degrees are the same",
        "  pieces        1",
        "  mean path     2.778 hops, from all nodes",
        "  longest path  5 hops",
        "  clustering    0, transitivity 0",
    ]
    assert told(tmp_path, capsys, ring, "--degrees") == "degree,nodes\n2,10\n"


def test_of_a_large_mesh_it_is_said_what_was_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = 'fidelity = "kernel"\n[search]\nstrategy = "ttl_flood"\n[mesh]\nsize = 6_000\n'
    out = told(tmp_path, capsys, large)
    assert "± " in out
    assert "from 666 drawn nodes" in out
    assert "hops or more" in out


def test_a_scenario_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[mesh]\nsize = 0\n")
    assert main.run(["graph", str(path)]) == main.BROKEN
    assert "mesh.size" in capsys.readouterr().err
