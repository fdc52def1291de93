"""The bench of the simulator measures what it says, tried out on small meshes."""

from pathlib import Path

import pytest

from benches import sim, sim_measured


def test_all_contenders_send_as_many_messages_as_paper_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More messages than one flood from every node has, so that origins come round again.
    monkeypatch.setattr(sim_measured, "ENOUGH", dict.fromkeys(sim_measured.ENOUGH, 15_000))
    graph = str(tmp_path / "graph")
    made = sim_measured.making(graph, 50, 4, 1)
    told = sim_measured.flooding(graph, 50, list(sim_measured.ENOUGH), 2, 1)
    assert told["asks"] == [made["asks"]] == [2 * 100 - 49]
    assert {len(rates) for rates in told["rates"].values()} == {2}
    assert all(rate > 0 for rates in told["rates"].values() for rate in rates)


def test_engines_are_measured_while_everybody_answers() -> None:
    assert len(sim_measured.deciding(30, 4, 2, 1, 1)["rates"]) == 2


def test_the_picture_of_the_growth_has_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    rates = {"rounds": (90.0, 110.0, 100.0), "events": (5.0, 6.0, 7.0), "heap": (0.5, 0.6, 0.7)}
    grown = [sim.Grown(size, rates, {}) for size in (1_000, 10_000)]
    grown.append(sim.Grown(300, {"engine": (0.05, 0.06, 0.06)}, {}))
    for folder in ("one", "other"):
        sim.draw(grown, tmp_path / folder)
    one, other = ((tmp_path / folder / "sim-growth.svg") for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
