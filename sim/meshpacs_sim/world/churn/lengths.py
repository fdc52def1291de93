"""How long sessions and absences last: exponential, Weibull and Pareto, from integer tables.

A table holds a distribution's quantiles in 4,095 equal steps of probability and, for the rarest
1 in 4,096, as many again; between two of them a length is drawn evenly. Long sessions are few and
decide much, so that the tail is kept to 1 in 33 million (the network's tables, which need no such
tail, end at 1 in 8,192). Tables are made with `decimal`, whose `ln` and `exp` are right to the last
digit, and rounded to integers: no machine's mathematics library shows. A table is scaled so that
the mean of what is drawn from it is the mean asked for, cut tail or not.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from itertools import accumulate, pairwise
from math import isqrt
from typing import Literal

from meshpacs.model.ids import Micros

SLOT_BITS = 12
SLOTS = 1 << SLOT_BITS
"""Steps of probability. A guess at what is fine enough: medians are right to six digits."""

UNIT = 1 << 32
"""What stands for 1 in a table."""

SHAPES: dict[str, tuple[float, float]] = {
    "exponential": (1, 1),
    "weibull": (0.2, 100),
    "pareto": (1.2, 100),
}
"""The least and the greatest shape of each kind. A Pareto distribution of 1.2 has 6 % of all time
in the tail that is cut off, and up to 1 it has no mean at all; the other bounds are guesses."""

Kind = Literal["exponential", "weibull", "pareto"]

_EXACT = Context(prec=28)
"""Digits to compute with: the integers have 18 at most, but for the greatest Pareto lengths."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths.

    `weibull` with a shape below 1 has many short and a few very long ones, as sessions of file
    sharers had (Stutzbach and Rejaie, IMC 2006, found it to fit them better than the other two).
    `pareto` is the shifted one that begins at 0, 1 - (1 + x/b)^-shape (as in Yao, Leonard, Wang and
    Loguinov, ICNP 2006). `exponential` has no shape but 1; it is what analyses assume.
    """

    kind: Kind
    mean_us: Micros
    shape: float = 1.0

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: no such distribution has a mean.
        """
        if self.kind not in SHAPES:
            raise ValueError(f"lengths are {', '.join(SHAPES)}, not {self.kind}")
        if self.mean_us < 1:
            raise ValueError(f"lengths of {self.mean_us} µs on average are none")
        least, most = SHAPES[self.kind]
        if not least <= self.shape <= most:
            raise ValueError(f"a {self.kind} shape is from {least} to {most}, not {self.shape}")

    def length(self, bits: int, mean_us: Micros | None = None) -> Micros:
        """One length from 64 bits of chance; of this mean instead, if it is given."""
        low, high, between, places = self._table.step(bits)
        drawn = low + ((high - low) * between >> places)
        return max(1, self._scaled(drawn, mean_us))

    def left(self, bits: int, more: int, mean_us: Micros | None = None) -> Micros:
        """What is left of a length under way at a moment nobody chose, from twice 64 bits.

        A moment falls into long lengths more often than into short ones, each by its length, and
        anywhere in it.
        """
        table = self._table
        # Where in the sum of all lengths; then where in the step, whose lengths rise evenly.
        target = bits * table.until[-1] >> 64
        step = bisect_right(table.until, target)
        start = table.until[step - 1] if step else 0
        low, high = table.edges[step], table.edges[step + 1]
        share, whole = target - start, table.until[step] - start
        drawn = isqrt(low * low + (high * high - low * low) * share // whole)
        return max(1, self._scaled(drawn, mean_us) * more >> 64)

    def _scaled(self, drawn: int, mean_us: Micros | None) -> Micros:
        mean_us = self.mean_us if mean_us is None else mean_us
        return drawn * mean_us * 2 * SLOTS * SLOTS // self._table.until[-1]

    @property
    def _table(self) -> "Table":
        return table_of(self.kind, self.shape)


@dataclass(frozen=True, slots=True)
class Table:
    """Quantiles of one distribution of any mean."""

    edges: tuple[int, ...]
    """Rising, in 1 / `UNIT`: 4,095 wide steps, then 4,096 narrow ones."""
    until: tuple[int, ...]
    """For each step the sum of all lengths up to its end, where a narrow step counts for both of
    its edges once, and a wide one `SLOTS` times."""

    def step(self, bits: int) -> tuple[int, int, int, int]:
        """The step that 64 bits choose: its edges, and where between them, of 2^places."""
        places = 64 - SLOT_BITS
        slot, between = bits >> places, bits & ((1 << places) - 1)
        if slot == SLOTS - 1:
            places -= SLOT_BITS
            slot, between = slot + (between >> places), between & ((1 << places) - 1)
        return self.edges[slot], self.edges[slot + 1], between, places


@lru_cache(maxsize=16)
def table_of(kind: str, shape: float) -> Table:
    """The table of one shape; made once, in half a second."""
    with localcontext(_EXACT):
        of, power = _QUANTILES[kind], Decimal(shape)
        # -ln(1 - u) for u, the share of all lengths that are shorter.
        wide, narrow = Decimal(SLOTS).ln(), Decimal(SLOTS * SLOTS).ln()
        logs = [wide - Decimal(SLOTS - slot).ln() for slot in range(SLOTS - 1)]
        logs += [narrow - Decimal(SLOTS - slot).ln() for slot in range(SLOTS)]
        logs += [narrow + Decimal(2).ln()]
        edges = tuple(round(of(log, power) * UNIT) for log in logs)
    weights = [SLOTS] * (SLOTS - 1) + [1] * SLOTS
    sums = ((low + high) * by for (low, high), by in zip(pairwise(edges), weights, strict=True))
    return Table(edges, tuple(accumulate(sums)))


def _weibull(log: Decimal, shape: Decimal) -> Decimal:
    return (log.ln() / shape).exp() if log else log


_QUANTILES: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "exponential": lambda log, _: log,
    "weibull": _weibull,
    "pareto": lambda log, shape: (log / shape).exp() - 1,
}
"""For each kind the quantile of scale 1, from -ln(1 - u) and the shape."""
