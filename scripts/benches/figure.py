"""One figure: what was measured several times, in one unit, and what was hoped for."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from os import cpu_count
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure's median is held against."""

    bound: float
    at_least: bool
    """Or below."""

    def met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.bound if self.at_least else value < self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """Measured values of one thing; the median stands for them."""

    name: str
    unit: str
    values: tuple[float, ...]
    how: str
    goal: Goal | None = None

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is; None without a goal."""
        return None if self.goal is None else self.goal.met(self.median)

    def shape(self, bench: str) -> Json:
        """As JSON."""
        goal = self.goal
        return {
            "bench": bench,
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": min(self.values),
            "high": max(self.values),
            "values": list(self.values),
            "how": self.how,
            "goal": None if goal is None else {"bound": goal.bound, "at_least": goal.at_least},
            "met": self.met,
        }


def at_least(bound: float) -> Goal:
    """The more, the better."""
    return Goal(bound, at_least=True)


def under(bound: float) -> Goal:
    """The less, the better."""
    return Goal(bound, at_least=False)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, round(share * len(ranked)))]


def machine() -> Json:
    """Where the figures were made."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - Linux alone
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
