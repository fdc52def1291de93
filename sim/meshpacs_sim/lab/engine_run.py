"""Runs with the program that clinics run: every message of every query, by `meshpacs.engine`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Report
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import SECOND, Micros, QueryId
from meshpacs.model.query import Ball, Everyone
from meshpacs_sim.lab.accounts import Account, Accounts
from meshpacs_sim.lab.archives import Stock, query_for
from meshpacs_sim.lab.recording import Progress, QueryRow, Recording
from meshpacs_sim.lab.searching import AskBall, AskEveryone, AskRings
from meshpacs_sim.lab.stage import Stage, Wish, micros
from meshpacs_sim.lab.stopping import enough
from meshpacs_sim.world.churn.following import follow
from meshpacs_sim.world.conditions import Conditions
from meshpacs_sim.world.disclosure import Disclosure
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World

RELINK_US: Micros = 2 * SECOND
"""How often links of the frozen overlay that are gone are dialled: the engine's first pause."""

QUIET_US: Micros = 2 * SECOND
"""After a query's deadline, so long until its account is closed: the last Closed is there then."""


@dataclass(slots=True)
class Quest:
    """One wish on its way: the questions asked for it, one after another."""

    row: QueryRow
    turn: int = 0
    """Which of the strategy's balls is asked."""


class _Finals(Observer):
    """Tells of each final."""

    def __init__(self, hear: Callable[[QueryId, Report], None]) -> None:
        self._hear = hear

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:  # noqa: ARG002
        """Pass it on."""
        self._hear(query_id, report)


