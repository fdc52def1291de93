"""Queries of our own, from asking to the final (PROTOCOL 4, 5.3, 5.4)."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.acts import ASK_PLAN
from meshpacs_sim.kernel.twin.flood import token
from meshpacs_sim.kernel.twin.heap import push_scenario
from meshpacs_sim.kernel.twin.peers import attended, missed, patience_us
from meshpacs_sim.kernel.twin.places import (
    end_of,
    meeting_at,
    member_at,
    pair_at,
    plan_at,
    query_at,
    recall_at,
)
from meshpacs_sim.kernel.twin.posting import message, note, send, visit
from meshpacs_sim.kernel.twin.rows import (
    ANSWERED,
    BUSY,
    CANCELLED,
    DOUBTFUL,
    FAILED,
    FINISHED,
    MASK,
    OUTSIDE,
    PING,
    RECALL,
    UNREACHABLE,
)
from meshpacs_sim.kernel.twin.words import (
    COUNT,
    END_KNOWN,
    EVENT_HOPS,
    EVENT_QUERY,
    EVENT_REMAINING_MS,
    EVENT_RESPONDER,
    EVENT_ROWS,
    EVENT_STATUS,
    FINISHED_INQUIRIES,
    HOST,
    HOST_BOOT,
    HOST_OPEN,
    HOST_VISIT_ORDER,
    HOSTS,
    KEEPALIVE_US,
    MEETING_KNOCKED,
    MEMBER_HOPS,
    MEMBER_OUTSIDE,
    MEMBER_SILENT,
    MEMBER_STATUS,
    MEMBER_TOOK_US,
    NOW,
    PAIR_SILENT,
    PLAN_STEP,
    PLAN_STEPS,
    QUERIES,
    QUERY_ANSWERS,
    QUERY_ASKED_US,
    QUERY_BOOT,
    QUERY_BUDGET_US,
    QUERY_DEADLINE,
    QUERY_END_AT,
    QUERY_FAILED,
    QUERY_FINISHED,
    QUERY_FIRST_WAITING,
    QUERY_OPEN,
    QUERY_ORIGIN,
    QUERY_PLAN,
    QUERY_RECALLING,
    QUERY_RECALLS,
    QUERY_ROWS,
    QUERY_SPOILED,
    QUERY_TTL,
    QUERY_TURN_AT,
    QUERY_WAITING,
    RECALL_PEER,
    RECALL_QUERY,
    RECALL_RECORD,
    RECALL_TOKEN,
    RECALL_US,
    RECALL_VISIT_AT,
    RECALL_VISIT_ORDER,
    RECALLS_AT_ONCE,
    STAMP,
    VISIT_US,
    WAITING,
)


@apart
def begin(m: Memory, query: int, origin: int, ttl: int, budget_us: int) -> None:
    """A query of ours is on its way."""
    ours = query_at(m, query)
    m[ours + QUERY_OPEN], m[ours + QUERY_ORIGIN] = 1, origin
    m[ours + QUERY_TTL], m[ours + QUERY_BUDGET_US] = ttl, budget_us
    m[ours + QUERY_ASKED_US], m[ours + QUERY_DEADLINE] = m[NOW], m[NOW] + budget_us
    m[ours + QUERY_BOOT] = m[HOSTS + origin * HOST + HOST_BOOT]
    m[ours + QUERY_END_AT] = m[ours + QUERY_DEADLINE]
    m[ours + QUERY_TURN_AT] = m[ours + QUERY_DEADLINE] - min(m[RECALL_US], budget_us // 3)
    for node in range(m[COUNT]):
        m[member_at(m, query, node) + MEMBER_SILENT] = m[pair_at(m, origin, node) + PAIR_SILENT]
    m[HOSTS + origin * HOST + HOST_OPEN] += 1


# ---------------------------------------------------------------- answers


@apart
def found(m: Memory, query: int, status: int, rows: int) -> None:
    """Our own archive's answer."""
    _account(m, query, m[query_at(m, query) + QUERY_ORIGIN], status, 0, rows)


