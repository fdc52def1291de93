"""Patterns as arrays, to a million nodes: a circle, a sheet, everybody; and a rewired circle."""

from fractions import Fraction

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.graphs.csr import Csr, from_edges
from meshpacs_sim.graphs.pairs import all_pairs, among, firsts, keys

ROUNDS = 1_000
"""Draws of new ends for edges that found none. A guess; a handful is enough unless all are full."""


def ring(size: int) -> Csr:
    """A circle: the longest paths that a connected graph of degree 2 can have.

    Raises:
        ValueError: fewer than 3 nodes.
    """
    if size < 3:
        raise ValueError(f"a ring takes 3 nodes or more, not {size}")
    here = np.arange(size)
    return from_edges(f"ring({size})", size, here, (here + 1) % size)


def complete(size: int) -> Csr:
    """Everybody with everybody: size * (size - 1) / 2 edges, so meant for thousands of nodes."""
    return from_edges(f"complete({size})", size, *all_pairs(size))


def grid(width: int, height: int, *, wrap: bool = False) -> Csr:
    """A sheet of four neighbours each, node x + width * y; `wrap` makes a torus of it.

    A side of one or two nodes has nothing to wrap.

    Raises:
        ValueError: no nodes.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a grid of {width} by {height} has no nodes")
    place = np.arange(width * height).reshape(height, width)
    one, other = [place[:, :-1], place[:-1, :]], [place[:, 1:], place[1:, :]]
    if wrap and width > 2:
        one.append(place[:, -1:])
        other.append(place[:, :1])
    if wrap and height > 2:
        one.append(place[-1:, :])
        other.append(place[:1, :])
    return from_edges(
        f"grid({width},{height}{',wrap' if wrap else ''})",
        width * height,
        np.concatenate([each.ravel() for each in one]),
        np.concatenate([each.ravel() for each in other]),
    )


def watts_strogatz(size: int, degree: int, rewired: float, seed: int) -> Csr:
    """Watts and Strogatz's small world (Nature 393, 1998): a circle with some edges moved.

    Everybody has `degree` neighbours, half on each side; then each edge, with probability
    `rewired`, keeps its first end and has a random other one. Theirs goes round the circle edge by
    edge; here all are moved at once, so that a moved edge avoids the edges that stay, not those
    that will go. It may fall in pieces, as theirs may.

    Raises:
        ValueError: an odd degree, one above half the nodes, or no probability.
    """
    check_small_world(size, degree, rewired)
    chance = Chance(seed, b"watts_strogatz")
    here = np.tile(np.arange(size), degree // 2)
    there = (here + np.repeat(np.arange(1, degree // 2 + 1), size)) % size
    # A float has 53 bits: compared with as many of a word's, the probability is exact.
    threshold = int(Fraction(rewired) * (1 << 53))
    moved = (chance.bits("moved", len(here)) >> np.uint64(11)).astype(np.int64) < threshold
    waiting, one, other = here[moved], [here[~moved]], [there[~moved]]
    taken = np.sort(keys(size, one[0], other[0]))
    for _ in range(ROUNDS):
        if not len(waiting):
            name = f"watts_strogatz({size},{degree},{rewired},seed={seed})"
            return from_edges(name, size, np.concatenate(one), np.concatenate(other))
        ends = chance.below("end", size, len(waiting))
        drawn = keys(size, waiting, ends)
        good = (ends != waiting) & ~among(drawn, taken) & firsts(drawn)
        one.append(waiting[good])
        other.append(ends[good])
        taken = np.sort(np.concatenate((taken, drawn[good])))
        waiting = waiting[~good]
    raise ValueError(f"edges of a small world found no free end in {ROUNDS} rounds (seed {seed})")


def check_small_world(size: int, degree: int, rewired: float) -> None:
    """Check what `watts_strogatz` takes.

    Raises:
        ValueError: an odd degree, one above half the nodes, or no probability.
    """
    if degree % 2 or not 0 < degree <= size // 2 or not 0 <= rewired <= 1:
        raise ValueError(
            f"a small world of {size} nodes needs an even degree up to {size // 2}, not {degree}, "
            f"and a probability from 0 to 1, not {rewired}"
        )
