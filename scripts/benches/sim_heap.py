"""The flood of `meshpacs_sim.kernel.events` as anybody would write it: lists and Python's heap.

The kernel's tests hold the kernel to it, and the benchmark measures it beside the kernel.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Latency = Callable[[int, int, int], int]
"""Microseconds from one node to another for the message of that number, counted from 0."""


@dataclass
class Heaped:
    """What one flood did; lists by node."""

    arrived_us: list[int]
    senders: list[int]
    hops: list[int]
    received: list[int]
    messages: int = 0
    taken: int = 0
    """Events that came off the heap."""
    turns: dict[tuple[int, int], int] = field(default_factory=dict)
    busy: dict[tuple[int, int], int] = field(default_factory=dict)


def flood(
    neighbours: Sequence[Sequence[int]],
    origin: int,
    latency: Latency,
    *,
    ttl: int = 0,
    again: bool = True,
) -> Heaped:
    """Ask everybody within `ttl` hops, or with 0 everyone. Without links to who is down."""
    size = len(neighbours)
    done = Heaped([-1] * size, [-1] * size, [-1] * size, [0] * size)
    again = again and ttl > 0
    heap: list[tuple[int, int, int, int, int]] = []
    done.arrived_us[origin] = done.hops[origin] = 0

    def send(now: int, node: int, sender: int, hop: int) -> None:
        for end in neighbours[node]:
            if end == sender:
                continue
            turn = 0
            if again:
                turn = done.turns.get((node, end), 0)
                done.turns[node, end] = turn + 1
            when = now + latency(node, end, turn)
            if again:
                when = done.busy[node, end] = max(when, done.busy.get((node, end), 0))
            heapq.heappush(heap, (when, end, node, turn, hop))
            done.messages += 1

    send(0, origin, -1, 1)
    while heap:
        now, node, sender, _, hop = heapq.heappop(heap)
        done.taken += 1
        done.received[node] += 1
        asked = done.hops[node] >= 0
        if asked and not (again and hop < done.hops[node]):
            continue
        if not asked:
            done.arrived_us[node], done.senders[node] = now, sender
        done.hops[node] = hop
        if ttl == 0 or hop < ttl:
            send(now, node, sender, hop + 1)
    return done
