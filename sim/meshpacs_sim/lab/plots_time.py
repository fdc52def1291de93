"""What changes while a run goes on, drawn over simulated time."""

from collections.abc import Iterator, Sequence

import numpy as np

from meshpacs_sim.lab.groups import Group
from meshpacs_sim.lab.observations import HOUR_US, Int64s, Observations
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, Shade, curves
from meshpacs_sim.pictures.sheet import SERIES, Picture
from meshpacs_sim.statistics.intervals import Estimate, Floats, mean_of

UNITS = (("days", 24.0, 72.0), ("hours", 1.0, 2.0), ("minutes", 1 / 60, 1 / 20))
"""Of simulated time: its hours, and from how many hours on it is used; below, seconds."""


def courses_of(groups: Sequence[Group]) -> Iterator[Picture]:
    """Copies and contents that are online over time, of each group whose course differs."""
    series: list[Curve] = []
    scale, unit = _unit(groups)
    seen: dict[str, None] = {}
    for group in groups[: SERIES // 2]:
        moments = _moments(group)
        if len(moments) < 2:
            continue
        online = _course(group, moments, "contents_available")
        copies = _course(group, moments, "copies_up")
        if all(each.value == 1 for each in copies):
            continue  # nobody ever went
        if repr(online) in seen:
            continue  # the same chance for another way to search: the same line
        seen[repr(online)] = None
        x = [float(when) / HOUR_US / scale for when in moments]
        name = group.place + ": " if group.place else ""
        series.append(Curve(f"{name}contents with a copy online", x, online))
        series.append(Curve(f"{name}copies online", x, copies))
    if series:
        shade = _warm_up(groups, scale)
        x_axis, y_axis = Axis(f"simulated time ({unit})"), Axis("share", share=True)
        panels = [Panel("", series)]
        yield curves("availability", "Availability over time", panels, x_axis, y_axis, shade)


def _unit(groups: Sequence[Group]) -> tuple[float, str]:
    """Hours in one unit of time that suits the longest run, and its name."""
    ends = [float(run.moments[-1]) for group in groups for run in group.runs if len(run.moments)]
    hours = max(ends, default=0.0) / HOUR_US
    for name, scale, least in UNITS:
        if hours >= least:
            return scale, name
    return 1 / 3_600, "seconds"


def _moments(group: Group) -> Int64s:
    """When all runs of a group were looked at."""
    common = group.runs[0].moments
    for run in group.runs[1:]:
        common = np.intersect1d(common, run.moments)
    return common


def _course(group: Group, moments: Int64s, column: str) -> list[Estimate]:
    """A share at each moment: of one run as it is, of several their mean."""
    rows = np.array([_shares(run, column)[np.isin(run.moments, moments)] for run in group.runs])
    if len(rows) == 1:
        return [Estimate(value, value, value, 1) for value in rows[0].tolist()]
    return [mean_of(each, group.scenario.measure.confidence) for each in rows.T]


def _shares(run: Observations, column: str) -> Floats:
    if column == "copies_up":
        return run.course(column) / np.maximum(1, run.course("copies"))
    return run.course(column) / run.contents


def _warm_up(groups: Sequence[Group], scale: float) -> Shade | None:
    """Until the last query that does not count had been asked."""
    ends = [
        float(run.all_of("asked_us")[~run.counted].max())
        for group in groups
        for run in group.runs
        if (~run.counted).any()
    ]
    if not ends:
        return None
    return Shade(0.0, max(ends) / HOUR_US / scale, "warm-up, not counted")
