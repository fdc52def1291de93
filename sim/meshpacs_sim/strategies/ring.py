"""Nodes and keys on a circle of 2^64 numbers: what both distributed indexes have in common.

Each node stands where a draw puts it, each content's key too. The entries of a content, one for
each copy, are kept by the `replicas` nodes that follow its key (consistent hashing, Karger et al.
1997). They were put there while everybody was up: if all of these nodes are down, the entries are
lost until the holders publish them anew at whoever then follows the key.
"""

from typing import NamedTuple

import numpy as np

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, draw
from meshpacs_sim.strategies.ground import (
    Ground,
    Tally,
    Uint64s,
    drawn,
    first_from,
    learn,
    listed,
    words,
)
from meshpacs_sim.strategies.search import (
    Bools,
    Int64s,
)

_NODE = words("ring/node")
_KEY = words("ring/key")
UNAWARE = words("ring/unaware")


class Ring(NamedTuple):
    """Some nodes in the order in which they stand on the circle."""

    places: Uint64s
    """Rising."""
    nodes: Int64s


def ring(seed: np.uint64, up: Bools) -> tuple[Ring, Ring]:
    """All nodes, and those of them that are up."""
    places = drawn(seed, len(up), _NODE)
    order = np.argsort(places, kind="stable")
    alive = order[up[order]]
    return Ring(places[order], order), Ring(places[alive], alive)


def knowing(seed: np.uint64, up: Bools, contents: int, replicas: int) -> Int64s:
    """Shape (contents, replicas): who keeps each content's entries, if all are up."""
    whole, _ = ring(seed, up)
    keys = drawn(seed, contents, _KEY)
    first = np.searchsorted(whole.places, keys)
    spots = first[:, None] + np.arange(min(replicas, len(up)))[None, :]
    keepers: Int64s = whole.nodes[spots % len(up)]
    return keepers


@compiled
def key_of(seed: np.uint64, content: Word) -> np.uint64:
    """Where a content's key stands."""
    return draw(seed, np.uint64(content), _KEY, np.uint64(0))


@compiled
def follower(circle: Ring, place: np.uint64) -> Word:
    """The index in a ring of the first node at or after a place."""
    at = first_from(circle.places, 0, len(circle.places), place)
    return at if at < len(circle.nodes) else np.int64(0)


@compiled
def kept(whole: Ring, key: np.uint64, server: Word, replicas: Word) -> bool:
    """Whether a node is one of those that the entries were put at."""
    first = follower(whole, key)
    for each in range(min(replicas, len(whole.nodes))):
        if whole.nodes[(first + each) % len(whole.nodes)] == server:
            return True
    return False


@compiled
def tell(
    view: Ground,
    told: Tally,
    search: Word,
    original: bool,
    republished: bool,
    stale: np.uint64,
    hops: Word,
    when_us: Word,
) -> Word:
    """The asker learns what a server's index has; how many names that is.

    A server that the entries were put at has all of them; another has those that holders which
    are up have published anew.
    """
    origin, content, names = view.origins[search], view.contents[search], 0
    for at in range(view.copy_starts[content], view.copy_starts[content + 1]):
        holder = np.int64(view.holders[at])
        if original:
            named = listed(view, holder, content, stale)
        else:
            named = republished and view.up[holder]
        if named and holder != origin:
            names += 1
            learn(view, told, search, holder, hops, when_us)
    return names
