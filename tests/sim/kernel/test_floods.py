"""Compiled floods do what the world's engines do, message for message, and what paper says."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from benches import sim_heap
from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import Micros
from meshpacs.model.query import Ball, Everyone
from meshpacs.wire.messages import Ask, Message
from meshpacs_sim.graphs import identities, random_graphs, topologies
from meshpacs_sim.graphs.csr import from_graph
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.kernel import events, rounds
from meshpacs_sim.world import faults
from meshpacs_sim.world.network import UNIT, Latency
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World

GRAPHS = (
    topologies.regular(60, 4, 1),
    topologies.power_law(80, 2, 2),
    topologies.grid(6, 9),
    topologies.ring(31),
    topologies.complete(12),
)


@dataclass
class Asks(Observer):
    """Every Ask as it arrived."""

    ball: bool
    first: dict[int, tuple[Micros, int]] = field(default_factory=dict)
    received: Counter[int] = field(default_factory=Counter)
    hops: dict[int, int] = field(default_factory=dict)

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        if isinstance(message, Ask):
            self.first.setdefault(dst, (now, src))
            self.received[dst] += 1
            known = self.hops.setdefault(dst, message.hops)
            if self.ball:
                self.hops[dst] = min(message.hops, known)


def in_the_world(
    graph: Graph, seed: int, latency: Latency, origin: int, ttl: int, down: tuple[int, ...] = ()
) -> tuple[Asks, Micros]:
    asks = Asks(ball=ttl > 0)
    world = World(seed, graph, latency=latency, observers=[asks])
    for node in down:
        faults.crash(world, node)
    world.run(1_000_000)
    asking = world.ask(origin, scope=Ball(ttl) if ttl else Everyone())
    world.finish(asking)
    return asks, asking.asked_at


def same(asks: Asks, began: Micros, found: events.Arrivals, origin: int) -> None:
    size = len(found.hops)
    others = [node for node in range(size) if found.arrived_us[node] >= 0 and node != origin]
    assert {n: (began + int(found.arrived_us[n]), int(found.senders[n])) for n in others} == {
        node: first for node, first in asks.first.items() if node != origin
    }
    assert {n: int(found.hops[n]) for n in others} == {
        node: hops for node, hops in asks.hops.items() if node != origin
    }
    assert {n: int(c) for n, c in enumerate(found.received) if c} == dict(asks.received)
    assert found.messages == sum(asks.received.values())


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("ttl", [0, 1, 3])
def test_a_flood_by_events_is_the_worlds(graph: Graph, ttl: int) -> None:
    latency = Latency(2_000, 40_000, 0)  # a jitter is drawn by turns, and pings take turns, too
    for seed in (1, 2):
        asks, began = in_the_world(graph, seed, latency, seed, ttl)
        found = events.flood(from_graph(graph), seed, seed, jitter_us=0, ttl=ttl)
        same(asks, began, found, seed)


def test_who_is_down_has_no_links() -> None:
    graph, down = topologies.regular(60, 4, 3), (5, 9, 17, 18, 40)
    up = np.ones(graph.size, np.bool_)
    up[list(down)] = False
    asks, began = in_the_world(graph, 7, UNIT, 0, 0, down)
    unit = UNIT.low_us
    by_events = events.flood(from_graph(graph), 0, 7, low_us=unit, high_us=unit, jitter_us=0, up=up)
    same(asks, began, by_events, 0)
    in_rounds = rounds.flood(from_graph(graph), 0, up=up)
    assert in_rounds.messages == by_events.messages
    assert (in_rounds.senders == by_events.senders).all()
    for asker in down:
        with pytest.raises(ValueError, match="down"):
            rounds.flood(from_graph(graph), asker, up=up)
        with pytest.raises(ValueError, match="down"):
            events.flood(from_graph(graph), asker, 1, up=up)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_at_unit_latency_rounds_are_the_events_and_the_worlds(graph: Graph) -> None:
    csr, origin = from_graph(graph), 3
    for ttl in (0, 1, 2, 4):
        asks, began = in_the_world(graph, 1, UNIT, origin, ttl)
        by_events = events.flood(
            csr, origin, 1, low_us=10_000, high_us=10_000, jitter_us=0, ttl=ttl
        )
        same(asks, began, by_events, origin)
        in_rounds = rounds.flood(csr, origin, ttl)
        assert (in_rounds.hops() == by_events.hops).all()
        assert (in_rounds.senders == by_events.senders).all()
        assert in_rounds.messages == by_events.messages
        assert in_rounds.duplicates == by_events.duplicates
        assert in_rounds.reached.sum() == by_events.reached == len(in_rounds.order)
        for hops, count in enumerate(in_rounds.reached):
            assert count == (in_rounds.hops() == hops).sum()


def test_both_cost_what_is_counted_on_paper() -> None:
    for graph in GRAPHS:
        csr, cost = from_graph(graph), identities.everyone(graph)
        for flood in (rounds.flood(csr, 1), events.flood(csr, 1, 5)):
            assert (flood.messages, flood.duplicates) == (cost.asks, cost.repeats)
        for ttl in (1, 2, 3):
            least = identities.ball_asks_at_least(graph, 1, ttl)
            assert rounds.flood(csr, 1, ttl).messages == least
            kept = events.flood(csr, 1, 5, ttl=ttl)
            assert tuple(np.flatnonzero(kept.hops >= 0)) == identities.ball(graph, 1, ttl)
            assert kept.messages >= least


def test_events_are_those_of_pythons_heap_with_jitter_and_both_rules() -> None:
    base, jitter = word(b"latency base"), word(b"latency jitter")
    lost = 0
    # With the last of these many a copy would overtake one that was sent before it.
    roads = ((1, 2_000, 40_000, 5_000), (2, 1, 3, 1), (3, 700, 90_000, 0), (4, 900, 9_000, 80_000))
    for seed, low, high, shake in roads:
        graph = topologies.random(400, 6, seed)

        def latency(src: int, dst: int, turn: int, seed: int = seed, low: int = low,
                    width: int = high - low + 1, shake: int = shake) -> int:  # fmt: skip
            place = (src << 32) + dst
            start = low + draw(seed, place, base, 0) % width
            return start + draw(seed, place, jitter, turn % 8) % (shake + 1)

        for ttl, again in ((0, False), (4, True), (4, False)):
            found = events.flood(
                from_graph(graph), 9, seed, low_us=low, high_us=high, jitter_us=shake,
                ttl=ttl, again=again,
            )  # fmt: skip
            plain = sim_heap.flood(graph.neighbours, 9, latency, ttl=ttl, again=again)
            assert found.messages == plain.messages, (seed, ttl, again)
            assert found.arrived_us.tolist() == plain.arrived_us, (seed, ttl, again)
            assert found.senders.tolist() == plain.senders, (seed, ttl, again)
            assert found.hops.tolist() == plain.hops, (seed, ttl, again)
            assert found.received.tolist() == plain.received, (seed, ttl, again)
            if ttl and not again:
                lost += len(identities.ball(graph, 9, ttl)) - found.reached
    assert lost > 0, "first copies alone lose part of a ball where latencies differ"


def test_many_copies_of_one_moment_come_in_the_order_of_their_senders() -> None:
    graph = random_graphs.regular(6_000, 4, 1)
    found = events.flood(graph, 0, 1, low_us=5_000, high_us=5_000, jitter_us=0)
    in_rounds = rounds.flood(graph, 0)
    assert (found.senders == in_rounds.senders).all()
    ends = np.cumsum(in_rounds.reached)
    for level in np.split(in_rounds.order, ends[:-1]):
        assert (np.diff(level) > 0).all()


def test_messages_that_take_no_time_are_refused() -> None:
    csr = from_graph(topologies.ring(5))
    for low, high, jitter in ((0, 5, 0), (5, 4, 0), (5, 6, -1)):
        with pytest.raises(ValueError, match="impossible"):
            events.flood(csr, 0, 1, low_us=low, high_us=high, jitter_us=jitter)
