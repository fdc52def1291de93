"""A world that lives by a model of churn: its hosts come and go as that says."""

from collections.abc import Iterator
from functools import partial

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import Micros
from meshpacs_sim.world import faults
from meshpacs_sim.world.churn.schedule import FOREVER, NEVER, Churn, Span
from meshpacs_sim.world.world import World

_SILENT = word(b"churn silent")


def follow(world: World, churn: Churn, *, silent_percent: int = 0) -> None:
    """Switch hosts off and on from now on, as the model says with the world's own seed.

    Hosts that are not up now are switched off now. A machine that is switched off closes its links
    and then answers nobody; in `silent_percent` of cases it says nothing at all, as after a power
    cut or a pulled cable. Whoever was crashed or started by something else is left as it is. Of a
    frozen overlay the world has to make links again (`relink_us`); one of its own does so itself.

    Raises:
        ValueError: no percentage.
    """
    if not 0 <= silent_percent <= 100:
        raise ValueError(f"a percentage lies from 0 to 100, not {silent_percent}")
    for host in world.hosts:
        _Life(world, host.index, churn.spans(world.seed, host.index), silent_percent).begin()


class _Life:
    """One host's spans, one after the other."""

    def __init__(self, world: World, host: int, spans: Iterator[Span], silent_percent: int) -> None:
        self._world = world
        self._host = host
        self._spans = spans
        self._silent_percent = silent_percent
        self._ends = 0

    def begin(self) -> None:
        """Be up or down as is due now."""
        span = self._next()
        while span.down_us <= self._world.now:
            span = self._next()
        if span.up_us <= self._world.now:
            self._up(span.down_us)
        else:
            self._switch_off()
            self._wait(span)

    def _next(self) -> Span:
        return next(self._spans, NEVER)

    def _wait(self, span: Span) -> None:
        if span is not NEVER:
            self._world.at(span.up_us, partial(self._up, span.down_us))

    def _up(self, down_us: Micros) -> None:
        if self._world.hosts[self._host].engine is None:
            faults.restart(self._world, self._host)
        if down_us < FOREVER:
            self._world.at(down_us, self._down)

    def _down(self) -> None:
        self._switch_off()
        self._wait(self._next())

    def _switch_off(self) -> None:
        world, host = self._world, self._world.hosts[self._host]
        if host.engine is None:
            return
        chance = draw(world.seed, self._host, _SILENT, self._ends) * 100 >> 64
        self._ends += 1
        faults.crash(world, self._host, dark=chance < self._silent_percent)
        # What it said to its peers is on its way; from now on it says nothing.
        host.dark = True
