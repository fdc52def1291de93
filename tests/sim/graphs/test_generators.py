"""Graphs as arrays are what they say, and the same bytes for the same seed."""

import hashlib
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from meshpacs_sim.graphs import lattices, pieces, power_laws, random_graphs, topologies
from meshpacs_sim.graphs.csr import Csr, from_edges


def digest(csr: Csr) -> str:
    return hashlib.sha256(csr.starts.tobytes() + csr.ends.tobytes()).hexdigest()[:16]


PINNED: dict[str, tuple[Callable[[int], Csr], str]] = {
    "ring": (lambda _: lattices.ring(1_000), "0ff8f461a5ad79d7"),
    "torus": (lambda _: lattices.grid(40, 25, wrap=True), "eccf7e7777bea792"),
    "small world": (lambda seed: lattices.watts_strogatz(1_000, 8, 0.1, seed), "fa1f31b2a1e83b5c"),
    "regular": (lambda seed: random_graphs.regular(1_000, 8, seed), "f945bcb39bca313d"),
    "regular, dense": (lambda seed: random_graphs.regular(100, 80, seed), "bbea3ef65f4ee315"),
    "regular, circle": (lambda seed: random_graphs.regular(1_000, 2, seed), "603a3a59e952a851"),
    "random": (lambda seed: random_graphs.erdos_renyi(1_000, 8, seed), "e5e4345904f6607c"),
    "plrg": (lambda seed: power_laws.plrg(1_000, seed), "f7a019ee0038ec30"),
    "growth": (lambda seed: power_laws.barabasi_albert(1_000, 4, seed), "fb8902e314f855fd"),
}
"""Each with the digest of its bytes for seed 1, that no machine may miss."""


@pytest.mark.parametrize("kind", PINNED)
def test_one_seed_is_the_same_bytes_on_every_machine(kind: str) -> None:
    make, pinned = PINNED[kind]
    assert digest(make(1)) == pinned
    if kind not in {"ring", "torus"}:
        assert digest(make(2)) != pinned


@pytest.mark.parametrize("kind", PINNED)
def test_every_graph_is_undirected_sorted_and_without_loops(kind: str) -> None:
    csr = PINNED[kind][0](3)
    again = csr.graph()
    assert len(again.edges) == csr.edge_count
    for node in range(0, csr.size, 17):
        ends = csr.ends[csr.starts[node] : csr.starts[node + 1]]
        assert tuple(ends.tolist()) == again.neighbours[node]
        assert node not in ends


# ---------------------------------------------------------------- lattices


def test_small_lattices_are_those_of_the_world() -> None:
    assert lattices.ring(9).graph() == topologies.ring(9)
    assert lattices.complete(7).graph() == topologies.complete(7)
    for sides in ((4, 3), (1, 5), (1, 1), (2, 2)):
        assert lattices.grid(*sides).graph() == topologies.grid(*sides)


def test_on_a_torus_everybody_has_four_neighbours() -> None:
    assert set(lattices.grid(5, 4, wrap=True).degrees.tolist()) == {4}
    flat = lattices.grid(5, 2, wrap=True)
    assert sorted(flat.graph().neighbours[0]) == [1, 4, 5]


def test_a_small_world_that_moves_nothing_is_a_circle_with_wide_arms() -> None:
    still = lattices.watts_strogatz(20, 4, 0, 1)
    assert still.graph().neighbours[0] == (1, 2, 18, 19)
    assert set(still.degrees.tolist()) == {4}


def test_a_small_world_moves_the_share_that_it_is_told_and_keeps_every_edge() -> None:
    still = set(lattices.watts_strogatz(2_000, 10, 0, 1).graph().edges)
    for share in (0.1, 0.5, 1.0):
        moved = lattices.watts_strogatz(2_000, 10, share, 5)
        assert moved.edge_count == 10_000
        assert moved.degrees.min() >= 5
        gone = len(still - set(moved.graph().edges)) / 10_000
        # Four standard deviations of 10,000 coins; a few moved edges fall on edges of old.
        assert abs(gone - share) < 0.02, share


# ---------------------------------------------------------------- random graphs


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("size", "degree"),
    [(2, 1), (3, 2), (6, 3), (9, 8), (8, 5), (7, 4), (60, 29), (60, 30), (60, 57), (500, 3)],
)
def test_in_a_regular_graph_everybody_has_the_same_degree(
    size: int, degree: int, seed: int
) -> None:
    csr = random_graphs.regular(size, degree, seed)
    assert set(csr.degrees.tolist()) == {degree}
    assert pieces.connected(csr), csr.name


def test_regular_graphs_of_six_nodes_are_about_as_likely() -> None:
    """Of the 70 cubic graphs of six nodes 10 are the complete bipartite one, which has no triangle.

    Switchings are not exactly uniform, but far from missing one of them.
    """
    seen = Counter(random_graphs.regular(6, 3, seed).graph().edges for seed in range(700))
    assert len(seen) == 70
    assert min(seen.values()) > 1
    assert max(seen.values()) < 30


