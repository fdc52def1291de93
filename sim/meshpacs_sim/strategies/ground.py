"""What compiled loops see of a scene, and where they write what came of each search."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meshpacs.engine.draws import word
from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, draw
from meshpacs_sim.kernel.latencies import latency_us
from meshpacs_sim.strategies.search import (
    Bools,
    Int32s,
    Int64s,
    Outcomes,
    Scene,
    Searches,
)
from meshpacs_sim.strategies.sizes import PART_NAMES, SIZES, Kind

ASK, GOT, CLOSED, PART = int(Kind.ASK), int(Kind.GOT), int(Kind.CLOSED), int(Kind.PART)
CHECK, NOTICE = int(Kind.CHECK), int(Kind.NOTICE)
"""`Kind` as plain numbers, which is what compiled code knows."""

_STALE = np.uint64(word(b"index/stale"))
_NAMES = np.array(PART_NAMES, np.int64)


Uint64s = npt.NDArray[np.uint64]

ALWAYS = np.uint64((1 << 64) - 1)


class Lengths(NamedTuple):
    """How long roads are, and the seed that they are drawn from."""

    seed: np.uint64
    low_us: np.uint64
    high_us: np.uint64
    jitter_us: np.uint64


class Ground(NamedTuple):
    """A scene and its searches, as arrays and numbers."""

    seed: np.uint64
    starts: Int64s
    ends: Int32s
    up: Bools
    copy_starts: Int64s
    holders: Int32s
    roads: Lengths
    origins: Int32s
    contents: Int32s
    numbers: Int64s


class Tally(NamedTuple):
    """What has come of the searches so far; see `Outcomes`."""

    found: Int32s
    alive: Int32s
    kinds: Int64s
    duplicates: Int64s
    hops: Int32s
    latency_us: Int64s
    reached: Int32s
    load: Int64s


def ground(scene: Scene, searches: Searches) -> Ground:
    """What compiled loops see.

    Raises:
        ValueError: somebody asks who is down, or for a content that is not there.
    """
    origins, contents = searches.origins, searches.contents
    if len(origins) != len(contents):
        raise ValueError(f"{len(origins)} nodes ask for {len(contents)} contents")
    if len(origins) and not (origins.min() >= 0 and origins.max() < scene.overlay.size):
        raise ValueError(f"an asker is none of the {scene.overlay.size} nodes")
    if len(contents) and not (contents.min() >= 0 and contents.max() < scene.copies.contents):
        raise ValueError(f"a content is none of the {scene.copies.contents} contents")
    if not scene.up[origins].all():
        raise ValueError(f"node {origins[~scene.up[origins]][0]} is down and asks nobody")
    seed = np.uint64(scene.seed % (1 << 64))
    numbers = (scene.roads.low_us, scene.roads.high_us, scene.roads.jitter_us)
    return Ground(
        seed,
        scene.overlay.starts,
        scene.overlay.ends,
        scene.up,
        scene.copies.starts,
        scene.copies.holders,
        Lengths(seed, *(np.uint64(number) for number in numbers)),
        origins,
        contents,
        np.arange(len(origins)) if searches.numbers is None else searches.numbers,
    )


def tally(view: Ground) -> Tally:
    """Nothing has been found and nothing sent."""
    searches, nodes = len(view.origins), len(view.up)
    return Tally(
        np.zeros(searches, np.int32),
        np.zeros(searches, np.int32),
        np.zeros((searches, len(SIZES)), np.int64),
        np.zeros(searches, np.int64),
        np.full(searches, -1, np.int32),
        np.full(searches, -1, np.int64),
        np.zeros(searches, np.int32),
        np.zeros(nodes, np.int64),
    )


def outcomes(told: Tally) -> Outcomes:
    """The same as everybody else reads it."""
    return Outcomes(
        discovered=told.found > 0,
        retrievable=told.alive > 0,
        copies_found=told.found,
        kinds=told.kinds,
        duplicates=told.duplicates,
        hops=told.hops,
        latency_us=told.latency_us,
        reached=told.reached,
        load=told.load,
    )


def words(name: str) -> np.uint64:
    """A purpose of draws, as compiled code takes it."""
    return np.uint64(word(name.encode()))


def chance(share: float) -> np.uint64:
    """A probability, as `happens` takes it."""
    return np.uint64(min(int(share * 2.0**64), int(ALWAYS)))


@compiled
def happens(bits: np.uint64, share: np.uint64) -> bool | np.bool_:
    """Whether chance will have it so; with `chance(0.0)` never, with `chance(1.0)` always."""
    return share == ALWAYS or bits < share


@compiled
def drawn(seed: np.uint64, count: Word, purpose: np.uint64) -> Uint64s:
    """One draw for each of so many."""
    bits = np.empty(count, np.uint64)
    for each in range(count):
        bits[each] = draw(seed, np.uint64(each), purpose, np.uint64(0))
    return bits


@compiled
def listed(view: Ground, holder: Word, content: Word, stale: np.uint64) -> bool | np.bool_:
    """Whether an index that has heard of this copy still names it.

    What is told of a holder that is down may have been taken out; with the same chance in every
    index, so that strategies differ by what they do.
    """
    if view.up[holder]:
        return True
    return happens(draw(view.seed, np.uint64(holder), _STALE, np.uint64(content)), stale)


@compiled
def road_us(roads: Lengths, turn: Word, src: Word, dst: Word) -> Word:
    """How long a message takes one way, in the world's latencies.

    A search begins at the place of a direction's table of jitters that its number tells, and goes
    on by one with each hop.
    """
    return latency_us(roads.seed, src, dst, turn, roads.low_us, roads.high_us, roads.jitter_us)


@compiled
def first_from(values: Int32s | Uint64s, first: Word, last: Word, value: Word) -> Word:
    """Among rising values the first place, from `first` on, of one that is not less; or `last`."""
    while first < last:
        middle = (first + last) >> 1
        if values[middle] < value:
            first = middle + 1
        else:
            last = middle
    return first


@compiled
def mark_holders(view: Ground, content: Word, marks: Int32s, mark: Word) -> None:
    """Write `mark` at every holder of a content, up or not."""
    for at in range(view.copy_starts[content], view.copy_starts[content + 1]):
        marks[view.holders[at]] = mark


@compiled
def learn(view: Ground, told: Tally, search: Word, holder: Word, hops: Word, when_us: Word) -> None:
    """The asker has learnt of one more holder; of several at one moment the nearest comes first."""
    told.found[search] += 1
    if view.up[holder]:
        told.alive[search] += 1
    best = told.latency_us[search]
    if best < 0 or when_us < best or (when_us == best and hops < told.hops[search]):
        told.latency_us[search] = when_us
        told.hops[search] = hops


@compiled
def send(kinds: Int64s, load: Int64s, search: Word, kind: Word, receiver: Word) -> None:
    """One message; the first two are a tally's."""
    kinds[search, kind] += 1
    load[receiver] += 1


@compiled
def naming(names: Word) -> int:
    """The kind of an answer that names so many nodes."""
    for size in range(len(_NAMES) - 1):
        if names <= _NAMES[size]:
            return PART + size
    return PART + len(_NAMES) - 1
