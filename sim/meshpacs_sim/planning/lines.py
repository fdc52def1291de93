"""What lines carry of images: a fluid in minutes and whole bytes.

This is a model, not the program. In each minute a line carries so many bytes each way as its width
has room for, less what the engine's own messages take. Transfers go between two sites that are both
open. First come fetches, for which somebody waits, then first copies, then second ones, and so on;
among equals the one that began earliest goes first, and takes what the upload of its sender and the
download of its receiver have left. What is not through goes on in the next minute in which both are
open. So a transfer takes a minute at least, and no byte is lost or sent twice.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshpacs_sim.planning.hours import Together
from meshpacs_sim.planning.plan import Plan

FETCH, COPY = 0, 1
"""Ranks of transfers: a fetch, a first copy; further copies have the numbers from there on."""


@dataclass(slots=True)
class Transfer:
    """One study from one site to another."""

    rank: int
    number: int
    """Among all transfers, in the order in which they began."""
    study: int
    src: int
    dst: int
    size_bytes: int
    born: int
    """The minute from which on it can go."""
    left: int
    """Bytes still to go."""
    done: int = -1
    """The minute with whose end it is through; -1 while it is not."""


@dataclass(slots=True)
class Load:
    """What one way of one line has carried in one hour."""

    fetched: int = 0
    copied: int = 0


Standing = Callable[[int, int], tuple[int, int]]
"""For a site and an hour, bytes that the engine's messages take of its upload and its download."""


class Lines:
    """All lines of a plan, and what waits for them."""

    def __init__(self, plan: Plan, together: Together, standing: Standing) -> None:
        """Nothing has been sent."""
        self._together = together
        self._standing = standing
        self._widths = [
            (_bytes_a_minute(site.up_mbit), _bytes_a_minute(site.down_mbit)) for site in plan.site
        ]
        hours = plan.days * 24
        self.up = [[Load() for _ in range(hours)] for _ in plan.site]
        self.down = [[Load() for _ in range(hours)] for _ in plan.site]
        self.transfers: list[Transfer] = []
        self.arrived: list[Transfer] = []
        """In the order in which they were through."""
        self._queues: dict[int, dict[tuple[int, int], deque[Transfer]]] = {}
        """By rank, then by sender and receiver."""
        self._waiting = 0
        self._owed = [0] * len(plan.site)
        """Bytes that each site has still to send."""
        self.minute = 0

    def begin(self, rank: int, study: int, src: int, dst: int, size_bytes: int) -> Transfer:
        """Something is to be sent from the next minute on."""
        number = len(self.transfers)
        made = Transfer(rank, number, study, src, dst, size_bytes, self.minute, size_bytes)
        self.transfers.append(made)
        queues = self._queues.setdefault(rank, {})
        queues.setdefault((src, dst), deque()).append(made)
        self._waiting += 1
        self._owed[src] += size_bytes
        return made

    def wait_of(self, site: int) -> int:
        """Minutes that a site would need to send all that it owes, if nothing else stood by."""
        return self._owed[site] // self._widths[site][0]

    def advance(self, minute: int) -> None:
        """Let everything flow until this minute begins."""
        while self._waiting and self.minute < minute:
            self._flow(self.minute)
            self.minute += 1
        self.minute = max(self.minute, minute)

    def _flow(self, minute: int) -> None:
        mask, hour = self._together.mask(minute), minute // 60
        up, down = [], []
        for site, (sends, takes) in enumerate(self._widths):
            out, into = self._standing(site, hour)
            up.append(max(0, sends - out // 60))
            down.append(max(0, takes - into // 60))
        for rank in sorted(self._queues):
            queues = self._queues[rank]
            heads = [
                (queue[0].born, queue[0].number, pair)
                for pair, queue in queues.items()
                if queue and mask >> pair[0] & 1 and mask >> pair[1] & 1
            ]
            heapq.heapify(heads)
            while heads:
                pair = heapq.heappop(heads)[2]
                queue = queues[pair]
                if self._carry(queue[0], minute, up, down):
                    queue.popleft()
                    if queue:
                        heapq.heappush(heads, (queue[0].born, queue[0].number, pair))

    def _carry(self, transfer: Transfer, minute: int, up: list[int], down: list[int]) -> bool:
        """Let one flow as far as there is room; whether it is through."""
        src, dst = transfer.src, transfer.dst
        size = min(transfer.left, up[src], down[dst])
        transfer.left -= size
        up[src] -= size
        down[dst] -= size
        self._owed[src] -= size
        for load in (self.up[src][minute // 60], self.down[dst][minute // 60]):
            if transfer.rank == FETCH:
                load.fetched += size
            else:
                load.copied += size
        if transfer.left:
            return False
        transfer.done = minute
        self._waiting -= 1
        self.arrived.append(transfer)
        return True


def total(loads: Sequence[Sequence[Load]]) -> int:
    """All bytes of one way of all lines."""
    return sum(load.fetched + load.copied for site in loads for load in site)


def _bytes_a_minute(mbit: float) -> int:
    return round(mbit * 1_000_000) * 60 // 8
