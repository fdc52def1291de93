"""Chance as arrays is the engine's chance."""

import numpy as np
import pytest

from meshpacs.engine.draws import Draws
from meshpacs_sim.graphs.chance import Chance, scaled


@pytest.mark.parametrize("seed", [0, 7, -1, 2**64 - 1])
def test_arrays_hold_what_the_engine_draws_one_by_one(seed: int) -> None:
    one_by_one, arrays = Draws(seed, b"node"), Chance(seed, b"node")
    for purpose, count in (("walk", 5), ("wait", 3), ("walk", 1_000)):
        expected = [one_by_one.bits(purpose) for _ in range(count)]
        drawn = arrays.bits(purpose, count)
        assert drawn.tolist() == expected
    again = Draws(seed, b"node")
    assert arrays.bits_at("walk", 3, 2).tolist() == [again.bits("walk") for _ in range(5)][3:]


@pytest.mark.parametrize("bound", [1, 2, 10**6, 2**32 - 1, 2**32, 2**32 + 1, 3 * 2**50, 2**63])
def test_numbers_below_a_bound_are_the_engines(bound: int) -> None:
    one_by_one, arrays = Draws(3, b"node"), Chance(3, b"node")
    expected = [one_by_one.below("pick", bound) for _ in range(500)]
    assert arrays.below("pick", bound, 500).tolist() == expected


def test_the_ends_of_the_words_meet_the_ends_of_the_range() -> None:
    ends = np.array([0, 2**64 - 1, 2**64 - 1, 2**32], np.uint64)
    for bound in (5, 2**40 + 1, 2**63):
        exact = [int(word) * bound >> 64 for word in ends.tolist()]
        assert scaled(ends, bound).tolist() == exact
    each = np.array([3, 7, 2**45, 2**60])
    exact = [word * bound >> 64 for word, bound in zip(ends.tolist(), each.tolist(), strict=True)]
    assert scaled(ends, each).tolist() == exact


def test_an_order_holds_everybody_once() -> None:
    order = Chance(1, b"order").order("shuffle", 1_000)
    assert sorted(order.tolist()) == list(range(1_000))
    assert (order != np.arange(1_000)).sum() > 900
