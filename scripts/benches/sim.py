"""How fast the simulator is: kernel and engine, beside SimPy and a plain heap in the same run."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benches.figure import Figure, Goal, at_least, under
from benches.ground import Ground, Unmeasurable
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.statistics.intervals import Estimate

DEGREE = 8
SIZES = (1_000, 10_000, 100_000, 1_000_000)
PEERS_UP_TO = 100_000
"""Nodes up to which the peers are measured: with a million they take minutes and gigabytes."""

ENGINES = (300, 1_000, 2_000)

SERIES = {
    "rounds": "kernel, in rounds",
    "events": "kernel, a latency a message",
    "heap": "plain Python heap",
    "simpy": "SimPy",
    "engine": "engines in the world (calls)",
}

HOW = {
    "rounds": "every hop takes equally long",
    "events": "2 to 40 ms by direction and up to 5 ms by message, drawn for every message",
    "heap": "heapq; 2 to 45 ms by random.random()",
    "simpy": "a Timeout with a callback for every message; the same latencies",
}

GOALS: dict[tuple[str, int], Goal] = {
    ("rounds", 1_000_000): at_least(30),
    ("events", 1_000_000): at_least(2),
    ("events", 10_000): at_least(7),
    ("engine", 1_000): at_least(50),
}
"""Millions of messages a second; of engines thousands of events."""

AMONG_PEERS = 10_000
"""Nodes of the mesh at which all contenders are compared."""

CHILD_S = 1_800
"""Longest that one measurement may take. A guess: ten times what the longest took."""

MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Grown:
    """Rates at one size, by contender; in millions a second, a value for each round."""

    size: int
    rates: Mapping[str, tuple[float, ...]]
    seconds: Mapping[str, tuple[float, ...]]


def bench(ground: Ground) -> list[Figure]:
    """Compilation, floods of all sizes, memory, engines; every figure from a process of its own."""
    sizes = SIZES[:2] if ground.quick else SIZES
    compilation = _compilation(ground)
    grown, weights = [], []
    with ground.memory_room("sim") as room:
        for size in sizes:
            graph = room / f"graph-{size}"
            ground.say(f"a random regular graph of {size:,} nodes of degree {DEGREE}")
            made = _child("making", graph=str(graph), size=size, degree=DEGREE, seed=ground.seed)
            grown.append(_floods(ground, graph, size, made["asks"]))
            if size == sizes[-1]:
                weights = _memory(ground, graph, size)
    engines = _engines(ground)
    if ground.pictures is not None:
        draw([*grown, *engines], ground.pictures)
    figures = [
        _quickest(grown[-1]),
        *weights,
        *_beside_peers(next(each for each in grown if each.size == AMONG_PEERS)),
        *map(_engine, engines),
        *compilation,
    ]
    told = {figure.name for figure in figures}
    rates = (_rate(each, contender) for each in grown for contender in each.rates)
    return figures + [rate for rate in rates if rate.name not in told]


# ---------------------------------------------------------------- measuring


def _child(task: str, env: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    scripts = str(Path(__file__).parents[1])
    paths = [scripts, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})}
    done = subprocess.run(
        [sys.executable, "-m", "benches.sim_measured", task, json.dumps(options)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise Unmeasurable(f"{task} of {options}: {last[0]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _compilation(ground: Ground) -> list[Figure]:
    """From nothing, then from what the first time has left beside."""
    fresh: dict[str, list[float]] = {"rounds": [], "events": []}
    again: dict[str, list[float]] = {"rounds": [], "events": []}
    for number in range(ground.rounds):
        ground.say(f"compilation {number + 1}")
        with ground.room(f"compiled-{number}") as room:
            for kept in (fresh, again):
                took = _child("compiling", {"NUMBA_CACHE_DIR": str(room)})
                for kernel, values in kept.items():
                    values.append(took[kernel])
    how = "processor time of a first flood of 64 nodes"
    return [
        Figure(f"compilation, {SERIES[kernel]}", "s", tuple(values), f"{how}, {when}")
        for when, kept in (("nothing kept", fresh), ("compiled before", again))
        for kernel, values in kept.items()
    ]


def _floods(ground: Ground, graph: Path, size: int, asks: int) -> Grown:
    contenders = ["rounds", "events"]
    if size <= PEERS_UP_TO:
        contenders += ["heap", "simpy"]
    told = _child(
        "flooding",
        graph=str(graph),
        size=size,
        contenders=contenders,
        rounds=ground.rounds,
        seed=ground.seed,
    )
    if told["asks"] != [asks]:
        raise Unmeasurable(f"A flood took {told['asks']} messages, and not {asks}.")
    rates = {name: tuple(r / MILLION for r in values) for name, values in told["rates"].items()}
    return Grown(size, rates, {name: tuple(v) for name, v in told["seconds"].items()})


def _memory(ground: Ground, graph: Path, size: int) -> list[Figure]:
    if not Path("/proc/self/clear_refs").exists():
        raise Unmeasurable("Peaks of memory are read from /proc, which this system does not have.")
    figures = []
    for kernel, goal in (("rounds", under(200)), ("events", None)):
        ground.say(f"memory of {SERIES[kernel]}")
        values = tuple(
            _child("weighing", graph=str(graph), contender=kernel, seed=ground.seed)["mb"]
            for _ in range(ground.rounds)
        )
        how = f"{size:,} nodes; VmHWM while it floods less VmRSS before, in a fresh process"
        figures.append(Figure(f"memory over the graph, {SERIES[kernel]}", "MB", values, how, goal))
    return figures


def _engines(ground: Ground) -> list[Grown]:
    engines = []
    for size in ENGINES[:1] if ground.quick else ENGINES:
        ground.say(f"{size:,} engines")
        queries = max(1, 2_000 // size)
        told = _child(
            "deciding",
            size=size,
            degree=DEGREE,
            rounds=ground.rounds,
            queries=queries,
            seed=ground.seed,
        )
        engines.append(Grown(size, {"engine": tuple(r / MILLION for r in told["rates"])}, {}))
    return engines


# ---------------------------------------------------------------- telling


def _quickest(grown: Grown) -> Figure:
    how = f"{SERIES['rounds']}; {(DEGREE - 1) * grown.size + 1:,} messages"
    name = f"flood of {grown.size:,} nodes of degree {DEGREE}"
    return Figure(name, "s", grown.seconds["rounds"], f"{how}; processor time", under(0.3))


def _beside_peers(grown: Grown) -> list[Figure]:
    ours = grown.rates["events"]
    ratios = [
        Figure(
            f"{SERIES['events']} : {SERIES[peer]}, {grown.size:,} nodes",
            "times",
            tuple(a / b for a, b in zip(ours, grown.rates[peer], strict=True)),
            "messages a second, round by round",
        )
        for peer in ("heap", "simpy")
    ]
    return [*(_rate(grown, each) for each in ("events", "heap", "simpy")), *ratios]


def _rate(grown: Grown, contender: str) -> Figure:
    name = f"{SERIES[contender]}, {grown.size:,} nodes"
    goal = GOALS.get((contender, grown.size))
    return Figure(name, "M messages/s", grown.rates[contender], HOW[contender], goal)


def _engine(grown: Grown) -> Figure:
    goal = GOALS.get(("engine", grown.size))
    values = tuple(1000 * rate for rate in grown.rates["engine"])
    how = "calls of engines for messages, wake-ups and answers of archives, while everyone is asked"
    name = f"engines in the world, {grown.size:,} nodes"
    return Figure(name, "thousand events/s", values, f"{how}; signatures are counted fakes", goal)


def draw(grown: list[Grown], folder: Path) -> None:
    """How rates fall as meshes grow, as a picture in this folder."""
    series = [
        Curve(
            name,
            [each.size for each in grown if contender in each.rates],
            [_estimate(each.rates[contender]) for each in grown if contender in each.rates],
        )
        for contender, name in SERIES.items()
    ]
    picture = curves(
        "sim-growth",
        "Messages a second on one core, by the size of the mesh",
        [Panel("", series)],
        Axis("nodes", logarithmic=True),
        Axis("million messages a second", logarithmic=True),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{picture.name}.svg").write_bytes(picture.svg())


def _estimate(values: tuple[float, ...]) -> Estimate:
    ranked = sorted(values)
    return Estimate(median(ranked), ranked[0], ranked[-1], len(ranked))
