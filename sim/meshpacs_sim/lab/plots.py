"""The pictures of a folder of results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab.groups import Gathered, Group
from meshpacs_sim.lab.plots_time import courses_of
from meshpacs_sim.lab.summaries import MILLISECOND_US, ByCopies, Summary, summary_of
from meshpacs_sim.pictures.beside import Column, Marks, beside
from meshpacs_sim.pictures.curves import Axis, Curve, curves
from meshpacs_sim.pictures.curves import Panel as CurvePanel
from meshpacs_sim.pictures.distributions import Observed, cumulative, lorenz
from meshpacs_sim.pictures.sheet import SERIES, Picture
from meshpacs_sim.pictures.tradeoff import Panel, Way, tradeoff
from meshpacs_sim.statistics.intervals import Estimate

Form = Literal["svg", "png"]

PANELS = 4
"""Panels of one picture, at most: what fits on a page."""

SWEPT = (
    ("retrievable", "queries after which a copy could be had", "found"),
    ("messages", "messages per query", "messages"),
    ("latency_p50_ms", "milliseconds to the first copy, median", "latency"),
    ("received_max", "messages of the busiest node for 1,000 queries", "busiest"),
)
"""What is drawn over a swept number: measure, axis, file."""


def plot(results: Path, out: Path, form: Form = "svg", only: Sequence[str] = ()) -> list[Path]:
    """Draw the pictures of a folder that `run` or `sweep` has written, each into its own file.

    The same results give the same bytes.

    Args:
        results: the folder.
        out: the folder for the files.
        form: of the files.
        only: names of pictures; all if there is none.

    Raises:
        LocalFault: there are no results, no such picture, or a file cannot be written.
        Damaged: a table cannot be read.
    """
    gathered = Gathered.load(results)
    drawn = list(pictures_of(gathered, [summary_of(group) for group in gathered.groups]))
    names = [picture.name for picture in drawn]
    for name in only:
        if name not in names:
            there = f"Of these there are: {', '.join(names)}." if names else ""
            raise LocalFault(f"{results} has no picture {name!r}.", there)
    files = []
    for picture in drawn:
        if not only or picture.name in only:
            file = out / f"{picture.name}.{form}"
            try:
                out.mkdir(parents=True, exist_ok=True)
                file.write_bytes(picture.svg() if form == "svg" else picture.png())
            except OSError as error:
                fault = f"{file} cannot be written: {error}."
                raise LocalFault(fault, "Name another --out.") from error
            files.append(file)
    return files


def pictures_of(gathered: Gathered, summaries: Sequence[Summary]) -> Iterator[Picture]:
    """Everything that these results have something for, the most telling first."""
    yield from _tradeoffs(summaries)
    yield from _by_copies(summaries)
    yield from _sweeps(summaries)
    yield from _distributions(gathered.groups)
    yield from _loads(gathered.groups)
    yield from courses_of(gathered.groups)


# ---------------------------------------------------------------- what is found


def _tradeoffs(summaries: Sequence[Summary]) -> Iterator[Picture]:
    places: dict[str, list[Way]] = {}
    for summary in summaries:
        way = _way(summary, summary.estimate("retrievable"), summary.estimate("discovered"))
        if way is not None:
            places.setdefault(summary.group.place, []).append(way)
    if len(places) == 1 and len(summaries) > 1:
        yield from _by_rarity(summaries)
    panels = [Panel(place, ways[:SERIES]) for place, ways in places.items()]
    for first in range(0, len(panels), PANELS):
        number = f"-{first // PANELS + 1}" if len(panels) > PANELS else ""
        here = panels[first : first + PANELS]
        yield tradeoff(here, f"tradeoff{number}", confidence=_sure(summaries))


def _by_rarity(summaries: Sequence[Summary]) -> Iterator[Picture]:
    """Content with the fewest and with the most copies, if there are several: what is found, what
    that costs, and what it costs while nobody asks.
    """
    copies = sorted({row.copies for summary in summaries for row in summary.by_copies})
    if len(copies) < 2 or len(summaries) > SERIES:
        return
    ends = (copies[0], copies[-1])
    told: list[tuple[Summary, list[ByCopies], list[Estimate]]] = []
    for summary in summaries:
        rows = [row for row in summary.by_copies if row.copies in ends]
        costs = [row.messages for row in rows if row.messages]
        if len(costs) == len(ends):
            told.append((summary, rows, costs))
    if not told:
        return
    # The dearest way to look for what is rare stands on top.
    told.sort(key=lambda each: -each[2][0].value)
    found, cost = [], []
    for at, count in enumerate(ends):
        kind = f"{count} {'copy' if count == 1 else 'copies'}"
        had = [rows[at].retrievable for _, rows, _ in told]
        known = [rows[at].discovered for _, rows, _ in told]
        found.append(Marks(kind, had))
        if had != known:
            found.append(Marks(f"{kind}: a holder known, online or not", known, hollow=True))
        cost.append(Marks(kind, [costs[at] for _, _, costs in told]))
    columns = [
        Column("queries that\nfound a copy", found, share=True),
        Column("messages per query,\nof all nodes", cost),
    ]
    upkeep = [each for summary, _, _ in told if (each := summary.estimate("upkeep"))]
    if len(upkeep) == len(told):
        columns.append(Column("upkeep: messages per\nnode and hour", [Marks("", upkeep)]))
    names = [summary.group.search for summary, _, _ in told]
    yield beside("rare-and-popular", "Rare and popular content", names, columns)


def _sure(summaries: Sequence[Summary]) -> float:
    return summaries[0].group.scenario.measure.confidence


def _way(summary: Summary, retrievable: Estimate | None, discovered: Estimate | None) -> Way | None:
    messages = summary.estimate("messages")
    if messages is None or retrievable is None or discovered is None:
        return None
    return Way(summary.group.search, messages, retrievable, discovered)


def _by_copies(summaries: Sequence[Summary]) -> Iterator[Picture]:
    if not any(len(summary.by_copies) > 1 for summary in summaries):
        return
    apart = any(row.discovered != row.retrievable for each in summaries for row in each.by_copies)
    told = {id(summary.group): summary.by_copies for summary in summaries}
    panels = []
    for title, named in _together([summary.group for summary in summaries]):
        series = []
        for name, group in named[: SERIES // 2]:
            rows = told[id(group)]
            had = f"{name}: could be had" if apart else name
            series.append(_over(had, rows, [row.retrievable for row in rows]))
            if apart:
                discovered = [row.discovered for row in rows]
                series.append(_over(f"{name}: discovered", rows, discovered, hollow=True))
        panels.append(CurvePanel(title, series))
    yield curves(
        "copies",
        "Success by number of copies",
        panels,
        Axis("copies of what is looked for, online or not", logarithmic=True),
        Axis("queries" if apart else "queries that found a copy", share=True),
    )


def _together(groups: Sequence[Group]) -> list[tuple[str, list[tuple[str, Group]]]]:
    """Panels of (title, series of (name, group)): a panel for each place, a series for each way to
    search; or all in one, where there is one way alone. Of many places the first, the last, and
    some between.
    """
    places: dict[str, list[tuple[str, Group]]] = {}
    for group in groups:
        places.setdefault(group.place, []).append((group.search, group))
    if all(len(series) == 1 for series in places.values()):
        return [("", [(group.name, group) for group in groups[:SERIES]])]
    panels = [(title, series[:SERIES]) for title, series in places.items()]
    last = len(panels) - 1
    some = sorted({last * step // (PANELS - 1) for step in range(PANELS)})
    return panels if last < PANELS else [panels[at] for at in some]


def _over(
    name: str, rows: Sequence[ByCopies], values: Sequence[Estimate], *, hollow: bool = False
) -> Curve:
    return Curve(name, [row.copies for row in rows], values, hollow)


# ---------------------------------------------------------------- over a swept number


@dataclass(frozen=True, slots=True)
class _Swept:
    key: str
    values: tuple[float, ...]


def _sweeps(summaries: Sequence[Summary]) -> Iterator[Picture]:
    swept = _swept(summaries)
    if swept is None:
        return
    for measure, label, file in SWEPT:
        series: dict[str, list[tuple[float, Estimate]]] = {}
        for summary in summaries:
            estimate = summary.estimate(measure)
            if estimate is not None:
                rest = summary.group.name_without(swept.key)
                at = float(summary.group.values[swept.key])
                series.setdefault(rest, []).append((at, estimate))
        if not series or len(series) > SERIES:
            continue
        steep = swept.values[0] > 0 and swept.values[-1] >= 10 * swept.values[0]
        lines = []
        for name, points in series.items():
            points.sort(key=lambda point: point[0])
            lines.append(Curve(name, [at for at, _ in points], [told for _, told in points]))
        words = swept.key.rsplit(".", 1)[-1].replace("_", " ")
        share = summaries[0].findings[measure].share
        values = [told.value for line in lines for told in line.y]
        wide = min(values) > 0 and max(values) >= 10 * min(values)
        yield curves(
            f"by-{words.replace(' ', '-')}-{file}",
            f"{label[0].upper()}{label[1:]}, by {words}",
            [CurvePanel("", lines)],
            Axis(f"{words} ({swept.key})", logarithmic=steep),
            Axis(label, logarithmic=wide and not share, share=share),
        )


def _swept(summaries: Sequence[Summary]) -> _Swept | None:
    """The swept key that has a number everywhere, and the most of them."""
    best: _Swept | None = None
    for key in summaries[0].group.values:
        values = [summary.group.values.get(key) for summary in summaries]
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
            numbers = tuple(sorted({float(each) for each in values if each is not None}))
            if len(numbers) > 1 and (best is None or len(numbers) > len(best.values)):
                best = _Swept(key, numbers)
    return best


# ---------------------------------------------------------------- distributions


def _distributions(groups: Sequence[Group]) -> Iterator[Picture]:
    for name, column, title, label, unit in (
        ("latency", "latency_us", "Time to the first copy", LATENCY, MILLISECOND_US),
        ("hops", "hops", "Hops to the first copy", "hops from the asker to the first copy", 1),
    ):
        panels = [
            (place, [_observed(each, group, column, unit) for each, group in named])
            for place, named in _together(groups)
        ]
        held = [each.values for _, series in panels for each in series if len(each.values)]
        if held:
            far = max(np.max(each) for each in held) >= WIDE * min(np.min(each) for each in held)
            yield cumulative(name, title, panels, label, logarithmic=unit > 1 or bool(far))


WIDE = 50
"""From one number to so many times it: a logarithmic axis shows more. A guess."""

LATENCY = "milliseconds until the asker knew of a copy"


def _observed(name: str, group: Group, column: str, unit: int) -> Observed:
    values = np.concatenate([run.found(column) for run in group.runs]) / unit
    return Observed(name, values, sum(int(run.counted.sum()) for run in group.runs))


def _loads(groups: Sequence[Group]) -> Iterator[Picture]:
    panels: list[tuple[str, list[tuple[str, Any]]]] = []
    for place, named in _together(groups):
        loads = [(name, group.runs[0].load("received")) for name, group in named]
        told = [(name, load) for name, load in loads if load is not None]
        if told:
            panels.append((place, told))
    if panels:
        yield lorenz("load", "Who bears the load", panels, "share of all messages received")
