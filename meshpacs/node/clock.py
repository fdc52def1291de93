"""Time for the engine: monotonic microseconds since the start, and the wall clock beside it."""

import time
from collections.abc import Callable

import trio

from meshpacs.model.ids import Micros


def wall_us() -> Micros:
    """The time of day, Unix microseconds."""
    return time.time_ns() // 1_000


class Clock:
    """Anchored at its making; reads trio's clock, so that tests can invent the time."""

    def __init__(self, wall: Callable[[], Micros] = wall_us) -> None:
        """`wall` gives Unix microseconds."""
        self._anchor = trio.current_time()
        self._wall = wall

    def now(self) -> Micros:
        """Microseconds since the start; never goes back."""
        return int((trio.current_time() - self._anchor) * 1_000_000)

    def wall(self) -> Micros:
        """Unix microseconds; may jump."""
        return self._wall()

    def when(self, deadline: Micros | None) -> float:
        """A deadline of the engine as trio's time; infinity for none."""
        if deadline is None:
            return float("inf")
        return self._anchor + deadline / 1_000_000
