"""Floods by events: every copy takes a time of its own, drawn by who sends it to whom.

Copies arrive in the world's order: time, then receiver, then sender (PROTOCOL 6.1). Links are
FIFO. Which copy comes first is chance, and so is the way that it came; a copy that could still go
further than all before it is therefore sent on once more where a ball is to be kept (PROTOCOL
4.3), and is not by those who send on the first copy alone. Between two nodes of which one is down
there is no link. No time runs out: what a query's deadline does is for the world and its twin.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word
from meshpacs_sim.kernel.latencies import latency_us
from meshpacs_sim.kernel.wheel import (
    DATA,
    KEY,
    Wheel,
    moment_of,
    number_of,
    put,
    roomy,
    take,
    waiting,
    wheel,
)

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]

NOBODY = -1
"""Who sent the asker its own query; also hops and arrival of who was not asked."""

Net = tuple[Int64s, Int32s, Bools, Int64s, Uint8s]
"""What is walked over: starts and ends, who is up, and of each direction last arrival and turn."""

Roads = tuple[Word, int, int, int]
"""Seed, lowest and highest base, jitter."""

_MASK = (1 << 64) - 1
_32, _LOW = np.int64(32), np.int64(0xFFFFFFFF)


@dataclass(frozen=True, eq=False)
class Arrivals:
    """What one flood did; arrays of shape (n,)."""

    arrived_us: Int64s
    """When the first copy came, from the question on; `NOBODY` for the unasked."""
    senders: Int32s
    """The neighbour whose copy came first."""
    hops: Int32s
    """The fewest of any copy that was sent on from there, or could have been: the first's, and in
    a ball that is kept the shortest path's."""
    received: Int32s
    """Copies that came, repeats too."""
    messages: int
    """Copies sent: Asks."""

    @property
    def reached(self) -> int:
        """Nodes asked, the asker too."""
        return int(np.count_nonzero(self.arrived_us != NOBODY))

    @property
    def duplicates(self) -> int:
        """Copies that reached somebody who had been asked before, the asker too."""
        return self.messages - (self.reached - 1)


def flood(
    graph: Csr,
    origin: int,
    seed: int,
    *,
    low_us: int = 2_000,
    high_us: int = 40_000,
    jitter_us: int = 5_000,
    ttl: int = 0,
    again: bool = True,
    up: Bools | None = None,
) -> Arrivals:
    """Ask everybody within `ttl` hops, or with 0 everyone.

    Args:
        graph: who neighbours whom.
        origin: who asks.
        seed: of the latencies.
        low_us: what a road takes at least.
        high_us: and at most,
        jitter_us: without what a single message takes longer.
        ttl: how far copies go.
        again: keep the ball; otherwise only first copies are sent on.
        up: shape (n,); without it all nodes are up.

    Raises:
        ValueError: whoever asks is down, or messages take no time.
    """
    if not 0 < low_us <= high_us or jitter_us < 0:
        raise ValueError(f"latencies of {low_us} to {high_us} + {jitter_us} us are impossible")
    ups = np.empty(0, np.bool_) if up is None else np.asarray(up, np.bool_)
    if len(ups) and not ups[origin]:
        raise ValueError(f"node {origin} is down and asks nobody")
    arrived = np.full(graph.size, NOBODY, np.int64)
    hops, senders = (np.full(graph.size, NOBODY, np.int32) for _ in range(2))
    received = np.zeros(graph.size, np.int32)
    twice = len(graph.ends) if again and ttl > 1 else 0
    messages = _flood(
        graph.starts,
        graph.ends,
        ups,
        np.zeros(twice, np.int64),
        np.zeros(twice, np.uint8),
        (np.uint64(seed & _MASK), low_us, high_us, jitter_us),
        origin,
        ttl,
        arrived,
        senders,
        hops,
        received,
    )
    return Arrivals(arrived, senders, hops, received, messages)


@compiled
def _flood(
    starts: Int64s,
    ends: Int32s,
    ups: Bools,
    busy: Int64s,
    turns: Uint8s,
    roads: Roads,
    origin: int,
    ttl: int,
    arrived: Int64s,
    senders: Int32s,
    hops: Int32s,
    received: Int32s,
) -> int:
    """Fill the last four; returns how many copies were sent.

    `busy` and `turns`, shape (2E,), are each direction's last arrival and number of messages, and
    empty where no direction is used twice.
    """
    net = (starts, ends, ups, busy, turns)
    _, low_us, high_us, jitter_us = roads
    again = len(busy) > 0
    line = wheel(low_us, high_us + jitter_us)
    arrived[origin], hops[origin] = 0, 0
    nothing = np.int64(0)  # not a literal: each literal would be compiled for
    line, messages = _send(net, roads, line, nothing, origin, nothing + NOBODY, nothing + 1)
    turn = nothing
    while waiting(line):
        due = take(line, turn)
        for at in range(len(due)):
            node, hop = due[at, KEY] >> _32, number_of(due[at, DATA])
            received[node] += 1
            asked = hops[node] != NOBODY
            if asked and not (again and hop < hops[node]):
                continue
            now = (turn << line.shift) + moment_of(due[at, DATA])
            sender = due[at, KEY] & _LOW
            if not asked:
                arrived[node], senders[node] = now, sender
            hops[node] = hop
            if ttl == 0 or hop < ttl:
                line, sent = _send(net, roads, line, now, node, sender, hop + 1)
                messages += sent
        turn += 1
    return messages


@compiled
def _send(
    net: Net, roads: Roads, line: Wheel, now: Word, node: int, sender: Word, hop: Word
) -> tuple[Wheel, int]:
    """Send copies to everybody linked but the sender; also how many."""
    starts, ends, ups, busy, turns = net
    seed, low_us, high_us, jitter_us = roads
    first, last = starts[node], starts[node + 1]
    whens, keys = np.empty(last - first, np.int64), np.empty(last - first, np.int64)
    count = 0
    for edge in range(first, last):
        end = ends[edge]
        if end == sender or (len(ups) and not ups[end]):
            continue
        turn = np.uint8(0)
        if len(busy):
            turn = turns[edge]
            turns[edge] += 1
        when = now + latency_us(seed, node, end, turn, low_us, high_us, jitter_us)
        if len(busy):
            when = max(when, busy[edge])
            busy[edge] = when
        whens[count], keys[count] = when, (np.int64(end) << _32) + node
        count += 1
    line = roomy(line, count)
    put(line, whens, keys, count, hop)
    return line, count
