"""A timing wheel: what is due, in order of time, at a constant cost for each event.

After Varghese and Lauck (SOSP 1987), with slots of up to a millisecond that are put in order when
their time comes. That works because latencies are bounded on both sides: nothing is due more than
a turn ahead, and nothing that comes in while a slot is dealt with belongs into that slot. Events
of one slot lie together in chunks, so that memory is read and written in rows; a list with one
node for each event costs a cache miss each.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word

Int64s = npt.NDArray[np.int64]

CHUNK = 64
"""Events in a chunk: 1 KiB. A guess."""

WIDEST = 10
"""A slot is at most 2 ** this microseconds long, so that its moments can be counted quickly."""

RUN = 16
"""So many events are put in order by insertion, more by merging. The usual guess."""

KEY, DATA = 0, 1
"""An event's columns: what orders events of one moment; and a number of the caller's, shifted by
`WIDEST`, over the microseconds from the beginning of the slot."""

_NONE = -1
_FREE, _SPARE, _WAITING = 0, 1, 2
_HEAD, _TAIL, _FILL = 0, 1, 2
_MOMENT = (1 << WIDEST) - 1


class Wheel(NamedTuple):
    """Events in chunks, chunks in slots."""

    shift: int
    """A slot is 2 ** shift microseconds long."""
    events: Int64s
    """Shape (chunks * CHUNK, 2)."""
    nexts: Int64s
    """Shape (chunks,): the chunk after each, of the same slot or free."""
    slots: Int64s
    """Shape (a power of two, 3): of each its first chunk, its last, and the events in that."""
    stock: Int64s
    """The first free chunk, how many are free, and how many events wait."""


@compiled
def wheel(shortest_us: int, longest_us: int) -> Wheel:
    """An empty wheel, for events that are due after no less and no more than these times."""
    shift = 0
    while shift < WIDEST and (2 << shift) <= shortest_us:
        shift += 1
    count = 2
    while count < (longest_us >> shift) + 2:
        count *= 2
    slots = np.full((count, 3), _NONE)
    none = np.empty(0, np.int64)
    return Wheel(shift, np.empty((0, 2), np.int64), none, slots, np.array([_NONE, 0, 0]))


@compiled
def roomy(full: Wheel, events: int) -> Wheel:
    """The same wheel with room for so many events more; larger by half at least if it grows."""
    if full.stock[_SPARE] >= events:
        return full
    old = len(full.nexts)
    new = old + max(old // 2, events, 64)
    table, nexts = np.empty((new * CHUNK, 2), np.int64), np.arange(1, new + 1)
    for at in range(old * CHUNK):
        table[at, KEY], table[at, DATA] = full.events[at, KEY], full.events[at, DATA]
    for chunk in range(old):
        nexts[chunk] = full.nexts[chunk]
    nexts[new - 1] = full.stock[_FREE]
    full.stock[_FREE] = old
    full.stock[_SPARE] += new - old
    return Wheel(full.shift, table, nexts, full.slots, full.stock)


@compiled
def put(into: Wheel, whens_us: Int64s, keys: Int64s, count: int, number: Word) -> None:
    """Add the first `count` of these events, all with one number; there must be room."""
    slots, nexts, stock, events = into.slots, into.nexts, into.stock, into.events
    within = (1 << into.shift) - 1
    for each in range(count):
        slot = (whens_us[each] >> into.shift) & (len(slots) - 1)
        chunk, fill = slots[slot, _TAIL], slots[slot, _FILL]
        if chunk == _NONE or fill == CHUNK:
            fresh = stock[_FREE]
            stock[_FREE] = nexts[fresh]
            stock[_SPARE] -= 1
            nexts[fresh] = _NONE
            if chunk == _NONE:
                slots[slot, _HEAD] = fresh
            else:
                nexts[chunk] = fresh
            slots[slot, _TAIL] = chunk = fresh
            fill = 0
        slots[slot, _FILL] = fill + 1
        at = chunk * CHUNK + fill
        events[at, KEY] = keys[each]
        events[at, DATA] = (number << WIDEST) + (whens_us[each] & within)
    stock[_WAITING] += count


@compiled
def moment_of(data: Word) -> Word:
    """Microseconds from the beginning of the slot that an event was taken from."""
    return data & _MOMENT


@compiled
def number_of(data: Word) -> Word:
    """The number that the event was put in with."""
    return data >> WIDEST


@compiled
def waiting(on: Wheel) -> bool:
    """Whether there are events in it."""
    return bool(on.stock[_WAITING] > 0)


@compiled
def take(out_of: Wheel, turn: Word) -> Int64s:
    """Take out the slot that begins at turn << shift; by moment, then key, then as put in."""
    slots, nexts, stock, events = out_of.slots, out_of.nexts, out_of.stock, out_of.events
    slot = turn & (len(slots) - 1)
    begins = _count(out_of, slot)
    taken = np.empty((begins[-1], 2), np.int64)
    chunk = slots[slot, _HEAD]
    while chunk != _NONE:
        after = nexts[chunk]
        first = chunk * CHUNK
        for at in range(first, first + (slots[slot, _FILL] if after == _NONE else CHUNK)):
            moment = events[at, DATA] & _MOMENT
            to = begins[moment]
            taken[to, KEY], taken[to, DATA] = events[at, KEY], events[at, DATA]
            begins[moment] = to + 1
        nexts[chunk] = stock[_FREE]
        stock[_FREE] = chunk
        stock[_SPARE] += 1
        chunk = after
    slots[slot, _HEAD] = slots[slot, _TAIL] = _NONE
    stock[_WAITING] -= len(taken)
    first = 0
    for last in begins[:-1]:
        if last - first > 1:
            _sort(taken, first, last)
        first = last
    return taken


@compiled
def _count(on: Wheel, slot: Word) -> Int64s:
    """Where the events of each moment of a slot begin, and last how many there are."""
    begins = np.zeros((1 << on.shift) + 1, np.int64)
    slots, nexts, events = on.slots, on.nexts, on.events
    chunk = slots[slot, _HEAD]
    while chunk != _NONE:
        after = nexts[chunk]
        first = chunk * CHUNK
        for at in range(first, first + (slots[slot, _FILL] if after == _NONE else CHUNK)):
            begins[(events[at, DATA] & _MOMENT) + 1] += 1
        chunk = after
    for moment in range(1, len(begins)):
        begins[moment] += begins[moment - 1]
    return begins


@compiled
def _sort(events: Int64s, begin: int, end: int) -> None:
    """Put the events of one moment in the order of their keys; equal keys stay as they are."""
    for first in range(begin, end, RUN):
        for at in range(first + 1, min(first + RUN, end)):
            key, datum = events[at, KEY], events[at, DATA]
            to = at
            while to > first and events[to - 1, KEY] > key:
                events[to, KEY], events[to, DATA] = events[to - 1, KEY], events[to - 1, DATA]
                to -= 1
            events[to, KEY], events[to, DATA] = key, datum
    width = RUN
    while width < end - begin:
        spare = events[begin:end].copy()
        size = len(spare)
        for first in range(0, size, 2 * width):
            half, last = min(first + width, size), min(first + 2 * width, size)
            left, right = first, half
            for to in range(first, last):
                if left < half and (right == last or spare[left, KEY] <= spare[right, KEY]):
                    source, left = left, left + 1
                else:
                    source, right = right, right + 1
                events[begin + to, KEY] = spare[source, KEY]
                events[begin + to, DATA] = spare[source, DATA]
        width *= 2
