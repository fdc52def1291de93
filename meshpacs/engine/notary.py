"""The seam to cryptography: handed in, so that the simulator can count fakes (PROTOCOL 6.2)."""

from typing import Protocol

from meshpacs.model.ids import NodeId


class Notary(Protocol):
    """Signs for this node, checks others, seals answers."""

    def sign(self, context: bytes, body: bytes) -> bytes:
        """This node's signature over a body, within a context and this mesh."""
        ...

    def verify(self, signer: NodeId, context: bytes, body: bytes, signature: bytes) -> bool:
        """Whether a member signed this; False for strangers and the revoked."""
        ...

    def reply_keys(self) -> tuple[bytes, bytes]:
        """A fresh (public, private) pair for one query."""
        ...

    def seal(self, public: bytes, plain: bytes) -> bytes:
        """Seal so that only the holder of the private half can read."""
        ...

    def unseal(self, public: bytes, private: bytes, sealed: bytes) -> bytes | None:
        """The clear text, or None if it was not sealed for this key or has been changed."""
        ...
