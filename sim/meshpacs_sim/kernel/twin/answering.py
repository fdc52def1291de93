"""What becomes of an Ask or a Recall that comes in (PROTOCOL 4.3 to 4.6, 5.1, 5.3)."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin import flood
from meshpacs_sim.kernel.twin.acts import FOUND
from meshpacs_sim.kernel.twin.heap import new_event, push_own
from meshpacs_sim.kernel.twin.places import copy_at, end_of, meeting_at, query_at
from meshpacs_sim.kernel.twin.posting import message, note, send, visit
from meshpacs_sim.kernel.twin.rows import ANSWERED, BUSY, CLOSED, GOT, PART, SEARCHING
from meshpacs_sim.kernel.twin.words import (
    BUDGET_MOST_US,
    BURST,
    COPY_BEST_TTL,
    COPY_CALLER,
    COPY_CALLER_NUMBER,
    COPY_CALLER_TOKEN,
    COPY_CALLER_WAVE,
    COPY_DEADLINE,
    COPY_HELD_AT,
    COPY_HELD_ORDER,
    COPY_HOPS,
    COPY_KEPT,
    COPY_RECALLER,
    COPY_RECALLER_DIRECT,
    COPY_RECALLER_TOKEN,
    COPY_SEARCHING,
    COUNT,
    END_KNOWN,
    END_PEER,
    EVENT_HINT,
    EVENT_HINTS,
    EVENT_HOPS,
    EVENT_LIFE,
    EVENT_QUERY,
    EVENT_REMAINING_MS,
    EVENT_RESPONDER,
    EVENT_ROWS,
    EVENT_STATUS,
    EVENT_TOKEN,
    EVENT_TTL,
    HOPS_MOST,
    HOST,
    HOST_DELAY_US,
    HOST_HELD,
    HOST_HELD_ORDER,
    HOST_LIFE,
    HOST_PEERS,
    HOST_ROWS,
    HOSTS,
    MEETING_BOOT,
    MEETING_DUE_US,
    MESSAGES_PER_SECOND,
    NOW,
    QUERY_BOOT,
    QUERY_BUDGET_US,
    QUERY_ORIGIN,
    QUERY_TTL,
    SLOWEST_US,
    TOLERANCE,
    WAVE_NUMBER,
)

NOBODY = -1
REFUSED = 0
"""No answer at all; the other rulings are statuses."""

# ---------------------------------------------------------------- an Ask


@apart
def ask(m: Memory, host: int, end: int, event: int) -> None:
    """Take in one copy of a query."""
    query, token, ttl = m[event + EVENT_QUERY], m[event + EVENT_TOKEN], m[event + EVENT_TTL]
    asked, kept = query_at(m, query), copy_at(m, host, query)
    send(m, end, message(m, GOT, token))
    best = m[kept + COPY_BEST_TTL]
    if best >= 0 and ttl <= best:
        send(m, end, message(m, CLOSED, token))
        return
    budget_ms = min(m[asked + QUERY_BUDGET_US] // 1000, m[BUDGET_MOST_US] // 1000)
    remaining_ms = min(m[event + EVENT_REMAINING_MS], budget_ms)
    hops = min(m[event + EVENT_HOPS], m[HOPS_MOST])
    if best >= 0:
        m[kept + COPY_BEST_TTL] = ttl
        flood.open_wave(m, host, query, end, token, ttl, hops, remaining_ms, 0)
        return
    ruling = _judge(m, host, query)
    if ruling == REFUSED:
        gone = message(m, CLOSED, token)
        m[gone + EVENT_HINTS] = 1
        m[gone + EVENT_HINT] = host
        send(m, end, gone)
        return
    _remember(m, host, query, ttl)
    m[kept + COPY_CALLER], m[kept + COPY_CALLER_TOKEN] = m[end + END_PEER], token
    m[kept + COPY_CALLER_WAVE] = NOBODY
    if ruling != BUSY:
        # This wave cannot be over yet: it waits for our own answer.
        wave = flood.open_wave(m, host, query, end, token, ttl, hops, remaining_ms, 1)
        m[kept + COPY_CALLER_WAVE], m[kept + COPY_CALLER_NUMBER] = wave, m[wave + WAVE_NUMBER]
    _evaluate(m, host, query, ruling, hops, m[NOW] + budget_ms * 1000)


@apart
def _judge(m: Memory, host: int, query: int) -> int:
    """How to answer; each origin has a boot and a budget here."""
    asked = query_at(m, query)
    met = meeting_at(m, m[asked + QUERY_ORIGIN], host)
    if m[asked + QUERY_BOOT] < m[met + MEETING_BOOT]:
        return REFUSED
    interval = interval_us(m, host) // m[TOLERANCE]
    if m[met + MEETING_DUE_US] - m[NOW] - interval * (m[BURST] * m[TOLERANCE] - 1) > 0:
        return BUSY
    m[met + MEETING_DUE_US] = max(m[met + MEETING_DUE_US], m[NOW]) + interval
    return ANSWERED


@apart
def interval_us(m: Memory, host: int) -> int:
    """Microseconds between two queries to everyone, as this host sees the mesh (PROTOCOL 4.6)."""
    cost = max(m[COUNT] * m[HOSTS + host * HOST + HOST_PEERS] - m[COUNT] + 1, 1)
    return min(m[SLOWEST_US], cost * 1_000_000 // m[MESSAGES_PER_SECOND])


@apart
def _remember(m: Memory, host: int, query: int, ttl: int) -> None:
    m[copy_at(m, host, query) + COPY_BEST_TTL] = ttl
    met = meeting_at(m, m[query_at(m, query) + QUERY_ORIGIN], host)
    m[met + MEETING_BOOT] = max(m[met + MEETING_BOOT], m[query_at(m, query) + QUERY_BOOT])


# ---------------------------------------------------------------- a Recall


@apart
def recall(m: Memory, host: int, peer: int, event: int, is_direct: bool) -> None:
    """Give the answer to a query to its origin, again or for the first time."""
    query, token = m[event + EVENT_QUERY], m[event + EVENT_TOKEN]
    asked, kept = query_at(m, query), copy_at(m, host, query)
    reply(m, host, peer, message(m, GOT, token), is_direct)
    if m[kept + COPY_KEPT] != 0:
        _part(m, host, query, peer, token, is_direct)
        reply(m, host, peer, message(m, CLOSED, token), is_direct)
        return
    if m[kept + COPY_SEARCHING] != 0:
        if m[kept + COPY_RECALLER] >= 0:
            _end_recaller(m, host, query)
        m[kept + COPY_RECALLER], m[kept + COPY_RECALLER_TOKEN] = peer, token
        m[kept + COPY_RECALLER_DIRECT] = 1 if is_direct else 0
        return
    ruling = REFUSED
    if m[kept + COPY_BEST_TTL] < 0 and m[asked + QUERY_TTL] == 0:
        ruling = _judge(m, host, query)
    if ruling == REFUSED:
        # Forgotten, or a ball that never came this far.
        reply(m, host, peer, message(m, CLOSED, token), is_direct)
        return
    _remember(m, host, query, 0)
    m[kept + COPY_CALLER] = NOBODY
    m[kept + COPY_RECALLER], m[kept + COPY_RECALLER_TOKEN] = peer, token
    m[kept + COPY_RECALLER_DIRECT] = 1 if is_direct else 0
    budget_ms = min(m[asked + QUERY_BUDGET_US] // 1000, m[BUDGET_MOST_US] // 1000)
    remaining_ms = min(m[event + EVENT_REMAINING_MS], budget_ms)
    _evaluate(m, host, query, ruling, 1, m[NOW] + remaining_ms * 1000)


# ---------------------------------------------------------------- the answer


@apart
def _evaluate(m: Memory, host: int, query: int, ruling: int, hops: int, deadline: int) -> None:
    """Search the archive, or say at once why not; either way the answer looks the same."""
    kept = copy_at(m, host, query)
    m[kept + COPY_HOPS], m[kept + COPY_DEADLINE] = hops, deadline
    if ruling == ANSWERED:
        m[kept + COPY_SEARCHING] = 1
        _hold_until(m, host, query, deadline)
        search(m, host, query)
    else:
        _answer(m, host, query, ruling)


@apart
def search(m: Memory, host: int, query: int) -> None:
    """Ask the archive."""
    here = HOSTS + host * HOST
    note(m, SEARCHING, host, 0, 0, query, 0, 0, 0, 0)
    event = new_event(m, FOUND)
    m[event + EVENT_QUERY], m[event + EVENT_LIFE] = query, m[here + HOST_LIFE]
    m[event + EVENT_ROWS] = m[here + HOST_ROWS]
    push_own(m, host, m[NOW] + m[here + HOST_DELAY_US], event, host)


@apart
def found(m: Memory, host: int, query: int, status: int) -> None:
    """The archive has been searched."""
    if m[copy_at(m, host, query) + COPY_SEARCHING] != 0:
        m[copy_at(m, host, query) + COPY_SEARCHING] = 0
        _answer(m, host, query, status)


@apart
def _hold_until(m: Memory, host: int, query: int, when: int) -> None:
    here, kept = HOSTS + host * HOST, copy_at(m, host, query)
    if m[kept + COPY_HELD_AT] < 0:
        m[here + HOST_HELD] += 1
    m[here + HOST_HELD_ORDER] += 1
    m[kept + COPY_HELD_AT], m[kept + COPY_HELD_ORDER] = when, m[here + HOST_HELD_ORDER]


@apart
def _answer(m: Memory, host: int, query: int, status: int) -> None:
    """Keep an answer and hand it out to everybody who waits for it."""
    kept = copy_at(m, host, query)
    m[kept + COPY_KEPT] = status
    _hold_until(m, host, query, m[kept + COPY_DEADLINE])
    if m[kept + COPY_CALLER] >= 0:
        _part(m, host, query, m[kept + COPY_CALLER], m[kept + COPY_CALLER_TOKEN], False)
        if m[kept + COPY_CALLER_WAVE] >= 0:
            flood.answered(m, host, m[kept + COPY_CALLER_WAVE], m[kept + COPY_CALLER_NUMBER])
        else:
            closed = message(m, CLOSED, m[kept + COPY_CALLER_TOKEN])
            reply(m, host, m[kept + COPY_CALLER], closed, False)
        m[kept + COPY_CALLER] = NOBODY
    if m[kept + COPY_RECALLER] >= 0:
        is_direct = m[kept + COPY_RECALLER_DIRECT] != 0
        _part(m, host, query, m[kept + COPY_RECALLER], m[kept + COPY_RECALLER_TOKEN], is_direct)
        _end_recaller(m, host, query)


@apart
def _part(m: Memory, host: int, query: int, peer: int, token: int, is_direct: bool) -> None:
    """The answer that is kept: no row or one, so that one part has room for it."""
    event = message(m, PART, token)
    kept = copy_at(m, host, query)
    status = m[kept + COPY_KEPT]
    m[event + EVENT_QUERY], m[event + EVENT_RESPONDER] = query, host
    m[event + EVENT_STATUS], m[event + EVENT_HOPS] = status, m[kept + COPY_HOPS]
    m[event + EVENT_ROWS] = m[HOSTS + host * HOST + HOST_ROWS] if status == ANSWERED else 0
    reply(m, host, peer, event, is_direct)


@apart
def _end_recaller(m: Memory, host: int, query: int) -> None:
    kept = copy_at(m, host, query)
    event = message(m, CLOSED, m[kept + COPY_RECALLER_TOKEN])
    peer, m[kept + COPY_RECALLER] = m[kept + COPY_RECALLER], NOBODY
    reply(m, host, peer, event, m[kept + COPY_RECALLER_DIRECT] != 0)


@apart
def expire(m: Memory, host: int, query: int) -> None:
    """Nobody can want this answer any more; waves close by deadlines of their own."""
    kept = copy_at(m, host, query)
    m[kept + COPY_KEPT] = 0
    if m[kept + COPY_SEARCHING] != 0:
        m[kept + COPY_SEARCHING] = 0
        if m[kept + COPY_RECALLER] >= 0:
            _end_recaller(m, host, query)


@apart
def cancel(m: Memory, host: int, query: int, peer: int) -> None:
    """This caller no longer waits."""
    kept = copy_at(m, host, query)
    if m[kept + COPY_SEARCHING] != 0:
        if m[kept + COPY_CALLER] == peer:
            m[kept + COPY_CALLER] = NOBODY
        if m[kept + COPY_RECALLER] == peer:
            m[kept + COPY_RECALLER] = NOBODY


@apart
def reply(m: Memory, host: int, peer: int, event: int, is_direct: bool) -> None:
    """Answer over the link that was asked by; if that was a neighbour's, and is gone, directly."""
    end = -1 if is_direct else end_of(m, host, peer)
    if end < 0 or m[end + END_KNOWN] == 0:
        visit(m, host, peer, event)
    else:
        send(m, end, event)
