"""Intervals hold the true value as often as they say, and are those that were published."""

from collections.abc import Callable
from math import inf, log, sqrt

import numpy as np
import pytest

from meshpacs_sim.statistics.differences import difference_of
from meshpacs_sim.statistics.intervals import (
    Estimate,
    Floats,
    mean_of,
    proportion_of,
    quantile_of,
    student,
)

RUNS = 1_500


def share_that_holds(true: float, interval: Callable[[np.random.Generator], Estimate]) -> float:
    """How many of `RUNS` intervals, each of another seed, hold the true value."""
    held = 0
    for seed in range(RUNS):
        estimate = interval(np.random.default_rng(seed))
        held += estimate.low <= true <= estimate.high
    return held / RUNS


TOLERANCE = 4 * sqrt(0.95 * 0.05 / RUNS)
"""Four standard errors of a share of 0.95: chance goes beyond in 1 of 16,000 experiments."""


@pytest.mark.parametrize("n", [2, 10, 50])
def test_the_interval_of_a_mean_holds_it_in_95_of_100_experiments(n: int) -> None:
    share = share_that_holds(7.0, lambda chance: mean_of(chance.normal(7.0, 3.0, n)))
    assert abs(share - 0.95) < TOLERANCE


def test_a_wider_confidence_holds_it_more_often() -> None:
    share = share_that_holds(7.0, lambda chance: mean_of(chance.normal(7.0, 3.0, 9), 0.5))
    assert abs(share - 0.5) < 4 * sqrt(0.25 / RUNS)


def test_students_factors_are_the_tabulated_ones() -> None:
    tabulated = {1: 12.706, 2: 4.303, 9: 2.262, 29: 2.045, 120: 1.980}
    assert {freedom: round(student(freedom), 3) for freedom in tabulated} == tabulated


def test_one_observation_has_a_mean_whose_interval_has_no_ends() -> None:
    estimate = mean_of([4])
    assert estimate == Estimate(4.0, -inf, inf, 1)
    assert not estimate.bounded


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(hits: int, n: int, low: float, high: float) -> None:
    estimate = proportion_of(hits, n)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
    turned = proportion_of(n - hits, n)
    assert (round(turned.low, 4), round(turned.high, 4)) == (round(1 - high, 4), round(1 - low, 4))


def test_no_hit_and_nothing_but_hits_have_an_end_at_0_and_1_exactly_and_a_width() -> None:
    none, every = proportion_of(0, 7), proportion_of(7, 7)
    assert (none.value, none.low, every.value, every.high) == (0, 0, 1, 1)
    assert none.high == pytest.approx(0.354, abs=0.001) == 1 - every.low


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_the_interval_of_a_proportion_holds_it_on_average_in_95_of_100(p: float) -> None:
    share = share_that_holds(p, lambda chance: proportion_of(int(chance.binomial(400, p)), 400))
    assert abs(share - 0.95) < TOLERANCE + 0.012  # hits come whole: Brown et al. 2001, figure 5


def test_tries_that_were_alike_count_as_fewer() -> None:
    assert proportion_of(40, 200, inflation=4) == proportion_of(10, 50)
    assert proportion_of(40, 200, inflation=0.5) == proportion_of(40, 200)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_interval_of_a_quantile_holds_it_at_least_so_often_whatever_the_shape(q: float) -> None:
    share = share_that_holds(
        -log(1 - q), lambda chance: quantile_of(chance.exponential(size=900), q)
    )
    assert 0.95 - TOLERANCE < share < 0.985


def test_quantiles_are_observations_with_the_ranks_that_are_tabulated() -> None:
    ranks = np.arange(1, 101)  # so that a value is its rank; Le Boudec 2010, appendix A
    assert quantile_of(ranks, 0.5) == Estimate(50, 40, 61, 100)
    assert quantile_of(ranks[:30], 0.5) == Estimate(15, 10, 21, 30)
    assert quantile_of(ranks[:6], 0.5) == Estimate(3, 1, 6, 6)
    assert quantile_of(ranks[:5], 0.5) == Estimate(3, -inf, inf, 5)


def test_a_99th_percentile_has_an_upper_end_from_368_observations() -> None:
    assert quantile_of(np.arange(367), 0.99).high == inf
    assert quantile_of(np.arange(368), 0.99).high == 367


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, float("nan")], [inf]])
def test_of_nothing_or_of_no_numbers_nothing_is_said(values: list[float]) -> None:
    for say in (mean_of, lambda given: quantile_of(given, 0.5)):
        with pytest.raises(ValueError, match="observation"):
            say(values)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_proportion_is_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        proportion_of(hits, n)


@pytest.mark.parametrize("q", [0.0, 1.0, 99.0])
def test_what_is_no_quantile_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile_of([1, 2], q)


def test_widths_are_told_in_the_values_unit_and_as_its_share() -> None:
    estimate = Estimate(4.0, 3.0, 6.0, 9)
    assert (estimate.half_width, estimate.relative) == (2.0, 0.5)
    assert Estimate(0.0, -1.0, 1.0, 9).relative == inf
    assert Estimate(0.0, 0.0, 0.0, 9).relative == 0


def both(chance: np.random.Generator) -> tuple[Floats, Floats]:
    """Two strategies on ten meshes: the mesh matters far more than the strategy."""
    mesh = chance.normal(100, 20, 10)
    return mesh + chance.normal(3, 2, 10), mesh + chance.normal(0, 2, 10)


def test_pairs_hold_the_difference_and_see_what_chance_hides_from_unpaired_ones() -> None:
    share = share_that_holds(3.0, lambda chance: difference_of(*both(chance)).difference)
    assert abs(share - 0.95) < TOLERANCE
    one, other = both(np.random.default_rng(1))
    paired = difference_of(one, other)
    assert paired.differ
    assert paired.saved > 0.9
    assert mean_of(one).low < mean_of(other).high  # apart, nothing could be told


def test_pairs_of_the_same_do_not_differ() -> None:
    paired = difference_of([1, 2, 3], [1, 2, 3])
    assert not paired.differ
    assert paired.difference == Estimate(0, 0, 0, 3)
    assert paired.saved == 1
    assert difference_of([2, 2], [1, 1]).differ


def test_what_was_counted_once_has_a_difference_without_ends() -> None:
    assert not difference_of([5], [3]).differ
    assert difference_of([5], [3]).difference.value == 2


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="3 observations cannot be paired with 2"):
        difference_of([1, 2, 3], [1, 2])
