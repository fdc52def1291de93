"""When one node is up: spans of time in integer microseconds, drawn as they are needed."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from typing import NamedTuple, Protocol

from meshpacs.model.ids import Micros

FOREVER: Micros = 1 << 62
"""The end of a span that never ends: 146,000 years."""


class Span(NamedTuple):
    """A node is up from `up_us` on, and no more at `down_us`."""

    up_us: Micros
    down_us: Micros


class Churn(Protocol):
    """A model of who is up when: the same for the same seed, each node for itself."""

    def spans(self, seed: int, node: int) -> Iterator[Span]:
        """When this node is up, rising, with a pause between any two; from time 0 on.

        It may never end. After its last span the node is down for good.
        """
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """When one node is up, until a horizon."""

    spans: tuple[Span, ...]
    """Rising, with a pause between any two, within 0 and the horizon."""
    horizon_us: Micros

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: spans are empty, overlap, touch, or lie outside.
        """
        before = -1
        for span in self.spans:
            if not before < span.up_us < span.down_us <= self.horizon_us:
                raise ValueError(f"a node cannot be up from {span.up_us} to {span.down_us} µs here")
            before = span.down_us

    def up_at(self, moment_us: Micros) -> bool:
        """Whether the node is up at this moment."""
        after = bisect_right(self.spans, moment_us, key=lambda span: span.up_us)
        return after > 0 and moment_us < self.spans[after - 1].down_us

    def up_us(self, since_us: Micros = 0, until_us: Micros | None = None) -> Micros:
        """For how long it is up between two moments; by default until the horizon."""
        until_us = self.horizon_us if until_us is None else until_us
        return sum(
            max(0, min(span.down_us, until_us) - max(span.up_us, since_us)) for span in self.spans
        )

    @property
    def availability(self) -> Fraction:
        """The exact share of time up, until the horizon."""
        return Fraction(self.up_us(), self.horizon_us)


def schedule(churn: Churn, seed: int, node: int, horizon_us: Micros) -> Schedule:
    """When one node is up, until a horizon."""
    spans = takewhile(lambda span: span.up_us < horizon_us, churn.spans(seed, node))
    cut = (Span(span.up_us, min(span.down_us, horizon_us)) for span in spans)
    return Schedule(tuple(cut), horizon_us)


class Presence:
    """Who is up, at moments that only go forward; keeps some 500 bytes a node."""

    def __init__(self, churn: Churn, seed: int, size: int) -> None:
        """Begin at time 0."""
        self._spans = [churn.spans(seed, node) for node in range(size)]
        self._now = [next(spans, NEVER) for spans in self._spans]
        self._moment_us: Micros = 0
        self.came = self.went = 0
        """How often nodes have come, and gone, after time 0 and up to the last moment."""

    def at(self, moment_us: Micros) -> list[bool]:
        """For each node whether it is up.

        Raises:
            ValueError: a later moment was asked for before.
        """
        if moment_us < self._moment_us:
            raise ValueError(f"{moment_us} µs lies before {self._moment_us} µs, asked for already")
        before_us, self._moment_us = self._moment_us, moment_us
        for node, span in enumerate(self._now):
            while span.down_us <= moment_us:
                self.came += before_us < span.up_us
                self.went += 1
                span = self._now[node] = next(self._spans[node], NEVER)  # noqa: PLW2901
            self.came += before_us < span.up_us <= moment_us
        return [span.up_us <= moment_us for span in self._now]


NEVER = Span(FOREVER, FOREVER + 1)
"""What follows a node's last span."""
