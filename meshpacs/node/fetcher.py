"""All fetches of this node: two that want the same share one; and what holders hold, for find."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import structlog
import trio

from meshpacs.links.transfer import Taker
from meshpacs.model.content import Entry
from meshpacs.model.errors import LocalFault, PeerFault, Unavailable
from meshpacs.model.ids import NodeId, short
from meshpacs.node.export import Exporting, export_study
from meshpacs.node.fetching import Cellar, Fetch, Means
from meshpacs.node.selection import Selection
from meshpacs.node.views import FetchDone, FetchEvent, FetchProgress

log = structlog.get_logger()

PROGRESS_S = 0.1
"""Seconds between two reports of progress to one caller, at least. A guess: ten a second look
smooth."""

HOLDINGS_S = 4.0
"""Seconds that holders have to say what they hold of differing studies. Below `RESOLVE_S` of
`finding`, so that what came in time is used."""

HOLDINGS_AT_ONCE = 16
"""Holders asked at the same time. A guess."""

HOLDINGS_STUDIES = 32
"""Studies asked of one holder in one request, so that an end of the time loses few. A guess."""


class FullCellar(Cellar, Exporting, Protocol):
    """The archive, as far as fetches and exports go."""


class Following:
    """One caller's view of a fetch."""

    def __init__(self, fetch: Fetch, cellar: FullCellar, to: Path | None) -> None:
        """`to`: export the files there once they are here."""
        self.fetch = fetch
        self._cellar = cellar
        self._to = to

    def __aiter__(self) -> AsyncIterator[FetchEvent]:
        """Progress now and then, at last the end; raises what went wrong."""
        return _Events(self)

    def instances(self) -> AsyncIterator[Entry]:
        """Each instance as soon as it is verified and durable, before the study is visible.

        Ends with the fetch, however that ends; `__aiter__` says how.
        """
        return _Instances(self.fetch)

    async def end(self) -> FetchDone:
        """The end of a fetch that is over, its files exported if they were asked for."""
        if self.fetch.fault is not None:
            raise self.fetch.fault
        assert self.fetch.done is not None
        return await self._exported(self.fetch.done)

    async def _exported(self, done: FetchDone) -> FetchDone:
        to = self._to
        if to is None:
            return done

        def work() -> int:
            entries = self._cellar.study_entries(done.study_uid)
            return export_study(self._cellar, self.fetch.selection.of(entries), to)

        count = await trio.to_thread.run_sync(work)
        return replace(done, exported_to=to, exported=count)


# Not generators: a caller may leave in the middle, and then nothing is left to clean up.


class _Events:
    def __init__(self, following: Following) -> None:
        self._following = following
        self._told: FetchProgress | None = None
        self._told_s = -math.inf
        self._ended = False

    def __aiter__(self) -> "_Events":
        return self

    async def __anext__(self) -> FetchEvent:
        if self._ended:
            raise StopAsyncIteration
        fetch = self._following.fetch
        with trio.move_on_at(self._told_s + PROGRESS_S):
            await fetch.over.wait()
        while not fetch.over.is_set() and fetch.progress == self._told:
            await fetch.news.wait()
        progress = fetch.progress
        if progress != self._told and fetch.fault is None:
            self._told, self._told_s = progress, trio.current_time()
            return progress
        self._ended = True
        return await self._following.end()


class _Instances:
    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._told = 0

    def __aiter__(self) -> "_Instances":
        return self

    async def __anext__(self) -> Entry:
        fetch = self._fetch
        while self._told == len(fetch.landed):
            if fetch.over.is_set():
                raise StopAsyncIteration
            await fetch.news.wait()
        self._told += 1
        return fetch.landed[self._told - 1]


