"""A content of which some leaves are here: what is lacking, and what each leaf must be."""

from dataclasses import dataclass, field

from meshpacs.model.content import content_root, leaf, leaf_count
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import LEAF_BYTES

RUN_LEAVES = 4
"""Leaves of one content asked of one holder in one run, so that others take the next. A guess."""

SPREAD_LEAVES = 64
"""How far beyond the first missing leaf of a content others are asked for. A guess."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one leaf must be. Not part of the plan's state: may be judged in another thread."""

    size_bytes: int
    digest: Digest
    alone: bool
    """The digest is the content's root, as the leaf is all of it."""

    def holds(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether these bytes are that leaf."""
        if len(data) != self.size_bytes:
            return False
        found = leaf(data)
        return (content_root(len(data), found) if self.alone else found) == self.digest


@dataclass(slots=True)
class PartialContent:
    """One content on its way: which leaves are here, which are asked for, and of whom."""

    place: int
    root: Digest
    size_bytes: int
    count: int = field(init=False)
    prefix: int = 0
    """Leaves from the first on that were handed to the driver."""
    digests: bytes = b""
    list_from: NodeId | None = None
    asked: dict[int, NodeId] = field(default_factory=dict)
    waiting: dict[int, bytes | bytearray | memoryview] = field(default_factory=dict)
    """Good leaves that overtook others."""
    holders: set[NodeId] = field(default_factory=set)
    """Asked for membership only, never walked through: its order differs between processes."""

    def __post_init__(self) -> None:
        self.count = leaf_count(self.size_bytes)

    @property
    def whole(self) -> bool:
        """Whether every leaf was handed on."""
        return self.prefix == self.count

    @property
    def verifiable(self) -> bool:
        """Whether a leaf can be judged: alone by the root, else by the leaf list."""
        return self.count == 1 or bool(self.digests)

    @property
    def settled(self) -> bool:
        """Whether no leaf is free: each is here or asked for."""
        return self.prefix + len(self.waiting) + len(self.asked) == self.count

    def expected(self, index: int) -> Expected | None:
        """What this leaf must be; None if it is here, or cannot be judged yet."""
        here = not self.prefix <= index < self.count or index in self.waiting
        if here or not self.verifiable:
            return None
        if self.count == 1:
            return Expected(self.size_bytes, self.root, alone=True)
        digest = Digest(self.digests[index * 32 : index * 32 + 32])
        return Expected(self.leaf_bytes(index), digest, alone=False)

    def leaf_bytes(self, index: int) -> int:
        """The size of one leaf; the last may be shorter."""
        return min(LEAF_BYTES, self.size_bytes - index * LEAF_BYTES)

    def free_run(self, *, only_next: bool) -> range:
        """The first free leaves that lie together, at most `RUN_LEAVES`."""
        end = min(self.count, self.prefix + (1 if only_next else SPREAD_LEAVES))
        first = next((i for i in range(self.prefix, end) if self._free(i)), end)
        last = first
        while last < min(end, first + RUN_LEAVES) and self._free(last):
            last += 1
        return range(first, last)

    def _free(self, index: int) -> bool:
        return index not in self.asked and index not in self.waiting
