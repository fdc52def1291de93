"""Who signs: key statements, node identities, founders' keys (PROTOCOL 1.1, 1.4).

A node's name is the SHA-256 of its first key statement, so its keys can change under one name:
each later statement is vouched for by the signing key before it. A founder's key is no node's
key. Private halves leave this file only by `pack`, for files of mode 0600; none of the classes
shows them when printed.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from nacl.utils import random as random_bytes

from meshpacs.model.errors import Damaged, LocalFault, MeshError, PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId
from meshpacs.model.limits import STATEMENTS
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.noise import KeyPair

STATEMENT_CONTEXT = b"meshpacs/keys/1"
VOUCH_CONTEXT = b"meshpacs/vouch/1"

NO_MESH = MeshId(bytes(32))
"""Stands where a signature is made before there is a mesh: key statements and the genesis."""

NOTHING_BEFORE = Digest(bytes(32))
"""The previous statement's or entry's digest, where there is none."""

KEY_BYTES = 32
FINGERPRINT_BYTES = 16

IDENTITY_MAGIC = b"meshpacs identity 1\n"
FOUNDER_MAGIC = b"meshpacs founder 1\n"

PAPER_PREFIX = "MPFK"
PAPER_GROUP = 4
"""Characters in a row on paper, then a hyphen."""

T = TypeVar("T")


class BadKeys(PeerFault):
    """Key statements that do not hang together; the sentence says where."""


# ---------------------------------------------------------------- signatures


def _covered(context: bytes, mesh: MeshId, body: bytes) -> bytes:
    # A context holds no zero byte and a mesh id has one length, so no two triples collide.
    return context + b"\0" + mesh + body


def sign(key: SigningKey, context: bytes, mesh: MeshId, body: bytes) -> bytes:
    """An Ed25519 signature of 64 bytes over context, mesh and body."""
    return key.sign(_covered(context, mesh, body)).signature


def verify(public: bytes, context: bytes, mesh: MeshId, body: bytes, signature: bytes) -> bool:
    """Whether the holder of this Ed25519 key signed the body in this context and mesh."""
    try:
        VerifyKey(public).verify(_covered(context, mesh, body), signature)
    except (BadSignatureError, ValueError):  # ValueError: a key or signature of another length
        return False
    return True


@dataclass(frozen=True, slots=True)
class Signed:
    """An opaque body, forwarded byte for byte, and a signature over it."""

    body: bytes
    signature: bytes

    @property
    def digest(self) -> Digest:
        """SHA-256 of the body alone: whoever can sign can make several valid signatures."""
        return Digest(hashlib.sha256(self.body).digest())


def fingerprint(founder: bytes) -> bytes:
    """Sixteen bytes that stand for a founder's public key, in grants and to people."""
    return hashlib.sha256(b"meshpacs/founder/1\0" + founder).digest()[:FINGERPRINT_BYTES]


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """A node's public keys, as it states them itself."""

    number: int
    """1 for the first, then one more each time."""
    signing: bytes
    """Ed25519."""
    link: bytes
    """X25519, the static key of this node's handshakes."""
    previous: Digest
    """SHA-256 of the statement's body before; zeros for the first."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A packed `KeyStatement` with its signatures."""

    body: bytes
    signature: bytes
    """By the statement's own signing key: it is held by who states it."""
    vouched: bytes = b""
    """By the signing key before; empty for the first statement."""


Chain = tuple[bytes, ...]
"""All packed `Statement`s of one node, the first first."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a node's verified chain of statements comes to."""

    node: NodeId
    number: int
    signing: bytes
    link: bytes
    signers: tuple[bytes, ...]
    """All signing keys, the newest last: old signatures do not lapse with a key."""


