"""What `sim` measures, each in a process of its own: python -m benches.sim_measured TASK JSON.

Fresh processes, because memory is read from the system (numba's is not Python's) and because what
was compiled must not count. Times are the processor's: everything here runs on one core, and so
other work on the machine is not counted.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

WARM = 64
"""Nodes of the floods that are not counted, which compile what has to be."""

ENOUGH = {"rounds": 2_000_000, "events": 1_000_000, "heap": 100_000, "simpy": 100_000}
"""Messages that a measurement is made of at least, or it would be of the clock."""

LOW_US, SPREAD_US = 2_000, 43_000
"""One-way latencies of the peers: as far apart as the kernel's."""

Flood = Callable[[int], int]
"""Floods from this origin; gives the number of messages."""


def main() -> None:
    """Do one task and print what came of it as JSON."""
    task, options = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(TASKS[task](**options)))


def compiling() -> dict[str, float]:
    """Seconds until each kernel has flooded a first time."""
    began = process_time()
    from meshpacs_sim.graphs import lattices
    from meshpacs_sim.kernel import events, rounds

    imported = process_time()
    ring = lattices.ring(WARM)
    rounds.flood(ring, 0)
    first = process_time()
    events.flood(ring, 0, 1)
    second = process_time()
    return {"import": imported - began, "rounds": first - imported, "events": second - first}


def making(graph: str, size: int, degree: int, seed: int) -> dict[str, int]:
    """Make a graph and leave it in files."""
    import numpy as np

    from meshpacs_sim.graphs.random_graphs import regular

    made = regular(size, degree, seed)
    np.save(f"{graph}-starts.npy", made.starts)
    np.save(f"{graph}-ends.npy", made.ends)
    return {"asks": 2 * made.edge_count - (made.size - 1)}


def flooding(
    graph: str, size: int, contenders: list[str], rounds: int, seed: int
) -> dict[str, Any]:
    """By turns, how many messages a second each contender carries; lists by round."""
    floods = {name: _flood(name, graph, seed) for name in contenders}
    for flood in floods.values():
        flood(0)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    counts: set[int] = set()
    origin = 0
    for _ in range(rounds):
        for name, flood in floods.items():
            carried = times = 0
            began = process_time()
            while carried < ENOUGH[name]:
                origin = (origin + 1) % size
                messages = flood(origin)
                counts.add(messages)
                carried += messages
                times += 1
            took = process_time() - began
            rates[name].append(carried / took)
            seconds[name].append(took / times)
    return {"rates": rates, "seconds": seconds, "asks": sorted(counts)}


def weighing(graph: str, contender: str, seed: int) -> dict[str, float]:
    """Megabytes that one flood takes at its worst moment, beside graph and program."""
    _flood(contender, "", seed)(0)
    flood = _flood(contender, graph, seed)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on (proc(5))
    before = _kilobytes("VmRSS")
    flood(1)
    return {"mb": (_kilobytes("VmHWM") - before) / 1024}


def deciding(size: int, degree: int, rounds: int, queries: int, seed: int) -> dict[str, Any]:
    """Calls of engines a second, in a world of fakes that are counted, while everyone is asked."""
    from meshpacs_sim.graphs.random_graphs import regular
    from meshpacs_sim.world.world import World

    world = World(seed, regular(size, degree, seed).graph())
    world.run(1_000_000)  # links have been measured, which takes a ping
    rates, origin = [], 0
    for _ in range(rounds + 1):
        calls, began = world.events, process_time()
        for _ in range(queries):
            origin += 1
            asking = world.ask(origin)
            world.finish(asking)
            world.run(world.now + 1_000_000)
            assert asking.report is not None
            assert len(asking.rows) == size
        rates.append((world.events - calls) / (process_time() - began))
    return {"rates": rates[1:]}  # the first warms up


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{name}:")[2].split()[0])


def _flood(contender: str, graph: str, seed: int) -> Flood:
    """A way to flood the graph in these files, or without a name a small one."""
    from meshpacs_sim.graphs import lattices
    from meshpacs_sim.graphs.csr import Csr

    if graph:
        import numpy as np

        csr = Csr("", np.load(f"{graph}-starts.npy"), np.load(f"{graph}-ends.npy"))
    else:
        csr = lattices.ring(WARM)
    if contender in {"rounds", "events"}:
        from meshpacs_sim.kernel import events, rounds

        if contender == "rounds":
            return lambda origin: rounds.flood(csr, origin).messages
        return lambda origin: events.flood(csr, origin, seed).messages
    from benches import sim_heap, sim_simpy

    neighbours = csr.graph().neighbours
    chance = Random(seed).random

    def latency(_src: int, _dst: int, _turn: int) -> int:
        return LOW_US + int(chance() * SPREAD_US)

    if contender == "heap":
        return lambda origin: sim_heap.flood(neighbours, origin, latency).messages
    return lambda origin: sim_simpy.flood(neighbours, origin, latency)


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "compiling": compiling,
    "making": making,
    "flooding": flooding,
    "weighing": weighing,
    "deciding": deciding,
}

if __name__ == "__main__":
    main()
