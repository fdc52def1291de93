"""A broadcast tree in the overlay: Plumtree (Leitao, Pereira, Rodrigues, SRDS 2007).

Every question goes along the links of one tree, *eagerly*, and so reaches everybody once; along all
other links goes only a notice that it exists. A node that has heard of a question and does not get
it within `graft_us` asks who told it (GRAFT), and so mends the tree for itself; a copy that comes
twice is answered by PRUNE. Holders answer along the way that the question came.

The tree is the one that a first flood leaves behind: to everybody the link by which the first copy
came. Unless it is `repaired`, it was grown while everybody was up, and each search finds it as the
outages have left it. Left out: how Plumtree shortens its tree over time, and that a GRAFT which is
not answered goes to a second neighbour. A node of the asker's own piece of the tree waits for the
question however long it takes.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, below, draw
from meshpacs_sim.strategies.flooding import FAR, NODE, PARENT, SILENCE, Floods
from meshpacs_sim.strategies.ground import (
    ASK,
    NOTICE,
    PART,
    Ground,
    Tally,
    ground,
    learn,
    mark_holders,
    outcomes,
    road_us,
    send,
    tally,
    words,
)
from meshpacs_sim.strategies.heap import AT, DST, SRC, pop, push
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.search import (
    Bools,
    Int32s,
    Int64s,
    Outcomes,
    Scene,
    Searches,
    Upkeep,
)
from meshpacs_sim.strategies.sizes import SIZES

_ROOT = words("tree/root")
NOBODY = -1

# What happens, and the columns of a row after those that the heap orders by.
_ASKED, _NOTICED, _WAITED, _GRAFTED = range(4)
_WHAT, _HOPS, _COLUMNS = range(3, 6)

# Columns of a node: the last search that reached it, from whom, after how many hops, when, and how
# long an answer takes back; the last search whose notice it waits for.
_GOT, _FROM, _DEPTH, _WHEN, _BACK, _WAITS, _NODE_COLUMNS = range(7)


@dataclass(frozen=True)
class BroadcastTree(Parameters):
    """Questions go along one tree and reach everybody once; notices along all other links mend it
    (Plumtree, Leitao et al. 2007).
    """

    repaired: bool = True
    """Whether the tree has been mended since those who are down went; else each search does it."""
    graft_us: Annotated[int, Meta(ge=0, le=60_000_000)] = 1_000_000
    """How long a node that has heard of a question waits for it. A guess."""

    @property
    def name(self) -> str:
        """As scenarios call it."""
        return "broadcast_tree"

    def search(self, scene: Scene, searches: Searches) -> Outcomes:
        """Every search is a broadcast."""
        view = ground(scene, searches)
        told = tally(view)
        members = scene.up if self.repaired else np.ones_like(scene.up)
        if len(view.origins):
            _broadcasts(view, told, *_grown(view, members), self.graft_us)
        return outcomes(told)

    def upkeep(self, scene: Scene, joins: int, leaves: int, changes: int) -> Upkeep:  # noqa: ARG002
        """Who joins gets the first question by every link, and prunes all but one.

        Who leaves had two links of the tree on average, of n - 1 among n nodes, and so leaves one
        piece to be grafted; if the tree is not `repaired`, searches pay for that.
        """
        links = 2 * scene.overlay.edge_count // max(1, scene.overlay.size)
        notices = joins * max(0, links - 1) + (leaves if self.repaired else 0)
        return Upkeep(notices, notices * SIZES[NOTICE], 0.0)


def _grown(view: Ground, members: Bools) -> tuple[Int64s, Int64s]:
    """To each node the one that it got its first copy from; and which piece of what is up it is in.

    Pieces of the overlay that the root does not reach have roots of their own.
    """
    size = len(view.up)
    roots = np.zeros(1, np.int32)
    zeros = np.zeros(1, np.int64)
    grounds = view._replace(up=members, origins=roots, contents=roots.copy(), numbers=zeros)
    floods = Floods(grounds, tally(grounds), promise=False, acknowledged=False, answers=SILENCE)
    parents, pieces = np.full(size, NOBODY, np.int64), np.arange(size)
    alone = ~members | (np.diff(view.starts) == 0)
    first = int(below(draw(view.seed, np.uint64(0), _ROOT, np.uint64(0)), size))
    grown = alone.copy()
    for root in np.roll(np.arange(size), -first).tolist():
        if not grown[root]:
            roots[0] = root
            count = floods.flood(0, FAR, floods.clock)
            grown[floods.waves[:count, NODE]] = True
            _note(floods.waves[:count], view.up, parents, pieces)
    return parents, pieces


@compiled
def _note(waves: Int64s, up: Bools, parents: Int64s, pieces: Int64s) -> None:
    for wave in range(1, len(waves)):
        node, parent = waves[wave, NODE], waves[waves[wave, PARENT], NODE]
        parents[node] = parent
        if up[node] and up[parent]:
            pieces[node] = pieces[parent]


@compiled
def _broadcasts(view: Ground, told: Tally, parents: Int64s, pieces: Int64s, graft_us: Word) -> None:
    nodes = np.full((len(view.up), _NODE_COLUMNS), -1, np.int64)
    holds = np.full(len(view.up), -1, np.int32)
    reached = np.empty(len(view.up), np.int64)
    for search in range(len(view.origins)):
        mark_holders(view, view.contents[search], holds, search)
        count = _broadcast(view, told, search, parents, pieces, graft_us, nodes, reached)
        told.reached[search] = count - 1
        told.duplicates[search] = told.kinds[search, ASK] - (count - 1)
        for each in range(1, count):
            node = reached[each]
            if holds[node] == search:
                when = nodes[node, _WHEN] + nodes[node, _BACK]
                learn(view, told, search, node, nodes[node, _DEPTH], when)
                while nodes[node, _FROM] != NOBODY:
                    node = nodes[node, _FROM]
                    send(told.kinds, told.load, search, PART, node)


@compiled
def _broadcast(
    view: Ground,
    told: Tally,
    search: Word,
    parents: Int64s,
    pieces: Int64s,
    graft_us: Word,
    nodes: Int64s,
    reached: Int64s,
) -> Word:
    """One question to everybody; fills `reached`, and tells how many that are, the asker first."""
    origin = np.int64(view.origins[search])
    rows = np.empty((256, _COLUMNS), np.int64)
    heap = np.empty(256, np.int32)
    nodes[origin, _GOT], nodes[origin, _FROM], nodes[origin, _DEPTH] = search, NOBODY, 0
    nodes[origin, _WHEN], nodes[origin, _BACK] = 0, 0
    reached[0] = origin
    made: Word = np.int64(0)
    under_way: Word = np.int64(0)
    count = np.int64(1)
    now, node, hops = np.int64(0), origin, np.int64(0)
    fresh = True
    while True:
        # Room for a copy to every neighbour, or for the one thing that follows from anything else.
        free = view.starts[node + 1] - view.starts[node] + 1
        while made + free > len(rows):
            rows = np.concatenate((rows, np.empty_like(rows)))
            heap = np.concatenate((heap, np.empty_like(heap)))
        if fresh:
            under_way, made = _pass_on(
                view, told, search, parents, pieces, now, node, hops + 1, nodes, rows, heap,
                under_way, made,
            )  # fmt: skip
            fresh = False
        if not under_way:
            return count
        row = pop(heap, under_way, rows)
        under_way -= 1
        now, node, sender = rows[row, AT], rows[row, DST], rows[row, SRC]
        hops, what = rows[row, _HOPS], rows[row, _WHAT]
        got = nodes[node, _GOT] == search
        if what == _ASKED and not got:
            nodes[node, _GOT], nodes[node, _FROM], nodes[node, _DEPTH] = search, sender, hops
            nodes[node, _WHEN] = now
            back = road_us(view.roads, view.numbers[search] + hops, node, sender)
            nodes[node, _BACK] = nodes[sender, _BACK] + back
            reached[count] = node
            count += 1
            fresh = True
        elif what == _ASKED:
            send(told.kinds, told.load, search, NOTICE, sender)
        elif what == _GRAFTED or not (got or (what == _NOTICED and nodes[node, _WAITS] == search)):
            under_way, made = _follow(
                view, told, search, now, node, sender, what, graft_us, nodes, rows, heap,
                under_way, made,
            )  # fmt: skip


@compiled
def _pass_on(
    view: Ground,
    told: Tally,
    search: Word,
    parents: Int64s,
    pieces: Int64s,
    now: Word,
    node: Word,
    hops: Word,
    nodes: Int64s,
    rows: Int64s,
    heap: Int32s,
    under_way: Word,
    made: Word,
) -> tuple[Word, Word]:
    """The question goes on along the tree, and a notice along all other links."""
    piece = pieces[view.origins[search]]
    for slot in range(view.starts[node], view.starts[node + 1]):
        end = np.int64(view.ends[slot])
        if not view.up[end] or end == nodes[node, _FROM]:
            continue
        eager = parents[end] == node or parents[node] == end
        send(told.kinds, told.load, search, ASK if eager else NOTICE, end)
        if eager or pieces[end] != piece:
            rows[made, AT] = now + road_us(view.roads, view.numbers[search] + hops, node, end)
            rows[made, DST], rows[made, SRC], rows[made, _HOPS] = end, node, hops
            rows[made, _WHAT] = _ASKED if eager else _NOTICED
            push(heap, under_way, made, rows)
            made += 1
            under_way += 1
    return under_way, made


@compiled
def _follow(
    view: Ground,
    told: Tally,
    search: Word,
    now: Word,
    node: Word,
    sender: Word,
    what: Word,
    graft_us: Word,
    nodes: Int64s,
    rows: Int64s,
    heap: Int32s,
    under_way: Word,
    made: Word,
) -> tuple[Word, Word]:
    """What follows from a notice, from having waited, or from a graft: always one thing."""
    rows[made, _HOPS] = nodes[node, _DEPTH] + 1
    if what == _NOTICED:
        nodes[node, _WAITS] = search
        rows[made, AT], rows[made, DST], rows[made, SRC] = now + graft_us, node, sender
        rows[made, _WHAT] = _WAITED
    else:
        waited = what == _WAITED
        send(told.kinds, told.load, search, NOTICE if waited else ASK, sender)
        rows[made, AT] = now + road_us(view.roads, view.numbers[search], node, sender)
        rows[made, DST], rows[made, SRC] = sender, node
        rows[made, _WHAT] = _GRAFTED if waited else _ASKED
    push(heap, under_way, made, rows)
    return under_way + 1, made + 1
