"""Edges as numbers, so that whole arrays of them are sorted, compared and found."""

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def keys(size: int, one: Int64s, other: Int64s) -> Int64s:
    """A number for each undirected edge among `size` nodes: the smaller end counts more."""
    return np.minimum(one, other) * size + np.maximum(one, other)


def firsts(numbers: Int64s) -> Bools:
    """Which are the first of their value, in the order given; made for few that are doubled."""
    first = np.ones(len(numbers), np.bool_)
    order = np.sort(numbers)
    # np.unique would do, but takes ten times as long for millions.
    doubled = np.flatnonzero(among(numbers, order[1:][order[1:] == order[:-1]]))
    again = numbers[doubled]
    first[doubled] = False
    first[doubled[np.unique(again, return_index=True)[1]]] = True
    return first


def among(numbers: Int64s, known: Int64s) -> Bools:
    """Which lie among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(numbers), np.bool_)
    at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    found: Bools = known[at] == numbers
    return found


def all_pairs(size: int) -> tuple[Int64s, Int64s]:
    """The two ends of every possible edge; size * (size - 1) / 2 of them."""
    low, high = np.triu_indices(size, 1)
    return low.astype(np.int64), high.astype(np.int64)
