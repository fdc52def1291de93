"""Everything that happened, as lines that do not depend on whose cryptography was used.

Hosts appear by number, queries by the order in which they were first seen, sealed bytes by their
length. `exact` adds digests of all bytes: two runs of one world are equal to the last bit.
"""

import hashlib
from typing import TYPE_CHECKING

from meshpacs.model.answer import Report, Row
from meshpacs.model.ids import Micros, NodeId, QueryId
from meshpacs.wire.codec import encode
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
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.observers import Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World


class Trace(Observer):
    """A running digest of all lines; with `keep`, the lines too."""

    def __init__(self, *, keep: bool = False, exact: bool = False) -> None:
        """Nothing has happened."""
        self._digest = hashlib.sha256()
        self._keep = keep
        self._exact = exact
        self._queries: dict[QueryId, int] = {}
        self._index: dict[NodeId, int] = {}
        self.count = 0
        self.lines: list[str] = []

    @property
    def digest(self) -> str:
        """Of everything so far."""
        return self._digest.hexdigest()

    def _line(self, now: Micros, *words: object) -> None:
        line = " ".join((str(now), *map(str, words)))
        self._digest.update(line.encode() + b"\n")
        self.count += 1
        if self._keep:
            self.lines.append(line)

    def _query(self, query_id: QueryId) -> str:
        return f"q{self._queries.setdefault(query_id, len(self._queries))}"

    def _message(self, message: Message) -> str:
        words: list[object]
        match message:
            case Ask(token, ttl, hops, remaining_ms, body, _):
                query_id, _ = self._bodies.read(body)
                words = [token, ttl, hops, remaining_ms, self._query(query_id)]
            case Recall(token, remaining_ms, body, _):
                query_id, _ = self._bodies.read(body)
                words = [token, remaining_ms, self._query(query_id)]
            case Closed(token, unreached):
                words = [token, *(self._index[node] for node in unreached)]
            case Part(token, sealed):
                words = [token, len(sealed)]
            case Got(token):
                words = [token]
            case Ping(nonce):
                words = [nonce]
            case Pong(nonce, wall_us):
                words = [nonce, wall_us]
            case Cancel(query_id):
                words = [self._query(query_id)]
            case _:
                words = []
        if self._exact:
            words.append(hashlib.sha256(encode(message)).hexdigest()[:16])
        return " ".join(map(str, (type(message).__name__, *words)))

    def begin(self, world: "World") -> None:
        """Learn the hosts' numbers."""
        self._index = world.index
        self._bodies = world.bodies
        self._line(0, "world", world.seed, world.graph.name)

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """One line."""
        self._line(now, "sent", src, dst, serial, self._message(message))

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """One line."""
        self._line(now, "arrived", src, dst, serial, self._message(message))

    def asked(self, now: Micros, asking: Asking) -> None:
        """One line."""
        self._line(now, "asked", asking.origin, self._query(asking.query_id), asking.scope)

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """One line."""
        self._line(now, "searching", host, self._query(query_id))

    def found(
        self, now: Micros, host: int, query_id: QueryId, rows: tuple[Row, ...] | None
    ) -> None:
        """One line."""
        count = "failed" if rows is None else len(rows)
        self._line(now, "found", host, self._query(query_id), count)

    def delivered(
        self, now: Micros, host: int, query_id: QueryId, holder: NodeId, rows: tuple[Row, ...]
    ) -> None:
        """One line."""
        held = self._index[holder]
        self._line(now, "delivered", host, self._query(query_id), held, len(rows))

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """One line."""
        members = (
            f"{self._index[m.node]}:{m.status.value}:{m.rows}:{m.hops}:{m.took_us}"
            for m in report.members
        )
        self._line(now, "finished", host, self._query(query_id), report.took_us, *members)

    def linked(self, now: Micros, host: int, peer: int, serial: int) -> None:
        """One line."""
        self._line(now, "linked", host, peer, serial)

    def unlinked(self, now: Micros, host: int, peer: int, serial: int) -> None:
        """One line."""
        self._line(now, "unlinked", host, peer, serial)

    def started(self, now: Micros, host: int) -> None:
        """One line."""
        self._line(now, "started", host)

    def crashed(self, now: Micros, host: int) -> None:
        """One line."""
        self._line(now, "crashed", host)

    def blamed(self, now: Micros, host: int, peer: int, what: str) -> None:
        """One line."""
        self._line(now, "blamed", host, peer, what)

    def suspected(self, now: Micros, host: int, peer: int, what: str) -> None:
        """One line."""
        self._line(now, "suspected", host, peer, what)

    def troubled(self, now: Micros, what: str) -> None:
        """One line."""
        self._line(now, "troubled", what)
