"""Scenarios for both: a mesh, its roads and archives, what is asked when, and who fails when.

Each is a function of its seed, by counter-based draws.
"""

from dataclasses import dataclass, field

from meshpacs.engine.draws import Draws
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.kernel.twin.acts import ASK_PLAN, CANCEL_PLAN, CRASH, CRASH_DARK, RESTART
from meshpacs_sim.kernel.twin.plans import Plan, Scene
from meshpacs_sim.world.network import UNIT, Latency

BUDGETS = (10_000, 10_000, 30_000, 3_000, 1_000, 400, 150)
"""Milliseconds that a query may take: so few, too, that time runs out in the middle of a flood."""

WIDTHS = ((1, 2, 4), (1, 2, 3, 5, 8), (2, 4, 16), (1, 3))
"""Of rings; the last width is asked for even where nobody holds anything."""

BURST = 30
"""Questions of one node at once: more than its budget lets out (PROTOCOL 4.6)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that both sides are told."""

    seed: int
    graph: Graph
    latency: Latency
    relink_us: Micros
    """How often links that are gone are dialled again."""
    delays_us: tuple[Micros, ...]
    """Of each host's archive."""
    holders: tuple[int, ...]
    broken: tuple[int, ...]
    plans: tuple[Plan, ...]
    scenes: tuple[Scene, ...]
    """In the order of their times."""
    until: Micros


def scenario(seed: int) -> Scenario:
    """One of the campaign's scenarios: most are small, some have up to 2,000 nodes."""
    draws = Draws(seed, b"twins")
    size, most_plans = _size(draws)
    graph = _graph(seed, size, draws)
    script = _Script()
    _questions(script, graph.size, most_plans, draws)
    _failures(script, graph.size, draws)
    if graph.size <= 200:
        match draws.below("plot", 8):
            case 0:
                _overtaken(script, graph, draws)
            case 1:
                _deserted(script, graph, draws)
            case _:
                pass
    plans, scenes = script.plans, script.scenes
    last = max(at for at, _, _ in scenes)
    # Small meshes live long enough for keepalives to be due, and for dark neighbours to be given
    # up after three of them.
    calm = (5 if graph.size > 200 else (8, 35, 130)[draws.below("calm", 3)]) * SECOND
    return Scenario(
        seed,
        graph,
        _latency(draws),
        (300 + draws.below("relink", 3_000)) * MILLISECOND,
        _delays(graph.size, draws),
        _some(graph.size, draws.below("holders", 4), "holder", draws),
        _some(graph.size, draws.below("broken", 3), "broken one", draws),
        tuple(plans),
        tuple(sorted(scenes)),
        last + max(plan.budget_us for plan in plans) // 3 + calm,
    )


def _size(draws: Draws) -> tuple[int, int]:
    """How many nodes, and at most how many questions."""
    kind = draws.below("kind", 100)
    if kind < 70:
        return 4 + draws.below("size", 37), 8
    if kind < 93:
        return 41 + draws.below("size", 160), 6
    if kind < 98:
        return 201 + draws.below("size", 500), 3
    return 701 + draws.below("size", 1_300), 2


