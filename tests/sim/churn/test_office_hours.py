"""Clinics are up when they are open, by their own clocks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from meshpacs_sim.world.churn.office_hours import DAY, HOUR, MINUTE, OfficeHours
from meshpacs_sim.world.churn.schedule import FOREVER, Presence, Schedule, Span, schedule
from meshpacs_sim.world.world import EPOCH_US

PLAIN = OfficeHours(ragged_us=0, stay_on_percent=0, left_on_percent=0)
BEGAN = datetime.fromtimestamp(EPOCH_US // 1_000_000, UTC)


def local(moment_us: int, zone_us: int = 0) -> datetime:
    return BEGAN + timedelta(microseconds=moment_us + zone_us)


def weeks(churn: OfficeHours, count: int, seed: int = 1, node: int = 0) -> Schedule:
    return schedule(churn, seed, node, count * 7 * DAY)


def test_a_clinic_is_open_from_monday_to_friday_from_8_to_18() -> None:
    kept = weeks(PLAIN, 2)
    for hour in range(2 * 7 * 24):
        moment_us = hour * HOUR + 17 * MINUTE
        at = local(moment_us)
        assert kept.up_at(moment_us) == (at.weekday() < 5 and 8 <= at.hour < 18), at
    assert kept.availability == pytest.approx(50 / 168, abs=1e-12)


@pytest.mark.parametrize("zone_us", [-8 * HOUR, 5 * HOUR + 30 * MINUTE])
def test_a_zone_moves_the_day_and_the_weekend(zone_us: int) -> None:
    kept = weeks(OfficeHours(PLAIN.week, 0, 0, 0, (zone_us,)), 1)
    for quarter in range(7 * 24 * 4):
        moment_us = quarter * 15 * MINUTE + 1
        at = local(moment_us, zone_us)
        assert kept.up_at(moment_us) == (at.weekday() < 5 and 8 <= at.hour < 18), at


def test_a_week_has_the_hours_that_it_is_given() -> None:
    saturday = (*[None] * 5, (9 * HOUR, 12 * HOUR), None)
    kept = weeks(OfficeHours(saturday, 0, 0, 0), 3)
    assert [local(span.up_us).strftime("%a %H:%M") for span in kept.spans] == ["Sat 09:00"] * 3
    assert kept.up_us() == 3 * 3 * HOUR


def test_a_clinic_that_never_closes_is_up_without_a_pause() -> None:
    assert list(OfficeHours(((0, DAY),) * 7, 0, 0, 0).spans(1, 0)) == [Span(0, FOREVER)]
    # Midnight is no pause, a Sunday is one.
    weekly = OfficeHours((*[(0, DAY)] * 6, None), 0, 0, 0)
    assert [span.down_us - span.up_us for span in weeks(weekly, 4).spans[1:-1]] == [6 * DAY] * 3


def test_somebody_comes_a_little_early_and_goes_a_little_late() -> None:
    ragged = OfficeHours(ragged_us=30 * MINUTE, stay_on_percent=0, left_on_percent=0)
    early, late = [], []
    for node in range(20):
        for span in weeks(ragged, 3, node=node).spans:
            on, off = local(span.up_us), local(span.down_us)
            early.append((8 * 60 - on.hour * 60 - on.minute - on.second / 60) / 30)
            late.append((off.hour * 60 + off.minute + off.second / 60 - 18 * 60) / 30)
    for ways in (early, late):
        assert -0.01 <= min(ways) < 0.05
        assert 0.95 < max(ways) <= 1.01
        assert 0.4 < sum(ways) / len(ways) < 0.6


def test_some_machines_are_never_switched_off_and_some_evenings_are_forgotten() -> None:
    churn = OfficeHours(ragged_us=0, stay_on_percent=25, left_on_percent=10)
    always, nights, evenings = 0, 0, 0
    for node in range(150):
        spans = [span for span, _ in zip(churn.spans(1, node), range(15), strict=False)]
        if spans == [Span(0, FOREVER)]:
            always += 1
            continue
        for span in spans[1:]:
            # Of the days that it was up, Monday to Friday, all evenings but the last.
            days = [local(span.up_us) + timedelta(hours=24 * day) for day in range(30)]
            open_days = sum(day < local(span.down_us) and day.weekday() < 5 for day in days)
            nights += open_days - 1
            evenings += open_days
    # Four standard deviations.
    assert 17 < always < 58
    assert 0.08 < nights / evenings < 0.12


def test_zones_are_shared_out_and_the_mesh_never_sleeps_at_once() -> None:
    churn = OfficeHours(PLAIN.week, 0, 0, 0, zones_us=(-8 * HOUR, 0, 9 * HOUR))
    presence = Presence(churn, 2, 300)
    # The world begins on a Tuesday at 22:13 by UTC.
    assert BEGAN.strftime("%a %H:%M") == "Tue 22:13"
    up = [sum(presence.at(moment * HOUR)) for moment in (3, 9, 14, 18)]
    # Four standard deviations of 300 draws.
    for each, share in zip(up, (2 / 3, 1 / 3, 1 / 3, 2 / 3), strict=True):
        assert abs(each - 300 * share) < 33, up


def test_a_machine_left_on_before_the_world_began_is_up_when_it_begins() -> None:
    forgetful = OfficeHours(ragged_us=0, stay_on_percent=0, left_on_percent=99)
    assert sum(Presence(forgetful, 1, 100).at(0)) > 90


def test_what_is_no_week_is_refused() -> None:
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: OfficeHours(PLAIN.week[:6]), "seven days"),
        (lambda: OfficeHours((None,) * 7), "one of them"),
        (lambda: OfficeHours(((HOUR, HOUR),) * 7), "do not fit"),
        (lambda: OfficeHours(((0, DAY + 1),) * 7), "do not fit"),
        (lambda: OfficeHours(ragged_us=5 * HOUR), "0 to 4 hours"),
        (lambda: OfficeHours(stay_on_percent=101), "percentages"),
        (lambda: OfficeHours(left_on_percent=100), "percentages"),
        (lambda: OfficeHours(zones_us=()), "one zone"),
        (lambda: OfficeHours(zones_us=(15 * HOUR,)), "one zone"),
    ]
    for make, why in refused:
        with pytest.raises(ValueError, match=why):
            make()
