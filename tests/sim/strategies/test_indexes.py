"""Indexes: a central one, super-nodes' and two distributed ones."""

from math import log2

import numpy as np
import pytest

from meshpacs.engine.draws import draw, word
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.random_graphs import regular
from meshpacs_sim.strategies.central_index import CentralIndex
from meshpacs_sim.strategies.log_dht import LogDht
from meshpacs_sim.strategies.one_hop_dht import OneHopDht
from meshpacs_sim.strategies.random_probing import RandomProbing
from meshpacs_sim.strategies.search import Roads, Scene, Strategy
from meshpacs_sim.strategies.sizes import Kind
from meshpacs_sim.strategies.super_nodes import SuperNodes
from tests.sim.strategies.scenes import UNIT, asked, held_by, mostly_up, scene

RING = topologies.ring(30)


def spot(seed: int, node: int, purpose: str) -> int:
    return draw(seed, node, word(purpose.encode()), 0)


def keepers(seed: int, size: int, content: int, count: int) -> list[int]:
    """The nodes that follow a content's key on the circle, in plain Python."""
    key = spot(seed, content, "ring/key")
    order = sorted(range(size), key=lambda node: (spot(seed, node, "ring/node") - key) % (1 << 64))
    return order[:count]


def test_a_central_index_takes_two_messages_and_names_also_who_is_down_if_it_is_stale() -> None:
    view = scene(RING, held_by([5, 9], [9], []), down=[9], roads=UNIT)
    pairs = asked((0, 0), (0, 1), (0, 2))
    told = CentralIndex(stale=1.0).search(view, pairs)
    assert told.messages.tolist() == [2, 2, 2]
    assert told.copies_found.tolist() == [2, 1, 0]
    assert told.discovered.tolist() == [True, True, False]
    assert told.retrievable.tolist() == [True, False, False]
    assert told.latency_us.tolist() == [20_000, 20_000, -1]
    assert told.load.sum() == 3
    fresh = CentralIndex().search(view, pairs)
    assert fresh.discovered.tolist() == [True, False, False]


def test_while_the_server_is_down_nothing_is_found() -> None:
    view = scene(RING, held_by([5]), down=[20], roads=UNIT)
    told = CentralIndex(server=20).search(view, asked((0, 0)))
    assert not told.discovered[0]
    assert told.messages.tolist() == [1]
    assert told.reached.tolist() == [0]
    assert not told.load.any()
    at_server = CentralIndex(server=3).search(view, asked((3, 0), (4, 0)))
    assert at_server.messages.tolist() == [0, 2]
    assert at_server.hops.tolist() == [0, 1]
    assert at_server.load[3] == 1
    with pytest.raises(ValueError, match="none of the 30 nodes"):
        CentralIndex(server=30).search(view, asked((0, 0)))


def test_answers_that_name_many_are_padded_to_the_next_size() -> None:
    graph = topologies.complete(150)
    view = scene(graph, held_by(range(1, 29), range(1, 30), range(1, 120), range(1, 150)))
    told = CentralIndex().search(view, asked((0, 0), (0, 1), (0, 2), (0, 3)))
    kinds = [Kind.PART, Kind.PART_4, Kind.PART_16]
    assert told.kinds[:, kinds].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_one_hop_asks_the_first_node_after_the_key_that_is_up() -> None:
    for seed in range(40):
        order = keepers(seed, 30, 0, 4)
        origin = next(node for node in range(30) if node not in order)
        holder = next(node for node in range(30) if node not in {*order, origin})
        for down, found in ((0, True), (2, True), (3, False)):
            view = scene(RING, held_by([holder]), seed=seed, down=order[:down], roads=UNIT)
            strategy = OneHopDht(replicas=3, unaware=0.0)
            told = strategy.search(view, asked((origin, 0)))
            assert told.messages[0] == 2
            assert told.load[order[down]] == 1
            assert told.discovered[0] == found
            anew = OneHopDht(replicas=3, unaware=0.0, republished=True)
            assert anew.search(view, asked((origin, 0))).retrievable[0]
            slow = OneHopDht(replicas=3, unaware=1.0, time_out_us=7).search(
                view, asked((origin, 0))
            )
            assert slow.messages[0] == 2 + down
            if found:
                assert slow.latency_us[0] == told.latency_us[0] + 7 * down


