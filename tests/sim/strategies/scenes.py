"""Small scenes for the tests of strategies."""

from collections.abc import Sequence

import numpy as np

from meshpacs_sim.graphs.csr import from_graph
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.strategies.search import Bools, Copies, Outcomes, Roads, Scene, Searches

UNIT = Roads(10_000, 10_000, 0)
"""Every hop takes equally long, as `meshpacs_sim.world.network.UNIT`."""


def held_by(*holders: Sequence[int]) -> Copies:
    """For each content who holds it."""
    starts = np.cumsum([0, *map(len, holders)])
    flat = [each for held in holders for each in sorted(held)]
    return Copies(starts.astype(np.int64), np.array(flat, np.int32))


def scene(
    graph: Graph,
    copies: Copies,
    *,
    seed: int = 1,
    down: Sequence[int] = (),
    roads: Roads | None = None,
) -> Scene:
    """A moment of a mesh of this shape, all up but these."""
    up = np.ones(graph.size, np.bool_)
    up[list(down)] = False
    return Scene(seed, from_graph(graph), up, copies, roads or Roads())


def asked(*pairs: tuple[int, int]) -> Searches:
    """(asker, content) each."""
    one, other = zip(*pairs, strict=True)
    return Searches(np.array(one, np.int32), np.array(other, np.int32))


def same(one: Outcomes, other: Outcomes) -> bool:
    """Whether two outcomes are the same to the last byte."""
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in Outcomes.__dataclass_fields__
    )


def first(outcomes: Outcomes, count: int) -> Outcomes:
    """The outcomes of the first so many searches; the load is everybody's, and left out."""
    parts = {
        name: getattr(outcomes, name)[:count]
        for name in Outcomes.__dataclass_fields__
        if name != "load"
    }
    return Outcomes(**parts, load=np.zeros(0, np.int64))


def mostly_up(nodes: int, seed: int) -> Bools:
    """About four in five are up, node 0 among them."""
    up = np.random.Generator(np.random.PCG64(seed)).random(nodes) < 0.8
    up[0] = True
    return up
