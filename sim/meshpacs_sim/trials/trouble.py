"""What goes wrong in a night: questions, and faults that mend themselves after a while.

Each night draws which faults it has at all (swarm testing, Groce et al. 2012): where everything
goes wrong at once, what one fault would have shown is hidden by the others.
"""

from collections.abc import Callable, Sequence

from meshpacs.engine.draws import Draws
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import MILLISECOND, SECOND
from meshpacs.model.query import Ball, Everyone
from meshpacs_sim.world import faults
from meshpacs_sim.world.cellar import by_name, every_study
from meshpacs_sim.world.flooders import Flooder
from meshpacs_sim.world.liars import Liar
from meshpacs_sim.world.world import World

PATTERNS = ("*", "*a*", "Bodel^*", "Nobody^*")

FAULTS = (
    "crash", "dark", "freeze", "partition", "snap", "half_open", "clog", "slow", "slow_disk",
    "broken_disk", "stuck_disk", "clock", "roll_back", "liar", "flood",
    "lose_disk",
)  # fmt: skip

FLOOD = 110
"""Queries of one flood: members tolerate 80 at once (four times a burst of 20)."""

FLOODS = 1
"""Floods in one night: each is as many messages as the rest of the night. A guess."""

LIARS_ONE_IN = 4
"""At most so many of a mesh lie at the same time. A guess."""

Mend = Callable[[], None]


