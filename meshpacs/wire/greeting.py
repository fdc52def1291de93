"""What the handshake carries: the clear opening, the claims, the credentials (PROTOCOL 2.1).

    dialer                                        door
      opening, message 1 (a claim)       →
                                         ←        message 2 (credentials, or a proof)
      message 3 (credentials), Hello     →
                                         ←        Hello

The opening names the protocol's version, and for a joiner the invite's public key. Each message
stands behind a u16 length. Message 1 is answered only if its claim is that of a member to this very
node, or of somebody who holds an unused invite's seed; and only once.
"""

import hashlib
from dataclasses import dataclass

from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId
from meshpacs.wire.keys import Chain

JOIN_CONTEXT = b"meshpacs/join/1"

MEMBER_OPENING = b"mesh\x01"
"""What a member sends first: magic and version 1."""
JOIN_OPENING = b"mesh\x41"
"""What a joiner sends first, and then its invite's public key."""
OPENING_BYTES = 5
INVITE_KEY_BYTES = 32


def prologue(mesh: MeshId, opening: bytes) -> bytes:
    """What both sides must agree on beforehand: magic, version, mesh (PROTOCOL 2.1)."""
    return b"meshpacs/link/1\0" + mesh + opening


@dataclass(frozen=True, slots=True)
class Claim:
    """Message 1 of a member. Who has the mesh's secret can read it; nothing in it is proven."""

    target: NodeId
    """Whom it is for, so that what was recorded at one node is no use at another."""
    node: NodeId
    boot: int
    dial: int
    """Counts this boot's dials."""
    admissions: tuple[bytes, ...] = ()
    """The dialer's own, for a member that has not heard of it yet."""


@dataclass(frozen=True, slots=True)
class JoinClaim:
    """Message 1 of a joiner, who does not say who it is before it knows who answers."""

    grant: bytes
    """A packed `Signed`."""
    tag: Digest
    """The joiner's name, blinded: one who lost its Welcome may come again, nobody else."""
    proof: bytes
    """By the invite's key over tag and ephemeral key: the seed is here, not only a capture."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Message 2 and 3 between members, and message 3 of a joiner."""

    chain: Chain


@dataclass(frozen=True, slots=True)
class Proof:
    """Message 2 to a joiner: that this node is a member, back to the mesh's id."""

    chain: Chain
    entries: tuple[bytes, ...]
    admissions: tuple[bytes, ...]
    records: tuple[bytes, ...]


def join_tag(invite: bytes, node: NodeId) -> Digest:
    """A joiner's name, blinded by the invite's public key."""
    return Digest(hashlib.sha256(b"meshpacs/joiner/1\0" + invite + node).digest())


class Refused(PeerFault):
    """Somebody who is not let in; `what` says why, on our side only."""
