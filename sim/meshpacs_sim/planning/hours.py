"""Opening hours as people write them, and the week that all sites of a plan share.

A week is cyclic and has 10,080 minutes; minute 0 is Monday, 0:00, by the first site's clock.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from meshpacs.model.ids import SECOND, Micros
from meshpacs_sim.world.churn.schedule import FOREVER, Span

MINUTE_US: Micros = 60 * SECOND
DAY = 1440
"""Minutes of one."""
WEEK = 7 * DAY
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

ALWAYS, NEVER = "always on", "never"

HOW = 'Write "Mon-Fri 08:00-18:00, Sat 09:00-12:00", "always on" or "never".'

WINTER = datetime(2021, 2, 1, tzinfo=UTC)
"""A Monday; places are as far from UTC as on this day, all year round."""

Spans = tuple[tuple[int, int], ...]
"""From one minute of a week to another, rising, with pauses between."""

_ITEM = re.compile(r"([A-Za-z]{3})(?:\s*-\s*([A-Za-z]{3}))?\s+(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def opening(text: str) -> Spans:
    """When a site is open, by its own clock.

    Raises:
        ValueError: it is not written as opening hours are; it says what is wrong.
    """
    if text.strip().lower() in {ALWAYS, "always"}:
        return ((0, WEEK),)
    if text.strip().lower() == NEVER:
        return ()
    open_at = bytearray(WEEK)
    for item in text.split(","):
        found = _ITEM.fullmatch(item.strip())
        if found is None:
            raise ValueError(f"{item.strip()!r} is not days and hours")
        first = _day(found[1])
        last = _day(found[2] or found[1])
        start, end = _minute(found[3]), _minute(found[4])
        if start >= end:
            raise ValueError(
                f"{item.strip()!r} ends no later than it begins; hours over midnight are two items"
            )
        for step in range((last - first) % 7 + 1):
            day = (first + step) % 7 * DAY
            open_at[day + start : day + end] = b"\1" * (end - start)
    return _runs(open_at)


def shifted(spans: Spans, minutes: int) -> Spans:
    """The same spans so much later, around the week's end."""
    open_at = bytearray(WEEK)
    for start, end in spans:
        for minute in range(start, end):
            open_at[(minute + minutes) % WEEK] = 1
    return _runs(open_at)


def zone_minutes(zone: str) -> int:
    """How far local time is ahead of UTC, on a day in winter (of the north).

    Raises:
        ValueError: there is no such time zone.
    """
    if found := _OFFSET.fullmatch(zone):
        minutes = int(found[2]) * 60 + int(found[3])
        if minutes > 14 * 60:
            raise ValueError(f"{zone!r} is more than 14 hours from UTC")
        return -minutes if found[1] == "-" else minutes
    if zone == "UTC":
        return 0
    try:
        offset = ZoneInfo(zone).utcoffset(WINTER)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{zone!r} is no time zone that this machine knows") from error
    return (offset or timedelta()) // timedelta(minutes=1)


class Together:
    """Who is open when: for each stretch of the week a number of which bit i is site i's."""

    def __init__(self, sites: Sequence[Spans]) -> None:
        """All sites' spans, by one clock."""
        self.sites = tuple(sites)
        edges = sorted({0, *(edge % WEEK for spans in sites for span in spans for edge in span)})
        self.starts = edges
        self.masks = [
            sum(1 << site for site, spans in enumerate(sites) if _within(spans, start))
            for start in edges
        ]

    def mask(self, minute: int) -> int:
        """Who is open in this minute, of this week or of any later one."""
        return self.masks[bisect_right(self.starts, minute % WEEK) - 1]

    def stretches(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """From a minute to another: stretches as (from, to, who is open)."""
        while start < end:
            place = bisect_right(self.starts, start % WEEK)
            after = self.starts[place] if place < len(self.starts) else WEEK
            stop = min(end, start - start % WEEK + after)
            yield start, stop, self.masks[place - 1]
            start = stop

    def first(self, start: int, end: int, site: int, others: int) -> int | None:
        """The first minute in which this site is open together with one of the others."""
        for begin, _, mask in self.stretches(start, end):
            if mask >> site & 1 and mask & others:
                return begin
        return None

    def meeting(self, site: int) -> int:
        """Who is ever open together with this site, itself left out."""
        met = 0
        for mask in self.masks:
            if mask >> site & 1:
                met |= mask
        return met & ~(1 << site)

    def open_minutes(self, site: int, start: int, end: int) -> int:
        """For how many minutes between two a site is open."""
        return sum(
            stop - begin for begin, stop, mask in self.stretches(start, end) if mask >> site & 1
        )

    def spans(self, seed: int, node: int) -> Iterator[Span]:  # noqa: ARG002
        """As a model of churn: a machine is on while its site is open."""
        spans = self.sites[node]
        if spans == ((0, WEEK),):
            yield Span(0, FOREVER)
            return
        # What goes on over the end of the week is one span, which the next week begins with.
        over = spans and spans[0][0] == 0 and spans[-1][1] == WEEK
        week = 0
        while spans:
            for number, (start, end) in enumerate(spans):
                if over and number == 0 and week:
                    continue
                later = WEEK + spans[0][1] if over and number == len(spans) - 1 else end
                yield Span((week + start) * MINUTE_US, (week + later) * MINUTE_US)
            week += WEEK


def with_always(together: Together, site: int) -> Together:
    """The same week, but one site never closes."""
    sites = list(together.sites)
    sites[site] = ((0, WEEK),)
    return Together(sites)


def hour_name(hour: int) -> str:
    """Of an hour of the week."""
    return f"{DAYS[hour // 24 % 7]} {hour % 24:02}:00"


def _day(text: str) -> int:
    short = text.capitalize()
    if short not in DAYS:
        raise ValueError(f"{text!r} is no day; days are {', '.join(DAYS)}")
    return DAYS.index(short)


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > DAY:
        raise ValueError(f"{text!r} is no time of a day")
    return hour * 60 + minute


def _within(spans: Spans, minute: int) -> bool:
    return any(start <= minute < end for start, end in spans)


def _runs(open_at: bytearray) -> Spans:
    edges = [m for m in range(WEEK + 1) if _bit(open_at, m) != _bit(open_at, m - 1)]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def _bit(open_at: bytearray, minute: int) -> int:
    return open_at[minute] if 0 <= minute < WEEK else 0
