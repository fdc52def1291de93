"""PROTOCOL 4.7 on 300 random graphs: what a flood costs, and that a ball is the ball."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from meshpacs_sim.trials import campaigns
from meshpacs_sim.trials.campaigns import Flooded

SAMPLE = range(10)
"""Graphs looked at in this process, so that a failure is easy to step through."""

ALL = range(300)


@pytest.mark.parametrize("seed", SAMPLE)
def test_the_identities_hold_whatever_the_latencies(seed: int) -> None:
    shown = campaigns.identities_hold(seed)
    assert shown.queries == 4
    assert shown.slowest_us < campaigns.LONGEST_US


@pytest.mark.parametrize("seed", SAMPLE)
def test_at_unit_latency_a_ball_costs_exactly_the_least_that_it_can(seed: int) -> None:
    campaigns.unit_latency_is_exact(seed)


@pytest.mark.timeout(480)
@pytest.mark.usefixtures("untraced")
def test_the_identities_hold_on_three_hundred_graphs() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), context) as pool:
        shown = list(pool.map(_one, ALL, chunksize=10))
    kinds = {each.graph.name.split("(")[0] for each in shown}
    assert kinds == {"regular", "random", "grid", "power_law", "ring"}
    assert len(shown) == 300
    assert max(each.graph.size for each in shown) > 190
    assert all(each.queries == 4 for each in shown)


def _one(seed: int) -> Flooded:
    if seed % 3 == 0:
        campaigns.unit_latency_is_exact(seed)
    return campaigns.identities_hold(seed)


def test_every_ttl_is_tried_on_every_kind_of_graph() -> None:
    tried = {(seed % 5, ttl) for seed in ALL for ttl in campaigns.ttls(seed)}
    assert tried == {(kind, ttl) for kind in range(5) for ttl in range(1, 7)}
