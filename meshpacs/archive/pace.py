"""How long the disk takes to make something durable, measured at all that is."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

KEPT = 256
"""Measurements looked at. A guess."""

RECENT_S = 300.0
"""How long one counts: a disk that was slow an hour ago is not slow. A guess."""

LEAST = 20
"""Below so many nothing is said: one write that waited for another program is no slow disk. A
guess."""

SLOW_US = 1_000_000
"""The 95th percentile from which a disk is called slow. A guess: hard disks were seen at 10 to
30 ms, and at some hundred when others use them, too."""


class Pace:
    """The last syncs of one archive; for several threads."""

    def __init__(self, sync: Callable[[int], None], clock: Callable[[], float] = time.monotonic):
        """`sync` makes a file descriptor durable."""
        self._sync = sync
        self._clock = clock
        self._took: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._lock = Lock()

    def sync(self, handle: int) -> None:
        """Make it durable, and measure."""
        began = self._clock()
        self._sync(handle)
        ended = self._clock()
        with self._lock:
            self._took.append((ended, ended - began))

    def p95_us(self) -> int | None:
        """The 95th percentile of the recent ones; None if there are too few."""
        since = self._clock() - RECENT_S
        with self._lock:
            recent = sorted(took for at, took in self._took if at >= since)
        if len(recent) < LEAST:
            return None
        return round(recent[len(recent) * 95 // 100] * 1_000_000)
