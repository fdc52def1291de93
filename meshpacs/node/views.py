"""What a running node shows of itself to gateways and the command line: plain facts.

Times are Unix microseconds (`_us`), 0 for never; durations say so. Ids are bytes; who shows them
to people shows the member's name beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from meshpacs.model.answer import Report
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.model.ids import Digest, MeshId, Micros, NodeId, QueryId
from meshpacs.model.member import Role

if TYPE_CHECKING:
    from meshpacs.model.merge import Match


class Health(IntEnum):
    """How a node is; the number is the exit code for monitoring."""

    FINE = 0
    DEGRADED = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason why a node is not fine, and what a person can do about it."""

    level: Health
    what: str
    mend: str = ""


class PeerState(StrEnum):
    """What there is between this node and one other member."""

    LINKED = "linked"
    """A control link is up: a neighbour."""
    DIALLING = "dialling"
    UNREACHABLE = "unreachable"
    """The last attempt failed; `last_error` says why."""
    IDLE = "idle"
    """No link, and none wanted now; asked through others."""
    SUSPENDED = "suspended"
    """Admitted by an invite that was used twice; neither asked nor answered."""


@dataclass(frozen=True, slots=True)
class PeerView:
    """One other member of the mesh, as seen from here."""

    node: NodeId
    name: str
    role: Role
    state: PeerState
    address: str
    """`host:port` of the link that is up, else the first advertised one, else empty."""
    addresses: tuple[str, ...]
    outbound: bool
    """Whether the control link was dialled by this node."""
    version: str
    round_trip_us: Micros | None
    last_seen_us: Micros
    bytes_in: int
    bytes_out: int
    messages_in: int
    messages_out: int
    messages_dropped: int
    """Messages that a full outbox cost this peer."""
    clock_offset_us: Micros | None
    """Their wall clock minus ours, half a round trip allowed for; None until measured."""
    last_error: str
    mend: str
    """What to do about the last error."""
    blamed: int
    """Breaches of the protocol since this node started."""


@dataclass(frozen=True, slots=True)
class CounterView:
    """Messages of one type over all links of one purpose, since this node started."""

    purpose: str
    """`control`, `bulk`, `direct` or `join`."""
    message: str
    """The type's name in docs/PROTOCOL.md."""
    messages_in: int
    bytes_in: int
    """Bytes of their frames before encryption, lengths included."""
    messages_out: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class PassView:
    """One copy of a query that was accepted here."""

    parent: NodeId | None
    """Whom it came from, and by whom answers went back; None for a query of ours."""
    hops: int
    ttl: int
    children: tuple[NodeId, ...]
    """Whom it was sent on to, in that order."""
    unreached: tuple[NodeId, ...] = ()
    """Members that could not be reached in time from here, or that others behind here named so."""


@dataclass(frozen=True, slots=True)
class TrailView:
    """One query that passed here, ours or another's: whose, and its way, but not what it asked."""

    query_id: QueryId
    origin: NodeId
    ball: bool
    """Asked of a neighbourhood, not of everyone."""
    heard_us: Micros
    passes: tuple[PassView, ...]
    """The first copy; of a ball also those that might go further than any before."""


@dataclass(frozen=True, slots=True)
class ReachView:
    """One listener, and in words from where it can be reached."""

    purpose: str
    """`mesh`, `http`, `dicom` or `dicom_tls`."""
    address: str
    words: str


class DiskState(StrEnum):
    """How the archive's disk is."""

    FINE = "fine"
    LOW = "low"
    """Not much more can be taken in."""
    SLOW = "slow"
    FULL = "full"
    """Nothing more is taken in; the rest goes on."""
    READ_ONLY = "read-only"
    FAILING = "failing"
    STUCK = "stuck"
    """It does not answer."""


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """Counts of what this node holds."""

    patients: int
    studies: int
    series: int
    instances: int
    conflicts: int
    bytes: int
    disk_free_bytes: int
    repaired: tuple[str, ...]
    """What the last start found and mended, one sentence each; empty after a clean stop."""
    disk: DiskState = DiskState.FINE
    disk_keep_free_bytes: int = 0
    """Of the free room, what instances may not use."""
    disk_sync_p95_us: int | None = None
    """How long it takes to make something durable, of the last writes; None while few were."""


