"""What holds in a mesh, worked out from all that its roster keeps (PROTOCOL 1.2, 1.5, 1.6).

A pure function of a growing collection: the order in which items came has no influence, so nodes
that keep the same agree. Where founders differ, or a founder says two things at once, the lesser
holds: removal wins over addition, and the lesser role over the greater.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from meshpacs.model.ids import Digest, NodeId, short
from meshpacs.model.member import Member, Role
from meshpacs.wire.admission import Grant
from meshpacs.wire.entries import (
    PRIVILEGE,
    Add,
    Assign,
    Close,
    Entry,
    Found,
    Founder,
    Invited,
    Remove,
    Revoke,
    Terms,
    added_node,
    role_of,
)
from meshpacs.wire.keys import fingerprint
from meshpacs.wire.record import KnownRecord
from meshpacs.wire.redemptions import Redemptions

Counts = Callable[[bytes, int], bool]
"""Whether a founder's entry of this number counts."""

K = TypeVar("K", bound=Terms)


@dataclass(slots=True)
class Kept:
    """Everything verified. Each collection is in an order in which it can be merged again."""

    genesis: Found | None = None
    entries: dict[Digest, Entry] = field(default_factory=dict)
    admissions: Redemptions = field(default_factory=Redemptions)
    records: dict[NodeId, KnownRecord] = field(default_factory=dict)
    votes: dict[Terms, dict[bytes, int]] = field(default_factory=dict)
    """Who has signed what: founder to the lowest number of an entry with these terms."""

    def vote(self, entry: Entry) -> None:
        """Count an entry's terms, if they are known."""
        if entry.terms is not None:
            numbers = self.votes.setdefault(entry.terms, {})
            founder, number = entry.body.founder, entry.body.number
            numbers[founder] = min(number, numbers.get(founder, number))


@dataclass(frozen=True, slots=True)
class Standing:
    """Who is what."""

    founders: tuple[bytes, ...] = ()
    """Public keys of the founders in force, sorted."""
    threshold: int = 1
    members: Mapping[NodeId, Member] = field(default_factory=dict)
    """Those in force, sorted."""
    reasons: Mapping[NodeId, str] = field(default_factory=dict)
    """Why other known nodes are no members."""
    revoked: tuple[NodeId, ...] = ()
    suspended: Mapping[NodeId, bytes] = field(default_factory=dict)
    """Nodes admitted by an invite that was redeemed by several, and that invite's public key."""
    redeemers: Mapping[bytes, tuple[NodeId, ...]] = field(default_factory=dict)
    """Invite's public key to the nodes that were admitted by it."""
    closed: Mapping[bytes, None] = field(default_factory=dict)
    """Public keys of withdrawn invites."""


def _all_count(_founder: bytes, _number: int) -> bool:
    return True


def founders_by(kept: Kept, counts: Counts = _all_count) -> dict[bytes, None]:
    """The genesis' founders and those whom enough founders have added, by entries that count."""
    assert kept.genesis is not None
    founders = dict.fromkeys(kept.genesis.founders)
    added = [terms for terms in kept.votes if isinstance(terms, Founder)]
    while True:
        new = [
            terms.key
            for terms in added
            if terms.key not in founders and _passed(kept, terms, founders, counts)
        ]
        if not new:
            return founders
        founders.update(dict.fromkeys(new))


def _voters(
    kept: Kept, terms: Terms, founders: Mapping[bytes, None], counts: Counts
) -> list[bytes]:
    votes = kept.votes.get(terms, {})
    return [
        founder
        for founder, number in votes.items()
        if founder in founders and counts(founder, number)
    ]


def _passed(kept: Kept, terms: Terms, founders: Mapping[bytes, None], counts: Counts) -> bool:
    assert kept.genesis is not None
    return len(_voters(kept, terms, founders, counts)) >= kept.genesis.threshold


