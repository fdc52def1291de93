"""Dates, times, moments and ranges of them, as PS3.5 6.2 writes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.model.times import (
    DAY_US,
    Period,
    combine,
    join,
    parse_da,
    parse_dt,
    parse_offset,
    parse_range,
    parse_tm,
)

HOUR_US = 3_600_000_000


@pytest.mark.parametrize("text", ["", "2024", "202401", "20240132", "00000101", "2024-01-31", "x"])
def test_this_is_no_date(text: str) -> None:
    assert parse_da(text) is None


@pytest.mark.parametrize("text", ["", "1", "24", "1060", "101561", "101500.", "10:15:0", "1015+01"])
def test_this_is_no_time(text: str) -> None:
    assert parse_tm(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "202", "20241", "202413", "20240230", "2024+0", "2024+1401", "2024-1201", "2024+0160"],
)
def test_this_is_no_moment(text: str) -> None:
    assert parse_dt(text) is None


@pytest.mark.parametrize(
    ("text", "days"),
    [("2023", 365), ("2024", 366), ("202402", 29), ("202312", 31), ("999912", 31), ("20240131", 1)],
)
def test_what_is_left_out_is_the_whole_of_it(text: str, days: int) -> None:
    period = parse_dt(text)
    assert period is not None
    assert period.last_us - period.first_us + 1 == days * DAY_US


@pytest.mark.parametrize(
    ("text", "length_us"),
    [("10", HOUR_US), ("1015", 60_000_000), ("101500", 1_000_000), ("101500.5", 100_000),
     ("101500.123456", 1)],
)  # fmt: skip
def test_a_time_is_as_long_as_it_is_precise(text: str, length_us: int) -> None:
    period = parse_tm(text)
    assert period is not None
    assert period.last_us - period.first_us + 1 == length_us


def test_offsets_have_signs_and_bounds() -> None:
    assert parse_offset("+0130") == HOUR_US * 3 // 2
    assert parse_offset("-1200") == -12 * HOUR_US
    assert parse_offset("+1400") == 14 * HOUR_US
    assert parse_offset("0100") is None


@pytest.mark.parametrize(
    ("text", "ranged", "opens"),
    [
        ("2024-0500", False, (False, False)),
        ("2024-1980", True, (False, False)),
        ("2024-", True, (False, True)),
        ("-2024", True, (True, False)),
        ("2024-0500-", True, (False, True)),
        ("-2024-0500", True, (True, False)),
        ("2023-0500-2024-0500", True, (False, False)),
        ("2023-0500-2024", True, (False, False)),
        ("2023-2024-0500", True, (False, False)),
    ],
)
def test_a_hyphen_is_an_offset_where_it_can_be_else_a_range(
    text: str, ranged: bool, opens: tuple[bool, bool]
) -> None:
    found = parse_range("DT", text)
    assert found is not None
    assert found.form == (ranged, *opens)


@pytest.mark.parametrize("text", ["-", "--", "", "x-y", "2024-x", "20240101-20240102-20240103"])
def test_this_is_no_range(text: str) -> None:
    assert parse_range("DA", text) is None


def test_a_day_and_a_time_make_a_moment() -> None:
    day, clock = parse_da("20240131"), parse_tm("10")
    assert day is not None
    assert clock is not None
    assert join(day, clock) == parse_dt("2024013110")
    assert join(day, None) == day
    assert join(None, clock) is None
    days, clocks = parse_range("DA", "20240131-"), parse_range("TM", "10-")
    assert days is not None
    assert clocks is not None
    assert combine(days, clocks) == parse_range("DT", "2024013110-")


@settings(max_examples=300, deadline=None)
@given(st.datetimes(), st.datetimes())
def test_moments_are_in_the_order_of_time(one: object, other: object) -> None:
    def period(moment: object) -> Period:
        found = parse_dt(f"{moment:%Y%m%d%H%M%S.%f}".rjust(21, "0"))
        assert found is not None
        return found

    assert (one < other) == (period(one).first_us < period(other).first_us)  # type: ignore[operator]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["DA", "TM", "DT"]), st.text("0123456789-+.: ", max_size=30))
def test_no_text_breaks_the_reading(vr: str, text: str) -> None:
    found = parse_range(vr, text)
    if found is not None and found.first is not None and not found.ranged:
        assert found.holds(found.first)
