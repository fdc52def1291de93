"""Campaigns: many worlds, each from one seed, held to what must be seen.

Each returns what it counted and raises `Violation` (or the checkers do) with the seed where a rule
is broken.
"""

from dataclasses import dataclass

from meshpacs.engine.draws import Draws
from meshpacs.model.answer import Status
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs.model.query import Ball, Everyone
from meshpacs_sim.graphs import identities, topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.trials.checkers import Violation
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.network import UNIT, Latency
from meshpacs_sim.world.world import World

LONGEST_US: Micros = 30 * SECOND
"""The longest budget that a query may have: deep rings and sheets need it. PROTOCOL 4.4."""

QUIET_US: Micros = 2 * SECOND
"""After a final, so long until the last Closed of the flood has come; 30 links of 60 ms."""

WIDEST_TTL = 6
"""Balls of 1 to so many hops are asked for; beyond it nearly all hold everybody."""


@dataclass(slots=True)
class Flooded:
    """What one world of the identities campaign has shown."""

    graph: Graph
    queries: int = 0
    asks: int = 0
    events: int = 0
    slowest_us: Micros = 0


def shape(seed: int) -> Graph:
    """One of the graphs of the campaign: every kind in turn, of 4 to 200 nodes.

    Every other one is small (up to 40): that is where the edges of rules lie, and quick.
    """
    draws = Draws(seed, b"campaign shape")
    size = 4 + draws.below("size", 37 if seed // 5 % 2 else 197)
    match seed % 5:
        case 0:
            degree = 3 + draws.below("degree", 6)
            even = size + (size * degree) % 2
            return topologies.regular(max(even, degree + 2 - degree % 2), degree, seed)
        case 1:
            return topologies.random(size, 2.5 + draws.below("degree", 8), seed)
        case 2:
            width = 2 + draws.below("width", 13)
            return topologies.grid(width, max(2, min(size // width, 14)))
        case 3:
            return topologies.power_law(size, 1 + draws.below("links", 3), seed)
        case _:
            return topologies.ring(3 + draws.below("ring", 60))


def weather(seed: int) -> Latency:
    """How long the roads of one world are: from a building's to a continent's."""
    draws = Draws(seed, b"campaign weather")
    low = 200 + draws.below("low", 20 * MILLISECOND)
    return Latency(low, low + draws.below("spread", 40 * MILLISECOND), draws.below("jitter", 5000))


def identities_hold(seed: int) -> Flooded:
    """One graph with random latencies: everybody is asked, then balls of every width.

    Raises:
        Violation: a count, a ball or a time is not what PROTOCOL 4.7 says.
    """
    measures, graph = Measures(), shape(seed)
    world = World(seed, graph, latency=weather(seed), observers=[measures, *safety()])
    world.run(SECOND)
    draws = Draws(seed, b"campaign origin")
    shown = Flooded(graph)
    _everyone(world, measures, shown, draws.below("origin", graph.size))
    for ttl in ttls(seed):
        _ball(world, measures, shown, draws.below("origin", graph.size), ttl)
    world.run(world.now + LONGEST_US + 2 * SECOND)
    world.end()
    shown.events = world.events
    return shown


def unit_latency_is_exact(seed: int) -> None:
    """With every hop equally long a ball costs M(t) Asks and not one more.

    Raises:
        Violation: it cost another number.
    """
    measures, graph = Measures(), shape(seed)
    world = World(seed, graph, latency=UNIT, observers=[measures, *safety()])
    world.run(SECOND)
    origin = Draws(seed, b"campaign origin").below("unit", graph.size)
    for ttl in ttls(seed):
        asking = world.ask(origin, scope=Ball(ttl), budget_us=LONGEST_US)
        world.finish(asking)
        world.run(world.now + QUIET_US)
        asks = measures.of(asking.query_id).flood["Ask"]
        _equal(world, f"Asks of a ball of {ttl}", asks, _least(graph, origin, ttl))


def ttls(seed: int) -> range:
    """Odd widths on every other graph, even ones on the rest."""
    return range(1 + seed // 10 % 2, WIDEST_TTL + 1, 2)


def _everyone(world: World, measures: Measures, shown: Flooded, origin: int) -> None:
    asking = world.ask(origin, scope=Everyone(), budget_us=LONGEST_US)
    world.finish(asking)
    world.run(world.now + QUIET_US)
    tally, cost = measures.of(asking.query_id), identities.everyone(world.graph)
    _equal(world, "Asks", tally.flood["Ask"], cost.asks)
    _equal(world, "repeats", tally.repeats, cost.repeats)
    _equal(world, "Got", tally.flood["Got"], cost.asks)
    _equal(world, "Closed", tally.flood["Closed"], cost.closeds)
    _equal(world, "recalls", sum(tally.recall.values()), 0)
    _equal(world, "evaluations", sorted(tally.evaluated), list(range(world.graph.size)))
    shown.queries += 1
    shown.asks += tally.flood["Ask"]
    shown.slowest_us = max(shown.slowest_us, asking.took_us)


def _ball(world: World, measures: Measures, shown: Flooded, origin: int, ttl: int) -> None:
    asking = world.ask(origin, scope=Ball(ttl), budget_us=LONGEST_US)
    world.finish(asking)
    world.run(world.now + QUIET_US)
    tally = measures.of(asking.query_id)
    ball = identities.ball(world.graph, origin, ttl)
    _equal(world, f"hosts asked by a ball of {ttl}", sorted(tally.evaluated), list(ball))
    answered = [] if asking.report is None else asking.report.members
    _equal(
        world,
        f"members answered in a ball of {ttl}",
        sorted(world.index[m.node] for m in answered if m.status is Status.ANSWERED),
        list(ball),
    )
    asks, least = tally.flood["Ask"], _least(world.graph, origin, ttl)
    if asks < least:
        raise Violation("Identities", world, f"a ball of {ttl} cost {asks} Asks, not {least}")
    _equal(world, "Closed", tally.flood["Closed"], asks)
    _equal(world, "recalls", sum(tally.recall.values()), 0)
    shown.queries += 1
    shown.asks += asks


def _least(graph: Graph, origin: int, ttl: int) -> int:
    return identities.ball_asks_at_least(graph, origin, ttl)


def _equal(world: World, what: str, seen: object, due: object) -> None:
    if seen != due:
        raise Violation("Identities", world, f"{what}: {seen} instead of {due}")
