"""A distributed index over a ring with fingers (Chord: Stoica et al., SIGCOMM 2001).

Each node knows the nodes that follow it at distances 2^i around the circle, and passes a question
on to the one of these that is nearest before the key: half the way that is left, each time, so that
a question takes (log2 n)/2 hops on average. Tables are thought to be stabilised, and point to nodes
that are up; with a chance of `unaware` the finger is still the one from before, and costs a message
and a time-out. Left out: stabilisation that runs whether somebody comes or goes or not.
"""

from dataclasses import dataclass

import numpy as np

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, draw
from meshpacs_sim.strategies.ground import (
    ASK,
    CLOSED,
    Ground,
    Tally,
    chance,
    ground,
    happens,
    naming,
    outcomes,
    road_us,
    send,
    tally,
)
from meshpacs_sim.strategies.one_hop_dht import Replicas, TimeOut, could_tell, entries_moved
from meshpacs_sim.strategies.parameters import Parameters, Share
from meshpacs_sim.strategies.ring import UNAWARE, Ring, follower, kept, key_of, ring, tell
from meshpacs_sim.strategies.search import (
    Int64s,
    Outcomes,
    Scene,
    Searches,
    Upkeep,
)
from meshpacs_sim.strategies.sizes import ENTRY_BYTES, ENVELOPE_BYTES, MEMBERSHIP_BYTES

_ONE = np.uint64(1)
_TOP = 63
"""The longest finger reaches half around the circle."""


@dataclass(frozen=True)
class LogDht(Parameters):
    """Nodes on a ring pass a question on to whoever is nearest before its key, in about (log2 n)/2
    hops (Chord, Stoica et al. 2001).
    """

    replicas: Replicas = 3
    """Nodes that keep each content's entries. A guess."""
    republished: bool = False
    """Whether holders have published anew since those who are down went."""
    stale: Share = 1.0
    """Of the copies of members that are down, the share that is still named."""
    unaware: Share = 0.0
    """The chance that a finger to a node that is down has not been mended."""
    time_out_us: TimeOut = 3_000_000
    """How long who is down is waited for. A guess."""
    recursive: bool = True
    """Whether nodes pass the question on; else the asker asks each of them in turn."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "log_dht"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search goes around the ring to the first node after the key that is up."""
        view = ground(scene, searches)
        told = tally(view)
        whole, alive = ring(view.seed, view.up)
        spots = np.full(len(view.up), -1, np.int64)
        spots[alive.nodes] = np.arange(len(alive.nodes))
        _look_up(
            view, told, whole, alive, spots, self.replicas, self.republished, self.recursive,
            chance(self.stale), chance(self.unaware), self.time_out_us,
        )  # fmt: skip
        return outcomes(told)

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:
        """(log2 n)^2 messages for everyone who comes or goes, as the paper has it; entries move.

        A new copy's entry goes around the ring as a question does, then to the other replicas.
        """
        rounds = max(1, int(np.count_nonzero(scene.up)) - 1).bit_length()
        events = joins + leaves
        mending, moving = events * rounds * rounds, events * self.replicas
        publishing = changes * (max(1, rounds // 2) + self.replicas - 1)
        entries = entries_moved(scene, events, self.replicas) + publishing
        sent_bytes = (
            mending * MEMBERSHIP_BYTES + (moving + publishing) * ENVELOPE_BYTES
        ) + entries * ENTRY_BYTES
        return Upkeep(mending + moving + publishing, sent_bytes, could_tell(scene, self.replicas))


@compiled
def next_hop(alive: Ring, at: Word, key: np.uint64) -> tuple[Word, np.uint64]:
    """Where a question for a key goes from the node at an index of the ring of those up.

    To the farthest finger before the key; if there is none, to the node that follows, which keeps
    the key's entries. Distances are taken around the circle, which 64-bit subtraction does. Gives
    the index and the place that this finger begins at.
    """
    here = alive.places[at]
    distance = key - here
    for power in range(_TOP, -1, -1):
        reach = _ONE << np.uint64(power)
        if reach < distance:
            finger = follower(alive, here + reach)
            if alive.places[finger] - here < distance and finger != at:
                return finger, here + reach
    return (at + 1) % len(alive.nodes), here + _ONE


@compiled
def _look_up(
    view: Ground,
    told: Tally,
    whole: Ring,
    alive: Ring,
    spots: Int64s,
    replicas: Word,
    republished: bool,
    recursive: bool,
    stale: np.uint64,
    unaware: np.uint64,
    time_out_us: Word,
) -> None:
    for search in range(len(view.origins)):
        origin = np.int64(view.origins[search])
        key = key_of(view.seed, view.contents[search])
        goal, at = follower(alive, key), spots[origin]
        now, hops, node = np.int64(0), 0, origin
        while at != goal:
            at, place = next_hop(alive, at, key)
            before = whole.nodes[follower(whole, place)]
            bits = draw(view.seed, np.uint64(view.numbers[search]), UNAWARE, np.uint64(hops))
            if not view.up[before] and happens(bits, unaware):
                told.kinds[search, ASK] += 1
                now += time_out_us
            end = alive.nodes[at]
            asker = node if recursive else origin
            send(told.kinds, told.load, search, ASK, end)
            now += road_us(view.roads, view.numbers[search] + hops, asker, end)
            told.reached[search] += 1
            hops += 1
            if not recursive and at != goal:
                send(told.kinds, told.load, search, CLOSED, origin)
                now += road_us(view.roads, view.numbers[search] + hops, end, origin)
            node = end
        if node != origin:
            now += road_us(view.roads, view.numbers[search] + hops, node, origin)
        original = kept(whole, key, node, replicas)
        names = tell(view, told, search, original, republished, stale, hops, now)
        if node != origin:
            send(told.kinds, told.load, search, naming(names), origin)
