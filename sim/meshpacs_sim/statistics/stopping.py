"""How often an experiment must be repeated: until its interval is narrow enough, or a limit.

Chow & Robbins 1965, Ann. Math. Stat. 36:457 (the rule is right in the limit of narrow intervals);
Law 2015, Simulation Modeling and Analysis, 9.4.1 (with few observations it stops too early, when
chance has made them alike: so a least number comes first, and looks are few).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from meshpacs_sim.statistics.intervals import CONFIDENCE, Estimate, mean_of


class Verdict(Enum):
    """What is to be done after so many repetitions."""

    MORE = "more are needed"
    PRECISE = "the interval is narrow enough"
    LIMIT = "the limit was reached first"


@dataclass(frozen=True, slots=True)
class Precision:
    """When to stop. Whichever width is met first is enough."""

    relative: float = 0.05
    """Half-width as a share of the value; 0 to go by the absolute one alone."""
    absolute: float = 0.0
    """Half-width in the value's own unit. A proportion near 0 never meets a relative one."""
    least: int = 10
    """Repetitions before the first look (Law 2015, 9.4.1)."""
    most: int = 1_000
    """Repetitions after which it ends, narrow or not."""
    confidence: float = CONFIDENCE
    """How often the interval holds the true value."""

    def __post_init__(self) -> None:
        """Refuse what could never be met or would never end."""
        if self.relative < 0 or self.absolute < 0 or not (self.relative or self.absolute):
            raise ValueError("a relative or an absolute half-width above 0 is wanted")
        if not 2 <= self.least <= self.most:
            raise ValueError(
                f"repetitions: at least 2, then at most: {self.least} and {self.most} are not that"
            )
        if not 0 < self.confidence < 1:
            raise ValueError(f"a confidence lies between 0 and 1, {self.confidence} does not")

    def met_by(self, estimate: Estimate) -> bool:
        """Whether this interval is narrow enough."""
        if estimate.half_width <= self.absolute:
            return True
        return bool(self.relative) and estimate.relative <= self.relative

    def after(self, done: int, estimate: Estimate | None) -> Verdict:
        """What is to be done after so many repetitions, given what they say together.

        None stands for a value that none of them has shown.
        """
        if done < self.least:
            return Verdict.MORE
        if estimate is not None and self.met_by(estimate):
            return Verdict.PRECISE
        return Verdict.LIMIT if done >= self.most else Verdict.MORE

    def next_look(self, done: int) -> int:
        """How many repetitions to have before the next look: half as many again. Every look is a
        chance to stop too early, and processes in parallel want something to do.
        """
        return min(self.most, max(self.least, done + max(1, done // 2)))


@dataclass(frozen=True, slots=True)
class Stopped:
    """What came of it."""

    estimate: Estimate
    values: tuple[float, ...]
    """One for each repetition, in order."""
    verdict: Verdict
    """`PRECISE` or `LIMIT`."""


def repeat(observe: Callable[[int], float], precision: Precision) -> Stopped:
    """Observe repetition 0, 1, 2 and on, until the rule says to stop; the same for the same
    observations, since looks come at fixed numbers.
    """
    values: list[float] = []
    while True:
        for number in range(len(values), precision.next_look(len(values))):
            values.append(observe(number))  # noqa: PERF401 - what is observed may see what was
        estimate = mean_of(values, precision.confidence)
        verdict = precision.after(len(values), estimate)
        if verdict is not Verdict.MORE:
            return Stopped(estimate, tuple(values), verdict)
