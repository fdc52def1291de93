"""One fetch: who has the study, what it is, and bringing it here (PROTOCOL 9).

Ends in one of three ways. All is here: adopted whole. Some of it is with nobody who answers, or
nobody gives it as it was vouched for: the rest is adopted and marked partial. A holder was lost
on the way and nobody else has what it held: nothing is shown, all that came stays staged, and the
error says how much is missing and who had it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from meshpacs.archive.faults import Refused
from meshpacs.archive.holdings import Conflict
from meshpacs.archive.stage import AdoptReport
from meshpacs.links.transfer import Known
from meshpacs.model.content import Content, Entry, leaf_count
from meshpacs.model.errors import MeshError, Unavailable, fault_within
from meshpacs.model.ids import Digest, NodeId, short
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.node.landing import Landing, Staging
from meshpacs.node.manifests import Checked, Contributions, contents_of
from meshpacs.node.pulling import Bulk, Cargo, Pulling, Pulls
from meshpacs.node.selection import Selection
from meshpacs.node.views import FetchDone, FetchProgress, NobodyHasIt
from meshpacs.wire.chunks import Plan
from meshpacs.wire.manifest import Study, union

log = structlog.get_logger()

MANIFESTS_S = 10.0
"""Seconds that holders have to be dialled and to tell their manifests before the fetch begins
without them. A guess; one that comes later still gives what it has."""

MISSING_SHOWN = 100


class Cellar(Protocol):
    """The archive, as far as a fetch goes; called in worker threads."""

    def study_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """All visible instances."""
        ...

    def conflicts(self) -> tuple[Conflict, ...]:
        """Instances that are kept aside."""
        ...

    def stage(self, selection: str) -> Staging:
        """Open or resume a stage."""
        ...

    def adopt(self, selection: str, *, partial: bool) -> AdoptReport:
        """Make it visible whole."""
        ...

    def need_room(self, size: int, what: str) -> None:
        """Raise DiskFull unless so many bytes may be taken in."""
        ...


@dataclass(frozen=True, slots=True)
class Located:
    """Who has rows of a study, and who has not answered."""

    holders: tuple[NodeId, ...]
    """Without this node."""
    answered: int
    unheard: tuple[NodeId, ...]
    """Members that were asked and whose full answer has not come."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a fetch works with."""

    cellar: Cellar
    contributions: Contributions
    locate: Callable[[str], Awaitable[Located]]
    bulk: Bulk
    blame: Callable[[NodeId, str], None]
    names: Callable[[], Mapping[NodeId, str]]

    def name(self, node: NodeId) -> str:
        """A member's name."""
        return self.names().get(node, f"node {short(node)}")


@dataclass(slots=True)
class _Goal:
    """What is wanted, once manifests have told."""

    entries: tuple[Entry, ...]
    """The selection; of conflicts the winners."""
    others: tuple[Entry, ...]
    """What lost in conflicts; kept aside."""
    wanted: tuple[Entry, ...]
    """What of both is not here yet."""
    stages: dict[bool, tuple[str, Staging]]
    """By whether it is for `others`; only those that are needed."""
    staged: dict[Content, None]
    """What is durable."""
    size_bytes: int = 0
    """Of the selection; counted once, as progress is asked for often."""


