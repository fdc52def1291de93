"""Floods over roads, against plain Python, the engine itself, and what is known on paper."""

import heapq
from collections import Counter

import numpy as np
import pytest

from meshpacs.model.ids import SECOND
from meshpacs.model.query import Ball as BallScope
from meshpacs.model.query import Everyone as EveryoneScope
from meshpacs_sim.graphs import identities, topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.kernel import events
from meshpacs_sim.strategies.ball import Ball
from meshpacs_sim.strategies.everyone import Everyone
from meshpacs_sim.strategies.expanding_ring import ExpandingRing
from meshpacs_sim.strategies.search import Int64s, Roads, Scene
from meshpacs_sim.strategies.sizes import Kind
from meshpacs_sim.strategies.ttl_flood import TtlFlood
from meshpacs_sim.world import network
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.network import Latency
from meshpacs_sim.world.world import World
from tests.sim.strategies.scenes import UNIT, asked, held_by, mostly_up, same, scene

ROUGH = Roads(500, 60_000, 9_000)
"""Roads so different that detours are often quicker."""

SHAPES = (
    topologies.regular(40, 4, 1),
    topologies.random(60, 3.0, 2),
    topologies.grid(7, 6),
    topologies.power_law(50, 2, 3),
    topologies.ring(9),
)


def plainly(view: Scene, origin: int, ttl: int, *, promise: bool) -> tuple[Counter[int], int]:
    """Asks by receiver and how many were asked, every copy an entry on a heap of Python's."""
    latency = Latency(view.roads.low_us, view.roads.high_us, view.roads.jitter_us)
    graph, received = view.overlay.graph(), Counter[int]()
    best = {origin: ttl}
    last: dict[tuple[int, int], int] = {}
    under_way: list[tuple[int, int, int, int, int, int]] = []

    def send_on(now: int, node: int, came_from: int, left: int, hops: int) -> None:
        for end in graph.neighbours[node] if left else ():
            if end != came_from and view.up[end]:
                table = latency.table(view.seed, node, end)
                arrives = now + table[(hops + 1) % network.TABLE]
                last[node, end] = arrives = max(arrives, last.get((node, end), 0))
                order = len(under_way) + sum(received.values())
                heapq.heappush(under_way, (arrives, end, node, order, left - 1, hops + 1))

    send_on(0, origin, -1, ttl, 0)
    while under_way:
        now, node, sender, _, left, hops = heapq.heappop(under_way)
        received[node] += 1
        if node not in best or (promise and left > best[node]):
            best[node] = left
            send_on(now, node, sender, left, hops)
    return received, len(best) - 1


def sum_of(counts: list[Int64s]) -> object:
    return np.sum(counts, axis=0).tolist()


@pytest.mark.parametrize("graph", SHAPES, ids=lambda graph: graph.name)
def test_asks_are_those_of_a_plain_heap_of_all_copies(graph: Graph) -> None:
    copies = held_by([])
    for seed in range(3):
        view = scene(graph, copies, seed=seed, roads=ROUGH)
        view.up[:] = mostly_up(graph.size, seed)
        for ttl in (1, 2, 3, 5, 9):
            for promise, strategy in ((False, TtlFlood(ttl)), (True, Ball(ttl))):
                received, reached = plainly(view, 0, ttl, promise=promise)
                told = strategy.search(view, asked((0, 0)))
                assert told.kinds[0, Kind.ASK] == sum(received.values()), (seed, ttl)
                assert told.reached[0] == reached, (seed, ttl)
                assert told.duplicates[0] == sum(received.values()) - reached
                if not promise:
                    assert told.load.tolist() == [received[node] for node in range(graph.size)]


@pytest.mark.parametrize("graph", SHAPES, ids=lambda graph: graph.name)
def test_everyone_and_balls_cost_what_the_engine_is_seen_to_send(graph: Graph) -> None:
    measures = Measures()
    world = World(5, graph, latency=network.UNIT, observers=[measures])
    world.run(SECOND)
    view = scene(graph, held_by([]), seed=5, roads=UNIT)
    for strategy, scope in (
        (Everyone(), EveryoneScope()),
        (Ball(2), BallScope(2)),
        (Ball(4), BallScope(4)),
    ):
        asking = world.ask(3, scope=scope, budget_us=30 * SECOND)
        world.finish(asking)
        world.run(world.now + 2 * SECOND)
        flood = measures.of(asking.query_id).flood
        told = strategy.search(view, asked((3, 0)))
        seen = {kind: told.kinds[0, kind] for kind in Kind if told.kinds[0, kind]}
        assert seen == {
            Kind.ASK: flood["Ask"],
            Kind.GOT: flood["Got"],
            Kind.CLOSED: flood["Closed"],
            Kind.PART: flood["Part"],
        }


def test_floods_send_what_the_kernels_floods_send_whose_messages_take_times_of_their_own() -> None:
    graph = topologies.regular(300, 5, 3)
    roads = Roads(500, 60_000, 0)
    view = scene(graph, held_by([]), seed=9, roads=roads)
    view.up[:] = mostly_up(300, 1)
    for ttl in (2, 3, 5):
        for again, strategy in ((True, Ball(ttl)), (False, TtlFlood(ttl))):
            seen = events.flood(
                view.overlay, 0, 9, low_us=500, high_us=60_000, jitter_us=0, ttl=ttl,
                again=again, up=view.up,
            )  # fmt: skip
            told = strategy.search(view, asked((0, 0)))
            assert told.kinds[0, Kind.ASK] == seen.messages
            assert told.reached[0] == seen.reached - 1
            assert told.duplicates[0] == seen.duplicates
            if not again:
                assert told.load.tolist() == seen.received.tolist()


