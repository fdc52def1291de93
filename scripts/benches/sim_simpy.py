"""The flood of `sim_heap`, to everyone, as a user of SimPy would write it: a Timeout a message."""

from collections.abc import Callable, Sequence
from typing import Any

import simpy


def flood(
    neighbours: Sequence[Sequence[int]], origin: int, latency: Callable[[int, int, int], int]
) -> int:
    """Ask everyone; returns how many copies were sent.

    Callbacks instead of processes: a process for each copy takes three times as long.
    """
    world = simpy.Environment()
    asked = [False] * len(neighbours)
    messages = 0

    def send(node: int, sender: int) -> None:
        nonlocal messages
        for end in neighbours[node]:
            if end != sender:
                copy = world.timeout(latency(node, end, 0), (end, node))
                assert copy.callbacks is not None  # which it is once it has happened
                copy.callbacks.append(arrive)
                messages += 1

    def arrive(copy: Any) -> None:
        node, sender = copy.value
        if not asked[node]:
            asked[node] = True
            send(node, sender)

    asked[origin] = True
    send(origin, -1)
    world.run()
    return messages
