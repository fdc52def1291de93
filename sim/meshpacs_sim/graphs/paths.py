"""Shortest paths on graphs as arrays: how many nodes lie how many hops away."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.graphs.pairs import Int64s


class Paths:
    """Breadth-first walks over one graph."""

    def __init__(self, csr: Csr) -> None:
        """Keep the graph as scipy wants it, which takes as long as a few walks."""
        ones = np.ones(len(csr.ends))
        self._matrix = csr_array((ones, csr.ends, csr.starts), shape=(csr.size, csr.size))
        self._place = np.zeros(csr.size, np.int64)

    def levels(self, origin: int) -> tuple[Int64s, int]:
        """How many nodes are 0, 1, 2, … hops from `origin`, and the first of the farthest."""
        order, before = breadth_first_order(self._matrix, origin, directed=True)
        self._place[order] = np.arange(len(order))
        # Nodes come level by level, and so do the nodes that they were found from.
        found_from = self._place[before[order[1:]]]
        ends = [0, 1]
        while ends[-1] < len(order):
            ends.append(1 + int(np.searchsorted(found_from, ends[-1])))
        until = np.array(ends, np.int64)
        return until[1:] - until[:-1], int(order[ends[-2] :].min())
