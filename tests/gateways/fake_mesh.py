"""A mesh that says what a test wants, and remembers what it was asked."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import trio

from meshpacs.model.answer import MemberAnswer, Report, Status
from meshpacs.model.attributes import Record
from meshpacs.model.commitment import Promise, Reference
from meshpacs.model.content import Entry, leaf_count
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.errors import Damaged
from meshpacs.model.ids import Digest, MeshId, Micros, NodeId, QueryId
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.model.member import Role
from meshpacs.model.merge import Match
from meshpacs.model.query import Query, Scope
from meshpacs.node.commitments import SCHEMA, Commitments
from meshpacs.node.mesh import Courier
from meshpacs.node.views import (
    ArchiveView,
    ConfigView,
    ConflictView,
    CounterView,
    DeleteView,
    FetchDone,
    FetchEvent,
    FetchProgress,
    Found,
    Health,
    ImportOutcome,
    ImportSummary,
    InviteView,
    Kept,
    NotKept,
    PassView,
    PeerState,
    PeerView,
    Progress,
    ReachView,
    RevokeView,
    RosterView,
    SharedView,
    StatusView,
    Taken,
    TrailView,
    Trouble,
)

NORD = NodeId(b"\x0a" * 32)
SUED = NodeId(b"\x0b" * 32)
NAMES = {NORD: "Nord", SUED: "Süd"}
STUDY = "1.2.826.0.1"

RECORD: Record = {
    0x0010_0010: ("Yamada^Tarou=山田^太郎",),
    0x0010_0020: ("12345678",),
    0x0008_0020: ("20240131",),
    0x0008_0061: ("CT", "SR"),
    0x0008_1030: ("Abdomen",),
    0x0020_000D: (STUDY,),
    0x0020_1206: ("2",),
    0x0020_1208: ("30",),
}

REPORT = Report(
    query_id=QueryId(b"q" * 16),
    members=(
        MemberAnswer(NORD, Status.ANSWERED, rows=1, hops=0, took_us=900),
        MemberAnswer(SUED, Status.UNREACHABLE, since_us=1_700_000_000_000_000),
    ),
    took_us=12_300,
)

FOUND = Found(
    matches=(Match(RECORD, (NORD, SUED)),),
    report=REPORT,
    truncated=False,
    unresolved=0,
    names=NAMES,
)

STATUS = StatusView(
    level=Health.DEGRADED,
    troubles=(Trouble(Health.DEGRADED, "Süd cannot be reached.", "Look whether it is up."),),
    node=NORD,
    name="Nord",
    version="0.1.0",
    home=Path("home"),
    mesh=MeshId(b"m" * 32),
    mesh_name="Küste",
    role=Role.MEMBER,
    founder=True,
    listening=("127.0.0.1:7117",),
    advertised=("127.0.0.1:7117",),
    reach=(ReachView("mesh", "127.0.0.1:7117", "this machine only"),),
    uptime_us=3_700_000_000,
    boot=7,
    neighbours=0,
    archive=ArchiveView(
        1,
        2,
        3,
        40,
        1,
        5_000_000,
        10**11,
        ("2 torn files were removed.",),
        disk_keep_free_bytes=256 * 1024**2,
        disk_sync_p95_us=12_000,
    ),
    roster=RosterView(members=2, head=Digest(b"h" * 32), suspended=(SUED,), forks=("A fork.",)),
    config=ConfigView(
        Path("config.toml"), 1_700_000_000_000_000, "It is wrong.", "Mend it.", ("mesh.listen",)
    ),
)

PEER = PeerView(
    node=SUED,
    name="Süd",
    role=Role.MEMBER,
    state=PeerState.UNREACHABLE,
    address="192.0.2.7:7117",
    addresses=("192.0.2.7:7117",),
    outbound=True,
    version="0.1.0",
    round_trip_us=None,
    last_seen_us=1_700_000_000_000_000,
    bytes_in=1_500,
    bytes_out=20,
    messages_in=3,
    messages_out=1,
    messages_dropped=2,
    clock_offset_us=-1_250_000,
    last_error="connection refused",
    mend="Is it up?",
    blamed=0,
)

COUNTER = CounterView("control", "Ask", 3, 900, 2, 600)

TRAILS = (
    TrailView(
        query_id=QueryId(b"q" * 16),
        origin=NORD,
        ball=False,
        heard_us=1_700_000_000_000_000,
        passes=(PassView(parent=None, hops=0, ttl=0, children=(SUED,)),),
    ),
    TrailView(
        query_id=QueryId(b"r" * 16),
        origin=SUED,
        ball=True,
        heard_us=1_700_000_000_000_000,
        passes=(PassView(SUED, 2, 0, ()), PassView(SUED, 1, 1, (SUED,), (NORD,))),
    ),
)

CONFLICT = ConflictView(
    study_uid=STUDY,
    series_uid=STUDY + ".1",
    sop_uid=STUDY + ".1.1",
    kept_root=Digest(b"k" * 32),
    kept_transfer_syntax="1.2.840.10008.1.2.1",
    kept_bytes=10,
    aside_root=Digest(b"a" * 32),
    aside_transfer_syntax="1.2.840.10008.1.2.1",
    aside_bytes=12,
    arrived_us=1_700_000_000_000_000,
    origin="import",
)

DONE = FetchDone(
    study_uid=STUDY,
    instances=3,
    bytes=1_000_000,
    from_members={SUED: 3},
    already_here=False,
    partial=False,
    missing=(),
    missing_total=0,
    conflicts=0,
    took_us=25_000,
    names=NAMES,
)


DELETED = DeleteView(
    study_uid=STUDY,
    deleted=True,
    instances=3,
    bytes=1_000_000,
    aside=1,
    copies={SUED: 2},
    last=1,
    unheard=(NORD,),
    names=NAMES,
)


class FakeFinding:
    def __init__(self, found: Found, *, silent: bool = False) -> None:
        self._found = found
        self._silent = silent

    async def __aiter__(self) -> AsyncIterator[Progress]:
        for answered in (1, 2):
            yield Progress(answered=answered, asked=2, rows=1)

    async def result(self) -> Found:
        if self._silent:
            await trio.sleep_forever()
        return self._found


class FakeFetching:
    def __init__(self, done: FetchDone) -> None:
        self._done = done

    async def __aiter__(self) -> AsyncIterator[FetchEvent]:
        yield FetchProgress(1, 3, 10, 30)
        yield self._done


class FakeImporting:
    def __init__(self, hang: trio.Event | None) -> None:
        self._hang = hang
        self.summary = ImportSummary(2, 1, 0, 0, 1, 0, 1000, finished=True)

    async def __aiter__(self) -> AsyncIterator[Sequence[ImportOutcome]]:
        yield [ImportOutcome("a.dcm", Taken.STORED, size_bytes=1000)]
        if self._hang is not None:
            self._hang.set()
            await trio.sleep_forever()
        yield [ImportOutcome("b.dcm", Taken.REFUSED, "It is truncated.")]


class FakeArriving:
    def __init__(self, mesh: "FakeMesh") -> None:
        self._mesh = mesh
        self._data = b""

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def write(self, data: memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.write_here(data)

    async def commit(self) -> Kept:
        await trio.lowlevel.checkpoint()
        return self.commit_here()

    async def discard(self) -> None:
        await trio.lowlevel.checkpoint()
        self.discard_here()

    def write_here(self, data: memoryview) -> None:
        self._data += data
        if self._mesh.not_kept is not None:
            raise self._mesh.not_kept

    def commit_here(self) -> Kept:
        self._mesh.arrived.append(self._data)
        return Kept("stored", STUDY)

    def discard_here(self) -> None:
        self._mesh.discarded += 1


class FakeRetrieving:
    """What `FakeMesh.held` has: an entry whose data is None never comes."""

    def __init__(self, mesh: "FakeMesh") -> None:
        self._mesh = mesh

    async def entries(self) -> tuple[Entry, ...]:
        if self._mesh.silent:
            await trio.sleep_forever()
        if self._mesh.late_fault is not None:
            raise self._mesh.late_fault
        return tuple(self._mesh.held)

    def __aiter__(self) -> "FakeRetrieving":
        self._left = [entry for entry, data in self._mesh.held.items() if data is not None]
        return self

    async def __anext__(self) -> Entry:
        await trio.lowlevel.checkpoint()
        if self._left:
            return self._left.pop(0)
        if self._mesh.hang is not None:
            self._mesh.hang.set()
            await trio.sleep_forever()
        raise StopAsyncIteration

    @asynccontextmanager
    async def rewritten(self, entry: Entry, transfer_syntax: str) -> AsyncIterator[bytes]:
        await trio.lowlevel.checkpoint()
        yield f"{entry.sop_uid} in {transfer_syntax}".encode()

    def leaves(self, entry: Entry) -> int:
        return leaf_count(entry.size_bytes)

    async def leaf(self, entry: Entry, index: int) -> bytes:
        await trio.lowlevel.checkpoint()
        data = self._mesh.held[entry]
        assert data is not None
        piece = data[index * LEAF_BYTES :][:LEAF_BYTES]
        if not piece:
            raise Damaged("Its bytes have changed.")
        return piece

    async def read_ahead(self) -> None:
        await trio.sleep_forever()


def commitments_in_memory() -> Commitments:
    """A table of nobody's disk; its wall clock is trio's, so that tests can invent the time."""
    con = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    con.executescript(SCHEMA)
    return Commitments(Path("fake"), con, lambda: round(trio.current_time() * 1_000_000))


@dataclass
class FakePromises:
    """Promises what a test says, and nothing of other instances."""

    promised: dict[Reference, Promise] = field(default_factory=dict)
    reread: list[Reference] = field(default_factory=list)
    """Those whose bytes were to be read, in order."""

    async def promise(self, reference: Reference, *, reread: bool) -> Promise:
        await trio.lowlevel.checkpoint()
        if reread:
            self.reread.append(reference)
        return self.promised.get(reference, Promise.ABSENT)


async def nothing(order: Order, tally: Tally, stop: trio.Event) -> Ending:
    """A courier that has nothing to do."""
    await trio.lowlevel.checkpoint()
    return Ending(0)


@dataclass
class FakeMesh:
    found: Found = FOUND
    done: FetchDone = DONE
    fault: Exception | None = None
    """Raised on entering find, fetch or import, and by everything else."""
    late_fault: Exception | None = None
    """Raised by a find after its progress."""
    silent: bool = False
    """A find never answers."""
    hang: trio.Event | None = None
    """An import hangs after its first file, once it has set this."""
    asked: list[object] = field(default_factory=list)
    not_kept: NotKept | None = None
    """Raised when an instance's bytes come."""
    held: dict[Entry, bytes | None] = field(default_factory=dict)
    """What a retrieval gives."""
    sharing: dict[str, tuple[NodeId, ...]] = field(default_factory=dict)
    """Who shares a destination."""
    courier: Courier = field(default_factory=lambda: nothing)
    """Carries out what is ordered of other members."""
    arrived: list[bytes] = field(default_factory=list)
    discarded: int = 0
    """Instances that were begun and not kept."""
    threads: bool = True
    """Whether work may dwell in threads."""
    dwelt: list[trio.Event] = field(default_factory=list)
    """One for each time that work did: set once it is over."""
    left: trio.Event = field(default_factory=trio.Event)
    commitments: Commitments = field(default_factory=commitments_in_memory)
    promises: FakePromises = field(default_factory=FakePromises)

    def _remember(self, *what: object) -> None:
        self.asked.append(what)
        if self.fault is not None:
            raise self.fault

    @asynccontextmanager
    async def find(
        self,
        query: Query,
        scope: Scope | None,
        *,
        local_only: bool = False,
        budget_us: Micros | None = None,
    ) -> AsyncIterator[FakeFinding]:
        self._remember("find", query, scope, local_only, budget_us)
        try:
            yield FakeFinding(self.found, silent=self.silent)
        finally:
            self.left.set()
        if self.late_fault is not None:
            raise self.late_fault

    @asynccontextmanager
    async def fetch(self, study_uid: str, *, to: Path | None = None) -> AsyncIterator[FakeFetching]:
        self._remember("fetch", study_uid, to)
        yield FakeFetching(self.done)

    async def share(self, titles: tuple[str, ...], courier: Courier) -> None:
        self._remember("share", titles)

    async def shared(self) -> tuple[SharedView, ...]:
        self._remember("shared")
        return (SharedView("FARAWAY", SUED, "Süd"),)

    async def check_shared(self, title: str) -> SharedView:
        self._remember("check_shared", title)
        return SharedView(title, SUED, "Süd")

    def sharers(self, title: str) -> tuple[NodeId, ...]:
        return self.sharing.get(title, ())

    async def deliver(self, member: NodeId, order: Order, tally: Tally, stop: trio.Event) -> Ending:
        self._remember("deliver", member, order)
        return await self.courier(order, tally, stop)

    node = NORD
    decodable: frozenset[str] = frozenset()

    @asynccontextmanager
    async def retrieve(
        self,
        study_uid: str,
        *,
        series: frozenset[str] = frozenset(),
        instances: frozenset[str] = frozenset(),
    ) -> AsyncIterator[FakeRetrieving]:
        self._remember("retrieve", study_uid, series, instances)
        try:
            yield FakeRetrieving(self)
        finally:
            self.left.set()

    def arrival(
        self, sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str
    ) -> FakeArriving:
        self._remember("arrival", sop_class, sop_uid, transfer_syntax, calling_ae)
        return FakeArriving(self)

    async def dwell(self, work: Callable[[], None]) -> bool:
        if not self.threads:
            return False
        over = trio.Event()
        self.dwelt.append(over)
        try:
            await trio.to_thread.run_sync(work)
        finally:
            over.set()
        return True

    @asynccontextmanager
    async def import_paths(self, paths: Sequence[Path]) -> AsyncIterator[FakeImporting]:
        self._remember("import", tuple(paths))
        try:
            yield FakeImporting(self.hang)
        finally:
            self.left.set()

    async def delete(
        self, study_uid: str, *, even_if_last: bool = False, confirmed: bool = False
    ) -> DeleteView:
        self._remember("delete", study_uid, even_if_last, confirmed)
        return replace(DELETED, study_uid=study_uid, deleted=confirmed)

    async def references(self, study_uid: str) -> tuple[Reference, ...]:
        self._remember("references", study_uid)
        return tuple(self.promises.promised)

    async def status(self) -> StatusView:
        self._remember("status")
        return STATUS

    async def peers(self) -> tuple[PeerView, ...]:
        self._remember("peers")
        return (PEER,)

    async def counters(self) -> tuple[CounterView, ...]:
        self._remember("counters")
        return (COUNTER,)

    async def trails(self, start: str = "") -> tuple[TrailView, ...]:
        self._remember("trails", start)
        return tuple(trail for trail in TRAILS if trail.query_id.hex().startswith(start))

    async def conflicts(self) -> tuple[ConflictView, ...]:
        self._remember("conflicts")
        return (CONFLICT,)

    async def invite(
        self, role: Role = Role.MEMBER, expires_s: int = 1, *, local: bool = False
    ) -> InviteView:
        self._remember("invite", role, expires_s, local)
        return InviteView("meshpacs:abc", "Küste", role, 1_700_000_000_000_000, ("127.0.0.1:1",))

    async def revoke(self, who: str) -> RevokeView:
        self._remember("revoke", who)
        return RevokeView(SUED, "Süd")

    def names(self) -> Mapping[NodeId, str]:
        return NAMES

    async def reload(self) -> ConfigView:
        self._remember("reload")
        return STATUS.config

    def stop(self) -> None:
        self._remember("stop")
