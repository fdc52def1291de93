"""How often somebody may ask everyone (PROTOCOL 4.6)."""

from meshpacs.model.ids import SECOND, Micros, NodeId

MESSAGES_PER_SECOND = 5_000
"""Asks that one origin may cause in the whole mesh, a second. Protocol 4.6."""

SLOWEST_US: Micros = 10 * SECOND
"""However large the mesh, one query in ten seconds is always allowed. Protocol 4.6."""

BURST = 20
"""Queries at once before the rate bites. A guess: a workstation's worklist and its priors."""

TOLERANCE = 4
"""Forwarders allow so many times an origin's own budget: their estimates of the mesh differ."""


def interval_us(members: int, neighbours: int) -> Micros:
    """Microseconds between two queries to everyone, in a mesh of this size.

    A flood costs 2E - n + 1 Asks. Nobody knows E, the number of links; we take every member
    to have as many neighbours as we do.
    """
    cost = max(members * neighbours - members + 1, 1)
    return min(SLOWEST_US, cost * SECOND // MESSAGES_PER_SECOND)


class Budget:
    """The generic cell rate algorithm (ITU-T I.371) for each origin, in whole microseconds."""

    def __init__(self, tolerance: int = 1) -> None:
        """Allow `tolerance` times the rate and the burst."""
        self._tolerance = tolerance
        self._due: dict[NodeId, Micros] = {}

    def wait_us(self, origin: NodeId, now: Micros, interval: Micros) -> Micros:
        """How long this origin must wait before it may ask again; 0 if it may now."""
        interval //= self._tolerance
        due = self._due.get(origin, now)
        return max(0, due - now - interval * (BURST * self._tolerance - 1))

    def spend(self, origin: NodeId, now: Micros, interval: Micros) -> None:
        """Count one query."""
        due = max(self._due.get(origin, now), now)
        self._due[origin] = due + interval // self._tolerance
