"""When an engine wants to be woken, and what it does then."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin import answering, engine, flood, inquiry, peers
from meshpacs_sim.kernel.twin.acts import WAKE
from meshpacs_sim.kernel.twin.heap import new_event, push_own
from meshpacs_sim.kernel.twin.places import copy_at, query_at, recall_at
from meshpacs_sim.kernel.twin.words import (
    COPY_HELD_AT,
    COPY_HELD_ORDER,
    END,
    END_KEEP_AT,
    END_KEEP_ORDER,
    END_WATCH_AT,
    END_WATCH_ORDER,
    EVENT_ATTEMPT,
    HOST,
    HOST_ALARM,
    HOST_ENDS,
    HOST_ENDS_STOP,
    HOST_FIRST_WAVE,
    HOST_HELD,
    HOST_WAKE_AT,
    HOSTS,
    NOW,
    QUERIES,
    QUERY_END_AT,
    QUERY_OPEN,
    QUERY_ORIGIN,
    QUERY_RECALLS,
    QUERY_TURN_AT,
    RECALL_VISIT_AT,
    RECALL_VISIT_ORDER,
    WAVE_AFTER,
    WAVE_DEADLINE,
)


@apart
def _sooner(_: Memory, one: int, other: int) -> int:
    """The earlier of two times, of which -1 is none."""
    if one < 0 or (0 <= other < one):
        return other
    return one


@apart
def next_deadline(m: Memory, host: int) -> int:
    """When to wake; -1 for never."""
    here = HOSTS + host * HOST
    due = -1
    for end in range(m[here + HOST_ENDS], m[here + HOST_ENDS_STOP], END):
        due = _sooner(m, due, m[end + END_WATCH_AT])
        due = _sooner(m, due, m[end + END_KEEP_AT])
    wave = m[here + HOST_FIRST_WAVE]
    while wave >= 0:
        due = _sooner(m, due, m[wave + WAVE_DEADLINE])
        wave = m[wave + WAVE_AFTER]
    for query in range(m[QUERIES]):
        if m[here + HOST_HELD] > 0:
            due = _sooner(m, due, m[copy_at(m, host, query) + COPY_HELD_AT])
        ours = query_at(m, query)
        if m[ours + QUERY_OPEN] != 0 and m[ours + QUERY_ORIGIN] == host:
            due = _sooner(m, _sooner(m, due, m[ours + QUERY_TURN_AT]), m[ours + QUERY_END_AT])
            for at in range(m[ours + QUERY_RECALLS]):
                due = _sooner(m, due, m[recall_at(m, query, at) + RECALL_VISIT_AT])
    return due


@apart
def set_alarm(m: Memory, host: int) -> None:
    """Ask to be woken when the next thing is due."""
    here = HOSTS + host * HOST
    due = next_deadline(m, host)
    if due >= 0 and (m[here + HOST_WAKE_AT] < 0 or due < m[here + HOST_WAKE_AT]):
        m[here + HOST_WAKE_AT] = due
        m[here + HOST_ALARM] += 1
        event = new_event(m, WAKE)
        m[event + EVENT_ATTEMPT] = m[here + HOST_ALARM]
        push_own(m, host, max(due, m[NOW]), event, host)


@apart
def wake(m: Memory, host: int) -> None:
    """Do what is due."""
    here = HOSTS + host * HOST
    end = _due_end(m, host, True)
    while end >= 0:
        flood.watch(m, end)
        end = _due_end(m, host, True)
    end = _due_end(m, host, False)
    while end >= 0:
        if peers.keepalive(m, end):
            engine.hang_up(m, end)
            engine.lose(m, end)
        end = _due_end(m, host, False)
    query = _due_copy(m, host)
    while query >= 0:
        m[copy_at(m, host, query) + COPY_HELD_AT] = -1
        m[here + HOST_HELD] -= 1
        answering.expire(m, host, query)
        query = _due_copy(m, host)
    wave = _due_wave(m, host)
    while wave >= 0:
        flood.expire(m, wave)
        wave = _due_wave(m, host)
    asked = _due_visit(m, host)
    while asked >= 0:
        inquiry.overdue(m, asked)
        asked = _due_visit(m, host)
    engine.settle(m, host)
    query = _due_query(m, host, True)
    while query >= 0:
        m[query_at(m, query) + QUERY_TURN_AT] = -1
        inquiry.flooded(m, query, True)
        query = _due_query(m, host, True)
    query = _due_query(m, host, False)
    while query >= 0:
        inquiry.expire(m, query)
        query = _due_query(m, host, False)
    engine.settle(m, host)


@apart
def _due_end(m: Memory, host: int, watches: bool) -> int:
    """Take out the watch or the keepalive that is due first, of equals the one set first; or -1."""
    now, found, at, order = m[NOW], -1, 0, 0
    here = HOSTS + host * HOST
    for end in range(m[here + HOST_ENDS], m[here + HOST_ENDS_STOP], END):
        when = m[end + END_WATCH_AT] if watches else m[end + END_KEEP_AT]
        turn = m[end + END_WATCH_ORDER] if watches else m[end + END_KEEP_ORDER]
        if 0 <= when <= now and (found < 0 or when < at or (when == at and turn < order)):
            found, at, order = end, when, turn
    if found >= 0:
        if watches:
            m[found + END_WATCH_AT] = -1
        else:
            m[found + END_KEEP_AT] = -1
    return found


@apart
def _due_copy(m: Memory, host: int) -> int:
    """The query of which an answer is kept no longer; or -1."""
    now, found, at, order = m[NOW], -1, 0, 0
    if m[HOSTS + host * HOST + HOST_HELD] > 0:
        for query in range(m[QUERIES]):
            kept = copy_at(m, host, query)
            when, turn = m[kept + COPY_HELD_AT], m[kept + COPY_HELD_ORDER]
            if 0 <= when <= now and (found < 0 or when < at or (when == at and turn < order)):
                found, at, order = query, when, turn
    return found


@apart
def _due_wave(m: Memory, host: int) -> int:
    """The wave whose deadline has come; or -1. Waves lie in the order in which they opened."""
    now, found, at = m[NOW], -1, 0
    wave = m[HOSTS + host * HOST + HOST_FIRST_WAVE]
    while wave >= 0:
        when = m[wave + WAVE_DEADLINE]
        if when <= now and (found < 0 or when < at):
            found, at = wave, when
        wave = m[wave + WAVE_AFTER]
    return found


@apart
def _due_visit(m: Memory, host: int) -> int:
    """The recall that is overdue; or -1."""
    now, found, at, order = m[NOW], -1, 0, 0
    for query in range(m[QUERIES]):
        ours = query_at(m, query)
        if m[ours + QUERY_OPEN] != 0 and m[ours + QUERY_ORIGIN] == host:
            for number in range(m[ours + QUERY_RECALLS]):
                asked = recall_at(m, query, number)
                when, turn = m[asked + RECALL_VISIT_AT], m[asked + RECALL_VISIT_ORDER]
                if when <= now and (found < 0 or when < at or (when == at and turn < order)):
                    found, at, order = asked, when, turn
    return found


@apart
def _due_query(m: Memory, host: int, turns: bool) -> int:
    """The query whose flood has had its time, or that is over; or -1."""
    now, found, at = m[NOW], -1, 0
    for query in range(m[QUERIES]):
        ours = query_at(m, query)
        if m[ours + QUERY_OPEN] != 0 and m[ours + QUERY_ORIGIN] == host:
            when = m[ours + QUERY_TURN_AT] if turns else m[ours + QUERY_END_AT]
            if 0 <= when <= now and (found < 0 or when < at):
                found, at = query, when
    return found
