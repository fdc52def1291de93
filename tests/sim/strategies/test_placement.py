"""Copies are shared out as Cohen and Shenker say, to the last one, and cost what they say."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpacs_sim.graphs import topologies
from meshpacs_sim.strategies.placement import (
    PLACEMENTS,
    Proportional,
    SquareRoot,
    Uniform,
    scattered,
    shared_out,
)
from meshpacs_sim.strategies.random_probing import RandomProbing
from meshpacs_sim.strategies.sizes import Kind
from tests.sim.strategies.scenes import UNIT, asked, scene

RATES = np.array([81.0, 36.0, 16.0, 9.0, 4.0, 4.0, 1.0, 1.0, 0.25, 0.25])


def test_shares_are_those_of_their_names_where_nothing_is_clipped() -> None:
    assert shared_out(Uniform().weights(RATES), 500, 1_000).tolist() == [50] * 10
    # Square roots: 9, 6, 4, 3, 2, 2, 1, 1, 0.5, 0.5: 29 in all.
    roots = shared_out(SquareRoot().weights(RATES), 290, 1_000)
    assert roots.tolist() == [90, 60, 40, 30, 20, 20, 10, 10, 5, 5]
    rates = shared_out(Proportional().weights(RATES), 610, 1_000)
    assert rates.tolist() == [324, 144, 64, 36, 16, 16, 4, 4, 1, 1]


def test_everybody_has_one_copy_at_least_and_one_a_node_at_most_and_the_rest_is_shared() -> None:
    counts = shared_out(Proportional().weights(RATES), 200, 60)
    assert counts.sum() == 200
    assert counts.max() == counts[0] == 60
    assert counts.min() == counts[9] == 1
    free = counts[(counts > 1) & (counts < 60)]
    assert len(free) >= 4
    ratios = free / RATES[(counts > 1) & (counts < 60)]
    assert all(abs(count - ratios.mean() * rate) < 2.5 for count, rate in zip(
        free, RATES[(counts > 1) & (counts < 60)], strict=True
    ))  # fmt: skip


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any),
    st.integers(1, 50),
    st.data(),
)
def test_the_budget_is_spent_to_the_last_copy(
    rates: list[int], nodes: int, data: st.DataObject
) -> None:
    budget = data.draw(st.integers(len(rates), len(rates) * nodes))
    for placement in (Uniform(), Proportional(), SquareRoot()):
        weights = placement.weights(np.array(rates, np.float64))
        counts = shared_out(weights, budget, nodes)
        assert counts.sum() == budget
        assert counts.min() >= 1
        assert counts.max() <= nodes
        order = np.argsort(weights, kind="stable")
        assert (np.diff(counts[order]) >= -1).all()


def test_a_budget_that_cannot_be_spent_and_rates_that_are_none_are_refused() -> None:
    for budget in (9, 1_001):
        with pytest.raises(ValueError, match=f"{budget} copies cannot be shared out among 10"):
            Uniform(budget).place(RATES, 100, seed=1)
    for rates in ([], [0.0, 0.0], [1.0, -1.0], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="rates of queries are numbers"):
            Uniform(2).place(rates, 100, seed=1)


def test_copies_lie_at_different_nodes_drawn_evenly() -> None:
    counts = np.array([1, 40, 39, 20] * 250)
    copies = scattered(counts, 40, seed=5)
    assert copies.counts.tolist() == counts.tolist()
    for content in range(1_000):
        row = copies.of(content).tolist()
        assert row == sorted(set(row))
    single = np.bincount(np.concatenate([copies.of(c) for c in range(0, 1_000, 4)]), minlength=40)
    assert single.max() < 22  # 6.25 on average, Poisson
    halves = np.bincount(np.concatenate([copies.of(c) for c in range(3, 1_000, 4)]), minlength=40)
    assert np.abs(halves - 125).max() < 35
    assert scattered(counts, 40, seed=5).holders.tobytes() == copies.holders.tobytes()
    assert scattered(counts, 40, seed=6).holders.tobytes() != copies.holders.tobytes()


def test_uniform_and_proportional_shares_cost_m_over_rho_probes_and_roots_less() -> None:
    contents, nodes, rho = 20, 2_000, 1
    rates = np.arange(1, contents + 1, dtype=np.float64) ** -1.0
    shares = rates / rates.sum()
    theory = {
        "uniform": contents / rho,
        "proportional": contents / rho,
        "square_root": float(np.sqrt(shares).sum() ** 2 / rho),
    }
    view_of = topologies.ring(nodes)
    chance = np.random.Generator(np.random.PCG64(1))
    for name, kind in PLACEMENTS.items():
        copies = kind(nodes * rho).place(rates, nodes, seed=2)
        whole = sum(
            Fraction(float(share)) * nodes / int(count)
            for share, count in zip(shares, copies.counts, strict=True)
        )
        assert abs(float(whole) / theory[name] - 1) < 0.01
        wanted = chance.choice(contents, 6_000, p=shares)
        view = scene(view_of, copies, roads=UNIT)
        pairs = asked(*((turn % nodes, int(content)) for turn, content in enumerate(wanted)))
        probes = RandomProbing(again=True).search(view, pairs).kinds[:, Kind.ASK]
        assert abs(probes.mean() / theory[name] - 1) < 0.06, (name, probes.mean(), theory[name])
    assert theory["square_root"] < 0.85 * theory["uniform"]
