"""The neighbours of a host, how well each is heard, and who is silent (PROTOCOL 2.5)."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.places import meeting_at, pair_at
from meshpacs_sim.kernel.twin.posting import message, send
from meshpacs_sim.kernel.twin.rows import PING
from meshpacs_sim.kernel.twin.words import (
    ACK_US,
    END_HEARD_US,
    END_HOST,
    END_KEEP_AT,
    END_KEEP_ORDER,
    END_KNOWN,
    END_MISSES,
    END_NONCE,
    END_PINGED_US,
    END_RTT_US,
    HOST,
    HOST_KEEP_ORDER,
    HOST_NONCE,
    HOST_ORDER,
    HOST_PEERS,
    HOSTS,
    KEEPALIVE_US,
    MEETING_KNOCKED,
    MISSES,
    NOW,
    PAIR_SILENT,
)

# ---------------------------------------------------------------- attendance


@apart
def attended(m: Memory, host: int, peer: int) -> None:
    """Something came from this member: over its link, or an answer that it signed."""
    if m[pair_at(m, host, peer) + PAIR_SILENT] != 0:
        # Nobody knocks at who is not silent, so there is nothing else to forget.
        m[pair_at(m, host, peer) + PAIR_SILENT] = 0
        m[meeting_at(m, host, peer) + MEETING_KNOCKED] = 0


@apart
def missed(m: Memory, host: int, peer: int) -> None:
    """This member missed a deadline: it is not waited for until it is heard again."""
    m[pair_at(m, host, peer) + PAIR_SILENT] = 1


# ---------------------------------------------------------------- neighbours


@apart
def keep_at(m: Memory, end: int, when: int) -> None:
    """When the next keepalive is due."""
    host = HOSTS + m[end + END_HOST] * HOST
    m[host + HOST_KEEP_ORDER] += 1
    m[end + END_KEEP_AT], m[end + END_KEEP_ORDER] = when, m[host + HOST_KEEP_ORDER]


@apart
def add(m: Memory, end: int) -> None:
    """A link came up; it is measured at once, so that deadlines know its round trip."""
    host = HOSTS + m[end + END_HOST] * HOST
    m[m[host + HOST_ORDER] + m[host + HOST_PEERS]] = end
    m[host + HOST_PEERS] += 1
    m[end + END_KNOWN], m[end + END_HEARD_US] = 1, m[NOW]
    m[end + END_RTT_US] = m[end + END_MISSES] = 0
    ping(m, end)


@apart
def remove(m: Memory, end: int) -> bool:
    """The link is gone; False if there was none."""
    m[end + END_KEEP_AT] = -1
    if m[end + END_KNOWN] == 0:
        return False
    m[end + END_KNOWN] = 0
    host = HOSTS + m[end + END_HOST] * HOST
    start = m[host + HOST_ORDER]
    at = 0
    while m[start + at] != end:
        at += 1
    m[host + HOST_PEERS] -= 1
    while at < m[host + HOST_PEERS]:
        m[start + at] = m[start + at + 1]
        at += 1
    return True


@apart
def patience_us(m: Memory, end: int) -> int:
    """How long an acknowledgement may take on this link: max(1 s, 4 RTT); -1 is no link."""
    ack_us = m[ACK_US]
    if end < 0 or m[end + END_KNOWN] == 0:
        return ack_us
    return max(ack_us, 4 * m[end + END_RTT_US])


@apart
def measured(m: Memory, end: int, sample_us: int) -> None:
    """Take in one round trip: RFC 6298's gain of 1/8."""
    sample_us = max(sample_us, 1)
    m[end + END_RTT_US] = (
        sample_us if m[end + END_RTT_US] == 0 else (7 * m[end + END_RTT_US] + sample_us) // 8
    )


@apart
def pong(m: Memory, end: int, nonce: int) -> None:
    """An answer to a Ping, perhaps a late one."""
    if m[end + END_KNOWN] == 0 or m[end + END_PINGED_US] < 0 or nonce != m[end + END_NONCE]:
        return
    measured(m, end, m[NOW] - m[end + END_PINGED_US])
    m[end + END_PINGED_US], m[end + END_MISSES] = -1, 0
    keep_at(m, end, m[NOW] + m[KEEPALIVE_US])


@apart
def ping(m: Memory, end: int) -> None:
    """Ask whether a neighbour is there."""
    host = HOSTS + m[end + END_HOST] * HOST
    m[host + HOST_NONCE] += 1
    m[end + END_NONCE], m[end + END_PINGED_US] = m[host + HOST_NONCE], m[NOW]
    keep_at(m, end, m[NOW] + m[KEEPALIVE_US])
    send(m, end, message(m, PING, m[host + HOST_NONCE]))


@apart
def poke(m: Memory, end: int) -> None:
    """Ping this neighbour now, unless a Ping is under way."""
    if m[end + END_KNOWN] != 0 and m[end + END_PINGED_US] < 0:
        ping(m, end)


@apart
def keepalive(m: Memory, end: int) -> bool:
    """The keepalive timer has run out; True if this neighbour is to be hung up on."""
    if m[end + END_PINGED_US] < 0 or m[end + END_HEARD_US] > m[end + END_PINGED_US]:
        m[end + END_MISSES] = 0
        ping(m, end)
        return False
    m[end + END_MISSES] += 1
    # Local health is always 0 here: nobody oversleeps who is never frozen.
    if m[end + END_MISSES] >= m[MISSES]:
        return True
    ping(m, end)
    return False
