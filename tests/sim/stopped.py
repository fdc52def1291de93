"""A world in the middle of a query, and one checker that has seen it so far."""

from typing import TypeVar

from meshpacs.model.ids import SECOND
from meshpacs.model.query import Ball
from meshpacs.wire.messages import Ask, Message
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials.checkers import Checker
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World

C = TypeVar("C", bound=Checker)


class Keep(Observer):
    """Remembers the Asks and their links."""

    def __init__(self) -> None:
        self.asks: list[tuple[int, int, Ask, int]] = []

    def sent(self, now: int, src: int, dst: int, message: Message, serial: int) -> None:
        if isinstance(message, Ask):
            self.asks.append((src, dst, message, serial))


def stopped(kind: type[C]) -> tuple[C, World, Keep]:
    """A checker that has seen a world in which one query has been asked of a ring of four."""
    checker, keep = kind(), Keep()
    world = World(1, topologies.ring(4), observers=[checker, keep])
    world.run(SECOND)
    world.ask(0, scope=Ball(2))
    return checker, world, keep