class Trouble:
    """Asks, and makes faults that mend themselves after a while, until the night ends."""

    def __init__(self, world: World, draws: Draws, only: Sequence[str] = ()) -> None:
        """Nothing is broken yet; `only` names what can happen, instead of drawing it."""
        self._world = world
        self._draws = draws
        self._size = world.graph.size
        drawn = [name for name in FAULTS if draws.below("kind", 3)]
        if draws.below("floods", 2) and "flood" in drawn:
            drawn.remove("flood")
        self.kinds = list(only) or drawn or ["crash"]
        """What can happen this night: each with two chances in three, a flood with one."""
        self.struck: dict[str, int] = {}
        """How often each did."""
        self.refused = 0
        """Questions that the asker's own budget did not let out."""
        self._mends: dict[int, Mend] = {}
        """What is broken, and how it is mended."""
        self._lies: dict[int, None] = {}
        """Of these, the members that lie."""
        self.lying: list[Mend] = []
        """Whoever still lies when all else is healed, and how that ends."""
        self._count = 0
        self._over = False
        self._makers: dict[str, Callable[[], Mend | None]] = {
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
            "roll_back": self._roll_back,
            "liar": self._lie,
            "flood": self._flood,
            "lose_disk": self._lose_disk,
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
                self.refused += 1
            else:
                if self._draws.below("cancel", 10) == 0:
                    when = world.now + self._draws.below("cancel when", SECOND)
                    world.at(when, lambda: faults.cancel(world, asking))
        world.at(world.now + 1 + self._draws.below("pause", 3 * SECOND), self.ask)

    def strike(self) -> None:
        """A fault, its mending later, and the next one in a while."""
        if self._over:
            return
        if self._draws.below("back up", 3) == 0:
            faults.back_up(self._world, self._host())
        name = self.kinds[self._draws.below("fault", len(self.kinds))]
        mend = self._makers[name]()
        if mend is not None:
            self.struck[name] = self.struck.get(name, 0) + 1
            self._count += 1
            number, self._mends[self._count] = self._count, mend
            if name == "liar":
                self._lies[number] = None
            lasts = SECOND + self._draws.below("lasts", 25 * SECOND)
            # Who lies does so for as long as two other faults last: it needs occasions.
            lasts *= 1 + 2 * (name == "liar")
            self._world.at(self._world.now + lasts, lambda: self._mend(number))
        self._world.at(self._world.now + self._draws.below("calm", 6 * SECOND), self.strike)

    def _mend(self, number: int) -> None:
        mend = self._mends.pop(number, None)
        if mend is not None:
            mend()

    def end(self) -> None:
        """Mend everything, and make no more trouble; but whoever lies goes on lying."""
        self._over = True
        for number in [number for number in self._mends if number not in self._lies]:
            self._mend(number)
        self.lying, self._mends = list(self._mends.values()), {}
        self._world.tell("troubled", "all is healed")

    def repent(self) -> None:
        """Whoever still lies lies no more."""
        for mend in self.lying:
            mend()

    # ------------------------------------------------------------ whom it meets

    def _host(self) -> int:
        return self._draws.below("host", self._size)

    def _link(self) -> tuple[int, int] | None:
        """A link that is up, in one of its directions."""
        host = self._world.hosts[self._host()]
        peers = sorted(host.links)
        return (host.index, peers[self._draws.below("peer", len(peers))]) if peers else None

    # ------------------------------------------------------------ hosts, and how each is mended

    def _crash(self, *, dark: bool) -> Mend | None:
        world, host = self._world, self._host()
        if world.hosts[host].engine is None:
            return None
        faults.crash(world, host, dark=dark)
        return lambda: self._begin_again(host)

    def _begin_again(self, host: int) -> None:
        """It may have crashed twice, by two faults: the first that is mended starts it."""
        if self._world.hosts[host].engine is None:
            faults.restart(self._world, host)

    def _roll_back(self) -> Mend | None:
        world, host = self._world, self._host()
        if world.hosts[host].engine is None or world.hosts[host].copy is None:
            return None
        faults.crash(world, host)
        faults.roll_back(world, host)
        return lambda: self._begin_again(host)

    def _lose_disk(self) -> Mend | None:
        world, host = self._world, self._host()
        if world.hosts[host].engine is None:
            return None
        faults.crash(world, host)
        faults.lose_disk(world, host)
        return lambda: self._begin_again(host)

    def _freeze(self) -> Mend | None:
        world, host = self._world, self._host()
        if not world.hosts[host].able:
            return None
        faults.freeze(world, host)
        # It may have crashed, and begun another life, before it is thawed.
        return lambda: faults.thaw(world, host) if world.hosts[host].frozen else None

    def _lie(self) -> Mend | None:
        world, host = self._world, self._host()
        lying = sum(each.liar is not None for each in world.hosts)
        if world.hosts[host].liar is not None or lying > self._size // LIARS_ONE_IN:
            return None
        faults.lie(world, host, Liar(world, host, self._count))
        return lambda: faults.repent(world, host)

    def _flood(self) -> Mend | None:
        world, host = self._world, self._host()
        if not world.hosts[host].able or self.struck.get("flood", 0) >= FLOODS:
            return None
        faults.flood(world, host, Flooder(world, host), FLOOD)

        def mend() -> None:
            # Its engine's own counters lie below those of the flood.
            if world.hosts[host].engine is not None:
                faults.crash(world, host)
            faults.restart(world, host)

        return mend

    # ------------------------------------------------------------ links

    def _partition(self) -> Mend | None:
        world = self._world
        if any(world.network.sides):
            return None
        faults.divide(world, [self._draws.below("side", 2) for _ in range(self._size)])
        return lambda: faults.heal(world)

    def _snap(self) -> Mend | None:
        link = self._link()
        if link is None:
            return None
        faults.snap(self._world, *link)
        return lambda: None

    def _half_open(self) -> Mend | None:
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

    def _clog(self) -> Mend | None:
        link, world = self._link(), self._world
        if link is None:
            return None
        faults.clog(world, *link)
        return lambda: faults.unclog(world, *link)

    def _slow(self) -> Mend | None:
        link, world = self._link(), self._world
        if link is None:
            return None
        pace_us = MILLISECOND << self._draws.below("pace", 9)
        faults.slow(world, *link, pace_us)
        return lambda: faults.slow(world, *link, 0)

    # ------------------------------------------------------------ disks and clocks

    def _slow_disk(self) -> Mend:
        world, host = self._world, self._host()
        faults.slow_disk(world, host, self._draws.below("delay", 8 * SECOND))
        return lambda: faults.slow_disk(world, host, 2 * MILLISECOND)

    def _disk(self, worsen: Callable[[World, int], None]) -> Mend:
        world, host = self._world, self._host()
        worsen(world, host)
        return lambda: faults.mend_disk(world, host)

    def _clock(self) -> Mend:
        world, host = self._world, self._host()
        offset_us = (self._draws.below("offset", 1200) - 600) * SECOND
        faults.set_clock(world, host, offset_us)
        return lambda: faults.set_clock(world, host, 0)
