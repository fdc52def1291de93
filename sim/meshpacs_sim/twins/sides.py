"""Both sides of a comparison: the engine in the world, and its twin in the kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from meshpacs.engine import budget
from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Row
from meshpacs.model.content import StudyState
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import MEMBERS
from meshpacs_sim.graphs.csr import from_graph
from meshpacs_sim.kernel.twin import acts, rows
from meshpacs_sim.kernel.twin import words as w
from meshpacs_sim.kernel.twin.memory import Setting, Told, told
from meshpacs_sim.twins.scenario import Scenario
from meshpacs_sim.twins.tape import Tape
from meshpacs_sim.world import faults
from meshpacs_sim.world.cellar import STUDY_INSTANCE_UID, Canned
from meshpacs_sim.world.rings import Ring, Rings
from meshpacs_sim.world.switchboard import CONNECT_US
from meshpacs_sim.world.world import EPOCH_US, MakeNotary, World

SETTINGS = Settings(frozen_overlay=True)

ROW = Row({STUDY_INSTANCE_UID: ("2.25.1",)}, (StudyState("2.25.1", Digest(bytes(32)), 1),))
"""What a holder holds."""


# ---------------------------------------------------------------- the engine


def engine_side(
    scenario: Scenario,
    *,
    names: Sequence[NodeId] | None = None,
    notary: MakeNotary | None = None,
) -> Told:
    """Live through a scenario with the engine's own classes."""
    tape, rings = Tape(), Rings()
    world = World(
        scenario.seed,
        scenario.graph,
        latency=scenario.latency,
        settings=SETTINGS,
        cellars=[
            Canned((ROW,) if host in scenario.holders else ())
            for host in range(scenario.graph.size)
        ],
        names=names,
        notary=notary,
        observers=[tape, rings],
        relink_us=scenario.relink_us,
    )
    for host, delay_us in zip(world.hosts, scenario.delays_us, strict=True):
        host.disk.delay_us, host.disk.broken = delay_us, host.index in scenario.broken
    play = _Play(world, rings, scenario)
    for at, act, what in scenario.scenes:
        world.at(at, partial(play.do, act, what))
    world.run(scenario.until)
    return Told(np.frombuffer(tape.words, np.int64).reshape(-1, rows.WIDTH), world.events)


@dataclass(slots=True)
class _Play:
    """Does in the world what a scenario wants done."""

    world: World
    rings: Rings
    scenario: Scenario
    asked: dict[int, Ring] = field(default_factory=dict)
    """By plan."""

    def do(self, act: int, what: int) -> None:
        """One scene."""
        match act:
            case acts.ASK_PLAN:
                plan = self.scenario.plans[what]
                ring = self.rings.ask(plan.origin, plan.ttls, budget_us=plan.budget_us)
                self.asked[what] = ring
            case acts.CANCEL_PLAN:
                ring = self.asked[what]
                if ring.askings:
                    faults.cancel(self.world, ring.askings[-1])
            case acts.CRASH | acts.CRASH_DARK:
                if self.world.hosts[what].engine is not None:
                    faults.crash(self.world, what, dark=act == acts.CRASH_DARK)
            case acts.RESTART:
                if self.world.hosts[what].engine is None:
                    faults.restart(self.world, what)
            case _:
                raise ValueError(f"no scenario does {act}")


# ---------------------------------------------------------------- its twin


def kernel_side(scenario: Scenario, settings: Settings = SETTINGS) -> Told:
    """Live through a scenario over arrays."""
    return told(
        Setting(
            from_graph(scenario.graph),
            _numbers(scenario, settings),
            scenario.delays_us,
            scenario.holders,
            scenario.broken,
            scenario.plans,
            scenario.scenes,
            scenario.until,
        )
    )


def _numbers(scenario: Scenario, settings: Settings) -> dict[int, int]:
    return {
        w.SEED: scenario.seed,
        w.EPOCH_US: EPOCH_US,
        w.LOW_US: scenario.latency.low_us,
        w.HIGH_US: scenario.latency.high_us,
        w.JITTER_US: scenario.latency.jitter_us,
        w.RELINK_US: scenario.relink_us,
        w.CONNECT_US: CONNECT_US,
        w.HOP_US: settings.hop_us,
        w.ACK_US: settings.ack_us,
        w.VISIT_US: settings.visit_us,
        w.RECALL_US: settings.recall_us,
        w.BUDGET_MOST_US: settings.budget_most_us,
        w.KEEPALIVE_US: settings.keepalive_us,
        w.MISSES: settings.misses,
        w.MESSAGES_PER_SECOND: budget.MESSAGES_PER_SECOND,
        w.SLOWEST_US: budget.SLOWEST_US,
        w.BURST: budget.BURST,
        w.TOLERANCE: budget.TOLERANCE,
        w.HOPS_MOST: MEMBERS,
    }