@lru_cache(maxsize=4096)
def read_chain(chain: Chain) -> Keys:
    """Verify a node's statements from the first on; its newest keys.

    Raises:
        BadKeys: they do not hang together.
        Malformed: one of them cannot be read.
    """
    if not 1 <= len(chain) <= STATEMENTS:
        raise BadKeys(f"A node shows {len(chain)} key statements; 1 to {STATEMENTS} are read.")
    node = NodeId(NOTHING_BEFORE)
    before: KeyStatement | None = None
    previous = NOTHING_BEFORE
    signers: list[bytes] = []
    for number, packed in enumerate(chain, start=1):
        outer = unpack(Statement, packed)
        inner = unpack(KeyStatement, outer.body)
        if inner.number != number or inner.previous != previous:
            raise BadKeys(f"Key statement {number} does not follow the one before.")
        if len(inner.link) != KEY_BYTES:
            raise BadKeys(f"Key statement {number} has no link key.")
        if not verify(inner.signing, STATEMENT_CONTEXT, NO_MESH, outer.body, outer.signature):
            raise BadKeys(f"Key statement {number} is not signed by the key that it states.")
        if before is None:
            node = NodeId(hashlib.sha256(outer.body).digest())
        elif not verify(before.signing, VOUCH_CONTEXT, NO_MESH, outer.body, outer.vouched):
            raise BadKeys(f"Key statement {number} is not vouched for by the key before.")
        signers.append(inner.signing)
        before, previous = inner, Digest(hashlib.sha256(outer.body).digest())
    assert before is not None
    return Keys(node, before.number, before.signing, before.link, tuple(signers))


# ---------------------------------------------------------------- a node's private halves


@dataclass(frozen=True, slots=True, repr=False)
class _IdentityFile:
    seed: bytes
    link: bytes
    chain: Chain


class Identity:
    """A node's private keys and the statements that name their public halves."""

    __slots__ = ("_seed", "_signing", "chain", "keys", "link")

    def __init__(self, seed: bytes, link: bytes, chain: Chain) -> None:
        """From an Ed25519 seed and an X25519 private key, 32 bytes each.

        Raises:
            BadKeys: the newest statement names other keys.
        """
        self._seed = seed
        self._signing = SigningKey(seed)
        self.link = KeyPair.of(link)
        self.chain = chain
        self.keys = read_chain(chain)
        named = (self.keys.signing, self.keys.link)
        if named != (bytes(self._signing.verify_key), self.link.public):
            raise BadKeys("The newest key statement names other keys than these.")

    @classmethod
    def create(cls, entropy: bytes | None = None) -> "Identity":
        """A new node; 64 bytes of `entropy` make it the same one again, for tests."""
        return cls._following(entropy or random_bytes(64), (), None)

    @classmethod
    def _following(cls, entropy: bytes, chain: Chain, before: SigningKey | None) -> "Identity":
        signing, link = SigningKey(entropy[:KEY_BYTES]), KeyPair.of(entropy[KEY_BYTES:])
        previous = NOTHING_BEFORE
        if chain:
            last = unpack(Statement, chain[-1]).body
            previous = Digest(hashlib.sha256(last).digest())
        body = pack(KeyStatement(len(chain) + 1, bytes(signing.verify_key), link.public, previous))
        statement = Statement(
            body,
            sign(signing, STATEMENT_CONTEXT, NO_MESH, body),
            b"" if before is None else sign(before, VOUCH_CONTEXT, NO_MESH, body),
        )
        return cls(bytes(signing), link.private, (*chain, pack(statement)))

    @property
    def node(self) -> NodeId:
        """This node's name."""
        return self.keys.node

    def sign(self, context: bytes, mesh: MeshId, body: bytes) -> bytes:
        """This node's signature, by its newest key."""
        return sign(self._signing, context, mesh, body)

    def rotated(self, entropy: bytes | None = None) -> "Identity":
        """The same node with new keys, vouched for by these; keep it, then publish its record."""
        return self._following(entropy or random_bytes(64), self.chain, self._signing)

    def pack(self) -> bytes:
        """Everything, private halves too, for a file that only its owner can read."""
        return IDENTITY_MAGIC + pack(_IdentityFile(self._seed, self.link.private, self.chain))

    @classmethod
    def unpack(cls, data: bytes) -> "Identity":
        """From such a file's bytes.

        Raises:
            Damaged: they are no identity, or no longer what was written.
        """
        stored = _open(data, IDENTITY_MAGIC, _IdentityFile, "identity")
        try:
            return cls(stored.seed, stored.link, stored.chain)
        except (MeshError, ValueError) as error:
            raise _damaged("identity") from error

    def __repr__(self) -> str:
        """Without the private halves."""
        return f"Identity({self.node.hex()[:8]})"


