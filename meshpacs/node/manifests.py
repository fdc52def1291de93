"""Who contributed what to a study: this node's own manifests, and those of others (PROTOCOL 9.2).

A node's contribution is what came in by its own door. It is signed when somebody asks for it and
it has grown since; what the disk has lost, or somebody removed here, is still vouched for, since
copies elsewhere can be fetched only as long as somebody does. What a holder *knows* of a study are
manifests, its own and those learnt by fetching; what it *holds* are its visible instances, and a
row's root covers these. So manifests travel with a bit for each of their entries that says whether
the sender holds it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Protocol, TypeVar

from meshpacs.links.transfer import Known
from meshpacs.model.content import Content, Entry
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, NodeId, short
from meshpacs.node.recent import Recent
from meshpacs.wire.manifest import (
    MANIFEST_CONTEXT,
    Forked,
    Manifest,
    Signed,
    digest,
    draft,
    follows,
    read_body,
    read_signed,
    write_body,
    write_signed,
)

T = TypeVar("T")

READ_ENTRIES = 10_000
"""Entries of manifests kept read: about 6 MB, at 574 bytes each (measured). A guess: the studies
that one reader looks at. With 50,000 a busy node went on growing for hours."""

READ_S = 300.0
"""How long a manifest that nobody looks at is kept read. A guess: a reader at a study. Without it a
node held the manifests of all studies that it had come across, and grew for an hour and more."""


class Bookshelf(Protocol):
    """The archive, as far as manifests go; called in worker threads."""

    def own_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """Visible instances that came in by this node's own door."""
        ...

    def study_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """All visible instances."""
        ...

    def manifests(self, study_uid: str) -> Mapping[bytes, tuple[int, bytes]]:
        """Version and signed bytes by origin."""
        ...

    def keep_manifest(self, study_uid: str, origin: bytes, version: int, signed: bytes) -> object:
        """Keep one in the place of the origin's former one, if its version is higher."""
        ...


class Pen(Protocol):
    """Signs for this node, and checks what others signed."""

    def sign(self, context: bytes, body: bytes) -> bytes:
        """This node's signature."""
        ...

    def ever_signed(
        self, signer: NodeId, context: bytes, body: bytes, signature: bytes
    ) -> bool | None:
        """Whether a member or former member signed this; None for one never heard of."""
        ...


@dataclass(frozen=True, slots=True)
class Checked:
    """What a holder told of a study, verified."""

    manifests: tuple[Manifest, ...]
    """Those of members and former members, as they were told."""
    held: tuple[Entry, ...]
    """What the holder itself holds, visible."""
    strangers: int = 0
    """Manifests of origins that this node's roster does not know (yet): not used."""