class Verdicts:
    """One working-out: founders first, then removals, then who is left."""

    def __init__(self, kept: Kept, genesis: Found) -> None:
        """Valid until something more is kept."""
        self.kept = kept
        self.genesis = genesis
        # Removals are voted on by everybody who ever was a founder: removal wins, even if two
        # remove each other.
        self.ever = founders_by(kept)
        self.removed: dict[bytes, int] = {}
        for terms in self._removals(Remove):
            self.removed[terms.key] = min(terms.length, self.removed.get(terms.key, terms.length))
        self.revoked = {terms.node: None for terms in self._removals(Revoke)}
        self.closed = {terms.invite: None for terms in self._removals(Close)}
        self.voters = founders_by(kept, self._counts)
        self.founders = [key for key in sorted(self.voters) if key not in self.removed]
        self.marks = {fingerprint(key): key for key in self.founders}

    def _removals(self, kind: type[K]) -> list[K]:
        return [
            terms
            for terms in self.kept.votes
            if isinstance(terms, kind) and _passed(self.kept, terms, self.ever, _all_count)
        ]

    def _additions(self, kind: type[K]) -> list[K]:
        return [
            terms
            for terms in self.kept.votes
            if isinstance(terms, kind) and _passed(self.kept, terms, self.voters, self._counts)
        ]

    def _counts(self, founder: bytes, number: int) -> bool:
        length = self.removed.get(founder)
        return length is None or number <= length

    def standing(self) -> Standing:
        """Put it together."""
        added: dict[NodeId, list[Role]] = {}
        granted: dict[NodeId, list[Role]] = {}
        reasons: dict[NodeId, str] = {}
        for add in self._additions(Add):
            added.setdefault(added_node(add), []).append(role_of(add.role))
        redeemers, valid = self._redemptions(reasons)
        suspended: dict[NodeId, bytes] = {}
        for invite, nodes in valid.items():
            for node, role in nodes.items():
                if len(redeemers[invite]) == 1:
                    granted.setdefault(node, []).append(role)
                elif node not in added:
                    suspended[node] = invite
                    reasons[node] = "Its invite was redeemed by more than one node."
        # Whoever holds an invite can redeem it in the name of any node, whose key statement all
        # know: that must make nobody less. What founders have said of the node itself can.
        roles = {node: max(some, key=PRIVILEGE.index) for node, some in granted.items()}
        roles |= {node: _least(some) for node, some in added.items()}
        suspended = {node: suspended[node] for node in sorted(suspended) if node not in roles}
        for node in self.revoked:
            roles.pop(node, None)
            suspended.pop(node, None)
            reasons[node] = "It was revoked."
        assigned = self._assigned()
        members = {
            node: self._member(node, assigned.get(node, roles[node])) for node in sorted(roles)
        }
        return Standing(
            founders=tuple(self.founders),
            threshold=self.genesis.threshold,
            members=members,
            reasons=reasons,
            revoked=tuple(sorted(self.revoked)),
            suspended=suspended,
            redeemers=redeemers,
            closed=self.closed,
        )

    def _redemptions(
        self, reasons: dict[NodeId, str]
    ) -> tuple[dict[bytes, tuple[NodeId, ...]], dict[bytes, dict[NodeId, Role]]]:
        """By invite: who redeemed it, and whose admission holds, with the role granted."""
        nodes: dict[bytes, dict[NodeId, None]] = {}
        valid: dict[bytes, dict[NodeId, Role]] = {}
        slots = {(one.grant.digest, one.keys.node): one for one in self.kept.admissions}
        for (_, node), admission in sorted(slots.items()):
            invite = admission.grant.invite
            reason = self.void(admission.grant, admission.body.at_s)
            if reason:
                reasons.setdefault(node, reason)
                continue
            nodes.setdefault(invite, {})[node] = None
            role = role_of(admission.grant.role)
            known = valid.setdefault(invite, {})
            known[node] = _least([role, known.get(node, role)])
        return {invite: tuple(sorted(some)) for invite, some in nodes.items()}, valid

    def void(self, grant: Grant, at_s: int) -> str:
        """Why nobody could be admitted by this grant at this time; empty if one could.

        That its founder signed it has been verified before.
        """
        founder = self.marks.get(grant.founder)
        if founder is None:
            return "The founder who granted the invite is one no more."
        consent = _voters(self.kept, Invited(grant.digest), self.voters, self._counts)
        if len(dict.fromkeys([founder, *consent])) < self.genesis.threshold:
            return "Not enough founders have agreed to the invite."
        if grant.invite in self.closed:
            return "The invite was withdrawn."
        if at_s > grant.expires_s:
            return "The invite had expired."
        return ""

    def _assigned(self) -> dict[NodeId, Role]:
        """Roles by ROLE entries: each founder's last word, counted."""
        last: dict[tuple[NodeId, bytes], tuple[int, Role]] = {}
        for entry in self.kept.entries.values():
            founder, number = entry.body.founder, entry.body.number
            if not isinstance(entry.terms, Assign) or not self._counts(founder, number):
                continue
            if founder not in self.voters:
                continue
            slot = (entry.terms.node, founder)
            role = role_of(entry.terms.role)
            before = last.get(slot, (0, role))
            if number > before[0]:
                last[slot] = (number, role)
            elif number == before[0]:  # a fork: the lesser role
                last[slot] = (number, _least([role, before[1]]))
        words: dict[NodeId, list[Role]] = {}
        for (node, _), (_, role) in last.items():
            words.setdefault(node, []).append(role)
        threshold = self.genesis.threshold
        chosen = {
            node: [role for role in PRIVILEGE if some.count(role) >= threshold]
            for node, some in words.items()
        }
        return {node: roles[0] for node, roles in chosen.items() if roles}

    def _member(self, node: NodeId, role: Role) -> Member:
        known = self.kept.records.get(node)
        if known is None:
            return Member(node, short(node), role)
        record = known.record
        return Member(
            node, record.name, role, record.addresses, record.version, record.destinations
        )


def _least(roles: list[Role]) -> Role:
    return min(roles, key=PRIVILEGE.index)