@dataclass(frozen=True, slots=True)
class RosterView:
    """Facts about the mesh's membership."""

    members: int
    """Members in force, this node among them."""
    head: Digest
    revoked: tuple[NodeId, ...] = ()
    suspended: tuple[NodeId, ...] = ()
    """Members whose invite was redeemed a second time."""
    forks: tuple[str, ...] = ()
    """Two entries by one founder at one number, one sentence each."""


@dataclass(frozen=True, slots=True)
class ConfigView:
    """Which configuration is in force."""

    file: Path
    in_force_since_us: Micros
    refused: str = ""
    """Why the file as it is now was kept out; empty if it is what is in force."""
    mend: str = ""
    waits_for_restart: tuple[str, ...] = ()
    """Keys whose new value takes effect at the next start."""


@dataclass(frozen=True, slots=True)
class TransactionView:
    """One request for storage commitment that is not reported yet, or was given up."""

    calling: str
    """The AE title of who has asked."""
    host: str
    transaction_uid: str
    instances: int
    asked_us: Micros
    state: str
    attempts: int
    """To deliver its report."""
    next_us: Micros
    """When the next one is made; 0: at once, or never."""
    what: str
    """Why the last one failed."""
    mend: str


@dataclass(frozen=True, slots=True)
class CommitmentsView:
    """What other machines have asked commitment of."""

    open: int = 0
    given_up: int = 0
    transactions: tuple[TransactionView, ...] = ()
    """The oldest of both."""
    repaired: str = ""
    """What the start has mended."""


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything that `meshpacs status` tells."""

    level: Health
    troubles: tuple[Trouble, ...]
    node: NodeId
    name: str
    version: str
    home: Path
    mesh: MeshId
    mesh_name: str
    role: Role
    founder: bool
    """Whether a founder's key of this mesh is in this home."""
    listening: tuple[str, ...]
    advertised: tuple[str, ...]
    reach: tuple[ReachView, ...]
    uptime_us: Micros
    boot: int
    neighbours: int
    archive: ArchiveView
    roster: RosterView
    config: ConfigView
    commitments: CommitmentsView = CommitmentsView()


@dataclass(frozen=True, slots=True)
class SharedView:
    """A DICOM machine that another member's node sends to (PROTOCOL 12)."""

    title: str
    node: NodeId
    name: str
    """The member's."""


@dataclass(frozen=True, slots=True)
class InviteView:
    """An invite, to be given to one clinic."""

    text: str
    mesh_name: str
    role: Role
    expires_us: Micros
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RevokeView:
    """A member that is one no more."""

    node: NodeId
    name: str


