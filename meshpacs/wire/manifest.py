"""Manifests: what one node has contributed to a study, signed (PROTOCOL 9.2).

A node's manifests of a study are a chain of versions, each naming the digest of the one before, so
that nobody can take back silently what was vouched for. The study is the union of all origins'
latest versions by SOP Instance UID.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from meshpacs.model.content import Content, Entry
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import INSTANCE_BYTES, STUDY_INSTANCES
from meshpacs.wire.codec import Buffer, Malformed, pack, unpack

MANIFEST_CONTEXT = b"meshpacs/manifest/1"

NOTHING_BEFORE = Digest(bytes(32))
"""What the first version names as the one before it."""

FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of one node's contribution to one study."""

    origin: NodeId
    study_uid: str
    version: int
    """From 1, one more each time."""
    previous: Digest
    """`digest` of the body of the version before; zeros for the first."""
    roster_head: Digest
    """The roster as the origin knew it when it signed."""
    entries: tuple[Entry, ...]
    """Sorted by SOP Instance UID, each once."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest as it travels and is kept: the body byte for byte as its origin signed it."""

    manifest: bytes
    """What `read_body` reads, once the signature is verified."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """One SOP Instance UID under which origins vouch for different contents."""

    sop_uid: str
    winner: Entry
    others: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A study as all its known contributions make it."""

    entries: tuple[Entry, ...]
    """By SOP Instance UID, each once; of a conflict the winner."""
    conflicts: tuple[Conflict, ...]
    origins: dict[NodeId, int]
    """Who contributes, and the version that was taken; sorted by node id."""


def digest(body: bytes) -> Digest:
    """How the next version names this one."""
    return Digest(sha256(MANIFEST_CONTEXT + b"\0" + body).digest())


def draft(
    origin: NodeId,
    study_uid: str,
    entries: Iterable[Entry],
    *,
    roster_head: Digest,
    after: tuple[Manifest, Digest] | None = None,
) -> Manifest:
    """The next version for these entries, ready to be written and signed.

    `after` is the version before and the digest of its body; None for the first.
    """
    return Manifest(
        origin=origin,
        study_uid=study_uid,
        version=after[0].version + 1 if after else FIRST_VERSION,
        previous=after[1] if after else NOTHING_BEFORE,
        roster_head=roster_head,
        entries=tuple(sorted(entries)),
    )


def read_signed(data: Buffer) -> Signed:
    """The envelope. Verify the signature over `manifest`, in its context, before `read_body`.

    Raises:
        Malformed: it is none.
    """
    return unpack(Signed, data)


def write_signed(signed: Signed) -> bytes:
    """The envelope's bytes."""
    return pack(signed)


def read_body(body: Buffer) -> Manifest:
    """A manifest, its rules checked: limits, order, each instance once, chain ends.

    Raises:
        Malformed: naming the field.
    """
    manifest = unpack(Manifest, body)
    entries = manifest.entries
    if len(entries) > STUDY_INSTANCES:
        raise Malformed(f"Manifest.entries has more than {STUDY_INSTANCES} entries.")
    for number, entry in enumerate(entries):
        if number and entries[number - 1].sop_uid >= entry.sop_uid:
            raise Malformed(f"Manifest.entries[{number}] is out of order or comes twice.")
        if entry.size_bytes > INSTANCE_BYTES:
            raise Malformed(f"Manifest.entries[{number}].size_bytes exceeds {INSTANCE_BYTES}.")
    if manifest.version < FIRST_VERSION:
        raise Malformed(f"Manifest.version is {manifest.version}; versions begin at 1.")
    if (manifest.version == FIRST_VERSION) != (manifest.previous == NOTHING_BEFORE):
        raise Malformed("Manifest.previous names a version before the first, or none after it.")
    return manifest


def write_body(manifest: Manifest) -> bytes:
    """The body's bytes, to be signed in `MANIFEST_CONTEXT`."""
    return pack(manifest)


class Forked(PeerFault):
    """An origin signed two manifests with one version number: both cannot be its history."""

    def __init__(self, origin: NodeId, study_uid: str, version: int) -> None:
        """Name the three."""
        super().__init__(
            f"Member {origin[:4].hex()} signed two different manifests of study {study_uid}, "
            f"both of version {version}.",
            "Ask that clinic whether its node was restored from an old copy.",
        )
        self.origin = origin
        self.study_uid = study_uid
        self.version = version


def follows(newer: Manifest, older: Manifest, older_digest: Digest) -> bool:
    """Whether `newer` can stand in the place of `older`, as far as the two can tell.

    The next version must name the one before. Of a version further on only the number can be
    judged, since those between are not kept by everyone.

    Raises:
        Forked: one origin, study and version, but two bodies.
    """
    if newer.origin != older.origin or newer.study_uid != older.study_uid:
        return False
    if newer.version == older.version and newer != older:
        raise Forked(newer.origin, newer.study_uid, newer.version)
    if newer.version == older.version + 1:
        if newer.previous != older_digest:
            raise Forked(newer.origin, newer.study_uid, older.version)
        return True
    return newer.version > older.version


def union(manifests: Iterable[Manifest]) -> Study:
    """The study that these manifests make: each origin's latest version, by SOP Instance UID.

    Equal contents are one instance, whatever else the origins say of it. Of different contents
    under one UID the one that more origins vouch for wins, and among as many the one with the
    smallest root: everybody who knows the same manifests decides alike, and nobody wins by being
    fast or by choosing a version number. The losers are returned, never dropped.
    """
    latest: dict[NodeId, Manifest] = {}
    for manifest in manifests:
        before = latest.get(manifest.origin)
        if before is None or _rank(manifest) > _rank(before):
            latest[manifest.origin] = manifest
    vouched: dict[str, dict[Content, list[Entry]]] = {}
    for origin in sorted(latest):
        for entry in latest[origin].entries:
            vouched.setdefault(entry.sop_uid, {}).setdefault(entry.content, []).append(entry)
    entries, conflicts = [], []
    for sop_uid in sorted(vouched):
        contents = sorted(vouched[sop_uid].values(), key=_standing)
        first, *rest = (min(same) for same in contents)
        entries.append(first)
        if rest:
            conflicts.append(Conflict(sop_uid, first, tuple(rest)))
    return Study(
        tuple(entries),
        tuple(conflicts),
        {origin: latest[origin].version for origin in sorted(latest)},
    )


def _standing(same: list[Entry]) -> tuple[int, Digest, str]:
    """What more origins vouch for comes first, then the smallest root."""
    return -len(same), same[0].root, same[0].transfer_syntax


def _rank(manifest: Manifest) -> tuple[int, tuple[Entry, ...]]:
    """The later version; of a fork the larger body of entries, so that order does not matter."""
    return manifest.version, manifest.entries
