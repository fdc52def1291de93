"""Members that mean harm, which a scenario can name: `world.adversaries`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from meshpacs_sim.world.adversaries import ADVERSARIES
from meshpacs_sim.world.world import World


class Adversaries(Protocol):
    """A frozen dataclass whose fields are the parameters."""

    def enlist(self, world: World, spared: Collection[int] = ()) -> tuple[int, ...]:
        """Who they are; they begin when it is time."""
        ...


@dataclass(frozen=True, slots=True)
class Nobody:
    """All members mean well."""

    def enlist(self, world: World, spared: Collection[int] = ()) -> tuple[int, ...]:  # noqa: ARG002
        """Nobody."""
        return ()


HARM: Mapping[str, type] = {"none": Nobody, **ADVERSARIES}
"""By the word in `adversaries.kind`."""