class Contributions:
    """This node's manifests and those it knows. All methods but `known` are for worker threads,
    and `known` too; none waits for anybody but the disk.
    """

    def __init__(
        self, node: NodeId, shelf: Bookshelf, pen: Pen, roster_head: Callable[[], Digest]
    ) -> None:
        """`roster_head` tells under which roster a new version is signed."""
        self._node = node
        self._shelf = shelf
        self._pen = pen
        self._roster_head = roster_head
        self._own = Lock()
        """Held while a version is made, so that no two have one number."""
        self._read = Recent[Manifest](READ_ENTRIES, READ_S)

    # ------------------------------------------------------------ telling

    def known(self, study_uid: str) -> Known:
        """All that this node knows of a study, its own contribution brought up to date first."""
        with self._own:
            kept = dict(self._shelf.manifests(study_uid))
            own = self._brought_up_to_date(study_uid, kept.get(self._node))
            if own is not None:
                kept[self._node] = own
        signed = tuple(kept[origin][1] for origin in sorted(kept))
        here = contents_of(self._shelf.study_entries(study_uid))
        entries = _distinct(self._manifest(each)[1] for each in signed)
        return Known(signed, _bits([(e.sop_uid, e.content) in here for e in entries]))

    def _brought_up_to_date(
        self, study_uid: str, former: tuple[int, bytes] | None
    ) -> tuple[int, bytes] | None:
        own = self._shelf.own_entries(study_uid)
        vouched = () if former is None else self._manifest(former[1])[1].entries
        entries = {entry.sop_uid: entry for entry in (*vouched, *own)}
        newest = self._next(study_uid, former, entries.values())
        if newest is not None and newest != former:
            # Durable before anybody sees it: a version number is never used twice.
            self._shelf.keep_manifest(study_uid, self._node, *newest)
        return newest

    def _next(
        self, study_uid: str, former: tuple[int, bytes] | None, entries: Iterable[Entry]
    ) -> tuple[int, bytes] | None:
        """The next version, signed; the former if it says so already, none if there is nothing."""
        wanted = tuple(sorted(entries))
        after: tuple[Manifest, Digest] | None = None
        if former is not None:
            envelope, manifest = self._manifest(former[1])
            if manifest.entries == wanted:
                return former
            after = manifest, digest(envelope.manifest)
        elif not wanted:
            return None
        newer = draft(self._node, study_uid, wanted, roster_head=self._roster_head(), after=after)
        body = write_body(newer)
        return newer.version, write_signed(Signed(body, self._pen.sign(MANIFEST_CONTEXT, body)))

    def withdrawing(
        self,
        study_uid: str,
        gone: Collection[Entry],
        remove: Callable[[tuple[int, bytes] | None], T],
    ) -> T:
        """Have these removed, and vouched for no longer; `remove` is handed the next version.

        It is to keep that in the same moment; None: nothing changes.
        """
        with self._own:
            former = self._shelf.manifests(study_uid).get(self._node)
            vouched = () if former is None else self._manifest(former[1])[1].entries
            newest = self._next(study_uid, former, set(vouched).difference(gone))
            return remove(None if newest == former else newest)

    # ------------------------------------------------------------ being told

    def check(self, study_uid: str, known: Known, sender: NodeId) -> Checked:
        """Verify what a holder told.

        Raises:
            PeerFault: the sender told what is no manifest of this study, or was never signed.
        """
        manifests: list[Manifest] = []
        good: list[Manifest] = []
        for signed in known.signed:
            envelope, manifest = self._manifest(signed)
            manifests.append(manifest)
            if manifest.study_uid != study_uid:
                raise PeerFault(f"{short(sender)} told a manifest of another study.")
            right = self._pen.ever_signed(
                manifest.origin, MANIFEST_CONTEXT, envelope.manifest, envelope.signature
            )
            if right is False:
                raise PeerFault(
                    f"{short(sender)} told a manifest that {short(manifest.origin)} never signed."
                )
            if right:
                good.append(manifest)
        entries = _distinct(manifests)
        bits = known.held
        held = tuple(
            entry
            for number, entry in enumerate(entries)
            if not bits or (number // 8 < len(bits) and bits[number // 8] >> number % 8 & 1)
        )
        return Checked(tuple(good), held, len(manifests) - len(good))

    def keep(self, study_uid: str, told: Iterable[Sequence[bytes]]) -> tuple[Forked, ...]:
        """Keep the newest of each origin of what was checked before; the forks that it shows.

        Of two manifests with one version the one that came first stays.
        """
        forks: dict[tuple[NodeId, int], Forked] = {}
        with self._own:
            kept = {
                origin: self._manifest(signed)
                for origin, (_, signed) in self._shelf.manifests(study_uid).items()
            }
            for signed in (each for sequence in told for each in sequence):
                envelope, manifest = self._manifest(signed)
                origin = manifest.origin
                if self._pen.ever_signed(
                    origin, MANIFEST_CONTEXT, envelope.manifest, envelope.signature
                ):
                    before = kept.get(origin)
                    if before is None or self._replaces(manifest, *before, forks):
                        kept[origin] = envelope, manifest
                        self._shelf.keep_manifest(study_uid, origin, manifest.version, signed)
        return tuple(forks.values())

    @staticmethod
    def _replaces(
        newer: Manifest,
        envelope: Signed,
        older: Manifest,
        forks: dict[tuple[NodeId, int], Forked],
    ) -> bool:
        try:
            return follows(newer, older, digest(envelope.manifest))
        except Forked as fork:
            forks[fork.origin, fork.version] = fork
            return newer.version > older.version

    def kept(self, study_uid: str) -> tuple[Manifest, ...]:
        """What is known here without asking anybody, this node's own included."""
        return tuple(self._manifest(signed)[1] for signed in self.known(study_uid).signed)

    def _manifest(self, signed: bytes) -> tuple[Signed, Manifest]:
        """Read an envelope and its body; bodies read before are remembered, within bounds."""
        envelope = read_signed(signed)
        key = sha256(envelope.manifest).digest()
        manifest = self._read.get(key)
        if manifest is None:
            manifest = read_body(envelope.manifest)
            self._read.keep(key, manifest, len(manifest.entries) + 1)
        return envelope, manifest


def _distinct(manifests: Iterable[Manifest]) -> list[Entry]:
    """Every entry once, sorted: the order in which bits stand for them."""
    return sorted({entry for manifest in manifests for entry in manifest.entries})


def _bits(flags: Sequence[bool]) -> bytes:
    packed = bytearray(-(-len(flags) // 8))
    for number, flag in enumerate(flags):
        packed[number // 8] |= flag << number % 8
    return bytes(packed)


def contents_of(entries: Iterable[Entry]) -> set[tuple[str, Content]]:
    """For asking whether an instance is there: SOP Instance UIDs with their contents."""
    return {(entry.sop_uid, entry.content) for entry in entries}
