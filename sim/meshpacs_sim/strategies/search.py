"""What every way to search is given, and what it answers.

A scene is a moment: who is up, who neighbours whom, who holds what. Searches take seconds and
sessions hours, so within one search nothing comes or goes; the world and its twin in the kernel
are for what happens when something does.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from meshpacs_sim.graphs.csr import Csr

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

    def of(self, content: int) -> Int32s:
        """The holders of one content."""
        return self.holders[self.starts[content] : self.starts[content + 1]]


@dataclass(frozen=True, slots=True)
class Roads:
    """One-way latencies: the numbers of `world.network.Latency`, drawn for each direction."""

    low_us: int = 2_000
    high_us: int = 40_000
    jitter_us: int = 5_000


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
    """Who looks for what; both of shape (q,). Whoever asks is up."""

    origins: Int32s
    contents: Int32s


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came of each search; all of shape (q,) but the last."""

    discovered: Bools
    """The asker has learnt of at least one holder, up or not."""
    retrievable: Bools
    """At least one of the holders that it learnt of is up."""
    copies_found: Int32s
    """Holders that it learnt of."""
    messages: Int64s
    """Everything sent for this search, answers and acknowledgements of the strategy too."""
    bytes: Int64s
    """The same in bytes on the wire, by the sizes that `strategies/sizes.py` names."""
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


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a strategy costs while nobody asks; totals over the whole mesh."""

    messages: int
    bytes: int
    could_tell: int
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
