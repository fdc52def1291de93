"""One published or analytic value beside ours, and the rule by which the two agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshpacs_sim.pictures.sheet import Picture
from meshpacs_sim.reproductions.published import Published
from meshpacs_sim.statistics.intervals import Estimate, Numbers, mean_of

STRICT = 0.999
"""Confidence of the interval that an exact expectation must lie in. At 95 % one right finding in
twenty would fail; the seeds are fixed, so that this is decided once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A value, found again or not."""

    what: str
    expected: float
    """As published, or as the formula says."""
    ours: Estimate
    rule: str
    """When it passes, in words."""
    passed: bool


@dataclass(frozen=True, eq=False)
class Reproduction:
    """Everything that one source is held to."""

    published: Published
    findings: Sequence[Finding]
    pictures: Sequence[Picture]

    @property
    def passed(self) -> bool:
        """Whether every value was found again."""
        return all(finding.passed for finding in self.findings)


def exactly(what: str, expected: int, ours: int) -> Finding:
    """A count that must be this very one."""
    return Finding(what, expected, certain(ours), "equal", expected == ours)


def agreeing(what: str, expected: float, values: Numbers) -> Finding:
    """The mean of independent observations, whose expectation is known exactly."""
    strict = mean_of(values, STRICT)
    passed = strict.low <= expected <= strict.high
    return Finding(what, expected, mean_of(values), "within the 99.9 % interval", passed)


def within(what: str, expected: float, ours: Estimate, share: float) -> Finding:
    """A value whose expectation holds for large meshes; so far off, as a share of it, it may be."""
    passed = abs(ours.value - expected) <= share * abs(expected)
    return Finding(what, expected, ours, f"within {100 * share:g} %", passed)


def near(what: str, expected: float, ours: Estimate, distance: float) -> Finding:
    """The same for a value between 0 and 1, by the difference."""
    passed = abs(ours.value - expected) <= distance
    return Finding(what, expected, ours, f"within {distance:g}", passed)


def at_least(what: str, least: float, ours: Estimate) -> Finding:
    """A claim of the form "so much or more"; the whole interval must be above."""
    return Finding(what, least, ours, "at least", ours.low >= least)


def certain(value: float) -> Estimate:
    """What no chance is in."""
    return Estimate(value, value, value, 1)
