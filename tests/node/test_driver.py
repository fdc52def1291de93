"""One task owns the engine; what it wants done is done at once, and nobody is left waiting."""

from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.engine.effects import (
    Blame,
    DeliverFinal,
    DeliverRows,
    Dial,
    Hangup,
    KeepBoot,
    KeepRoster,
    SearchLocal,
    Send,
    Visit,
)
from meshpacs.model.answer import MemberAnswer, Report, Row, Status
from meshpacs.model.attributes import Level
from meshpacs.model.errors import Damaged, LocalFault, Unavailable
from meshpacs.model.ids import NodeId
from meshpacs.model.query import Everyone, Query
from meshpacs.node.clock import Clock
from meshpacs.node.driver import Driver
from meshpacs.node.finding import Question
from meshpacs.node.ledger import Ledger, RosterLog
from meshpacs.node.views import Progress
from meshpacs.wire.messages import Ping
from meshpacs.wire.roster import News
from tests.node.imagined import ANNA, BERT, Q1, FakeEngine, FakeSwitch, no_holdings

QUERY = Query(Level.STUDY)
REPORT = Report(Q1, (MemberAnswer(ANNA, Status.ANSWERED),), 1000)


class FakeVault:
    def __init__(self) -> None:
        self.fails = False
        self.breaks: Exception | None = None
        self.gate = trio.Event()
        self.gate.set()

    async def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        await self.gate.wait()
        if self.breaks:
            raise self.breaks
        if self.fails:
            raise Damaged("The index is damaged.")
        return (Row({}, ()),), True


