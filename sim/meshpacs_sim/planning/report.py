"""The answer as files: a page, tables as CSV, and the plan with all its defaults."""

import csv
import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from html import escape
from pathlib import Path

import meshpacs
from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import form, page, toml
from meshpacs_sim.pictures.heat import Row, week
from meshpacs_sim.pictures.sheet import Picture
from meshpacs_sim.planning import tables
from meshpacs_sim.planning.answer import Answer
from meshpacs_sim.planning.cautions import cautions_of
from meshpacs_sim.planning.course import Had
from meshpacs_sim.planning.hours import hour_name
from meshpacs_sim.planning.loads import ways
from meshpacs_sim.planning.reach import HOURS, open_share

PAGE, PLAN = "plan.html", "plan.toml"


def write(answer: Answer, out: Path) -> list[Path]:
    """Write everything into a folder; the same answer gives the same bytes.

    Raises:
        LocalFault: it cannot be written.
    """
    files = {
        PAGE: html_of(answer),
        PLAN: toml.text(form.dump(answer.plan)).encode(),
        "sites.csv": _csv(SITES, _sites(answer)),
        "hours.csv": _csv(HOURLY, _hours(answer)),
        "lines.csv": _csv(LINES, _lines(answer)),
        "transfers.csv": _csv(TRANSFERS, _transfers(answer)),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise LocalFault(f"{out} cannot be written: {error}.", "Name another --out.") from error
    return [out / name for name in files]


def html_of(answer: Answer) -> bytes:
    """The page."""
    plan, planned = answer.plan, answer.planned
    pictures = "".join(page.figure(each.title, each.inline()) for each in pictures_of(answer))
    more = "".join(
        page.table(table(answer, other))
        for other in answer.variants[1:]
        for table in (tables.lines, tables.waits)
    )
    sections = [
        ("had", "How often a prior can be had", page.table(tables.by_site(answer))),
        ("help", "What would help", page.table(tables.helped(answer))),
        ("week", "Hour by hour", pictures),
        ("alone", "Out of reach", page.table(tables.alone(answer))),
        (
            "lines",
            "Lines",
            page.table(tables.lines(answer, planned))
            + page.table(tables.waits(answer, planned))
            + page.folded("Lines with what would help", more),
        ),
        ("how", "Measured and modelled", page.listed(tables.how(answer))),
        ("plan", "The plan", page.verbatim(toml.text(form.dump(plan)))),
    ]
    opening = page.listed(tables.in_short(answer)) + _cautions(cautions_of(answer))
    closing = page.paragraphs(
        f"Made by meshpacs-sim {meshpacs.__version__} with seed {plan.seed}. Nothing here is loaded"
        " from elsewhere."
    )
    return page.page(plan.name, sections, opening, closing)


def _cautions(cautions: Sequence[str]) -> str:
    if not cautions:
        return ""
    return (
        '<section class="cautions" aria-labelledby="cautions">\n'
        f'<h2 id="cautions">{escape("Look out")}</h2>\n{page.listed(cautions)}</section>\n'
    )


def pictures_of(answer: Answer) -> list[Picture]:
    """What can be had when, and how full lines are."""
    plan, planned = answer.plan, answer.planned
    reach = answer.reach(planned)
    had: list[Row] = []
    for number, site in enumerate(plan.site):
        hourly = reach.hourly(number)
        seen = [
            None if share is None or not open_share(planned.together, number, hour) else share
            for hour, share in enumerate(hourly)
        ]
        had.append((site.name, [None if share is None else float(share) for share in seen]))
    up: list[Row] = [
        (plan.site[way.site].name, [float(way.share(hour)) for hour in range(HOURS)])
        for way in ways(answer, planned)
        if way.up
    ]
    return [
        week(
            "had",
            "What of the priors made elsewhere each site can have, while it is open itself",
            had,
            f"share of studies, by {plan.site[0].name}'s clock; white: closed",
            bad_is_low=True,
        ),
        week(
            "uploads",
            "How full each site's upload is",
            up,
            f"share of the line's width, by {plan.site[0].name}'s clock",
            bad_is_low=False,
        ),
    ]


# ---------------------------------------------------------------- CSV

SITES = ("variant", "copies", "site", "priors_from_elsewhere", "at_once", "later_that_day", "not")
HOURLY = ("site", "hour", "name", "open", "reachable", "looked_up", "at_once", "later_that_day")
LINES = (
    "variant",
    "site",
    "way",
    "hour",
    "name",
    "question_bytes",
    "upkeep_bytes",
    "fetched_bytes",
    "copied_bytes",
    "share_of_width",
)
TRANSFERS = ("variant", "repeat", "kind", "from", "to", "bytes", "began_minute", "through_minute")


def _sites(answer: Answer) -> Iterable[Sequence[object]]:
    for variant in answer.variants:
        for number, site in enumerate(answer.plan.site):
            counts = [
                sum(course.share(had, number)[0] for course in variant.courses) for had in Had
            ]
            yield variant.name, variant.copies, site.name, sum(counts), *counts


def _hours(answer: Answer) -> Iterable[Sequence[object]]:
    planned = answer.planned
    reach = answer.reach(planned)
    counted = [[[0] * len(Had) for _ in range(HOURS)] for _ in answer.plan.site]
    for course in planned.courses:
        for each in course.outcomes:
            if each.abroad:
                hour = each.question.when // 3_600_000_000 % HOURS
                counted[each.question.site][hour][each.had] += 1
    for number, site in enumerate(answer.plan.site):
        for hour, share in enumerate(reach.hourly(number)):
            counts = counted[number][hour]
            yield (
                site.name,
                hour,
                hour_name(hour),
                _number(open_share(planned.together, number, hour)),
                "" if share is None else _number(share),
                sum(counts),
                *counts[: Had.NOT],
            )


def _lines(answer: Answer) -> Iterable[Sequence[object]]:
    for variant in answer.variants:
        for way in ways(answer, variant):
            name = answer.plan.site[way.site].name
            for hour, load in enumerate(way.hours):
                parts = (load.asked, load.upkeep, load.fetched, load.copied)
                yield (
                    variant.name,
                    name,
                    "up" if way.up else "down",
                    hour,
                    hour_name(hour),
                    *(round(part) for part in parts),
                    _number(way.share(hour)),
                )


def _transfers(answer: Answer) -> Iterable[Sequence[object]]:
    names = [site.name for site in answer.plan.site]
    for variant in answer.variants:
        for repeat, course in enumerate(variant.courses):
            for each in course.lines.transfers:
                yield (
                    variant.name,
                    repeat,
                    "copy" if each.rank else "fetch",
                    names[each.src],
                    names[each.dst],
                    each.size_bytes,
                    each.born,
                    each.done if each.done >= 0 else "",
                )


def _number(value: Fraction) -> str:
    return f"{float(value):.6f}"


def _csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return held.getvalue().encode()
