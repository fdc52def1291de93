"""Owns the engine: one task hands it what happened, and carries out what it wants done.

Nothing is awaited between a call of the engine and its effects, and no effect waits for a peer,
a disk or a caller. That is the whole locking strategy.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from traceback import extract_tb
from typing import Protocol, TypeVar, assert_never

import structlog
import trio

from meshpacs.engine.effects import (
    Blame,
    DeliverFinal,
    DeliverRows,
    Dial,
    Effect,
    Hangup,
    KeepBoot,
    KeepRoster,
    SearchLocal,
    Send,
    Visit,
)
from meshpacs.engine.engine import Engine
from meshpacs.model.answer import Report, Row, Status
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.model.ids import Micros, NodeId, QueryId, short
from meshpacs.model.query import Query, Scope
from meshpacs.node.clock import Clock
from meshpacs.node.finding import Question
from meshpacs.node.ledger import Ledger
from meshpacs.wire.messages import Message

log = structlog.get_logger()

T = TypeVar("T")

EVENTS = 1024
"""Events waiting for the engine. Whoever brings one more waits: a reader stops reading from its
peer, so a flood of messages slows the one who sends it. A guess."""

Turn = Callable[[Engine, Micros], list[Effect]]
"""One call of the engine."""


class Switch(Protocol):
    """Where messages go; none of these waits, raises or answers (see `switchboard`)."""

    def post(self, peer: NodeId, message: Message) -> None:
        """Put it into the outbox of the control link; a full outbox costs the peer the message."""
        ...

    def visit(self, peer: NodeId, message: Message) -> None:
        """Post it over a direct link, dialled if need be."""
        ...

    def dial(self, peer: NodeId) -> None:
        """Try to make a control link."""
        ...

    def hangup(self, peer: NodeId, reason: str, *, everything: bool) -> None:
        """Close the control link with this peer, or every link."""
        ...

    def blame(self, peer: NodeId, what: str) -> None:
        """Count and log a breach of the protocol."""
        ...


class Searching(Protocol):
    """The archive's search."""

    async def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """Rows, and whether there are more than the limit.

        Raises:
            MeshError: the archive cannot be searched.
        """
        ...


@dataclass(slots=True)
class _Call:
    """A call that somebody waits for."""

    turn: Turn
    done: trio.Event
    fault: MeshError | None = None


