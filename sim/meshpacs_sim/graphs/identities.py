"""What a flood must cost, counted on paper: the identities of PROTOCOL 4.7.

They hold on a graph that does not change while the query runs, whatever the latencies.
"""

from dataclasses import dataclass

from meshpacs_sim.graphs.graph import Graph


@dataclass(frozen=True, slots=True)
class Cost:
    """Messages of one query to everyone."""

    asks: int
    repeats: int
    """Of the asks, those that reach somebody who had been asked before."""
    closeds: int


def everyone(graph: Graph) -> Cost:
    """The cost of asking everyone on a connected graph; the origin does not matter.

    The origin asks all its neighbours and everybody else all but the one who asked first:
    deg(s) + sum over v != s of (deg v - 1) = 2E - (n - 1). All but n - 1 of them are repeats.
    """
    edges, others = len(graph.edges), graph.size - 1
    asks = 2 * edges - others
    return Cost(asks=asks, repeats=asks - others, closeds=asks)


def ball(graph: Graph, origin: int, ttl: int) -> tuple[int, ...]:
    """Who lies within `ttl` hops, in rising order; the origin too."""
    hops = graph.distances(origin)
    return tuple(
        node for node, distance in enumerate(hops) if distance is not None and distance <= ttl
    )


def ball_asks_at_least(graph: Graph, origin: int, ttl: int) -> int:
    """M(t): fewer Asks cannot keep the promise of a ball; at unit latency it is exactly these."""
    hops = graph.distances(origin)
    return graph.degree(origin) + sum(
        graph.degree(node) - 1
        for node, distance in enumerate(hops)
        if distance is not None and 1 <= distance <= ttl - 1
    )
