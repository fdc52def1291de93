"""Reports of storage commitment on their way: tried again for a day, then given up."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.dimse.commitment import Report
from meshpacs.gateways.dicom import reporting
from meshpacs.gateways.dicom.reporting import Reporter
from meshpacs.model.commitment import GIVE_UP_US, Promise, Reference
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import SECOND
from meshpacs.node.book import Entry
from meshpacs.node.commitments import Commitments, Transaction
from tests.gateways.dicom.doors import Strangers
from tests.gateways.fake_mesh import FakeMesh

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO = Reference(CT, "1.2.1"), Reference(CT, "1.2.2")
DAY_S = GIVE_UP_US // SECOND


@dataclass
class Book(Strangers):
    entries: list[Entry] = field(default_factory=lambda: [Entry("CT1", "192.0.2.7", 104)])

    def prefers(self, title: str, host: str) -> str | None:
        return None

    def allows(self, title: str, host: str) -> frozenset[str]:
        return frozenset()

    def destination(self, title: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.title == title)


@dataclass
class Line:
    """The association that the request came on."""

    fault: Unavailable | None = None
    told: list[Report] = field(default_factory=list)

    async def report(self, report: Report) -> None:
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        self.told.append(report)


@dataclass
class World:
    """A reporter whose associations are imagined; when each was tried, and what came of it."""

    mesh: FakeMesh
    book: Book
    reporter: Reporter
    tried: list[tuple[float, str]] = field(default_factory=list)
    told: list[Report] = field(default_factory=list)
    fault: Unavailable | None = None

    async def deliver(
        self, entry: Entry, calling: str, report: Report, credentials: object
    ) -> None:
        await trio.lowlevel.checkpoint()
        assert (calling, credentials) == ("MESHPACS", None)
        self.tried.append((trio.current_time(), entry.address))
        if self.fault is not None:
            raise self.fault
        self.told.append(report)

    async def ask(self, *references: Reference, title: str = "CT1") -> Transaction:
        return await self.mesh.commitments.keep(
            title, "192.0.2.7", "MESHPACS", "1.9", references or (ONE,)
        )

    async def left(self) -> int:
        return len(await self.mesh.commitments.open_ones())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done in threads: a clock that jumps would not wait for one."""

    async def run_sync(work: Any, *_words: Any, **_options: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return work()

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


@asynccontextmanager
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    mesh, book = FakeMesh(), Book()
    mesh.promises.promised[ONE] = Promise.COMMITTED
    made = World(mesh, book, Reporter(mesh, book, lambda: ()))
    monkeypatch.setattr(reporting, "deliver", made.deliver)
    yield made
    await mesh.commitments.close()


OFF = Unavailable("CT1 cannot be reached.", "Is it on?")


async def test_a_report_is_tried_from_a_minute_to_a_day_and_then_given_up_in_sight(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async with world(monkeypatch) as here:
        here.fault = OFF
        async with trio.open_nursery() as nursery:
            with structlog.testing.capture_logs() as logged:
                await nursery.start(here.reporter.run)
                here.reporter.begin(await here.ask(), None)
                await trio.sleep(2 * DAY_S)
            nursery.cancel_scope.cancel()
        times = [round(at - here.tried[0][0]) for at, _ in here.tried]
        assert times[:8] == [0, 60, 180, 420, 900, 1860, 3780, 7380]
        assert times[-1] == DAY_S
        assert {b - a for a, b in itertools.pairwise(times[6:-1])} == {3600}
        (over,) = [line for line in logged if line["event"] == "commitment_given_up"]
        assert (over["calling"], over["what"], over["mend"]) == ("CT1", OFF.what, OFF.mend)
        view = await here.mesh.commitments.view()
        assert (view.open, view.given_up) == (0, 1)
        assert here.mesh.promises.reread == [ONE]  # bytes once, the index each time


async def test_what_was_left_open_is_tried_at_once_by_the_next_start(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async with world(monkeypatch) as here:
        asked = await here.ask(ONE, TWO)
        await here.mesh.commitments.not_delivered(asked, "It was off.", "")
        async with trio.open_nursery() as nursery:
            await nursery.start(here.reporter.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        (told,) = here.told
        assert (told.committed, told.failed) == ((ONE,), ((TWO, 0x0112),))
        assert await here.left() == 0


async def test_the_line_comes_first_and_one_that_breaks_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        await nursery.start(here.reporter.run)
        good, broken = Line(), Line(Unavailable("It has ended."))
        here.reporter.begin(await here.ask(ONE), good)
        here.reporter.begin(await here.ask(TWO), broken)
        await trio.testing.wait_all_tasks_blocked()
        assert [report.committed for report in good.told] == [(ONE,)]
        assert [report.failed for report in here.told] == [((TWO, 0x0131),)]
        assert await here.left() == 0
        nursery.cancel_scope.cancel()


async def test_a_requestor_that_asks_again_and_a_book_that_changes_end_the_waiting(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        here.fault = OFF
        await nursery.start(here.reporter.run)
        asked = await here.ask()
        here.reporter.begin(asked, None)
        await trio.testing.wait_all_tasks_blocked()
        here.reporter.begin(asked, None)
        await trio.testing.wait_all_tasks_blocked()
        assert len(here.tried) == 2
        here.book.entries = [Entry("CT1", "192.0.2.8", 11112)]
        await trio.sleep(reporting.LOOK_S + 1)
        assert [address for _, address in here.tried[2:]] == ["192.0.2.8:11112"]
        line = Line()
        here.reporter.begin(asked, line)
        await trio.testing.wait_all_tasks_blocked()
        assert len(line.told) == 1
        assert await here.left() == 0
        nursery.cancel_scope.cancel()


async def test_of_several_machines_of_one_title_the_one_that_asked_is_told(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        here.book.entries += [Entry("CT1", "192.0.2.9", 104)]
        await nursery.start(here.reporter.run)
        here.reporter.begin(await here.ask(), None)
        await trio.testing.wait_all_tasks_blocked()
        assert [address for _, address in here.tried] == ["192.0.2.7:104"]
        nursery.cancel_scope.cancel()


async def test_who_stays_unknown_is_given_up_after_a_day_too(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    monkeypatch.setattr(reporting, "LOOK_S", 600.0)
    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        here.book.entries = []
        await nursery.start(here.reporter.run)
        here.reporter.begin(await here.ask(title="X Y"), None)
        await trio.sleep(DAY_S - 1)
        (one,) = (await here.mesh.commitments.view()).transactions
        assert (one.state, one.mend) == ("open", "meshpacs dicom ae add 'X Y' 192.0.2.7:PORT")
        await trio.sleep(2)
        (one,) = (await here.mesh.commitments.view()).transactions
        assert (one.state, one.attempts) == ("given up", 1)
        assert here.tried == []
        nursery.cancel_scope.cancel()


async def test_a_table_that_fails_delays_a_report_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async def fails(*_words: object) -> NoReturn:
        raise Unavailable("The disk does not answer.")

    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        await nursery.start(here.reporter.run)
        asked = await here.ask()
        with monkeypatch.context() as patch:
            patch.setattr(Commitments, "references", fails)
            here.reporter.begin(asked, None)
            await trio.testing.wait_all_tasks_blocked()
        assert here.told == []
        await trio.sleep(reporting.STUCK_S + 1)
        assert len(here.told) == 1
        nursery.cancel_scope.cancel()


async def test_one_that_has_ended_while_it_was_asked_for_again_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        await nursery.start(here.reporter.run)
        asked = await here.ask()
        await here.mesh.commitments.reported(asked)
        line = Line()
        here.reporter.begin(asked, line)
        await trio.testing.wait_all_tasks_blocked()
        assert (here.told, line.told) == ([], [])
        nursery.cancel_scope.cancel()


async def test_a_fault_of_ours_in_one_ends_no_other(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, at_once: None
) -> None:
    class Wrong:
        async def report(self, report: Report) -> None:
            await trio.lowlevel.checkpoint()
            raise ZeroDivisionError

    async with world(monkeypatch) as here, trio.open_nursery() as nursery:
        await nursery.start(here.reporter.run)
        with structlog.testing.capture_logs() as logged:
            here.reporter.begin(await here.ask(ONE), Wrong())
            here.reporter.begin(await here.ask(TWO), None)
            await trio.testing.wait_all_tasks_blocked()
        assert "commitment_failed" in [line["event"] for line in logged]
        assert len(here.told) == 1
        assert await here.left() == 1  # the next start goes on with it
        nursery.cancel_scope.cancel()


async def test_no_more_requests_are_in_memory_than_are_looked_up_at_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: object, at_once: None
) -> None:
    """At a start two million instances may be open, of many requests."""
    async with world(monkeypatch) as here:
        for number in range(3 * reporting.JUDGED_AT_ONCE):
            here.book.entries.append(Entry(f"MR{number}", "192.0.2.7", 104))
            await here.ask(ONE, title=f"MR{number}")
        held = 0
        read = Commitments.references

        async def references(table: Commitments, transaction: Transaction) -> Any:
            nonlocal held
            held += 1
            return await read(table, transaction)

        async def stuck(*_words: object, **_options: object) -> NoReturn:
            await trio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(Commitments, "references", references)
        monkeypatch.setattr(here.mesh.promises, "promise", stuck)
        async with trio.open_nursery() as nursery:
            await nursery.start(here.reporter.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert held == reporting.JUDGED_AT_ONCE
