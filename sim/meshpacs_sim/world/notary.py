"""Fake cryptography that is counted: quick, repeatable, and still fails on what was forged.

A fake signature is a keyed digest of signer, context and body, so a changed byte, another signer
or another context is refused as the real one would be. Sizes are those of Ed25519 signatures and
of libsodium's sealed boxes, so that bytes on the wire are counted right. Nothing here is secret:
who can read the source can forge.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping

from meshpacs.model.ids import NodeId
from meshpacs.model.member import Member

SIGNATURE_BYTES = 64
"""Ed25519 (RFC 8032)."""

EPHEMERAL_BYTES = 32
TAG_BYTES = 16
"""A sealed box is an ephemeral X25519 key, the cipher text and a Poly1305 tag (libsodium)."""


class FakeNotary:
    """Signs for one node of an imaginary mesh, and counts what it did."""

    def __init__(self, node: NodeId, members: Mapping[NodeId, Member], seed: int) -> None:
        """`members` is looked at, never copied: who leaves it is a stranger from then on."""
        self._node = node
        self._members = members
        self._seed = seed
        self.counts: Counter[str] = Counter()
        """How often each of the five verbs was used."""

    def sign(self, context: bytes, body: bytes) -> bytes:
        """A keyed digest in the place of a signature."""
        self.counts["sign"] += 1
        return _signature(self._node, context, body)

    def verify(self, signer: NodeId, context: bytes, body: bytes, signature: bytes) -> bool:
        """Whether a member of now made this very signature."""
        self.counts["verify"] += 1
        return signer in self._members and signature == _signature(signer, context, body)

    def reply_keys(self) -> tuple[bytes, bytes]:
        """A pair that nobody else has drawn: counted, not random."""
        self.counts["reply_keys"] += 1
        name = b"%d/%d/" % (self._seed, self.counts["reply_keys"]) + self._node
        private = hashlib.sha256(b"private" + name).digest()
        return _public(private), private

    def seal(self, public: bytes, plain: bytes) -> bytes:
        """The text in clear between an ephemeral key's and a tag's worth of bytes."""
        self.counts["seal"] += 1
        return public[::-1] + plain + _tag(public, plain)

    def unseal(self, public: bytes, private: bytes, sealed: bytes) -> bytes | None:
        """The text, if the key fits and no byte was changed."""
        self.counts["unseal"] += 1
        if len(sealed) < EPHEMERAL_BYTES + TAG_BYTES or _public(private) != public:
            return None
        head, plain = sealed[:EPHEMERAL_BYTES], sealed[EPHEMERAL_BYTES:-TAG_BYTES]
        if head != public[::-1] or sealed[-TAG_BYTES:] != _tag(public, plain):
            return None
        return plain


def _signature(signer: NodeId, context: bytes, body: bytes) -> bytes:
    digest = hashlib.blake2b(body, digest_size=SIGNATURE_BYTES, key=signer)
    digest.update(len(context).to_bytes(2, "big") + context)
    return digest.digest()


def _public(private: bytes) -> bytes:
    return hashlib.sha256(b"public" + private).digest()


def _tag(public: bytes, plain: bytes) -> bytes:
    return hashlib.blake2b(plain, digest_size=TAG_BYTES, key=public).digest()
