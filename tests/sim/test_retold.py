"""What one world decided by chance another can be told: then it costs the same to the byte."""

import random
from collections import Counter

import pytest

from meshpacs.model.ids import MILLISECOND, SECOND
from meshpacs.model.query import Ball, Everyone, Scope
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.network import UNIT, Latency
from meshpacs_sim.world.retold import Retold, Step, order_of
from meshpacs_sim.world.world import World

JUMPY = Latency(low_us=1, high_us=1, jitter_us=10_000)
"""Every message takes as long as it likes, as on a busy machine."""

QUESTIONS: list[tuple[int, Scope]] = [
    *((origin, Everyone()) for origin in (*range(12), *range(12))),
    *((origin, Ball(ttl)) for origin in (0, 5, 11) for ttl in (1, 2, 3, 4, 6)),
]
"""Enough that the numbers of copies come to take two bytes, from 128 on."""

Cost = dict[str, int]


def ask(world: World, measures: Measures, origin: int, scope: Scope) -> tuple[Asking, Counter[str]]:
    before = measures.bytes.copy()
    asking = world.ask(origin, scope=scope)
    return asking, before


def settle(world: World, measures: Measures, asking: Asking, before: Counter[str]) -> Cost:
    world.finish(asking)
    world.run(world.now + 200 * MILLISECOND)
    cost = {f"{name} messages": count for name, count in measures.of(asking.query_id).flood.items()}
    for name in ("Ask", "Got", "Closed", "Part"):
        cost[f"{name} bytes"] = measures.bytes[name] - before[name]
    return cost


def steps(world: World, asking: Asking) -> dict[int, list[Step]]:
    """What a researcher would read at every node: `meshpacs trails QUERY`."""
    told: dict[int, list[Step]] = {}
    for host in world.hosts:
        assert host.engine is not None
        for trail in host.engine.trails.all():
            if trail.query_id == asking.query_id:
                told[host.index] = [
                    Step(world.index[step.parent], step.hops, step.ttl)
                    for step in trail.passes
                    if step.parent is not None
                ]
    return told


def first(seed: int, graph: Graph) -> tuple[list[Cost], list[dict[int, list[Step]]], World]:
    measures = Measures(sizes=True)
    chance = random.Random(seed)
    order = [chance.sample(peers, len(peers)) for peers in graph.neighbours]
    world = World(seed, graph, latency=JUMPY, observers=[measures], order=order)
    world.run(SECOND)
    costs, told = [], []
    for origin, scope in QUESTIONS:
        asking, before = ask(world, measures, origin, scope)
        costs.append(settle(world, measures, asking, before))
        told.append(steps(world, asking))
    return costs, told, world


def links_of(world: World) -> list[list[int]]:
    order = []
    for host in world.hosts:
        assert host.engine is not None
        passes = [step for trail in host.engine.trails.all() for step in trail.passes]
        order.append(order_of([world.index[node] for node in step.children] for step in passes))
    return order


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("latency", [UNIT, Latency(), JUMPY], ids=["unit", "usual", "jumpy"])
def test_a_world_that_is_told_what_came_first_costs_the_same_to_the_byte(
    seed: int, latency: Latency
) -> None:
    graph = topologies.regular(12, 4, seed)
    costs, told, world = first(seed, graph)
    measures = Measures(sizes=True)
    # Other names and other roads; what is the same it was told.
    other = Retold(seed + 100, graph, links_of(world), latency=latency, observers=[measures])
    other.run(SECOND)
    for number, (origin, scope) in enumerate(QUESTIONS):
        asking, before = ask(other, measures, origin, scope)
        other.retell(asking, told[number])
        assert settle(other, measures, asking, before) == costs[number], (seed, number)
        assert not other.missing(asking)
        assert steps(other, asking) == told[number], (seed, number)


def test_only_the_order_of_links_tells_how_long_numbers_are() -> None:
    graph = topologies.regular(12, 4, 0)
    costs, told, _ = first(0, graph)
    measures = Measures(sizes=True)
    other = Retold(100, graph, graph.neighbours, observers=[measures])
    other.run(SECOND)
    apart = []
    for number, (origin, scope) in enumerate(QUESTIONS):
        asking, before = ask(other, measures, origin, scope)
        other.retell(asking, told[number])
        cost = settle(other, measures, asking, before)
        apart.append({name for name in cost if cost[name] != costs[number][name]})
    assert set().union(*apart) <= {"Part bytes", "Ask bytes", "Got bytes", "Closed bytes"}
    assert any("Part bytes" in names for names in apart)


def test_a_world_that_is_not_told_costs_something_else() -> None:
    graph = topologies.regular(12, 4, 0)
    costs, _, world = first(0, graph)
    measures = Measures(sizes=True)
    other = Retold(100, graph, links_of(world), latency=UNIT, observers=[measures])
    other.run(SECOND)
    parts = 0
    for origin, scope in QUESTIONS:
        asking, before = ask(other, measures, origin, scope)
        parts += settle(other, measures, asking, before)["Part bytes"]
    assert parts < 0.95 * sum(cost["Part bytes"] for cost in costs)


def test_what_cannot_have_been_is_told_as_missing() -> None:
    graph = topologies.ring(4)
    world = Retold(1, graph, graph.neighbours, latency=UNIT)
    world.run(SECOND)
    asking = world.ask(0)
    never = Step(3, 7, 0)
    world.retell(asking, {1: [Step(0, 1, 0)], 2: [never], 3: [Step(0, 1, 0)]})
    world.finish(asking)
    assert world.missing(asking) == {2: never}


def test_an_order_is_put_together_of_lists_that_each_lack_somebody() -> None:
    assert order_of([(3, 1, 4), (1, 5), (3, 4, 5)]) == [3, 1, 4, 5]
    with pytest.raises(ValueError, match="has changed"):
        order_of([(1, 2), (2, 1)])
