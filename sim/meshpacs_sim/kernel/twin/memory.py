"""A memory laid out for one run: where everything lies, and what is known beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.kernel.apart import Words, entry
from meshpacs_sim.kernel.twin import words as w
from meshpacs_sim.kernel.twin.plans import Plan, Scene
from meshpacs_sim.kernel.twin.play import WHOLE, play
from meshpacs_sim.kernel.twin.rows import WIDTH


@dataclass(frozen=True, eq=False)
class Setting:
    """What a run is a function of."""

    graph: Csr
    numbers: Mapping[int, int]
    """Of the world, the engine's settings and limits, by their places (`words.SEED` and on)."""
    delays_us: Sequence[int]
    """Of each host's archive."""
    holders: Sequence[int]
    """Hosts whose archives answer with one row."""
    broken: Sequence[int]
    """Hosts whose archives cannot be searched."""
    plans: Sequence[Plan]
    scenes: Sequence[Scene]
    until: int


@dataclass(frozen=True, eq=False)
class Told:
    """What a run has told."""

    rows: Words
    """Shape (rows, WIDTH)."""
    calls: int
    """How often an engine was called."""


def told(setting: Setting) -> Told:
    """Run it; with more room again where that was too little."""
    run, room = entry(play), 1
    while True:
        memory = _laid(setting, room)
        if run(memory, setting.until) == WHOLE:
            first, count = int(memory[w.ROWS]), int(memory[w.ROWS_COUNT])
            rows = memory[first : first + count * WIDTH].reshape(count, WIDTH)
            return Told(rows.copy(), int(memory[w.CALLS]))
        room *= 2


def _laid(setting: Setting, room: int) -> Words:
    """`room` says how generous to be where nobody can tell beforehand."""
    graph, n, ends = setting.graph, setting.graph.size, len(setting.graph.ends)
    queries = max(1, sum(len(plan.ttls) for plan in setting.plans))
    events = room * (4 * ends + 8 * n + 1024)
    waves, children, rows = room * (n + 64), room * (ends + n + 64), room * 8 * (ends + 8 * n + 512)
    at, places = w.HOSTS + n * w.HOST, {}
    for name, count in (
        (w.ENDS, ends * w.END),
        (w.ENDS_STOP, ends),
        (w.PAIRS, n * n * w.PAIR),
        (w.MEETINGS, n * n * w.MEETING),
        (w.COPIES, n * queries * w.COPY),
        (w.QUERY_RECORDS, queries * w.QUERY),
        (w.MEMBERS, queries * n * w.MEMBER),
        (w.WAITING, queries * n),
        (w.PLANS, len(setting.plans) * w.PLAN),
        (w.SCENES, len(setting.scenes) * w.SCENE),
        (w.DIALLED, events + 1),
        (w.ROADS_NEXT, events * w.ROAD),
        (w.HEAP, events * 3),
        (w.ROWS, rows * WIDTH),
        (w.FREE_EVENT, events * w.EVENT),
        (w.FREE_WAVE, waves * w.WAVE),
        (w.FREE_CHILD, children * w.CHILD),
    ):
        places[name] = at
        at += count
    memory = np.zeros(at, np.int64)
    for name, value in (*places.items(), *setting.numbers.items()):
        memory[name] = value
    memory[w.COUNT], memory[w.QUERY_ROOM], memory[w.ROWS_ROOM] = n, queries, rows
    memory[w.EVENTS_LEFT] = memory[w.ROADS_LEFT] = memory[w.DIALLED_ROOM] = events
    memory[w.WAVES_LEFT], memory[w.CHILDREN_LEFT] = waves, children
    _chain(memory, places[w.FREE_EVENT], events, w.EVENT, w.EVENT_NEXT)
    _chain(memory, places[w.FREE_WAVE], waves, w.WAVE, w.WAVE_AFTER)
    _chain(memory, places[w.FREE_CHILD], children, w.CHILD, w.CHILD_AFTER)
    _link(memory, graph)
    _people(memory, setting)
    return memory


def _records(memory: Words, first: int, count: int, words: int) -> Words:
    return memory[first : first + count * words].reshape(count, words)


def _chain(memory: Words, first: int, count: int, words: int, link: int) -> None:
    """Records that are all free, each leading to the next."""
    _records(memory, first, count, words)[:, link] = first + words * np.arange(1, count + 1)


def _link(memory: Words, graph: Csr) -> None:
    """Both ends of every link, each told where the other is."""
    first, count = int(memory[w.ENDS]), len(graph.ends)
    ends, hosts = np.asarray(graph.ends), np.repeat(np.arange(graph.size), graph.degrees)
    records = _records(memory, first, count, w.END)
    records[:, w.END_HOST], records[:, w.END_PEER] = hosts, ends
    # Ends lie sorted by (host, peer); sorted by (peer, host) they are the other ends in order.
    records[np.lexsort((hosts, ends)), w.END_BACK] = first + w.END * np.arange(count)
    for field in (w.END_KEEP_AT, w.END_WATCH_AT, w.END_FIRST_CHILD, w.END_LAST_CHILD):
        records[:, field] = -1
    people = _records(memory, w.HOSTS, graph.size, w.HOST)
    people[:, w.HOST_ENDS] = first + w.END * graph.starts[:-1]
    people[:, w.HOST_ENDS_STOP] = first + w.END * graph.starts[1:]
    people[:, w.HOST_ORDER] = memory[w.ENDS_STOP] + graph.starts[:-1]


def _people(memory: Words, setting: Setting) -> None:
    """Archives, questions and what the scenario does."""
    people = _records(memory, w.HOSTS, setting.graph.size, w.HOST)
    people[:, w.HOST_DELAY_US] = setting.delays_us
    people[list(setting.holders), w.HOST_ROWS] = 1
    people[list(setting.broken), w.HOST_ROWS] = -1
    plans = _records(memory, int(memory[w.PLANS]), len(setting.plans), w.PLAN)
    for record, plan in zip(plans, setting.plans, strict=True):
        record[w.PLAN_ORIGIN], record[w.PLAN_BUDGET_US] = plan.origin, plan.budget_us
        record[w.PLAN_QUERY], record[w.PLAN_STEPS] = -1, len(plan.ttls)
        record[w.PLAN_TTL : w.PLAN_TTL + len(plan.ttls)] = plan.ttls
    memory[w.SCENES_COUNT] = len(setting.scenes)
    if setting.scenes:
        scenes = _records(memory, int(memory[w.SCENES]), len(setting.scenes), w.SCENE)
        scenes[:] = setting.scenes
