"""Waves, tokens, and the Closed that comes back for each copy (PROTOCOL 4.3, 4.4)."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.peers import measured, missed, patience_us, poke
from meshpacs_sim.kernel.twin.places import pair_at, query_at
from meshpacs_sim.kernel.twin.posting import message, send
from meshpacs_sim.kernel.twin.rows import ASK, CANCEL, PART
from meshpacs_sim.kernel.twin.waves import close_branch, end_wave, forget, hint, settle_wave
from meshpacs_sim.kernel.twin.words import (
    CHILD_ACKNOWLEDGED,
    CHILD_AFTER,
    CHILD_BEFORE,
    CHILD_END,
    CHILD_OLDER,
    CHILD_SENT_AT,
    CHILD_TOKEN,
    CHILD_WAVE,
    CHILD_YOUNGER,
    CHILDREN_LEFT,
    END,
    END_FIRST_CHILD,
    END_HEARD_US,
    END_HOST,
    END_KNOWN,
    END_LAST_CHILD,
    END_PEER,
    END_PINGED_US,
    END_RTT_US,
    END_TOLD,
    END_WATCH_AT,
    END_WATCH_ORDER,
    EVENT_HINT,
    EVENT_HINTS,
    EVENT_HOPS,
    EVENT_QUERY,
    EVENT_REMAINING_MS,
    EVENT_RESPONDER,
    EVENT_ROWS,
    EVENT_STATUS,
    EVENT_TOKEN,
    EVENT_TTL,
    FREE_CHILD,
    FREE_WAVE,
    HOP_US,
    HOST,
    HOST_ENDS,
    HOST_ENDS_STOP,
    HOST_FIRST_WAVE,
    HOST_LAST_WAVE,
    HOST_ORDER,
    HOST_PEERS,
    HOST_TOKENS,
    HOST_WATCH_ORDER,
    HOSTS,
    NOW,
    PAIR_SILENT,
    QUERY_TTL,
    WAVE_AFTER,
    WAVE_ANSWERING,
    WAVE_BEFORE,
    WAVE_DEADLINE,
    WAVE_FIRST_CHILD,
    WAVE_HINTS,
    WAVE_HOST,
    WAVE_LAST_CHILD,
    WAVE_NUMBER,
    WAVE_PARENT,
    WAVE_QUERY,
    WAVE_TOKEN,
    WAVES_LEFT,
)


@apart
def token(m: Memory, host: int) -> int:
    """A token that this host has not used before in this life."""
    m[HOSTS + host * HOST + HOST_TOKENS] += 1
    return m[HOSTS + host * HOST + HOST_TOKENS]


@apart
def watch_at(m: Memory, end: int, when: int) -> None:
    """When a neighbour with open branches must have been heard."""
    host = HOSTS + m[end + END_HOST] * HOST
    m[host + HOST_WATCH_ORDER] += 1
    m[end + END_WATCH_AT], m[end + END_WATCH_ORDER] = when, m[host + HOST_WATCH_ORDER]


# ---------------------------------------------------------------- opening


@apart
def open_wave(
    m: Memory, host: int, query: int, parent: int, parent_token: int,
    ttl: int, hops: int, remaining_ms: int, answering: int,
) -> int:  # fmt: skip
    """Accept a copy and send it on to every other neighbour; the wave, which may be over."""
    here = HOSTS + host * HOST
    number = m[FREE_WAVE]
    m[FREE_WAVE] = m[number + WAVE_AFTER]
    m[WAVES_LEFT] -= 1
    m[number + WAVE_NUMBER] = token(m, host)
    m[number + WAVE_HOST], m[number + WAVE_QUERY] = host, query
    m[number + WAVE_PARENT], m[number + WAVE_TOKEN] = parent, parent_token
    m[number + WAVE_DEADLINE] = m[NOW] + remaining_ms * 1000
    m[number + WAVE_ANSWERING], m[number + WAVE_HINTS] = answering, 0
    m[number + WAVE_FIRST_CHILD] = m[number + WAVE_LAST_CHILD] = -1
    m[number + WAVE_BEFORE], m[number + WAVE_AFTER] = m[here + HOST_LAST_WAVE], -1
    if m[here + HOST_LAST_WAVE] < 0:
        m[here + HOST_FIRST_WAVE] = number
    else:
        m[m[here + HOST_LAST_WAVE] + WAVE_AFTER] = number
    m[here + HOST_LAST_WAVE] = number
    ball = m[query_at(m, query) + QUERY_TTL] > 0
    if not ball or ttl > 0:
        for at in range(m[here + HOST_PEERS]):
            end = m[m[here + HOST_ORDER] + at]
            if end != parent:
                _forward(m, number, end, ttl - 1 if ball else 0, hops + 1, remaining_ms)
    settle_wave(m, number)
    return number


@apart
def _forward(m: Memory, wave: int, end: int, ttl: int, hops: int, remaining_ms: int) -> None:
    remaining_ms -= (m[end + END_RTT_US] + m[HOP_US]) // 1000
    silent = m[pair_at(m, m[end + END_HOST], m[end + END_PEER]) + PAIR_SILENT] != 0
    if silent or remaining_ms <= 0:
        hint(m, wave, m[end + END_PEER])
        return
    number = m[FREE_CHILD]
    m[FREE_CHILD] = m[number + CHILD_AFTER]
    m[CHILDREN_LEFT] -= 1
    m[number + CHILD_TOKEN] = token(m, m[end + END_HOST])
    m[number + CHILD_WAVE], m[number + CHILD_END] = wave, end
    m[number + CHILD_SENT_AT], m[number + CHILD_ACKNOWLEDGED] = m[NOW], 0
    m[number + CHILD_BEFORE], m[number + CHILD_AFTER] = m[wave + WAVE_LAST_CHILD], -1
    if m[wave + WAVE_LAST_CHILD] < 0:
        m[wave + WAVE_FIRST_CHILD] = number
    else:
        m[m[wave + WAVE_LAST_CHILD] + CHILD_AFTER] = number
    m[wave + WAVE_LAST_CHILD] = number
    m[number + CHILD_OLDER], m[number + CHILD_YOUNGER] = m[end + END_LAST_CHILD], -1
    if m[end + END_LAST_CHILD] < 0:
        m[end + END_FIRST_CHILD] = number
    else:
        m[m[end + END_LAST_CHILD] + CHILD_YOUNGER] = number
    m[end + END_LAST_CHILD] = number
    if m[end + END_WATCH_AT] < 0:
        watch_at(m, end, m[NOW] + patience_us(m, end))
    event = message(m, ASK, m[number + CHILD_TOKEN])
    m[event + EVENT_QUERY], m[event + EVENT_TTL] = m[wave + WAVE_QUERY], ttl
    m[event + EVENT_HOPS], m[event + EVENT_REMAINING_MS] = hops, remaining_ms
    send(m, end, event)


# ---------------------------------------------------------------- what comes back


@apart
def child_of(m: Memory, end: int, token: int) -> int:
    """The copy that was sent under this token on this link, while it is open; or -1."""
    child = m[end + END_FIRST_CHILD] if end >= 0 else -1
    while child >= 0 and m[child + CHILD_TOKEN] != token:
        child = m[child + CHILD_YOUNGER]
    return child


@apart
def got(m: Memory, end: int, token: int) -> None:
    """A copy has arrived."""
    child = child_of(m, end, token)
    if child >= 0 and m[child + CHILD_ACKNOWLEDGED] == 0:
        m[child + CHILD_ACKNOWLEDGED] = 1
        if m[end + END_KNOWN] != 0:
            measured(m, end, m[NOW] - m[child + CHILD_SENT_AT])


@apart
def carry(m: Memory, wave: int, event: int) -> None:
    """Send a piece of somebody's answer on towards the origin.

    How much a wave carries is not counted: the engine's limit is that of 15,000 answers.
    """
    copy = message(m, PART, m[wave + WAVE_TOKEN])
    for field in (EVENT_QUERY, EVENT_RESPONDER, EVENT_STATUS, EVENT_HOPS, EVENT_ROWS):
        m[copy + field] = m[event + field]
    send(m, m[wave + WAVE_PARENT], copy)


@apart
def closed(m: Memory, end: int, event: int) -> None:
    """A branch has closed; what it could not reach is passed on as a hint."""
    child = child_of(m, end, m[event + EVENT_TOKEN])
    if child < 0:
        return
    for at in range(m[event + EVENT_HINTS]):
        hint(m, m[child + CHILD_WAVE], m[event + EVENT_HINT + at])
    close_branch(m, child)


@apart
def answered(m: Memory, host: int, wave: int, number: int) -> None:
    """Our own answer has been sent by this wave, or never will be.

    By its number, because the record may have become another wave's.
    """
    if m[wave + WAVE_NUMBER] == number and m[wave + WAVE_HOST] == host:
        m[wave + WAVE_ANSWERING] = 0
        settle_wave(m, wave)


@apart
def cancel(m: Memory, host: int, query: int, parent: int) -> None:
    """The origin has lost interest: forget the waves that came from `parent`, and pass on."""
    here = HOSTS + host * HOST
    start, stop = m[here + HOST_ENDS], m[here + HOST_ENDS_STOP]
    for end in range(start, stop, END):
        m[end + END_TOLD] = 0
    told = 0
    wave = m[HOSTS + host * HOST + HOST_FIRST_WAVE]
    while wave >= 0:
        after = m[wave + WAVE_AFTER]
        if m[wave + WAVE_QUERY] == query and m[wave + WAVE_PARENT] == parent:
            child = m[wave + WAVE_FIRST_CHILD]
            while child >= 0:
                end = m[child + CHILD_END]
                if m[end + END_TOLD] == 0:
                    told += 1
                    m[end + END_TOLD] = told
                child = m[child + CHILD_AFTER]
            forget(m, wave)
        wave = after
    # A Cancel names the query, not the copy: it would end what another wave waits for.
    wave = m[HOSTS + host * HOST + HOST_FIRST_WAVE]
    while wave >= 0:
        child = m[wave + WAVE_FIRST_CHILD] if m[wave + WAVE_QUERY] == query else -1
        while child >= 0:
            m[m[child + CHILD_END] + END_TOLD] = 0
            child = m[child + CHILD_AFTER]
        wave = m[wave + WAVE_AFTER]
    for turn in range(1, told + 1):
        for end in range(start, stop, END):
            if m[end + END_TOLD] == turn:
                event = message(m, CANCEL, 0)
                m[event + EVENT_QUERY] = query
                send(m, end, event)


@apart
def drop(m: Memory, host: int, query: int) -> None:
    """Forget a query of our own without a word; late messages are ignored."""
    wave = m[HOSTS + host * HOST + HOST_FIRST_WAVE]
    while wave >= 0:
        after = m[wave + WAVE_AFTER]
        if m[wave + WAVE_QUERY] == query:
            forget(m, wave)
        wave = after


# ---------------------------------------------------------------- what does not


@apart
def unlinked(m: Memory, end: int) -> None:
    """The link is gone: its branches close, and waves that came by it have no way back."""
    fail(m, end)
    wave = m[HOSTS + m[end + END_HOST] * HOST + HOST_FIRST_WAVE]
    while wave >= 0:
        after = m[wave + WAVE_AFTER]
        if m[wave + WAVE_PARENT] == end:
            forget(m, wave)
        wave = after


@apart
def fail(m: Memory, end: int) -> None:
    """Close every branch on this link as unreached."""
    m[end + END_WATCH_AT] = -1
    while m[end + END_FIRST_CHILD] >= 0:
        child = m[end + END_FIRST_CHILD]
        hint(m, m[child + CHILD_WAVE], m[end + END_PEER])
        close_branch(m, child)


@apart
def watch(m: Memory, end: int) -> None:
    """A neighbour with open branches should have been heard by now (PROTOCOL 2.5)."""
    now = m[NOW]
    if m[end + END_KNOWN] == 0 or m[end + END_FIRST_CHILD] < 0:
        return
    patience = patience_us(m, end)
    child = m[end + END_FIRST_CHILD]
    while child >= 0 and m[child + CHILD_ACKNOWLEDGED] != 0:
        child = m[child + CHILD_YOUNGER]
    if child >= 0:
        overdue = m[child + CHILD_SENT_AT] + patience
    elif m[end + END_PINGED_US] >= 0 and m[end + END_HEARD_US] < m[end + END_PINGED_US]:
        overdue = m[end + END_PINGED_US] + patience
    elif m[end + END_HEARD_US] + patience > now:
        watch_at(m, end, m[end + END_HEARD_US] + patience)
        return
    else:
        watch_at(m, end, now + patience)
        poke(m, end)
        return
    if overdue > now:
        watch_at(m, end, overdue)
        return
    missed(m, m[end + END_HOST], m[end + END_PEER])
    fail(m, end)


@apart
def expire(m: Memory, wave: int) -> None:
    """A wave's deadline: close it with what has come, and say what has not."""
    if m[wave + WAVE_ANSWERING] != 0:
        hint(m, wave, m[wave + WAVE_HOST])
    child = m[wave + WAVE_FIRST_CHILD]
    while child >= 0:
        hint(m, wave, m[m[child + CHILD_END] + END_PEER])
        child = m[child + CHILD_AFTER]
    end_wave(m, wave)
