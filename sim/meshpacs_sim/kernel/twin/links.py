"""Control links as they come and go, and what comes by direct ones: the world's switchboard."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin import engine, inquiry, peers, timers
from meshpacs_sim.kernel.twin.acts import ACCEPTED, HEARD, KNOCK, REFUSED
from meshpacs_sim.kernel.twin.heap import new_event
from meshpacs_sim.kernel.twin.places import end_of, pair_at
from meshpacs_sim.kernel.twin.posting import attempt, fin, linked_directly, note
from meshpacs_sim.kernel.twin.roads import direct, launch
from meshpacs_sim.kernel.twin.rows import LINKED, UNLINKED
from meshpacs_sim.kernel.twin.words import (
    COUNT,
    DIALLED,
    END,
    END_BACK,
    END_DIAL,
    END_HOST,
    END_PEER,
    END_ROAD,
    END_SERIAL,
    ENDS,
    ENDS_STOP,
    EVENT_ATTEMPT,
    EVENT_SERIAL,
    HOST,
    HOST_DARK,
    HOST_LIFE,
    HOST_UP,
    HOSTS,
    NOW,
    PAIR_DIRECT,
    SERIALS,
)


@apart
def link(m: Memory, end: int) -> None:
    """Make a control link at once, without a dial, as a scenario begins."""
    back = m[end + END_BACK]
    m[SERIALS] += 1
    # Both ends know before either engine says anything, so that nothing is lost.
    m[end + END_SERIAL] = m[back + END_SERIAL] = m[SERIALS]
    _linked(m, end, m[SERIALS])
    _linked(m, back, m[SERIALS])


@apart
def whole(m: Memory, end: int) -> bool:
    """Whether both ends hold the same link."""
    return m[end + END_SERIAL] != 0 and m[end + END_SERIAL] == m[m[end + END_BACK] + END_SERIAL]


@apart
def look(m: Memory) -> None:
    """Dial what is missing, where both sides could take it."""
    for end in range(m[ENDS], m[ENDS_STOP], END):
        host, peer = m[end + END_HOST], m[end + END_PEER]
        both = m[HOSTS + host * HOST + HOST_UP] != 0 and m[HOSTS + peer * HOST + HOST_UP] != 0
        if both and host < peer and m[end + END_DIAL] == 0 and not whole(m, end):
            m[end + END_DIAL] = attempt(m, host, peer)
            _post_directly(m, KNOCK, host, peer, m[end + END_DIAL])


@apart
def _post_directly(m: Memory, act: int, src: int, dst: int, number: int) -> None:
    event = new_event(m, act)
    m[event + EVENT_ATTEMPT] = number
    launch(m, direct(m, src, dst), src, dst, event, m[NOW])


@apart
def knocked(m: Memory, host: int, src: int, number: int) -> None:
    """Somebody dials this host, which may be down.

    Who dials is the end with the smaller number, so that no two dials ever cross.
    """
    here = HOSTS + host * HOST
    if m[here + HOST_DARK] != 0:
        return
    if m[here + HOST_UP] == 0:
        _post_directly(m, REFUSED, host, src, number)
        return
    end = end_of(m, host, src)
    if whole(m, end):
        return
    if m[end + END_SERIAL] != 0:
        lose(m, end)
    m[SERIALS] += 1
    event = new_event(m, ACCEPTED)
    m[event + EVENT_ATTEMPT], m[event + EVENT_SERIAL] = number, m[SERIALS]
    launch(m, end + END_ROAD, host, src, event, m[NOW])
    _linked(m, end, m[SERIALS])


@apart
def accepted(m: Memory, host: int, src: int, number: int, serial: int) -> None:
    """This host's dial has become a link, if it still wants it."""
    end = end_of(m, host, src)
    if m[HOSTS + host * HOST + HOST_UP] == 0 or m[end + END_DIAL] != number:
        fin(m, end, serial)
        return
    if m[end + END_SERIAL] != 0:
        lose(m, end)
    _linked(m, end, serial)


@apart
def _linked(m: Memory, end: int, serial: int) -> None:
    m[end + END_DIAL], m[end + END_SERIAL] = 0, serial
    note(m, LINKED, m[end + END_HOST], m[end + END_PEER], serial, 0, 0, 0, 0, 0)
    peers.attended(m, m[end + END_HOST], m[end + END_PEER])
    peers.add(m, end)
    timers.set_alarm(m, m[end + END_HOST])


@apart
def lose(m: Memory, end: int) -> None:
    """A host learns that a control link is gone."""
    serial, m[end + END_SERIAL] = m[end + END_SERIAL], 0
    note(m, UNLINKED, m[end + END_HOST], m[end + END_PEER], serial, 0, 0, 0, 0, 0)
    if m[HOSTS + m[end + END_HOST] * HOST + HOST_UP] != 0:
        engine.lose(m, end)
        engine.settle(m, m[end + END_HOST])
        timers.set_alarm(m, m[end + END_HOST])


# ---------------------------------------------------------------- direct links


@apart
def called(m: Memory, host: int, src: int, number: int) -> bool:
    """Whether a message that came by a direct link gets as far as the engine."""
    if m[HOSTS + host * HOST + HOST_DARK] != 0:
        return False
    if m[HOSTS + host * HOST + HOST_UP] == 0:
        _post_directly(m, REFUSED, host, src, number)
        return False
    if number != 0:
        m[pair_at(m, min(host, src), max(host, src)) + PAIR_DIRECT] = 1
        _post_directly(m, HEARD, host, src, number)
    return linked_directly(m, host, src)


@apart
def waits(m: Memory, host: int, number: int) -> bool:
    """Whether this host still waits for a direct link that it dialled; it does so no more."""
    here, dialled = HOSTS + host * HOST, m[DIALLED] + number
    waited = m[here + HOST_UP] != 0 and number != 0 and m[dialled] == m[here + HOST_LIFE]
    if waited:
        m[dialled] = 0
    return waited


@apart
def in_vain(m: Memory, host: int, peer: int, number: int) -> None:
    """A dial or a visit was refused, or has waited long enough."""
    end = end_of(m, host, peer)
    if end >= 0 and number != 0 and m[end + END_DIAL] == number:
        m[end + END_DIAL] = 0
    elif not waits(m, host, number):
        return
    inquiry.lost(m, host, peer, True)
    engine.settle(m, host)
    timers.set_alarm(m, host)


@apart
def close_all_direct(m: Memory, host: int) -> None:
    """Every direct link of this host is gone."""
    for other in range(m[COUNT]):
        pair = pair_at(m, min(host, other), max(host, other))
        if m[pair + PAIR_DIRECT] != 0:
            m[pair + PAIR_DIRECT] = 0
