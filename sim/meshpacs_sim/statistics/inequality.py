"""How unevenly something is shared out: Gini's coefficient and Lorenz's curve.

Nodes of a mesh are no sample of nodes, they are all that there are: neither is corrected for
being one, and neither has an interval within one run.
"""

import numpy as np

from meshpacs_sim.statistics.intervals import Floats, Numbers, floats


def gini_of(shares: Numbers) -> float:
    """0 where all have the same, (n - 1) / n where one has everything (Gini 1912).

    Computed from the ranks: sum((2i - n - 1) x_i) / (n sum x) over x in rising order (Damgaard &
    Weiner 2000, Ecology 81:1139). Where nobody has anything, all have the same.

    Raises:
        ValueError: nobody is there, or somebody has less than nothing.
    """
    rising = _rising(shares)
    n, total = len(rising), float(rising.sum())
    if total == 0:
        return 0.0
    ranks = 2 * np.arange(1, n + 1, dtype=np.float64) - n - 1
    return float((ranks * rising).sum()) / (n * total)


def lorenz_of(shares: Numbers) -> tuple[Floats, Floats]:
    """Lorenz's curve (Lorenz 1905): the least loaded share of the nodes, and the share of the whole
    that they have; both of shape (n + 1,), from (0, 0) to (1, 1).

    Raises:
        ValueError: nobody is there, or somebody has less than nothing.
    """
    rising = _rising(shares)
    nodes = np.arange(len(rising) + 1, dtype=np.float64) / len(rising)
    total = float(rising.sum())
    if total == 0:
        return nodes, nodes.copy()
    had = np.concatenate((np.zeros(1), np.cumsum(rising))) / total
    had[-1] = 1.0
    return nodes, had


def _rising(shares: Numbers) -> Floats:
    rising = np.sort(floats(shares))
    if rising[0] < 0:
        raise ValueError(f"a share is {rising[0]:g}; nobody can have less than nothing")
    return rising
