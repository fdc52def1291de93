"""A small mesh in memory, its keys from fixed entropy: who is attacked, and who attacks."""

import hashlib
from dataclasses import dataclass

from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.model.ids import MeshId
from meshpacs.model.member import Role
from meshpacs.wire.admission import admit
from meshpacs.wire.codec import pack
from meshpacs.wire.entries import Add, found, write_entry
from meshpacs.wire.invite import Invite, make_invite
from meshpacs.wire.keys import FounderKey, Identity
from meshpacs.wire.record import write_record
from meshpacs.wire.roster import News, Roster

SECRET = bytes(range(100, 132))
NOW_S = 1_790_000_000
DAY_S = 86_400


def entropy(seed: str, size: int) -> bytes:
    """The same bytes for the same words."""
    return hashlib.shake_256(seed.encode()).digest(size)


@dataclass(frozen=True, slots=True)
class Company:
    """A founder, the node under attack, two members who turn on it, and a stranger."""

    founder: FounderKey
    mesh: MeshId
    items: News
    target: Identity
    bert: Identity
    carl: Identity
    stranger: Identity
    invite: Invite
    """Granted and not used."""

    def roster(self) -> Roster:
        """A node's own copy."""
        roster = Roster(self.mesh)
        roster.merge(self.items.entries, self.items.admissions, self.items.records)
        return roster

    def gate(self, identity: Identity, boot: int = 7) -> Gatekeeper:
        """A node's own door."""
        return Gatekeeper(
            identity, self.roster(), SECRET, boot=boot, version="1.0", wall_s=lambda: NOW_S
        )


def company() -> Company:
    """Always the same one."""
    key = FounderKey.create(entropy("founder", 32))
    target, bert, carl, stranger = (
        Identity.create(entropy(f"node {name}", 64)) for name in ("anna", "bert", "carl", "x")
    )
    mesh, genesis = found(key, "Nordlicht", entropy("Nordlicht", 32))
    roster = Roster(mesh)
    entries = [genesis]
    roster.merge(entries)
    for identity in (target, bert):
        number, previous = roster.next_entry(key.public)
        terms = Add(identity.chain[0], Role.MEMBER.value)
        entries.append(write_entry(key, mesh, number, previous, terms))
        roster.merge(entries)
    invites = [
        make_invite(
            key,
            mesh,
            SECRET,
            role=Role.MEMBER,
            expires_s=NOW_S + DAY_S,
            addresses=("127.0.0.1:7117",),
            seed=entropy(f"invite {name}", 16),
        )
        for name in ("carl", "open")
    ]
    admission = admit(
        target,
        mesh,
        grant=pack(invites[0].granted),
        statement=carl.chain[0],
        redemption=invites[0].redeem(carl.chain[0]),
        at_s=NOW_S,
    )
    roster.merge(admissions=[admission])
    for number, identity in enumerate((target, bert, carl), start=1):
        record = write_record(
            identity, mesh, number=number, name=f"node {number}",
            addresses=("127.0.0.1:7117",), version="1.0",
        )  # fmt: skip
        roster.merge(records=[record])
    assert len(roster.members()) == 3
    return Company(key, mesh, roster.everything(), target, bert, carl, stranger, invites[1])
