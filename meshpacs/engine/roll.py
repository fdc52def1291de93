"""The roll of members as the roster has it now, and what their roles let them do here."""

from collections.abc import Mapping

from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.member import Member


class Roll:
    """Read by every idea, changed by the engine alone."""

    def __init__(self, node: NodeId, members: Mapping[NodeId, Member], head: Digest) -> None:
        """`node` is this node's own name."""
        self.node = node
        self.members = members
        self.head = head
        self._answerers: int | None = None

    def change(self, members: Mapping[NodeId, Member], head: Digest) -> None:
        """Take these for the members from now on."""
        self.members, self.head, self._answerers = members, head, None

    @property
    def answerers(self) -> int:
        """How many members a query expects an answer of. Counted once for each roster."""
        if self._answerers is None:
            self._answerers = sum(member.answers for member in self.members.values())
        return self._answerers

    def __len__(self) -> int:
        """How many members there are."""
        return len(self.members)

    def __contains__(self, node: NodeId) -> bool:
        """Whether this is a member."""
        return node in self.members

    @property
    def answering(self) -> bool:
        """Whether this node itself holds an archive that queries are for."""
        return self.answers(self.node)

    def answers(self, node: NodeId) -> bool:
        """Whether a query expects an answer of this node."""
        member = self.members.get(node)
        return member is not None and member.answers

    def carries(self, node: NodeId) -> bool:
        """Whether Asks may travel over a link between this node and us (PROTOCOL 1.3)."""
        own, other = self.members.get(self.node), self.members.get(node)
        return own is not None and own.carries and other is not None and other.carries
