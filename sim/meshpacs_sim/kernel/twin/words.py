"""The memory of a run: words, and what each means.

A record is so many words that lie together; it is known by the index of its first, its *place*. A
field is how far behind that it lies. A host is known by its number, as everywhere, and `HOSTS`
says where its record is; links' ends, waves, children and events by their places; queries by
their numbers. A time that is not there is -1, and so is a place; a serial, an attempt or a token
that is not there is 0, for they all begin at 1.
"""

from itertools import count

from meshpacs_sim.kernel.latencies import TABLE

RECALLS_AT_ONCE = 32
HINTS = 32
"""As in `meshpacs.model.limits`, where the second is `UNREACHED_HINTS`; the tests compare them."""

STEPS = 16
"""Widths of one ring, at most."""

# ---------------------------------------------------------------- the run itself, at place 0

_at = count()

NOW = next(_at)
COUNT = next(_at)
"""How many hosts."""
SERIALS = next(_at)
ATTEMPTS = next(_at)
SCRIPTS = next(_at)
QUERIES = next(_at)
"""How many have been asked."""
CALLS = next(_at)
"""How often an engine was called."""
STAMP = next(_at)
"""Counts what ends, so that what has ended first is told first."""
ENDED = next(_at)
FINISHED_INQUIRIES = next(_at)
"""Waves and queries of which the other rooms of the engine at work have still to be told."""

# Where things lie: the first of each kind, and how many there are or where they stop.
ENDS = next(_at)
ENDS_STOP = next(_at)
PAIRS = next(_at)
MEETINGS = next(_at)
COPIES = next(_at)
QUERY_RECORDS = next(_at)
QUERY_ROOM = next(_at)
MEMBERS = next(_at)
WAITING = next(_at)
PLANS = next(_at)
SCENES = next(_at)
SCENES_COUNT = next(_at)
DIALLED = next(_at)
DIALLED_ROOM = next(_at)
ROADS_NEXT = next(_at)
ROADS_LEFT = next(_at)
HEAP = next(_at)
LYING = next(_at)
"""How much lies on the heap."""
ROWS = next(_at)
ROWS_COUNT = next(_at)
ROWS_ROOM = next(_at)
FREE_EVENT = next(_at)
EVENTS_LEFT = next(_at)
FREE_WAVE = next(_at)
WAVES_LEFT = next(_at)
FREE_CHILD = next(_at)
CHILDREN_LEFT = next(_at)

# The world's numbers, the engine's settings and its limits: handed in, so that compiled code
# holds none.
SEED = next(_at)
EPOCH_US = next(_at)
LOW_US = next(_at)
HIGH_US = next(_at)
JITTER_US = next(_at)
RELINK_US = next(_at)
CONNECT_US = next(_at)
HOP_US = next(_at)
ACK_US = next(_at)
VISIT_US = next(_at)
RECALL_US = next(_at)
BUDGET_MOST_US = next(_at)
KEEPALIVE_US = next(_at)
MISSES = next(_at)
MESSAGES_PER_SECOND = next(_at)
SLOWEST_US = next(_at)
BURST = next(_at)
TOLERANCE = next(_at)
HOPS_MOST = next(_at)

HOSTS = next(_at)
"""Where the hosts' records begin: behind all this."""

# ---------------------------------------------------------------- a host

(
    HOST_UP, HOST_DARK, HOST_LIFE, HOST_ALARM, HOST_WAKE_AT, HOST_SEQUENCE, HOST_BOOT,
    HOST_TOKENS, HOST_NONCE, HOST_DELAY_US, HOST_ROWS, HOST_DUE_US,
    HOST_ENDS, HOST_ENDS_STOP, HOST_ORDER, HOST_PEERS,
    HOST_OPEN, HOST_HELD, HOST_WATCH_ORDER, HOST_KEEP_ORDER, HOST_HELD_ORDER, HOST_VISIT_ORDER,
    HOST_FIRST_WAVE, HOST_LAST_WAVE,
) = range(24)  # fmt: skip
HOST = 24
"""Tokens given out; rows of its archive's answer, -1 where it cannot be searched; its own budget;
where its ends lie, and the list of those that are linked, in the order in which they came up;
queries of its own that are open; answers kept and searches under way; counters of the agendas."""

# ---------------------------------------------------------------- one end of a link of the graph

(
    END_HOST, END_PEER, END_BACK, END_SERIAL, END_DIAL, END_KNOWN, END_HEARD_US, END_RTT_US,
    END_PINGED_US, END_NONCE, END_MISSES, END_KEEP_AT, END_KEEP_ORDER, END_WATCH_AT,
    END_WATCH_ORDER, END_FIRST_CHILD, END_LAST_CHILD, END_TOLD, END_ROAD,
) = range(19)  # fmt: skip
"""`END_KNOWN` is whether the engine has this neighbour, `END_SERIAL` the link that the world has;
`END_ROAD` is where the record of the control road begins."""

