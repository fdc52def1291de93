"""Which of two control links with one peer stays (PROTOCOL 2.3)."""

from dataclasses import dataclass
from typing import Protocol

from meshpacs.model.ids import NodeId
from meshpacs.model.limits import HANDSHAKE_S

OVERLAP_S = HANDSHAKE_S + 2
"""Links that became ready within this time were dialled at the same time: no dial takes longer
than a handshake may, and two sides see both links become ready a round trip apart at most."""


class Rival(Protocol):
    """A link as far as precedence is concerned."""

    @property
    def boot(self) -> int:
        """The peer's boot number."""
        ...

    @property
    def outbound(self) -> bool:
        """Whether we dialled it."""
        ...

    @property
    def ready_s(self) -> float:
        """When its greetings were over, trio's clock."""
        ...


@dataclass(frozen=True, slots=True)
class Precedence:
    """Decides alike on both sides, without a word between them."""

    node: NodeId
    """Ourselves."""

    def prefers(self, peer: NodeId, new: Rival, old: Rival) -> bool:
        """Whether the new link replaces the old one; else the new one is to be closed."""
        if new.boot != old.boot:
            return new.boot > old.boot  # the peer has started again: the old link is a ghost
        if new.outbound == old.outbound or new.ready_s - old.ready_s >= OVERLAP_S:
            return True  # one side has dialled anew, so for that side the old link is gone
        # Both have dialled at the same time: the smaller node's dial wins on both sides.
        return new.outbound == (self.node < peer)
