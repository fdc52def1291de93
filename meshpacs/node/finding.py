"""One query of ours, from the asking to the merged answer."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

import trio

from meshpacs.model.answer import Report, Row, Status
from meshpacs.model.content import Entry
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import NodeId, QueryId
from meshpacs.model.merge import Match, merge, needs_holdings
from meshpacs.model.query import Query
from meshpacs.node.views import Found, Progress

MERGE_IN_THREAD_ROWS = 200
"""Rows above which merging leaves the main thread. Below, a thread costs more. A guess."""

RESOLVE_S = 5.0
"""Seconds that a query waits for holders' lists where their studies differ. A guess."""


class Holdings(Protocol):
    """Finds out what each holder has of studies that differ between holders (PROTOCOL 5.6)."""

    async def __call__(
        self, wanted: Sequence[tuple[str, Sequence[NodeId]]], /
    ) -> Mapping[tuple[NodeId, str], tuple[Entry, ...]]:
        """Entries by holder and study; whoever could not be asked is left out."""
        ...


class Question:
    """Collects what the driver delivers, and hands it to whoever asked.

    Not a queue: progress is a state, so a caller that reads slowly costs nothing.
    """

    def __init__(
        self,
        query: Query,
        asked: int,
        holdings: Holdings,
        names: Callable[[], Mapping[NodeId, str]],
    ) -> None:
        """`asked`: members whose answer can be expected."""
        self.query = query
        self.query_id: QueryId | None = None
        self.left = False
        """The caller is gone; an answer is of no use any more."""
        self._asked = asked
        self._holdings = holdings
        self._rows: dict[NodeId, tuple[Row, ...]] = {}
        self._report: Report | None = None
        self._lost = False
        self._news = trio.Event()
        self._names = names

    # ------------------------------------------------------------ the driver's side

    def rows(self, holder: NodeId, rows: tuple[Row, ...]) -> None:
        """One holder has answered."""
        self._rows[holder] = self._rows.get(holder, ()) + rows
        self._stir()

    def final(self, report: Report) -> None:
        """The query is over."""
        self._report = report
        self._stir()

    def lose(self) -> None:
        """The driver is stopping: no final report will come."""
        self._lost = True
        self._stir()

    def _stir(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # ------------------------------------------------------------ the caller's side

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return Progress(
            answered=len(self._rows),
            asked=max(self._asked, len(self._rows)),
            rows=sum(map(len, self._rows.values())),
        )

    def __aiter__(self) -> AsyncIterator[Progress]:
        """Progress whenever it has changed, until the query is over."""
        return _Steps(self)

    async def beyond(self, told: Progress | None) -> Progress | None:
        """The progress as soon as it is another than this; None once the query is over."""
        while self.progress == told:
            if self._report is not None or self._lost:
                return None
            await self._news.wait()
        return self.progress

    async def answers(self) -> tuple[Mapping[NodeId, tuple[Row, ...]], Report]:
        """Wait for the end: each holder's rows, and how complete they are.

        Raises:
            Unavailable: the node is stopping.
        """
        while self._report is None:
            if self._lost:
                raise Unavailable(
                    "The node is stopping; the query has no answer.", "Ask again once it is up."
                )
            await self._news.wait()
        return self._rows, self._report

    async def result(self) -> Found:
        """Wait for the end, fetch the lists that merging needs, merge."""
        rows, report = await self.answers()
        return await merged(self.query, rows, report, self._holdings, self._names())


class _Steps:
    """Not a generator: a caller may leave in the middle, and then nothing is left to clean up."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._told: Progress | None = None

    def __aiter__(self) -> "_Steps":
        return self

    async def __anext__(self) -> Progress:
        step = await self._question.beyond(self._told)
        if step is None:
            raise StopAsyncIteration
        self._told = step
        return step


async def merged(
    query: Query,
    rows: Mapping[NodeId, tuple[Row, ...]],
    report: Report | None,
    holdings: Holdings,
    names: Mapping[NodeId, str],
    *,
    truncated: bool = False,
) -> Found:
    """Merge the holders' rows, their differing studies resolved as far as time allows."""
    wanted = needs_holdings(query.level, rows)
    known: Mapping[tuple[NodeId, str], tuple[Entry, ...]] = {}
    if wanted:
        with trio.move_on_after(RESOLVE_S):
            known = await holdings(wanted)

    def work() -> tuple[Match, ...]:
        return merge(query.level, rows, known)

    if sum(map(len, rows.values())) > MERGE_IN_THREAD_ROWS:
        matches = await trio.to_thread.run_sync(work, abandon_on_cancel=True)
    else:
        matches = work()
    cut = report is not None and any(m.status is Status.TRUNCATED for m in report.members)
    return Found(
        matches=matches,
        report=report,
        truncated=truncated or cut,
        unresolved=sum(match.unresolved for match in matches),
        names=names,
    )
