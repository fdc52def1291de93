"""How many copies of each content there are to be, and at which nodes (Cohen and Shenker 2002).

A placement shares a budget of copies out among contents by how often each is asked for, and puts
the copies of each at different nodes, drawn evenly. Everybody gets one copy at least and one for
each node at most; within that, copies are as near to the shares as whole numbers can be, and the
budget is spent to the last. The engine has no placement of its own yet: a copy is made there by a
fetch (PROTOCOL 10). When it has, it becomes one more of these.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, below, draw
from meshpacs_sim.strategies.ground import words
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Copies, Int64s

Floats = npt.NDArray[np.float64]

COPIES = 1_000_000_000
"""The most in all; four bytes each."""

_HOLDER = words("placement/holder")


@dataclass(frozen=True)
class Placement(Parameters, ABC):
    """A budget of copies, and how it is shared out."""

    budget: Annotated[int, Meta(ge=1, le=COPIES)] = 1_000
    """Copies in all."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As scenarios call it."""

    @abstractmethod
    def weights(self, rates: Floats) -> Floats:
        """In which proportion contents that are asked for at such rates have copies."""

    def place(self, rates: npt.ArrayLike, nodes: int, seed: int) -> Copies:
        """Copies of contents that are asked for at such rates, in any unit.

        Raises:
            ValueError: no such copies exist.
        """
        asked = np.asarray(rates, np.float64)
        if not len(asked) or not np.isfinite(asked).all() or asked.min() < 0 or not asked.max():
            raise ValueError("rates of queries are numbers, none is negative and one is above 0")
        return scattered(shared_out(self.weights(asked), self.budget, nodes), nodes, seed)


@dataclass(frozen=True)
class Uniform(Placement):
    """Every content has as many copies as any other, however often it is asked for (Cohen and
    Shenker 2002).
    """

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "uniform"

    def weights(self, rates: Floats) -> Floats:
        """All alike."""
        return np.ones_like(rates)


@dataclass(frozen=True)
class Proportional(Placement):
    """Copies go with how often a content is asked for, as they do if everybody who asked keeps one
    (Cohen and Shenker 2002).
    """

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "proportional"

    def weights(self, rates: Floats) -> Floats:
        """The rates themselves."""
        return rates


@dataclass(frozen=True)
class SquareRoot(Placement):
    """Copies go with the square root of how often a content is asked for, which makes blind search
    as short as it can be (Cohen and Shenker 2002).
    """

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "square_root"

    def weights(self, rates: Floats) -> Floats:
        """Square roots, which IEEE 754 rounds alike on every machine."""
        return np.sqrt(rates)


PLACEMENTS: Mapping[str, type[Placement]] = {
    "uniform": Uniform,
    "proportional": Proportional,
    "square_root": SquareRoot,
}


def shared_out(weights: Floats, budget: int, nodes: int) -> Int64s:
    """Shape (contents,): whole numbers from 1 to `nodes` that sum up to the budget.

    What one number is clipped by goes to the others. Only products are taken of fractions, each
    rounded alike everywhere, and sums of whole numbers.

    Raises:
        ValueError: the budget is too small or too large for that.
    """
    contents = len(weights)
    if not contents <= budget <= contents * nodes:
        raise ValueError(
            f"{budget} copies cannot be shared out among {contents} contents on {nodes} nodes: "
            "each has one copy at least, and one for each node at most"
        )
    low, high = 0.0, (nodes + 1.0) / float(weights[weights > 0].min())
    while low < (middle := low + (high - low) / 2) < high:
        spent = int(_clipped(weights * middle, nodes).sum())
        low, high = (middle, high) if spent <= budget else (low, middle)
    wanted = weights * low
    counts = _clipped(wanted, nodes)
    # What is left is less than one for each; it goes where most was cut off, then to the first.
    missing = np.minimum(wanted, nodes) - counts
    while left := budget - int(counts.sum()):
        order = np.argsort(-missing, kind="stable")
        order = order[counts[order] < nodes][:left]
        counts[order] += 1
        missing[order] -= 1
    return counts


def _clipped(wanted: Floats, nodes: int) -> Int64s:
    return np.clip(np.floor(wanted), 1, nodes).astype(np.int64)


def scattered(counts: Int64s, nodes: int, seed: int) -> Copies:
    """So many copies of each content, at different nodes that are drawn evenly."""
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    places = np.empty(starts[-1], np.int64)
    _scatter(np.uint64(seed % (1 << 64)), starts, nodes, np.full(nodes, -1, np.int64), places)
    # In rising order within each row.
    places += np.repeat(np.arange(len(counts)), counts) * nodes
    places.sort()
    return Copies(starts, (places % nodes).astype(np.int32))


@compiled
def _scatter(seed: np.uint64, starts: Int64s, nodes: Word, taken: Int64s, places: Int64s) -> None:
    """Floyd's way to draw some of many (Bentley and Floyd, CACM 1987)."""
    for content in range(len(starts) - 1):
        first, last = starts[content], starts[content + 1]
        for at in range(first, last):
            most = nodes - (last - at)
            bits = draw(seed, np.uint64(content), _HOLDER, np.uint64(at - first))
            node = below(bits, most + 1)
            if taken[node] == content:
                node = most
            taken[node] = content
            places[at] = node
