"""What founders decide: signed entries, one hash chain a founder (PROTOCOL 1.2).

An entry names an act and its terms. The same act on the same terms in the chains of enough
founders takes effect; the roster counts. Acts that this version does not know are kept and
passed on, without effect.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from meshpacs.model.errors import LocalFault, PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId
from meshpacs.model.limits import FOUNDERS, NAME_CHARACTERS, ROSTER_ITEM_BYTES
from meshpacs.model.member import Role
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.keys import (
    KEY_BYTES,
    NO_MESH,
    NOTHING_BEFORE,
    FounderKey,
    Keys,
    Signed,
    Statement,
    read_chain,
    verify,
)

ENTRY_CONTEXT = b"meshpacs/entry/1"


class BadEntry(PeerFault):
    """A roster entry that nobody could have meant."""


class Act(StrEnum):
    """What an entry does."""

    FOUND = "found"
    """The genesis: the mesh begins."""
    FOUNDER = "founder"
    """A further founder."""
    ADD = "add"
    """A member, without an invite: the first node, or one that is to be kept."""
    INVITE = "invite"
    """Consent to another founder's grant, where more than one founder must sign."""
    ROLE = "role"
    """Another role for a member."""
    REVOKE = "revoke"
    """A member is one no more, ever."""
    REMOVE = "remove"
    """A founder is one no more."""
    CLOSE = "close"
    """An invite is withdrawn, and whoever came in by it with it."""
    HOLD = "hold"
    """Keep a study. Reserved: kept and passed on, without effect yet."""


@dataclass(frozen=True, slots=True)
class Found:
    """Terms of FOUND. The mesh's id is the digest of the entry that carries them."""

    name: str
    founders: tuple[bytes, ...]
    """Ed25519 keys; the author's is among them."""
    threshold: int
    """How many founders must sign for an act to take effect."""
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Founder:
    """Terms of FOUNDER."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Add:
    """Terms of ADD."""

    statement: bytes
    """The node's first key statement, packed."""
    role: str


@dataclass(frozen=True, slots=True)
class Invited:
    """Terms of INVITE."""

    grant: Digest
    """SHA-256 of the grant's body."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Terms of ROLE."""

    node: NodeId
    role: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """Terms of REVOKE."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Remove:
    """Terms of REMOVE: entries beyond `length` and all grants of this founder are void."""

    key: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Close:
    """Terms of CLOSE."""

    invite: bytes
    """The invite's public key."""


Terms = Found | Founder | Add | Invited | Assign | Revoke | Remove | Close

TERMS: dict[str, type[Terms]] = {
    Act.FOUND: Found,
    Act.FOUNDER: Founder,
    Act.ADD: Add,
    Act.INVITE: Invited,
    Act.ROLE: Assign,
    Act.REVOKE: Revoke,
    Act.REMOVE: Remove,
    Act.CLOSE: Close,
}

ACTS: dict[type[Terms], str] = {terms: act for act, terms in TERMS.items()}


@dataclass(frozen=True, slots=True)
class EntryBody:
    """One link of a founder's chain."""

    founder: bytes
    number: int
    """1 for the first, then one more each time."""
    previous: Digest
    """The digest of the entry before. For the first: the mesh's id, or zeros in the genesis."""
    act: str
    terms: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that has been read and whose signature fits."""

    packed: bytes
    digest: Digest
    body: EntryBody
    terms: Terms | None
    """None for an act that this version does not know."""
    keys: Keys | None = None
    """ADD: those of the node that is added."""


def read_entry(packed: bytes, mesh: MeshId) -> Entry:
    """Read one entry of this mesh and verify its founder's signature.

    Whether that founder is one is the roster's to say.

    Raises:
        BadEntry: the signature does not fit, or the terms make no sense.
        BadKeys: the statement of a node that is added is not sound.
        Malformed: it cannot be read.
    """
    if len(packed) > ROSTER_ITEM_BYTES:
        raise BadEntry(f"A roster entry has {len(packed)} bytes.")
    signed = unpack(Signed, packed)
    body = unpack(EntryBody, signed.body)
    genesis = body.act == Act.FOUND
    covered = NO_MESH if genesis else mesh
    if not verify(body.founder, ENTRY_CONTEXT, covered, signed.body, signed.signature):
        raise BadEntry("A roster entry is not signed by the founder whom it names.")
    if genesis and bytes(signed.digest) != mesh:
        raise BadEntry("A genesis entry belongs to another mesh.")
    kind = TERMS.get(body.act)
    terms = None if kind is None else unpack(kind, body.terms)
    if isinstance(terms, Found):
        _check_found(body, terms)
    elif body.number < 1:
        raise BadEntry("A roster entry has no number.")
    keys = read_chain((terms.statement,)) if isinstance(terms, Add) else None
    return Entry(packed, signed.digest, body, terms, keys)


def added_node(add: Add) -> NodeId:
    """The node that is added, from terms that have been read before."""
    return NodeId(hashlib.sha256(unpack(Statement, add.statement).body).digest())


def _check_found(body: EntryBody, terms: Found) -> None:
    founders = dict.fromkeys(terms.founders)
    sound = (
        body.number == 1
        and body.previous == NOTHING_BEFORE
        and body.founder in founders
        and len(founders) == len(terms.founders) <= FOUNDERS
        and all(len(key) == KEY_BYTES for key in founders)
        and 1 <= terms.threshold <= len(founders)
        and readable(terms.name, NAME_CHARACTERS)
    )
    if not sound:
        raise BadEntry("A genesis entry makes no sense.")


def readable(name: str, most: int) -> bool:
    """Whether a name may be shown to people: some printable characters, no control codes."""
    return 0 < len(name) <= most and name.isprintable() and name == name.strip()


def write_entry(
    key: FounderKey, mesh: MeshId, number: int, previous: Digest, terms: Terms
) -> bytes:
    """A signed entry; `mesh` is `NO_MESH` for the genesis."""
    body = pack(EntryBody(key.public, number, previous, ACTS[type(terms)], pack(terms)))
    return pack(Signed(body, key.sign(ENTRY_CONTEXT, mesh, body)))


def found(
    key: FounderKey,
    name: str,
    nonce: bytes,
    *,
    others: tuple[bytes, ...] = (),
    threshold: int = 1,
) -> tuple[MeshId, bytes]:
    """A new mesh: its id and its genesis entry. `others` are further founders' public keys.

    Raises:
        LocalFault: the name cannot be shown, or nobody could ever reach the threshold.
    """
    terms = Found(name, (key.public, *others), threshold, nonce)
    packed = write_entry(key, NO_MESH, 1, NOTHING_BEFORE, terms)
    mesh = MeshId(hashlib.sha256(unpack(Signed, packed).body).digest())
    try:
        read_entry(packed, mesh)
    except BadEntry as error:
        raise LocalFault(
            f"A mesh cannot be founded with the name {name!r}, {1 + len(others)} founders "
            f"and {threshold} of them needed.",
            f"Choose a name of at most {NAME_CHARACTERS} printable characters.",
        ) from error
    return mesh, packed


PRIVILEGE = (Role.OBSERVER, Role.RESEARCHER, Role.RELAY, Role.CUSTODIAN, Role.MEMBER)
"""From the least to the most. Where founders differ, the lesser role holds (PROTOCOL 1.2)."""


def role_of(text: str) -> Role:
    """A role by its name; one that this version does not know may do the least."""
    try:
        return Role(text)
    except ValueError:
        return Role.OBSERVER