@pytest.mark.parametrize("seed", range(5))
def test_a_random_graph_is_that_of_the_world_where_it_is_connected(seed: int) -> None:
    assert random_graphs.erdos_renyi(100, 12, seed).graph().edges == (
        topologies.random(100, 12, seed).edges
    )


def test_every_set_of_pairs_is_as_likely_in_a_random_graph() -> None:
    seen = Counter(random_graphs.erdos_renyi(4, 1.5, seed).graph().edges for seed in range(1_000))
    # 20 sets of 3 of the 6 pairs, 50 times each; chi squared of 19 degrees, 1 in 10,000 above 52.
    assert len(seen) == 20
    assert sum((count - 50) ** 2 / 50 for count in seen.values()) < 52


def test_a_random_graph_may_be_empty_or_hold_every_pair() -> None:
    assert random_graphs.erdos_renyi(10, 0, 1).edge_count == 0
    assert random_graphs.erdos_renyi(10, 9, 1).graph().edges == topologies.complete(10).edges


# ---------------------------------------------------------------- power laws


@pytest.mark.parametrize(("size", "links"), [(2, 1), (5, 4), (40, 2), (300, 7), (3_000, 3)])
def test_growth_is_that_of_the_world(size: int, links: int) -> None:
    for seed in range(3):
        grown = power_laws.barabasi_albert(size, links, seed)
        assert grown.graph().edges == topologies.power_law(size, links, seed).edges, seed


def test_degrees_by_rank_are_the_power_rounded_down() -> None:
    degrees = power_laws.plrg_degrees(100_000)
    assert degrees[0] == 10_000  # 100,000 ^ (4/5) exactly, as a float's power is not always
    ranks = np.arange(1, 100_001)
    power = (100_000 / ranks) ** 0.8
    sure = np.abs(power - np.round(power)) > 1e-6
    assert (degrees[sure] == np.floor(power[sure])).all()
    assert degrees[-1] == 1
    told = power_laws.plrg_degrees(100, Fraction(1, 2), most=20)
    assert told[[0, 3, 24, 99]].tolist() == [20, 10, 4, 2]


@pytest.mark.parametrize("seed", range(3))
def test_a_plrg_loses_only_loops_and_doubled_edges(seed: int) -> None:
    csr, wanted = power_laws.plrg(5_000, seed), power_laws.plrg_degrees(5_000)
    assert (csr.degrees <= wanted).all()
    assert csr.degrees.sum() > 0.85 * wanted.sum()
    # Nobody but the most connected meets the same peer twice often.
    assert (csr.degrees[500:] == wanted[500:]).mean() > 0.97
    core = pieces.largest(csr)
    assert pieces.connected(core)
    assert 0.85 < core.size / csr.size < 0.95


# ---------------------------------------------------------------- pieces, and what is refused


def test_the_largest_piece_keeps_its_edges_and_the_order_of_its_nodes() -> None:
    # Two triangles, a pair and somebody alone; of the triangles the first is taken.
    one, other = np.array([6, 5, 6, 1, 2, 1, 0]), np.array([5, 3, 3, 2, 8, 8, 7])
    csr = from_edges("loose", 9, one, other)
    assert pieces.pieces(csr).tolist() == [0, 1, 1, 3, 4, 3, 3, 0, 1]
    core = pieces.largest(csr)
    assert core.name == "largest piece of loose"
    assert core.graph().edges == ((0, 1), (0, 2), (1, 2))
    assert pieces.largest(core) is core


def test_what_cannot_be_is_refused() -> None:
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: lattices.ring(2), "3 nodes"),
        (lambda: lattices.grid(0, 4), "no nodes"),
        (lambda: lattices.watts_strogatz(20, 3, 0.1, 1), "even degree"),
        (lambda: lattices.watts_strogatz(20, 12, 0.1, 1), "even degree"),
        (lambda: lattices.watts_strogatz(20, 4, 1.1, 1), "probability"),
        (lambda: random_graphs.regular(5, 3, 1), "has degree 3"),
        (lambda: random_graphs.regular(4, 4, 1), "has degree 4"),
        (lambda: random_graphs.regular(4, 1, 1), "has degree 1"),
        (lambda: random_graphs.erdos_renyi(4, 4, 1), "6 pairs"),
        (lambda: random_graphs.erdos_renyi(4, -1, 1), "6 pairs"),
        (lambda: power_laws.barabasi_albert(3, 3, 1), "cannot make 3"),
        (lambda: power_laws.plrg(10, 1, Fraction(3, 2)), "exponent"),
        (lambda: power_laws.plrg(10, 1, Fraction(1, 1_000)), "exponent"),
        (lambda: power_laws.plrg(10, 1, most=10), "10 neighbours"),
    ]
    for make, why in refused:
        with pytest.raises(ValueError, match=why):
            make()
