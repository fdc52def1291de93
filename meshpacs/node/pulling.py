"""The holders' side of one fetch: dial each, hear what it knows, pull what the plan gives it.

A holder that is lost is dialled again as long as something has come of it since the last time;
otherwise, and meanwhile, others take over what it owes.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog
import trio

from meshpacs.archive.faults import Refused
from meshpacs.archive.receiving import WrongLeaf
from meshpacs.links.transfer import Known, Pipe, Taker
from meshpacs.model.content import Entry
from meshpacs.model.errors import PeerFault, Unavailable, fault_within
from meshpacs.model.ids import Digest, NodeId, short
from meshpacs.node.landing import Alone, Landing
from meshpacs.node.manifests import Checked
from meshpacs.wire.chunks import Bad, Plan
from meshpacs.wire.messages import Chunk, Leaves, Missing
from meshpacs.wire.partial import Expected

log = structlog.get_logger()

Bulk = Callable[[NodeId], AbstractAsyncContextManager[Pipe]]
"""A bulk link to a member, closed on leaving; Unavailable if none can be had."""


@dataclass(slots=True)
class Cargo:
    """What is to be brought here, once that is known."""

    plan: Plan
    landing: Landing
    entries: dict[Digest, Entry]
    """What is wanted, by root."""
    partial: set[Digest]
    """Contents of which leaves may be staged; how many shows once their leaf list is here."""
    tasks: trio.Nursery
    """Outlives each link: what a lost holder has given is still verified and written."""
    resuming: trio.Lock = field(default_factory=trio.Lock)
    lists: dict[Digest, bytes] = field(default_factory=dict)
    """Verified leaf lists of contents under way."""


@dataclass(frozen=True, slots=True)
class Pulls:
    """What pulling works with."""

    study_uid: str
    bulk: Bulk
    check: Callable[[Known, NodeId], Awaitable[Checked]]
    blame: Callable[[NodeId, str], None]
    stir: Callable[[], None]
    """Called whenever something has changed."""


class Pulling:
    """The holders of one fetch."""

    def __init__(self, means: Pulls) -> None:
        """Begin with nobody."""
        self._means = means
        self.coming: dict[NodeId, None] = {}
        """Holders that may still join."""
        self.told: dict[NodeId, tuple[Known, Checked]] = {}
        self.unreached: dict[NodeId, str] = {}
        """Holders of which nothing was heard, and why."""
        self.lost: dict[NodeId, str] = {}
        """Holders that were lost on the way, and why."""
        self.bytes: Counter[NodeId] = Counter()
        """Good bytes by who gave them."""
        self._unjudged: Counter[NodeId] = Counter()
        """Leaves that have come and are not known to be right or wrong."""
        self.changed = trio.Event()
        """Set, and replaced, whenever a holder may have something to ask for."""
        self._links: dict[NodeId, trio.CancelScope] = {}
        self._cargo: Cargo | None = None
        self._loaded = trio.Event()

    def load(self, cargo: Cargo) -> None:
        """Begin to pull."""
        self._cargo = cargo
        for holder, (_, checked) in self.told.items():
            if holder in self._links:
                cargo.plan.add_holder(holder, [entry.root for entry in checked.held])
        self._loaded.set()

    def _stir(self) -> None:
        self._ask_more()
        self._means.stir()

    def _ask_more(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    # ------------------------------------------------------------ one holder

    async def deal_with(self, holder: NodeId) -> None:
        """Hear one holder and pull from it, until it is lost, or cancelled."""
        moved = -1
        why = ""
        while (progress := self.bytes[holder] + (holder in self.told)) > moved:
            moved = progress
            self.coming[holder] = None
            try:
                await self._visit(holder)
                break
            except PeerFault as fault:
                self._means.blame(holder, fault.what)
                why = fault.what
                break
            except Unavailable as lost:
                why = lost.what
            finally:
                if self._cargo:
                    self._cargo.plan.drop_holder(holder)
                self.coming.pop(holder, None)
                self._stir()
            # Whether anything good has come of it shows once all that came has been judged.
            self.coming[holder] = None
            while self._unjudged[holder]:
                await self.changed.wait()
        self.coming.pop(holder, None)
        log.info("holder_lost", holder=short(holder), bytes=self.bytes[holder], cause=why)
        if holder in self.told:
            self.lost.setdefault(holder, why)
        else:
            self.unreached[holder] = why
        self._stir()

    async def _visit(self, holder: NodeId) -> None:
        async with self._means.bulk(holder) as pipe:
            with trio.CancelScope() as scope:
                self._links[holder] = scope
                try:
                    await self._talk(holder, Taker(pipe))
                finally:
                    del self._links[holder]

    async def _talk(self, holder: NodeId, taker: Taker) -> None:
        if holder not in self.told:
            (known,) = await taker.manifests([self._means.study_uid])
            self.told[holder] = known, await self._means.check(known, holder)
        if self._cargo is None:
            self.coming.pop(holder, None)
            self._stir()
            await self._loaded.wait()
        cargo = self._cargo
        assert cargo is not None
        # Without effect for those that `load` has added.
        cargo.plan.add_holder(holder, [entry.root for entry in self.told[holder][1].held])
        self.coming.pop(holder, None)
        self._stir()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, cargo, holder, taker)
                while True:
                    await self._hear(cargo, holder, await taker.next())
        except BaseExceptionGroup as group:
            fault = fault_within(group)
            if fault is None:
                raise
            raise fault from group

    async def _ask(self, cargo: Cargo, holder: NodeId, taker: Taker) -> None:
        while True:
            changed = self.changed
            wants = cargo.plan.next_wants(holder)
            if wants.lists:
                await taker.want_leaves(wants.lists)
            if wants.ranges:
                await taker.want_chunks(wants.ranges)
            if not wants:
                await changed.wait()

    async def _hear(self, cargo: Cargo, holder: NodeId, answer: Leaves | Chunk | Missing) -> None:
        match answer:
            case Missing(root=root):
                cargo.plan.missing(holder, root)
                self._stir()
            case Leaves(root=root, leaves=leaves) if leaves and root in cargo.partial:
                cargo.tasks.start_soon(self._resume, cargo, holder, cargo.entries[root], leaves)
            case Leaves(root=root, leaves=leaves):
                self._take_list(cargo, holder, root, leaves)
            case Chunk():
                await cargo.landing.room(len(answer.data))
                if cargo.plan.came(holder, answer.root, answer.index):
                    self._ask_more()
                expected = cargo.plan.expected(answer.root, answer.index)
                if expected is None:  # another holder was quicker
                    cargo.landing.free(len(answer.data))
                    self._stir()
                elif expected.alone:
                    self._take_whole(cargo, holder, answer)
                else:
                    self._unjudged[holder] += 1
                    cargo.tasks.start_soon(self._take_leaf, cargo, holder, answer, expected)

    # ------------------------------------------------------------ what came

    async def _resume(self, cargo: Cargo, holder: NodeId, entry: Entry, leaves: bytes) -> None:
        """Find how much of a content is staged, before anybody is asked for its leaves."""
        # One at a time: another holder's list may come while the first is still looked at.
        async with cargo.resuming:
            if entry.root in cargo.partial:
                try:
                    have = await cargo.landing.resume(entry, leaves, holder)
                except (PeerFault, Refused):
                    # The plan judges the list below, and the next one may be right; an entry that
                    # no instance can be is refused once its leaves are here.
                    pass
                else:
                    cargo.partial.discard(entry.root)
                    if cargo.plan.resume(entry.root, have).whole:
                        cargo.landing.append(entry, leaves, holder, (), whole=True)
        self._take_list(cargo, holder, entry.root, leaves)

    def _take_list(self, cargo: Cargo, holder: NodeId, root: Digest, leaves: bytes) -> None:
        outcome = cargo.plan.leaves(holder, root, leaves)
        if isinstance(outcome, Bad):
            self._bad(outcome)
        elif leaves:
            cargo.lists.setdefault(root, leaves)
        self._stir()

    def _take_whole(self, cargo: Cargo, holder: NodeId, chunk: Chunk) -> None:
        """Have an instance of one leaf verified and kept."""
        entry = cargo.entries[chunk.root]
        self._unjudged[holder] += 1

        def judged(fault: Refused | WrongLeaf | None) -> bool:
            refused = None if isinstance(fault, WrongLeaf) else fault
            outcome = cargo.plan.chunk(
                holder, chunk.root, chunk.index, chunk.data, verified=fault is refused
            )
            if isinstance(outcome, Bad):
                self._bad(outcome)
            else:
                self.bytes[holder] += len(chunk.data)
            cargo.landing.free(len(chunk.data))
            self._unjudged[holder] -= 1
            self._stir()
            return not isinstance(outcome, Bad) and outcome.whole

        cargo.landing.alone(Alone(entry, holder, chunk.data, judged))

    async def _take_leaf(
        self, cargo: Cargo, holder: NodeId, chunk: Chunk, expected: Expected
    ) -> None:
        """Verify one leaf of several and have it written."""
        try:
            good = await cargo.landing.judge(expected.holds, chunk.data)
            outcome = cargo.plan.chunk(holder, chunk.root, chunk.index, chunk.data, verified=good)
            if isinstance(outcome, Bad):
                self._bad(outcome)
                return
            self.bytes[holder] += len(chunk.data)
            if outcome.ready:
                entry, leaves = cargo.entries[chunk.root], cargo.lists[chunk.root]
                if outcome.whole:
                    del cargo.lists[chunk.root]
                cargo.landing.append(entry, leaves, holder, outcome.ready, whole=outcome.whole)
        finally:
            cargo.landing.free(len(chunk.data))
            self._unjudged[holder] -= 1
            self._stir()

    def _bad(self, bad: Bad) -> None:
        what = "a wrong leaf list" if bad.index is None else "wrong bytes"
        self._means.blame(bad.node, f"It gave {what} for a content.")
        if bad.dropped:
            self.lost[bad.node] = "it gave wrong bytes again and again"
            if link := self._links.get(bad.node):
                link.cancel()
