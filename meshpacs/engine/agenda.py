"""What is due when: one time for each key, and no stale entries to mistake for live ones."""

import heapq
from typing import Any, Generic, TypeVar

from meshpacs.model.ids import Micros

K = TypeVar("K")


class Agenda(Generic[K]):
    """Times by key. Setting a key again moves it; clearing forgets it."""

    def __init__(self) -> None:
        """Nothing is due."""
        self._entries: dict[K, tuple[Micros, int, K]] = {}
        self._heap: list[tuple[Micros, int, K]] = []
        self._order = 0
        self.earliest: Micros | None = None
        """When the first of them is due."""
        self.alarm: Alarm | None = None

    def __len__(self) -> int:
        """How many keys have a time."""
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        """Whether this key has a time."""
        return key in self._entries

    def set(self, key: K, when: Micros) -> None:
        """Make `key` due at `when`, and at no other time."""
        self._order += 1
        entry = self._entries[key] = (when, self._order, key)
        heapq.heappush(self._heap, entry)
        self._surface()

    def clear(self, key: K) -> None:
        """Make `key` never due; it may not have been."""
        if self._entries.pop(key, None) is not None:
            self._surface()

    def _surface(self) -> None:
        # Cleared and moved entries stay in the heap until they surface. Most are cleared long
        # before their time (an acknowledged Ask), and a peer can have some moved as often as it
        # likes (a Got), so the heap is swept when they outnumber the living.
        heap, entries = self._heap, self._entries
        if len(heap) > 64 + 2 * len(entries):
            heap[:] = entries.values()
            heapq.heapify(heap)
        while heap and entries.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)
        earliest = heap[0][0] if heap else None
        if earliest != self.earliest:
            self.earliest = earliest
            if self.alarm is not None:
                self.alarm.moved = True

    def pop(self, now: Micros) -> K | None:
        """Take out the earliest key that is due at `now`; of equal times the first set."""
        if self.earliest is None or self.earliest > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._entries[key]
        self._surface()
        return key


class Alarm:
    """When the first thing of several agendas is due.

    It is asked after everything that happens, and most of that moves no time.
    """

    def __init__(self, *agendas: Agenda[Any]) -> None:
        """No agenda hangs on two alarms."""
        self._agendas = agendas
        self._due: Micros | None = None
        self.moved = True
        """Some agenda's earliest time is another than when it was last looked at."""
        for agenda in agendas:
            agenda.alarm = self

    def due(self) -> Micros | None:
        """The earliest time of all, or None."""
        if self.moved:
            self.moved = False
            times = [each.earliest for each in self._agendas if each.earliest is not None]
            self._due = min(times, default=None)
        return self._due
