"""Nights: a mesh, an hour's worth of trouble in a few minutes, and then everything is healed.

A night is a function of its seed. The safety checkers watch all of it; liveness is judged after
healing, because while the faults last nothing may be promised: first while members still lie,
then when nobody does.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meshpacs.engine.draws import Draws
from meshpacs.engine.settings import Settings
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.trials import liveness
from meshpacs_sim.trials.checkers import Checker
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.trials.trouble import Trouble
from meshpacs_sim.world.cellar import clinic
from meshpacs_sim.world.conditions import LINES, Conditions
from meshpacs_sim.world.network import Latency
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.trace import Trace
from meshpacs_sim.world.world import World

CALM_US: Micros = 20 * SECOND
"""Until the first question; a first keepalive has passed."""

NIGHT_US: Micros = 90 * SECOND
"""When trouble ends: after three keepalives, and seven budgets of trouble. A guess."""

SETTLE_US: Micros = 130 * SECOND
"""From healing to the first question: the longest pause between two dials (60 s) twice."""


CLINICS_LINES = Conditions(
    lines=(LINES["adsl"], LINES["mobile"], LINES["fibre"]), loss_ppm=2_000
)  # fmt: skip
"""Lines that clinics have, some of them slow, and a loss in 500. A guess."""


@dataclass(slots=True)
class Night:
    """What one night has shown."""

    seed: int
    mesh: str
    queries: int = 0
    refused: int = 0
    """Questions that the asker's own budget did not let out."""
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lying: int = 0
    """Members that still lied when the honest were looked for."""
    outdated: int = 0
    """Members whose boot others know to be an old one: rolled back after a clock that was ahead."""
    blamed: int = 0
    """Links that a breach of the protocol has cost; only liars may lose one so."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Of members in finals."""
    digest: str = ""
    """Of the trace: the same seed has the same, everywhere."""


class _Blames(Observer):
    def __init__(self) -> None:
        self.count = 0

    def blamed(self, now: Micros, host: int, peer: int, what: str) -> None:  # noqa: ARG002
        """Count it."""
        self.count += 1


def night(
    seed: int,
    *,
    checkers: Callable[[], list[Checker]] = safety,
    also: tuple[Observer, ...] = (),
    only: Sequence[str] = (),
    conditions: Conditions | None = None,
) -> Night:
    """Live through one night, with the faults that it draws, or `only` these.

    By default lines have no limit. Where they have one, a liar that sends much may have its own
    line full for minutes after all was healed, and is then not heard, though the engine has broken
    no rule: on lines as narrow as 128 kbit/s this happens.

    Raises:
        Violation: a rule was broken; it says which, and this seed shows it again.
    """
    draws = Draws(seed, b"night")
    graph = _mesh(seed, draws)
    frozen_overlay = draws.below("overlay", 2) == 0
    trace, blames = Trace(exact=False), _Blames()
    world = World(
        seed,
        graph,
        latency=Latency(MILLISECOND, 60 * MILLISECOND, 10 * MILLISECOND),
        conditions=conditions,
        settings=Settings(frozen_overlay=frozen_overlay),
        cellars=[clinic(seed, host, draws.below("studies", 40)) for host in range(graph.size)],
        observers=[trace, blames, *checkers(), *also],
        relink_us=2 * SECOND if frozen_overlay else None,
    )
    shown = Night(seed, f"{graph.name} {'frozen' if frozen_overlay else 'own'} overlay")
    trouble = Trouble(world, draws, only)
    world.run(CALM_US)
    world.at(world.now, trouble.ask)
    world.at(world.now + 5 * SECOND, trouble.strike)
    world.run(NIGHT_US)
    _heal(world, trouble, shown)
    shown.refused, shown.faults = trouble.refused, Counter(trouble.struck)
    shown.queries, shown.events, shown.digest = len(world.askings), world.events, trace.digest
    shown.blamed = blames.count
    for asking in world.askings:
        members = asking.report.members if asking.report else ()
        shown.statuses.update(member.status.value for member in members)
    return shown


def _heal(world: World, trouble: Trouble, shown: Night) -> None:
    """Mend everything, then hold the mesh to what must happen in the end."""
    trouble.end()
    world.run(world.now + SETTLE_US)
    shown.outdated = len(liveness.outdated(world))
    if trouble.lying:
        shown.lying = len(trouble.lying)
        liveness.the_honest_are_found(world)
        trouble.repent()
        world.run(world.now + SETTLE_US)
    liveness.every_query_ends(world)
    liveness.everybody_answers(world)
    liveness.a_wrong_clock_is_named(world)
    world.run(world.now + world.settings.budget_most_us + 2 * SECOND)
    liveness.every_query_ends(world)
    world.end()


def _mesh(seed: int, draws: Draws) -> Graph:
    size = 3 + draws.below("size", 16)
    match draws.below("shape", 5):
        case 0:
            return topologies.complete(min(size, 9))
        case 1:
            return topologies.regular(size + size % 2, 3 if size > 3 else 1 + size % 2, seed)
        case 2:
            return topologies.power_law(size, 2, seed)
        case 3:
            return topologies.grid(2 + size // 6, 3)
        case _:
            return topologies.ring(size)
