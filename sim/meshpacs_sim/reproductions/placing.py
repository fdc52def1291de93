"""Copies shared out between contents by how often each is asked for, and put at random nodes."""

import numpy as np

from meshpacs_sim.graphs.chance import Chance
from meshpacs_sim.statistics.intervals import Floats
from meshpacs_sim.strategies.search import Copies, Int64s

SHARES = ("uniform", "proportional", "square-root")


def of_zipf(contents: int, exponent: float) -> Floats:
    """Shape (contents,): shares of all questions, the most asked for first; they sum to 1."""
    rates = np.arange(1, contents + 1, dtype=np.float64) ** -exponent
    rates /= rates.sum()
    return rates


def weights_of(share: str, rates: Floats) -> Floats:
    """Shape (contents,): each content's share of all copies."""
    raised = {"uniform": 0.0, "proportional": 1.0, "square-root": 0.5}[share]
    weights: Floats = rates**raised
    weights /= weights.sum()
    return weights


def copies_of(share: str, rates: Floats, budget: int, size: int) -> Int64s:
    """Shape (contents,): copies of each, at least one and at most one at each node."""
    counts = np.rint(weights_of(share, rates) * budget).astype(np.int64)
    return np.clip(counts, 1, size)


def placed(counts: Int64s, size: int, seed: int) -> Copies:
    """So many copies of each content at random nodes."""
    chance = Chance(seed, b"reproductions/placing")
    rows = [np.sort(chance.order("holders", size)[:count]) for count in counts.tolist()]
    starts = np.concatenate(([0], np.cumsum(counts)))
    return Copies(starts.astype(np.int64), np.concatenate(rows).astype(np.int32))