def test_everyone_costs_what_the_identity_says_whatever_the_latencies() -> None:
    for graph in SHAPES:
        cost = identities.everyone(graph)
        told = Everyone().search(scene(graph, held_by([]), roads=ROUGH), asked((0, 0), (5, 0)))
        assert told.kinds[:, Kind.ASK].tolist() == [cost.asks] * 2
        assert told.duplicates.tolist() == [cost.repeats] * 2


def test_a_ball_is_the_ball_whatever_the_latencies_and_the_first_copy_alone_is_less() -> None:
    graph = topologies.regular(400, 5, 3)
    view = scene(graph, held_by([]), roads=ROUGH)
    pairs = asked(*((origin, 0) for origin in range(20)))
    balls = [len(identities.ball(graph, origin, 4)) - 1 for origin in range(20)]
    assert Ball(4).search(view, pairs).reached.tolist() == balls
    first_only = TtlFlood(4).search(view, pairs).reached
    lost = sum(balls) - int(first_only.sum())
    assert lost > 0.03 * sum(balls)
    level = scene(graph, held_by([]), roads=UNIT)
    assert TtlFlood(4).search(level, pairs).reached.tolist() == balls


def test_an_expanding_ring_costs_the_sum_of_its_balls_up_to_the_one_that_found() -> None:
    graph = topologies.grid(9, 9)
    hops = graph.distances(40)
    for holder, rings in ((hops.index(1), 1), (hops.index(3), 3), (hops.index(8), 4)):
        view = scene(graph, held_by([holder]), roads=UNIT)
        pairs = asked((40, 0))
        balls = [Ball(ttl).search(view, pairs) for ttl in (1, 2, 4, 8)]
        told = ExpandingRing((1, 2, 4, 8)).search(view, pairs)
        assert told.kinds.tolist() == sum_of([each.kinds for each in balls[:rings]])
        assert told.load.tolist() == sum_of([each.load for each in balls[:rings]])
        assert told.hops[0] == hops[holder]
        assert told.reached[0] == balls[rings - 1].reached[0]
        # On a sheet of hops of 10 ms a ball of t hops is over 2 t hops later.
        waited = sum((2, 4, 8)[: rings - 1]) * 10_000
        assert told.latency_us[0] == waited + 2 * int(hops[holder] or 0) * 10_000


def test_holders_that_are_up_are_found_at_their_distance_and_nobody_down_is_reached() -> None:
    graph = topologies.ring(10)
    view = scene(graph, held_by([2, 5], [4], [0]), down=[3], roads=UNIT)
    told = TtlFlood(7).search(view, asked((0, 0), (0, 1), (0, 2)))
    # 3 is down, so 5 is met by the other way round; 0 does not look for what it holds itself.
    assert told.copies_found.tolist() == [2, 1, 0]
    assert told.discovered.tolist() == told.retrievable.tolist() == [True, True, False]
    assert told.hops.tolist() == [2, 6, -1]
    assert told.latency_us.tolist() == [40_000, 120_000, -1]
    assert told.kinds[:, Kind.PART].tolist() == [2 + 5, 6, 0]
    assert told.load[3] == 0
    for strategy in (Everyone(), Ball(9), ExpandingRing((9,)), TtlFlood(9)):
        assert strategy.search(view, asked((0, 0))).load[3] == 0


def test_searches_do_not_know_of_each_other() -> None:
    graph = topologies.random(80, 4.0, 4)
    view = scene(graph, held_by([7, 9], [30]), roads=ROUGH)
    for strategy in (Everyone(), Ball(3), ExpandingRing((1, 2, 4)), TtlFlood(3)):
        alone = strategy.search(view, asked((0, 0)))
        among = strategy.search(view, asked((0, 0), (1, 1), (2, 0)))
        assert same(strategy.search(view, asked((0, 0), (1, 1), (2, 0))), among)
        assert alone.kinds[0].tolist() == among.kinds[0].tolist()
        assert alone.latency_us[0] == among.latency_us[0]


def test_who_asks_is_up_and_asks_for_what_there_is() -> None:
    view = scene(topologies.ring(5), held_by([1]), down=[2])
    for pair, why in (((2, 0), "is down"), ((5, 0), "none of the 5"), ((0, 1), "none of the 1 ")):
        with pytest.raises(ValueError, match=why):
            Everyone().search(view, asked(pair))
    one = asked((0, 0), (1, 0))
    with pytest.raises(ValueError, match="2 nodes ask for 1"):
        Everyone().search(view, type(one)(one.origins, one.contents[:1]))


def test_a_ring_that_does_not_rise_and_a_ball_that_is_too_wide_are_refused() -> None:
    for ttls in ((), (2, 2), (3, 1), (0, 1), (1, 17)):
        with pytest.raises(ValueError, match="rise, from 1 to 16"):
            ExpandingRing(ttls)
    with pytest.raises(ValueError, match=r"Ball.ttl is 17; it must be at most 16"):
        Ball(17)
    with pytest.raises(ValueError, match="takes 0 to 5 us"):
        Roads(0, 5, 0)


def test_bytes_are_messages_by_their_sizes() -> None:
    told = TtlFlood(2).search(scene(topologies.ring(7), held_by([1])), asked((0, 0)))
    assert told.kinds[0, [Kind.ASK, Kind.PART]].tolist() == [4, 1]
    assert told.messages.tolist() == [5]
    assert told.bytes.tolist() == [4 * 285 + 1_086]
