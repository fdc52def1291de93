"""A run: hosts begin, links are made, and then everything happens in its order."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin import answering, engine, flood, inquiry, links, timers, waves
from meshpacs_sim.kernel.twin.acts import (
    ACCEPTED,
    ARRIVE,
    ASK_PLAN,
    CALL,
    CANCEL_PLAN,
    CRASH,
    CRASH_DARK,
    FIN,
    FOUND,
    HEARD,
    KNOCK,
    LOOK,
    REFUSED,
    RESTART,
    TIME_OUT,
    WAKE,
)
from meshpacs_sim.kernel.twin.heap import next_at, pop, push_scenario, release
from meshpacs_sim.kernel.twin.places import copy_at, end_of, meeting_at, pair_at, plan_at, query_at
from meshpacs_sim.kernel.twin.posting import fin, note
from meshpacs_sim.kernel.twin.roads import lay
from meshpacs_sim.kernel.twin.rows import ASKED, CRASHED, STARTED
from meshpacs_sim.kernel.twin.rows import FOUND as FOUND_ROW
from meshpacs_sim.kernel.twin.words import (
    ATTEMPTS,
    BURST,
    CALLS,
    CHILDREN_LEFT,
    COPY_BEST_TTL,
    COPY_CALLER,
    COPY_HELD_AT,
    COPY_KEPT,
    COPY_RECALLER,
    COPY_SEARCHING,
    COUNT,
    DIALLED_ROOM,
    END,
    END_DIAL,
    END_HOST,
    END_KEEP_AT,
    END_KNOWN,
    END_PEER,
    END_ROAD,
    END_SERIAL,
    END_WATCH_AT,
    ENDS,
    ENDS_STOP,
    EPOCH_US,
    EVENT_ACT,
    EVENT_ATTEMPT,
    EVENT_DST,
    EVENT_LIFE,
    EVENT_QUERY,
    EVENT_ROWS,
    EVENT_SERIAL,
    EVENT_SRC,
    EVENTS_LEFT,
    HOST,
    HOST_ALARM,
    HOST_BOOT,
    HOST_DARK,
    HOST_DUE_US,
    HOST_ENDS,
    HOST_ENDS_STOP,
    HOST_FIRST_WAVE,
    HOST_HELD,
    HOST_LAST_WAVE,
    HOST_LIFE,
    HOST_NONCE,
    HOST_OPEN,
    HOST_PEERS,
    HOST_TOKENS,
    HOST_UP,
    HOST_WAKE_AT,
    HOSTS,
    LYING,
    MEETING_DUE_US,
    MEETING_KNOCKED,
    NOW,
    PAIR_SILENT,
    PLAN_BUDGET_US,
    PLAN_ORIGIN,
    PLAN_QUERY,
    PLAN_STEP,
    PLAN_TTL,
    QUERIES,
    QUERY_OPEN,
    QUERY_ORIGIN,
    QUERY_PLAN,
    QUERY_RECALLS,
    QUERY_ROOM,
    RELINK_US,
    ROADS_LEFT,
    ROWS_COUNT,
    ROWS_ROOM,
    SCENE,
    SCENE_ACT,
    SCENE_AT,
    SCENE_WHAT,
    SCENES,
    SCENES_COUNT,
    WAVES_LEFT,
)

SECOND_US = 1_000_000

WHOLE, TOO_SMALL = 0, 1


@apart
def play(m: Memory, until: int) -> int:
    """Let everything happen up to and including `until`; `TOO_SMALL` if the memory was."""
    for host in range(m[COUNT]):
        _forget(m, host)
        _start(m, host)
    for end in range(m[ENDS], m[ENDS_STOP], END):
        lay(m, end + END_ROAD, m[end + END_HOST], m[end + END_PEER])
    for end in range(m[ENDS], m[ENDS_STOP], END):
        if m[end + END_HOST] < m[end + END_PEER]:
            links.link(m, end)
    if m[RELINK_US] > 0:
        push_scenario(m, m[RELINK_US], LOOK, 0)
    for at in range(m[SCENES_COUNT]):
        scene = m[SCENES] + at * SCENE
        push_scenario(m, m[scene + SCENE_AT], m[scene + SCENE_ACT], m[scene + SCENE_WHAT])
    while m[LYING] > 0 and next_at(m) <= until:
        if not _roomy(m):
            return TOO_SMALL
        m[NOW] = next_at(m)
        event = pop(m)
        _happen(m, event)
        release(m, event)
    return WHOLE


@apart
def _roomy(m: Memory) -> bool:
    """Whether there is room for whatever one event may set off."""
    most = (m[ENDS_STOP] - m[ENDS]) // END + 4 * m[COUNT] + 256
    return (
        m[EVENTS_LEFT] > most
        and m[ROWS_ROOM] - m[ROWS_COUNT] > most
        and m[ROADS_LEFT] > most
        and m[DIALLED_ROOM] - m[ATTEMPTS] > most
        and m[WAVES_LEFT] > 1
        and m[CHILDREN_LEFT] > m[COUNT]
    )


@apart
def _happen(m: Memory, event: int) -> None:
    act, host, src = m[event + EVENT_ACT], m[event + EVENT_DST], m[event + EVENT_SRC]
    if act == ARRIVE:
        _arrive(m, host, src, event)
    elif act == WAKE:
        _woken(m, host, m[event + EVENT_ATTEMPT])
    elif act == FOUND:
        _searched(m, host, event)
    elif act == FIN:
        end = end_of(m, host, src)
        if m[end + END_SERIAL] == m[event + EVENT_SERIAL]:
            links.lose(m, end)
    elif act == KNOCK:
        links.knocked(m, host, src, m[event + EVENT_ATTEMPT])
    elif act == ACCEPTED:
        links.accepted(m, host, src, m[event + EVENT_ATTEMPT], m[event + EVENT_SERIAL])
    elif act in (REFUSED, TIME_OUT):
        links.in_vain(m, host, src, m[event + EVENT_ATTEMPT])
    elif act == CALL:
        if links.called(m, host, src, m[event + EVENT_ATTEMPT]):
            _receive(m, host, src, event, True)
    elif act == HEARD:
        links.waits(m, host, m[event + EVENT_ATTEMPT])
    else:
        _scene(m, act, m[event + EVENT_QUERY])


@apart
def _arrive(m: Memory, host: int, src: int, event: int) -> None:
    end, serial = end_of(m, host, src), m[event + EVENT_SERIAL]
    if m[end + END_SERIAL] == serial:
        _receive(m, host, src, event, False)
    elif m[HOSTS + host * HOST + HOST_DARK] == 0:
        # The kernel of a machine that is up answers for links that it does not know.
        fin(m, end, serial)


@apart
def _receive(m: Memory, host: int, src: int, event: int, is_direct: bool) -> None:
    if m[HOSTS + host * HOST + HOST_UP] != 0:
        m[CALLS] += 1
        engine.receive(m, host, src, event, is_direct)
        timers.set_alarm(m, host)


@apart
def _searched(m: Memory, host: int, event: int) -> None:
    here, query, rows = HOSTS + host * HOST, m[event + EVENT_QUERY], m[event + EVENT_ROWS]
    if m[here + HOST_UP] != 0 and m[here + HOST_LIFE] == m[event + EVENT_LIFE]:
        m[CALLS] += 1
        note(m, FOUND_ROW, host, 0, 0, query, rows, 0, 0, 0)
        engine.local(m, host, query, rows)
        timers.set_alarm(m, host)


@apart
def _woken(m: Memory, host: int, number: int) -> None:
    here = HOSTS + host * HOST
    if m[here + HOST_UP] == 0 or m[here + HOST_ALARM] != number:
        return
    m[here + HOST_WAKE_AT] = -1
    due = timers.next_deadline(m, host)
    if 0 <= due <= m[NOW]:
        m[CALLS] += 1
        timers.wake(m, host)
    timers.set_alarm(m, host)


# ---------------------------------------------------------------- what the scenario does


@apart
def _scene(m: Memory, act: int, what: int) -> None:
    if act == LOOK:
        links.look(m)
        push_scenario(m, m[NOW] + m[RELINK_US], LOOK, 0)
    elif act == ASK_PLAN:
        _ask(m, what)
    elif act == CANCEL_PLAN:
        _cancel(m, what)
    elif act in (CRASH, CRASH_DARK):
        if m[HOSTS + what * HOST + HOST_UP] != 0:
            _crash(m, what, act == CRASH_DARK)
    elif act == RESTART and m[HOSTS + what * HOST + HOST_UP] == 0:
        _start(m, what)


@apart
def _ask(m: Memory, plan: int) -> None:
    """Put the next question of a plan to its node, if that is up and may ask so often."""
    asks = plan_at(m, plan)
    host = m[asks + PLAN_ORIGIN]
    here = HOSTS + host * HOST
    interval = answering.interval_us(m, host)
    if m[here + HOST_UP] == 0 or m[here + HOST_DUE_US] - m[NOW] - interval * (m[BURST] - 1) > 0:
        return
    m[here + HOST_DUE_US] = max(m[here + HOST_DUE_US], m[NOW]) + interval
    query = m[QUERIES]
    m[QUERIES] += 1
    ttl = m[asks + PLAN_TTL + m[asks + PLAN_STEP]]
    m[asks + PLAN_STEP] += 1
    m[asks + PLAN_QUERY] = query
    note(m, ASKED, host, 0, 0, query, ttl, m[asks + PLAN_BUDGET_US], 0, 0)
    m[query_at(m, query) + QUERY_PLAN] = plan
    inquiry.begin(m, query, host, ttl, m[asks + PLAN_BUDGET_US])
    m[copy_at(m, host, query) + COPY_BEST_TTL] = ttl
    answering.search(m, host, query)
    flood.open_wave(m, host, query, -1, 0, ttl, 0, m[asks + PLAN_BUDGET_US] // 1000, 0)
    engine.settle(m, host)
    timers.set_alarm(m, host)


@apart
def _cancel(m: Memory, plan: int) -> None:
    """The asker has lost interest, if anybody still waits."""
    query, host = m[plan_at(m, plan) + PLAN_QUERY], m[plan_at(m, plan) + PLAN_ORIGIN]
    if query >= 0 and m[query_at(m, query) + QUERY_OPEN] != 0:
        flood.cancel(m, host, query, -1)
        inquiry.finish(m, query, True)
        engine.settle(m, host)
        timers.set_alarm(m, host)


# ---------------------------------------------------------------- lives


@apart
def _crash(m: Memory, host: int, dark: bool) -> None:
    """The node dies; its kernel closes its links, unless the whole machine goes dark."""
    here = HOSTS + host * HOST
    note(m, CRASHED, host, 0, 0, 0, 0, 0, 0, 0)
    m[here + HOST_UP], m[here + HOST_DARK] = 0, 1 if dark else 0
    for end in range(m[here + HOST_ENDS], m[here + HOST_ENDS_STOP], END):
        if m[end + END_SERIAL] != 0 and not dark:
            fin(m, end, m[end + END_SERIAL])
        m[end + END_SERIAL] = m[end + END_DIAL] = 0
    links.close_all_direct(m, host)
    _forget(m, host)


@apart
def _start(m: Memory, host: int) -> None:
    """Begin a life of this host's node, with what it kept and nothing else."""
    here = HOSTS + host * HOST
    m[here + HOST_LIFE] += 1
    m[here + HOST_UP], m[here + HOST_DARK] = 1, 0
    # PROTOCOL 4.5: boot = max(stored + 1, Unix seconds).
    m[here + HOST_BOOT] = max(m[here + HOST_BOOT] + 1, (m[EPOCH_US] + m[NOW]) // SECOND_US)
    m[here + HOST_WAKE_AT] = -1
    m[here + HOST_ALARM] += 1
    note(m, STARTED, host, 0, 0, 0, 0, 0, 0, 0)


@apart
def _forget(m: Memory, host: int) -> None:
    """Everything that an engine knows is gone; boots, which are kept durably, stay."""
    here = HOSTS + host * HOST
    if m[here + HOST_LIFE] == 0:
        m[here + HOST_FIRST_WAVE] = m[here + HOST_LAST_WAVE] = -1
    while m[here + HOST_FIRST_WAVE] >= 0:
        waves.forget(m, m[here + HOST_FIRST_WAVE])
    m[here + HOST_TOKENS] = m[here + HOST_NONCE] = m[here + HOST_DUE_US] = 0
    m[here + HOST_PEERS] = m[here + HOST_OPEN] = m[here + HOST_HELD] = 0
    for end in range(m[here + HOST_ENDS], m[here + HOST_ENDS_STOP], END):
        m[end + END_KNOWN], m[end + END_KEEP_AT], m[end + END_WATCH_AT] = 0, -1, -1
    for other in range(m[COUNT]):
        # Looked at before it is written: most of this memory has never been touched.
        if m[pair_at(m, host, other) + PAIR_SILENT] != 0:
            m[pair_at(m, host, other) + PAIR_SILENT] = 0
            m[meeting_at(m, host, other) + MEETING_KNOCKED] = 0
    for query in range(m[QUERY_ROOM]):
        copy = copy_at(m, host, query)
        m[copy + COPY_SEARCHING] = m[copy + COPY_KEPT] = 0
        m[copy + COPY_BEST_TTL] = m[copy + COPY_HELD_AT] = -1
        m[copy + COPY_CALLER] = m[copy + COPY_RECALLER] = -1
    for query in range(m[QUERIES]):
        asked = query_at(m, query)
        m[meeting_at(m, m[asked + QUERY_ORIGIN], host) + MEETING_DUE_US] = 0
        if m[asked + QUERY_OPEN] != 0 and m[asked + QUERY_ORIGIN] == host:
            m[asked + QUERY_OPEN] = m[asked + QUERY_RECALLS] = 0
