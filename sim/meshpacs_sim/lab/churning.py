"""Churn that a scenario can name: `world.churn`'s models, in hours as people write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

from msgspec import Meta

from meshpacs.model.ids import Micros
from meshpacs_sim.world.churn import office_hours
from meshpacs_sim.world.churn.lengths import Lengths
from meshpacs_sim.world.churn.office_hours import DAY, HOUR, MINUTE
from meshpacs_sim.world.churn.on_off import OnOff
from meshpacs_sim.world.churn.recorded import read_record
from meshpacs_sim.world.churn.schedule import Churn

Percent = Annotated[int, Meta(ge=0, le=100)]
Hours = Annotated[float, Meta(gt=0, le=87_600)]
OfDay = Annotated[float, Meta(ge=0, le=24)]
Kind = Literal["exponential", "weibull", "pareto"]


class Coming(Protocol):
    """A frozen dataclass whose fields are the parameters."""

    @property
    def silent_percent(self) -> int:
        """Of nodes that go, those that say nothing, as after a power cut; the engine notices."""
        ...

    def model(self, size: int) -> Churn | None:
        """Who is up when; None if nobody comes or goes.

        Raises:
            ValueError: there is no such model.
            LocalFault: a file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """Nobody comes or goes."""

    @property
    def silent_percent(self) -> int:
        """Nobody goes."""
        return 0

    def model(self, size: int) -> Churn | None:  # noqa: ARG002
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class Sessions:
    """Every node is up for a while and down for a while, by chance, and has always been so."""

    up_hours: Hours = 8.0
    """How long a session lasts on average."""
    down_hours: Hours = 16.0
    """How long an absence lasts on average."""
    lengths: Kind = "exponential"
    """How sessions and absences are distributed."""
    shape: Annotated[float, Meta(gt=0, le=100)] = 1.0
    """Of both. Weibull below 1: many short and a few very long ones (Stutzbach and Rejaie 2006)."""
    spread_shape: Annotated[float, Meta(ge=0, le=100)] = 0.0
    """Every node has means of its own, drawn from a Pareto distribution of this shape (Yao et al.
    2006); 0: all nodes are alike."""
    silent_percent: Percent = 0
    """Of nodes that go, those that say nothing, as after a power cut. For the engine."""

    def model(self, size: int) -> Churn:  # noqa: ARG002
        """Alternating spans."""
        up, down = (
            Lengths(self.lengths, round(hours * HOUR), self.shape)
            for hours in (self.up_hours, self.down_hours)
        )
        spread = Lengths("pareto", HOUR, self.spread_shape) if self.spread_shape else None
        return OnOff(up, down, spread)


@dataclass(frozen=True, slots=True)
class Office:
    """Each node is switched on before its clinic opens and off after it closes."""

    opens: OfDay = 8.0
    """Hour of the day, by the clinic's own time."""
    closes: OfDay = 18.0
    """Hour of the day."""
    days: Annotated[tuple[bool, ...], Meta(min_length=7, max_length=7)] = (True,) * 5 + (False,) * 2
    """Monday to Sunday: whether it opens at all."""
    ragged_minutes: Annotated[float, Meta(ge=0, le=240)] = 30.0
    """So long at most before opening and after closing, drawn for every day."""
    stay_on_percent: Percent = 20
    """Of nodes that are never switched off."""
    left_on_percent: Annotated[int, Meta(ge=0, le=99)] = 5
    """Of evenings on which it is forgotten."""
    zones: Annotated[tuple[Annotated[float, Meta(ge=-14, le=14)], ...], Meta(min_length=1)] = (0.0,)
    """Local time minus UTC in hours; each clinic has one of these, drawn."""
    begins: Annotated[float, Meta(ge=0, lt=168)] = 8.0
    """The hour of the week, UTC, at which the run begins; 0 is the night to Monday."""
    silent_percent: Percent = 0
    """Of nodes that go, those that say nothing, as after a power cut. For the engine."""

    def model(self, size: int) -> Churn:  # noqa: ARG002
        """A week that repeats."""
        hours = (round(self.opens * HOUR), round(self.closes * HOUR))
        return office_hours.OfficeHours(
            week=tuple(hours if opens else None for opens in self.days),
            ragged_us=round(self.ragged_minutes * MINUTE),
            stay_on_percent=self.stay_on_percent,
            left_on_percent=self.left_on_percent,
            zones_us=tuple(round(zone * HOUR) for zone in self.zones),
            epoch_us=MONDAY_US + round(self.begins * HOUR),
        )


MONDAY_US: Micros = 18_659 * DAY
"""A Monday in Unix time: 1 February 2021."""


@dataclass(frozen=True, slots=True)
class Record:
    """As it was seen: a file of who was up when."""

    file: str
    """CSV of node,up_us,down_us; docs/SIMULATOR.md tells the format."""
    silent_percent: Percent = 0
    """Of nodes that go, those that say nothing, as after a power cut. For the engine."""

    def model(self, size: int) -> Churn:
        """What the file says."""
        record = read_record(Path(self.file))
        if len(record.schedules) < size:
            raise ValueError(f"{self.file} tells of {len(record.schedules)} nodes, not of {size}")
        return record


CHURN: Mapping[str, type] = {
    "none": Always,
    "sessions": Sessions,
    "office_hours": Office,
    "recorded": Record,
}
"""By the word in `churn.model`."""
