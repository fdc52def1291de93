"""A distributed index whose members all know each other (Gupta, Liskov, Rodrigues, HotOS 2003).

The asker asks the node that follows the content's key at once, without a hop between. The price is
that every coming and going is told to everybody. The paper's hierarchy gathers such news for half a
minute; that saves messages, not bytes, and is left out: each node is told in a message.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, draw
from meshpacs_sim.strategies.ground import (
    ASK,
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
from meshpacs_sim.strategies.parameters import Parameters, Share
from meshpacs_sim.strategies.ring import UNAWARE, Ring, follower, kept, key_of, knowing, ring, tell
from meshpacs_sim.strategies.search import Outcomes, Scene, Searches, Upkeep
from meshpacs_sim.strategies.sizes import ENTRY_BYTES, ENVELOPE_BYTES, MEMBERSHIP_BYTES

Replicas = Annotated[int, Meta(ge=1, le=64)]
TimeOut = Annotated[int, Meta(ge=0, le=60_000_000)]


@dataclass(frozen=True)
class OneHopDht(Parameters):
    """Everybody knows everybody, and asks the one who keeps a content's entries at once (Gupta,
    Liskov and Rodrigues 2003).
    """

    replicas: Replicas = 3
    """Nodes that keep each content's entries. A guess."""
    republished: bool = False
    """Whether holders have published anew since those who are down went."""
    stale: Share = 1.0
    """Of the copies of members that are down, the share that is still named."""
    unaware: Share = 0.01
    """The chance that an asker does not know that a node is down. The paper aims at 1 %."""
    time_out_us: TimeOut = 3_000_000
    """How long who is down is waited for. A guess."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "one_hop_dht"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search asks the first node after the key that is up, or is thought to be."""
        view = ground(scene, searches)
        told = tally(view)
        whole, _ = ring(view.seed, view.up)
        _look_up(
            view, told, whole, self.replicas, self.republished,
            chance(self.stale), chance(self.unaware), self.time_out_us,
        )  # fmt: skip
        return outcomes(told)

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:
        """Everybody is told of everyone who comes or goes; entries move to who keeps them now."""
        alive = int(np.count_nonzero(scene.up))
        news = (joins + leaves) * alive
        moved = (joins + leaves) * self.replicas
        messages = news + joins + moved + changes * self.replicas
        entries = entries_moved(scene, joins + leaves, self.replicas) + changes * self.replicas
        sent_bytes = (
            (news + joins * alive) * MEMBERSHIP_BYTES
            + (joins + moved + changes * self.replicas) * ENVELOPE_BYTES
            + entries * ENTRY_BYTES
        )
        return Upkeep(messages, sent_bytes, could_tell(scene, self.replicas))


def entries_moved(scene: Scene, events: int, replicas: int) -> int:
    """Entries that go to another node because so many nodes came or went: each kept its share."""
    return events * replicas * len(scene.copies.holders) // scene.overlay.size


def could_tell(scene: Scene, replicas: int) -> float:
    """Nodes that keep a content's entries without holding it; the mean over contents."""
    copies, nodes = scene.copies, scene.overlay.size
    if not copies.contents:
        return 0.0
    keepers = knowing(np.uint64(scene.seed % (1 << 64)), scene.up, copies.contents, replicas)
    owners = np.repeat(np.arange(copies.contents), copies.counts)
    held = owners * nodes + copies.holders
    kept_at = np.arange(copies.contents)[:, None] * nodes + keepers
    return float(np.count_nonzero(~np.isin(kept_at, held)) / copies.contents)


@compiled
def _look_up(
    view: Ground,
    told: Tally,
    whole: Ring,
    replicas: Word,
    republished: bool,
    stale: np.uint64,
    unaware: np.uint64,
    time_out_us: Word,
) -> None:
    for search in range(len(view.origins)):
        origin = np.int64(view.origins[search])
        key = key_of(view.seed, view.contents[search])
        first, waited = follower(whole, key), np.int64(0)
        server = origin
        for each in range(len(whole.nodes)):
            server = whole.nodes[(first + each) % len(whole.nodes)]
            if view.up[server]:
                break
            bits = draw(view.seed, np.uint64(view.numbers[search]), UNAWARE, np.uint64(each))
            if happens(bits, unaware):
                told.kinds[search, ASK] += 1
                waited += time_out_us
        original = kept(whole, key, server, replicas)
        if server == origin:
            tell(view, told, search, original, republished, stale, 0, waited)
            continue
        send(told.kinds, told.load, search, ASK, server)
        told.reached[search] += 1
        when = waited + road_us(view.roads, view.numbers[search], origin, server)
        when += road_us(view.roads, view.numbers[search], server, origin)
        names = tell(view, told, search, original, republished, stale, 1, when)
        send(told.kinds, told.load, search, naming(names), origin)
