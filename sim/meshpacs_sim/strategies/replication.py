"""Copies that searches leave behind: owner, path, random replication (Lv et al. 2002, section 6).

Every search is done by random walkers. When one has found a copy, further nodes keep one: the asker
alone; everybody on the way of the walker that found it; or as many nodes as that way has, drawn
from all whom the walkers of this search came to. Each node keeps so many copies beside those that
it had from the start, which are never given up; with one copy more, one of them, drawn evenly,
goes. So the budget is `room` copies for each node.

In the long run owner replication comes to a proportional placement, as copies of a content are made
as often as it is found; path and random replication come to the square root, as each search also
makes as many as it was long (Cohen and Shenker 2002). Left out: the time that a copy takes to be
made, and what it weighs. The engine has no replication yet (PROTOCOL 10); when it has, it becomes
one more of these.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs.engine.draws import draw, word
from meshpacs_sim.strategies.ground import ground, tally
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import Bools, Copies, Int32s, Int64s, Scene, Searches
from meshpacs_sim.strategies.walking import Walks

TRACED = 100_000_000
"""Steps of all walkers of one search that are remembered; four bytes each."""

_CHOICE, _EVICTION = word(b"replication/choice"), word(b"replication/eviction")


@dataclass(frozen=True)
class Replication(Parameters, ABC):
    """Walkers that search, and the room that each node has for copies."""

    room: Annotated[int, Meta(ge=1, le=10_000)] = 4
    """Copies that each node keeps beside those that it had from the start."""
    walkers: Annotated[int, Meta(ge=1, le=4_096)] = 32
    """How many search."""
    check_every: Annotated[int, Meta(ge=0, le=1_000_000)] = 4
    """Steps between two checks with the asker; 0: never."""
    steps: Annotated[int, Meta(ge=1, le=100_000)] = 1_024
    """Steps that one walker goes at most."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: one is out of bounds, or walkers' ways are too long to be remembered.
        """
        super().__post_init__()
        if self.walkers * self.steps > TRACED:
            raise ValueError(
                f"{self.walkers} walkers of {self.steps} steps: at most {TRACED:,} are remembered"
            )

    @property
    @abstractmethod
    def name(self) -> str:
        """As scenarios call it."""

    @abstractmethod
    def keepers(self, search: int, seed: int, way: Int32s, visited: Int32s) -> list[int]:
        """Who keeps a copy, of a search whose walker came this way."""

    def grown(self, scene: Scene, searches: Searches) -> Copies:
        """Who holds what after all these searches, one after another."""
        view = ground(scene, searches)
        walks = Walks(
            view, tally(view), self.walkers, self.check_every, self.steps, state=True, traced=True
        )
        shelves = Shelves(scene, self.room)
        holds = np.full(len(view.up), -1, np.int32)
        for search, content in enumerate(view.contents.tolist()):
            holds[shelves.held[content]] = search
            way = walks.walk(search, holds)
            if len(way):
                for node in self.keepers(search, scene.seed, way, walks.visited):
                    shelves.keep(node, content)
        return shelves.copies()


@dataclass(frozen=True)
class Owner(Replication):
    """Who has found something keeps a copy (Lv et al. 2002)."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "owner"

    def keepers(self, search: int, seed: int, way: Int32s, visited: Int32s) -> list[int]:  # noqa: ARG002
        """The asker."""
        return [int(way[0])]


@dataclass(frozen=True)
class Path(Replication):
    """Everybody on the way from a copy to who has found it keeps a copy (Lv et al. 2002)."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "path"

    def keepers(self, search: int, seed: int, way: Int32s, visited: Int32s) -> list[int]:  # noqa: ARG002
        """All nodes of the way, the asker first."""
        return list(dict.fromkeys(way[:-1].tolist()))


@dataclass(frozen=True)
class Random(Replication):
    """As many nodes as path replication would take keep a copy, drawn from all that the walkers
    came to (Lv et al. 2002).
    """

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "random"

    def keepers(self, search: int, seed: int, way: Int32s, visited: Int32s) -> list[int]:
        """Different ones of those visited."""
        wanted = len(set(way[:-1].tolist()))
        found = np.flatnonzero(visited == search).tolist()
        for turn in range(min(wanted, len(found))):
            bits = draw(seed, search, _CHOICE, turn)
            other = turn + (bits * (len(found) - turn) >> 64)
            found[turn], found[other] = found[other], found[turn]
        return found[:wanted]


REPLICATIONS: Mapping[str, type[Replication]] = {"owner": Owner, "path": Path, "random": Random}


class Shelves:
    """What each node holds: from the start, and in the room that it has for more."""

    def __init__(self, scene: Scene, room: int) -> None:
        """Nothing but what was there from the start."""
        copies, nodes = scene.copies, scene.overlay.size
        self._seed = scene.seed
        owners = np.repeat(np.arange(copies.contents), copies.counts)
        self._first: Bools = np.zeros((copies.contents, nodes), np.bool_)
        self._first[owners, copies.holders] = True
        self.held: Bools = self._first.copy()
        """Shape (contents, nodes)."""
        self._room: Int64s = np.full((nodes, room), -1, np.int64)
        self._kept = np.zeros(nodes, np.int64)
        self._evictions = 0

    def keep(self, node: int, content: int) -> None:
        """A node takes a copy in, at the cost of another one if it has no room left."""
        if self.held[content, node]:
            return
        slot = int(self._kept[node])
        if slot == self._room.shape[1]:
            slot = draw(self._seed, node, _EVICTION, self._evictions) * slot >> 64
            self._evictions += 1
            self.held[self._room[node, slot], node] = False
        else:
            self._kept[node] += 1
        self._room[node, slot] = content
        self.held[content, node] = True

    def copies(self) -> Copies:
        """Who holds what now."""
        contents, holders = np.nonzero(self.held)
        starts = np.zeros(len(self.held) + 1, np.int64)
        np.cumsum(np.bincount(contents, minlength=len(self.held)), out=starts[1:])
        return Copies(starts, holders.astype(np.int32))
