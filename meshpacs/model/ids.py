"""The names of things: nodes, meshes, queries, contents. All are digests, never addresses."""

from typing import NewType

NodeId = NewType("NodeId", bytes)
"""SHA-256 of a node's first key statement, 32 bytes; never an address."""

MeshId = NewType("MeshId", bytes)
"""SHA-256 of the genesis entry of a mesh's roster, 32 bytes."""

QueryId = NewType("QueryId", bytes)
"""The first 16 bytes of the SHA-256 of a signed query body."""

Digest = NewType("Digest", bytes)
"""A SHA-256, 32 bytes. Which bytes it covers is said where it is used."""

Micros = int
"""Integer microseconds. Whole numbers, so that no order of additions changes a result."""

SECOND: Micros = 1_000_000
MILLISECOND: Micros = 1_000


def short(name: bytes) -> str:
    """The first eight hexadecimal digits of a name, for people and for logs."""
    return name[:4].hex()
