"""Opening hours: as people write them, exact to the minute, and the same week for all."""

from itertools import islice

import pytest

from meshpacs_sim.planning.hours import (
    DAY,
    MINUTE_US,
    WEEK,
    Together,
    opening,
    shifted,
    with_always,
    zone_minutes,
)
from meshpacs_sim.planning.reach import longest_closed
from meshpacs_sim.world.churn.schedule import FOREVER, schedule


def test_days_and_hours_become_minutes_and_days_may_go_over_the_weeks_end() -> None:
    spans = opening("Mon-Tue 08:00-12:00, mon 14:00-18:30, Sun-Mon 23:00-24:00")
    assert spans == (
        (480, 720),
        (840, 1110),
        (1380, 1440),
        (DAY + 480, DAY + 720),
        (6 * DAY + 1380, WEEK),
    )
    assert opening("always on") == ((0, WEEK),)
    assert opening("never") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Mo-Fr 8-18", "not days and hours"),
        ("Mon-Friday 08:00-18:00", "not days and hours"),
        ("Mon-Xyz 08:00-18:00", "'Xyz' is no day"),
        ("Mon 08:00-24:01", "no time of a day"),
        ("Mon 08:61-18:00", "no time of a day"),
        ("Fri 22:00-06:00", "over midnight are two items"),
        ("", "not days and hours"),
    ],
)
def test_what_are_no_hours_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        opening(text)


def test_zones_are_names_or_offsets_and_shift_a_week_around_its_end() -> None:
    assert zone_minutes("Europe/Berlin") == 60
    assert zone_minutes("-03:30") == -210
    assert zone_minutes("UTC") == 0
    for nowhere in ("Middle/Earth", "+15:00", "../etc/passwd"):
        with pytest.raises(ValueError, match=r"time zone|14 hours"):
            zone_minutes(nowhere)
    assert shifted(((0, 60),), -30) == ((0, 30), (WEEK - 30, WEEK))


def test_who_is_open_is_told_by_stretches_and_by_minutes_alike() -> None:
    together = Together([opening("Mon-Fri 08:00-12:00"), opening("Mon 10:00-14:00"), ()])
    told = {}
    for start, end, mask in together.stretches(0, 2 * WEEK):
        told.update(dict.fromkeys(range(start, end), mask))
    assert told == {minute: together.mask(minute) for minute in range(2 * WEEK)}
    assert together.open_minutes(0, 0, WEEK) == 5 * 240
    assert together.first(0, DAY, 0, 0b10) == 600
    assert together.first(720, DAY, 0, 0b10) is None
    assert [together.meeting(site) for site in range(3)] == [0b10, 0b01, 0]
    assert with_always(together, 2).mask(0) == 0b100
    assert longest_closed(together, 0) == 2 * DAY + 20 * 60
    assert longest_closed(together, 2) == WEEK


@pytest.mark.parametrize(
    "text", ["Mon-Fri 08:00-12:00", "Sun-Mon 00:00-24:00", "Tue 00:00-24:00, Wed 00:00-01:00"]
)
def test_a_machine_is_on_in_just_the_minutes_in_which_its_site_is_open(text: str) -> None:
    together = Together([opening(text)])
    kept = schedule(together, 1, 0, 3 * WEEK * MINUTE_US)
    assert all(
        kept.up_at(minute * MINUTE_US) == bool(together.mask(minute)) for minute in range(3 * WEEK)
    )


def test_a_machine_that_is_always_on_has_one_span_and_one_that_never_is_none() -> None:
    together = Together([opening("always on"), opening("never")])
    assert [tuple(each) for each in islice(together.spans(1, 0), 2)] == [(0, FOREVER)]
    assert list(together.spans(1, 1)) == []
