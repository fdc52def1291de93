"""What is found against what it costs: the one picture for who runs a clinic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log10
from typing import TYPE_CHECKING

from meshpacs_sim.pictures.labels import Named, name_points
from meshpacs_sim.pictures.numerals import percent, with_interval
from meshpacs_sim.pictures.sheet import (
    FAINT,
    Picture,
    colour,
    marker,
    percents,
    powers_of_ten,
    refuse_too_many,
    sheet,
)
from meshpacs_sim.statistics.intervals import CONFIDENCE, Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Way:
    """One way to search."""

    name: str
    messages: Estimate
    """Per query."""
    retrieved: Estimate
    """The share of queries whose asker could have had a copy."""
    discovered: Estimate
    """The share of queries whose asker learnt of a holder, up or not."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One kind of content, looked for in every way."""

    title: str
    ways: Sequence[Way]


TITLE = "What is found, and what it costs"


def tradeoff(
    panels: Sequence[Panel],
    name: str = "tradeoff",
    title: str = TITLE,
    confidence: float = CONFIDENCE,
) -> Picture:
    """Share of queries that succeed, against messages per query on a logarithmic scale.

    A way to search has the same colour and shape in every panel. Where more was discovered than
    could be had, a hollow mark above shows it.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    refuse_too_many(panels)
    names = list(dict.fromkeys(way.name for panel in panels for way in panel.ways))
    refuse_too_many(names)
    offline = any(_apart(way) for panel in panels for way in panel.ways)
    with sheet(len(panels), 1, height_in=0.6 + 3.6 * len(panels), sharex=True) as (figure, axes):
        for each in axes:
            each.set_xscale("log")
        axes[0].set_xlim(*_range(panels))
        powers_of_ten(axes[0].xaxis)
        for each, panel in zip(axes, panels, strict=True):
            _points(each, panel, names)
        axes[-1].set_xlabel(
            "messages per query, of all nodes together (a step is ten times as many)"
        )
        figure.suptitle(_legend(offline, confidence), x=0.01, ha="left", fontsize=8.5, color=FAINT)
        # Names last: what is written beside the panels decides where they are on the sheet.
        for each, panel in zip(axes, panels, strict=True):
            _names(each, panel, names)
    told = " ".join(_words(panel, len(panels) > 1) for panel in panels)
    return Picture(name, title, told, figure)


def _legend(offline: bool, confidence: float) -> str:
    sure = f"{100 * confidence:g} %"
    words = f"Higher: more is found. Further left: less traffic. Bars: {sure} confidence."
    if offline:
        words += "\nHollow: a holder was found, but none that was online."
    return words


def _apart(way: Way) -> bool:
    return way.discovered.value > way.retrieved.value


def _points(axes: "Axes", panel: Panel, names: Sequence[str]) -> None:
    if len(panel.title):
        axes.set_title(panel.title)
    axes.set_ylim(-4, 106)
    percents(axes.yaxis)
    axes.set_ylabel("queries that found a copy")
    for way in panel.ways:
        index = names.index(way.name)
        x, y = max(way.messages.value, SMALLEST), 100 * way.retrieved.value
        left, low, right, high = _reach(way)
        axes.errorbar(
            x,
            y,
            xerr=[[x - left], [right - x]],
            yerr=[[y - low], [high - y]],
            fmt=marker(index),
            color=colour(index),
            elinewidth=1.2,
            capsize=2.5,
            zorder=3,
        )
        if _apart(way):
            axes.plot(
                [x, x],
                [y, 100 * way.discovered.value],
                color=colour(index),
                marker=marker(index),
                markerfacecolor="white",
                markevery=[1],
                linewidth=0.8,
                linestyle=":",
                zorder=2,
            )


SMALLEST = 0.1
"""A logarithmic scale has no 0: a way that sends less than one message in ten queries (it keeps an
index of everything) stands here."""


def _range(panels: Sequence[Panel]) -> tuple[float, float]:
    """The scale's ends: half a step and some room for names beyond the outermost bars."""
    reaches = [_reach(way) for panel in panels for way in panel.ways]
    low, high = min(reach[0] for reach in reaches), max(reach[2] for reach in reaches)
    room = 10 ** (0.25 + 0.1 * log10(high / low))
    return low / room, high * room


def _reach(way: Way) -> tuple[float, float, float, float]:
    """How far the bars go, on the axes; an end that is not known goes nowhere."""
    x = max(way.messages.value, SMALLEST)
    left = min(x, max(way.messages.low, SMALLEST)) if way.messages.low > -inf else x
    right = max(x, way.messages.high) if way.messages.high < inf else x
    y = way.retrieved
    low = 100 * (max(0.0, y.low) if y.low > -inf else y.value)
    high = 100 * (min(1.0, y.high) if y.high < inf else y.value)
    return left, low, right, high


def _names(axes: "Axes", panel: Panel, names: Sequence[str]) -> None:
    points, bars = [], []
    for way in panel.ways:
        x, y = max(way.messages.value, SMALLEST), 100 * way.retrieved.value
        points.append(Named(x, y, way.name, colour(names.index(way.name))))
        left, low, right, high = _reach(way)
        bars += [(x * 0.98, low, x * 1.02, high), (left, y - 0.5, right, y + 0.5)]
        if _apart(way):
            top = 100 * way.discovered.value
            bars += [(x * 0.98, y, x * 1.02, top), (x * 0.93, top - 2, x * 1.07, top + 2)]
    name_points(axes, points, bars)


def _words(panel: Panel, titled: bool) -> str:
    ways = [
        f"{way.name}: {with_interval(way.retrieved, share=True)} found at"
        f" {with_interval(way.messages)} messages"
        + (f", a holder known in {percent(way.discovered.value)}" if _apart(way) else "")
        for way in panel.ways
    ]
    head = f"{panel.title}. " if titled else ""
    return head + "; ".join(ways) + "."
