"""What was of use of late: kept within a bound, and not for longer than it is of use."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(slots=True)
class _Kept(Generic[V]):
    value: V
    weight: int
    used_s: float


class Recent(Generic[V]):
    """Values by key, each with a weight; called from several threads.

    What nobody has asked for within `idle_s` goes with the next look, so that who has looked at
    everything once does not hold it all. The newest stays whatever it weighs.
    """

    def __init__(
        self, most: int, idle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep values of at most `most` together."""
        self._most = most
        self._idle_s = idle_s
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept[V]] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def get(self, key: bytes) -> V | None:
        """The value, if it is kept."""
        with self._lock:
            now = self._clock()
            found = self._kept.get(key)
            if found is not None:
                found.used_s = now
                self._kept.move_to_end(key)
            self._tidy(now)
            return None if found is None else found.value

    def keep(self, key: bytes, value: V, weight: int) -> None:
        """Keep a value, at the cost of those that were used least of late."""
        with self._lock:
            now = self._clock()
            if key not in self._kept:
                self._kept[key] = _Kept(value, weight, now)
                self._weight += weight
            self._tidy(now)

    def _tidy(self, now: float) -> None:
        while len(self._kept) > 1:
            oldest = next(iter(self._kept.values()))
            if self._weight <= self._most and now - oldest.used_s < self._idle_s:
                return
            self._kept.popitem(last=False)
            self._weight -= oldest.weight
