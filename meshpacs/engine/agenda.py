"""What is due when: one time for each key, and no stale entries to mistake for live ones."""

import heapq
from typing import Generic, TypeVar

from meshpacs.model.ids import Micros

K = TypeVar("K")


class Agenda(Generic[K]):
    """Times by key. Setting a key again moves it; clearing forgets it."""

    def __init__(self) -> None:
        """Nothing is due."""
        self._when: dict[K, tuple[Micros, int]] = {}
        self._heap: list[tuple[Micros, int, K]] = []
        self._order = 0

    def __len__(self) -> int:
        """How many keys have a time."""
        return len(self._when)

    def __contains__(self, key: K) -> bool:
        """Whether this key has a time."""
        return key in self._when

    def set(self, key: K, when: Micros) -> None:
        """Make `key` due at `when`, and at no other time."""
        self._order += 1
        self._when[key] = (when, self._order)
        heapq.heappush(self._heap, (when, self._order, key))
        self._sweep()

    def clear(self, key: K) -> None:
        """Make `key` never due; it may not have been."""
        self._when.pop(key, None)
        self._sweep()

    def _sweep(self) -> None:
        # Cleared and moved entries stay in the heap until they surface. Most are cleared long
        # before their time (an acknowledged Ask), and a peer can have some moved as often as it
        # likes (a Got), so the heap is swept when they outnumber the living.
        if len(self._heap) > 64 + 2 * len(self._when):
            self._heap = [(when, order, key) for key, (when, order) in self._when.items()]
            heapq.heapify(self._heap)

    def next(self) -> Micros | None:
        """The earliest time, or None."""
        heap = self._heap
        while heap:
            when, order, key = heap[0]
            if self._when.get(key) == (when, order):
                return when
            heapq.heappop(heap)
        return None

    def pop(self, now: Micros) -> K | None:
        """Take out the earliest key that is due at `now`; of equal times the first set."""
        when = self.next()
        if when is None or when > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._when[key]
        return key
