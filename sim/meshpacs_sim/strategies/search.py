"""What every way to search is given, and what it answers.

A scene is a moment: who is up, who neighbours whom, who holds what. Searches take seconds and
sessions hours, so within one search nothing comes or goes; the world and its twin in the kernel
are for what happens when something does.

Three things hold for every strategy. What the asker itself holds is not searched for and counts
for nothing. Over a link of the overlay of which one end is down nothing is sent: the link is gone,
as keepalives have told. And the same scene, searches and parameters give the same outcomes to the
last bit, each search whatever others are done beside it, as all chance is keyed by the scene's seed
and the search's number (`meshpacs_sim.kernel.draws`).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.strategies.sizes import SIZES

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Copies:
    """Who holds what: compressed rows of holders, one row for each content."""

    starts: Int64s
    """Shape (contents + 1,)."""
    holders: Int32s
    """Shape (copies,): for each content its holders in rising order, up or not."""

    @property
    def contents(self) -> int:
        """How many contents."""
        return len(self.starts) - 1

    @cached_property
    def counts(self) -> Int64s:
        """Shape (contents,): holders of each."""
        return np.diff(self.starts)

    def of(self, content: int) -> Int32s:
        """The holders of one content."""
        return self.holders[self.starts[content] : self.starts[content + 1]]


@dataclass(frozen=True, slots=True)
class Roads:
    """One-way latencies: the numbers of `world.network.Latency`, drawn for each direction."""

    low_us: int = 2_000
    high_us: int = 40_000
    jitter_us: int = 5_000

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: a road that takes no time: what comes first would be a matter of taste.
        """
        if not 1 <= self.low_us <= self.high_us or self.jitter_us < 0:
            raise ValueError(f"no road takes {self.low_us} to {self.high_us} us")


@dataclass(frozen=True, eq=False)
class Scene:
    """One moment of one mesh."""

    seed: int
    """All chance of a strategy comes from it, by counter-based draws."""
    overlay: Csr
    up: Bools
    """Shape (n,)."""
    copies: Copies
    roads: Roads = field(default_factory=Roads)


@dataclass(frozen=True, eq=False)
class Searches:
    """Who looks for what; all of shape (q,). Whoever asks is up."""

    origins: Int32s
    contents: Int32s
    numbers: Int64s | None = None
    """By which chance tells searches from each other; by default they are counted from 0. Who puts
    one scenario's searches to several scenes counts on."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came of each search; all of shape (q,) but `kinds` and `load`."""

    discovered: Bools
    """The asker has learnt of at least one holder, up or not."""
    retrievable: Bools
    """At least one of the holders that it learnt of is up."""
    copies_found: Int32s
    """Holders that it learnt of."""
    kinds: Int64s
    """Shape (q, len(SIZES)): messages sent for this search, answers and acknowledgements of the
    strategy too, by `sizes.Kind`."""
    duplicates: Int64s
    """Of the messages, questions that reached a node that had been asked before."""
    hops: Int32s
    """From the asker to the first copy found; -1 if none was."""
    latency_us: Int64s
    """Until the asker knew of the first copy; -1 if it never did."""
    reached: Int32s
    """Nodes that learnt that somebody asks for this content, the asker apart: disclosure."""
    load: Int64s
    """Shape (n,): messages that each node received, over all searches."""

    @cached_property
    def messages(self) -> Int64s:
        """Everything sent for each search, of all kinds."""
        sent: Int64s = self.kinds.sum(axis=1)
        return sent

    @cached_property
    def bytes(self) -> Int64s:
        """The same in bytes, frames included; what encryption adds is not."""
        return self.kinds @ np.array(SIZES, np.int64)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a strategy costs while nobody asks; totals over the whole mesh."""

    messages: int
    bytes: int
    could_tell: float
    """Nodes that know who holds a content without being its holder: the mean over contents."""


class Strategy(Protocol):
    """A way to search. A frozen dataclass whose fields are its parameters."""

    @property
    def name(self) -> str:
        """As scenarios and pictures call it."""
        ...

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Do all searches, each for itself, in the scene as it stands."""
        ...

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:
        """What so many nodes coming and going, and so many contents added, have cost."""
        ...
