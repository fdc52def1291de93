"""Members that flood: signed queries of their own, as many as they like. PROTOCOL 4.6."""

from typing import TYPE_CHECKING

from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs.wire.bodies import ASK_CONTEXT, AskBody
from meshpacs.wire.codec import pack
from meshpacs.wire.messages import Ask
from meshpacs_sim.world.cellar import by_name

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

BUDGET_US: Micros = 5 * SECOND
"""How long each query of a flood may take. A guess."""

HIGH = 1 << 40
"""Where a flooder's tokens and counters begin, so that its engine knows none of them. A node whose
engine is to be heard again must be started anew: its counters are too low for the replay window."""


class Flooder:
    """Asks past its own engine's budget."""

    def __init__(self, world: "World", index: int) -> None:
        """Nothing is asked yet."""
        self._world = world
        self._index = index
        self._count = HIGH

    def burst(self, queries: int) -> None:
        """So many queries to everyone, at one moment, to every neighbour."""
        world, host = self._world, self._world.hosts[self._index]
        notary, budget_ms = world.notaries[self._index], BUDGET_US // MILLISECOND
        for _ in range(queries):
            self._count += 1
            public, _ = notary.reply_keys()
            body = pack(
                AskBody(
                    world.mesh,
                    host.node,
                    host.stored_boot,
                    self._count,
                    world.wall(host),
                    0,
                    budget_ms,
                    world.head,
                    0,
                    by_name("Nobody^*"),
                    public,
                )
            )
            ask = Ask(self._count, 0, 1, budget_ms, body, notary.sign(ASK_CONTEXT, body))
            for peer in sorted(host.links):
                world.switchboard.post(host, peer, ask)
