"""What an administrator should know before anything else: full lines, late copies, closed doors."""

from collections.abc import Iterator
from fractions import Fraction

from meshpacs_sim.pictures.numerals import percent, plain
from meshpacs_sim.planning.answer import Answer
from meshpacs_sim.planning.course import Had
from meshpacs_sim.planning.hours import hour_name
from meshpacs_sim.planning.loads import BEHIND, FULL, Waits, copies_from, ways

FEW = 100
"""Priors from elsewhere, of all repetitions, below which shares say little. A guess."""

OFTEN = 1
"""Hours a week in which a line may be nearly full without a word. A guess."""

SOME = Fraction(1, 100)
"""Of copies or questions, the share that may be otherwise without a word. A guess."""


def cautions_of(answer: Answer) -> list[str]:
    """Each a sentence or two."""
    return [*_hours(answer), *_lines(answer), *_copies(answer), *_trust(answer)]


def _hours(answer: Answer) -> Iterator[str]:
    sites, together = answer.plan.site, answer.planned.together
    for number, site in enumerate(sites):
        if not together.sites[number]:
            yield f"{site.name} is never open: what was made there cannot be had."
    apart = [
        f"{site.name} and {sites[other].name}"
        for number, site in enumerate(sites)
        for other in range(number + 1, len(sites))
        if together.sites[number] and together.sites[other]
        if not together.meeting(number) >> other & 1
    ]
    if apart:
        yield (
            "Never open at the same time, so that no question and no copy goes between them: "
            f"{'; '.join(apart)}. A copy at a third site, or a machine that stays on, helps."
        )


def _lines(answer: Answer) -> Iterator[str]:
    for way in ways(answer, answer.planned):
        if way.full >= OFTEN:
            name, does = answer.plan.site[way.site].name, "upload" if way.up else "download"
            yield (
                f"{name}'s {does} of {plain(way.mbit)} Mbit/s is more than {percent(float(FULL))} "
                f"full in {plain(float(way.full))} hours a week; the fullest is "
                f"{hour_name(way.fullest)} ({percent(float(way.share(way.fullest)))} on average)."
            )


def _copies(answer: Answer) -> Iterator[str]:
    for number, site in enumerate(answer.plan.site):
        waits = copies_from(answer.planned, number)
        if waits.behind > SOME * waits.count:
            left = waits.left_bytes / len(answer.works) / 1e9
            yield (
                f"Copies from {site.name} fall behind: lines kept {_share(waits)} of them for more "
                f"than {BEHIND // 60} hours in which both sites were open; {plain(left)} GB were "
                "still to be sent at the end."
            )


def _share(waits: Waits) -> str:
    return percent(waits.behind / waits.count)


def _trust(answer: Answer) -> Iterator[str]:
    alike, of = answer.compared
    asked = sum(course.share(Had.AT_ONCE)[1] for course in answer.planned.courses)
    if asked < FEW:
        yield (
            f"Only {asked} priors from elsewhere were looked up in all repetitions: shares of so "
            "few say little. Raise `repeats`."
        )
    if alike < of * (1 - SOME):
        yield (
            f"In the first repetition the engine answered {plain(of - alike)} of {plain(of)} "
            "questions otherwise than opening hours say. Ask again with --thorough."
        )
    if answer.engine.refused:
        yield (
            f"{plain(answer.engine.refused)} questions of the first repetition were not let out, "
            "because a node may ask only so often, or was off (PROTOCOL 4.6)."
        )
