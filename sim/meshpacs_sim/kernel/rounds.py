"""Floods in rounds: every hop takes equally long, so all copies of one hop arrive together.

Whoever is asked asks all its neighbours but the one whose copy came first; of copies that come
together the one from the smallest node does, as in the world (PROTOCOL 6.1). The first copy has
then come by a shortest path and may go as far as any, so asking a ball (PROTOCOL 4.3) costs what a
flood costs that sends on the first copy alone; where latencies differ they part (`events`).

Between two nodes of which one is down there is no link, so nothing is sent and nothing is lost.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.kernel.compiled import compiled

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]

NOBODY = -1
"""Who sent the asker its own query; also the hops of who was not asked."""

_UNASKED, _DOWN, _ASKED, _FRESH = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(3)
"""What a node is in this round; fresh: it has been asked in this round for the first time."""

_SCANNED = 64
"""With fewer fresh nodes than a 64th of all they are sorted, with more they are looked for."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """What one flood did."""

    order: Int32s
    """Everybody who was asked, hop by hop and within one hop in rising order; the asker first."""
    senders: Int32s
    """Shape (n,): the neighbour whose copy came first; `NOBODY` for the asker and the unasked."""
    reached: Int64s
    """By hops: nodes asked for the first time; at 0 hops the asker."""
    sent: Int64s
    """By hops: copies that arrive there, repeats too."""

    @property
    def messages(self) -> int:
        """Copies sent: Asks."""
        return int(self.sent.sum())

    @property
    def duplicates(self) -> int:
        """Copies that reached somebody who had been asked before, the asker too."""
        return self.messages - (len(self.order) - 1)

    def hops(self) -> Int32s:
        """Shape (n,): from the asker to each node; `NOBODY` for the unasked."""
        hops = np.full(len(self.senders), NOBODY, np.int32)
        hops[self.order] = np.repeat(np.arange(len(self.reached), dtype=np.int32), self.reached)
        return hops


def flood(graph: Csr, origin: int, ttl: int = 0, up: Bools | None = None) -> Rounds:
    """Ask everybody within `ttl` hops, or with 0 everyone; without `up` all nodes are up.

    Raises:
        ValueError: whoever asks is down.
    """
    states = np.full(graph.size, _UNASKED) if up is None else np.where(up, _UNASKED, _DOWN)
    if states[origin] == _DOWN:
        raise ValueError(f"node {origin} is down and asks nobody")
    order = np.empty(graph.size, np.int32)
    senders = np.full(graph.size, NOBODY, np.int32)
    reached, sent = _flood(graph.starts, graph.ends, origin, ttl, states, order, senders)
    return Rounds(order[: reached.sum()], senders, reached, sent)


@compiled
def _flood(
    starts: Int64s,
    ends: Int32s,
    origin: int,
    ttl: int,
    states: Uint8s,
    order: Int32s,
    senders: Int32s,
) -> tuple[Int64s, Int64s]:
    """Fill `order` and `senders`; returns copies and new nodes by hops."""
    reached, sent = [1], [0]
    states[origin] = _ASKED
    order[0] = origin
    first, last = 0, 1
    while first < last and (ttl == 0 or len(sent) <= ttl):
        free, copies = last, 0
        for at in range(first, last):
            node = order[at]
            sender = senders[node]
            for edge in range(starts[node], starts[node + 1]):
                end = ends[edge]
                state = states[end]
                if state == _DOWN or end == sender:
                    continue
                copies += 1
                if state == _UNASKED:
                    states[end] = _FRESH
                    senders[end] = node
                    order[free] = end
                    free += 1
        first, last = last, free
        _sort(order, first, last, states)
        if copies:
            sent.append(copies)
            reached.append(last - first)
    return np.array(reached), np.array(sent)


@compiled
def _sort(order: Int32s, first: int, last: int, states: Uint8s) -> None:
    """Put this round's fresh nodes in rising order; they are asked from now on."""
    if (last - first) * _SCANNED < len(states):
        order[first:last].sort()
        for at in range(first, last):
            states[order[at]] = _ASKED
        return
    at = first
    for node in range(len(states)):
        if states[node] == _FRESH:
            states[node] = _ASKED
            order[at] = node
            at += 1
