"""Graphs of neighbours: nodes are 0 to n - 1, every order is by number, never by a set's whim."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

Edge = tuple[int, int]


@dataclass(frozen=True)
class Graph:
    """An undirected graph without loops or doubled edges."""

    name: str
    size: int
    edges: tuple[Edge, ...]
    """Each pair once, the smaller number first, sorted."""

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each node its neighbours in rising order."""
        lists: list[list[int]] = [[] for _ in range(self.size)]
        for a, b in self.edges:
            lists[a].append(b)
            lists[b].append(a)
        return tuple(tuple(sorted(each)) for each in lists)

    def degree(self, node: int) -> int:
        """How many neighbours a node has."""
        return len(self.neighbours[node])

    def distances(self, origin: int) -> tuple[int | None, ...]:
        """Hops from `origin` to every node, breadth first; None where no path leads."""
        hops: list[int | None] = [None] * self.size
        hops[origin] = 0
        line = deque([origin])
        while line:
            node = line.popleft()
            further = (hops[node] or 0) + 1
            for neighbour in self.neighbours[node]:
                if hops[neighbour] is None:
                    hops[neighbour] = further
                    line.append(neighbour)
        return tuple(hops)

    @property
    def connected(self) -> bool:
        """Whether every node can be reached from node 0."""
        return None not in self.distances(0)


def graph(name: str, size: int, edges: Iterable[Edge]) -> Graph:
    """A graph from pairs in any order; doubled pairs count once.

    Raises:
        ValueError: a loop, or a node that is not there.
    """
    pairs: dict[Edge, None] = {}
    for a, b in edges:
        if a == b or not (0 <= a < size and 0 <= b < size):
            raise ValueError(f"no edge between {a} and {b} in a graph of {size}")
        pairs[(a, b) if a < b else (b, a)] = None
    return Graph(name, size, tuple(sorted(pairs)))
