"""An experiment is repeated until its interval is narrow enough, or so often at most."""

from math import sqrt

import numpy as np
import pytest

from meshpacs_sim.statistics.intervals import Estimate, mean_of
from meshpacs_sim.statistics.stopping import Precision, Verdict, repeat


def test_it_stops_where_the_half_width_is_the_share_that_was_wanted() -> None:
    chance = np.random.default_rng(4)
    stopped = repeat(lambda _: float(chance.normal(10, 5)), Precision(relative=0.1))
    assert stopped.verdict is Verdict.PRECISE
    assert stopped.estimate.relative <= 0.1
    assert 60 < len(stopped.values) < 220  # (1.96 * 5 / 1)^2 = 96, and looks are half apart


def test_stopping_early_spoils_the_interval_little() -> None:
    runs, held = 400, 0
    for seed in range(runs):
        chance = np.random.default_rng(seed)
        stopped = repeat(lambda _, c=chance: float(c.normal(10, 5)), Precision(relative=0.1))  # type: ignore[misc]
        held += stopped.estimate.low <= 10 <= stopped.estimate.high
    assert 0.95 - 4 * sqrt(0.95 * 0.05 / runs) - 0.02 < held / runs < 0.99


def test_it_stops_at_the_limit_and_says_so() -> None:
    stopped = repeat(lambda number: float(number % 2), Precision(relative=0.001, most=37))
    assert (stopped.verdict, len(stopped.values)) == (Verdict.LIMIT, 37)
    assert stopped.estimate.n == 37


def test_what_never_varies_needs_the_least_number_alone() -> None:
    stopped = repeat(lambda _: 3.0, Precision(least=6))
    assert (stopped.verdict, len(stopped.values)) == (Verdict.PRECISE, 6)
    assert stopped.estimate == Estimate(3, 3, 3, 6)


def test_a_value_of_nothing_needs_the_least_number_alone() -> None:
    assert len(repeat(lambda _: 0.0, Precision()).values) == 10


def test_a_proportion_near_0_is_narrow_enough_by_its_absolute_width() -> None:
    shares = [0.0, 0.01, 0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.01]
    told = mean_of(shares)
    assert Precision(relative=0.05).after(10, told) is Verdict.MORE
    assert Precision(relative=0.05, absolute=0.01).after(10, told) is Verdict.PRECISE
    assert Precision(relative=0, absolute=0.001).after(10, told) is Verdict.MORE


def test_nothing_is_looked_at_before_the_least_number() -> None:
    assert Precision(least=5).after(4, Estimate(1, 1, 1, 4)) is Verdict.MORE


def test_what_has_never_been_seen_is_looked_for_up_to_the_limit() -> None:
    assert Precision(most=50).after(49, None) is Verdict.MORE
    assert Precision(most=50).after(50, None) is Verdict.LIMIT


def test_looks_come_at_fixed_numbers_each_half_as_many_again() -> None:
    precision, looks = Precision(least=10, most=60), [0]
    while looks[-1] < 60:
        looks.append(precision.next_look(looks[-1]))
    assert looks == [0, 10, 15, 22, 33, 49, 60]


def test_repetitions_are_numbered_from_0_and_each_is_made_once() -> None:
    seen: list[int] = []

    def observe(number: int) -> float:
        seen.append(number)
        return float(number)

    repeat(observe, Precision(relative=0.001, most=25))
    assert seen == list(range(25))


@pytest.mark.parametrize(
    "wrong",
    [
        {"relative": 0.0},
        {"relative": -1.0},
        {"absolute": -1.0},
        {"least": 1},
        {"least": 20, "most": 10},
        {"confidence": 1.0},
    ],
)
def test_a_rule_that_could_never_be_met_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"wanted|repetitions|confidence"):
        Precision(**wrong)  # type: ignore[arg-type]
