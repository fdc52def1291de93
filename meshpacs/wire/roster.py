"""Who is a member: founders' chains, admissions and node records, merged (PROTOCOL 1.2 to 1.6).

Two halves. What is *kept* only ever grows: every item that is verified by the keys known so far.
What *holds* (`standing.py`) is worked out from all that is kept, so two nodes that keep the same
items agree, whatever they heard first.
"""

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId
from meshpacs.model.limits import ROSTER_NEWS_BYTES
from meshpacs.model.member import Member
from meshpacs.wire.admission import Admission, Grant, granted_by, read_admission
from meshpacs.wire.chains import Chains, Fork, has_room
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.entries import (
    Add,
    Entry,
    EntryBody,
    Found,
    Founder,
    Invited,
    Remove,
    added_node,
    read_entry,
)
from meshpacs.wire.keys import Keys, Signed, fingerprint
from meshpacs.wire.messages import Digests, Heads, RosterNews
from meshpacs.wire.record import KnownRecord, read_record
from meshpacs.wire.standing import Kept, Standing, Verdicts, founders_by

T = TypeVar("T", Entry, Admission, KnownRecord)


@dataclass(frozen=True, slots=True)
class News:
    """Items that a merge has added, packed, in an order in which they can be merged again."""

    entries: tuple[bytes, ...] = ()
    admissions: tuple[bytes, ...] = ()
    records: tuple[bytes, ...] = ()
    refused: tuple[str, ...] = ()
    """Why other items were not: one sentence each."""

    def __bool__(self) -> bool:
        """Whether anything was added."""
        return bool(self.entries or self.admissions or self.records)

    def messages(self, most_bytes: int = ROSTER_NEWS_BYTES) -> tuple[RosterNews, ...]:
        """The items in messages of about `most_bytes`, in order; at least one, if empty."""
        batches: list[tuple[list[bytes], list[bytes], list[bytes]]] = [([], [], [])]
        room = most_bytes
        for kind, items in enumerate((self.entries, self.admissions, self.records)):
            for item in items:
                if len(item) > room and any(batches[-1]):
                    batches.append(([], [], []))
                    room = most_bytes
                batches[-1][kind].append(item)
                room -= len(item)
        return tuple(
            RosterNews(
                tuple(entries), tuple(admissions), tuple(records), last=number == len(batches)
            )
            for number, (entries, admissions, records) in enumerate(batches, start=1)
        )