class Driver:
    """The one task that calls the engine."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        switch: Switch,
        vault: Searching,
        ledger: Ledger,
    ) -> None:
        """Nothing happens before `run`."""
        self._engine = engine
        self._clock = clock
        self._switch = switch
        self._vault = vault
        self._ledger = ledger
        self._send, self._events = trio.open_memory_channel[Turn | _Call](EVENTS)
        self._questions: dict[QueryId, Question] = {}
        self.queries_closed = 0

    # ------------------------------------------------------------ the task

    async def run(self) -> None:
        """Serve events and deadlines until cancelled; open questions are lost."""
        try:
            async with trio.open_nursery() as searches:
                while True:
                    deadline = self._engine.next_deadline()
                    with trio.move_on_at(self._clock.when(deadline)):
                        event = await self._events.receive()
                        self._serve(event, searches)
                        continue
                    self._apply(self._engine_wake, searches)
        finally:
            self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                event = self._events.receive_nowait()
            except trio.WouldBlock:
                break
            if isinstance(event, _Call):
                event.fault = _stopping()
                event.done.set()
        self._events.close()
        for question in self._questions.values():
            question.lose()

    def _serve(self, event: Turn | _Call, searches: trio.Nursery) -> None:
        if not isinstance(event, _Call):
            self._apply(event, searches)
            return
        try:
            self._apply(event.turn, searches)
        except MeshError as error:
            event.fault = error
        event.done.set()

    def _apply(self, turn: Turn, searches: trio.Nursery) -> None:
        now = self._clock.now()
        self._engine.clock(self._clock.wall() - now)
        for effect in turn(self._engine, now):
            self._carry_out(effect, searches)

    @staticmethod
    def _engine_wake(engine: Engine, now: Micros) -> list[Effect]:
        return engine.wake(now)

    def _carry_out(self, effect: Effect, searches: trio.Nursery) -> None:
        match effect:
            case Send(peer, message):
                self._switch.post(peer, message)
            case Visit(peer, message):
                self._switch.visit(peer, message)
            case SearchLocal(query_id, query):
                searches.start_soon(self._search, query_id, query)
            case DeliverRows(query_id, holder, rows):
                if question := self._questions.get(query_id):
                    question.rows(holder, rows)
            case DeliverFinal(query_id, report):
                self._deliver_final(query_id, report)
                searches.start_soon(_note_closed, query_id, report)
            case Dial(peer):
                self._switch.dial(peer)
            case Hangup(peer, reason, everything):
                self._switch.hangup(peer, reason, everything=everything)
            case KeepBoot(node, boot):
                self._ledger.keep_boot(node, boot)
            case KeepRoster(entries, admissions, records):
                self._ledger.keep_roster(entries, admissions, records)
            case Blame(peer, what):
                self._switch.blame(peer, what)
            case _:
                assert_never(effect)

    def _deliver_final(self, query_id: QueryId, report: Report) -> None:
        self.queries_closed += 1
        if question := self._questions.pop(query_id, None):
            question.final(report)

    async def _search(self, query_id: QueryId, query: Query) -> None:
        try:
            rows, truncated = await self._vault.search(query)
        except MeshError as error:
            log.warning("search_failed", query=short(query_id), cause=type(error).__name__)
            await self.tell(lambda engine, now: engine.local_failed(query_id, now))
            return
        except Exception as error:  # noqa: BLE001  what a member asks must not end the node
            # A task's top. Not the exception's own words, which may quote the query.
            place = extract_tb(error.__traceback__)[-1]
            log.error(  # noqa: TRY400
                "search_broke",
                query=short(query_id),
                cause=type(error).__name__,
                file=place.filename,
                line=place.lineno,
            )
            await self.tell(lambda engine, now: engine.local_failed(query_id, now))
            return
        await self.tell(
            lambda engine, now: engine.local_found(query_id, rows, now, truncated=truncated)
        )

    # ------------------------------------------------------------ what others tell it

    async def tell(self, turn: Turn) -> None:
        """Have the engine called; waits only while too many events are waiting."""
        with suppress(trio.BrokenResourceError):  # the driver is stopping: nobody needs to know
            await self._send.send(turn)

    async def call(self, work: Callable[[Engine, Micros], tuple[T, list[Effect]]]) -> T:
        """Have the engine called and wait for what it says.

        Raises:
            MeshError: whatever the engine raised.
            Unavailable: the node is stopping.
        """
        results: list[T] = []

        def turn(engine: Engine, now: Micros) -> list[Effect]:
            result, effects = work(engine, now)
            results.append(result)
            return effects

        waiting = _Call(turn, trio.Event())
        try:
            await self._send.send(waiting)
        except trio.BrokenResourceError as error:
            raise _stopping() from error
        await waiting.done.wait()
        if waiting.fault is not None:
            raise waiting.fault
        return results[0]

    async def ask(self, question: Question, scope: Scope | None, budget_us: Micros | None) -> None:
        """Begin a query; what comes of it goes to `question`. Scope None: by mesh size.

        Raises:
            Unavailable: asked too often or too much at once.
            LocalFault: the query or scope is beyond the limits.
        """

        def begin(engine: Engine, now: Micros) -> tuple[None, list[Effect]]:
            if question.left:  # the caller was gone before its turn came
                return None, []
            wanted = engine.default_scope() if scope is None else scope
            query_id, effects = engine.ask(question.query, wanted, now, budget_us=budget_us)
            question.query_id = query_id
            self._questions[query_id] = question
            return None, effects

        await self.call(begin)

    async def leave(self, question: Question) -> None:
        """The caller has gone: cancel the query at the members, unless it is over."""
        question.left = True
        query_id = question.query_id
        if query_id is not None and query_id in self._questions:
            del self._questions[query_id]
            await self.tell(lambda engine, now: engine.cancel(query_id, now))


async def _note_closed(query_id: QueryId, report: Report) -> None:
    """Log the end of a query, once whoever asked has had a turn to answer with it.

    Of a question that one node answers, writing the line is a sixteenth (measured).
    """
    try:
        await trio.lowlevel.checkpoint()
    finally:
        log.info(
            "query_closed",
            query=short(query_id),
            answered=sum(m.status in (Status.ANSWERED, Status.TRUNCATED) for m in report.asked),
            asked=len(report.asked),
            rows=sum(m.rows for m in report.members),
            took_ms=report.took_us // 1000,
            cancelled=report.cancelled,
        )


def _stopping() -> Unavailable:
    return Unavailable("The node is stopping.", "Ask again once it is up.")