class EngineRun:
    """One scenario's world, and the queries put to it."""

    def __init__(self, stage: Stage, recording: Recording) -> None:
        """Make the world; nothing has happened in it."""
        scenario, graph = stage.scenario, stage.overlay.graph()
        assert isinstance(scenario.search, AskEveryone | AskBall | AskRings)
        self._stage, self._recording = stage, recording
        self._search = scenario.search
        self._budget_us = micros(scenario.search.budget_s)
        self._accounts = Accounts(graph.size)
        self._disclosure = Disclosure()
        self._suspicions: list[int] = []
        """Of each question that is settled: who carried an answer that must hold something."""
        self._open: dict[QueryId, Quest] = {}
        """Questions without a final."""
        self._unsettled: dict[QueryId, Quest] = {}
        """Questions whose costs are not in their rows yet."""
        held: list[list[int]] = [[] for _ in range(graph.size)]
        for content in range(stage.copies.contents):
            for holder in stage.copies.of(content).tolist():
                held[holder].append(content)
        frozen = scenario.mesh.overlay == "frozen"
        self._world = World(
            stage.seed("world"),
            graph,
            latency=scenario.roads,
            conditions=scenario.links if scenario.links != Conditions() else None,
            settings=Settings(frozen_overlay=frozen),
            cellars=[Stock(each) for each in held],
            observers=[self._accounts, self._disclosure, _Finals(self._final)],
            relink_us=RELINK_US if frozen else None,
        )
        self._honest = np.ones(graph.size, np.bool_)
        """Who asks: adversaries do not, so that what is measured is what others get."""
        self._honest[list(scenario.adversaries.enlist(self._world))] = False
        if stage.churn is not None:
            follow(self._world, stage.churn, silent_percent=scenario.churn.silent_percent)

    def run(self, progress: Progress) -> None:
        """Ask everything that the scenario wants asked, or until it is known well enough."""
        measure, world = self._stage.scenario.measure, self._world
        self._sample()
        for wish in self._stage.wishes():
            world.run(wish.when)
            self._begin(wish)
            progress(wish.number + 1, measure.queries)
            if (wish.number + 1) % measure.batch == 0 and enough(self._settled(), measure):
                break
        while self._open:
            world.run(world.now + SECOND)
        world.run(world.now + self._budget_us + QUIET_US)
        world.end()

    def close(self) -> None:
        """Hand over what was counted, of however much has happened."""
        accounts, kept = self._accounts, self._recording
        for query_id, quest in list(self._unsettled.items()):
            # Only where the run was interrupted; what has a final has all but its last messages.
            if quest.row.ended:
                self._settle(query_id)
        kept.rows = [row for row in kept.rows if row.ended]
        kept.loads = {
            "node": list(range(len(accounts.up))),
            "received": accounts.received_messages,
            "received_bytes": accounts.received_bytes,
            "sent": accounts.sent_messages,
            "sent_bytes": accounts.sent_bytes,
        }
        kept.messages = [
            (*key, count, accounts.bytes[key]) for key, count in accounts.messages.items()
        ]
        kept.totals["came"], kept.totals["went"] = accounts.came, accounts.went
        told = self._suspicions
        kept.totals["could_tell"] = sum(told) / len(told) if told else 0.0
        kept.totals["events"] = self._world.events
        kept.totals["simulated_us"] = self._world.now

    # ------------------------------------------------------------ queries

    def _begin(self, wish: Wish) -> None:
        accounts, scenario = self._accounts, self._stage.scenario
        origin = self._stage.asker(wish, accounts.up & self._honest)
        holders = self._stage.others(wish.content, origin)
        row = QueryRow(
            query=wish.number,
            asked_us=self._world.now,
            origin=origin,
            content=wish.content,
            ended="",
            warm_up=wish.number < scenario.measure.warm_up_queries,
            copies=len(holders),
            copies_up=int(accounts.up[holders].sum()),
        )
        self._recording.rows.append(row)
        if row.origin < 0:
            row.ended = "nobody"
        else:
            self._ask(Quest(row))

    def _ask(self, quest: Quest) -> None:
        row, ttl = quest.row, self._search.ttls[quest.turn]
        if self._world.hosts[row.origin].engine is None:
            row.ended = "lost"
            return
        try:
            asking = self._world.ask(
                row.origin,
                query_for(row.content),
                Ball(ttl) if ttl else Everyone(),
                budget_us=self._budget_us,
            )
        except Unavailable:
            row.ended = "refused"
            return
        # At the earliest the final comes with the answer of the asker's own disk.
        assert asking.report is None
        self._open[asking.query_id] = self._unsettled[asking.query_id] = quest
        until = self._world.now + self._budget_us + QUIET_US
        self._world.at(until, lambda: self._settle(asking.query_id))

    def _final(self, query_id: QueryId, report: Report) -> None:
        quest = self._open.pop(query_id, None)
        if quest is None:
            return
        row, account = quest.row, self._accounts.of(query_id)
        row.complete = report.complete
        row.took_us = self._world.now - row.asked_us
        if not account.holders and quest.turn + 1 < len(self._search.ttls):
            quest.turn += 1
            self._world.at(self._world.now, lambda: self._ask(quest))
            return
        self._found(row, account, report)
        row.ended = "answered"

    def _found(self, row: QueryRow, account: Account, report: Report) -> None:
        if not account.holders:
            return
        hosts, first = self._world.hosts, next(iter(account.holders))
        row.discovered = True
        row.retrievable = any(hosts[node].engine is not None for node in account.holders)
        row.copies_found = len(account.holders)
        row.latency_us = account.holders[first] - row.asked_us
        members = {member.node: member.hops for member in report.members}
        row.hops = members[hosts[first].node]

    def _settle(self, query_id: QueryId) -> None:
        account, row = self._accounts.settle(query_id), self._unsettled.pop(query_id).row
        self._suspicions.append(len(self._disclosure.settle(query_id).suspect))
        row.messages += account.messages
        row.bytes += account.bytes
        row.duplicates += account.repeats
        # Rings widen: the last that was asked has reached whom the others had, and more.
        row.reached = max(row.reached, len(account.reached))
        others = max(1, int(self._accounts.up.sum()) - 1)
        row.coverage = min(1.0, row.reached / others)
        if self._open.pop(query_id, None) is not None:
            row.ended = "lost"

    def _settled(self) -> list[QueryRow]:
        """Rows whose costs are known."""
        horizon = self._world.now - self._budget_us - QUIET_US
        return [row for row in self._recording.rows if row.asked_us < horizon]

    def _sample(self) -> None:
        self._recording.sample(self._world.now, self._accounts.up)
        gap = micros(self._stage.scenario.measure.sample_s)
        self._world.at(self._world.now + gap, self._sample)
