"""A small mesh for tests: keys from fixed entropy, so that every run is the same."""

import hashlib
from dataclasses import dataclass, field

from meshpacs.model.ids import MeshId
from meshpacs.model.member import Role
from meshpacs.wire.admission import admit
from meshpacs.wire.codec import pack
from meshpacs.wire.entries import Add, Terms, found, write_entry
from meshpacs.wire.invite import Invite, make_invite
from meshpacs.wire.keys import FounderKey, Identity
from meshpacs.wire.record import write_record
from meshpacs.wire.roster import News, Roster

SECRET = bytes(range(100, 132))
DAY_S = 86_400
NOW_S = 1_790_000_000
"""The time of day in these tests, Unix seconds."""


def entropy(seed: str, size: int) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def identity(name: str) -> Identity:
    return Identity.create(entropy(f"node {name}", 64))


def founder(name: str = "founder") -> FounderKey:
    return FounderKey.create(entropy(f"founder {name}", 32))


@dataclass
class Mesh:
    """What the founder's own node knows, and ways to change it."""

    founder: FounderKey
    mesh: MeshId
    roster: Roster
    anna: Identity
    """The first node, added by the founder."""
    items: list[News] = field(default_factory=list)

    def decide(self, terms: Terms, by: FounderKey | None = None) -> bytes:
        """A further entry by a founder, merged."""
        key = by or self.founder
        number, previous = self.roster.next_entry(key.public)
        entry = write_entry(key, self.mesh, number, previous, terms)
        self.take(self.roster.merge([entry]))
        return entry

    def invite(
        self, seed: str = "invite", *, expires_s: int = NOW_S + DAY_S, role: Role = Role.MEMBER,
        addresses: tuple[str, ...] = ("127.0.0.1:7117",), by: FounderKey | None = None,
    ) -> Invite:  # fmt: skip
        return make_invite(
            by or self.founder,
            self.mesh,
            SECRET,
            role=role,
            expires_s=expires_s,
            addresses=addresses,
            seed=entropy(f"invite {seed}", 16),
        )

    def admission(
        self, joiner: Identity, invite: Invite, by: Identity | None = None, at_s: int = NOW_S
    ) -> bytes:
        """An admission, not merged."""
        return admit(
            by or self.anna,
            self.mesh,
            grant=pack(invite.granted),
            statement=joiner.chain[0],
            redemption=invite.redeem(joiner.chain[0]),
            at_s=at_s,
        )

    def admitted(self, name: str, by: Identity | None = None, role: Role = Role.MEMBER) -> Identity:
        """A further member, by an invite of its own."""
        joiner = identity(name)
        admission = self.admission(joiner, self.invite(name, role=role), by)
        self.take(self.roster.merge(admissions=[admission]))
        self.record(joiner, name)
        return joiner

    def record(
        self,
        node: Identity,
        name: str,
        number: int = 1,
        addresses: tuple[str, ...] = (),
        destinations: tuple[str, ...] = (),
    ) -> bytes:
        record = write_record(
            node,
            self.mesh,
            number=number,
            name=name,
            addresses=addresses,
            version="1.0",
            destinations=destinations,
        )
        self.take(self.roster.merge(records=[record]))
        return record

    def take(self, news: News) -> None:
        assert not news.refused
        self.items.append(news)

    def copy(self) -> Roster:
        """Another node's roster with the same items."""
        everything = self.roster.everything()
        other = Roster(self.mesh)
        other.merge(everything.entries, everything.admissions, everything.records)
        return other


def mesh_of(*names: str, name: str = "Nordlicht") -> Mesh:
    """A mesh founded by one founder; `anna` is the first node, the others are admitted by her."""
    key, anna = founder(name), identity("anna")
    mesh, genesis = found(key, name, entropy(name, 32))
    made = Mesh(key, mesh, Roster(mesh), anna)
    made.take(made.roster.merge([genesis]))
    made.decide(Add(anna.chain[0], Role.MEMBER.value))
    made.record(anna, "anna")
    for one in names:
        made.admitted(one)
    return made