class Stage:
    """A driver with everything around it imagined."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine()
        self.switch = FakeSwitch()
        self.vault = FakeVault()
        self.boots: dict[NodeId, int] = {}
        self.ledger = Ledger(RosterLog(folder / "roster.log"), self.boots.update, News)
        self.driver = Driver(
            self.engine,  # type: ignore[arg-type]
            Clock(lambda: 1_000_000_000),
            self.switch,
            self.vault,
            self.ledger,
        )


@pytest.fixture
async def stage(tmp_path: Path, nursery: trio.Nursery) -> Stage:
    made = Stage(tmp_path)
    nursery.start_soon(made.driver.run)
    nursery.start_soon(made.ledger.run)
    return made


def question() -> Question:
    return Question(QUERY, 2, no_holdings, lambda: {ANNA: "Anna"})


async def test_every_effect_is_carried_out_in_order(stage: Stage) -> None:
    stage.engine.says["linked"] = [
        Send(ANNA, Ping(1)),
        Visit(BERT, Ping(2)),
        Dial(BERT),
        Hangup(ANNA, "crowded"),
        Hangup(BERT, "revoked", everything=True),
        Blame(ANNA, "forged"),
        KeepBoot(ANNA, 7),
        KeepRoster((b"e",), (), ()),
        DeliverRows(Q1, ANNA, ()),
    ]
    await stage.driver.tell(lambda engine, now: engine.linked(ANNA, now, outbound=True))
    await stage.engine.until("linked", ANNA, True)
    await trio.testing.wait_all_tasks_blocked()
    await stage.ledger.settled()
    assert stage.switch.did == [
        ("post", ANNA, Ping(1)),
        ("visit", BERT, Ping(2)),
        ("dial", BERT),
        ("hangup", ANNA, "crowded", False),
        ("hangup", BERT, "revoked", True),
        ("blame", ANNA, "forged"),
    ]
    assert stage.boots == {ANNA: 7}
    assert stage.ledger.trouble is None


async def test_a_local_search_goes_to_the_vault_and_comes_back(stage: Stage) -> None:
    stage.engine.says["linked"] = [SearchLocal(Q1, QUERY)]
    await stage.driver.tell(lambda engine, now: engine.linked(ANNA, now, outbound=True))
    await stage.engine.until("local_found", Q1, (Row({}, ()),), True)


async def test_a_search_that_fails_is_told_as_failed(stage: Stage) -> None:
    stage.vault.fails = True
    stage.engine.says["linked"] = [SearchLocal(Q1, QUERY)]
    await stage.driver.tell(lambda engine, now: engine.linked(ANNA, now, outbound=True))
    await stage.engine.until("local_failed", Q1)


async def test_a_search_that_breaks_ends_nothing_else_and_quotes_nobody(stage: Stage) -> None:
    stage.vault.breaks = ValueError("Roe^Jane")
    stage.engine.says["linked"] = [SearchLocal(Q1, QUERY)]
    with structlog.testing.capture_logs() as logs:
        await stage.driver.tell(lambda engine, now: engine.linked(ANNA, now, outbound=True))
        await stage.engine.until("local_failed", Q1)
    (line,) = logs
    assert (line["event"], line["cause"]) == ("search_broke", "ValueError")
    assert line["file"] == __file__
    assert "Roe" not in str(logs)


async def test_a_slow_search_keeps_nobody_waiting(stage: Stage) -> None:
    stage.vault.gate = trio.Event()
    stage.engine.says["linked"] = [SearchLocal(Q1, QUERY)]
    await stage.driver.tell(lambda engine, now: engine.linked(ANNA, now, outbound=True))
    await stage.driver.tell(lambda engine, now: engine.unlinked(ANNA, now))
    await stage.engine.until("unlinked", ANNA)
    assert not any(call[0] == "local_found" for call in stage.engine.calls)
    stage.vault.gate.set()


async def test_the_engine_is_woken_at_its_deadline_and_told_the_wall(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.engine.deadline = 5_000_000
    await stage.driver.tell(lambda engine, now: engine.unlinked(ANNA, now))
    with trio.fail_after(6):
        while not any(call[0] == "wake" for call in stage.engine.calls):
            await stage.engine.called.wait()
    woken = next(call[1] for call in stage.engine.calls if call[0] == "wake")
    assert isinstance(woken, int)
    assert 5_000_000 <= woken < 5_100_000
    assert stage.engine.offset == 1_000_000_000 - woken


async def test_a_question_gets_rows_progress_and_the_final_report(stage: Stage) -> None:
    asked = question()
    stage.engine.says["ask"] = [DeliverRows(Q1, ANNA, ())]
    await stage.driver.ask(asked, None, None)
    assert ("ask", "default", None) in stage.engine.calls
    seen: list[Progress] = []
    async for progress in asked:
        seen.append(progress)
        if progress.answered == 1:
            stage.engine.says["linked"] = [DeliverRows(Q1, BERT, ()), DeliverFinal(Q1, REPORT)]
            await stage.driver.tell(lambda engine, now: engine.linked(BERT, now, outbound=True))
    assert seen == [Progress(1, 2, 0), Progress(2, 2, 0)]
    found = await asked.result()
    assert found.report == REPORT
    assert found.names == {ANNA: "Anna"}
    assert found.complete
    await stage.driver.leave(asked)
    assert not any(call[0] == "cancel" for call in stage.engine.calls), "it was over already"
    assert stage.driver.queries_closed == 1


async def test_the_end_of_a_query_is_logged_once_whoever_asked_has_it(stage: Stage) -> None:
    stage.engine.says["ask"] = [DeliverFinal(Q1, REPORT)]
    asked = question()
    with structlog.testing.capture_logs() as logs:
        await stage.driver.ask(asked, None, None)
        await asked.result()
        assert logs == [], "the answer does not wait for a line in the log"
        await trio.testing.wait_all_tasks_blocked()
    (line,) = logs
    assert (line["event"], line["answered"], line["asked"]) == ("query_closed", 1, 1)


async def test_a_query_that_ends_with_the_node_is_logged_all_the_same(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.engine.says["ask"] = [DeliverFinal(Q1, REPORT)]
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.driver.run)
            await stage.driver.ask(question(), None, None)
            nursery.cancel_scope.cancel()
    assert [line["event"] for line in logs] == ["query_closed"]


async def test_leaving_cancels_the_query_and_a_late_final_is_dropped(stage: Stage) -> None:
    asked = question()
    await stage.driver.ask(asked, Everyone(), 5)
    stage.engine.says["cancel"] = [DeliverFinal(Q1, REPORT)]
    await stage.driver.leave(asked)
    await stage.engine.until("cancel", Q1)


async def test_a_caller_who_left_before_its_turn_asks_nobody(stage: Stage) -> None:
    asked = question()
    await stage.driver.leave(asked)
    await stage.driver.ask(asked, Everyone(), None)
    assert stage.engine.calls == []


async def test_what_the_engine_refuses_reaches_the_caller(stage: Stage) -> None:
    stage.engine.raises["ask"] = Unavailable("Too often.", "Wait 1 s.")
    with pytest.raises(Unavailable, match="Too often"):
        await stage.driver.ask(question(), Everyone(), None)
    stage.engine.raises["ask"] = LocalFault("Too far.")
    with pytest.raises(LocalFault):
        await stage.driver.ask(question(), Everyone(), None)


async def test_whoever_waits_when_the_driver_stops_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    asked, refused = question(), []

    async def ask_late() -> None:
        try:
            await stage.driver.ask(question(), Everyone(), None)
        except Unavailable as error:
            refused.append(error.what)

    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        nursery.start_soon(stage.driver.run)
        await stage.driver.ask(asked, Everyone(), None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        callers.start_soon(ask_late)
    async with trio.open_nursery() as callers:
        callers.start_soon(ask_late)
    assert refused == ["The node is stopping."] * 2
    with pytest.raises(Unavailable, match="no answer"):
        await asked.result()
    assert [progress async for progress in asked] == [Progress(0, 2, 0)]
    await stage.driver.leave(asked)


async def test_calls_waiting_in_the_queue_are_refused_when_it_stops(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    refused: list[str] = []

    async def ask() -> None:
        try:
            await stage.driver.ask(question(), Everyone(), None)
        except Unavailable as error:
            refused.append(error.what)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()  # queued; nobody serves yet
        await stage.driver.tell(lambda engine, now: engine.unlinked(ANNA, now))
        with trio.CancelScope() as scope:
            scope.cancel()
            await stage.driver.run()
    assert refused == ["The node is stopping."]
