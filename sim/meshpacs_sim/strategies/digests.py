"""Neighbours' digests: everybody knows what everybody within r hops holds, as a Bloom filter.

Lists of neighbours' contents were proposed for Gnutella as *one-hop replication* (Lv, Ratnasamy,
Shenker, IPTPS 2002; "Gia", Chawathe et al., SIGCOMM 2003); Bloom filters (Bloom 1970) of who is
several hops away by Rhea and Kubiatowicz (INFOCOM 2002). A question goes to everybody within `ttl`
hops, as the protocol's ball does. Who is asked answers for itself, and names those within `radius`
hops whose digests say that they hold the content; the asker then asks these directly, because a
digest can be wrong in two ways: it says yes where it should not, at a stated rate, and its owner
may be down.

A copy counts as discovered when it is named, before its holder has confirmed it. Left out: digests
that are late. They come by links of which both ends are up; that of a node that has gone is kept
or not according to `stale`.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, draw
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
    CLOSED,
    PART,
    Ground,
    Tally,
    chance,
    first_from,
    ground,
    happens,
    learn,
    listed,
    naming,
    outcomes,
    send,
    tally,
    words,
)
from meshpacs_sim.strategies.nearby import HOPS, PLACE, around, blank
from meshpacs_sim.strategies.parameters import Parameters, Share
from meshpacs_sim.strategies.search import Bools, Int32s, Int64s, Outcomes, Scene, Searches, Upkeep
from meshpacs_sim.strategies.sizes import ENVELOPE_BYTES, MEMBERSHIP_BYTES

KEY_BYTES = 32
"""One content in an exact digest, or in the news of a change: a SHA-256."""

_LIES = words("digests/false positive")


@dataclass(frozen=True)
class Digests(Parameters):
    """Everybody knows digests of what those within `radius` hops hold, and names them to whoever
    asks within `ttl` hops (Bloom filters: Rhea and Kubiatowicz 2002; one hop: Gia, 2003).
    """

    radius: Annotated[int, Meta(ge=0, le=4)] = 1
    """Hops that a digest goes; 0: everybody answers for itself alone."""
    ttl: Annotated[int, Meta(ge=0, le=16)] = 1
    """Hops that a question goes; 0: the asker looks into the digests that it has."""
    false_positives: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    """The chance that a digest says yes to what its owner does not hold; 0: exact digests."""
    stale: Share = 1.0
    """Of the copies of nodes that are down, the share whose digests are still kept."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "digests"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search floods a ball, then asks whoever was named in it."""
        view = ground(scene, searches)
        told = tally(view)
        lies, stale = chance(self.false_positives), chance(self.stale)
        floods = Floods(view, told, promise=True, acknowledged=False, answers=SILENCE)
        seen, found = blank(len(view.up))
        asked = np.full((len(view.up), 2), -1, np.int64)
        wrong = np.empty(len(view.up), np.int64)
        for search in range(len(view.origins)):
            begun = floods.clock
            count = floods.flood(search, self.ttl, begun)
            _answers(
                view, told, search, self.radius, lies, stale,
                floods.waves, count, begun, seen, found, asked, wrong,
            )  # fmt: skip
        return outcomes(told)

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:
        """News go to all within `radius` hops, once to each; who joins is told all their digests.

        That a node has gone tells itself at one hop, as its link goes; further on it is told.
        """
        overlay, copies = scene.overlay, scene.copies
        pairs, knowers = _reach(
            overlay.starts, overlay.ends, scene.up, copies.starts, copies.holders, self.radius
        )
        alive = max(1, int(np.count_nonzero(scene.up)))
        news, given = changes * pairs // alive, 2 * joins * pairs // alive
        gone = leaves * pairs // alive if self.radius > 1 else 0
        sent_bytes = (
            news * (ENVELOPE_BYTES + KEY_BYTES)
            + given * (ENVELOPE_BYTES + self.digest_bytes(len(copies.holders) // overlay.size))
            + gone * MEMBERSHIP_BYTES
        )
        return Upkeep(news + given + gone, sent_bytes, knowers / max(1, copies.contents))

    def digest_bytes(self, entries: int) -> int:
        """A digest of so many contents: a Bloom filter of n ln(1/p) / (ln 2)^2 bits."""
        if not self.false_positives:
            return entries * KEY_BYTES
        # Decimal's logarithms are rounded correctly, so they are the same on every machine.
        bits = -entries * Decimal(self.false_positives).ln() / Decimal(2).ln() ** 2
        return int((bits / 8).to_integral_value(ROUND_CEILING))


@compiled
def _answers(
    view: Ground,
    told: Tally,
    search: Word,
    radius: Word,
    lies: np.uint64,
    stale: np.uint64,
    waves: Int64s,
    count: Word,
    begun: Word,
    seen: Int64s,
    found: Int64s,
    asked: Int64s,
    wrong: Int64s,
) -> None:
    """Let everybody who was asked name whom its digests name, and the asker ask these."""
    origin, content = np.int64(view.origins[search]), np.int64(view.contents[search])
    centres = np.int64(0)
    for wave in range(count):
        if wave == 0 or waves[wave, NEW]:
            node = waves[wave, NODE]
            asked[node, 0], asked[node, 1] = search, wave
            found[centres, PLACE] = node
            centres += 1
    first, last = view.copy_starts[content], view.copy_starts[content + 1]
    mistaken = 0
    if lies:
        heard_of = around(view.starts, view.ends, view.up, centres, radius, seen, found)
        for each in range(heard_of):
            node = found[each, PLACE]
            bits = draw(view.seed, np.uint64(node), _LIES, np.uint64(content))
            at = first_from(view.holders, first, last, np.int32(node))
            holds = at < last and view.holders[at] == node
            if happens(bits, lies) and not holds:
                wrong[mistaken] = node
                mistaken += 1
    names = np.zeros(count, np.int64)
    for each in range(last - first + mistaken):
        holds = each < last - first
        node = np.int64(view.holders[first + each]) if holds else wrong[each - last + first]
        if node != origin and listed(view, node, content, stale):
            found[0, PLACE] = node
            heard_of = around(view.starts, view.ends, view.up, np.int64(1), radius, seen, found)
            _claim(view, told, search, node, holds, begun, asked, waves, names, found[:heard_of])
    for wave in range(1, count):
        if names[wave]:
            bring_back(told, search, waves, wave, naming(names[wave]))


@compiled
def _claim(
    view: Ground,
    told: Tally,
    search: Word,
    node: Word,
    holds: bool,
    begun: Word,
    asked: Int64s,
    waves: Int64s,
    names: Int64s,
    near: Int64s,
) -> None:
    """A node's digest says yes: all near it who were asked name the node to the asker."""
    best_us = best_hops = np.int64(-1)
    for each in range(len(near)):
        place = near[each, PLACE]
        if asked[place, 0] != search or not view.up[place] or (place == node and not holds):
            continue
        wave = asked[place, 1]
        names[wave] += 1
        when = waves[wave, OPENED] - begun + waves[wave, BACK]
        hops = waves[wave, DEPTH] + near[each, HOPS]
        if best_us < 0 or when < best_us or (when == best_us and hops < best_hops):
            best_us, best_hops = when, hops
    if best_us < 0:
        return
    if holds:
        learn(view, told, search, node, best_hops, best_us)
    if asked[node, 0] == search:
        if holds:
            return
        told.duplicates[search] += 1
    told.kinds[search, ASK] += 1
    if view.up[node]:
        told.load[node] += 1
        told.reached[search] += asked[node, 0] != search
        send(told.kinds, told.load, search, PART if holds else CLOSED, view.origins[search])


@compiled
def _reach(
    starts: Int64s,
    ends: Int32s,
    up: Bools,
    copy_starts: Int64s,
    holders: Int32s,
    radius: Word,
) -> tuple[Word, Word]:
    """How many know whose digests, over all that are up; and who holds what, over all contents."""
    seen, found = blank(len(up))
    pairs = knowers = np.int64(0)
    for node in range(len(up)):
        if up[node]:
            found[0, PLACE] = node
            for each in range(around(starts, ends, up, np.int64(1), radius, seen, found)):
                pairs += each > 0 and up[found[each, PLACE]]
    for content in range(len(copy_starts) - 1):
        centres = np.int64(0)
        for at in range(copy_starts[content], copy_starts[content + 1]):
            found[centres, PLACE] = holders[at]
            centres += 1
        for each in range(around(starts, ends, up, centres, radius, seen, found)):
            knowers += each >= centres and up[found[each, PLACE]]
    return pairs, knowers