class Fetcher:
    """Starts fetches, and ends them when nobody wants them any more."""

    def __init__(self, node: NodeId, cellar: FullCellar, means: Means) -> None:
        """`run` must be running before the first fetch."""
        self._node = node
        self._cellar = cellar
        self._means = means
        self._fetches: dict[Selection, Fetch] = {}
        self._kept_out: Counter[str] = Counter()
        """Studies that are being removed."""
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the fetches, until cancelled; what they have verified stays staged."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    @asynccontextmanager
    async def fetch(
        self,
        selection: Selection,
        *,
        holders: Sequence[NodeId] | None = None,
        to: Path | None = None,
    ) -> AsyncIterator[Following]:
        """Bring a selection here; `holders`, if a query has just told them, are not searched for.

        Raises (on entering):
            LocalFault: the study is being removed.
            Unavailable: the node is stopping.
        """
        fetch = await self._joined(selection, holders)
        fetch.followers += 1
        try:
            yield Following(fetch, self._cellar, to)
        finally:
            fetch.followers -= 1
            if not fetch.followers:
                fetch.scope.cancel()

    def check_unfetched(self, study_uid: str) -> None:
        """Go on unless some of this study is being fetched.

        Raises:
            LocalFault: it is.
        """
        if any(selection.study_uid == study_uid for selection in self._fetches):
            raise LocalFault(
                f"The study {study_uid} is being fetched just now.", "Stop that first."
            )

    @contextmanager
    def kept_out(self, study_uid: str) -> Iterator[None]:
        """Have no fetch of this study begin meanwhile, as what it stages would go.

        Raises:
            LocalFault: one is under way.
        """
        self.check_unfetched(study_uid)
        self._kept_out[study_uid] += 1
        try:
            yield
        finally:
            self._kept_out -= Counter((study_uid,))  # and forgets who has none

    async def _joined(self, selection: Selection, holders: Sequence[NodeId] | None) -> Fetch:
        """The fetch under way for this selection, or a new one."""
        while (fetch := self._fetches.get(selection)) is not None:
            if not fetch.scope.cancel_called:
                return fetch
            await fetch.over.wait()  # it is letting go of the stage
        if selection.study_uid in self._kept_out:
            raise LocalFault(
                f"The study {selection.study_uid} is being deleted here just now.",
                "Fetch it again once that is done.",
            )
        if self._nursery is None:
            raise Unavailable("The node is stopping.", "Fetch again once it is up.")
        fetch = self._fetches[selection] = Fetch(selection, self._means, holders)
        self._nursery.start_soon(self._run, fetch)
        return fetch

    async def _run(self, fetch: Fetch) -> None:
        try:
            await fetch.run()
        finally:
            del self._fetches[fetch.selection]

    # ------------------------------------------------------------ for find

    async def holdings(
        self, wanted: Sequence[tuple[str, Sequence[NodeId]]]
    ) -> Mapping[tuple[NodeId, str], tuple[Entry, ...]]:
        """What each holder holds, visible, of studies that differ between holders.

        Whoever could not say in time is left out. Nothing is kept (PROTOCOL 5.6).
        """
        studies: dict[NodeId, list[str]] = {}
        for study, holders in wanted:
            for holder in holders:
                studies.setdefault(holder, []).append(study)
        found: dict[tuple[NodeId, str], tuple[Entry, ...]] = {}
        limiter = trio.CapacityLimiter(HOLDINGS_AT_ONCE)
        with trio.move_on_after(HOLDINGS_S):
            async with trio.open_nursery() as nursery:
                for holder, asked in studies.items():
                    if holder == self._node:
                        nursery.start_soon(self._own_holdings, asked, found)
                    else:
                        nursery.start_soon(self._holdings_of, holder, asked, found, limiter)
        return found

    async def _own_holdings(
        self, studies: list[str], found: dict[tuple[NodeId, str], tuple[Entry, ...]]
    ) -> None:
        for study in studies:
            found[self._node, study] = await trio.to_thread.run_sync(
                self._cellar.study_entries, study
            )

    async def _holdings_of(
        self,
        holder: NodeId,
        studies: list[str],
        found: dict[tuple[NodeId, str], tuple[Entry, ...]],
        limiter: trio.CapacityLimiter,
    ) -> None:
        check = self._means.contributions.check
        try:
            async with limiter, self._means.bulk(holder) as pipe:
                taker = Taker(pipe)
                for at in range(0, len(studies), HOLDINGS_STUDIES):
                    batch = studies[at : at + HOLDINGS_STUDIES]
                    for study, known in zip(batch, await taker.manifests(batch), strict=True):
                        checked = await trio.to_thread.run_sync(check, study, known, holder)
                        found[holder, study] = checked.held
        except PeerFault as fault:
            self._means.blame(holder, fault.what)
        except Unavailable as lost:
            log.info("holdings_unknown", holder=short(holder), cause=lost.what)
