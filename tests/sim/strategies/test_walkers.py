"""Random walkers, against what is known of random walks."""

import numpy as np

from meshpacs_sim.graphs import topologies
from meshpacs_sim.strategies.random_walkers import RandomWalkers
from meshpacs_sim.strategies.sizes import Kind
from tests.sim.strategies.scenes import UNIT, asked, held_by, same, scene


def test_a_walk_without_memory_meets_new_nodes_at_the_rate_of_the_tree() -> None:
    # On a d-regular tree a walk is at a node for the last time with probability (d-2)/(d-1), so
    # that is how many new nodes there are for each step; a large random graph looks like one.
    for degree in (3, 4, 8):
        view = scene(topologies.regular(3_000, degree, 7), held_by([]), roads=UNIT)
        walk = RandomWalkers(walkers=1, check_every=0, steps=100, state=False)
        told = walk.search(view, asked(*((origin, 0) for origin in range(600))))
        assert set(told.kinds[:, Kind.ASK].tolist()) == {100}
        rate = told.reached.sum() / told.kinds[:, Kind.ASK].sum()
        # A walk of 100 steps is still a little above the limit, and closed rings take a little.
        assert abs(rate / ((degree - 2) / (degree - 1)) - 1) < 0.025, (degree, rate)


def test_with_state_no_link_is_taken_twice_as_long_as_another_is_left() -> None:
    graph = topologies.ring(12)
    view = scene(graph, held_by([]), roads=UNIT)
    told = RandomWalkers(walkers=2, check_every=0, steps=11).search(
        view, asked(*((origin, 0) for origin in range(12)))
    )
    # On a circle two walkers that never turn, one each way, take 11 steps each: the first 5 or 6
    # meet new nodes, the others what the other one has met.
    assert told.reached.tolist() == [11] * 12
    assert told.duplicates.tolist() == [11] * 12
    lonely = RandomWalkers(walkers=1, check_every=0, steps=11).search(view, asked((0, 0)))
    assert lonely.reached.tolist() == [11]


def test_walkers_that_check_stop_soon_after_one_has_found() -> None:
    graph = topologies.complete(50)
    view = scene(graph, held_by(range(1, 50)), roads=UNIT)
    told = RandomWalkers(walkers=8, check_every=3, steps=100).search(view, asked((0, 0)))
    # Whoever goes first is a holder: all end at their first step and nobody has to check.
    assert told.kinds[0, Kind.ASK] == 8
    assert told.kinds[0, Kind.CHECK] == 0
    assert told.kinds[0, Kind.PART] == 8
    assert told.hops.tolist() == [1]
    assert told.latency_us.tolist() == [20_000]
    alone = scene(graph, held_by([30]), roads=UNIT)
    told = RandomWalkers(walkers=8, check_every=4, steps=10_000).search(alone, asked((0, 0)))
    assert told.copies_found.tolist() == [1]
    hops, asks = int(told.hops[0]), int(told.kinds[0, Kind.ASK])
    # The others have gone at most to the check after the answer came.
    assert 8 * hops - 7 <= asks <= 7 * (hops + 4) + hops
    assert told.kinds[0, Kind.CHECK] <= 2 * 8 * (hops // 4 + 1)
    assert told.messages[0] == told.load.sum()


def test_walkers_end_after_their_steps_and_where_everybody_around_is_down() -> None:
    view = scene(topologies.ring(6), held_by([3]), down=[1, 5], roads=UNIT)
    told = RandomWalkers(walkers=4).search(view, asked((0, 0), (2, 0)))
    assert told.messages[0] == 0
    assert told.discovered.tolist() == [False, True]
    assert told.load[1] == told.load[5] == 0
    far = scene(topologies.ring(50), held_by([25]), roads=UNIT)
    told = RandomWalkers(walkers=2, check_every=0, steps=10).search(far, asked((0, 0)))
    assert told.kinds[0, Kind.ASK] == 20
    assert not told.discovered[0]


def test_walkers_choose_among_all_neighbours_alike() -> None:
    view = scene(topologies.complete(6), held_by([]), roads=UNIT)
    told = RandomWalkers(walkers=1, check_every=0, steps=1, state=False).search(
        view, asked(*((0, 0) for _ in range(5_000)))
    )
    assert told.load[0] == 0
    assert np.all(np.abs(told.load[1:] - 1_000) < 120)  # four standard deviations


def test_one_seed_is_one_walk_and_another_seed_another() -> None:
    graph = topologies.random(100, 5.0, 1)
    pairs = asked(*((origin, 0) for origin in range(30)))
    one, again, other = (
        RandomWalkers(walkers=4).search(scene(graph, held_by([50, 60]), seed=seed), pairs)
        for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not same(one, other)
