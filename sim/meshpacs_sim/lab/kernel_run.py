"""Runs over compiled arrays: a sequence of moments, in each of which some queries are asked.

Searches take seconds and sessions hours, so within a moment nobody comes or goes. A batch of
queries shares the moment at which its first is asked.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from meshpacs.model.ids import Micros
from meshpacs_sim.lab.recording import Progress, QueryRow, Recording
from meshpacs_sim.lab.scenario import Scenario
from meshpacs_sim.lab.stage import Stage, Wish, micros
from meshpacs_sim.lab.stopping import enough
from meshpacs_sim.strategies.search import Bools, Outcomes, Roads, Scene, Searches
from meshpacs_sim.strategies.sizes import SIZES, Kind
from meshpacs_sim.world.churn.schedule import Presence
from meshpacs_sim.world.latencies import Constant
from meshpacs_sim.world.network import Latency


class KernelRun:
    """One scenario's scene, and the searches in it."""

    def __init__(self, stage: Stage, recording: Recording) -> None:
        """Nothing has been asked."""
        self._stage, self._recording = stage, recording
        self._up: Bools = np.ones(stage.size, np.bool_)
        self._presence = (
            Presence(stage.churn, stage.seed("world"), stage.size) if stage.churn else None
        )
        self._load = np.zeros(stage.size, np.int64)
        self._kinds = np.zeros(len(SIZES), np.int64)
        self._now: Micros = 0
        self._sampled: Micros = 0

    def run(self, progress: Progress) -> None:
        """Ask everything that the scenario wants asked, or until it is known well enough."""
        measure = self._stage.scenario.measure
        self._see(0)
        self._recording.sample(0, self._up)
        for batch in _batches(self._stage.wishes(), measure.batch):
            self._advance(batch[0].when)
            self._ask(batch)
            progress(batch[-1].number + 1, measure.queries)
            if enough(self._recording.rows, measure):
                break

    def close(self) -> None:
        """Hand over what was counted, of however much has happened."""
        kept = self._recording
        kept.loads = {"node": list(range(len(self._load))), "received": self._load}
        kept.messages = [
            ("search", kind.name.lower(), int(count), int(count) * SIZES[kind])
            for kind, count in zip(Kind, self._kinds, strict=True)
            if count
        ]
        self._keep_upkeep()
        kept.totals["simulated_us"] = self._now

    def _keep_upkeep(self) -> None:
        """What the strategy has cost beside searches, since time 0."""
        kept, presence = self._recording, self._presence
        came, went = (presence.came, presence.went) if presence else (0, 0)
        upkeep = self._stage.scenario.search.upkeep(self._scene(), came, went, 0)
        if upkeep.messages:
            kept.messages.append(("upkeep", "all", upkeep.messages, upkeep.bytes))
        kept.totals |= {"came": came, "went": went, "could_tell": upkeep.could_tell}

    def _advance(self, when: Micros) -> None:
        """Go on to a moment, and count copies on the way."""
        gap = micros(self._stage.scenario.measure.sample_s)
        while self._sampled + gap <= when:
            self._sampled += gap
            self._see(self._sampled)
            self._recording.sample(self._sampled, self._up)
        self._now = when
        self._see(when)

    def _see(self, when: Micros) -> None:
        """Who is up now."""
        if self._presence is not None:
            self._up = np.array(self._presence.at(when), np.bool_)

    def _ask(self, batch: Sequence[Wish]) -> None:
        stage, rows = self._stage, [self._row(wish) for wish in batch]
        asked = [row for row in rows if row.origin >= 0]
        searches = Searches(
            np.array([row.origin for row in asked], np.int32),
            np.array([row.content for row in asked], np.int32),
            np.array([row.query for row in asked], np.int64),
        )
        outcomes = stage.scenario.search.search(self._scene(), searches)
        self._load += outcomes.load
        self._kinds += outcomes.kinds.sum(axis=0)
        for number, row in enumerate(asked):
            _told(row, outcomes, number, max(1, int(self._up.sum()) - 1))
        self._recording.rows += rows

    def _scene(self) -> Scene:
        stage = self._stage
        return Scene(
            stage.seed("world"), stage.overlay, self._up, stage.copies, roads_of(stage.scenario)
        )

    def _row(self, wish: Wish) -> QueryRow:
        origin = self._stage.asker(wish, self._up)
        holders = self._stage.others(wish.content, origin)
        return QueryRow(
            query=wish.number,
            asked_us=wish.when,
            origin=origin,
            content=wish.content,
            ended="answered" if origin >= 0 else "nobody",
            warm_up=wish.number < self._stage.scenario.measure.warm_up_queries,
            copies=len(holders),
            copies_up=int(self._up[holders].sum()),
            complete=None,
        )


def _told(row: QueryRow, outcomes: Outcomes, number: int, others: int) -> None:
    """Copy what came of one search into its row."""
    row.discovered = bool(outcomes.discovered[number])
    row.retrievable = bool(outcomes.retrievable[number])
    row.copies_found = int(outcomes.copies_found[number])
    row.messages = int(outcomes.messages[number])
    row.bytes = int(outcomes.bytes[number])
    row.duplicates = int(outcomes.duplicates[number])
    row.hops = int(outcomes.hops[number])
    row.latency_us = int(outcomes.latency_us[number])
    row.reached = int(outcomes.reached[number])
    row.coverage = min(1.0, row.reached / others)


def roads_of(scenario: Scenario) -> Roads:
    """The latencies as strategies know them."""
    roads = scenario.roads
    if isinstance(roads, Constant):
        return Roads(roads.one_way_us, roads.one_way_us, 0)
    assert isinstance(roads, Latency)
    return Roads(roads.low_us, roads.high_us, roads.jitter_us)


def _batches(wishes: Iterator[Wish], size: int) -> Iterator[list[Wish]]:
    while batch := list(islice(wishes, size)):
        yield batch
