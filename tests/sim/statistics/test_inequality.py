"""Gini's coefficient and Lorenz's curve are those of the textbooks."""

import numpy as np
import pytest

from meshpacs_sim.statistics.inequality import gini_of, lorenz_of


@pytest.mark.parametrize(
    ("shares", "gini"),
    [
        ([5, 5, 5, 5], 0.0),
        ([0, 0, 0, 0], 0.0),
        ([0, 0, 0, 8], 0.75),  # one has all: (n - 1) / n
        ([1, 2, 3, 4], 0.25),
        ([1, 3], 0.25),
        ([7], 0.0),
    ],
)
def test_the_coefficient_is_the_known_one(shares: list[int], gini: float) -> None:
    assert gini_of(shares) == pytest.approx(gini)
    assert gini_of([3 * share for share in reversed(shares)]) == pytest.approx(gini)


def test_it_is_half_the_mean_difference_of_two_over_the_mean() -> None:
    shares = np.random.default_rng(5).integers(0, 90, 40)
    apart = np.abs(shares[:, None] - shares[None, :]).mean()
    assert gini_of(shares) == pytest.approx(apart / (2 * shares.mean()))


def test_it_is_twice_the_area_between_lorenzs_curve_and_the_diagonal() -> None:
    shares = np.random.default_rng(6).integers(0, 90, 40)
    nodes, had = lorenz_of(shares)
    assert 1 - 2 * np.trapezoid(had, nodes) == pytest.approx(gini_of(shares))


def test_the_curve_goes_from_nobody_to_everybody() -> None:
    nodes, had = lorenz_of([3, 1])
    assert nodes.tolist() == [0, 0.5, 1]
    assert had.tolist() == [0, 0.25, 1]
    assert lorenz_of([0, 0])[1].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("measure", [gini_of, lorenz_of])
def test_nobody_has_less_than_nothing(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="less than nothing"):
        measure([2, -1])