class Fetch:
    """One fetch under way, for all who want the same."""

    def __init__(
        self, selection: Selection, means: Means, holders: Sequence[NodeId] | None = None
    ) -> None:
        """Nothing happens before `run`. `holders`: known already, so nobody is asked for them."""
        self.selection = selection
        self.landed: list[Entry] = []
        """Instances that are verified and staged, in the order of landing."""
        self.done: FetchDone | None = None
        self.fault: MeshError | None = None
        self.over = trio.Event()
        self.scope = trio.CancelScope()
        self.news = trio.Event()
        """Set, and replaced, whenever something has changed."""
        self.followers = 0
        self._means = means
        self._holders = holders
        self._located = Located((), 0, ())
        self._goal = _Goal((), (), (), {}, {})
        self._here = (0, 0)
        """Instances of the selection, and their bytes, that were here before."""
        self._instances: Counter[NodeId] = Counter()
        self._plan = Plan(())
        self._pulling = Pulling(
            Pulls(selection.study_uid, means.bulk, self._check, means.blame, self._stir)
        )

    @property
    def progress(self) -> FetchProgress:
        """How far it is."""
        goal, pulled = self._goal, self._pulling.bytes
        instances, size = self._here
        return FetchProgress(
            instances=min(instances + len(self.landed), len(goal.entries)),
            instances_total=len(goal.entries),
            bytes=min(size + pulled.total(), goal.size_bytes),
            bytes_total=goal.size_bytes,
            by_member=dict(pulled),
        )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is wanted, once manifests have told; empty before."""
        return self._goal.entries

    @property
    def present(self) -> tuple[Entry, ...]:
        """What of it was here before."""
        wanted = contents_of(self._goal.wanted)
        return tuple(e for e in self._goal.entries if (e.sop_uid, e.content) not in wanted)

    # ------------------------------------------------------------ the whole of it

    async def run(self) -> None:
        """Fetch; afterwards either `done` or `fault` is set."""
        began_s = trio.current_time()
        try:
            with self.scope:
                self.done = await self._run(began_s)
        except MeshError as fault:
            self.fault = fault
        except BaseExceptionGroup as group:
            self.fault = fault_within(group)
            if self.fault is None:
                raise
        finally:
            if self.done is None and self.fault is None:
                self.fault = Unavailable("The fetch was stopped.", "What has come stays staged.")
            self.over.set()
            self._stir()
        if self.fault is not None:
            log.info("fetch_failed", study=self.selection.study_uid, cause=self.fault.what)

    async def _run(self, began_s: float) -> FetchDone:
        uid = self.selection.study_uid
        if self._holders is None:
            self._located = await self._means.locate(uid)
        else:
            self._located = Located(tuple(self._holders), 0, ())
        pulling = self._pulling
        async with trio.open_nursery() as nursery:
            pulling.coming = dict.fromkeys(self._located.holders)
            for holder in self._located.holders:
                nursery.start_soon(pulling.deal_with, holder)
            with trio.move_on_after(MANIFESTS_S):
                await self._until(lambda: not pulling.coming)
            await self._set_goal()
            if self._goal.wanted:
                await self._pull(nursery)
            nursery.cancel_scope.cancel()
        return await self._finish(began_s)

    async def _pull(self, nursery: trio.Nursery) -> None:
        goal = self._goal
        others = contents_of(goal.others)

        def stage_of(entry: Entry) -> Staging:
            return goal.stages[(entry.sop_uid, entry.content) in others][1]

        present, partial = await trio.to_thread.run_sync(self._look_into_stages, stage_of)
        self._plan = plan = Plan(goal.wanted, present)
        landing = Landing(
            stage_of,
            self.selection.study_uid,
            nursery,
            self._land,
            self._means.name,
            lambda: plan.coming,
        )
        try:
            entries = {entry.root: entry for entry in reversed(goal.wanted)}
            self._pulling.load(Cargo(plan, landing, entries, partial, nursery))
            await self._until(
                lambda: (plan.done or (plan.stuck and not self._pulling.coming)) and landing.idle
            )
        finally:
            nursery.cancel_scope.cancel()
            await landing.aclose()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self.news.wait()

    def _stir(self) -> None:
        self.news.set()
        self.news = trio.Event()

    async def _check(self, known: Known, holder: NodeId) -> Checked:
        uid = self.selection.study_uid
        return await trio.to_thread.run_sync(self._means.contributions.check, uid, known, holder)

    def _land(self, entry: Entry, giver: NodeId, refused: Refused | None) -> None:
        if refused is None:
            self._goal.staged[entry.content] = None
            self.landed.append(entry)
            self._instances[giver] += 1
        else:
            log.warning("fetched_refused", sop=entry.sop_uid, reason=refused.reason)
            for origin in self._vouching(entry):
                self._means.blame(origin, f"It vouches for what cannot be kept: {refused.what}")
        self._stir()

    def _vouching(self, entry: Entry) -> list[NodeId]:
        found = {
            manifest.origin
            for _, checked in self._pulling.told.values()
            for manifest in checked.manifests
            if entry in manifest.entries
        }
        return sorted(found)

    # ------------------------------------------------------------ what is wanted

    async def _set_goal(self) -> None:
        told = [m for _, checked in self._pulling.told.values() for m in checked.manifests]

        def work() -> tuple[_Goal, tuple[int, int]]:
            uid = self.selection.study_uid
            kept = self._means.contributions.kept(uid)
            study: Study = union((*kept, *told))
            entries = self.selection.of(study.entries)
            others = self.selection.of(e for c in study.conflicts for e in c.others)
            here = contents_of(self._means.cellar.study_entries(uid))
            here |= {(c.sop_uid, c.aside) for c in self._means.cellar.conflicts()}
            wanted = tuple(e for e in (*entries, *others) if (e.sop_uid, e.content) not in here)
            missing = contents_of(wanted)
            old = [e.size_bytes for e in entries if (e.sop_uid, e.content) not in missing]
            size = sum(entry.size_bytes for entry in entries)
            goal = _Goal(entries, others, wanted, {}, {}, size)
            for aside, some in ((False, entries), (True, others)):
                if contents_of(some) & missing:
                    name = self.selection.stages[aside]
                    goal.stages[aside] = name, self._means.cellar.stage(name)
            return goal, (len(old), sum(old))

        self._goal, self._here = await trio.to_thread.run_sync(work)
        if not self._goal.entries:
            raise self._nobody_has_it()
        self._stir()

    def _look_into_stages(
        self, stage_of: Callable[[Entry], Staging]
    ) -> tuple[dict[Digest, int], set[Digest]]:
        """What an earlier attempt has left: whole contents, and those begun. In a thread.

        Raises:
            DiskFull: there is no room for the rest; nothing is asked of anybody.
        """
        goal, uid = self._goal, self.selection.study_uid
        staged = contents_of(e for _, stage in goal.stages.values() for e in stage.entries())
        present: dict[Digest, int] = {}
        begun: set[Digest] = set()
        lacking = 0
        for entry in goal.wanted:
            if (entry.sop_uid, entry.content) in staged:
                goal.staged[entry.content] = None
                self.landed.append(entry)
                present[entry.root] = leaf_count(entry.size_bytes)
                continue
            lacking += entry.size_bytes
            if leaf_count(entry.size_bytes) > 1 and (leaves := stage_of(entry).partial(entry.root)):
                begun.add(entry.root)
                lacking -= min(leaves * LEAF_BYTES, entry.size_bytes)  # has its room already
        instances, size = self._here
        self._here = instances, size + sum(entry.size_bytes for entry in self.landed)
        if lacking:
            self._means.cellar.need_room(lacking, f"what is lacking of the study {uid}")
        return present, begun

    # ------------------------------------------------------------ the end

    async def _finish(self, began_s: float) -> FetchDone:
        goal, pulling = self._goal, self._pulling
        lacking = tuple(entry for entry in goal.wanted if entry.content not in goal.staged)
        if lacking:
            self._refuse_to_show(lacking)
        told = [known.signed for known, _ in pulling.told.values()]
        partial = bool(lacking) or not self.selection.whole

        def work() -> tuple[int, int]:
            # Manifests first: should a crash come between, they tell of what is not held, which
            # is true, while instances that no manifest lists could not be counted by others.
            for fork in self._means.contributions.keep(self.selection.study_uid, told):
                log.warning("manifest_forked", origin=short(fork.origin), version=fork.version)
                trio.from_thread.run_sync(self._means.blame, fork.origin, fork.what)
            conflicts = 0
            for _, (name, _) in sorted(goal.stages.items()):
                conflicts += len(self._means.cellar.adopt(name, partial=partial).conflicts)
            visible = self.selection.of(self._means.cellar.study_entries(self.selection.study_uid))
            return conflicts, len(visible)

        conflicts, visible = await trio.to_thread.run_sync(work)
        done = FetchDone(
            study_uid=self.selection.study_uid,
            instances=visible,
            bytes=pulling.bytes.total(),
            from_members=dict(sorted(self._instances.items())),
            already_here=not goal.wanted,
            partial=partial,
            missing=tuple(sorted({entry.sop_uid for entry in lacking}))[:MISSING_SHOWN],
            missing_total=len(lacking),
            conflicts=conflicts,
            took_us=round((trio.current_time() - began_s) * 1_000_000),
            unheard=tuple(sorted({*self._located.unheard, *pulling.unreached})),
            names=dict(self._means.names()),
        )
        log.info(
            "fetch_done",
            study=done.study_uid,
            instances=done.instances,
            fetched=len(self.landed),
            bytes=done.bytes,
            missing=done.missing_total,
            conflicts=done.conflicts,
            holders=len(pulling.told),
            took_ms=done.took_us // 1000,
        )
        return done

    def _refuse_to_show(self, lacking: tuple[Entry, ...]) -> None:
        """Raise if a later attempt may well bring what is lacking now, or if nothing has come."""
        missing = contents_of(lacking)
        had = {
            holder: why
            for holder, why in self._pulling.lost.items()
            if contents_of(self._pulling.told[holder][1].held) & missing
        }
        count = f"{len(lacking)} of {len(self._goal.wanted)} instances"
        if had:
            raise Unavailable(
                f"{count} could not be had: lost {self._who(had)} on the way.",
                "What has come is staged and will not be sent again; fetch once more when "
                "they are back.",
            )
        if not self._goal.staged and not self._here[0]:
            raise Unavailable(
                f"{count} could not be had: nobody who can be reached holds them"
                f"{self._behind(self._pulling.unreached)}.",
                "See `meshpacs peers`; fetch once more when the others are back.",
            )

    def _nobody_has_it(self) -> NobodyHasIt:
        located = self._located
        silent = dict.fromkeys(located.unheard, "no answer") | self._pulling.unreached
        if not silent:
            return NobodyHasIt(
                f"Nobody has the study {self.selection.study_uid}, or the part of it that was "
                f"asked for. None is silent; members that answered: {located.answered}.",
                "Copy a Study Instance UID that `meshpacs find` shows.",
                silent=0,
            )
        return NobodyHasIt(
            f"No member that can be reached has the study {self.selection.study_uid}; "
            f"not heard: {self._who(silent)}.",
            "See `meshpacs peers`; fetch once more when they are back.",
            silent=len(silent),
        )

    def _who(self, holders: Mapping[NodeId, str]) -> str:
        return ", ".join(
            f"{self._means.name(node)} ({why.rstrip('.')})" for node, why in holders.items()
        )

    def _behind(self, holders: Mapping[NodeId, str]) -> str:
        return f"; not reached: {self._who(holders)}" if holders else ""
