"""A graph as arrays is the same graph."""

import numpy as np
import pytest

from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.csr import from_edges, from_graph


def test_a_graph_goes_to_arrays_and_back_unchanged() -> None:
    for graph in (topologies.regular(20, 4, 1), topologies.grid(3, 5), topologies.ring(3)):
        csr = from_graph(graph)
        assert csr.graph() == graph
        for node in range(graph.size):
            ends = csr.ends[csr.starts[node] : csr.starts[node + 1]]
            assert tuple(ends.tolist()) == graph.neighbours[node]


def test_a_loop_and_a_node_that_is_not_there_are_refused() -> None:
    for one, other in ((1, 1), (0, 3), (-1, 0)):
        with pytest.raises(ValueError, match="edge"):
            from_edges("bad", 3, np.array([one]), np.array([other]))
