"""The world's side of the comparison: everything that happens, as the kernel's rows."""

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshpacs.model.answer import Report, Row, Status
from meshpacs.model.ids import Micros, QueryId
from meshpacs.model.query import Ball
from meshpacs.wire.messages import (
    Ask,
    Cancel,
    Closed,
    Got,
    Message,
    Part,
    Ping,
    Pong,
    Recall,
)
from meshpacs_sim.kernel.twin import rows as r
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.observers import Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

STATUSES = {
    Status.ANSWERED: r.ANSWERED,
    Status.BUSY: r.BUSY,
    Status.FAILED: r.FAILED,
    Status.OUTSIDE: r.OUTSIDE,
    Status.UNREACHABLE: r.UNREACHABLE,
}
"""Those that the twin knows; any other ends the comparison with a KeyError."""


class Tape(Observer):
    """Writes one row for each thing, and changes nothing."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.words = array("q")
        """The rows, one behind the other."""
        self._queries: dict[QueryId, int] = {}

    def begin(self, world: "World") -> None:
        """Learn the hosts' numbers."""
        self._index, self._bodies = world.index, world.bodies

    def _row(
        self, now: Micros, kind: int, host: int, peer: int = 0, link: int = 0, *numbers: int
    ) -> None:
        self.words.extend((now, kind, host, peer, link, *numbers))
        self.words.extend((0,) * (r.WIDTH - 5 - len(numbers)))

    def _query(self, body: bytes) -> int:
        return self._queries[self._bodies.read(body)[0]]

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """A message is posted."""
        row = self._row
        match message:
            case Ask(token, ttl, hops, remaining_ms, body, _):
                query = self._query(body)
                row(now, r.ASK, src, dst, serial, query, token, ttl, hops, remaining_ms)
            case Got(token):
                row(now, r.GOT, src, dst, serial, 0, token)
            case Part(token):
                row(now, r.PART, src, dst, serial, 0, token)
            case Closed(token, unreached):
                fold = _fold(self._index[node] + 1 for node in unreached)
                row(now, r.CLOSED, src, dst, serial, 0, token, len(unreached), fold)
            case Recall(token, remaining_ms, body, _):
                row(now, r.RECALL, src, dst, serial, self._query(body), token, remaining_ms)
            case Cancel(query_id):
                row(now, r.CANCEL, src, dst, serial, self._queries[query_id])
            case Ping(nonce):
                row(now, r.PING, src, dst, serial, 0, nonce)
            case Pong(nonce):
                row(now, r.PONG, src, dst, serial, 0, nonce)
            case _:
                raise AssertionError(f"{type(message).__name__} in a frozen overlay")

    def linked(self, now: Micros, host: int, peer: int, serial: int) -> None:
        """A control link is up at this end."""
        self._row(now, r.LINKED, host, peer, serial)

    def unlinked(self, now: Micros, host: int, peer: int, serial: int) -> None:
        """A control link is gone at this end."""
        self._row(now, r.UNLINKED, host, peer, serial)

    def started(self, now: Micros, host: int) -> None:
        """A node begins a life."""
        self._row(now, r.STARTED, host)

    def crashed(self, now: Micros, host: int) -> None:
        """A node is gone."""
        self._row(now, r.CRASHED, host)

    def asked(self, now: Micros, asking: Asking) -> None:
        """A query begins."""
        number = self._queries[asking.query_id] = len(self._queries)
        ttl = asking.scope.ttl if isinstance(asking.scope, Ball) else 0
        budget_us = asking.deadline - asking.asked_at
        self._row(now, r.ASKED, asking.origin, 0, 0, number, ttl, budget_us)

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """An archive is to be searched."""
        self._row(now, r.SEARCHING, host, 0, 0, self._queries[query_id])

    def found(
        self, now: Micros, host: int, query_id: QueryId, rows: tuple[Row, ...] | None
    ) -> None:
        """An archive has answered."""
        count = -1 if rows is None else len(rows)
        self._row(now, r.FOUND, host, 0, 0, self._queries[query_id], count)

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """The final reaches the caller: every member's line, by the hosts' numbers."""
        lines = sorted(report.members, key=lambda member: self._index[member.node])
        fold = _fold(
            number for line in lines for number in (STATUSES[line.status], line.hops, line.took_us)
        )
        answers = sum(line.status is Status.ANSWERED for line in lines)
        marks = r.CANCELLED * report.cancelled + r.DOUBTFUL * report.doubtful
        query = self._queries[query_id]
        self._row(now, r.FINISHED, host, 0, 0, query, report.took_us, answers, fold, marks)


def _fold(numbers: Iterable[int]) -> int:
    fold = 0
    for number in numbers:
        fold = (fold * 31 + number) & r.MASK
    return fold
