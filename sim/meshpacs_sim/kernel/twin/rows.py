"""What is compared: one row of whole numbers for everything that happens, on either side.

    when, kind, host, peer, link, query, and four numbers that depend on the kind

A link is the serial of a control link, 0 where there was none (the message was dropped), or -1
for a direct one. Queries are numbered as they are asked.
"""

WIDTH = 10

# ---------------------------------------------------------------- messages: host posts to peer
ASK = 1
"""Token, TTL, hops, remaining milliseconds."""
GOT = 2
"""Token."""
PART = 3
"""Token."""
CLOSED = 4
"""Token, how many it names as unreached, and a fold of their numbers."""
RECALL = 5
"""Token, remaining milliseconds."""
CANCEL = 6
PING = 7
"""Nonce."""
PONG = 8
"""Nonce."""

# ---------------------------------------------------------------- what a host learns or does
LINKED = 20
UNLINKED = 21
STARTED = 22
CRASHED = 23
ASKED = 24
"""TTL of the ball (0: everyone), budget in microseconds."""
SEARCHING = 25
FOUND = 26
"""Rows; -1 if the archive could not be searched."""
FINISHED = 27
"""Microseconds taken, members that answered, a fold of all members' lines, and marks."""

NAMES = {
    ASK: "Ask", GOT: "Got", PART: "Part", CLOSED: "Closed", RECALL: "Recall", CANCEL: "Cancel",
    PING: "Ping", PONG: "Pong", LINKED: "linked", UNLINKED: "unlinked", STARTED: "started",
    CRASHED: "crashed", ASKED: "asked", SEARCHING: "searching", FOUND: "found",
    FINISHED: "finished",
}  # fmt: skip

# ---------------------------------------------------------------- members' lines in a final
ANSWERED, BUSY, FAILED, OUTSIDE, UNREACHABLE = 1, 2, 3, 4, 5

CANCELLED, DOUBTFUL = 1, 2
"""Marks of a final, added."""

MASK = (1 << 56) - 1
"""A fold is fold * 31 + number, cut to so many bits: 31 of them still fit a signed word."""