def test_entries_name_holders_that_are_down_until_they_are_published_anew() -> None:
    for strategy in (OneHopDht(), LogDht()):
        order = keepers(1, 30, 0, 3)
        holder = next(node for node in range(30) if node not in order)
        view = scene(RING, held_by([holder]), down=[holder])
        origin = (holder + 1) % 30
        told = strategy.search(view, asked((origin, 0)))
        assert (told.discovered[0], told.retrievable[0]) == (True, False)
        gone = scene(RING, held_by([holder]), down=[holder, *order])
        origin = int(np.flatnonzero(gone.up)[0])
        for republished in (False, True):
            lost = type(strategy)(republished=republished).search(gone, asked((origin, 0)))
            assert not lost.discovered[0]


def test_a_question_takes_half_of_log2_n_hops_around_the_ring() -> None:
    copies = held_by(*([] for _ in range(2_000)))
    for size in (256, 2_048):
        view = Scene(3, regular(size, 3, 1), np.ones(size, np.bool_), copies, Roads())
        pairs = asked(*((content % size, content) for content in range(2_000)))
        told = LogDht().search(view, pairs)
        hops = told.kinds[:, Kind.ASK]
        assert hops.tolist() == told.reached.tolist()
        # Stoica et al. count the way to the node before the key; the one that follows it, which
        # keeps the entries, is a hop more.
        assert abs(hops.mean() - 1 - log2(size) / 2) < 0.35, hops.mean()
        assert hops.max() <= log2(size) * 2
        in_turn = LogDht(recursive=False).search(view, pairs)
        asks = in_turn.kinds[:, Kind.ASK]
        assert asks.tolist() == hops.tolist()
        assert in_turn.messages.tolist() == (2 * asks).tolist()
        assert in_turn.load.sum() == in_turn.messages.sum()


def test_every_question_ends_at_the_first_node_after_its_key_that_is_up() -> None:
    size = 60
    copies = held_by(*([5] for _ in range(80)))
    for seed in range(5):
        view = Scene(seed, regular(size, 3, 1), mostly_up(size, seed), copies, Roads())
        for content in range(80):
            alive = [node for node in keepers(seed, size, content, size) if view.up[node]]
            told = LogDht().search(view, asked((0, content)))
            assert not told.load[~view.up].any()
            if alive[0] == 0:
                assert told.messages[0] == 0
                continue
            last = told.load.copy()
            last[0] -= 1  # the answer
            assert last[alive[0]] == 1
            lost = set(keepers(seed, size, content, 3)) & set(alive) == set()
            assert told.discovered[0] == (not lost)


def test_fingers_that_were_not_mended_cost_time_outs_and_lead_to_the_same_end() -> None:
    copies = held_by(*([0] for _ in range(200)))
    view = Scene(1, regular(200, 3, 1), mostly_up(200, 1), copies, Roads())
    pairs = asked(*((int(node), int(node)) for node in np.flatnonzero(view.up)[1:]))
    good, bad = LogDht().search(view, pairs), LogDht(unaware=1.0).search(view, pairs)
    assert good.copies_found.tolist() == bad.copies_found.tolist()
    extra = bad.messages - good.messages
    # One in five is down, and so stood first after where the finger begins.
    assert abs(extra.sum() / good.kinds[:, Kind.ASK].sum() - 0.2) < 0.06
    assert (bad.latency_us - good.latency_us).tolist() == (3_000_000 * extra).tolist()


def test_super_nodes_find_what_their_leaves_told_them_as_far_as_the_flood_goes() -> None:
    graph = topologies.regular(300, 4, 1)
    view = scene(graph, held_by([7], [8, 9], [10]), roads=UNIT)
    pairs = asked(*((origin, origin % 3) for origin in range(20, 60)))
    everywhere = SuperNodes(share=0.05, links=3, ttl=15).search(view, pairs)
    assert everywhere.copies_found.tolist() == [1 + (o % 3 == 1) for o in range(20, 60)]
    assert everywhere.reached.max() <= 15
    assert everywhere.load.sum() == everywhere.messages.sum()
    nearby = SuperNodes(share=0.05, caches=1, links=3, ttl=0).search(view, pairs)
    leaf = nearby.reached == 1
    assert leaf.sum() > 30
    assert nearby.messages[leaf].tolist() == [2] * int(leaf.sum())
    assert nearby.copies_found.sum() < everywhere.copies_found.sum()
    caches, links = SuperNodes(share=0.05, caches=2, links=3).laid_out(view)
    supers = np.flatnonzero(links.degrees)
    assert len(supers) == 15
    assert all(caches[node, 0] == node and caches[node, 1] == -1 for node in supers)
    assert all(
        len({*caches[node].tolist()}) == 2 and set(caches[node]) <= set(supers)
        for node in range(300)
        if node not in supers
    )
    assert (links.degrees[supers] >= 3).all()