ROAD_SEQUENCE, ROAD_BUSY_UNTIL, ROAD_TABLE = range(3)
ROAD = ROAD_TABLE + TABLE
"""One direction between two hosts."""

END = END_ROAD + ROAD

# ---------------------------------------------------------------- two hosts

PAIR_SILENT, PAIR_DIRECT, PAIR_ROAD = range(3)
PAIR = 3
"""Whether one finds the other silent; whether there is a direct link (the smaller number first);
the place of the direct road, 0 if it has not been used."""

MEETING_BOOT, MEETING_DUE_US, MEETING_KNOCKED = range(3)
MEETING = 3
"""What a member keeps of an origin: its boot and budget; and when that one knocked there, + 1."""

# ---------------------------------------------------------------- waves and what they have sent

(
    WAVE_NUMBER, WAVE_HOST, WAVE_QUERY, WAVE_PARENT, WAVE_TOKEN, WAVE_DEADLINE, WAVE_ANSWERING,
    WAVE_FIRST_CHILD, WAVE_LAST_CHILD, WAVE_BEFORE, WAVE_AFTER, WAVE_HINTS, WAVE_HINT,
) = range(13)  # fmt: skip
WAVE = WAVE_HINT + HINTS
"""The parent is the end that the copy came by; -1 at the origin."""

(
    CHILD_TOKEN, CHILD_WAVE, CHILD_END, CHILD_SENT_AT, CHILD_ACKNOWLEDGED,
    CHILD_BEFORE, CHILD_AFTER, CHILD_OLDER, CHILD_YOUNGER,
) = range(9)  # fmt: skip
CHILD = 9
"""One copy sent on: before and after in its wave, older and younger on its link."""

# ---------------------------------------------------------------- queries

(
    COPY_BEST_TTL, COPY_SEARCHING, COPY_HOPS, COPY_DEADLINE, COPY_CALLER, COPY_CALLER_TOKEN,
    COPY_CALLER_WAVE, COPY_CALLER_NUMBER, COPY_RECALLER, COPY_RECALLER_TOKEN,
    COPY_RECALLER_DIRECT, COPY_KEPT, COPY_HELD_AT, COPY_HELD_ORDER,
) = range(14)  # fmt: skip
COPY = 14
"""What a host has of a query of somebody's. `COPY_KEPT` is the status of the answer given."""

(
    QUERY_OPEN, QUERY_ORIGIN, QUERY_PLAN, QUERY_TTL, QUERY_BUDGET_US, QUERY_ASKED_US,
    QUERY_DEADLINE, QUERY_BOOT, QUERY_RECALLING, QUERY_FAILED, QUERY_SPOILED, QUERY_ANSWERS,
    QUERY_ROWS, QUERY_TURN_AT, QUERY_END_AT, QUERY_FIRST_WAITING, QUERY_WAITING, QUERY_RECALLS,
    QUERY_ENDED, QUERY_ENDED_FAILED, QUERY_FINISHED, QUERY_RECALL,
) = range(22)  # fmt: skip

RECALL_QUERY, RECALL_TOKEN, RECALL_PEER, RECALL_VISIT_AT, RECALL_VISIT_ORDER = range(5)
RECALL_RECORD = 5

QUERY = QUERY_RECALL + RECALL_RECORD * RECALLS_AT_ONCE
"""A query of its origin's; its recalls lie in it, the oldest first."""

MEMBER_STATUS, MEMBER_SILENT, MEMBER_OUTSIDE, MEMBER_HOPS, MEMBER_TOOK_US = range(5)
MEMBER = 5
"""What an origin has of one member for one query."""

PLAN_ORIGIN, PLAN_BUDGET_US, PLAN_QUERY, PLAN_STEP, PLAN_STEPS, PLAN_TTL = range(6)
PLAN = PLAN_TTL + STEPS
"""A question that will be asked: one width, or several, one after the other."""

SCENE_AT, SCENE_ACT, SCENE_WHAT = range(3)
SCENE = 3

# ---------------------------------------------------------------- events, messages among them

(
    EVENT_ACT, EVENT_DST, EVENT_SRC, EVENT_NEXT, EVENT_ATTEMPT, EVENT_SERIAL, EVENT_KIND,
    EVENT_QUERY, EVENT_TOKEN, EVENT_TTL, EVENT_HOPS, EVENT_REMAINING_MS, EVENT_RESPONDER,
    EVENT_STATUS, EVENT_ROWS, EVENT_LIFE, EVENT_HINTS, EVENT_HINT,
) = range(18)  # fmt: skip
EVENT = EVENT_HINT + HINTS
