# ruff: noqa: ARG002, ARG005 - every liar is handed the same, wanted or not.
"""Members that mean harm, as a scenario describes them: how many, of which kind, from when on.

Who they are is drawn from the seed in one order for all kinds, so that a larger share holds the
smaller one, and runs with and without them can be compared.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import SECOND, Micros
from meshpacs.wire.messages import Ask, Message, Part
from meshpacs_sim.world import faults
from meshpacs_sim.world.flooders import Flooder
from meshpacs_sim.world.hosts import Liar as Tongue
from meshpacs_sim.world.liars import Liar
from meshpacs_sim.world.world import World


class Dropper:
    """Behaves well to its neighbours, acknowledges and closes, and carries nothing for anybody."""

    def hear(self, src: int, message: Message) -> None:
        """Nothing is remembered."""

    def instead(self, dst: int, message: Message) -> Sequence[Message]:
        """No copy of a query goes on, and no answer goes back, not even its own."""
        return () if isinstance(message, Ask | Part) else (message,)


@dataclass(frozen=True, slots=True)
class Droppers:
    """Members that take queries and answers and let neither pass: black holes."""

    percent: int = 10
    """Of all members, rounded up."""
    from_us: Micros = 0
    """When they begin."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _possible(self.percent, self.from_us)

    def enlist(self, world: World, spared: Collection[int] = ()) -> tuple[int, ...]:
        """Who they are; none of the spared."""
        return _begin_lying(world, self, spared, lambda host: Dropper())


@dataclass(frozen=True, slots=True)
class Liars:
    """Members that drop, forge, reorder, withhold, repeat and invent (`liars.py`)."""

    percent: int = 10
    """Of all members, rounded up."""
    from_us: Micros = 0
    """When they begin."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _possible(self.percent, self.from_us)

    def enlist(self, world: World, spared: Collection[int] = ()) -> tuple[int, ...]:
        """Who they are; none of the spared. Each plays tricks of its own."""
        return _begin_lying(world, self, spared, lambda host: Liar(world, host, 0))


@dataclass(frozen=True, slots=True)
class Flooders:
    """Members that ask everyone, again and again, more than they may."""

    percent: int = 5
    """Of all members, rounded up."""
    from_us: Micros = 0
    """When they begin."""
    queries: int = 110
    """In one burst: members tolerate 80 at once (PROTOCOL 4.6)."""
    every_us: Micros = 60 * SECOND
    """From one burst of a member to its next. A guess."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _possible(self.percent, self.from_us)
        if self.queries < 1 or self.every_us < 1:
            raise ValueError("queries, every_us: are less than 1")

    def enlist(self, world: World, spared: Collection[int] = ()) -> tuple[int, ...]:
        """Who they are; none of the spared. They flood whenever they are up."""
        chosen = _chosen(world, self.percent, spared)
        for host in chosen:
            _Bursts(world, host, self).begin()
        return chosen


class _Bursts:
    def __init__(self, world: World, host: int, plan: Flooders) -> None:
        self._world = world
        self._host = host
        self._plan = plan
        self._flooder = Flooder(world, host)

    def begin(self) -> None:
        self._world.at(self._plan.from_us, self._burst)

    def _burst(self) -> None:
        if self._world.hosts[self._host].able:
            faults.flood(self._world, self._host, self._flooder, self._plan.queries)
        self._world.at(self._world.now + self._plan.every_us, self._burst)


ADVERSARIES: dict[str, type[Droppers | Liars | Flooders]] = {
    "drop": Droppers,
    "lie": Liars,
    "flood": Flooders,
}
"""By the names that scenarios use."""


def _begin_lying(
    world: World, plan: Droppers | Liars, spared: Collection[int], make: Callable[[int], Tongue]
) -> tuple[int, ...]:
    chosen = _chosen(world, plan.percent, spared)
    for host in chosen:
        world.at(plan.from_us, partial(faults.lie, world, host, make(host)))
    return chosen


def _possible(percent: int, from_us: Micros) -> None:
    if not 0 <= percent <= 100:
        raise ValueError(f"percent: {percent} is not between 0 and 100")
    if from_us < 0:
        raise ValueError(f"from_us: {from_us} is less than 0")


def _chosen(world: World, percent: int, spared: Collection[int]) -> tuple[int, ...]:
    size = len(world.hosts)
    order = sorted(range(size), key=lambda host: draw(world.seed, host, _ROLE, 0))
    free = [host for host in order if host not in spared]
    return tuple(free[: -(-size * percent // 100)])


_ROLE = word(b"adversary")
