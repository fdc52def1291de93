"""Graphs as arrays (compressed sparse rows): what compiled code walks over."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from meshpacs_sim.graphs.graph import Graph


@dataclass(frozen=True, eq=False)
class Csr:
    """An undirected graph without loops or doubled edges; the same noun as `Graph`, for size."""

    name: str
    starts: npt.NDArray[np.int64]
    """Shape (n + 1,): where each node's neighbours begin in `ends`."""
    ends: npt.NDArray[np.int32]
    """Shape (2E,): for each node its neighbours in rising order."""

    @property
    def size(self) -> int:
        """How many nodes."""
        return len(self.starts) - 1

    @property
    def edge_count(self) -> int:
        """How many undirected edges."""
        return len(self.ends) // 2

    @cached_property
    def degrees(self) -> npt.NDArray[np.int64]:
        """Shape (n,)."""
        return np.diff(self.starts)

    def graph(self) -> Graph:
        """The same graph as a `Graph`, for the world; meant for thousands of nodes."""
        sources = np.repeat(np.arange(self.size, dtype=np.int32), self.degrees)
        once = sources < self.ends
        pairs = zip(sources[once].tolist(), self.ends[once].tolist(), strict=True)
        return Graph(self.name, self.size, tuple(pairs))


def from_edges(
    name: str, size: int, one: npt.NDArray[np.integer], other: npt.NDArray[np.integer]
) -> Csr:
    """A graph from the two ends of each edge, in any order; doubled edges count once.

    Raises:
        ValueError: a loop, or a node that is not there.
    """
    low = np.minimum(one, other).astype(np.int64)
    high = np.maximum(one, other).astype(np.int64)
    if len(low) and (low.min() < 0 or high.max() >= size or (low == high).any()):
        raise ValueError(f"an edge of {name} is a loop, or leaves the {size} nodes")
    keys = np.sort(np.concatenate((low * size + high, high * size + low)))
    # Sorted once and compared: np.unique takes ten times as long for millions.
    if (keys[1:] == keys[:-1]).any():
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
    sources, ends = np.divmod(keys, max(size, 1))
    starts = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(sources, minlength=size), out=starts[1:])
    return Csr(name, starts, ends.astype(np.int32))


def from_graph(graph: Graph) -> Csr:
    """The same graph as arrays."""
    pairs = np.array(graph.edges, np.int64).reshape(-1, 2)
    return from_edges(graph.name, graph.size, pairs[:, 0], pairs[:, 1])
