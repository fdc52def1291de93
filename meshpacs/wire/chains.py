"""Founders' entries as chains, and how much room each founder has for them (PROTOCOL 1.2).

Each founder has room of its own, so that none, a removed one least of all, can use up the room for
what the others decide. The founders whom the genesis names have theirs for certain.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from meshpacs.model.ids import Digest
from meshpacs.model.limits import ENTRIES_OF_ONE, FOUNDERS
from meshpacs.wire.entries import Entry, Found
from meshpacs.wire.messages import ChainHead


@dataclass(frozen=True, slots=True)
class Fork:
    """Two entries by one founder at one number: its key is used in two places, or stolen."""

    founder: bytes
    number: int
    entries: tuple[Digest, ...]


class Chain:
    """One founder's entries, all branches."""

    def __init__(self, founder: bytes) -> None:
        """Empty."""
        self._founder = founder
        self.count = 0
        self._tips: dict[Digest, None] = {}
        """Entries that no other follows."""
        self.numbers: dict[int, list[Digest]] = {}

    def add(self, entry: Entry) -> None:
        """An entry whose predecessor is known."""
        self.count += 1
        self._tips.pop(entry.body.previous, None)
        self._tips[entry.digest] = None
        self.numbers.setdefault(entry.body.number, []).append(entry.digest)

    @property
    def full(self) -> bool:
        """Whether it has as many entries as one founder's may have."""
        return self.count >= ENTRIES_OF_ONE

    @property
    def last(self) -> Digest:
        """The last entry; of a forked chain a digest over the last ones of all branches.

        Chains that are full are not compared: of many branches, nodes may have kept others.
        """
        if self.full:
            return Digest(hashlib.sha256(b"meshpacs/full/1" + self._founder).digest())
        if len(self._tips) == 1:
            return next(iter(self._tips))
        return Digest(hashlib.sha256(b"meshpacs/fork/1" + b"".join(sorted(self._tips))).digest())


class Chains:
    """All founders' chains."""

    def __init__(self) -> None:
        """None yet."""
        self._chains: dict[bytes, Chain] = {}

    def __iter__(self) -> Iterator[tuple[bytes, Chain]]:
        """Founders and their chains, in the order in which they began."""
        return iter(self._chains.items())

    def add(self, entry: Entry) -> None:
        """An entry whose predecessor is known."""
        founder = entry.body.founder
        self._chains.setdefault(founder, Chain(founder)).add(entry)

    def get(self, founder: bytes) -> Chain | None:
        """This founder's."""
        return self._chains.get(founder)

    def lacks_room(self, founder: bytes, genesis: Found | None) -> str:
        """Why an entry of this founder cannot be kept; empty if it can."""
        chain = self._chains.get(founder)
        if chain is not None:
            return "A founder has signed as many roster entries as one may." if chain.full else ""
        if has_room(founder, self._chains, genesis):
            return ""
        return "As many founders have signed roster entries as a mesh may have."

    def heads(self) -> tuple[ChainHead, ...]:
        """How far each is known."""
        return tuple(
            ChainHead(founder, chain.count, chain.last)
            for founder, chain in sorted(self._chains.items())
        )

    def forks(self) -> tuple[Fork, ...]:
        """Every number at which a founder has signed more than one entry."""
        return tuple(
            Fork(founder, number, tuple(sorted(digests)))
            for founder, chain in sorted(self._chains.items())
            for number, digests in sorted(chain.numbers.items())
            if len(digests) > 1
        )


def has_room(founder: bytes, beside: Collection[bytes], genesis: Found | None) -> bool:
    """Whether a founder can begin a chain where these have begun theirs."""
    named = genesis.founders if genesis else ()
    added = [key for key in beside if key not in named]
    return founder in named or len(added) < FOUNDERS - len(named)
