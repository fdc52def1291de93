"""Which admissions are kept: of each grant the first two nodes that redeemed it (PROTOCOL 1.5).

One redemption makes a member, two suspend both, and a third says nothing new. So whoever holds an
invite can make the roster longer by two items, never by thousands. All nodes agree on what counts:
on whether a grant was redeemed, by whom if by one node, and that it was by several. Which two of
many they have heard of first may differ, and is not compared.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import GRANTS_OF_ONE
from meshpacs.wire.admission import Admission

SHOWN = 2
"""Nodes kept of one grant: as many as prove that it was redeemed twice."""


@dataclass(slots=True)
class Redemptions:
    """Admissions by the grant that they redeem. What is kept is never dropped."""

    _nodes: dict[Digest, dict[NodeId, Admission]] = field(default_factory=dict)
    _marks: dict[Digest, Digest] = field(default_factory=dict)
    """What a grant has come to, as it is compared with other nodes."""
    _granted: dict[bytes, int] = field(default_factory=dict)
    """A founder's fingerprint to how many of its grants were redeemed."""

    def __iter__(self) -> Iterator[Admission]:
        """All of them."""
        return (admission for nodes in self._nodes.values() for admission in nodes.values())

    def keep(self, admission: Admission) -> str | None:
        """Keep it and return None; or say why not; or "" if it changes nothing."""
        grant, node = admission.grant, admission.keys.node
        nodes = self._nodes.get(grant.digest, {})
        if node in nodes or len(nodes) >= SHOWN:
            return ""
        if not nodes:
            used = self._granted.get(grant.founder, 0)
            if used >= GRANTS_OF_ONE:
                return "As many grants of this founder were redeemed as may be."
            self._granted[grant.founder] = used + 1
        self._nodes[grant.digest] = nodes | {node: admission}
        # Neither who admitted it nor when: any two admissions of one node by one grant say the
        # same. Nor who the several are, as nodes may have heard of different ones.
        told = node if not nodes else b"several"
        mark = b"meshpacs/redeemed/1\0" + grant.digest + told
        self._marks[grant.digest] = Digest(hashlib.sha256(mark).digest())
        return None

    def of(self, node: NodeId) -> tuple[Admission, ...]:
        """The admissions of one node."""
        return tuple(admission for admission in self if admission.keys.node == node)

    def marks(self) -> tuple[Digest, ...]:
        """One digest for each redeemed grant, sorted."""
        return tuple(sorted(self._marks.values()))

    def marked(self) -> Iterator[tuple[Digest, tuple[Admission, ...]]]:
        """Each mark, and what another node needs to come to it."""
        for grant, nodes in self._nodes.items():
            yield self._marks[grant], tuple(nodes.values())

    def alone(self) -> Iterator[NodeId]:
        """The nodes that are the only ones to have redeemed some grant."""
        for nodes in self._nodes.values():
            if len(nodes) == 1:
                yield from nodes
