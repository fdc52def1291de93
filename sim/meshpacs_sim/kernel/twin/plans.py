"""What is asked, and what else a scenario does."""

from dataclasses import dataclass

Scene = tuple[int, int, int]
"""When, which act (`twin.acts`), and to which host or plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A question to be asked: one width, or several, one after the other; 0 is everyone."""

    origin: int
    ttls: tuple[int, ...]
    budget_us: int