# ---------------------------------------------------------------- a founder's private half


@dataclass(frozen=True, slots=True, repr=False)
class _FounderFile:
    seed: bytes
    public: bytes


class FounderKey:
    """The key that decides who is a member; no node's key, and also fit for paper."""

    __slots__ = ("_signing", "public")

    def __init__(self, seed: bytes) -> None:
        """From an Ed25519 seed of 32 bytes."""
        self._signing = SigningKey(seed)
        self.public = bytes(self._signing.verify_key)

    @classmethod
    def create(cls, entropy: bytes | None = None) -> "FounderKey":
        """A new founder; 32 bytes of `entropy` make it the same one again, for tests."""
        return cls(entropy or random_bytes(KEY_BYTES))

    def sign(self, context: bytes, mesh: MeshId, body: bytes) -> bytes:
        """This founder's signature."""
        return sign(self._signing, context, mesh, body)

    def pack(self) -> bytes:
        """The private half, for a file that only its owner can read."""
        return FOUNDER_MAGIC + pack(_FounderFile(bytes(self._signing), self.public))

    @classmethod
    def unpack(cls, data: bytes) -> "FounderKey":
        """From such a file's bytes.

        Raises:
            Damaged: they are no founder's key, or no longer what was written.
        """
        stored = _open(data, FOUNDER_MAGIC, _FounderFile, "founder's key")
        try:
            key = cls(stored.seed)
        except ValueError as error:
            raise _damaged("founder's key") from error
        if key.public != stored.public:
            raise _damaged("founder's key")
        return key

    def paper(self) -> str:
        """The private half as text to be printed and typed in again: groups of four."""
        seed = bytes(self._signing)
        text = base64.b32encode(seed + _check(seed)).decode().rstrip("=")
        groups = [text[at : at + PAPER_GROUP] for at in range(0, len(text), PAPER_GROUP)]
        return "-".join([PAPER_PREFIX, *groups])

    @classmethod
    def from_paper(cls, text: str) -> "FounderKey":
        """From what was typed; case, spaces and hyphens do not matter.

        Raises:
            LocalFault: it is incomplete or mistyped.
        """
        # 0, 1 and 8 are in no such key; they are what O, I and B look like on paper.
        plain = (
            "".join(text.upper().split()).replace("-", "").translate(str.maketrans("018", "OIB"))
        )
        plain = plain.removeprefix(PAPER_PREFIX)
        try:
            data = base64.b32decode(plain + "=" * (-len(plain) % 8))
        except (binascii.Error, ValueError):
            data = b""
        seed = data[:KEY_BYTES]
        if len(data) != KEY_BYTES + 4 or data[KEY_BYTES:] != _check(seed):
            raise LocalFault(
                "This is no recovery key: it is incomplete or mistyped.",
                f"Type all of its groups of letters, from {PAPER_PREFIX} on.",
            )
        return cls(seed)

    def __repr__(self) -> str:
        """Without the private half."""
        return f"FounderKey({fingerprint(self.public).hex()[:8]})"


def _check(seed: bytes) -> bytes:
    return hashlib.sha256(b"meshpacs/paper/1\0" + seed).digest()[:4]


def _damaged(what: str) -> Damaged:
    return Damaged(f"The {what} cannot be read.", "Restore the file from a backup.")


def _open(data: bytes, magic: bytes, cls: type[T], what: str) -> T:
    if not data.startswith(magic):
        raise _damaged(what)
    try:
        return unpack(cls, data[len(magic) :])
    except MeshError as error:
        raise _damaged(what) from error
