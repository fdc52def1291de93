"""What is compared stands in rows, what is measured in columns: read across, or down.

Where many things are alike in one measure, marks on a plane cover each other, and names too; here
each has a line of its own. A column may hold several marks a row, told apart by colour and shape.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshpacs_sim.pictures.numerals import plain, with_interval
from meshpacs_sim.pictures.sheet import (
    FAINT,
    INK,
    Picture,
    colour,
    legend_below,
    marker,
    refuse_too_many,
    sheet,
)
from meshpacs_sim.statistics.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_IN, REST_IN = 0.42, 1.2
"""Inches: of one row; of titles, axis and legend."""

DIGITS = 2
"""Of a number beside a mark."""


@dataclass(frozen=True, slots=True)
class Marks:
    """One mark in each row."""

    kind: str
    """Marks of a kind look the same in every column; empty where a column has no other."""
    values: Sequence[Estimate]
    hollow: bool = False
    """In the colour of its kind, without a bar: the same thing in a weaker sense, which `kind`
    names."""


@dataclass(frozen=True, slots=True)
class Column:
    """One measure."""

    title: str
    """Short; it may have several lines."""
    marks: Sequence[Marks]
    share: bool = False
    """Shares of 1, written in per cent, from none to all. Others stand on a logarithmic scale,
    with their numbers beside them."""


def beside(name: str, title: str, rows: Sequence[str], columns: Sequence[Column]) -> Picture:
    """The rows from the top down.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    refuse_too_many(rows)
    refuse_too_many(columns)
    full = [marks.kind for each in columns for marks in each.marks if not marks.hollow]
    kinds = list(dict.fromkeys(full))
    height = REST_IN + ROW_IN * len(rows)
    with sheet(1, len(columns), height_in=height, sharey=True) as (figure, axes):
        for each, column in zip(axes, columns, strict=True):
            each.set_title(column.title, fontsize=9)
            each.tick_params(axis="y", length=0)
            if column.share:
                _shares(each, column, kinds)
            else:
                _numbers(each, column, kinds)
        axes[0].set_yticks(range(len(rows)), rows)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        legend_below(figure, axes[0])
    told = " ".join(f"{row}: {'; '.join(_words(columns, at))}." for at, row in enumerate(rows))
    return Picture(name, title, told, figure)


def _shares(axes: "Axes", column: Column, kinds: Sequence[str]) -> None:
    axes.set_xlim(-6, 106)
    axes.set_xticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    place = 0
    for marks in column.marks:
        place = place if marks.hollow else kinds.index(marks.kind)
        for row, estimate in enumerate(marks.values):
            value, y = 100 * estimate.value, row + _beneath(place, kinds)
            ends = (max(0.0, estimate.low), min(1.0, estimate.high))
            reach = [[value - 100 * ends[0]], [100 * ends[1] - value]]
            axes.errorbar(
                value,
                y,
                xerr=None if marks.hollow else reach,
                fmt=marker(place),
                color=colour(place),
                markerfacecolor="white" if marks.hollow else colour(place),
                elinewidth=1.2,
                zorder=2 if marks.hollow else 3,
                label="" if row else marks.kind,
            )


def _numbers(axes: "Axes", column: Column, kinds: Sequence[str]) -> None:
    values = [each.value for marks in column.marks for each in marks.values]
    above = [value for value in values if value > 0] or [1.0]
    low, high = min(above) / 4, max(above)
    axes.set_xscale("log")
    # Numbers are written to the right of their marks.
    axes.set_xlim(low / 2, high * (high / low) ** 0.5 * 4)
    axes.set_xticks([])
    axes.minorticks_off()
    for marks in column.marks:
        place = kinds.index(marks.kind)
        for row, estimate in enumerate(marks.values):
            x, y = max(estimate.value, low), row + _beneath(place, kinds if marks.kind else [""])
            if estimate.value > 0:
                axes.plot(x, y, marker(place), color=colour(place) if marks.kind else INK)
            axes.annotate(
                plain(float(f"{estimate.value:.{DIGITS}g}")),
                (x, y),
                (6 if estimate.value > 0 else 0, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=INK if estimate.value > 0 else FAINT,
            )


def _beneath(place: int, kinds: Sequence[str]) -> float:
    """Of several marks in a row the first stands above its middle and the last below, in rows."""
    several = sum(map(bool, kinds))
    return 0.5 * (place - (several - 1) / 2) / several if several > 1 and kinds[place] else 0.0


def _words(columns: Sequence[Column], row: int) -> Iterator[str]:
    for column in columns:
        measure = " ".join(column.title.split())
        for marks in column.marks:
            of = f", {marks.kind}" if marks.kind else ""
            yield f"{measure}{of} {with_interval(marks.values[row], share=column.share)}"