def _graph(seed: int, size: int, draws: Draws) -> Graph:
    match draws.below("shape", 6):
        case 0:
            return topologies.complete(min(size, 12))
        case 1:
            return topologies.random(size, 2.5 + draws.below("degree", 6), seed)
        case 2:
            width = 2 + draws.below("width", 40)
            return topologies.grid(width, max(2, size // width))
        case 3:
            return topologies.power_law(size, 1 + draws.below("links", 3), seed)
        case 4:
            return topologies.ring(3 + min(size, 60))
        case _:
            return topologies.regular(
                size + size % 2, min(3 + draws.below("degree", 6), size - 1), seed
            )


def _latency(draws: Draws) -> Latency:
    """A building's to a continent's roads; and some on which every hop takes equally long."""
    if draws.below("unit", 6) == 0:
        return UNIT
    low = 100 + draws.below("low", 20 * MILLISECOND)
    spread = draws.below("spread", (5, 40, 300)[draws.below("wide", 3)] * MILLISECOND)
    return Latency(low, low + spread, draws.below("jitter", 30 * MILLISECOND))


def _some(size: int, count: int, purpose: str, draws: Draws) -> tuple[int, ...]:
    return tuple(sorted({draws.below(purpose, size) for _ in range(count)}))


def _delays(size: int, draws: Draws) -> tuple[Micros, ...]:
    """Of each archive; in some meshes one in four is slow enough to be waited for."""
    slow = draws.below("slow", 3) == 0
    return tuple(
        draws.below("long", 3 * SECOND)
        if slow and draws.below("slow one", 4) == 0
        else 500 + draws.below("delay", 20 * MILLISECOND)
        for _ in range(size)
    )


@dataclass(slots=True)
class _Script:
    """What is asked, and when what happens, as far as it is written."""

    plans: list[Plan] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)

    def ask(self, at: Micros, origin: int, ttls: tuple[int, ...], budget_us: Micros) -> None:
        """Let a node ask something."""
        self.scenes.append((at, ASK_PLAN, len(self.plans)))
        self.plans.append(Plan(origin, ttls, min(budget_us, 30 * SECOND)))

    def fail(self, at: Micros, host: int, away_us: Micros = 0, *, dark: bool = False) -> None:
        """Let a node go, and perhaps come back."""
        self.scenes.append((at, CRASH_DARK if dark else CRASH, host))
        if away_us:
            self.scenes.append((at + away_us, RESTART, host))


def _questions(script: _Script, size: int, most: int, draws: Draws) -> None:
    at = draws.below("first", 2 * SECOND)
    for _ in range(1 + draws.below("questions", most)):
        origin = draws.below("origin", size)
        budget_us = BUDGETS[draws.below("budget", len(BUDGETS))] * MILLISECOND
        budget_us += draws.below("odd", MILLISECOND)
        burst = BURST if size <= 20 and draws.below("burst", 20) == 0 else 1
        for _ in range(burst):
            script.ask(at, origin, _ttls(draws), budget_us)
        if draws.below("cancel", 8) == 0:
            later = at + 1 + draws.below("patience", 400 * MILLISECOND)
            script.scenes.append((later, CANCEL_PLAN, len(script.plans) - 1))
        at += draws.below("pause", (SECOND, 100 * MILLISECOND, 8 * SECOND)[draws.below("pace", 3)])


def _ttls(draws: Draws) -> tuple[int, ...]:
    match draws.below("scope", 5):
        case 0 | 1:
            return (0,)
        case 2 | 3:
            return (1 + draws.below("ttl", 8),)
        case _:
            return WIDTHS[draws.below("widths", len(WIDTHS))]


def _failures(script: _Script, size: int, draws: Draws) -> None:
    """Nodes that go in the middle of queries, with their machine or without, and mostly return."""
    asked = [at for at, _, _ in script.scenes]
    most = 1 + min(size // 3, 20)
    for _ in range(draws.below("failures", most) if draws.below("calm", 5) else 0):
        host = draws.below("failing", size)
        at = asked[draws.below("about", len(asked))]
        at += draws.below("when", (300 * MILLISECOND, 3 * SECOND)[draws.below("near", 2)])
        away_us = (200 * MILLISECOND, 3 * SECOND, 30 * SECOND)[draws.below("away", 3)]
        away_us = 1 + draws.below("restart", away_us) if draws.below("return", 4) else 0
        script.fail(at, host, away_us, dark=draws.below("dark", 2) == 0)


def _overtaken(script: _Script, graph: Graph, draws: Draws) -> None:
    """A node asks, dies, comes back at once and asks again: its older query is still under way.

    Where the newer one is first, the older is that of a former life (PROTOCOL 4.5); and answers to
    the older come under tokens that mean something else by now.
    """
    at = 3 * SECOND + draws.below("plot at", SECOND)
    for _ in range(2):
        origin = draws.below("plotter", graph.size)
        script.ask(at, origin, (0,), 10 * SECOND)
        died = at + 1 + draws.below("dies", 80 * MILLISECOND)
        script.fail(died, origin, 1 + draws.below("back", 30 * MILLISECOND))
        for _ in range(3):
            again = at + 300 * MILLISECOND + draws.below("again", 1_500 * MILLISECOND)
            script.ask(again, origin, (0,), 10 * SECOND)
        at += 6 * SECOND


def _deserted(script: _Script, graph: Graph, draws: Draws) -> None:
    """A node asks often, and a neighbour loses all others: it takes the mesh to be smaller.

    How often an origin may ask hangs on how many neighbours the one has who judges it (PROTOCOL
    4.6), so that this one finds itself too busy.
    """
    at = 3 * SECOND + draws.below("plot at", SECOND)
    origin = draws.below("plotter", graph.size)
    near = graph.neighbours[origin]
    judge = near[draws.below("judge", len(near))]
    for turn in range(18):
        script.ask(at + turn * MILLISECOND, origin, (1,), 3 * SECOND)
    for other in graph.neighbours[judge]:
        if other != origin:
            script.fail(at + 30 * MILLISECOND, other)
    for _ in range(2):
        again = at + 60 * MILLISECOND + draws.below("again", 200 * MILLISECOND)
        script.ask(again, origin, _ttls(draws), 3 * SECOND)
