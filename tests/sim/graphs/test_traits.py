"""What a graph is like, as networkx counts it and as theory has it."""

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest

from meshpacs_sim.graphs import lattices, power_laws, random_graphs
from meshpacs_sim.graphs.csr import Csr, from_edges
from meshpacs_sim.graphs.traits import traits_of

SMALL: dict[str, Callable[[], Csr]] = {
    "ring": lambda: lattices.ring(30),
    "grid": lambda: lattices.grid(7, 5),
    "complete": lambda: lattices.complete(9),
    "in pieces": lambda: random_graphs.erdos_renyi(120, 2.2, 1),
    "plrg": lambda: power_laws.plrg(150, 1),
    "growth": lambda: power_laws.barabasi_albert(100, 3, 1),
    "small world": lambda: lattices.watts_strogatz(100, 6, 0.1, 1),
}


@pytest.mark.parametrize("kind", SMALL)
def test_a_small_graph_has_the_numbers_that_networkx_counts(kind: str) -> None:
    csr = SMALL[kind]()
    other = nx.Graph(csr.graph().edges)
    other.add_nodes_from(range(csr.size))
    piece = other.subgraph(max(nx.connected_components(other), key=len))
    found = traits_of(csr)
    assert found.paths_exact
    assert found.clustering_exact
    assert (found.nodes, found.edges) == (len(other), other.size())
    assert found.pieces == nx.number_connected_components(other)
    assert found.largest_share == len(piece) / len(other)
    assert found.path_mean == pytest.approx(nx.average_shortest_path_length(piece), rel=1e-12)
    assert found.diameter == nx.diameter(piece)
    assert found.clustering == pytest.approx(nx.average_clustering(other), rel=1e-12)
    assert found.transitivity == pytest.approx(nx.transitivity(other), rel=1e-12)
    histogram = nx.degree_histogram(other)
    assert found.degree_counts == tuple((d, n) for d, n in enumerate(histogram) if n)
    if found.assortativity is not None:
        expected = nx.degree_assortativity_coefficient(other)
        assert found.assortativity == pytest.approx(expected, rel=1e-9)
    else:
        assert found.degree_least == found.degree_most


def test_degrees_are_told_by_their_least_mean_median_most_and_gini() -> None:
    star = from_edges("star", 6, np.zeros(4, np.int64), np.arange(1, 5))
    found = traits_of(star)
    assert (found.degree_least, found.degree_median, found.degree_most) == (0, 1, 4)
    assert found.degree_mean == 8 / 6
    # Two of 0, 1, 1, 1, 1, 4 differ by 40/36 on average; that over twice their mean of 8/6.
    assert found.degree_gini == pytest.approx(40 / 96)
    assert found.assortativity == -1
    assert (found.path_mean, found.diameter, found.clustering) == (1.6, 2, 0)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_numbers_come_near_the_exact_ones(seed: int) -> None:
    for csr in (lattices.watts_strogatz(800, 8, 0.1, seed), power_laws.plrg(1_500, seed)):
        exact = traits_of(csr)
        assert exact.path_error == 0
        near = traits_of(csr, seed, visits=50_000, exact_wedges=0, wedges=20_000)
        assert (near.paths_exact, near.clustering_exact) == (False, False)
        assert 30 < near.path_origins < 65
        assert abs(near.path_mean - exact.path_mean) < 4 * near.path_error, seed
        assert near.path_error < 0.04 * near.path_mean, seed
        assert exact.diameter - 2 <= near.diameter <= exact.diameter, seed
        # Four standard errors of 20,000 coins.
        assert near.clustering == pytest.approx(exact.clustering, abs=0.015), seed
        assert near.transitivity == pytest.approx(exact.transitivity, abs=0.015), seed
        again = traits_of(csr, seed, visits=50_000, exact_wedges=0, wedges=20_000)
        assert again == near


def test_a_small_world_is_as_clustered_as_theory_has_it() -> None:
    # Barrat and Weigt (Eur. Phys. J. B 13, 2000): C(p) is C(0) (1 - p)^3, C(0) = 3(k-2)/4(k-1).
    for share in (0.0, 0.1, 0.3):
        found = traits_of(lattices.watts_strogatz(2_000, 10, share, 1), visits=0)
        assert found.clustering == pytest.approx(3 * 8 / (4 * 9) * (1 - share) ** 3, rel=0.04)


def test_graphs_without_edges_or_nodes_are_no_trouble() -> None:
    none = np.zeros(0, np.int64)
    alone = traits_of(from_edges("alone", 1, none, none))
    assert (alone.edges, alone.pieces, alone.path_mean, alone.diameter) == (0, 1, 0, 0)
    sampled = traits_of(from_edges("apart", 3, none, none), exact_wedges=-1)
    assert (sampled.clustering, sampled.transitivity, sampled.largest_share) == (0, 0, 1 / 3)
    with pytest.raises(ValueError, match="no nodes"):
        traits_of(from_edges("nobody", 0, none, none))