@apart
def verified(m: Memory, query: int, event: int) -> None:
    """Another member's answer; a second one (both flood and recall may bring it) is dropped."""
    attended(m, m[query_at(m, query) + QUERY_ORIGIN], m[event + EVENT_RESPONDER])
    node = m[event + EVENT_RESPONDER]
    if m[member_at(m, query, node) + MEMBER_STATUS] == 0:
        status, hops, rows = m[event + EVENT_STATUS], m[event + EVENT_HOPS], m[event + EVENT_ROWS]
        _account(m, query, node, status, hops, rows)


@apart
def _account(m: Memory, query: int, node: int, status: int, hops: int, rows: int) -> None:
    ours, line = query_at(m, query), member_at(m, query, node)
    m[line + MEMBER_STATUS], m[line + MEMBER_HOPS] = status, hops
    m[line + MEMBER_TOOK_US] = m[NOW] - m[ours + QUERY_ASKED_US]
    m[ours + QUERY_ANSWERS] += 1
    if status == ANSWERED:
        m[ours + QUERY_ROWS] += rows
    _finish_if_over(m, query)


# ---------------------------------------------------------------- asking directly


@apart
def flooded(m: Memory, query: int, failed: bool) -> None:
    """The flood has ended, or has had its time: ask the unaccounted directly."""
    ours = query_at(m, query)
    origin = m[ours + QUERY_ORIGIN]
    if m[ours + QUERY_RECALLING] != 0:
        return
    m[ours + QUERY_RECALLING] = 1
    failed = failed or m[ours + QUERY_SPOILED] != 0
    for node in range(m[COUNT]):
        failed = failed or m[member_at(m, query, node) + MEMBER_STATUS] == BUSY
    m[ours + QUERY_FAILED] = 1 if failed else 0
    m[ours + QUERY_TURN_AT] = -1
    # Where nothing failed, whoever has not answered a ball is outside it.
    if failed or m[ours + QUERY_TTL] == 0:
        knocks = 0
        for node in range(m[COUNT]):
            line = member_at(m, query, node)
            if m[line + MEMBER_STATUS] != 0:
                continue
            if m[line + MEMBER_SILENT] != 0 and m[pair_at(m, origin, node) + PAIR_SILENT] != 0:
                knocks += _knock(m, origin, node, knocks)
            elif node != origin:
                _wait(m, query, node)
    recall(m, query)


@apart
def _knock(m: Memory, host: int, node: int, knocks: int) -> int:
    """Ask a silent member, whom nobody waits for, whether it is back; 1 if it was asked."""
    end = end_of(m, host, node)
    if knocks == RECALLS_AT_ONCE or (end >= 0 and m[end + END_KNOWN] != 0):
        return 0
    last = m[meeting_at(m, host, node) + MEETING_KNOCKED] - 1
    if last >= 0 and m[NOW] - last < m[KEEPALIVE_US]:
        return 0
    m[meeting_at(m, host, node) + MEETING_KNOCKED] = m[NOW] + 1
    visit(m, host, node, message(m, PING, 0))
    return 1


@apart
def _wait(m: Memory, query: int, node: int) -> None:
    ours = query_at(m, query)
    last = (m[ours + QUERY_FIRST_WAITING] + m[ours + QUERY_WAITING]) % m[COUNT]
    m[m[WAITING] + query * m[COUNT] + last] = node
    m[ours + QUERY_WAITING] += 1


