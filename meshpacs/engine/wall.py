"""The wall clock, as an offset to the monotonic time that the engine is handed."""

from dataclasses import dataclass

from meshpacs.model.ids import Micros


@dataclass(slots=True)
class Wall:
    """Wall time is `now` plus an offset that the driver keeps true."""

    offset_us: Micros = 0

    def at(self, now: Micros) -> Micros:
        """Unix microseconds at this moment."""
        return now + self.offset_us
