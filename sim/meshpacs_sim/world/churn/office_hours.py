"""Clinics that switch their machines off at night: opening hours, weekends, time zones."""

from collections.abc import Iterator
from dataclasses import dataclass

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import SECOND, Micros
from meshpacs_sim.world.churn.schedule import FOREVER, Span
from meshpacs_sim.world.world import EPOCH_US

MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR

Hours = tuple[Micros, Micros] | None
"""From midnight, when a clinic opens and closes; None on a day when it does not open."""

WEEKDAYS: tuple[Hours, ...] = (*[(8 * HOUR, 18 * HOUR)] * 5, None, None)
"""Monday to Friday from 8 to 18. A guess."""

EARLIER_DAYS = 400
"""Days before the world begins since which a machine may have been left on. A guess: at 95 % of
forgotten evenings it is one machine in a million."""

_ZONE, _STAYS = word(b"churn zone"), word(b"churn stays on")
_ON, _OFF, _LEFT_ON = word(b"churn on"), word(b"churn off"), word(b"churn left on")

THURSDAY = 3
"""The weekday of the first day of 1970, counted from Monday."""


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """Each node is switched on before its clinic opens and off after it closes.

    There is no summer time: zones are fixed. Percentages and the ragged half hour are guesses.
    """

    week: tuple[Hours, ...] = WEEKDAYS
    """Of the seven days from Monday on, in the clinic's own time."""
    ragged_us: Micros = 30 * MINUTE
    """So long at most before opening and after closing somebody comes to switch it on or off,
    drawn for every day."""
    stay_on_percent: int = 20
    """Of nodes that are never switched off."""
    left_on_percent: int = 5
    """Of evenings on which it is forgotten, so that the node stays on until the next closing."""
    zones_us: tuple[Micros, ...] = (0,)
    """Local time minus UTC; each node has one of these, as likely as the others."""
    epoch_us: Micros = EPOCH_US
    """The world's time 0 in Unix time, UTC."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: there is no such week, or it never comes to an end.
        """
        if len(self.week) != 7 or not any(self.week):
            raise ValueError("a week has seven days, and a clinic opens on one of them at least")
        for hours in self.week:
            if hours is not None and not 0 <= hours[0] < hours[1] <= DAY:
                raise ValueError(f"a day's hours from {hours[0]} to {hours[1]} µs do not fit a day")
        if not 0 <= self.ragged_us <= 4 * HOUR:
            raise ValueError(f"{self.ragged_us} µs around opening hours are not from 0 to 4 hours")
        if not (0 <= self.stay_on_percent <= 100 and 0 <= self.left_on_percent < 100):
            raise ValueError("percentages go from 0 to 100, that of evenings to 99")
        if not self.zones_us or any(abs(zone) > 14 * HOUR for zone in self.zones_us):
            raise ValueError("there is at least one zone, and none is 14 hours away from UTC")

    def spans(self, seed: int, node: int) -> Iterator[Span]:
        """When this node is up; it goes on for ever."""
        stays_on = draw(seed, node, _STAYS, 0) * 100 >> 64 < self.stay_on_percent
        # Without this, a week without a pause would be looked through for one for ever.
        if stays_on or all(hours == (0, DAY) for hours in self.week):
            yield Span(0, FOREVER)
            return
        zone_us = self.zones_us[draw(seed, node, _ZONE, 0) * len(self.zones_us) >> 64]
        day = self._first_day(seed, node, (self.epoch_us + zone_us) // DAY)
        up_us: Micros | None = None
        down_us: Micros | None = None
        while True:
            hours = self.week[(day + THURSDAY) % 7]
            if hours is not None:
                midnight_us = day * DAY - zone_us - self.epoch_us
                on_us = midnight_us + hours[0] - self._ragged(seed, node, _ON, day)
                # A night so short that nobody switches off is none.
                if up_us is not None and down_us is not None and down_us < on_us:
                    if down_us > 0:
                        yield Span(max(0, up_us), down_us)
                    up_us = None
                up_us = on_us if up_us is None else up_us
                down_us = None
                if not self._left_on(seed, node, day):
                    down_us = midnight_us + hours[1] + self._ragged(seed, node, _OFF, day)
            day += 1

    def _first_day(self, seed: int, node: int, today: int) -> int:
        """A day on whose evening the node was switched off before the world began."""
        # Yesterday's evening may come after the world's beginning, that of the day before cannot.
        day = today - 2
        while day > today - EARLIER_DAYS:
            if self.week[(day + THURSDAY) % 7] is not None and not self._left_on(seed, node, day):
                break
            day -= 1
        return day

    def _left_on(self, seed: int, node: int, day: int) -> bool:
        """Whether it is forgotten on this evening."""
        return draw(seed, node, _LEFT_ON, day) * 100 >> 64 < self.left_on_percent

    def _ragged(self, seed: int, node: int, purpose: int, day: int) -> Micros:
        return draw(seed, node, purpose, day) * (self.ragged_us + 1) >> 64
