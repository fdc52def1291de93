"""Every mesh message, on one page (PROTOCOL 3).

A message is a u8 type and an array of its fields in this order. Types below 128 ask for an
answer and get one, by `Unsupported` if by nothing else; types from 128 may be ignored by who
does not know them. Fields are only ever appended, with a default: unknown trailing fields are
ignored. What is signed is a `bytes` field, forwarded byte for byte.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from meshpacs.model.delivery import Ending, Order
from meshpacs.model.ids import Digest, Micros, NodeId, QueryId


class Purpose(IntEnum):
    """What a link is for (PROTOCOL 2.3)."""

    CONTROL = 1
    """An edge of the overlay: queries flood over it."""
    BULK = 2
    """Studies; never shares a link with anything else."""
    DIRECT = 3
    """Control messages between members who are not neighbours: recalls. No edge."""
    JOIN = 4
    """A stranger with an invite asks to be admitted; nothing else is answered."""
    DELIVERY = 5
    """One order to send to a DICOM machine of the other side's (PROTOCOL 12)."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first encrypted frame each way."""

    TYPE: ClassVar[int] = 1
    purpose: int
    boot: int
    version: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One copy of a query on one link (PROTOCOL 4)."""

    TYPE: ClassVar[int] = 2
    token: int
    """Names this copy on this link, for Got, Part and Closed; the sender's choice."""
    ttl: int
    """Hops this copy may still go after the receiver; 0 in mode everyone."""
    hops: int
    """Links this copy has crossed when it arrives, at least 1."""
    remaining_ms: int
    """Time until nobody waits any more, relative, falling by every hop."""
    body: bytes
    """An encoded `AskBody`, as its origin signed it."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class Recall:
    """Give (again) the answer to this query, directly; never evaluated twice (PROTOCOL 5.3)."""

    TYPE: ClassVar[int] = 3
    token: int
    remaining_ms: int
    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? (PROTOCOL 2.5)."""

    TYPE: ClassVar[int] = 4
    nonce: int


@dataclass(frozen=True, slots=True)
class Got:
    """An Ask or Recall has arrived; the answer may take its time (PROTOCOL 2.5)."""

    TYPE: ClassVar[int] = 128
    token: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more will come for this token; exactly one for each (PROTOCOL 4.4)."""

    TYPE: ClassVar[int] = 129
    token: int
    unreached: tuple[NodeId, ...] = ()
    """Members whose branch failed behind this one: a hint, never a proof."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of one holder's sealed answer, going back along the ask's path (PROTOCOL 5.1)."""

    TYPE: ClassVar[int] = 130
    token: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """Here, and this late is my wall clock."""

    TYPE: ClassVar[int] = 131
    nonce: int
    wall_us: Micros


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A message type below 128 that this node does not know."""

    TYPE: ClassVar[int] = 132
    type: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """The origin has lost interest; follows the ask's path (PROTOCOL 5.2)."""

    TYPE: ClassVar[int] = 133
    query_id: QueryId


# ---------------------------------------------------------------- roster (PROTOCOL 1.2)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """How far one founder's chain is known: the founder's key, entries, the last one's hash."""

    founder: bytes
    length: int
    last: Digest


@dataclass(frozen=True, slots=True)
class Heads:
    """What is known of the roster; the first message on every link, and after every change."""

    TYPE: ClassVar[int] = 5
    chains: tuple[ChainHead, ...]
    admissions: Digest
    """SHA-256 over the sorted digests of all admissions known."""
    records: Digest
    """SHA-256 over the sorted (node, number) of all node records known."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests behind a `Heads` that differed: of admissions, and numbers of records."""

    TYPE: ClassVar[int] = 6
    admissions: tuple[Digest, ...]
    records: tuple[tuple[NodeId, int], ...]
    part: int = 0
    parts: int = 1
    """Large rosters are compared in parts: those names whose first byte, times `parts`, divided
    by 256, is `part`."""


@dataclass(frozen=True, slots=True)
class RosterNews:
    """Entries, admissions and node records that the other side lacks; each is signed."""

    TYPE: ClassVar[int] = 134
    entries: tuple[bytes, ...]
    admissions: tuple[bytes, ...]
    records: tuple[bytes, ...]
    last: bool = True
    """The end of one answer, to a `Heads` that differed or to a `Digests`; may be empty."""


