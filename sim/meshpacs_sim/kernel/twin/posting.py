"""Messages on their way out, each with its row: over a control link, or over a direct one."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.acts import ARRIVE, CALL, FIN, TIME_OUT
from meshpacs_sim.kernel.twin.heap import new_event, push_own, release
from meshpacs_sim.kernel.twin.places import pair_at
from meshpacs_sim.kernel.twin.roads import direct, launch, next_us
from meshpacs_sim.kernel.twin.rows import ASK, CANCEL, CLOSED, MASK, RECALL, WIDTH
from meshpacs_sim.kernel.twin.words import (
    ATTEMPTS,
    CONNECT_US,
    DIALLED,
    END_HOST,
    END_PEER,
    END_ROAD,
    END_SERIAL,
    EVENT_ACT,
    EVENT_ATTEMPT,
    EVENT_HINT,
    EVENT_HINTS,
    EVENT_HOPS,
    EVENT_KIND,
    EVENT_QUERY,
    EVENT_REMAINING_MS,
    EVENT_SERIAL,
    EVENT_TOKEN,
    EVENT_TTL,
    HOST,
    HOST_LIFE,
    HOSTS,
    NOW,
    PAIR_DIRECT,
    ROWS,
    ROWS_COUNT,
)

UNLINKED_SERIAL, DIRECT_SERIAL = 0, -1


@apart
def note(
    m: Memory, kind: int, host: int, peer: int, link: int, query: int,
    one: int, two: int, three: int, four: int,
) -> None:  # fmt: skip
    """Write one row."""
    row = m[ROWS] + WIDTH * m[ROWS_COUNT]
    m[ROWS_COUNT] += 1
    m[row], m[row + 1], m[row + 2], m[row + 3], m[row + 4] = m[NOW], kind, host, peer, link
    m[row + 5], m[row + 6] = query, one
    m[row + 7], m[row + 8], m[row + 9] = two, three, four


@apart
def message(m: Memory, kind: int, token: int) -> int:
    """A message without anything but its token, or its nonce."""
    event = new_event(m, ARRIVE)
    m[event + EVENT_KIND], m[event + EVENT_TOKEN] = kind, token
    return event


@apart
def _note_message(m: Memory, host: int, peer: int, link: int, event: int) -> None:
    kind, query, token = m[event + EVENT_KIND], m[event + EVENT_QUERY], m[event + EVENT_TOKEN]
    remaining_ms = m[event + EVENT_REMAINING_MS]
    if kind == ASK:
        ttl, hops = m[event + EVENT_TTL], m[event + EVENT_HOPS]
        note(m, ASK, host, peer, link, query, token, ttl, hops, remaining_ms)
    elif kind == RECALL:
        note(m, RECALL, host, peer, link, query, token, remaining_ms, 0, 0)
    elif kind == CLOSED:
        fold = 0
        for at in range(m[event + EVENT_HINTS]):
            fold = (fold * 31 + m[event + EVENT_HINT + at] + 1) & MASK
        note(m, CLOSED, host, peer, link, 0, token, m[event + EVENT_HINTS], fold, 0)
    else:
        # A Part is sealed: whose query it belongs to nobody sees who looks on.
        note(m, kind, host, peer, link, query if kind == CANCEL else 0, token, 0, 0, 0)


@apart
def send(m: Memory, end: int, event: int) -> None:
    """Post a message on the control link at this end; without a link it is dropped."""
    _note_message(m, m[end + END_HOST], m[end + END_PEER], m[end + END_SERIAL], event)
    if m[end + END_SERIAL] == UNLINKED_SERIAL:
        release(m, event)
        return
    m[event + EVENT_SERIAL] = m[end + END_SERIAL]
    launch(m, end + END_ROAD, m[end + END_HOST], m[end + END_PEER], event, m[NOW])


@apart
def fin(m: Memory, end: int, serial: int) -> None:
    """Tell the other side that this link is closed, or was never known."""
    event = new_event(m, FIN)
    m[event + EVENT_SERIAL] = serial
    launch(m, end + END_ROAD, m[end + END_HOST], m[end + END_PEER], event, m[NOW])


@apart
def attempt(m: Memory, host: int, peer: int) -> int:
    """A dial begins: after a while nobody waits for it any more."""
    m[ATTEMPTS] += 1
    event = new_event(m, TIME_OUT)
    m[event + EVENT_ATTEMPT] = m[ATTEMPTS]
    push_own(m, host, m[NOW] + m[CONNECT_US], event, peer)
    return m[ATTEMPTS]


@apart
def linked_directly(m: Memory, one: int, other: int) -> bool:
    """Whether there is a direct link between these two."""
    return m[pair_at(m, min(one, other), max(one, other)) + PAIR_DIRECT] != 0


@apart
def visit(m: Memory, host: int, peer: int, event: int) -> None:
    """Post a message over a direct link, which is dialled if it is not there."""
    now = m[NOW]
    _note_message(m, host, peer, DIRECT_SERIAL, event)
    road = direct(m, host, peer)
    m[event + EVENT_ACT] = CALL
    if linked_directly(m, host, peer):
        launch(m, road, host, peer, event, now)
        return
    m[event + EVENT_ATTEMPT] = attempt(m, host, peer)
    m[m[DIALLED] + m[event + EVENT_ATTEMPT]] = m[HOSTS + host * HOST + HOST_LIFE]
    launch(m, road, host, peer, event, now + 4 * next_us(m, road))