@apart
def recall(m: Memory, query: int) -> None:
    """Ask whoever waits for it directly, as far as there is room."""
    ours = query_at(m, query)
    remaining_ms = (m[ours + QUERY_DEADLINE] - m[NOW]) // 1000
    while m[ours + QUERY_WAITING] > 0 and remaining_ms > 0:
        if m[ours + QUERY_RECALLS] == RECALLS_AT_ONCE:
            break
        first = m[ours + QUERY_FIRST_WAITING]
        peer = m[m[WAITING] + query * m[COUNT] + first]
        m[ours + QUERY_FIRST_WAITING] = (first + 1) % m[COUNT]
        m[ours + QUERY_WAITING] -= 1
        if m[member_at(m, query, peer) + MEMBER_STATUS] != 0:
            continue
        _recall_one(m, query, peer, remaining_ms)
    _finish_if_over(m, query)


@apart
def _recall_one(m: Memory, query: int, peer: int, remaining_ms: int) -> None:
    ours = query_at(m, query)
    origin = m[ours + QUERY_ORIGIN]
    end = end_of(m, origin, peer)
    asked = recall_at(m, query, m[ours + QUERY_RECALLS])
    m[ours + QUERY_RECALLS] += 1
    m[asked + RECALL_QUERY], m[asked + RECALL_PEER] = query, peer
    m[asked + RECALL_TOKEN] = token(m, origin)
    _visit_at(m, asked, m[NOW] + max(m[VISIT_US], patience_us(m, end)))
    event = message(m, RECALL, m[asked + RECALL_TOKEN])
    m[event + EVENT_QUERY], m[event + EVENT_REMAINING_MS] = query, remaining_ms
    silent = m[pair_at(m, origin, peer) + PAIR_SILENT] != 0
    if end >= 0 and m[end + END_KNOWN] != 0 and not silent:
        send(m, end, event)
    else:
        visit(m, origin, peer, event)


@apart
def _visit_at(m: Memory, asked: int, when: int) -> None:
    host = HOSTS + m[query_at(m, m[asked + RECALL_QUERY]) + QUERY_ORIGIN] * HOST
    m[host + HOST_VISIT_ORDER] += 1
    m[asked + RECALL_VISIT_AT], m[asked + RECALL_VISIT_ORDER] = when, m[host + HOST_VISIT_ORDER]


@apart
def recalled(m: Memory, host: int, peer: int, token: int) -> int:
    """The recall under which this member was asked directly with this token; or -1."""
    if m[HOSTS + host * HOST + HOST_OPEN] > 0:
        for query in range(m[QUERIES]):
            ours = query_at(m, query)
            if m[ours + QUERY_OPEN] != 0 and m[ours + QUERY_ORIGIN] == host:
                for at in range(m[ours + QUERY_RECALLS]):
                    asked = recall_at(m, query, at)
                    if m[asked + RECALL_TOKEN] == token and m[asked + RECALL_PEER] == peer:
                        return asked
    return -1


@apart
def got(m: Memory, host: int, peer: int, token: int) -> None:
    """A Recall has arrived: give the archive behind it the time that is left."""
    asked = recalled(m, host, peer, token)
    if asked >= 0:
        _visit_at(m, asked, m[query_at(m, m[asked + RECALL_QUERY]) + QUERY_DEADLINE])


@apart
def closed(m: Memory, host: int, peer: int, token: int) -> None:
    """A recall has ended."""
    asked = recalled(m, host, peer, token)
    if asked >= 0:
        m[member_at(m, m[asked + RECALL_QUERY], peer) + MEMBER_OUTSIDE] = 1
        _end_recall(m, asked)


@apart
def overdue(m: Memory, asked: int) -> None:
    """A recall was not acknowledged in time."""
    origin = m[query_at(m, m[asked + RECALL_QUERY]) + QUERY_ORIGIN]
    missed(m, origin, m[asked + RECALL_PEER])
    _end_recall(m, asked)


