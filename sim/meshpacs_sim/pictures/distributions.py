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
    legend_in,
    panels_in,
    percents,
    powers_of_ten,
    refuse_too_many,
    sheet,
)
from meshpacs_sim.statistics.inequality import gini_of, lorenz_of
from meshpacs_sim.statistics.intervals import Floats, Numbers, floats

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


Panels = Sequence[tuple[str, Sequence[Observed]]]
"""Titles, and the series that stand together; of the same name, they look the same."""


def cumulative(
    name: str, title: str, panels: Panels, label: str, *, logarithmic: bool = False
) -> Picture:
    """Which share of all tries had given a value by so much, panels above each other.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    panels = [(head, [each for each in series if each.tries]) for head, series in panels]
    names = list(dict.fromkeys(each.name for _, series in panels for each in series))
    refuse_too_many(panels)
    refuse_too_many(names)
    held = [each.values for _, series in panels for each in series if len(each.values)]
    end = max((float(np.max(values)) for values in held), default=1.0)
    height = panels_in(len(panels)) + legend_in(names)
    with sheet(len(panels), 1, height_in=height, sharex=True) as (figure, axes):
        for each, (head, series) in zip(axes, panels, strict=True):
            for observed in series:
                x, y = _steps(observed, end)
                number = names.index(observed.name)
                look = {"color": colour(number), "linestyle": dash(number)}
                each.step(x, 100 * y, where="post", label=observed.name, **look)
            each.set_title(head)
            each.set_ylim(0, 102)
            percents(each.yaxis)
            each.set_ylabel("share of all queries")
        if logarithmic and end > 0:
            least = min(float(np.min(values)) for values in held)
            if least > 0:
                axes[0].set_xscale("log")
            else:  # what is known at once has a place, too
                every = np.concatenate([floats(values) for values in held])
                above = float(every[every > 0].min())
                axes[0].set_xscale("symlog", linthresh=above, linscale=AT_ONCE)
                axes[0].set_xlim(left=0)
            powers_of_ten(axes[0].xaxis)
        else:
            axes[0].set_xlim(left=0)
        axes[-1].set_xlabel(label)
        legend_below(figure, max(axes, key=lambda each: len(each.get_legend_handles_labels()[1])))
    told = " ".join(
        (f"{head}. " if head else "") + " ".join(map(_words, series)) for head, series in panels
    )
    return Picture(name, title, f"{label}. {told}", figure)


AT_ONCE = 0.3
"""On a logarithmic axis that begins at 0, how far the least other value is from it, in powers of
ten."""


def lorenz(
    name: str,
    title: str,
    panels: Sequence[tuple[str, Sequence[tuple[str, Numbers]]]],
    label: str,
) -> Picture:
    """Which share of the whole the least loaded nodes bear; each with Gini's coefficient.

    Panels of (title, series of (name, what each node bears)) stand beside each other, two in a row.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    panels = [(head, [each for each in series if len(each[1])]) for head, series in panels]
    names = list(dict.fromkeys(each for _, series in panels for each, _ in series))
    refuse_too_many(panels)
    refuse_too_many(names)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    height = (4.6 if columns == 1 else 3.7) * rows + legend_in([EVEN, *names])
    with sheet(rows, columns, height_in=height) as (figure, axes):
        for each, (head, series) in zip(axes, panels, strict=False):
            each.plot([0, 100], [0, 100], color=FAINT, linewidth=1, label=EVEN)
            for series_name, shares in series:
                number = names.index(series_name)
                nodes, had = lorenz_of(shares)
                kept = _thinned(len(nodes))
                look = {"color": colour(number), "linestyle": dash(number)}
                each.plot(100 * nodes[kept], 100 * had[kept], label=series_name, **look)
            each.set_title(head)
            each.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
            percents(each.xaxis)
            percents(each.yaxis)
            each.set(xlabel="nodes, the least loaded first", ylabel=label)
        for each in axes[len(panels) :]:
            each.remove()
        legend_below(figure, max(axes, key=lambda each: len(each.get_legend_handles_labels()[1])))
    told = " ".join(
        (f"{head}. " if head else "") + " ".join(_shared(*each) for each in series)
        for head, series in panels
    )
    return Picture(name, title, told, figure)


EVEN = "all the same"
"""The diagonal."""


def _shared(name: str, shares: Numbers) -> str:
    gini = plain(gini_of(shares), 2)
    return f"{name}: Gini {gini}, the busiest tenth bears {percent(_top(shares))}."


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
