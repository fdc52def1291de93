"""Where the records are that are not known by their places."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.words import (
    COPIES,
    COPY,
    COUNT,
    END,
    END_PEER,
    HOST,
    HOST_ENDS,
    HOST_ENDS_STOP,
    HOSTS,
    MEETING,
    MEETINGS,
    MEMBER,
    MEMBERS,
    PAIR,
    PAIRS,
    PLAN,
    PLANS,
    QUERY,
    QUERY_RECALL,
    QUERY_RECORDS,
    QUERY_ROOM,
    RECALL_RECORD,
)


@apart
def pair_at(m: Memory, one: int, other: int) -> int:
    """What is kept of two hosts."""
    return m[PAIRS] + (one * m[COUNT] + other) * PAIR


@apart
def meeting_at(m: Memory, origin: int, member: int) -> int:
    """What a member keeps of an origin."""
    return m[MEETINGS] + (origin * m[COUNT] + member) * MEETING


@apart
def copy_at(m: Memory, host: int, query: int) -> int:
    """What a host has of a query."""
    return m[COPIES] + (host * m[QUERY_ROOM] + query) * COPY


@apart
def query_at(m: Memory, query: int) -> int:
    """A query of its origin's."""
    return m[QUERY_RECORDS] + query * QUERY


@apart
def recall_at(m: Memory, query: int, at: int) -> int:
    """One of a query's open recalls; 0 is the oldest."""
    return query_at(m, query) + QUERY_RECALL + at * RECALL_RECORD


@apart
def member_at(m: Memory, query: int, node: int) -> int:
    """What a query's origin has of a member."""
    return m[MEMBERS] + (query * m[COUNT] + node) * MEMBER


@apart
def plan_at(m: Memory, plan: int) -> int:
    """A question that will be asked."""
    return m[PLANS] + plan * PLAN


@apart
def end_of(m: Memory, host: int, peer: int) -> int:
    """This host's end of the link with that one in the graph; -1 if they are no neighbours."""
    first, stop = m[HOSTS + host * HOST + HOST_ENDS], m[HOSTS + host * HOST + HOST_ENDS_STOP]
    low, high = 0, (stop - first) // END
    while low < high:
        middle = (low + high) >> 1
        if m[first + middle * END + END_PEER] < peer:
            low = middle + 1
        else:
            high = middle
    end = first + low * END
    if end < stop and m[end + END_PEER] == peer:
        return end
    return -1
