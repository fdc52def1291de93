"""Super-nodes: a few nodes keep the index of the others and flood among themselves.

As Kazaa's FastTrack (Liang, Kumar, Ross 2006) and Gnutella2's hubs did. A share of the nodes is
super; every other node, a *leaf*, tells `caches` of them what it holds, and asks the first of these
that is up. That one sends the question on to the super-nodes around it, by a flood of `ttl` hops
over links that they have among themselves; who of them knows of holders names them, along the way
back. Left out: how super-nodes are chosen (here they are drawn, not the strongest), and their
limits.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.graphs.csr import Csr, from_edges
from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, below, draw
from meshpacs_sim.strategies.flooding import (
    BACK,
    DEPTH,
    NEW,
    NODE,
    OPENED,
    SILENCE,
    Floods,
    bring_back,
)
from meshpacs_sim.strategies.ground import (
    ASK,
    Ground,
    Tally,
    chance,
    drawn,
    ground,
    learn,
    listed,
    naming,
    outcomes,
    road_us,
    send,
    tally,
    words,
)
from meshpacs_sim.strategies.parameters import Parameters, Share
from meshpacs_sim.strategies.search import Bools, Int32s, Int64s, Outcomes, Scene, Searches, Upkeep
from meshpacs_sim.strategies.sizes import ENTRY_BYTES, ENVELOPE_BYTES

_SUPER, _LINK, _CACHE = words("super/node"), words("super/link"), words("super/cache")
_32 = np.uint64(32)
NOBODY = -1


@dataclass(frozen=True)
class SuperNodes(Parameters):
    """A share of the nodes keeps the index for the others, and floods among itself (FastTrack:
    Liang, Kumar and Ross 2006; Gnutella2).
    """

    share: Annotated[float, Meta(gt=0, le=1)] = 0.02
    """Of the nodes, how many are super. A guess; Kazaa had about one in 100 to 150."""
    caches: Annotated[int, Meta(ge=1, le=64)] = 2
    """Super-nodes that a leaf tells what it holds. A guess."""
    links: Annotated[int, Meta(ge=1, le=1_000)] = 8
    """Other super-nodes that each of them links to by itself; twice as many links on average."""
    ttl: Annotated[int, Meta(ge=0, le=1_000)] = 2
    """Hops that a question goes among super-nodes."""
    repaired: bool = True
    """Whether super-nodes that are down have been replaced, and their leaves gone to others."""
    stale: Share = 0.0
    """Of the copies of leaves that are down, the share that super-nodes still name."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "super_nodes"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search goes to a super-node, and from there to those around it."""
        view = ground(scene, searches)
        told = tally(view)
        caches, links = self.laid_out(scene)
        entries = _entries(caches[view.origins], view.up)
        hubs = view._replace(starts=links.starts, ends=links.ends, origins=entries)
        floods = Floods(hubs, told, promise=True, acknowledged=False, answers=SILENCE)
        asked = np.full((len(view.up), 2), -1, np.int64)
        for search in np.flatnonzero(entries != NOBODY).tolist():
            begun, entry = floods.clock, int(entries[search])
            count = floods.flood(search, self.ttl, begun)
            _answers(
                view, told, search, entry, caches, chance(self.stale),
                floods.waves, count, begun, asked,
            )  # fmt: skip
        return outcomes(told)

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:
        """Who joins tells its caches all; with a super-node that leaves, its leaves tell another.

        A node that leaves is super with the chance of `share`, and then has as many leaves as make
        `caches` for each node that leaves, on average.
        """
        told = (joins + leaves + changes) * self.caches
        each = len(scene.copies.holders) // scene.overlay.size
        entries = ((joins + leaves) * each + changes) * self.caches
        caches, _ = self.laid_out(scene)
        copies = scene.copies
        owners = np.repeat(np.arange(copies.contents), copies.counts).astype(np.int64)
        kept = (owners[:, None] * scene.overlay.size + caches[copies.holders])[
            caches[copies.holders] != NOBODY
        ]
        held = owners * scene.overlay.size + copies.holders
        knowing = np.setdiff1d(kept, held)
        could_tell = len(knowing) / max(1, copies.contents)
        return Upkeep(told, told * ENVELOPE_BYTES + entries * ENTRY_BYTES, could_tell)

    def laid_out(self, scene: Scene) -> tuple[Int32s, Csr]:
        """Shape (n, caches): to whom each node tells what it holds; and super-nodes' own links.

        A super-node's only cache is itself; a place that nobody fills is -1.
        """
        seed, nodes = np.uint64(scene.seed % (1 << 64)), scene.overlay.size
        members = np.flatnonzero(scene.up) if self.repaired else np.arange(nodes)
        count = min(len(members), max(1, round(self.share * nodes)))
        order = np.argsort(drawn(seed, nodes, _SUPER)[members], kind="stable")
        supers = np.sort(members[order[:count]]).astype(np.int32)
        caches = np.full((nodes, self.caches), NOBODY, np.int32)
        one, other = _drawn_links(seed, supers, self.links, caches)
        return caches, from_edges("super-nodes", nodes, one, other)


