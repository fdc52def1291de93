"""One imaginary machine: its engine, its disk, its clock, and what survives a crash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from meshpacs.engine.engine import Engine
from meshpacs.model.answer import Report, Row
from meshpacs.model.ids import MILLISECOND, MeshId, Micros, NodeId, QueryId
from meshpacs.model.query import Query, Scope
from meshpacs.wire.messages import Message
from meshpacs_sim.world.acts import Entry, Found
from meshpacs_sim.world.cellar import Cellar


def name_of(seed: int, index: int) -> NodeId:
    """The node id of an imaginary host: a digest, as real ones are, so that orders differ."""
    return NodeId(hashlib.sha256(b"meshpacs/sim/node/%d/%d" % (seed, index)).digest())


def mesh_of(seed: int) -> MeshId:
    """The mesh that an imaginary world's hosts belong to."""
    return MeshId(hashlib.sha256(b"meshpacs/sim/mesh/%d" % seed).digest())


@dataclass(slots=True)
class Asking:
    """A query as its asker sees it."""

    origin: int
    query_id: QueryId
    query: Query
    scope: Scope
    asked_at: Micros
    deadline: Micros
    life: int
    """Which life of its host asked."""
    rows: dict[NodeId, tuple[Row, ...]] = field(default_factory=dict)
    report: Report | None = None
    finished_at: Micros = 0
    lost: bool = False
    """The asker has crashed; nobody waits any more."""
    frozen: bool = False
    """The asker was frozen while it waited."""

    @property
    def took_us(self) -> Micros:
        """From the question to the final."""
        return self.finished_at - self.asked_at


@dataclass(slots=True)
class Disk:
    """How well an archive can be searched."""

    delay_us: Micros = 2 * MILLISECOND
    """An indexed search. A guess."""
    broken: bool = False
    """Every search fails."""
    stuck: bool = False
    """No search ends until this is mended."""
    held: list[Found] = field(default_factory=list)
    """Answers that a stuck disk still owes."""


class Liar(Protocol):
    """What stands between a member's engine and its links, once the member lies."""

    def hear(self, src: int, message: Message) -> None:
        """A message is about to reach the engine."""
        ...

    def instead(self, dst: int, message: Message) -> Sequence[Message]:
        """What is sent in the place of what the engine wants sent."""
        ...


@dataclass(frozen=True, slots=True)
class Copy:
    """An old copy of what a node keeps durably: a backup."""

    stored_boot: int
    kept_boots: dict[NodeId, int]
    kept_roster: tuple[tuple[bytes, ...], ...]


@dataclass(slots=True)
class Host:
    """One machine."""

    index: int
    node: NodeId
    cellar: Cellar
    engine: Engine | None = None
    """None while the node is down."""
    dark: bool = False
    """The machine itself is off: not even its kernel answers."""
    frozen: bool = False
    life: int = 0
    """Counts starts: what a former life asked of the disk does not reach the next."""
    inbox: list[Entry] = field(default_factory=list)
    """What came while frozen, in the order in which it came."""
    unread: dict[int, int] = field(default_factory=dict)
    """Of these, messages by sender: a frozen reader's full window fills the sender's outbox."""
    links: dict[int, int] = field(default_factory=dict)
    """Peers with a control link, as this host believes, and the serial of each."""
    dials: dict[int, int] = field(default_factory=dict)
    """Peers being dialled for a control link, and the attempt of each."""
    calls: dict[int, int] = field(default_factory=dict)
    """Direct links being dialled: attempt to peer."""
    disk: Disk = field(default_factory=Disk)
    wall_offset_us: Micros = 0
    """This clock minus the true time."""
    clock_wrong_us: Micros = -1
    """When this clock was last put right; negative if it was never wrong."""
    stored_boot: int = 0
    kept_boots: dict[NodeId, int] = field(default_factory=dict)
    kept_roster: list[tuple[bytes, ...]] = field(default_factory=list)
    copy: Copy | None = None
    """The last backup of the three above."""
    heard_boots: dict[NodeId, int] = field(default_factory=dict)
    """The highest boots of those who dialled, in this life and as they were kept."""
    liar: Liar | None = None
    """Who alters what this member sends, while it lies."""
    lied: bool = False
    """It lies, floods, or has done so: nothing is promised about it any more."""
    cut: dict[tuple[int, int], None] = field(default_factory=dict)
    """Peer and token of answers of which the outbox has dropped a part."""
    wake_at: Micros | None = None
    """When the alarm is set for."""
    alarm: int = 0
    """Counts settings of the alarm; earlier ones that still lie on the heap mean nothing."""
    sequence: int = 0
    """Counts this host's own events."""
    asked: dict[QueryId, Asking] = field(default_factory=dict)

    @property
    def able(self) -> bool:
        """Whether the node is up and does anything."""
        return self.engine is not None and not self.frozen

    def too_full(self, src: int, slots: int) -> bool:
        """Whether a frozen host's window to this sender is shut; counts the message if not."""
        count = self.unread.get(src, 0)
        if count >= slots:
            return True
        self.unread[src] = count + 1
        return False