@dataclass(frozen=True, slots=True)
class DeleteView:
    """A study that was, or would be, taken out of this archive."""

    study_uid: str
    deleted: bool
    instances: int
    """Visible ones."""
    bytes: int
    aside: int
    """Of the study, kept aside in conflict; they go too."""
    copies: Mapping[NodeId, int]
    """Of these instances, how many each other holder has."""
    last: int
    """Instances that nobody else who was heard has."""
    unheard: tuple[NodeId, ...]
    """Members that may have some: asked, and not heard in full."""
    names: Mapping[NodeId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConflictView:
    """One SOP Instance UID that came with two contents; the first is kept, the second aside."""

    study_uid: str
    series_uid: str
    sop_uid: str
    kept_root: Digest
    kept_transfer_syntax: str
    kept_bytes: int
    aside_root: Digest
    aside_transfer_syntax: str
    aside_bytes: int
    arrived_us: Micros
    origin: str
    """Where the second came from, in words."""


# ---------------------------------------------------------------- find


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a query has come: members whose verified answers are here, of those asked."""

    answered: int
    asked: int
    rows: int


@dataclass(frozen=True, slots=True)
class Found:
    """A finished query."""

    matches: "tuple[Match, ...]"
    report: Report | None
    """How complete it is; None for a search of this node's archive alone."""
    truncated: bool
    """Whether some holder has more rows than it returned."""
    unresolved: int
    """Matches whose holders differ and could not be asked for their lists in time."""
    names: Mapping[NodeId, str] = field(default_factory=dict)
    """The names of all members in report and matches."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: all answered, nothing cut, nothing unresolved."""
        whole = self.report is None or self.report.complete
        return whole and not self.truncated and not self.unresolved


# ---------------------------------------------------------------- fetch


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a fetch has come."""

    instances: int
    instances_total: int
    bytes: int
    bytes_total: int
    by_member: Mapping[NodeId, int] = field(default_factory=dict)
    """Good bytes that each holder has given."""


@dataclass(frozen=True, slots=True)
class FetchDone:
    """The end of a fetch."""

    study_uid: str
    instances: int
    """Instances of the study that are here and visible now."""
    bytes: int
    """Bytes that came over the mesh for it."""
    from_members: Mapping[NodeId, int]
    """Instances by the member that gave them (its last chunk)."""
    already_here: bool
    """Nothing had to be fetched."""
    partial: bool
    """Whether some instances could not be had; `missing` names them."""
    missing: tuple[str, ...]
    """SOP Instance UIDs; at most 100 of them."""
    missing_total: int
    conflicts: int
    took_us: Micros
    exported_to: Path | None = None
    exported: int = 0
    """Files in `exported_to` now; those that were there with the same bytes count."""
    unheard: tuple[NodeId, ...] = ()
    """Members that may know more of the study: asked, and not heard in full."""
    names: Mapping[NodeId, str] = field(default_factory=dict)


FetchEvent = FetchProgress | FetchDone


class NobodyHasIt(Unavailable):
    """What was to be fetched is with nobody who has answered."""

    def __init__(self, what: str, mend: str, *, silent: int) -> None:
        """`silent`: members that might have it and were not heard."""
        super().__init__(what, mend)
        self.silent = silent


class OrderLost(Unavailable):
    """The member that was to send something was reached, and lost before it had said the end."""


# ---------------------------------------------------------------- arrivals


class Why(StrEnum):
    """Why an instance that came by a front door was not kept."""

    NO_ROOM = "no room"
    MISMATCH = "not what was announced"
    UNREADABLE = "unreadable"
    FAILED = "failed"
    """Ours: the disk, or the node is stopping."""


class NotKept(MeshError):
    """Nothing of the instance was kept."""

    def __init__(self, why: Why, fault: MeshError) -> None:
        """Say why in a word for programs; `fault` has the sentences."""
        super().__init__(fault.what, fault.mend)
        self.why = why


@dataclass(frozen=True, slots=True)
class Kept:
    """An instance that is durable now."""

    outcome: str
    """`stored`, `unchanged` or `conflict`."""
    study_uid: str


# ---------------------------------------------------------------- import


class Taken(StrEnum):
    """What became of one file of an import."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    """The same content is here already."""
    CONFLICT = "conflict"
    """The SOP Instance UID is here with other content; kept aside, see `conflicts`."""
    REFUSED = "refused"
    SKIPPED = "skipped"
    """Not DICOM, or a DICOMDIR, whose files are taken instead."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """One file of an import."""

    name: str
    """The path, for a member of a zip file `file.zip!member`."""
    taken: Taken
    reason: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """An import so far; the last one is the end."""

    seen: int
    stored: int
    unchanged: int
    conflicts: int
    refused: int
    skipped: int
    bytes: int
    """Bytes of the files stored."""
    finished: bool