class Roster:
    """One mesh's roster as far as this node knows it."""

    def __init__(self, mesh: MeshId, *, gaps: bool = False) -> None:
        """Empty: `merge` brings the genesis.

        With `gaps` an entry need not follow a known one: so a joiner reads a member's proof.
        """
        self.mesh = mesh
        self._gaps = gaps
        self._kept = Kept()
        self._chains = Chains()
        self._founders: dict[bytes, None] = {}
        """Whoever ever was one: what they signed is kept, whether it holds or not."""
        self._added: dict[NodeId, None] = {}
        """Whom a founder has ever added, whether that holds or not."""
        self._keys: dict[NodeId, Keys] = {}
        self._standing: Standing | None = None
        self._verdicts: Verdicts | None = None
        self._heads: Heads | None = None

    # ------------------------------------------------------------ what holds

    @property
    def standing(self) -> Standing:
        """Founders, members and reasons, worked out once after each change."""
        if self._standing is None:
            genesis = self._kept.genesis
            self._verdicts = Verdicts(self._kept, genesis) if genesis else None
            self._standing = self._verdicts.standing() if self._verdicts else Standing()
        return self._standing

    @property
    def name(self) -> str:
        """The mesh's name; empty before the genesis is known."""
        genesis = self._kept.genesis
        return genesis.name if genesis else ""

    def members(self) -> Mapping[NodeId, Member]:
        """Those in force, in the order of their ids; nobody revoked or suspended."""
        return self.standing.members

    def why(self, node: NodeId) -> str:
        """Why this node is no member, as a sentence; empty if it is one."""
        if node in self.standing.members:
            return ""
        return self.standing.reasons.get(node, "It is no member of this mesh.")

    def keys(self, node: NodeId) -> Keys | None:
        """The newest keys of a node that is or was a member."""
        return self._keys.get(node)

    def founder(self, mark: bytes) -> bytes | None:
        """The public key of the founder in force with this fingerprint."""
        for key in self.standing.founders:
            if fingerprint(key) == mark:
                return key
        return None

    def void(self, granted: Signed, at_s: int) -> str:
        """Why nobody can be admitted by this grant at this time; empty if one can.

        Raises:
            Malformed: the grant cannot be read.
        """
        grant = unpack(Grant, granted.body)
        founder = self.founder(grant.founder)
        if self._verdicts is None or founder is None:
            return "No founder of this mesh has granted the invite."
        if not granted_by(founder, self.mesh, granted):
            return "The founder who is named has not signed the invite."
        return self._verdicts.void(grant, at_s)

    def redeemers(self, invite: bytes) -> tuple[NodeId, ...]:
        """The nodes that were admitted by this invite, in the order of their ids."""
        return self.standing.redeemers.get(invite, ())

    def admissions_of(self, node: NodeId) -> tuple[bytes, ...]:
        """The admissions by which a node came in, packed."""
        return tuple(admission.packed for admission in self._kept.admissions.of(node))

    def forks(self) -> tuple[Fork, ...]:
        """Every number at which a founder has signed more than one entry."""
        return self._chains.forks()

    def record(self, node: NodeId) -> KnownRecord | None:
        """What a node says of itself."""
        return self._kept.records.get(node)

    # ------------------------------------------------------------ how far it is known

    def heads(self) -> Heads:
        """How far this roster is known, for comparison with a neighbour's."""
        if self._heads is None:
            # Of more than two nodes that redeemed one grant others may know other ones, so their
            # records are offered, but make no difference.
            alone = self._added | dict.fromkeys(self._kept.admissions.alone())
            ranks = b"".join(node + rank.to_bytes(8, "big") for node, rank in self._ranks(alone))
            self._heads = Heads(
                self._chains.heads(),
                Digest(hashlib.sha256(b"".join(self._kept.admissions.marks())).digest()),
                Digest(hashlib.sha256(ranks).digest()),
            )
        return self._heads

    def head(self) -> Digest:
        """One digest of who is a member; names and addresses do not change it."""
        heads = self.heads()
        membership = replace(heads, records=heads.admissions)
        return Digest(hashlib.sha256(pack(membership)).digest())

    def next_entry(self, founder: bytes) -> tuple[int, Digest]:
        """Number and previous digest for this founder's next entry."""
        chain = self._chains.get(founder)
        if chain is None:
            return 1, Digest(self.mesh)
        number = max(chain.numbers)
        return number + 1, min(chain.numbers[number])

    def _ranks(self, nodes: Container[NodeId]) -> list[tuple[NodeId, int]]:
        records = self._kept.records
        return sorted((node, known.rank) for node, known in records.items() if node in nodes)

    # ------------------------------------------------------------ what another one lacks

    def everything(self) -> News:
        """All items, in an order in which they can be merged."""
        kept = self._kept
        return News(
            tuple(entry.packed for entry in kept.entries.values()),
            tuple(admission.packed for admission in kept.admissions),
            tuple(known.packed for known in kept.records.values()),
        )

    def entries_beyond(self, heads: Heads) -> tuple[bytes, ...]:
        """The entries that a node with these heads lacks, as far as can be told."""
        theirs = {head.founder: head for head in heads.chains}
        wanted: dict[bytes, set[Digest] | None] = {}
        for founder, chain in self._chains:
            head = theirs.get(founder)
            if head is None:
                # Where they have no room for it, they are not told again and again.
                wanted[founder] = set() if has_room(founder, theirs, self._kept.genesis) else None
            elif (head.length, head.last) == (chain.count, chain.last):
                wanted[founder] = None
            elif head.last in self._kept.entries:
                wanted[founder] = self._ancestry(head.last)
            else:
                # Longer than ours: we are behind, and their answer to our heads will say by what.
                # Otherwise it is a fork: they lack our branch, and we cannot tell from where on.
                wanted[founder] = None if head.length > chain.count else set()
        lacking = []
        for digest, entry in self._kept.entries.items():
            has = wanted[entry.body.founder]
            if has is not None and digest not in has:
                lacking.append(entry.packed)
        return tuple(lacking)

    def _ancestry(self, last: Digest) -> set[Digest]:
        found: set[Digest] = set()
        while (entry := self._kept.entries.get(last)) is not None:
            found.add(last)
            last = entry.body.previous
        return found

    def digests(self, most: int) -> tuple[Digests, ...]:
        """Which admissions and records are known, in messages of about `most` digests each."""
        admissions, ranks = self._kept.admissions.marks(), self._ranks(self._kept.records)
        parts = 1
        while parts * most < len(admissions) + len(ranks) and parts < 256:
            parts *= 2
        return tuple(
            Digests(
                tuple(digest for digest in admissions if _part(digest, parts) == part),
                tuple(rank for rank in ranks if _part(rank[0], parts) == part),
                part,
                parts,
            )
            for part in range(parts)
        )

    def lacking(self, theirs: Digests) -> News:
        """The admissions and records that a node with these digests lacks."""
        admissions, ranks = set(theirs.admissions), dict(theirs.records)
        part, parts = theirs.part, theirs.parts
        return News(
            admissions=tuple(
                admission.packed
                for mark, some in self._kept.admissions.marked()
                if _part(mark, parts) == part and mark not in admissions
                for admission in some
            ),
            records=tuple(
                known.packed
                for node, known in self._kept.records.items()
                if _part(node, parts) == part and ranks.get(node, -1) < known.rank
            ),
        )

    def proof(self, node: NodeId) -> News:
        """What shows somebody who knows only the mesh's id that this node is a member.

        Founders, then the admissions of this node, of who admitted it, and so on back to a node
        that a founder added. All of that, because a thief of the joiner's own invite can make
        himself an admission of which nothing but the admitter's signature is wrong.
        """
        wanted, nodes = [node], {node: None}
        by_node: dict[NodeId, list[Admission]] = {}
        for admission in self._kept.admissions:
            by_node.setdefault(admission.keys.node, []).append(admission)
        while wanted:
            for admission in by_node.get(wanted.pop(), ()):
                if admission.by.node not in nodes:
                    nodes[admission.by.node] = None
                    wanted.append(admission.by.node)
        return News(
            tuple(
                entry.packed
                for entry in self._kept.entries.values()
                if isinstance(entry.terms, Found | Founder | Remove | Invited)
                or (isinstance(entry.terms, Add) and added_node(entry.terms) in nodes)
            ),
            tuple(
                admission.packed
                for admission in self._kept.admissions
                if admission.keys.node in nodes
            ),
            tuple(
                known.packed for known in self._kept.records.values() if known.record.node == node
            ),
        )

    # ------------------------------------------------------------ merging

    def merge(
        self,
        entries: Iterable[bytes] = (),
        admissions: Iterable[bytes] = (),
        records: Iterable[bytes] = (),
    ) -> News:
        """Take in what is new and verified; what was new, and why others were refused.

        Never raises for what a peer may send. An item whose founder or node is not known (yet) is
        refused; it is offered again when heads are compared the next time.
        """
        refused: list[str] = []
        waiting: list[_Offer] = [
            *self._read(entries, read_entry, self._keep_entry, refused),
            *self._read(admissions, read_admission, self._keep_admission, refused),
            *self._read(records, read_record, self._keep_record, refused),
        ]
        fresh: list[_Offer] = []
        # An item may depend on one that comes later. Each round keeps one at least, or is the last.
        reasons: list[str] = []
        progress = True
        while waiting and progress:
            progress, reasons, later = False, [], []
            for offer in waiting:
                reason = offer.keep()
                if reason is None:
                    fresh.append(offer)
                    progress = True
                elif reason:
                    later.append(offer)
                    reasons.append(reason)
            waiting = later
        if fresh:
            self._standing = self._heads = None
        new_entries, new_admissions, new_records = (
            tuple(offer.packed for offer in fresh if offer.read is read)
            for read in (read_entry, read_admission, read_record)
        )
        return News(new_entries, new_admissions, new_records, tuple(refused + reasons))

    def _read(
        self,
        packed: Iterable[bytes],
        read: Callable[[bytes, MeshId], T],
        keep: Callable[[T], str | None],
        refused: list[str],
    ) -> Iterator["_Offer"]:
        for one in packed:
            try:
                item = read(one, self.mesh)
            except PeerFault as fault:
                refused.append(str(fault))
            else:
                yield _Offer(one, read, partial(keep, item))

    # Each of these keeps an item and returns None; or says why not; or "" if it is known.

    def _keep_entry(self, entry: Entry) -> str | None:
        kept, body = self._kept, entry.body
        if entry.digest in kept.entries:
            return ""
        if not isinstance(entry.terms, Found):
            if body.founder not in self._founders:
                return "A roster entry is by nobody who ever was a founder."
            if not self._gaps and not self._follows(body):
                return "A roster entry does not follow any that is known."
            if lacks_room := self._chains.lacks_room(body.founder, kept.genesis):
                return lacks_room
            if entry.keys is not None:
                self._know(entry.keys)
                self._added[entry.keys.node] = None
        else:
            kept.genesis = entry.terms
        kept.entries[entry.digest] = entry
        kept.vote(entry)
        if isinstance(entry.terms, Found | Founder):
            self._founders = founders_by(kept)
        self._chains.add(entry)
        return None

    def _follows(self, body: EntryBody) -> bool:
        if body.number == 1:
            return body.previous == Digest(self.mesh)
        before = self._kept.entries.get(body.previous)
        return (
            before is not None
            and before.body.founder == body.founder
            and before.body.number == body.number - 1
        )

    def _keep_admission(self, admission: Admission) -> str | None:
        founder = next(
            (key for key in self._founders if fingerprint(key) == admission.grant.founder), None
        )
        if founder is None or not granted_by(founder, self.mesh, admission.granted):
            return "An admission's grant is by nobody who ever was a founder."
        # A member need not know the admitter: grant and redemption say who was meant, whoever has
        # taken note of it. If it had to, what it keeps would hang on which redeemers of a grant it
        # has heard of. A joiner must, for it has nothing else to tell a member from a thief by.
        if self._gaps and admission.by.node not in self._keys:
            return "An admission is not by a node that is known here."
        told = self._kept.admissions.keep(admission)
        if told is None:
            self._know(admission.keys)
        return told

    def _keep_record(self, known: KnownRecord) -> str | None:
        node = known.record.node
        if node not in self._keys:
            return "A node record is by a node that is not known here."
        before = self._kept.records.get(node)
        if before and (before.rank, before.digest) >= (known.rank, known.digest):
            return ""
        # Moved to the end: the order must stay one in which everything can be merged again.
        self._kept.records.pop(node, None)
        self._kept.records[node] = known
        self._know(known.keys)
        return None

    def _know(self, keys: Keys) -> None:
        before = self._keys.get(keys.node)
        if before is None or before.number < keys.number:
            self._keys[keys.node] = keys


@dataclass(frozen=True, slots=True)
class _Offer:
    """An item read, and how to keep it."""

    packed: bytes
    read: Callable[..., object]
    keep: Callable[[], str | None]


def _part(name: bytes, parts: int) -> int:
    """In which of so many parts a digest is compared."""
    return name[0] * parts >> 8
