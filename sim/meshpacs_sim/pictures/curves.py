"""Values with intervals along something: a swept parameter, the number of copies, time."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from meshpacs_sim.pictures.numerals import plain, with_interval
from meshpacs_sim.pictures.sheet import (
    FAINT,
    Picture,
    colour,
    dash,
    legend_below,
    legend_in,
    marker,
    panels_in,
    percents,
    powers_of_ten,
    refuse_too_many,
    sheet,
)
from meshpacs_sim.statistics.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 15
"""Points that each get a mark and a bar; more become a line in a band."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One series: a value, with its interval, at each x."""

    name: str
    x: Sequence[float]
    y: Sequence[Estimate]
    hollow: bool = False
    """Drawn thinner, dotted and with hollow marks, in the colour of the curve before it: the same
    thing in a weaker sense."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows: its name with the unit in it."""

    label: str
    logarithmic: bool = False
    share: bool = False
    """Shares of 1, written in per cent, from none to all."""


@dataclass(frozen=True, slots=True)
class Shade:
    """A stretch of x that is marked as being of another kind, a warm-up."""

    low: float
    high: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Series that stand together; of the same name in several panels, they look the same."""

    title: str
    series: Sequence[Curve]


def curves(
    name: str,
    title: str,
    panels: Sequence[Panel],
    x: Axis,
    y: Axis,
    shade: Shade | None = None,
) -> Picture:
    """All series over one x, panels above each other.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    refuse_too_many(panels)
    every = [curve for panel in panels for curve in panel.series if len(curve.x)]
    refuse_too_many(list(dict.fromkeys(curve.name for curve in every)))
    numbers = _numbers(every)
    labels = [*numbers, *([shade.label] if shade else [])]
    height = panels_in(len(panels)) + legend_in(labels)
    with sheet(len(panels), 1, height_in=height, sharex=True, sharey=True) as (figure, axes):
        for each, panel in zip(axes, panels, strict=True):
            for curve in panel.series:
                if len(curve.x):
                    _curve(each, curve, numbers[curve.name], y)
            if panel.title:
                each.set_title(panel.title)
            if shade is not None:
                each.axvspan(shade.low, shade.high, color="#EFEFEF", zorder=0, label=shade.label)
            each.set_ylabel(y.label)
            each.tick_params(which="minor", color=FAINT)
        _scales(axes[0], every, x, y)
        axes[-1].set_xlabel(x.label)
        legend_below(figure, max(axes, key=lambda each: len(each.get_legend_handles_labels()[1])))
    told = " ".join(
        (f"{panel.title}. " if panel.title else "")
        + " ".join(_words(curve, x, y) for curve in panel.series if len(curve.x))
        for panel in panels
    )
    return Picture(name, title, told, figure)


def _numbers(series: Sequence[Curve]) -> dict[str, int]:
    """For each name its colour and shape: a hollow one has those of the one before it."""
    numbers: dict[str, int] = {}
    last = -1
    for curve in series:
        if curve.name not in numbers:
            last += not curve.hollow or last < 0
            numbers[curve.name] = last
    return numbers


def _curve(axes: "Axes", curve: Curve, number: int, y: Axis) -> None:
    scale, ink = 100 if y.share else 1, colour(number)
    values = [scale * each.value for each in curve.y]
    lows = [
        scale * each.low if each.low > -inf else v for each, v in zip(curve.y, values, strict=True)
    ]
    highs = [
        scale * each.high if each.high < inf else v for each, v in zip(curve.y, values, strict=True)
    ]
    if y.logarithmic:  # a bar down to nothing would have no end
        least = min((value for value in values if value > 0), default=1.0)
        lows = [
            low if low > 0 else min(least, value) for low, value in zip(lows, values, strict=True)
        ]
    line = ":" if curve.hollow else dash(number)
    face = "white" if curve.hollow else ink
    if len(values) > FEW:
        axes.fill_between(curve.x, lows, highs, color=ink, alpha=0.18, linewidth=0)
        axes.plot(curve.x, values, color=ink, linestyle=line, label=curve.name)
        return
    down = [max(0.0, value - low) for value, low in zip(values, lows, strict=True)]
    up = [max(0.0, high - value) for value, high in zip(values, highs, strict=True)]
    axes.errorbar(
        curve.x,
        values,
        yerr=[down, up],
        color=ink,
        linestyle=line,
        marker=marker(number),
        markerfacecolor=face,
        elinewidth=1.0,
        capsize=2.5,
        linewidth=1.0 if curve.hollow else 1.7,
        label=curve.name,
    )


def _scales(axes: "Axes", series: Sequence[Curve], x: Axis, y: Axis) -> None:
    if x.logarithmic and all(value > 0 for curve in series for value in curve.x):
        axes.set_xscale("log")
        powers_of_ten(axes.xaxis)
        values = sorted({value for curve in series for value in curve.x})
        if len(values) <= FEW // 2:
            axes.set_xticks(values, [plain(value) for value in values], minor=False)
    if y.share:
        axes.set_ylim(-4, 104)
        percents(axes.yaxis)
    elif y.logarithmic and all(each.value > 0 for curve in series for each in curve.y):
        axes.set_yscale("log")
        powers_of_ten(axes.yaxis)
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _words(curve: Curve, x: Axis, y: Axis) -> str:
    """Each point of few; of many the first, the lowest, the highest and the last."""
    points = list(zip(curve.x, curve.y, strict=True))
    if len(points) > FEW:
        values = [each.value for each in curve.y]
        telling = {0, values.index(min(values)), values.index(max(values)), len(points) - 1}
        points = [points[index] for index in sorted(telling)]
    told = "; ".join(
        f"{with_interval(value, share=y.share)} at {plain(at)}" for at, value in points
    )
    return f"{curve.name}, {y.label} by {x.label}: {told}."
