"""What can happen next, in the world's order: time, receiver, sender, sequence, kind.

PROTOCOL 6.1. The five lie in two words, so that two comparisons order any two events.
"""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.words import (
    EVENT_ACT,
    EVENT_DST,
    EVENT_HINT,
    EVENT_NEXT,
    EVENT_QUERY,
    EVENT_SRC,
    EVENTS_LEFT,
    FREE_EVENT,
    HEAP,
    HOST,
    HOST_SEQUENCE,
    HOSTS,
    LYING,
    SCRIPTS,
)

SCENARIO = -1
"""Receiver and sender of the scenario's acts."""

PLACES = 12
"""Bits of a host's number; 4,095 are enough for a world of engines."""


@apart
def push(m: Memory, when: int, dst: int, src: int, sequence: int, event: int) -> None:
    """Put an event on the heap."""
    early = (((when << PLACES) + dst + 1) << PLACES) + src + 1
    late = (sequence << 4) + m[event + EVENT_ACT]
    m[event + EVENT_DST], m[event + EVENT_SRC] = dst, src
    at = m[LYING]
    m[LYING] = at + 1
    heap = m[HEAP]
    while at > 0:
        above = heap + 3 * ((at - 1) >> 1)
        if m[above] < early or (m[above] == early and m[above + 1] < late):
            break
        _place(m, heap + 3 * at, m[above], m[above + 1], m[above + 2])
        at = (at - 1) >> 1
    _place(m, heap + 3 * at, early, late, event)


@apart
def _place(m: Memory, at: int, early: int, late: int, event: int) -> None:
    m[at], m[at + 1], m[at + 2] = early, late, event


@apart
def next_at(m: Memory) -> int:
    """When the next event is due; the heap is not empty."""
    return m[m[HEAP]] >> (2 * PLACES)


@apart
def pop(m: Memory) -> int:
    """Take out the next event."""
    heap = m[HEAP]
    event = m[heap + 2]
    count = m[LYING] - 1
    m[LYING] = count
    last = heap + 3 * count
    early, late = m[last], m[last + 1]
    at = 0
    while 2 * at + 1 < count:
        down = 2 * at + 1
        one, other = heap + 3 * down, heap + 3 * down + 3
        if down + 1 < count and (
            m[other] < m[one] or (m[other] == m[one] and m[other + 1] < m[one + 1])
        ):
            down, one = down + 1, other
        if early < m[one] or (early == m[one] and late < m[one + 1]):
            break
        _place(m, heap + 3 * at, m[one], m[one + 1], m[one + 2])
        at = down
    _place(m, heap + 3 * at, early, late, m[last + 2])
    return event


@apart
def new_event(m: Memory, act: int) -> int:
    """An event that is not on the heap yet; all its numbers are 0."""
    number = m[FREE_EVENT]
    m[FREE_EVENT] = m[number + EVENT_NEXT]
    m[EVENTS_LEFT] -= 1
    for word in range(number, number + EVENT_HINT):
        m[word] = 0
    m[number + EVENT_ACT] = act
    return number


@apart
def release(m: Memory, number: int) -> None:
    """An event has happened, or never will."""
    m[number + EVENT_NEXT] = m[FREE_EVENT]
    m[FREE_EVENT] = number
    m[EVENTS_LEFT] += 1


@apart
def push_own(m: Memory, host: int, when: int, event: int, about: int) -> None:
    """One of a host's own events."""
    here = HOSTS + host * HOST
    m[here + HOST_SEQUENCE] += 1
    push(m, when, host, about, m[here + HOST_SEQUENCE], event)


@apart
def push_scenario(m: Memory, when: int, act: int, what: int) -> None:
    """Let the scenario do something at a moment to come; `what` is a plan or a host."""
    event = new_event(m, act)
    m[event + EVENT_QUERY] = what
    m[SCRIPTS] += 1
    push(m, when, SCENARIO, SCENARIO, m[SCRIPTS], event)
