"""Members of a mesh and what their roles let them do (protocol 1.3)."""

from dataclasses import dataclass
from enum import StrEnum

from meshpacs.model.ids import NodeId


class Role(StrEnum):
    """What a member may do; enforced by whoever receives."""

    MEMBER = "member"
    """Asks, answers, holds, carries."""
    CUSTODIAN = "custodian"
    """Carries queries and will hold sealed copies."""
    RELAY = "relay"
    """Carries queries and nothing else."""
    RESEARCHER = "researcher"
    """A leaf: neither asks nor carries over its links; kept for research, later."""
    OBSERVER = "observer"
    """A leaf that watches the mesh's health."""


CARRIERS = frozenset({Role.MEMBER, Role.CUSTODIAN, Role.RELAY})
ANSWERERS = frozenset({Role.MEMBER})
ASKERS = frozenset({Role.MEMBER})


@dataclass(frozen=True, slots=True)
class Member:
    """One member as everybody may see it."""

    node: NodeId
    name: str
    role: Role
    addresses: tuple[str, ...] = ()
    """`host:port`, IPv6 in brackets; the newest record's, best first."""
    version: str = ""
    destinations: tuple[str, ...] = ()
    """AE titles of DICOM machines that it sends to for others (PROTOCOL 12.1)."""

    @property
    def carries(self) -> bool:
        """Whether Asks may travel over a link with this member."""
        return self.role in CARRIERS

    @property
    def answers(self) -> bool:
        """Whether this member holds an archive that a query is for."""
        return self.role in ANSWERERS