def test_where_all_super_nodes_of_a_leaf_are_down_it_neither_finds_nor_is_found() -> None:
    graph = topologies.regular(300, 4, 1)
    view = scene(graph, held_by([7]), roads=UNIT)
    broken = SuperNodes(share=0.05, ttl=15, repaired=False)
    caches, links = broken.laid_out(view)
    supers = np.flatnonzero(links.degrees).tolist()
    leaf = next(
        n for n in range(300) if n not in supers and not set(caches[n]) & set(caches[7]) and n != 7
    )
    view.up[caches[7]] = False
    assert not broken.search(view, asked((leaf, 0))).discovered[0]
    assert broken.search(view, asked((7, 0))).messages[0] == 0
    mended = SuperNodes(share=0.05, ttl=15, repaired=True).search(view, asked((leaf, 0)))
    assert mended.retrievable[0]
    assert not mended.load[~view.up].any()


def test_random_probing_asks_as_many_as_cohen_and_shenker_say() -> None:
    size, searches = 101, 4_000
    view = scene(topologies.ring(size), held_by(range(1, 11)), roads=UNIT)
    pairs = asked(*((0, 0) for _ in range(searches)))
    # 100 others, of whom 10 hold it: (n + 1)/(r + 1) without, n/r with repetition.
    without = RandomProbing().search(view, pairs)
    asks = without.kinds[:, Kind.ASK]
    assert abs(asks.mean() / (101 / 11) - 1) < 0.05
    assert asks.tolist() == without.hops.tolist() == without.reached.tolist()
    assert without.kinds[:, Kind.PART].tolist() == [1] * searches
    again = RandomProbing(again=True).search(view, pairs)
    assert abs(again.kinds[:, Kind.ASK].mean() / 10 - 1) < 0.06
    assert again.kinds[:, Kind.ASK].tolist() == (again.reached + again.duplicates).tolist()
    nobody = RandomProbing().search(scene(RING, held_by([]), down=[3]), asked((0, 0)))
    assert nobody.kinds[0, Kind.ASK] == 28
    few = RandomProbing(probes=5).search(scene(RING, held_by([])), asked((0, 0)))
    assert few.messages[0] == 10


@pytest.mark.parametrize(
    ("strategy", "messages", "could_tell"),
    [
        (CentralIndex(), 3 + 7, 1.0),
        (CentralIndex(server=4), 3 + 7, 0.5),
        (SuperNodes(share=0.1, caches=1), 3 + 2 + 7, None),
        (OneHopDht(replicas=2), 5 * 29 + 3 + 5 * 2 + 7 * 2, None),
        (LogDht(replicas=2), 5 * 25 + 5 * 2 + 7 * (2 + 1), None),
    ],
)
def test_upkeep_of_indexes(strategy: Strategy, messages: int, could_tell: float | None) -> None:
    view = scene(RING, held_by([4], [6, 7]), down=[9])
    told = strategy.upkeep(view, joins=3, leaves=2, changes=7)
    assert told.messages == messages
    assert told.bytes > 100 * messages // 2
    if could_tell is not None:
        assert told.could_tell == could_tell
    else:
        assert 0.5 <= told.could_tell <= 3


def test_who_could_tell_are_the_keepers_that_do_not_hold_it_themselves() -> None:
    order = keepers(1, 30, 0, 3)
    strategy = OneHopDht(replicas=3)
    assert strategy.upkeep(scene(RING, held_by([order[0]])), 0, 0, 0).could_tell == 2.0
    other = next(node for node in range(30) if node not in order)
    assert strategy.upkeep(scene(RING, held_by([other])), 0, 0, 0).could_tell == 3.0
