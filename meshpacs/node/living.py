"""The running node as `mesh.Mesh` describes it: each wish goes to the room that fulfils it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import structlog
import trio

from meshpacs.archive.arrival import Announced
from meshpacs.archive.holdings import Conflict
from meshpacs.archive.ingest import Import
from meshpacs.model.answer import Status
from meshpacs.model.attributes import UNIQUE_KEYS, Level
from meshpacs.model.commitment import Reference
from meshpacs.model.content import Entry
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.ids import Digest, Micros, NodeId
from meshpacs.model.member import Role
from meshpacs.model.query import Everyone, Query, Scope
from meshpacs.node.arriving import Arriving
from meshpacs.node.disk import Watch
from meshpacs.node.fetcher import Fetcher, Following
from meshpacs.node.fetching import Located
from meshpacs.node.finding import Holdings, Question, merged
from meshpacs.node.importing import Importing
from meshpacs.node.membership import Membership
from meshpacs.node.mesh import Courier, Finding
from meshpacs.node.promising import HeldHere, Promising
from meshpacs.node.removing import Removing
from meshpacs.node.retrieving import Retrieving
from meshpacs.node.rewriting import Rewriter
from meshpacs.node.rooms import Rooms
from meshpacs.node.selection import Selection
from meshpacs.node.sharing import Sharing
from meshpacs.node.status import Standing
from meshpacs.node.views import (
    ConfigView,
    ConflictView,
    CounterView,
    DeleteView,
    Found,
    InviteView,
    PeerView,
    Progress,
    RevokeView,
    SharedView,
    StatusView,
    TrailView,
)

log = structlog.get_logger()

LEAVE_S = 1.0
"""Seconds that telling the members of a cancelled query may wait for the driver. A guess."""

IMPORTS = 2
"""Imports at once; each has threads of its own. A guess."""

NO_DIGEST = Digest(bytes(32))


class LocalFinding:
    """A search of this node's archive alone."""

    def __init__(self, rooms: Rooms, query: Query, holdings: Holdings) -> None:
        """Nothing is searched yet."""
        self._rooms = rooms
        self._query = query
        self._holdings = holdings
        self._told = False

    def __aiter__(self) -> AsyncIterator[Progress]:
        """One step: there is nobody else to wait for."""
        return self

    async def __anext__(self) -> Progress:
        """The one step."""
        if self._told:
            raise StopAsyncIteration
        self._told = True
        return Progress(answered=0, asked=1, rows=0)

    async def result(self) -> Found:
        """Search.

        Raises:
            Damaged, Unavailable: the index cannot be read.
        """
        rooms = self._rooms
        rows, truncated = await rooms.vault.search(self._query)
        answer = {rooms.node: rows}
        return await merged(
            self._query, answer, None, self._holdings, rooms.names(), truncated=truncated
        )


