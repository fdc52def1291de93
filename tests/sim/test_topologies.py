"""Shapes are what they say, connected, and the same for the same seed."""

from collections.abc import Callable

import pytest

from meshpacs_sim.graphs import identities, topologies
from meshpacs_sim.graphs.graph import Graph, graph


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("size", "degree"), [(2, 1), (6, 3), (50, 3), (50, 6), (9, 8), (200, 8)])
def test_in_a_regular_graph_everybody_has_the_same_degree(
    size: int, degree: int, seed: int
) -> None:
    shape = topologies.regular(size, degree, seed)
    assert [shape.degree(node) for node in range(size)] == [degree] * size
    assert shape.connected, shape.name


@pytest.mark.parametrize(("size", "degree"), [(5, 3), (4, 4), (4, 0)])
def test_a_regular_graph_that_cannot_be_is_refused(size: int, degree: int) -> None:
    with pytest.raises(ValueError, match="has degree"):
        topologies.regular(size, degree, 1)


def test_no_connected_graph_of_pairs_is_found_and_that_is_said() -> None:
    with pytest.raises(ValueError, match="no connected regular graph"):
        topologies.regular(4, 1, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_a_random_graph_is_connected_and_has_the_edges_asked_for(seed: int) -> None:
    dense = topologies.random(100, 12, seed)
    assert dense.connected
    assert len(dense.edges) == 600
    sparse = topologies.random(100, 2.2, seed)
    assert sparse.connected
    assert "tied" in sparse.name
    assert 110 < len(sparse.edges) < 150


def test_a_random_graph_with_too_few_edges_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot connect"):
        topologies.random(100, 1.9, 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_power_law_has_a_few_popular_nodes_and_many_with_few_links(seed: int) -> None:
    shape = topologies.power_law(200, 2, seed)
    degrees = sorted(shape.degree(node) for node in range(200))
    assert shape.connected
    assert len(shape.edges) == 3 + 197 * 2
    assert degrees[0] == 2
    assert degrees[100] <= 3
    assert degrees[-1] >= 15


def test_a_power_law_needs_somebody_to_link_to() -> None:
    with pytest.raises(ValueError, match="cannot make"):
        topologies.power_law(3, 3, 1)


def test_grid_ring_and_complete_have_their_known_sizes_and_diameters() -> None:
    sheet = topologies.grid(4, 3)
    assert (sheet.size, len(sheet.edges)) == (12, 3 * 3 + 4 * 2)
    assert sheet.distances(0)[11] == 5
    assert max(hops or 0 for hops in topologies.ring(9).distances(0)) == 4
    assert len(topologies.complete(7).edges) == 21


def test_the_same_seed_is_the_same_graph_and_another_is_another() -> None:
    makes: tuple[Callable[[int], Graph], ...] = (
        lambda seed: topologies.regular(40, 4, seed),
        lambda seed: topologies.random(40, 5, seed),
        lambda seed: topologies.power_law(40, 2, seed),
    )
    for make in makes:
        assert make(7).edges == make(7).edges
        assert make(7).edges != make(8).edges


def test_a_graph_refuses_loops_and_strangers_and_knows_when_it_is_in_pieces() -> None:
    with pytest.raises(ValueError, match="no edge"):
        graph("loop", 2, [(1, 1)])
    with pytest.raises(ValueError, match="no edge"):
        graph("stranger", 2, [(0, 2)])
    pieces = graph("pieces", 4, [(1, 0), (0, 1), (3, 2)])
    assert pieces.edges == ((0, 1), (2, 3))
    assert not pieces.connected
    assert pieces.distances(2) == (None, None, 0, 1)


def test_the_costs_of_a_flood_are_what_counting_by_hand_gives() -> None:
    # A triangle with a tail: 0-1, 0-2, 1-2, 2-3.
    tailed = graph("tailed", 4, [(0, 1), (0, 2), (1, 2), (2, 3)])
    cost = identities.everyone(tailed)
    assert (cost.asks, cost.repeats, cost.closeds) == (5, 2, 5)
    assert identities.ball(tailed, 3, 1) == (2, 3)
    assert identities.ball(tailed, 3, 2) == (0, 1, 2, 3)
    assert identities.ball_asks_at_least(tailed, 3, 1) == 1
    assert identities.ball_asks_at_least(tailed, 3, 2) == 1 + 2
    assert identities.ball_asks_at_least(tailed, 3, 3) == 1 + 2 + 1 + 1
