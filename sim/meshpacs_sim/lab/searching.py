"""Ways to search that a scenario can name: the engine's own here, the kernel's by its catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from meshpacs.model.limits import HOPS
from meshpacs_sim.strategies.catalogue import STRATEGIES

BUDGET_S = 10.0
"""As the engine's own default."""

Budget = Annotated[float, Meta(ge=0.5, le=30)]
"""Seconds; the longest is PROTOCOL 4.4's."""

Ttl = Annotated[int, Meta(ge=1, le=HOPS)]


@dataclass(frozen=True, slots=True)
class AskEveryone:
    """What clinics run: a flood that only deduplication stops (PROTOCOL 4.3)."""

    budget_s: Budget = BUDGET_S
    """How long a question may take."""

    @property
    def ttls(self) -> tuple[int, ...]:
        """One question, without a bound."""
        return (0,)


@dataclass(frozen=True, slots=True)
class AskBall:
    """Everybody within so many hops (PROTOCOL 4.3)."""

    ttl: Ttl = 3
    """Hops that the question goes."""
    budget_s: Budget = BUDGET_S
    """How long a question may take."""

    @property
    def ttls(self) -> tuple[int, ...]:
        """One question, of one width."""
        return (self.ttl,)


@dataclass(frozen=True, slots=True)
class AskRings:
    """An expanding ring: wider balls one after another, until one has found a copy."""

    ttls: Annotated[tuple[Ttl, ...], Meta(min_length=1, max_length=HOPS)] = (1, 2, 3, 5, 7)
    """The balls' widths in hops, rising."""
    budget_s: Budget = BUDGET_S
    """How long each of the questions may take."""

    def __post_init__(self) -> None:
        """Check what types cannot say.

        Raises:
            ValueError: a ball is not wider than the one before.
        """
        if list(self.ttls) != sorted(set(self.ttls)):
            raise ValueError(f"has ttls {list(self.ttls)}, which do not rise")


ENGINE: Mapping[str, type] = {
    "everyone": AskEveryone,
    "ball": AskBall,
    "expanding_ring": AskRings,
}
"""By the word in `search.strategy`, for the fidelity `engine`."""

PLAIN = "everyone"
"""What is meant where a scenario has no table `search`."""

KERNEL: Mapping[str, type] = STRATEGIES
"""The same for the fidelity `kernel`."""
