"""A week hour by hour, a row for each of several things: the darker, the more."""

from collections.abc import Sequence

from meshpacs_sim.pictures.numerals import percent
from meshpacs_sim.pictures.sheet import Picture, refuse_too_many, sheet

ROW_IN, HEAD_IN = 0.26, 1.35
"""Inches of one row, and of what stands around all."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

HOURS = 168

Row = tuple[str, Sequence[float | None]]
"""A name, and for each hour of the week a share of 1; None where there is nothing to tell."""


def week(name: str, title: str, rows: Sequence[Row], label: str, *, bad_is_low: bool) -> Picture:
    """Shares by hour of the week; what is bad is dark, whether that is little or much.

    Raises:
        ValueError: there is nothing to draw, or too much, or a row is no week.
    """
    refuse_too_many(rows)
    if any(len(values) != HOURS for _, values in rows):
        raise ValueError(f"a row has {HOURS} hours")
    import numpy as np
    from matplotlib import colormaps

    height = HEAD_IN + ROW_IN * len(rows)
    shares = np.array(
        [[np.nan if value is None else 100 * min(1.0, value) for value in row] for _, row in rows]
    )
    colours = colormaps["cividis" if bad_is_low else "Blues"].with_extremes(bad="#FFFFFF")
    with sheet(height_in=height) as (figure, (axes,)):
        drawn = axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=100)
        axes.grid(visible=False)
        axes.set_yticks([row + 0.5 for row in range(len(rows))], [told for told, _ in rows])
        axes.set_xticks([24 * day + 12 for day in range(7)], DAYS)
        axes.tick_params(length=0)
        for day in range(1, 7):
            axes.axvline(24 * day, color="white", linewidth=1.2)
        axes.invert_yaxis()
        bar = figure.colorbar(drawn, ax=axes, location="bottom", aspect=50, label=label)
        bar.set_ticks([0, 25, 50, 75, 100], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    told = " ".join(_words(each, bad_is_low=bad_is_low) for each in rows)
    return Picture(name, title, f"{label}. {told}", figure)


def _words(row: Row, *, bad_is_low: bool) -> str:
    known = [(value, hour) for hour, value in enumerate(row[1]) if value is not None]
    if not known:
        return f"{row[0]}: nothing."
    low, high = min(known), max(known, key=lambda each: (each[0], -each[1]))
    worst = low if bad_is_low else high
    when = f"{DAYS[worst[1] // 24]} {worst[1] % 24:02}:00"
    return f"{row[0]}: {percent(low[0])} to {percent(high[0])}, worst on {when}."
