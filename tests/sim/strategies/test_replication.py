"""Copies that searches leave behind, and where that leads."""

import numpy as np
import pytest

from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.strategies.placement import scattered
from meshpacs_sim.strategies.replication import REPLICATIONS, Owner, Path, Random
from meshpacs_sim.strategies.search import Copies, Roads, Scene, Searches
from tests.sim.strategies.scenes import UNIT, asked, held_by, scene

# On a circle one walker with memory goes one way all around it.
ALONE = {"walkers": 1, "check_every": 0, "steps": 100}


def held(copies: Copies) -> list[list[int]]:
    return [copies.of(content).tolist() for content in range(copies.contents)]


def test_owner_replication_gives_the_asker_a_copy_and_path_replication_the_whole_way() -> None:
    view = scene(topologies.ring(10), held_by([5]), roads=UNIT)
    assert held(Owner(**ALONE).grown(view, asked((2, 0)))) == [[2, 5]]
    assert held(Path(**ALONE).grown(view, asked((2, 0)))) in (
        [[2, 3, 4, 5]],
        [[0, 1, 2, 5, 6, 7, 8, 9]],
    )


def test_random_replication_takes_as_many_as_the_way_had_of_those_that_were_visited() -> None:
    graph = regular(200, 4, 1)
    some = False
    for seed in range(10):
        view = Scene(seed, graph, np.ones(200, np.bool_), held_by([150]), Roads())
        path = Path(walkers=8).grown(view, asked((3, 0)))
        random = Random(walkers=8).grown(view, asked((3, 0)))
        assert abs(int(path.counts[0]) - int(random.counts[0])) <= 1  # the finder may be drawn
        some |= held(path) != held(random)
    assert some


def test_a_search_finds_the_copies_that_those_before_it_left() -> None:
    view = scene(topologies.ring(30), held_by([15]), roads=UNIT)
    twice = Path(**ALONE).grown(view, asked((1, 0), (1, 0)))
    assert len(held(twice)[0]) > 14
    # The second search is done at its first step, at either neighbour that has a copy now.
    after = Owner(**ALONE).grown(Scene(1, view.overlay, view.up, twice, UNIT), asked((2, 0)))
    assert after.counts[0] >= twice.counts[0]


def test_a_node_without_room_gives_up_a_copy_but_never_one_that_it_had_from_the_start() -> None:
    view = scene(topologies.complete(6), held_by([1, 2], [1, 3], [1, 4], [0, 5]), roads=UNIT)
    pairs = asked(*((0, content) for content in (0, 1, 2, 0, 1, 2, 0)))
    grown = Owner(room=2, **ALONE).grown(view, pairs)
    assert [0 in row for row in held(grown)].count(True) == 3
    assert 0 in held(grown)[3]
    for before, after in zip(held(view.copies), held(grown), strict=True):
        assert set(before) <= set(after)
    roomy = Owner(room=3, **ALONE).grown(view, pairs)
    assert all(0 in row for row in held(roomy))


def test_a_search_that_finds_nothing_leaves_nothing_and_nobody_down_keeps_a_copy() -> None:
    view = scene(topologies.ring(10), held_by([5], []), down=[4, 6], roads=UNIT)
    for kind in REPLICATIONS.values():
        grown = kind(walkers=2).grown(view, asked((2, 0), (2, 1)))
        assert held(grown) == [[5], []]
    with pytest.raises(ValueError, match="at most 100,000,000 are remembered"):
        Path(walkers=4_096, steps=100_000)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_owner_comes_to_proportional_copies_and_path_and_random_to_the_square_root() -> None:
    nodes, contents, searches = 400, 60, 6_000
    rates = np.arange(1, contents + 1, dtype=np.float64) ** -1.0
    chance = np.random.Generator(np.random.PCG64(1))
    wanted = chance.choice(contents, searches, p=rates / rates.sum()).astype(np.int32)
    askers = chance.integers(0, nodes, searches).astype(np.int32)
    start = scattered(np.ones(contents, np.int64), nodes, seed=3)
    view = Scene(1, regular(nodes, 8, 1), np.ones(nodes, np.bool_), start, Roads())
    slopes = {}
    for name, kind in REPLICATIONS.items():
        grown = kind(room=6, walkers=1, check_every=0, steps=20_000).grown(
            view, Searches(askers, wanted)
        )
        assert nodes * 6 <= grown.counts.sum() <= nodes * 6 + contents
        # Only who has none can get a copy: what goes with the rates are copies to those without.
        slopes[name] = slope(rates, grown.counts / (nodes - grown.counts))
    assert abs(slopes["owner"] - 1) < 0.15, slopes
    assert abs(slopes["path"] - 0.5) < 0.2, slopes
    assert abs(slopes["random"] - 0.5) < 0.2, slopes
