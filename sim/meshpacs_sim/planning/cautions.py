"""What an administrator should know before anything else: full lines, late copies, closed doors."""

from collections.abc import Iterator
from fractions import Fraction

from meshpacs_sim.pictures.numerals import percent, plain
from meshpacs_sim.planning.answer import Answer
from meshpacs_sim.planning.course import Had
from meshpacs_sim.planning.hours import hour_name
from meshpacs_sim.planning.loads import FULL, copies_from, ways

FEW = 100
"""Priors from elsewhere, of all repetitions, below which shares say little. A guess."""

LATE = Fraction(1, 100)
"""Of copies, the share that may take more than a day without a word. A guess."""


def cautions_of(answer: Answer) -> list[str]:
    """Each a sentence or two."""
    return [*_hours(answer), *_lines(answer), *_copies(answer), *_trust(answer)]


def _hours(answer: Answer) -> Iterator[str]:
    plan, together = answer.plan, answer.planned.together
    for number, site in enumerate(plan.site):
        if not together.sites[number]:
            yield f"{site.name} is never open: what was made there cannot be had."
            continue
        met = together.meeting(number)
        apart = [
            other.name
            for at, other in enumerate(plan.site)
            if at > number and not met >> at & 1 and together.sites[at]
        ]
        if apart:
            yield (
                f"{site.name} is never open at the same time as {', '.join(apart)}: no question "
                "and no copy goes between them."
            )


def _lines(answer: Answer) -> Iterator[str]:
    for way in ways(answer, answer.planned):
        if way.full:
            name, does = answer.plan.site[way.site].name, "upload" if way.up else "download"
            yield (
                f"{name}'s {does} of {plain(way.mbit)} Mbit/s is more than {percent(float(FULL))} "
                f"full in {plain(float(way.full))} hours a week; the fullest is "
                f"{hour_name(way.fullest)} ({percent(float(way.share(way.fullest)))} on average)."
            )


def _copies(answer: Answer) -> Iterator[str]:
    for number, site in enumerate(answer.plan.site):
        waits = copies_from(answer.planned, number)
        if waits.late > LATE * waits.count:
            left = waits.left_bytes / len(answer.works) / 1e9
            yield (
                f"Copies from {site.name} fall behind: {percent(waits.late / waits.count)} of them "
                f"took more than a day, or had not arrived after one; {plain(left)} GB were still "
                "to be sent at the end."
            )


def _trust(answer: Answer) -> Iterator[str]:
    alike, of = answer.compared
    asked = sum(course.share(Had.AT_ONCE)[1] for course in answer.planned.courses)
    if asked < FEW:
        yield (
            f"Only {asked} priors from elsewhere were looked up in all repetitions: shares of so "
            "few say little. Raise `repeats`."
        )
    if alike < of * (1 - LATE):
        yield (
            f"In the first repetition the engine answered {plain(of - alike)} of {plain(of)} "
            "questions otherwise than opening hours say. Ask again with --thorough."
        )
    if answer.engine.refused:
        yield (
            f"{plain(answer.engine.refused)} questions of the first repetition were not let out, "
            "because a node may ask only so often, or was off (PROTOCOL 4.6)."
        )
