"""Published results: what is found again passes, what is not is told, and the page shows both."""

import csv
from pathlib import Path

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.cli import main
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.reproductions import (
    bubblestorm,
    digests,
    mean_field,
    percolation,
    plumtree,
    random_probing,
    random_walk,
)
from meshpacs_sim.reproductions.catalogue import NAMES, reproduced
from meshpacs_sim.reproductions.finding import (
    Finding,
    Reproduction,
    agreeing,
    at_least,
    certain,
    exactly,
    near,
    within,
)
from meshpacs_sim.reproductions.published import published
from meshpacs_sim.statistics.intervals import mean_of
from meshpacs_sim.strategies.digests import Digests


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (exactly("count", 7, 7), exactly("count", 7, 8)),
        (within("value", 100, certain(100.4), 0.005), within("value", 100, certain(100.6), 0.005)),
        (near("share", 0.5, certain(0.51), 0.02), near("share", 0.5, certain(0.53), 0.02)),
        (at_least("factor", 3, certain(3)), at_least("factor", 3, mean_of([2.0, 4.5, 3.0]))),
        (agreeing("mean", 2, [1, 3, 2, 2, 1, 3]), agreeing("mean", 9, [1, 3, 2, 2, 1, 3])),
    ],
)
def test_a_value_passes_by_its_rule_and_fails_beyond_it(right: Finding, wrong: Finding) -> None:
    assert right.passed
    assert not wrong.passed


def test_every_reproduction_names_its_sources_and_whether_they_were_read() -> None:
    for name in NAMES:
        told = published(name)
        assert told.title, name
        assert told.claim, name
        assert told.sources, name


def test_a_file_that_is_not_there_is_told_by_its_name() -> None:
    with pytest.raises(LocalFault, match=r"nothing_like_it\.toml"):
        published("nothing_like_it")


def test_the_recursion_begins_and_ends_as_a_flood_does() -> None:
    asked = mean_field.mean_field(10_000, 8)
    assert asked[0] == 1
    assert asked[1] == pytest.approx(9, rel=1e-3)
    assert asked[2] == pytest.approx(9 + 56, rel=5e-3)
    assert asked[-1] == pytest.approx(10_000, rel=1e-3)


def test_small_meshes_come_near_to_the_formulas_of_large_ones() -> None:
    rate = mean_of(random_walk.new_node_rates(regular(20_000, 4, 1), 1)).value
    assert rate == pytest.approx(2 / 3, rel=0.05)
    assert percolation.large_piece(4, 1 / 3) < 0.01
    left = percolation.observed(regular(5_000, 4, 1), 0.6, 1)
    assert left == pytest.approx(percolation.large_piece(4, 0.6), abs=0.03)
    met = bubblestorm.sets(round(bubblestorm.SIZE**0.5), 1)
    assert sum(met) / len(met) == pytest.approx(1 - 2.718281828**-1, abs=0.03)


def test_digests_save_hops_and_change_no_search_on_a_small_mesh() -> None:
    findings, drawn = digests.held_to_the_count("small", regular(300, 4, 1), 3, 40)
    assert all(finding.passed for finding in findings)
    found = {curve.name: [share.value for share in curve.y] for curve in drawn}
    assert 0 < found["radius 0"][0] < found["radius 0"][2] < 1
    assert found["radius 2"] == found["radius 0"][1:]


def test_digests_that_know_too_little_are_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(radius: int, ttl: int, false_positives: float) -> Digests:
        return Digests(radius // 2, ttl, false_positives)

    monkeypatch.setattr(digests, "Digests", half)
    findings, _ = digests.held_to_the_count("small", regular(300, 4, 1), 3, 40)
    missed = [finding.what for finding in findings if not finding.passed]
    assert "small, radius 2, TTL 1: searches that find" in missed
    assert not any("radius 0" in what for what in missed)


def test_floods_are_as_redundant_as_their_links_and_trees_are_not_at_all() -> None:
    findings = plumtree.held_to_the_formula(200, 5)
    assert [finding.passed for finding in findings] == [True, True, True]
    assert [round(finding.ours.value, 9) for finding in findings] == [
        round(602 / 199, 9),
        round(602 / 199, 9),
        0.0,
    ]


def test_probes_of_few_searches_come_near_to_what_is_expected() -> None:
    assert random_probing.probes(100, 400, again=True).mean() == pytest.approx(100, rel=0.2)
    assert random_probing.probes(1_000, 400, again=False).mean() == pytest.approx(10, rel=0.2)


def test_the_command_shows_what_it_found_again(tmp_path: Path) -> None:
    assert main.run(["reproduce", "exact_floods", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "reproductions.html").read_text(encoding="utf-8")
    assert "all found again" in page
    assert "2E - (n - 1)" in page
    with (tmp_path / "reproductions.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["passed"] for row in rows} == {"True"}
    assert len(rows) == page.count("<td>found again</td>")
    assert (tmp_path / "exact-floods.svg").read_bytes().startswith(b"<?xml")


def test_what_is_not_found_again_is_told_and_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_more(name: str) -> Reproduction:
        made = reproduced(name)
        wrong = [exactly("Asks of a flood", 7, 8), *made.findings]
        return Reproduction(made.published, wrong, made.pictures)

    monkeypatch.setattr("meshpacs_sim.cli.reproducing.reproduced", one_more)
    assert main.run(["reproduce", "exact_floods", "--out", str(tmp_path)]) == 1
    assert "Asks of a flood: 8, not 7" in capsys.readouterr().out
    page = (tmp_path / "reproductions.html").read_text(encoding="utf-8")
    assert "1 not found again" in page
    assert "NOT FOUND" in page
