"""Two strategies compared on the same chance: only their difference is left to vary.

Common random numbers (Law 2015, Simulation Modeling and Analysis, 11.2): both were given the same
mesh, the same churn and the same questions, seed by seed or question by question.
"""

from dataclasses import dataclass

from meshpacs_sim.statistics.intervals import CONFIDENCE, Estimate, Numbers, floats, mean_of


@dataclass(frozen=True, slots=True)
class Paired:
    """By how much one exceeds the other."""

    difference: Estimate
    """The mean of one minus other, pair by pair, with Student's interval."""
    saved: float
    """By what the same chance has shrunk the variance: 0 nothing, towards 1 all of it; below 0,
    where the two answered chance contrarily, it has grown."""

    @property
    def differ(self) -> bool:
        """Whether no difference at all lies outside of the interval."""
        return self.difference.low > 0 or self.difference.high < 0


def difference_of(one: Numbers, other: Numbers, confidence: float = CONFIDENCE) -> Paired:
    """One minus other, each a row of independent observations under the same chance.

    Raises:
        ValueError: there are none, or not as many of one as of the other.
    """
    first, second = floats(one), floats(other)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} observations cannot be paired with {len(second)}")
    apart = first - second
    if len(first) == 1:
        return Paired(mean_of(apart, confidence), 0.0)
    unpaired = float(first.var(ddof=1) + second.var(ddof=1))
    saved = 1 - float(apart.var(ddof=1)) / unpaired if unpaired else 0.0
    return Paired(mean_of(apart, confidence), saved)
