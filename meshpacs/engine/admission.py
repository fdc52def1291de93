"""Whether a query that comes for the first time is acted upon (PROTOCOL 1.3, 4.5, 4.6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshpacs.engine.budget import TOLERANCE, Budget, interval_us
from meshpacs.engine.notary import Notary
from meshpacs.engine.roll import Roll
from meshpacs.engine.seen import Replay
from meshpacs.engine.settings import Settings
from meshpacs.engine.wall import Wall
from meshpacs.model.answer import Status
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import MeshId, Micros, NodeId
from meshpacs.model.member import ASKERS
from meshpacs.wire.bodies import ASK_CONTEXT, AskBody

HELD_BACK = frozenset({Status.BUSY, Status.SKEWED})
"""Who answers so has not sent the query on. PROTOCOL 4.5, 4.6."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do with a query."""

    status: Status
    """ANSWERED: evaluate it. Anything else is said to the origin as it is."""
    skew_us: Micros = 0

    @property
    def carried(self) -> bool:
        """Whether the query is sent on: not where the mesh is to be spared, or a clock is off."""
        return self.status not in HELD_BACK


class Admission:
    """Judges queries of others; remembers only those whose signature it has checked."""

    def __init__(
        self,
        mesh: MeshId,
        roll: Roll,
        wall: Wall,
        notary: Notary,
        boots: Mapping[NodeId, int],
        settings: Settings,
    ) -> None:
        """Begin with the boots kept durably."""
        self._mesh = mesh
        self._roll = roll
        self._wall = wall
        self._notary = notary
        self._replay = Replay(boots)
        self._budget = Budget(TOLERANCE)
        self._settings = settings

    def genuine(self, origin: NodeId, packed: bytes, signature: bytes) -> bool:
        """Whether a member has signed this; False if its name stands in no roster of ours.

        Raises:
            PeerFault: whoever sent this should have seen that it is forged.
        """
        if origin not in self._roll:
            return False
        if not self._notary.verify(origin, ASK_CONTEXT, packed, signature):
            raise PeerFault("A query's signature is wrong.")
        return True

    def judge(
        self,
        body: AskBody,
        packed: bytes,
        signature: bytes,
        *,
        now: Micros,
        neighbours: int,
        busy: bool,
    ) -> Ruling | None:
        """How to answer; None for not at all: an unknown origin, or a replay.

        An origin that is not in our roster may be in the sender's newer one, so that alone blames
        nobody.

        Raises:
            PeerFault: whoever sent this should have seen that it is forged; nothing is remembered.
        """
        if body.mesh != self._mesh:
            raise PeerFault("A query belongs to another mesh.")
        origin = self._roll.members.get(body.origin)
        if origin is None or not self.genuine(body.origin, packed, signature):
            return None
        if not self._replay.fresh(body.origin, body.boot, body.counter):
            return None
        skew = self._wall.at(now) - body.sent_at_us
        if abs(skew) > self._settings.skew_us:
            return Ruling(Status.SKEWED, skew)
        interval = interval_us(len(self._roll), neighbours)
        if busy or self._budget.wait_us(body.origin, now, interval):
            return Ruling(Status.BUSY)
        self._budget.spend(body.origin, now, interval)
        return Ruling(Status.ANSWERED if origin.role in ASKERS else Status.REFUSED)

    def note(self, body: AskBody) -> bool:
        """Remember a query that is answered; True if its boot number must be kept durably."""
        return self._replay.note(body.origin, body.boot, body.counter)
