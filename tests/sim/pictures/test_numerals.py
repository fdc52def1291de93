"""Numbers are written as people read them, and never as surer than they are."""

from math import inf, nan

import pytest

from meshpacs_sim.pictures.numerals import percent, plain, with_interval
from meshpacs_sim.statistics.intervals import Estimate, proportion_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1234.0, "1\u202f234"),
        (60_000, "60\u202f000"),
        (3.14159, "3.14"),
        (0.000123456, "0.000123"),
        (999.96, "1\u202f000"),
        (-12.345, "\N{MINUS SIGN}12.3"),
        (12_345_678, "12\u202f300\u202f000"),
        (4.2e11, "4.20e+11"),
        (2e-9, "2.00e-09"),
        (inf, "unknown"),
        (nan, "unknown"),
    ],
)
def test_three_digits_count_and_whole_numbers_are_whole(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50.0 %"),
        (0.9949, "99.5 %"),
        (0.00031, "0.031 %"),
        (0.99994, "99.994 %"),
        (0.999_96, "99.996 %"),
    ],
)
def test_what_is_not_quite_all_or_none_is_not_written_as_all_or_none(
    share: float, text: str
) -> None:
    assert percent(share) == text


def test_an_interval_is_written_with_its_value() -> None:
    assert with_interval(Estimate(4, 3.5, 4.5, 9)) == "4 (3.5 to 4.5)"
    assert with_interval(proportion_of(0, 20), share=True) == "0 % (0 % to 16.1 %)"
    assert with_interval(Estimate(4, 4, 4, 9)) == "4"


def test_ends_that_are_not_known_are_called_so() -> None:
    assert with_interval(Estimate(4, -inf, inf, 1)) == "4 (interval unknown)"
    assert with_interval(Estimate(4, 3, inf, 90)) == "4 (3 to unknown)"
    assert with_interval(None) == "–"
