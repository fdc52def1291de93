"""What has been heard before: query ids against loops, counters against replays."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from meshpacs.model.ids import NodeId, QueryId
from meshpacs.model.limits import REMEMBERED_QUERIES, REPLAY_WINDOW


class Seen:
    """The queries that have passed here, with the largest TTL each copy still had.

    A repeat does not extend an id's life. If it did, two peers bouncing a query between them
    could keep it remembered for ever.
    """

    def __init__(self, limit: int = REMEMBERED_QUERIES) -> None:
        """Remember at most `limit` ids, the oldest forgotten first."""
        self._best: OrderedDict[QueryId, int] = OrderedDict()
        self._limit = limit

    def best(self, query_id: QueryId) -> int | None:
        """The largest TTL seen with this id; None if it is new."""
        return self._best.get(query_id)

    def note(self, query_id: QueryId, ttl: int) -> None:
        """Remember a copy that is acted upon."""
        self._best[query_id] = ttl
        if len(self._best) > self._limit:
            self._best.popitem(last=False)


@dataclass(slots=True)
class _Window:
    boot: int
    highest: int
    bits: int
    """Bit i is set if counter highest - i has been used."""


class Replay:
    """Per member the highest boot, and a window of counters within it (PROTOCOL 4.5)."""

    def __init__(self, boots: Mapping[NodeId, int]) -> None:
        """Begin with the boots that were kept durably."""
        self._windows = {node: _Window(boot, -1, 0) for node, boot in boots.items()}

    def fresh(self, node: NodeId, boot: int, counter: int) -> bool:
        """Whether this (boot, counter) has not been used; nothing is remembered."""
        window = self._windows.get(node)
        if window is None or boot > window.boot:
            return True
        if boot < window.boot:
            return False
        age = window.highest - counter
        return age < 0 or (age < REPLAY_WINDOW and not window.bits >> age & 1)

    def note(self, node: NodeId, boot: int, counter: int) -> bool:
        """Remember a (boot, counter) that was fresh; True if the boot is a new highest one."""
        window = self._windows.get(node)
        if window is None or boot > window.boot:
            self._windows[node] = _Window(boot, counter, 1)
            return True
        age = window.highest - counter
        if age < 0:
            # The jump is the member's choice, up to 2^63: nobody shifts by that.
            shift = min(-age, REPLAY_WINDOW)
            window.bits = (window.bits << shift | 1) & ((1 << REPLAY_WINDOW) - 1)
            window.highest = counter
        else:
            window.bits |= 1 << age
        return False
