"""How a wave ends: by its last child, or forgotten; what `flood` opens."""

from meshpacs_sim.kernel.apart import Memory, apart
from meshpacs_sim.kernel.twin.places import query_at
from meshpacs_sim.kernel.twin.posting import message, send
from meshpacs_sim.kernel.twin.rows import CLOSED
from meshpacs_sim.kernel.twin.words import (
    CHILD_AFTER,
    CHILD_BEFORE,
    CHILD_END,
    CHILD_OLDER,
    CHILD_WAVE,
    CHILD_YOUNGER,
    CHILDREN_LEFT,
    END_FIRST_CHILD,
    END_LAST_CHILD,
    ENDED,
    EVENT_HINT,
    EVENT_HINTS,
    FREE_CHILD,
    FREE_WAVE,
    HINTS,
    HOST,
    HOST_FIRST_WAVE,
    HOST_LAST_WAVE,
    HOSTS,
    QUERY_ENDED,
    QUERY_ENDED_FAILED,
    STAMP,
    WAVE_AFTER,
    WAVE_ANSWERING,
    WAVE_BEFORE,
    WAVE_FIRST_CHILD,
    WAVE_HINT,
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
def hint(m: Memory, wave: int, node: int) -> None:
    """Note a member whose branch failed, as far as Closed has room."""
    count = m[wave + WAVE_HINTS]
    if count < HINTS:
        for at in range(count):
            if m[wave + WAVE_HINT + at] == node:
                return
        m[wave + WAVE_HINT + count] = node
        m[wave + WAVE_HINTS] = count + 1


@apart
def close_branch(m: Memory, child: int) -> None:
    """This copy is waited for no more."""
    wave = m[child + CHILD_WAVE]
    _forget_child(m, child)
    settle_wave(m, wave)


@apart
def settle_wave(m: Memory, wave: int) -> None:
    """End a wave that waits for nothing."""
    if m[wave + WAVE_FIRST_CHILD] < 0 and m[wave + WAVE_ANSWERING] == 0:
        end_wave(m, wave)


@apart
def end_wave(m: Memory, wave: int) -> None:
    """Tell whoever waits for this wave that it is over."""
    if m[wave + WAVE_PARENT] < 0:
        query = query_at(m, m[wave + WAVE_QUERY])
        m[STAMP] += 1
        m[ENDED] += 1
        m[query + QUERY_ENDED] = m[STAMP]
        m[query + QUERY_ENDED_FAILED] = 1 if m[wave + WAVE_HINTS] > 0 else 0
        forget(m, wave)
        return
    event = message(m, CLOSED, m[wave + WAVE_TOKEN])
    m[event + EVENT_HINTS] = m[wave + WAVE_HINTS]
    for at in range(m[wave + WAVE_HINTS]):
        m[event + EVENT_HINT + at] = m[wave + WAVE_HINT + at]
    parent = m[wave + WAVE_PARENT]
    forget(m, wave)
    send(m, parent, event)


@apart
def forget(m: Memory, wave: int) -> None:
    """Nothing is waited for any more, and nothing said."""
    while m[wave + WAVE_FIRST_CHILD] >= 0:
        _forget_child(m, m[wave + WAVE_FIRST_CHILD])
    here = HOSTS + m[wave + WAVE_HOST] * HOST
    if m[wave + WAVE_BEFORE] < 0:
        m[here + HOST_FIRST_WAVE] = m[wave + WAVE_AFTER]
    else:
        m[m[wave + WAVE_BEFORE] + WAVE_AFTER] = m[wave + WAVE_AFTER]
    if m[wave + WAVE_AFTER] < 0:
        m[here + HOST_LAST_WAVE] = m[wave + WAVE_BEFORE]
    else:
        m[m[wave + WAVE_AFTER] + WAVE_BEFORE] = m[wave + WAVE_BEFORE]
    m[wave + WAVE_NUMBER] = 0
    m[wave + WAVE_AFTER] = m[FREE_WAVE]
    m[FREE_WAVE] = wave
    m[WAVES_LEFT] += 1


@apart
def _forget_child(m: Memory, number: int) -> None:
    wave, end = m[number + CHILD_WAVE], m[number + CHILD_END]
    if m[number + CHILD_BEFORE] < 0:
        m[wave + WAVE_FIRST_CHILD] = m[number + CHILD_AFTER]
    else:
        m[m[number + CHILD_BEFORE] + CHILD_AFTER] = m[number + CHILD_AFTER]
    if m[number + CHILD_AFTER] < 0:
        m[wave + WAVE_LAST_CHILD] = m[number + CHILD_BEFORE]
    else:
        m[m[number + CHILD_AFTER] + CHILD_BEFORE] = m[number + CHILD_BEFORE]
    if m[number + CHILD_OLDER] < 0:
        m[end + END_FIRST_CHILD] = m[number + CHILD_YOUNGER]
    else:
        m[m[number + CHILD_OLDER] + CHILD_YOUNGER] = m[number + CHILD_YOUNGER]
    if m[number + CHILD_YOUNGER] < 0:
        m[end + END_LAST_CHILD] = m[number + CHILD_OLDER]
    else:
        m[m[number + CHILD_YOUNGER] + CHILD_OLDER] = m[number + CHILD_OLDER]
    m[number + CHILD_AFTER] = m[FREE_CHILD]
    m[FREE_CHILD] = number
    m[CHILDREN_LEFT] += 1
