"""What all strategies of one seed share: the overlay, who holds what, who asks for what and when.

Each has a seed of its own, made of the scenario's and a word, so that another strategy, another
fidelity or one more query changes nothing of what was drawn for the rest (common random numbers).
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from itertools import accumulate, count, islice, takewhile

import numpy as np

from meshpacs.engine.draws import Draws, draw, word
from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import SECOND, Micros
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.lab.placing import grown
from meshpacs_sim.lab.scenario import ENGINE_NODES, Content, Scenario
from meshpacs_sim.lab.shapes import Snap
from meshpacs_sim.lab.work import Clinical, Diary, Workload
from meshpacs_sim.strategies.placement import Placement
from meshpacs_sim.strategies.replication import Replication
from meshpacs_sim.strategies.search import Bools, Copies, Int32s
from meshpacs_sim.world.churn.schedule import Churn
from meshpacs_sim.world.workloads import Clinics

MINUTE_US: Micros = 60 * SECOND

TRIES = 64
"""Draws of an asker that is up and holds no copy, before one that holds a copy will do."""


def seed_of(seed: int, purpose: str) -> int:
    """A scenario's seed for one purpose, of 63 bits."""
    return draw(seed, 0, word(b"lab/" + purpose.encode()), 0) >> 1


def micros(seconds: float) -> Micros:
    """Seconds as people write them, as the integers that everything is decided by."""
    return round(seconds * SECOND)


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody is going to look for something."""

    number: int
    when: Micros
    content: int
    origin: int = -1
    """Who looks; negative: somebody."""


class Stage:
    """A scenario's seed, unfolded."""

    def __init__(self, scenario: Scenario) -> None:
        """Nothing is drawn before it is wanted."""
        self.scenario = scenario
        self._askers = seed_of(scenario.seed, "askers")

    def seed(self, purpose: str) -> int:
        """This scenario's seed for one purpose."""
        return seed_of(self.scenario.seed, purpose)

    @cached_property
    def overlay(self) -> Csr:
        """The graph of neighbours.

        Raises:
            LocalFault: there is no such graph.
        """
        mesh, fidelity = self.scenario.mesh, self.scenario.fidelity
        try:
            built = mesh.topology.built(mesh.size, self.seed("topology"))
        except ValueError as error:
            raise LocalFault(
                f"mesh.topology cannot be built: {error}.", "Change it, or mesh.size."
            ) from error
        if fidelity == "engine" and built.size > ENGINE_NODES:
            raise LocalFault(
                f"The mesh has {built.size} nodes, and the engine is good for {ENGINE_NODES}.",
                'Use fidelity = "kernel".',
            )
        if isinstance(mesh.topology, Snap):
            try:
                self.scenario.content.check(built.size)
            except ValueError as error:
                raise LocalFault(
                    f"The scenario {error}.", "Change it, or the edge list."
                ) from error
        return built

    @cached_property
    def churn(self) -> Churn | None:
        """Who is up when; None if nobody comes or goes.

        Raises:
            LocalFault: there is no such model.
        """
        try:
            return self.scenario.churn.model(self.size)
        except ValueError as error:
            raise LocalFault(f"churn: {error}.", "Change that table.") from error

    @property
    def size(self) -> int:
        """Nodes of the overlay; fewer than the scenario's where only the largest piece is used."""
        return self.overlay.size

    @cached_property
    def copies(self) -> Copies:
        """Who holds what."""
        content, sown = self.scenario.content, self.seed("copies")
        if self._clinical is not None:
            held = self._clinical.holders
        elif isinstance(content.placement, Placement):
            rates = weights(content.contents, content.zipf)
            return self._left(content.placement.place(rates, self.size, sown))
        else:
            held = list(_drawn(content, sown, self.size))
        starts = np.zeros(len(held) + 1, np.int64)
        np.cumsum([len(each) for each in held], out=starts[1:])
        flat = np.array([node for each in held for node in each], np.int32)
        return self._left(Copies(starts, flat))

    def _left(self, copies: Copies) -> Copies:
        """What earlier searches have made of these copies."""
        content = self.scenario.content
        if not isinstance(content.replication, Replication):
            return copies
        searches, sown = content.earlier_searches, self.seed("replication")
        return grown(copies, content.replication, searches, self.popularity, self.overlay, sown)

    @cached_property
    def _clinical(self) -> Clinical | None:
        work = self.scenario.workload
        if isinstance(work, Workload):
            return None
        assert isinstance(work, Clinics | Diary)
        return Clinical(work, self.seed("workload"), self.size)

    @cached_property
    def popularity(self) -> tuple[int, ...]:
        """Running sums of how often each content is asked for, of the first, the first two, …"""
        return tuple(
            accumulate(weights(self.scenario.content.contents, self.scenario.content.zipf))
        )

    def wishes(self) -> Iterator[Wish]:
        """All queries of the run, in order; to be gone through once."""
        measure = self.scenario.measure
        begins, lasts = micros(measure.warm_up_s), micros(measure.duration_s)
        work = self.scenario.workload
        wishes = self._drawn(work, begins) if isinstance(work, Workload) else self._told(begins)
        if lasts:
            wishes = takewhile(lambda wish: wish.when < begins + lasts, wishes)
        return islice(wishes, measure.queries)

    def _told(self, begins: Micros) -> Iterator[Wish]:
        """As the workload tells them."""
        assert self._clinical is not None
        later = (each for each in self._clinical.questions() if each.when >= begins)
        for number, asked in enumerate(later):
            yield Wish(number, asked.when, asked.content, asked.origin)

    def _drawn(self, work: Workload, begins: Micros) -> Iterator[Wish]:
        """As they are drawn, without an end."""
        draws, sums = Draws(self.seed("workload"), b"wishes"), self.popularity
        gap, when = round(MINUTE_US / work.queries_per_minute), begins
        for number in count():
            when += 1 + draws.below("gap", 2 * gap)
            yield Wish(number, when, bisect_right(sums, draws.below("content", sums[-1])))

    def others(self, content: int, origin: int) -> Int32s:
        """The holders of a content, the asker apart."""
        holders = self.copies.of(content)
        others: Int32s = holders[holders != origin]
        return others

    def asker(self, wish: Wish, up: Bools) -> int:
        """Who asks: up, and without a copy where there is anybody like that; -1 if nobody is up."""
        if wish.origin >= 0:
            return wish.origin if up[wish.origin] else -1
        holders = set(self.copies.of(wish.content).tolist())
        size = len(up)
        for turn in range(TRIES):
            node = (draw(self._askers, wish.number, _ASKER, turn) * size) >> 64
            if up[node] and node not in holders:
                return node
        # Hardly anybody is up, or hardly anybody lacks it: look at them all.
        up_now = np.flatnonzero(up).tolist()
        choice = [node for node in up_now if node not in holders] or up_now
        if not choice:
            return -1
        return int(choice[draw(self._askers, wish.number, _ASKER, TRIES) % len(choice)])


