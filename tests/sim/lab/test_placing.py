"""A scenario says where copies are: counted, shared out, or left behind by earlier searches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import Run, Scenario, run
from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.stage import Stage, weights
from meshpacs_sim.lab.words import described
from meshpacs_sim.strategies.placement import shared_out

TABLES = """
fidelity = "kernel"
[mesh]
size = 60
[search]
strategy = "random_probing"
[content]
contents = 10
zipf = 1.0
[content.placement]
by = "square_root"
budget = 100
[measure]
queries = 40
"""

EARLIER = TABLES.replace(
    "[measure]",
    """[content.replication]
rule = "path"
room = 3
[measure]""",
).replace("zipf = 1.0", "zipf = 1.0\nearlier_searches = 300")


def scenario(folder: Path, text: str) -> Scenario:
    file = folder / "a.toml"
    file.write_text(text)
    return Scenario.load(file)


def rows(made: Run) -> list[dict[str, Any]]:
    told = made.results.queries.to_pylist()
    assert isinstance(told, list)
    return told


def test_a_budget_is_shared_out_by_how_often_contents_are_asked_for(tmp_path: Path) -> None:
    wanted = scenario(tmp_path, TABLES)
    copies = Stage(wanted).copies
    shares = np.sqrt(np.array(weights(10, 1.0), np.float64))
    assert copies.counts.tolist() == shared_out(shares, 100, 60).tolist()
    assert copies.counts.sum() == 100
    for row in rows(run(wanted)):
        assert row["copies"] == copies.counts[row["content"]]
        assert row["retrievable"]


def test_earlier_searches_leave_copies_where_the_run_finds_them(tmp_path: Path) -> None:
    before, after = (Stage(scenario(tmp_path, text)).copies for text in (TABLES, EARLIER))
    assert 100 + 60 < after.counts.sum() <= 100 + 3 * 60
    for content in range(10):
        assert set(before.of(content).tolist()) <= set(after.of(content).tolist())
    again = Stage(scenario(tmp_path, EARLIER)).copies
    assert again.holders.tobytes() == after.holders.tobytes()
    found = rows(run(scenario(tmp_path, EARLIER)))
    assert [row["copies"] for row in found] == [after.counts[row["content"]] for row in found]


def test_the_engine_holds_what_the_kernel_holds(tmp_path: Path) -> None:
    text = EARLIER.replace('"kernel"', '"engine"').replace('"random_probing"', '"everyone"')
    engine, kernel = scenario(tmp_path, text), scenario(tmp_path, EARLIER)
    assert Stage(engine).copies.holders.tolist() == Stage(kernel).copies.holders.tolist()


def test_it_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(EARLIER)
    text = " ".join(described(Grid.load(tmp_path / "a.toml")).split())
    assert "with copies at drawn nodes; the i-th is asked for as often as 1 / i^1 (Zipf)." in text
    assert "Copies go with the square root of how often a content is asked for" in text
    assert "(budget 100)" in text
    assert "Before the run, 300 searches by random walkers: Everybody on the way" in text
    assert Scenario.of(scenario(tmp_path, EARLIER).tree) == scenario(tmp_path, EARLIER)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("budget = 100", "budget = 9", "content.placement.budget 9, and 10 contents"),
        ("budget = 100", "budget = 601", "have 10 to 600 copies"),
        ("budget = 100", "budgets = 5", "Did you mean budget"),
        ("square_root", "square", "square_root"),
        ("room = 3", "room = 0", "room"),
        ('rule = "path"', 'rule = "pat"', "path"),
        ("size = 60", 'size = 1000000\n[mesh.topology]\nkind = "ring"', "content.replication"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    text = EARLIER.replace(old, new)
    if "1000000" in text:
        text = text.replace("contents = 10", "contents = 2000").replace("= 100\n", "= 5000\n")
    with pytest.raises(LocalFault, match=why):
        scenario(tmp_path, text)
