"""Dates and times as PS3.5 6.2 writes them, and ranges of them (PS3.4 C.2.2.2.5).

A value with components left out stands for a period: the key `2023` in a DT is the whole year,
`10` in a TM the whole hour. A stored value lies in a period if its first moment does; so `2230`
finds `223000` and `223015`, and is found by `223000`, as the note to C.2.2.2.1 wants.
"""

import re
from calendar import isleap, monthrange
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

DAY_US = 86_400_000_000

_DA = re.compile(r"(\d{4})(?:(\d\d)(\d\d)|\.(\d\d)\.(\d\d))")
"""YYYYMMDD, or YYYY.MM.DD of ACR-NEMA 2.0 (PS3.5 table 6.2-1, note to DA)."""

_TM = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?")
"""HH, HHMM, HHMMSS or HHMMSS.F to .FFFFFF, also with the colons of ACR-NEMA 2.0."""

_DT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(\d\d(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?"
)


@dataclass(frozen=True, slots=True)
class Period:
    """A moment with its precision: from the first to the last microsecond, both included.

    Counted from midnight (TM) or from year 1 (DA, DT), in the writer's zone or, where
    `offset_us` is known, comparable in UTC by subtracting it.
    """

    first_us: int
    last_us: int
    offset_us: int | None = None


def parse_da(text: str) -> Period | None:
    """A DA value; None if it is none."""
    found = _DA.fullmatch(text)
    if found is None:
        return None
    year, *rest = found.groups()
    month, day = (part for part in rest if part is not None)
    return _days(year, month, day)


def parse_tm(text: str) -> Period | None:
    """A TM value; None if it is none. The leap second 60 is allowed (PS3.5 6.2)."""
    found = _TM.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups()
    if int(hours) > 23 or int(minutes or 0) > 59 or int(seconds or 0) > 60:
        return None
    start = int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    if minutes is None:
        length_us = 3_600_000_000
    elif seconds is None:
        length_us = 60_000_000
    else:
        length_us = 10 ** (6 - len(fraction or ""))
    first_us = start * 1_000_000 + int((fraction or "").ljust(6, "0"))
    return Period(first_us, first_us + length_us - 1)


def parse_dt(text: str) -> Period | None:
    """A DT value; None if it is none."""
    found = _DT.fullmatch(text)
    if found is None:
        return None
    year, month, day, time, zone = found.groups()
    days = _days(year, month, day)
    if days is None:
        return None
    offset_us = parse_offset(zone) if zone else None
    if zone and offset_us is None:
        return None
    if time is None:
        return Period(days.first_us, days.last_us, offset_us)
    clock = parse_tm(time)
    if clock is None:
        return None
    return Period(days.first_us + clock.first_us, days.first_us + clock.last_us, offset_us)


def parse_offset(text: str) -> int | None:
    """`+HHMM` or `-HHMM` from UTC, -1200 to +1400 (PS3.5 6.2), in microseconds."""
    if re.fullmatch(r"[+-]\d{4}", text) is None or int(text[3:]) > 59:
        return None
    minutes = int(text[1:3]) * 60 + int(text[3:])
    if text[0] == "-":
        minutes = -minutes
    return minutes * 60_000_000 if -12 * 60 <= minutes <= 14 * 60 else None


def _days(year: str, month: str | None, day: str | None) -> Period | None:
    """A day, or the whole month or year where the rest is left out."""
    try:
        first = date(int(year), int(month or 1), int(day or 1)).toordinal()
    except ValueError:
        return None
    if day is not None:
        days = 1
    elif month is not None:
        days = monthrange(int(year), int(month))[1]
    else:
        days = 366 if isleap(int(year)) else 365
    return Period(first * DAY_US, (first + days) * DAY_US - 1)


PARSERS = {"DA": parse_da, "TM": parse_tm, "DT": parse_dt}


@dataclass(frozen=True, slots=True)
class Range:
    """What a key of VR DA, TM or DT asks for: a period or a range, open where None."""

    first: Period | None
    last: Period | None
    ranged: bool = True
    """Written with a hyphen; a single value is a range of its own period."""

    @property
    def form(self) -> tuple[bool, bool, bool]:
        """Whether a range, and which ends are open: pairs are combined only if these agree."""
        return self.ranged, self.first is None, self.last is None

    def holds(self, value: Period) -> bool:
        """Whether a stored moment is in the range, both ends included."""
        return not (
            (self.first and _apart(value.first_us, value, self.first.first_us, self.first) < 0)
            or (self.last and _apart(value.first_us, value, self.last.last_us, self.last) > 0)
        )


def _apart(us: int, value: Period, end_us: int, end: Period) -> int:
    """How much later the value is; in UTC if both zones are known, else as the clocks read."""
    if value.offset_us is not None and end.offset_us is not None:
        return (us - value.offset_us) - (end_us - end.offset_us)
    return us - end_us


@lru_cache(maxsize=1024)
def parse_range(vr: str, text: str) -> Range | None:
    """A key's value: `A`, `A-B`, `A-` or `-B`, with or without spaces; None if it is none.

    A DT may hold hyphens of its own, before an offset. Where the whole is one value it is one
    (`2023-0500` is the year 2023 in New York); else the leftmost hyphen counts that leaves a
    value, or nothing, on both sides.
    """
    parse = PARSERS[vr]
    single = parse(text)
    if single is not None:
        return Range(single, single, ranged=False)
    place = text.find("-")
    while place >= 0:
        left, right = text[:place].strip(), text[place + 1 :].strip()
        first, last = parse(left), parse(right)
        if (first or not left) and (last or not right) and (left or right):
            return Range(first, last)
        place = text.find("-", place + 1)
    return None


def combine(day: Range, clock: Range) -> Range:
    """A DA and a TM range of the same form as one range of moments (PS3.4 C.2.2.2.5.4)."""
    return Range(join(day.first, clock.first), join(day.last, clock.last))


def join(day: Period | None, clock: Period | None) -> Period | None:
    """A day and a time of day as one moment; the whole day where there is no time."""
    if day is None or clock is None:
        return day
    return Period(day.first_us + clock.first_us, day.first_us + clock.last_us)
