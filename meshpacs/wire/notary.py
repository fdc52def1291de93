"""Signatures of members and sealed answers, as the engine's `Notary` wants them (PROTOCOL 6.2)."""

from nacl import bindings
from nacl.exceptions import CryptoError

from meshpacs.model.ids import NodeId
from meshpacs.wire.keys import Identity, verify
from meshpacs.wire.roster import Roster


class RosterNotary:
    """Signs for one node and believes the members of its roster."""

    def __init__(self, identity: Identity, roster: Roster) -> None:
        """The roster may change; signers are looked up in it each time."""
        self._identity = identity
        self._roster = roster

    def sign(self, context: bytes, body: bytes) -> bytes:
        """This node's signature over a body, within a context and this mesh."""
        return self._identity.sign(context, self._roster.mesh, body)

    def verify(self, signer: NodeId, context: bytes, body: bytes, signature: bytes) -> bool:
        """Whether a member signed this with its newest key."""
        keys = self._roster.keys(signer)
        return (
            keys is not None
            and signer in self._roster.members()
            and verify(keys.signing, context, self._roster.mesh, body, signature)
        )

    def ever_signed(
        self, signer: NodeId, context: bytes, body: bytes, signature: bytes
    ) -> bool | None:
        """Whether a member or former member signed this, with any key it ever had.

        None: the roster has never heard of the signer. What was vouched for outlives both a
        membership and a key, as the images do (PROTOCOL 9.2).
        """
        keys = self._roster.keys(signer)
        if keys is None:
            return None
        mesh = self._roster.mesh
        return any(verify(key, context, mesh, body, signature) for key in reversed(keys.signers))

    def reply_keys(self) -> tuple[bytes, bytes]:
        """A fresh (public, private) pair for one query."""
        return bindings.crypto_box_keypair()

    def seal(self, public: bytes, plain: bytes) -> bytes:
        """Seal so that only the holder of the private half can read (libsodium's sealed box).

        Empty for a public key that is none: who sends such a key wants no answer.
        """
        try:
            return bindings.crypto_box_seal(plain, public)
        except CryptoError:
            return b""

    def unseal(self, public: bytes, private: bytes, sealed: bytes) -> bytes | None:
        """The clear text, or None if it was not sealed for this key or has been changed."""
        try:
            return bindings.crypto_box_seal_open(sealed, public, private)
        except CryptoError:
            return None
