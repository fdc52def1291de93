"""Whole distributions: how many took at most so long, and how unevenly work is shared out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meshpacs_sim.pictures.numerals import percent, plain
from meshpacs_sim.pictures.sheet import (
    FAINT,
    Picture,
    colour,
    dash,
    legend_below,
    percents,
    powers_of_ten,
    refuse_too_many,
    sheet,
)
from meshpacs_sim.statistics.inequality import gini_of, lorenz_of
from meshpacs_sim.statistics.intervals import Floats, Numbers

STEPS = 400
"""Points of one curve at most: more are not seen at this size, and make a page heavy."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Values of one series."""

    name: str
    values: Numbers
    """Of the tries that gave one."""
    tries: int
    """All tries: a curve ends at the share of those that gave a value."""


def cumulative(
    name: str, title: str, series: Sequence[Observed], label: str, *, logarithmic: bool = False
) -> Picture:
    """Which share of all tries had given a value by so much.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    series = [each for each in series if each.tries]
    refuse_too_many(series)
    told = []
    with sheet() as (figure, (axes,)):
        positive = all(np.min(each.values) > 0 for each in series if len(each.values))
        end = max((float(np.max(each.values)) for each in series if len(each.values)), default=1.0)
        for number, each in enumerate(series):
            x, y = _steps(each, end)
            axes.step(
                x,
                100 * y,
                where="post",
                color=colour(number),
                linestyle=dash(number),
                label=each.name,
            )
            told.append(_words(each))
        if logarithmic and positive:
            axes.set_xscale("log")
            powers_of_ten(axes.xaxis)
        else:
            axes.set_xlim(left=0)
        axes.set_ylim(0, 102)
        percents(axes.yaxis)
        axes.set_xlabel(label)
        axes.set_ylabel("share of all queries")
        if len(series) > 1:
            legend_below(figure, axes)
    return Picture(name, title, f"{label}. {' '.join(told)}", figure)


def lorenz(name: str, title: str, series: Sequence[tuple[str, Numbers]], label: str) -> Picture:
    """Which share of the whole the least loaded nodes bear; each with Gini's coefficient.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    series = [each for each in series if len(each[1])]
    refuse_too_many(series)
    told = []
    with sheet(height_in=5.2) as (figure, (axes,)):
        axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1, label="all the same")
        for number, (series_name, shares) in enumerate(series):
            nodes, had = lorenz_of(shares)
            kept = _thinned(len(nodes))
            gini = plain(gini_of(shares), 2)
            axes.plot(
                100 * nodes[kept],
                100 * had[kept],
                color=colour(number),
                linestyle=dash(number),
                label=f"{series_name} (Gini {gini})",
            )
            told.append(
                f"{series_name}: Gini {gini}, the busiest tenth bears {percent(_top(shares))}."
            )
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        percents(axes.xaxis)
        percents(axes.yaxis)
        axes.set_aspect("equal")
        axes.set_xlabel("nodes, the least loaded first")
        axes.set_ylabel(label)
        legend_below(figure, axes)
    return Picture(name, title, " ".join(told), figure)


def _top(shares: Numbers) -> float:
    """What the busiest tenth of the nodes bears, at least one node."""
    rising = np.sort(np.asarray(shares, np.float64))
    total = float(rising.sum())
    return float(rising[-max(1, len(rising) // 10) :].sum()) / total if total else 0.0


def _steps(observed: Observed, end: float) -> tuple[Floats, Floats]:
    """Where the curve rises and to what; it goes on, flat, to the end of the longest."""
    values = np.sort(np.asarray(observed.values, np.float64))
    if not len(values):
        return np.zeros(1), np.zeros(1)
    x, last = np.unique(values, return_index=True)
    y = np.append(last[1:], len(values)) / observed.tries
    kept = _thinned(len(x))
    return (
        np.concatenate((x[:1], x[kept], [end])),
        np.concatenate(([0.0], y[kept], y[-1:])),
    )


def _thinned(count: int) -> "np.typing.NDArray[np.int64]":
    """Of so many points those to draw, the first and the last among them."""
    if count <= STEPS:
        return np.arange(count, dtype=np.int64)
    return np.arange(STEPS, dtype=np.int64) * (count - 1) // (STEPS - 1)


def _words(observed: Observed) -> str:
    values = np.sort(np.asarray(observed.values, np.float64))
    if not len(values):
        return f"{observed.name}: none."
    half, most = plain(values[(len(values) - 1) // 2]), plain(values[-1])
    share = percent(len(values) / observed.tries)
    return f"{observed.name}: {share} of all; half of these by {half}, the last at {most}."
