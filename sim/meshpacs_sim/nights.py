"""Nights: a mesh, an hour's worth of trouble in a few minutes, and then everything is healed.

A night is a function of its seed. The safety checkers watch all of it; liveness is judged after
healing, because while the faults last nothing may be promised.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from meshpacs.engine.draws import Draws
from meshpacs.engine.settings import Settings
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs.model.query import Ball, Everyone
from meshpacs_sim import faults, liveness, topologies
from meshpacs_sim.cellar import by_name, clinic, every_study
from meshpacs_sim.checkers import Checker, safety
from meshpacs_sim.graphs import Graph
from meshpacs_sim.network import Latency
from meshpacs_sim.observers import Observer
from meshpacs_sim.trace import Trace
from meshpacs_sim.world import World

NIGHT_US: Micros = 150 * SECOND
"""How long trouble is made: five keepalives, fifteen budgets. A guess."""

SETTLE_US: Micros = 130 * SECOND
"""From healing to the first question: the longest pause between two dials (60 s) twice."""

PATTERNS = ("*", "*a*", "Bodel^*", "Nobody^*")

FAULTS = (
    "crash", "dark", "freeze", "partition", "snap", "half_open", "clog", "slow", "slow_disk",
    "broken_disk", "stuck_disk", "clock",
)  # fmt: skip


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
    statuses: Counter[str] = field(default_factory=Counter)
    """Of members in finals."""
    digest: str = ""
    """Of the trace: the same seed has the same, everywhere."""


def night(
    seed: int, *, checkers: Callable[[], list[Checker]] = safety, also: tuple[Observer, ...] = ()
) -> Night:
    """Live through one night.

    Raises:
        Violation: a rule was broken; it says which, and this seed shows it again.
    """
    draws = Draws(seed, b"night")
    graph = _mesh(seed, draws)
    frozen_overlay = draws.below("overlay", 2) == 0
    trace = Trace(exact=False)
    world = World(
        seed,
        graph,
        latency=Latency(MILLISECOND, 60 * MILLISECOND, 10 * MILLISECOND),
        settings=Settings(frozen_overlay=frozen_overlay),
        cellars=[clinic(seed, host, draws.below("studies", 40)) for host in range(graph.size)],
        observers=[trace, *checkers(), *also],
        relink_us=2 * SECOND if frozen_overlay else None,
    )
    shown = Night(seed, f"{graph.name} {'frozen' if frozen_overlay else 'own'} overlay")
    trouble = _Trouble(world, draws, shown)
    world.run(20 * SECOND)
    world.at(world.now, trouble.ask)
    world.at(world.now + 5 * SECOND, trouble.strike)
    world.run(NIGHT_US)
    trouble.end()
    world.run(world.now + SETTLE_US)
    liveness.every_query_ends(world)
    liveness.everybody_answers(world)
    world.run(world.now + world.settings.budget_most_us + 2 * SECOND)
    liveness.every_query_ends(world)
    world.end()
    shown.queries, shown.events, shown.digest = len(world.askings), world.events, trace.digest
    for asking in world.askings:
        members = asking.report.members if asking.report else ()
        shown.statuses.update(member.status.value for member in members)
    return shown


def _mesh(seed: int, draws: Draws) -> Graph:
    size = 3 + draws.below("size", 22)
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


class _Trouble:
    """Asks, and makes faults that mend themselves after a while, until the night ends."""

    def __init__(self, world: World, draws: Draws, shown: Night) -> None:
        self._world = world
        self._draws = draws
        self._shown = shown
        self._size = world.graph.size
        self._mends: dict[int, Callable[[], None]] = {}
        """What is broken, and how it is mended."""
        self._count = 0
        self._over = False
        self._makers: dict[str, Callable[[], Callable[[], None] | None]] = {
            "crash": lambda: self._crash(dark=False),
            "dark": lambda: self._crash(dark=True),
            "freeze": self._freeze,
            "partition": self._partition,
            "snap": self._snap,
            "half_open": self._half_open,
            "clog": self._clog,
            "slow": self._slow,
            "slow_disk": self._slow_disk,
            "broken_disk": lambda: self._disk(faults.break_disk),
            "stuck_disk": lambda: self._disk(faults.stick_disk),
            "clock": self._clock,
        }

    # ------------------------------------------------------------ the night's rhythm

    def ask(self) -> None:
        """A question from somebody who is up, and the next one in a while."""
        if self._over:
            return
        origin, world = self._draws.below("origin", self._size), self._world
        if world.hosts[origin].able:
            pattern = PATTERNS[self._draws.below("pattern", len(PATTERNS))]
            ball = self._draws.below("ball", 4) == 0
            scope = Ball(1 + self._draws.below("ttl", 5)) if ball else Everyone()
            try:
                asking = world.ask(
                    origin,
                    every_study() if pattern == "*" else by_name(pattern),
                    scope,
                    budget_us=(1 + self._draws.below("budget", 15)) * SECOND,
                )
            except Unavailable:
                self._shown.refused += 1
            else:
                if self._draws.below("cancel", 10) == 0:
                    when = world.now + self._draws.below("cancel when", SECOND)
                    world.at(when, lambda: faults.cancel(world, asking))
        world.at(world.now + 1 + self._draws.below("pause", 3 * SECOND), self.ask)

    def strike(self) -> None:
        """A fault, its mending later, and the next one in a while."""
        if self._over:
            return
        name = FAULTS[self._draws.below("fault", len(FAULTS))]
        mend = self._makers[name]()
        if mend is not None:
            self._shown.faults[name] += 1
            self._count += 1
            number, self._mends[self._count] = self._count, mend
            lasts = SECOND + self._draws.below("lasts", 25 * SECOND)
            self._world.at(self._world.now + lasts, lambda: self._mend(number))
        self._world.at(self._world.now + self._draws.below("calm", 6 * SECOND), self.strike)

    def _mend(self, number: int) -> None:
        mend = self._mends.pop(number, None)
        if mend is not None:
            mend()

    def end(self) -> None:
        """Mend everything, and make no more trouble."""
        self._over = True
        for number in list(self._mends):
            self._mend(number)
        self._world.tell("troubled", "all is healed")

    # ------------------------------------------------------------ faults, and how each is mended

    def _host(self) -> int:
        return self._draws.below("host", self._size)

    def _link(self) -> tuple[int, int] | None:
        """A link that is up, in one of its directions."""
        host = self._world.hosts[self._host()]
        peers = sorted(host.links)
        return (host.index, peers[self._draws.below("peer", len(peers))]) if peers else None

    def _crash(self, *, dark: bool) -> Callable[[], None] | None:
        world, host = self._world, self._host()
        if world.hosts[host].engine is None:
            return None
        faults.crash(world, host, dark=dark)
        return lambda: faults.restart(world, host)

    def _freeze(self) -> Callable[[], None] | None:
        world, host = self._world, self._host()
        if not world.hosts[host].able:
            return None
        faults.freeze(world, host)
        # It may have crashed, and begun another life, before it is thawed.
        return lambda: faults.thaw(world, host) if world.hosts[host].frozen else None

    def _partition(self) -> Callable[[], None] | None:
        world = self._world
        if any(world.network.sides):
            return None
        faults.divide(world, [self._draws.below("side", 2) for _ in range(self._size)])
        return lambda: faults.heal(world)

    def _snap(self) -> Callable[[], None] | None:
        link = self._link()
        if link is None:
            return None
        faults.snap(self._world, *link)
        return lambda: None

    def _half_open(self) -> Callable[[], None] | None:
        link, world = self._link(), self._world
        if link is None:
            return None
        src, dst = link
        serial = world.hosts[src].links[dst]
        faults.half_open(world, src, dst)

        def mend() -> None:
            # The same link, if nobody has found out by then; sooner or later TCP gives up.
            if serial in (world.hosts[src].links.get(dst), world.hosts[dst].links.get(src)):
                faults.snap(world, src, dst)

        return mend

    def _clog(self) -> Callable[[], None] | None:
        link, world = self._link(), self._world
        if link is None:
            return None
        faults.clog(world, *link)
        return lambda: faults.unclog(world, *link)

    def _slow(self) -> Callable[[], None] | None:
        link, world = self._link(), self._world
        if link is None:
            return None
        pace_us = MILLISECOND << self._draws.below("pace", 9)
        faults.slow(world, *link, pace_us)
        return lambda: faults.slow(world, *link, 0)

    def _slow_disk(self) -> Callable[[], None]:
        world, host = self._world, self._host()
        faults.slow_disk(world, host, self._draws.below("delay", 8 * SECOND))
        return lambda: faults.slow_disk(world, host, 2 * MILLISECOND)

    def _disk(self, worsen: Callable[[World, int], None]) -> Callable[[], None]:
        world, host = self._world, self._host()
        worsen(world, host)
        return lambda: faults.mend_disk(world, host)

    def _clock(self) -> Callable[[], None]:
        world, host = self._world, self._host()
        offset_us = (self._draws.below("offset", 1200) - 600) * SECOND
        faults.set_clock(world, host, offset_us)
        return lambda: faults.set_clock(world, host, 0)
