"""The overlay that the engine itself grows: live through its beginning, then take the links."""

from functools import partial

from meshpacs.engine.settings import Settings
from meshpacs.model.ids import SECOND, Micros
from meshpacs_sim.graphs.graph import Graph, graph
from meshpacs_sim.world import faults
from meshpacs_sim.world.network import Latency
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World

QUIET_US: Micros = 130 * SECOND
"""An overlay has settled if no link came or went for so long: twice the longest pause between two
dials."""

PATIENCE_US: Micros = 3_600 * SECOND
"""When to give up on an overlay that does not settle. A guess."""


class _Links(Observer):
    def __init__(self) -> None:
        self.changed_at: Micros = 0

    def linked(self, now: Micros, host: int, peer: int, serial: int) -> None:  # noqa: ARG002
        """A link came."""
        self.changed_at = now

    def unlinked(self, now: Micros, host: int, peer: int, serial: int) -> None:  # noqa: ARG002
        """A link went."""
        self.changed_at = now


def grown(
    size: int,
    seed: int,
    *,
    settings: Settings | None = None,
    latency: Latency | None = None,
    apart_us: Micros = 0,
    patience_us: Micros = PATIENCE_US,
) -> Graph:
    """The links of a mesh that was left alone until it settled; meant for thousands of nodes.

    Every node knows every member from its start, as after a power cut; with `apart_us` they start
    so far one after another, in the order of their numbers. A thousand nodes take five seconds, or
    forty if they start a second apart.

    Raises:
        ValueError: the overlay is told to be frozen, or did not settle within `patience_us`.
    """
    settings = settings or Settings()
    if settings.frozen_overlay:
        raise ValueError("a frozen overlay does not grow")
    links = _Links()
    apart = f"apart_us={apart_us}," if apart_us else ""
    alone = graph(f"grown({size},{apart}seed={seed})", size, ())
    world = World(seed, alone, settings=settings, latency=latency, observers=[links])
    if apart_us:
        for host in range(1, size):
            faults.crash(world, host)
            world.at(host * apart_us, partial(faults.restart, world, host))
    started_us = (size - 1) * apart_us
    while world.now < max(started_us, links.changed_at) + QUIET_US:
        if world.now > started_us + patience_us:
            raise ValueError(f"the links of {size} nodes did not settle (seed {seed})")
        world.run(max(started_us, links.changed_at) + QUIET_US)
    edges = [
        (host.index, peer)
        for host in world.hosts
        for peer in host.links
        if host.index < peer and world.switchboard.whole(host.index, peer)
    ]
    return graph(alone.name, size, edges)