def _entries(caches: Int32s, up: Bools) -> Int32s:
    """To each of these lists of caches the first that is up; -1 where none is."""
    good = (caches != NOBODY) & up[caches]
    first = np.argmax(good, axis=1)
    return np.where(good.any(axis=1), caches[np.arange(len(caches)), first], np.int32(NOBODY))


@compiled
def _drawn_links(
    seed: np.uint64, supers: Int32s, links: Word, caches: Int32s
) -> tuple[Int32s, Int32s]:
    """Fill `caches`; returns the two ends of super-nodes' links."""
    count = len(supers)
    wanted = min(links, count - 1)
    one = np.empty(count * wanted, np.int32)
    other = np.empty(count * wanted, np.int32)
    chosen = np.empty(max(wanted, min(caches.shape[1], count)), np.int32)
    for node in range(len(caches)):
        _choose(seed, node, _CACHE, supers, np.int64(NOBODY), min(caches.shape[1], count), chosen)
        for each in range(min(caches.shape[1], count)):
            caches[node, each] = chosen[each]
    for at in range(count):
        for each in range(caches.shape[1]):
            caches[supers[at], each] = NOBODY if each else supers[at]
        _choose(seed, np.int64(supers[at]), _LINK, supers, np.int64(supers[at]), wanted, chosen)
        for each in range(wanted):
            one[at * wanted + each], other[at * wanted + each] = supers[at], chosen[each]
    return one, other


@compiled
def _choose(
    seed: np.uint64,
    node: Word,
    purpose: np.uint64,
    among: Int32s,
    but: Word,
    count: Word,
    chosen: Int32s,
) -> None:
    """Draw so many different ones."""
    have, turn = np.int64(0), np.uint64(0)
    while have < count:
        pick = among[below(draw(seed, np.uint64(node), purpose, turn), len(among))]
        turn += np.uint64(1)
        if pick == but:
            continue
        for each in range(have):
            if chosen[each] == pick:
                break
        else:
            chosen[have] = pick
            have += 1


@compiled
def _answers(
    view: Ground,
    told: Tally,
    search: Word,
    entry: Word,
    caches: Int32s,
    stale: np.uint64,
    waves: Int64s,
    count: Word,
    begun: Word,
    asked: Int64s,
) -> None:
    """Let every super-node that was asked name the holders that it knows of."""
    origin = np.int64(view.origins[search])
    way: Word = np.int64(0)
    if entry != origin:
        send(told.kinds, told.load, search, ASK, entry)
        way = road_us(view.roads, view.numbers[search], origin, entry) + road_us(
            view.roads, view.numbers[search], entry, origin
        )
    reached = 0
    for wave in range(count):
        if wave == 0 or waves[wave, NEW]:
            asked[waves[wave, NODE], 0], asked[waves[wave, NODE], 1] = search, wave
            reached += waves[wave, NODE] != origin
    told.reached[search] = reached
    told.duplicates[search] = told.kinds[search, ASK] - reached
    names = _named(view, told, search, caches, asked, waves, count, begun, way, stale)
    # What comes to a leaf's super-node goes on to the leaf; it is also told that nothing did.
    nothing = told.found[search] == 0
    for wave in range(count):
        if names[wave] or (wave == 0 and nothing):
            bring_back(told, search, waves, wave, naming(names[wave]))
            if entry != origin:
                send(told.kinds, told.load, search, naming(names[wave]), origin)


@compiled
def _named(
    view: Ground,
    told: Tally,
    search: Word,
    caches: Int32s,
    asked: Int64s,
    waves: Int64s,
    count: Word,
    begun: Word,
    way_us: Word,
    stale: np.uint64,
) -> Int64s:
    """How many holders each wave's super-node names; the asker learns of each when it is first."""
    origin, content = np.int64(view.origins[search]), np.int64(view.contents[search])
    names = np.zeros(count, np.int64)
    for at in range(view.copy_starts[content], view.copy_starts[content + 1]):
        holder = np.int64(view.holders[at])
        if holder == origin or not listed(view, holder, content, stale):
            continue
        best_us = best_hops = np.int64(-1)
        for cache in caches[holder]:
            if cache == NOBODY or asked[cache, 0] != search:
                continue
            wave = asked[cache, 1]
            names[wave] += 1
            when = waves[wave, OPENED] - begun + waves[wave, BACK] + way_us
            hops = waves[wave, DEPTH] + (way_us > 0)
            if best_us < 0 or when < best_us or (when == best_us and hops < best_hops):
                best_us, best_hops = when, hops
        if best_us >= 0:
            learn(view, told, search, holder, best_hops, best_us)
    return names