class LivingMesh:
    """Implements `mesh.Mesh`."""

    def __init__(
        self,
        rooms: Rooms,
        membership: Membership,
        fetcher: Fetcher,
        removing: Removing,
        sharing: Sharing,
        watch: Watch,
        rewriter: Rewriter,
        stopping: trio.Event,
    ) -> None:
        """`stopping` is set when somebody wants the node to stop."""
        self._rooms = rooms
        self._membership = membership
        self._fetcher = fetcher
        self._removing = removing
        self._rewriter = rewriter
        self._sharing = sharing
        self._standing = Standing(rooms, membership, watch)
        self._stopping = stopping
        self._imports = trio.CapacityLimiter(IMPORTS)
        self.commitments = rooms.commitments
        self.promises: Promising = HeldHere(rooms.vault)

    # ------------------------------------------------------------ find

    @asynccontextmanager
    async def find(
        self,
        query: Query,
        scope: Scope | None,
        *,
        local_only: bool = False,
        budget_us: Micros | None = None,
    ) -> AsyncIterator[Finding]:
        """Put a query to the mesh; see `mesh.Mesh.find`."""
        if local_only:
            yield LocalFinding(self._rooms, query, self._fetcher.holdings)
            return
        async with self._asking(query, scope, budget_us) as question:
            yield question

    @asynccontextmanager
    async def _asking(
        self, query: Query, scope: Scope | None, budget_us: Micros | None
    ) -> AsyncIterator[Question]:
        rooms = self._rooms
        asked = sum(member.answers for member in rooms.roster.members().values())
        question = Question(query, asked, self._fetcher.holdings, rooms.names)
        try:
            await rooms.driver.ask(question, scope, budget_us)
            yield question
        finally:
            with trio.move_on_after(LEAVE_S, shield=True):
                await rooms.driver.leave(question)

    async def references(self, study_uid: str) -> tuple[Reference, ...]:
        """A study's instances here; see `mesh.Mesh.references`."""
        vault = self._rooms.vault
        entries = await vault.read(lambda: vault.archive.study_entries(study_uid))
        return tuple(Reference(entry.sop_class, entry.sop_uid) for entry in entries)

    # ------------------------------------------------------------ fetch and import

    def fetch(
        self, study_uid: str, *, to: Path | None = None
    ) -> AbstractAsyncContextManager[Following]:
        """Bring a study here, verified and kept; see `mesh.Mesh.fetch`."""
        return self._fetcher.fetch(Selection(study_uid), to=to)

    @asynccontextmanager
    async def retrieve(
        self,
        study_uid: str,
        *,
        series: frozenset[str] = frozenset(),
        instances: frozenset[str] = frozenset(),
    ) -> AsyncIterator[Retrieving]:
        """A study, or a part of it, wherever it is; see `mesh.Mesh.retrieve`."""
        async with self._fetcher.fetch(Selection(study_uid, series, instances)) as following:
            yield Retrieving(following, self._rooms.vault, self._rewriter)

    def arrival(
        self, sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str
    ) -> Arriving:
        """Take in one data set that a sender has announced, piece by piece."""
        announced = Announced(sop_class, sop_uid, transfer_syntax, calling_ae)
        return Arriving(self._rooms.vault, announced)

    async def dwell(self, work: Callable[[], None]) -> bool:
        """Run work in a thread that may write; see `mesh.Mesh.dwell`."""
        return await self._rooms.vault.dwell(work)

    @property
    def decodable(self) -> frozenset[str]:
        """Compressed transfer syntaxes that can be decoded here."""
        return self._rewriter.decodable

    @property
    def node(self) -> NodeId:
        """This node's name."""
        return self._rooms.node

    @asynccontextmanager
    async def import_paths(self, paths: Sequence[Path]) -> AsyncIterator[Importing]:
        """Take in files, folders, zip files and DICOMDIR media."""
        async with self._imports:
            source = Import(self._rooms.vault.archive, paths)
            importing = Importing(source)
            try:
                yield importing
            finally:
                with trio.CancelScope(shield=True):  # which has its own deadline
                    await importing.aclose()
                summary = importing.summary
                log.info(
                    "import_ended",
                    seen=summary.seen,
                    stored=summary.stored,
                    unchanged=summary.unchanged,
                    conflicts=summary.conflicts,
                    refused=summary.refused,
                    skipped=summary.skipped,
                    finished=summary.finished,
                )

    # ------------------------------------------------------------ delete

    async def delete(
        self, study_uid: str, *, even_if_last: bool = False, confirmed: bool = False
    ) -> DeleteView:
        """Take a study out of this archive; see `mesh.Mesh.delete`."""
        return await self._removing.remove(
            study_uid, even_if_last=even_if_last, confirmed=confirmed
        )

    # ------------------------------------------------------------ shared destinations

    async def share(self, titles: tuple[str, ...], courier: Courier) -> None:
        """Send to these machines for other members; see `mesh.Mesh.share`."""
        self._sharing.courier = courier
        await self._membership.share(titles)

    async def shared(self) -> tuple[SharedView, ...]:
        """What other members share."""
        await trio.lowlevel.checkpoint()
        return self._sharing.views()

    async def check_shared(self, title: str) -> SharedView:
        """Have the member that shares this machine ask whether it is there."""
        return await self._sharing.check(title)

    def sharers(self, title: str) -> tuple[NodeId, ...]:
        """Other members that send to this machine."""
        return self._sharing.sharers(title)

    async def deliver(self, member: NodeId, order: Order, tally: Tally, stop: trio.Event) -> Ending:
        """Have another member send to a machine of its own; see `mesh.Mesh.deliver`."""
        return await self._sharing.deliver(member, order, tally, stop)

    # ------------------------------------------------------------ what there is

    async def status(self) -> StatusView:
        """Everything that `meshpacs status` tells."""
        return await self._standing.status()

    async def peers(self) -> tuple[PeerView, ...]:
        """All other members, by name."""
        return await self._standing.peers()

    async def counters(self) -> tuple[CounterView, ...]:
        """What has gone over this node's links since it started, by purpose and type."""
        await trio.lowlevel.checkpoint()
        rooms = self._rooms
        return rooms.meters.counters.views(rooms.switchboard.links())

    async def trails(self, start: str = "") -> tuple[TrailView, ...]:
        """The last queries that passed here whose id begins so, the oldest first."""
        return await self._standing.trails(start)

    async def conflicts(self) -> tuple[ConflictView, ...]:
        """Instances that came with two contents."""
        found = await self._rooms.vault.read(self._rooms.vault.archive.conflicts)
        return tuple(_conflict(conflict) for conflict in found)

    def names(self) -> Mapping[NodeId, str]:
        """The names of all members, past ones too where known."""
        return self._rooms.names()

    # ------------------------------------------------------------ membership and configuration

    async def invite(
        self, role: Role = Role.MEMBER, expires_s: int = 72 * 3600, *, local: bool = False
    ) -> InviteView:
        """An invite that any member can honour."""
        await trio.lowlevel.checkpoint()
        return self._membership.invite(role, expires_s, local=local)

    async def revoke(self, who: str) -> RevokeView:
        """Take a member's membership."""
        return await self._membership.revoke(who)

    async def reload(self) -> ConfigView:
        """Read the config file again, and tell the mesh a new name or address."""
        view = self._rooms.config.reload()
        if not view.refused:
            await self._membership.publish()
        return view

    def stop(self) -> None:
        """Begin a clean stop."""
        self._stopping.set()