_ASKER = word(b"lab/asker")


def weights(count: int, exponent: float) -> list[int]:
    """2^32 times i to the power of minus `exponent`, for i from 1, rounded.

    By decimal arithmetic, which is the same on every machine; the C library's `pow` is not.
    """
    if not exponent:
        return [1] * count
    exact, power = Context(prec=40), Decimal(repr(exponent))
    scale = Decimal(1 << 32)
    numbers = (exact.multiply(scale, exact.power(Decimal(i), -power)) for i in range(1, count + 1))
    return [max(1, int(each.to_integral_value())) for each in numbers]


def _drawn(content: Content, seed: int, size: int) -> Iterator[tuple[int, ...]]:
    """For each content its holders, rising."""
    draws = Draws(seed, b"holders")
    for number in range(content.contents):
        chosen: dict[int, None] = {}
        wanted = min(size, content.copies[number % len(content.copies)])
        if 2 * wanted > size:
            chosen = dict.fromkeys(_some(draws, size, wanted))
        while len(chosen) < wanted:
            chosen[draws.below("holder", size)] = None
        yield tuple(sorted(chosen))


def _some(draws: Draws, size: int, wanted: int) -> list[int]:
    """So many of all nodes, by the first steps of a shuffle."""
    nodes = list(range(size))
    for at in range(wanted):
        other = at + draws.below("holder", size - at)
        nodes[at], nodes[other] = nodes[other], nodes[at]
    return nodes[:wanted]
