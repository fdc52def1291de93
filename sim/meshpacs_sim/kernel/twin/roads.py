"""Roads between hosts: FIFO, each with a table of latencies that its messages take in turn."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.latencies import TABLE, latency_us
from meshpacs_sim.kernel.twin.heap import push
from meshpacs_sim.kernel.twin.places import pair_at
from meshpacs_sim.kernel.twin.words import (
    HIGH_US,
    JITTER_US,
    LOW_US,
    PAIR_ROAD,
    ROAD,
    ROAD_BUSY_UNTIL,
    ROAD_SEQUENCE,
    ROAD_TABLE,
    ROADS_LEFT,
    ROADS_NEXT,
    SEED,
)


@apart
def lay(m: Memory, road: int, src: int, dst: int) -> None:
    """Draw the table of a road that has not been used before."""
    seed, low, high, jitter = m[SEED], m[LOW_US], m[HIGH_US], m[JITTER_US]
    for turn in range(TABLE):
        drawn = latency_us(seed, src, dst, turn, low, high, jitter)
        m[road + ROAD_TABLE + turn] = int(drawn)


@apart
def direct(m: Memory, src: int, dst: int) -> int:
    """The road of their direct links, and of the dials for all links; laid when first used."""
    pair = pair_at(m, src, dst)
    if m[pair + PAIR_ROAD] == 0:
        m[pair + PAIR_ROAD] = m[ROADS_NEXT]
        m[ROADS_NEXT] += ROAD
        m[ROADS_LEFT] -= 1
        lay(m, m[pair + PAIR_ROAD], src, dst)
    return m[pair + PAIR_ROAD]


@apart
def next_us(m: Memory, road: int) -> int:
    """The next message's."""
    return m[road + ROAD_TABLE + m[road + ROAD_SEQUENCE] % TABLE]


@apart
def launch(m: Memory, road: int, src: int, dst: int, event: int, now: int) -> None:
    """Put something on the road, behind what is there."""
    when = max(now + next_us(m, road), m[road + ROAD_BUSY_UNTIL])
    m[road + ROAD_BUSY_UNTIL] = when
    m[road + ROAD_SEQUENCE] += 1
    push(m, when, dst, src, m[road + ROAD_SEQUENCE], event)