class Locating:
    """Finds who holds a study, by asking everybody."""

    def __init__(self, rooms: Rooms) -> None:
        """Asks through the driver."""
        self._rooms = rooms

    async def __call__(self, study_uid: str) -> Located:
        """Ask the whole mesh.

        Raises:
            Unavailable: asked too often or too much at once, or the node is stopping.
        """
        rooms = self._rooms
        key = (UNIQUE_KEYS[Level.STUDY], (study_uid,))
        query = Query(Level.STUDY, keys=(key,))
        question = Question(query, 0, _unmerged, rooms.names)
        try:
            await rooms.driver.ask(question, Everyone(), None)
            rows, report = await question.answers()
        finally:
            with trio.move_on_after(LEAVE_S, shield=True):
                await rooms.driver.leave(question)
        full = (Status.ANSWERED, Status.TRUNCATED)
        others = [m for m in report.asked if m.node != rooms.node]
        return Located(
            holders=tuple(sorted(node for node in rows if rows[node] and node != rooms.node)),
            answered=sum(m.status in full for m in others),
            unheard=tuple(m.node for m in others if m.status not in full),
        )


async def _unmerged(
    _wanted: Sequence[tuple[str, Sequence[NodeId]]],
) -> Mapping[tuple[NodeId, str], tuple[Entry, ...]]:
    raise AssertionError("Rows that only say who holds a study are not merged.")


def _conflict(conflict: Conflict) -> ConflictView:
    kept, aside = conflict.kept, conflict.aside
    origin = f"from {conflict.came_from}" if conflict.came_from else "unknown"
    return ConflictView(
        study_uid=conflict.study_uid,
        series_uid=conflict.series_uid,
        sop_uid=conflict.sop_uid,
        kept_root=kept.root if kept else NO_DIGEST,
        kept_transfer_syntax=kept.transfer_syntax if kept else "",
        kept_bytes=kept.size_bytes if kept else 0,
        aside_root=aside.root,
        aside_transfer_syntax=aside.transfer_syntax,
        aside_bytes=aside.size_bytes,
        arrived_us=conflict.arrived_us,
        origin=origin,
    )
