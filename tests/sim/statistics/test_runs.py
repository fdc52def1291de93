"""One long run: its beginning is found and cut, its neighbours are alike and are told so."""

from math import sqrt

import numpy as np
import pytest

from meshpacs_sim.statistics.batches import (
    are_alike,
    batch_means,
    run_mean,
    run_proportion,
    run_quantile,
    von_neumann,
)
from meshpacs_sim.statistics.intervals import Floats, mean_of, quantile_of
from meshpacs_sim.statistics.warmup import BATCH, warm_up_of


def resembling(seed: int, length: int, memory: float, mean: float = 0.0) -> Floats:
    """A run whose neighbours resemble each other: an autoregressive one, in its steady state."""
    steps = np.random.default_rng(seed).normal(size=length)
    values = np.empty(length)
    values[0] = steps[0] / sqrt(1 - memory * memory)
    for index in range(1, length):
        values[index] = memory * values[index - 1] + steps[index]
    return values + mean


# ---------------------------------------------------------------- warm-up


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_transient_is_found(seed: int) -> None:
    values = resembling(seed, 2_000, 0.5, mean=50)
    values[:300] += np.linspace(60, 0, 300)
    found = warm_up_of(values)
    assert found.settled
    assert 200 <= found.cut <= 400  # its last third hides in the noise


def test_what_is_left_after_the_cut_has_the_mean_that_the_whole_run_has_not() -> None:
    values = resembling(1, 2_000, 0.5, mean=50)
    values[:300] += np.linspace(60, 0, 300)
    assert abs(values[warm_up_of(values).cut :].mean() - 50) < 0.3
    assert abs(values.mean() - 50) > 4


def test_a_run_that_began_as_it_went_on_loses_little() -> None:
    cuts = [warm_up_of(resembling(seed, 2_000, 0.5)).cut for seed in range(40)]
    assert float(np.median(cuts)) < 100
    assert max(cuts) <= 1_000


def test_a_run_that_never_changes_loses_nothing() -> None:
    found = warm_up_of([3.0] * 200)
    assert (found.cut, found.settled) == (0, True)


def test_a_run_that_is_still_on_its_way_is_called_unsettled() -> None:
    found = warm_up_of(np.linspace(0, 100, 500))
    assert not found.settled
    assert found.cut <= 250 + BATCH


def test_a_run_of_few_observations_is_not_judged() -> None:
    found = warm_up_of(range(49))
    assert (found.cut, found.settled) == (0, False)


def test_the_rule_is_the_published_sum() -> None:
    values = resembling(3, 103, 0.3)  # three do not fill a batch
    batches = values[:100].reshape(20, 5).mean(axis=1)
    errors = [float(batches[d:].var() / (20 - d)) for d in range(11)]
    assert warm_up_of(values).cut == 5 * int(np.argmin(errors))


# ---------------------------------------------------------------- batches


def test_von_neumanns_ratio_tells_resembling_neighbours_from_independent_ones() -> None:
    assert von_neumann([1, 1, 1, 1]) == 0
    assert von_neumann([0, 0, 1, 1]) == pytest.approx(0.5)
    assert von_neumann([0, 1, 0, 1]) == pytest.approx(-0.5)
    alike = sum(are_alike(np.random.default_rng(seed).normal(size=30)) for seed in range(1_000))
    assert abs(alike / 1_000 - 0.1) < 4 * sqrt(0.1 * 0.9 / 1_000)
    assert all(are_alike(resembling(seed, 100, 0.8)) for seed in range(50))
    assert not are_alike([0, 1])


def test_batches_are_equally_long_and_leave_out_the_first() -> None:
    assert batch_means([9, 1, 3, 5, 7], 2).tolist() == [2, 6]
    with pytest.raises(ValueError, match="3 observations do not fill 4 batches"):
        batch_means([1, 2, 3], 4)


def test_the_interval_of_a_run_holds_its_mean_where_that_of_its_observations_does_not() -> None:
    runs, held, naive = 300, 0, 0
    for seed in range(runs):
        values = resembling(seed, 2_000, 0.8)
        estimate, simple = run_mean(values).estimate, mean_of(values)
        held += estimate.low <= 0 <= estimate.high
        naive += simple.low <= 0 <= simple.high
    assert abs(held / runs - 0.95) < 4 * sqrt(0.95 * 0.05 / runs)
    assert naive / runs < 0.6


def test_observations_that_are_independent_are_worth_what_they_are() -> None:
    runs = [run_mean(np.random.default_rng(seed).normal(size=900)) for seed in range(200)]
    assert float(np.median([run.inflation for run in runs])) < 1.3
    assert sum(run.alike for run in runs) < 5


def test_a_run_shorter_than_its_memory_is_told_so() -> None:
    assert run_mean(np.linspace(0, 1, 400)).alike


def test_few_observations_are_each_their_own_batch() -> None:
    values = [1.0, 5.0, 2.0, 4.0]
    assert run_mean(values).estimate == mean_of(values)
    assert run_mean([3]).inflation == 1


def test_hits_that_come_in_rows_are_worth_fewer_tries() -> None:
    rare = np.zeros(600)
    rare[200:260] = 1  # one outage of the mesh, or one hour of it
    rows = run_proportion(rare)
    scattered = run_proportion(np.tile([1] + [0] * 9, 60))
    assert rows.estimate.value == scattered.estimate.value == 0.1
    assert rows.inflation > 10
    assert rows.estimate.half_width > 2.5 * scattered.estimate.half_width


def test_a_run_without_a_hit_has_an_interval_with_a_width() -> None:
    estimate = run_proportion([0] * 100).estimate
    assert (estimate.value, estimate.low) == (0, 0)
    assert 0.03 < estimate.high < 0.04


def test_the_interval_of_a_proportion_holds_it_when_hits_resemble_their_neighbours() -> None:
    runs, held = 300, 0
    for seed in range(runs):
        hits = resembling(seed, 2_000, 0.7) > 0
        estimate = run_proportion(hits).estimate
        held += estimate.low <= 0.5 <= estimate.high
    assert held / runs > 0.95 - 4 * sqrt(0.95 * 0.05 / runs)


def test_the_interval_of_a_quantile_holds_it_when_neighbours_are_alike() -> None:
    runs, held, naive = 300, 0, 0
    for seed in range(runs):
        values = resembling(seed, 2_000, 0.7)
        estimate, simple = run_quantile(values, 0.5), quantile_of(values, 0.5)
        held += estimate.low <= 0 <= estimate.high
        naive += simple.low <= 0 <= simple.high
    assert held / runs > 0.95 - 4 * sqrt(0.95 * 0.05 / runs)
    assert naive / runs < 0.75


def test_what_is_neither_hit_nor_miss_is_refused() -> None:
    with pytest.raises(ValueError, match="something else"):
        run_proportion([0, 1, 2])