@apart
def lost(m: Memory, host: int, peer: int, vain: bool) -> None:
    """A link is gone, perhaps the link alone: recall over a direct one; or that was in vain."""
    if m[HOSTS + host * HOST + HOST_OPEN] == 0:
        return
    for query in range(m[QUERIES]):
        ours = query_at(m, query)
        if m[ours + QUERY_OPEN] == 0 or m[ours + QUERY_ORIGIN] != host:
            continue
        for at in range(m[ours + QUERY_RECALLS]):
            asked = recall_at(m, query, at)
            if m[asked + RECALL_PEER] == peer:
                if vain:
                    missed(m, host, peer)
                else:
                    _wait(m, query, peer)
                _end_recall(m, asked)
                break


@apart
def _end_recall(m: Memory, asked: int) -> None:
    query = m[asked + RECALL_QUERY]
    ours = query_at(m, query)
    m[ours + QUERY_RECALLS] -= 1
    # Those behind it move up, so that the oldest stays first.
    for word in range(asked, recall_at(m, query, m[ours + QUERY_RECALLS])):
        m[word] = m[word + RECALL_RECORD]
    recall(m, query)


# ---------------------------------------------------------------- the end


@apart
def expire(m: Memory, query: int) -> None:
    """The deadline: report what there is."""
    ours = query_at(m, query)
    for at in range(m[ours + QUERY_RECALLS]):
        missed(m, m[ours + QUERY_ORIGIN], m[recall_at(m, query, at) + RECALL_PEER])
    finish(m, query, False)


@apart
def _finish_if_over(m: Memory, query: int) -> None:
    ours = query_at(m, query)
    local = m[member_at(m, query, m[ours + QUERY_ORIGIN]) + MEMBER_STATUS] == 0
    to_come = m[ours + QUERY_RECALLS] + m[ours + QUERY_WAITING]
    asked = m[ours + QUERY_RECALLING] != 0 and to_come == 0
    if m[ours + QUERY_ANSWERS] == m[COUNT] or (asked and not local):
        finish(m, query, False)


@apart
def finish(m: Memory, query: int, cancelled: bool) -> None:
    """The final: every member's line; and of a ring the next width."""
    ours = query_at(m, query)
    m[ours + QUERY_OPEN] = m[ours + QUERY_RECALLS] = 0
    m[ours + QUERY_TURN_AT] = m[ours + QUERY_END_AT] = -1
    m[HOSTS + m[ours + QUERY_ORIGIN] * HOST + HOST_OPEN] -= 1
    m[STAMP] += 1
    m[FINISHED_INQUIRIES] += 1
    m[ours + QUERY_FINISHED] = m[STAMP]
    fold, answers, outside = 0, 0, False
    for node in range(m[COUNT]):
        line = member_at(m, query, node)
        status = m[line + MEMBER_STATUS]
        if status == 0:
            status = _absent(m, query, node)
            outside = outside or status == OUTSIDE
        if status == ANSWERED:
            answers += 1
        fold = (fold * 31 + status) & MASK
        fold = (fold * 31 + m[line + MEMBER_HOPS]) & MASK
        fold = (fold * 31 + m[line + MEMBER_TOOK_US]) & MASK
    marks = CANCELLED if cancelled else 0
    if m[ours + QUERY_FAILED] != 0 and outside:
        marks += DOUBTFUL
    took_us = m[NOW] - m[ours + QUERY_ASKED_US]
    note(m, FINISHED, m[ours + QUERY_ORIGIN], 0, 0, query, took_us, answers, fold, marks)
    plan = plan_at(m, m[ours + QUERY_PLAN])
    if not cancelled and m[ours + QUERY_ROWS] == 0 and m[plan + PLAN_STEP] < m[plan + PLAN_STEPS]:
        push_scenario(m, m[NOW], ASK_PLAN, m[ours + QUERY_PLAN])


@apart
def _absent(m: Memory, query: int, node: int) -> int:
    ours = query_at(m, query)
    if node == m[ours + QUERY_ORIGIN]:
        return FAILED
    sure = m[ours + QUERY_FAILED] == 0 or m[member_at(m, query, node) + MEMBER_OUTSIDE] != 0
    return OUTSIDE if m[ours + QUERY_TTL] > 0 and sure else UNREACHABLE
