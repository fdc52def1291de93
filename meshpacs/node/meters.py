"""What is counted of each peer, over all its links since this node started."""

from collections.abc import Callable
from dataclasses import dataclass

from meshpacs.model.ids import Micros, NodeId
from meshpacs.model.limits import MEMBERS
from meshpacs.node.counters import Counters


@dataclass(slots=True)
class Meter:
    """One peer's counts and its last trouble."""

    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int = 0
    messages_out: int = 0
    dropped: int = 0
    blamed: int = 0
    last_seen_us: Micros = 0
    """Unix microseconds; 0 for never."""
    last_error: str = ""
    last_error_us: Micros = 0
    mend: str = ""

    def trouble(self, what: str, mend: str, wall_us: Micros) -> None:
        """Remember the last thing that went wrong with this peer, and what helps."""
        self.last_error = what
        self.last_error_us = wall_us
        self.mend = mend

    def reached(self) -> None:
        """A link is up: that it could not be had before is over. A breach stays shown."""
        if not self.blamed:
            self.last_error = self.mend = ""

    def seen(self, wall_us: Micros) -> None:
        """Something came from this peer."""
        self.last_seen_us = max(self.last_seen_us, wall_us)


class Meters:
    """A meter for each peer; strangers get none, so the roster's limit bounds them."""

    def __init__(self, wall: Callable[[], Micros]) -> None:
        """`wall` gives Unix microseconds."""
        self.wall = wall
        self.counters = Counters()
        self._meters: dict[NodeId, Meter] = {}

    def of(self, peer: NodeId) -> Meter:
        """This peer's meter, made at the first asking; the oldest goes when there are too many."""
        meter = self._meters.get(peer)
        if meter is None:
            if len(self._meters) >= MEMBERS:
                del self._meters[next(iter(self._meters))]
            meter = self._meters[peer] = Meter()
        return meter