@dataclass(frozen=True, slots=True)
class Knock:
    """On a join link: a joiner's grant and its key statement, signed with the invite's key."""

    TYPE: ClassVar[int] = 7
    grant: bytes
    statement: bytes
    redemption: bytes
    """The invite key's signature over the statement (context "meshpacs/redeem/1")."""
    record: bytes = b""
    """The joiner's first node record, so that its name is known from the start."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """On a join link: admitted. All that a member must know."""

    TYPE: ClassVar[int] = 135
    mesh_secret: bytes = field(repr=False)
    admission: bytes


@dataclass(frozen=True, slots=True)
class Sorry:
    """On a join link: not admitted, and why (the joiner has proven that it holds an invite)."""

    TYPE: ClassVar[int] = 136
    reason: str


# ---------------------------------------------------------------- bulk links (PROTOCOL 9)


@dataclass(frozen=True, slots=True)
class WantManifests:
    """All manifests that you know for these studies, your own brought up to date first."""

    TYPE: ClassVar[int] = 16
    request: int
    studies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifests:
    """Signed manifests, one message for each study asked for, in order; large ones in pieces."""

    TYPE: ClassVar[int] = 144
    request: int
    study: str
    signed: tuple[bytes, ...]
    more: bool
    """Further messages for this study follow."""
    unfinished: bool = False
    """The last of `signed` goes on with the first of the next message."""
    held: bytes = b""
    """In the last message: which of the entries the sender itself holds, visible. One bit for
    each distinct entry of all these manifests, sorted, lowest bit first; empty: all of them."""


@dataclass(frozen=True, slots=True)
class WantLeaves:
    """The leaf lists of these contents; only for contents of more than one leaf."""

    TYPE: ClassVar[int] = 17
    request: int
    roots: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Leaves:
    """One content's leaf list: 32 bytes a leaf; empty if it is not here."""

    TYPE: ClassVar[int] = 145
    request: int
    root: Digest
    leaves: bytes


@dataclass(frozen=True, slots=True)
class WantChunks:
    """Leaves `first` to `first + count - 1` of one content each, sent in this order."""

    TYPE: ClassVar[int] = 18
    request: int
    ranges: tuple[tuple[Digest, int, int], ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One leaf's bytes, at most 1 MiB."""

    TYPE: ClassVar[int] = 146
    request: int
    root: Digest
    index: int
    data: bytes | bytearray | memoryview
    """In memory where it was read or received: a leaf is not copied on its way."""


@dataclass(frozen=True, slots=True)
class Missing:
    """This holder cannot give this content (any more): look elsewhere."""

    TYPE: ClassVar[int] = 147
    request: int
    root: Digest


# ---------------------------------------------------------------- delivery links (PROTOCOL 12)


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send these to a machine of yours; the first message, and one a link."""

    TYPE: ClassVar[int] = 19
    order: Order


@dataclass(frozen=True, slots=True)
class Delivering:
    """How far it is. Also said where nothing has changed: a sign of life."""

    TYPE: ClassVar[int] = 148
    total: int
    """0 until it is known, then fixed."""
    completed: int
    warning: int
    failed: tuple[str, ...] = ()
    """SOP Instance UIDs that have failed since the last of these messages."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The end."""

    TYPE: ClassVar[int] = 149
    ending: Ending


@dataclass(frozen=True, slots=True)
class StopDelivering:
    """Nobody wants the rest; it is answered by the end as soon as that can be."""

    TYPE: ClassVar[int] = 150


Message = (
    Hello | Ask | Recall | Ping | Got | Closed | Part | Pong | Unsupported | Cancel
    | Heads | Digests | RosterNews | Knock | Welcome | Sorry
    | WantManifests | Manifests | WantLeaves | Leaves | WantChunks | Chunk | Missing
    | Deliver | Delivering | Delivered | StopDelivering
)  # fmt: skip

FIRST_NOTICE = 128
"""Types from here on may be ignored by a receiver who does not know them."""
