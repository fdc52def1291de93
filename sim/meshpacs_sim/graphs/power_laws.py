"""Graphs with a few popular nodes as arrays, to a million nodes: degrees that fall as a power."""

from fractions import Fraction

import numpy as np

from meshpacs_sim.graphs.chance import Chance, Int64s, Words, scaled
from meshpacs_sim.graphs.csr import Csr, from_edges

RANK_EXPONENT = Fraction(4, 5)
"""Of the degrees by rank; the degrees' own exponent is 1 + 1/this, 2.25. As we remember it, what
Lv et al. (ICS 2002) drew their PLRG with; not read again here."""

DENOMINATOR_MOST = 100
"""Of the exponent: powers so high are still quick to take. A guess."""

LEAST = 16
"""Newcomers taken at once at least: fewer are not worth an array. A guess."""


def plrg(
    size: int, seed: int, rank_exponent: Fraction = RANK_EXPONENT, most: int | None = None
) -> Csr:
    """A power-law random graph: the i-th most connected node has most / i^rank_exponent stubs.

    Degrees by rank are the form of Lv et al. (ICS 2002); Aiello, Chung and Lu (STOC 2000) count
    nodes by degree, which is the same law. Stubs are paired at random; loops and doubled edges are
    left out, so that the most connected have a little less than their share. Node 0 has the most;
    about a tenth lies outside the largest piece (`pieces.largest`).

    Raises:
        ValueError: there are no such degrees.
    """
    stubs = np.repeat(np.arange(size), plrg_degrees(size, rank_exponent, most))
    # Of an odd number the most connected gives one up.
    stubs = stubs[len(stubs) % 2 :]
    stubs = stubs[Chance(seed, b"plrg").order("shuffle", len(stubs))]
    one, other = stubs[0::2], stubs[1::2]
    proper = one != other
    name = f"plrg({size},{rank_exponent}{f',most={most}' if most else ''},seed={seed})"
    return from_edges(name, size, one[proper], other[proper])


def plrg_degrees(
    size: int, rank_exponent: Fraction = RANK_EXPONENT, most: int | None = None
) -> Int64s:
    """Shape (n,): floor(most / i^rank_exponent) for i = 1 to size, but at least 1; falling.

    By default `most` is size^rank_exponent, so that the last node has exactly 1. In integers,
    because the last digit of a machine's pow() is its own: with the exponent p / q, degree k or
    more have the nodes up to the i-th for which i^p * k^q <= most^q.

    Raises:
        ValueError: the exponent is not between 0 and 1 or no simple fraction, or `most` is not
            below `size`.
    """
    p, q = rank_exponent.numerator, rank_exponent.denominator
    if not 0 < rank_exponent < 1 or q > DENOMINATOR_MOST:
        raise ValueError(
            f"the rank exponent of a PLRG lies between 0 and 1 and has a denominator up to "
            f"{DENOMINATOR_MOST}: not {rank_exponent}"
        )
    if size < 2 or not 1 <= (most or 1) < size:
        raise ValueError(f"the most connected of {size} nodes cannot have {most} neighbours")
    top = size**p if most is None else most**q
    degrees, degree = np.ones(size, np.int64), 2
    while ranks := _root(top // degree**q, p):
        degrees[:ranks] += 1
        degree += 1
    return degrees


def barabasi_albert(size: int, links: int, seed: int) -> Csr:
    """Barabási and Albert's growth (Science 286, 1999): newcomers prefer the popular.

    Each makes `links` links to different nodes; degrees fall off with exponent 3. It begins with a
    complete graph of links + 1 nodes, and is the graph of `topologies.power_law` with this seed.

    Raises:
        ValueError: more links than there are nodes to link to.
    """
    if not 0 < links < size:
        raise ValueError(f"a newcomer cannot make {links} links in a graph of {size}")
    chance, counter, few = Chance(seed, b"power_law"), 0, LEAST
    # Both ends of every edge so far: a random one of them is a node by its popularity.
    first = [node for a in range(links + 1) for b in range(a) for node in (a, b)]
    ends = np.zeros(len(first) + 2 * links * (size - links - 1), np.int64)
    ends[: len(first)] = first
    filled, newcomer = len(first), links + 1
    while newcomer < size:
        # Many newcomers at once, up to the first who draws somebody twice; that one by itself.
        words = chance.bits_at("end", counter, min(few, size - newcomer) * links)
        chosen = _chosen(ends, filled, newcomer, words.reshape(-1, links))
        good = _all_different(chosen)
        few = 2 * few if good == len(chosen) else max(LEAST, few // 2)
        counter += good * links
        if not good:
            chosen, counter = _one_by_one(ends[:filled], links, chance, counter)
            good = 1
        more = 2 * links * good
        ends[filled : filled + more : 2] = np.repeat(np.arange(newcomer, newcomer + good), links)
        ends[filled + 1 : filled + more : 2] = chosen[:good].ravel()
        filled, newcomer = filled + more, newcomer + good
    name = f"barabasi_albert({size},{links},seed={seed})"
    return from_edges(name, size, ends[0::2], ends[1::2])


def _chosen(ends: Int64s, filled: int, newcomer: int, words: Words) -> Int64s:
    """Whom each row of newcomers draws, of what is there and of the rows before it."""
    few, links = words.shape
    popular = filled + 2 * links * np.repeat(np.arange(few), links)
    place = scaled(words.ravel(), popular)
    chosen = ends[np.minimum(place, filled - 1)]
    edge, end = np.divmod(place - filled, 2)
    newer = place >= filled
    chosen[newer] = newcomer + edge[newer] // links
    # The other end of an edge of these rows is whoever was drawn there, and so on backwards.
    waiting = newer & (end == 1)
    left = np.flatnonzero(waiting)
    while len(left):
        known = ~waiting[edge[left]]
        ready = left[known]
        chosen[ready] = chosen[edge[ready]]
        waiting[ready] = False
        left = left[~known]
    return chosen.reshape(few, links)


def _all_different(chosen: Int64s) -> int:
    """How many rows there are before the first that holds somebody twice."""
    line = np.sort(chosen, axis=1)
    twice = np.flatnonzero((line[:, 1:] == line[:, :-1]).any(axis=1))
    return int(twice[0]) if len(twice) else len(chosen)


def _one_by_one(ends: Int64s, links: int, chance: Chance, counter: int) -> tuple[Int64s, int]:
    """One newcomer's row, with draws until all differ; and the counter after them."""
    chosen: dict[int, None] = {}
    while True:
        for place in scaled(chance.bits_at("end", counter, 4 * links), len(ends)).tolist():
            counter += 1
            chosen[int(ends[place])] = None
            if len(chosen) == links:
                return np.array([list(chosen)], np.int64), counter


def _root(number: int, degree: int) -> int:
    """The integer root, rounded down; Newton's steps from above."""
    if number < 2:
        return number
    root = 1 << -(-number.bit_length() // degree)
    while True:
        better = ((degree - 1) * root + number // root ** (degree - 1)) // degree
        if better >= root:
            return root
        root = better
