"""Digests of neighbours: the identity of their hops, their mistakes, and what they cost."""

import pytest

from meshpacs_sim.graphs import topologies
from meshpacs_sim.strategies.digests import Digests
from meshpacs_sim.strategies.sizes import Kind
from meshpacs_sim.strategies.ttl_flood import TtlFlood
from tests.sim.strategies.scenes import UNIT, asked, held_by, mostly_up, scene

RING = topologies.ring(20)


def test_digests_of_r_hops_find_at_ttl_t_what_a_flood_finds_at_t_plus_r() -> None:
    for graph in (topologies.regular(200, 4, 1), topologies.grid(12, 9), topologies.ring(40)):
        for seed in range(2):
            view = scene(graph, held_by(range(5, graph.size, 9), [graph.size // 2]), seed=seed)
            pairs = asked(*((origin, origin % 2) for origin in range(30)))
            for radius, ttl in ((0, 3), (1, 0), (1, 2), (2, 1), (3, 2)):
                told = Digests(radius, ttl, false_positives=0.0).search(view, pairs)
                flood = Digests(0, ttl + radius, false_positives=0.0).search(view, pairs)
                assert told.copies_found.tolist() == flood.copies_found.tolist()
                assert told.discovered.tolist() == flood.discovered.tolist()
                level = scene(graph, view.copies, seed=seed, roads=UNIT)
                gnutella = TtlFlood(ttl + radius).search(level, pairs)
                assert told.copies_found.tolist() == gnutella.copies_found.tolist()


def test_the_identity_holds_also_where_some_are_down() -> None:
    graph = topologies.regular(200, 5, 2)
    view = scene(graph, held_by(range(0, 200, 11)), roads=UNIT)
    view.up[:] = mostly_up(200, 3)
    pairs = asked(*((int(origin), 0) for origin in view.up.nonzero()[0][:50]))
    told = Digests(2, 1, false_positives=0.0, stale=0.0).search(view, pairs)
    flood = TtlFlood(3).search(view, pairs)
    assert told.copies_found.tolist() == flood.copies_found.tolist()
    assert not told.load[~view.up].any()


def test_a_question_goes_only_to_the_ball_and_to_who_was_named_in_it() -> None:
    view = scene(RING, held_by([3, 17]), roads=UNIT)
    told = Digests(radius=2, ttl=1, false_positives=0.0).search(view, asked((0, 0)))
    # 1 and 19 are asked and name 3 and 17, each over one hop; 0 then asks these directly.
    assert told.kinds[0].tolist() == [4, 0, 0, 4, 0, 0, 0, 0, 0]
    assert told.copies_found.tolist() == [2]
    assert told.hops.tolist() == [3]
    assert told.latency_us.tolist() == [20_000]
    assert told.reached.tolist() == [4]
    assert told.load.sum() == 8


def test_what_is_named_and_down_is_discovered_and_cannot_be_had() -> None:
    view = scene(RING, held_by([2]), down=[2], roads=UNIT)
    told = Digests(radius=2, ttl=0, false_positives=0.0).search(view, asked((0, 0)))
    assert (told.discovered[0], told.retrievable[0]) == (True, False)
    assert told.kinds[0, Kind.ASK] == 1
    assert told.messages[0] == 1
    assert told.load.sum() == 0
    forgotten = Digests(2, 0, false_positives=0.0, stale=0.0).search(view, asked((0, 0)))
    assert not forgotten.discovered[0]
    assert forgotten.messages[0] == 0
    # Behind who is down nothing is known.
    beyond = scene(RING, held_by([2]), down=[1], roads=UNIT)
    assert not Digests(2, 0).search(beyond, asked((0, 0))).discovered[0]


def test_digests_say_yes_where_they_should_not_at_the_stated_rate() -> None:
    graph = topologies.regular(400, 8, 1)
    contents = held_by(*([] for _ in range(300)))
    pairs = asked(*((content, content) for content in range(300)))
    told = Digests(radius=2, ttl=0, false_positives=0.05).search(scene(graph, contents), pairs)
    assert not told.discovered.any()
    exact = Digests(radius=2, ttl=0, false_positives=0.0).search(scene(graph, contents), pairs)
    assert exact.messages.sum() == 0
    # Each of the 64 or fewer within two hops is asked in vain with a chance of 5 %.
    within = sum(sum(1 for hops in graph.distances(o) if hops in {1, 2}) for o in range(300))
    assert told.kinds[:, Kind.ASK].sum() == told.kinds[:, Kind.CLOSED].sum()
    assert abs(told.kinds[:, Kind.ASK].sum() / within - 0.05) < 0.006  # four deviations
    assert told.copies_found.sum() == 0


def test_a_bloom_filter_is_as_long_as_blooms_formula_says() -> None:
    # 9.585 bits an entry at 1 %, 4.792 more for each factor of ten.
    assert Digests(false_positives=0.01).digest_bytes(1_000) == 1_199
    assert Digests(false_positives=0.001).digest_bytes(1_000) == 1_798
    assert Digests(false_positives=0.0).digest_bytes(1_000) == 32_000
    with pytest.raises(ValueError, match=r"false_positives is 1.0; it must be less than 1"):
        Digests(false_positives=1.0)


def test_upkeep_is_news_to_all_within_the_radius() -> None:
    view = scene(RING, held_by([3], [4, 5]), down=[10])
    one = Digests(radius=1).upkeep(view, joins=0, leaves=5, changes=19)
    # 19 are up, of whom 17 have two neighbours up and two have one.
    assert one.messages == 36
    assert one.could_tell == 2.0
    two = Digests(radius=2).upkeep(view, joins=19, leaves=0, changes=0)
    # 15 have four within two hops; two have one less each side of the gap twice over.
    assert two.messages == 2 * (15 * 4 + 2 * 3 + 2 * 2)
    assert two.could_tell == (4 + 4) / 2
    assert Digests(radius=0).upkeep(view, 3, 3, 3).messages == 0
