"""Several runs: each is one observation if there are enough; meshes that differ are seen to."""

from math import sqrt

import numpy as np
import pytest

from meshpacs_sim.statistics.batches import run_mean, run_proportion
from meshpacs_sim.statistics.intervals import Estimate, mean_of, proportion_of
from meshpacs_sim.statistics.replications import (
    REPLICATIONS,
    mean_over,
    quantile_over,
    share_over,
    spread_of,
    whole_over,
)


def test_of_enough_runs_each_is_one_observation() -> None:
    runs = [[float(run), run + 2.0] for run in range(REPLICATIONS)]
    told = mean_over(runs)
    assert told is not None
    assert told.estimate == mean_of([1, 2, 3, 4, 5])


def test_fewer_runs_are_one_long_run() -> None:
    runs = [np.random.default_rng(seed).normal(size=90) for seed in range(REPLICATIONS - 1)]
    assert mean_over(runs) == run_mean(np.concatenate(runs))
    hits = [run > 0 for run in runs]
    assert share_over(hits) == run_proportion(np.concatenate(hits))


def test_runs_without_an_observation_are_no_runs() -> None:
    assert mean_over([[], [3.0, 3.0], []]) == run_mean([3.0, 3.0])
    assert [mean_over([[], []]), share_over([])] == [None, None]
    assert [quantile_over([[]], 0.5), whole_over([])] == [None, None]


def test_shares_of_meshes_that_differ_are_known_worse_than_by_their_tries() -> None:
    alike = spread_of([10, 10, 10, 10, 10], [100] * 5)
    apart = spread_of([0, 30, 0, 20, 0], [100] * 5)
    assert alike == 1
    assert apart > 10
    assert spread_of([0, 0], [9, 9]) == spread_of([9, 9], [9, 9]) == spread_of([3], [9]) == 1


@pytest.mark.parametrize("runs", [5, 20])
def test_the_interval_of_a_share_holds_it_when_every_mesh_has_its_own(runs: int) -> None:
    experiments, held, naive = 600, 0, 0
    for seed in range(experiments):
        chance = np.random.default_rng(seed)
        hits = [chance.random(200) < chance.beta(2, 6) for _ in range(runs)]
        told = share_over(hits)
        assert told is not None
        simple = proportion_of(sum(int(each.sum()) for each in hits), 200 * runs)
        held += told.estimate.low <= 0.25 <= told.estimate.high
        naive += simple.low <= 0.25 <= simple.high
    assert held / experiments > 0.95 - 4 * sqrt(0.95 * 0.05 / experiments)
    assert naive / experiments < 0.5


def test_rare_content_that_no_run_found_has_the_interval_of_all_tries() -> None:
    told = share_over([[0] * 100] * 6)
    assert told is not None
    assert told.estimate == proportion_of(0, 600)


def test_a_number_that_each_run_has_once_is_averaged_over_them() -> None:
    assert whole_over([1.0, 2.0, 3.0]) == mean_of([1, 2, 3])
    assert quantile_over([[1, 2], [3]], 0.5) == Estimate(2, float("-inf"), float("inf"), 3)
