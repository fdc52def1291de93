"""Connected components of graphs as arrays."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from meshpacs_sim.graphs.csr import Csr, from_edges

Int64s = npt.NDArray[np.int64]


def pieces(csr: Csr) -> Int64s:
    """Shape (n,): for each node the smallest number in its piece."""
    ones = np.ones(len(csr.ends), np.int8)
    matrix = csr_array((ones, csr.ends, csr.starts), shape=(csr.size, csr.size))
    # Every edge leads both ways, so that strong components are components; and cheaper to find.
    count, labels = connected_components(matrix, directed=True, connection="strong")
    smallest: Int64s = np.zeros(count, np.int64)
    # Of several values for one place the last one stays.
    smallest[labels[::-1]] = np.arange(csr.size)[::-1]
    of: Int64s = smallest[labels]
    return of


def connected(csr: Csr) -> bool:
    """Whether every node can be reached from node 0."""
    return csr.size > 0 and not pieces(csr).any()


def largest(csr: Csr) -> Csr:
    """The largest piece alone, its nodes numbered anew in the same order.

    Of pieces of the same size it is the one with the smallest number; a connected graph comes
    back as it is.
    """
    piece = pieces(csr)
    if not piece.any():
        return csr
    inside = piece == np.argmax(np.bincount(piece))
    number = np.cumsum(inside) - 1
    sources = np.repeat(np.arange(csr.size), csr.degrees)
    once = inside[sources] & (sources < csr.ends)
    return from_edges(
        f"largest piece of {csr.name}",
        int(inside.sum()),
        number[sources[once]],
        number[csr.ends[once]],
    )
