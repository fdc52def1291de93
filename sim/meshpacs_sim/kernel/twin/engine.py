"""One engine called: dispatch, timers, and what rooms have set off in each other."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin import answering, flood, inquiry, peers
from meshpacs_sim.kernel.twin.places import end_of, query_at
from meshpacs_sim.kernel.twin.posting import fin, message, note
from meshpacs_sim.kernel.twin.rows import (
    ANSWERED,
    ASK,
    CANCEL,
    CLOSED,
    FAILED,
    GOT,
    PART,
    PING,
    PONG,
    RECALL,
    UNLINKED,
)
from meshpacs_sim.kernel.twin.words import (
    CHILD_WAVE,
    END_HEARD_US,
    END_HOST,
    END_KNOWN,
    END_PEER,
    END_SERIAL,
    ENDED,
    EVENT_KIND,
    EVENT_QUERY,
    EVENT_TOKEN,
    FINISHED_INQUIRIES,
    NOW,
    QUERIES,
    QUERY_ENDED,
    QUERY_ENDED_FAILED,
    QUERY_FINISHED,
    QUERY_OPEN,
    QUERY_ORIGIN,
    QUERY_SPOILED,
    RECALL_QUERY,
    WAVE_PARENT,
    WAVE_QUERY,
)

# ---------------------------------------------------------------- messages


@apart
def receive(m: Memory, host: int, peer: int, event: int, is_direct: bool) -> None:
    """Take in one message, from a control link or a direct one."""
    end = end_of(m, host, peer)
    kind, token = m[event + EVENT_KIND], m[event + EVENT_TOKEN]
    peers.attended(m, host, peer)
    if not is_direct and end >= 0 and m[end + END_KNOWN] != 0:
        m[end + END_HEARD_US] = m[NOW]
    if kind == ASK:
        answering.ask(m, host, end, event)
    elif kind == GOT:
        flood.got(m, end, token)
        inquiry.got(m, host, peer, token)
    elif kind == PART:
        _part(m, host, peer, end, event)
    elif kind == CLOSED:
        flood.closed(m, end, event)
        inquiry.closed(m, host, peer, token)
    elif kind == RECALL:
        answering.recall(m, host, peer, event, is_direct)
    elif kind == CANCEL:
        answering.cancel(m, host, m[event + EVENT_QUERY], peer)
        flood.cancel(m, host, m[event + EVENT_QUERY], end)
    elif kind == PING:
        answering.reply(m, host, peer, message(m, PONG, token), is_direct)
    elif kind == PONG and end >= 0:
        peers.pong(m, end, token)
    settle(m, host)


@apart
def _part(m: Memory, host: int, peer: int, end: int, event: int) -> None:
    child = flood.child_of(m, end, m[event + EVENT_TOKEN])
    wave = m[child + CHILD_WAVE] if child >= 0 else -1
    if wave >= 0 and m[wave + WAVE_PARENT] >= 0:
        flood.carry(m, wave, event)
        return
    asked = inquiry.recalled(m, host, peer, m[event + EVENT_TOKEN])
    query = m[asked + RECALL_QUERY] if asked >= 0 else -1
    if query < 0 and wave >= 0 and m[query_at(m, m[wave + WAVE_QUERY]) + QUERY_OPEN] != 0:
        query = m[wave + WAVE_QUERY]
    if query >= 0:
        if m[event + EVENT_QUERY] == query:
            inquiry.verified(m, query, event)
        else:
            # Sealed for another query: of a former life of ours, under a token used again.
            m[query_at(m, query) + QUERY_SPOILED] = 1


@apart
def local(m: Memory, host: int, query: int, rows: int) -> None:
    """The archive's answer; fewer than no rows mean that it could not be searched."""
    status = ANSWERED if rows >= 0 else FAILED
    if m[query_at(m, query) + QUERY_OPEN] != 0 and m[query_at(m, query) + QUERY_ORIGIN] == host:
        inquiry.found(m, query, status, rows)
    else:
        answering.found(m, host, query, status)
    settle(m, host)


# ---------------------------------------------------------------- links


@apart
def lose(m: Memory, end: int) -> None:
    """The control link is gone."""
    if peers.remove(m, end):
        flood.unlinked(m, end)
        inquiry.lost(m, m[end + END_HOST], m[end + END_PEER], False)


@apart
def hang_up(m: Memory, end: int) -> None:
    """Close a control link."""
    serial = m[end + END_SERIAL]
    if serial != 0:
        m[end + END_SERIAL] = 0
        note(m, UNLINKED, m[end + END_HOST], m[end + END_PEER], serial, 0, 0, 0, 0, 0)
        fin(m, end, serial)


@apart
def settle(m: Memory, host: int) -> None:
    """Carry on what the other rooms have set off, until nothing is left."""
    while m[ENDED] > 0 or m[FINISHED_INQUIRIES] > 0:
        ended = m[ENDED] > 0
        found, first = -1, 0
        for query in range(m[QUERIES]):
            asked = query_at(m, query)
            turn = m[asked + QUERY_ENDED] if ended else m[asked + QUERY_FINISHED]
            if turn > 0 and (found < 0 or turn < first):
                found, first = query, turn
        if ended:
            m[ENDED] -= 1
            m[query_at(m, found) + QUERY_ENDED] = 0
            if m[query_at(m, found) + QUERY_OPEN] != 0:
                inquiry.flooded(m, found, m[query_at(m, found) + QUERY_ENDED_FAILED] != 0)
        else:
            m[FINISHED_INQUIRIES] -= 1
            m[query_at(m, found) + QUERY_FINISHED] = 0
            flood.drop(m, host, found)
