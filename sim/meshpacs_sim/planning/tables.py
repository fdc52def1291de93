"""The answer in plain words and tables, the same for a terminal and for a page."""

from collections.abc import Sequence
from fractions import Fraction

from meshpacs_sim.lab.page import Table
from meshpacs_sim.pictures.numerals import NOTHING, percent, plain, with_interval
from meshpacs_sim.planning.answer import Answer, Variant
from meshpacs_sim.planning.course import Had
from meshpacs_sim.planning.hours import hour_name
from meshpacs_sim.planning.loads import BEHIND, Waits, Way, copies_from, fetches_to, ways
from meshpacs_sim.planning.reach import HOURS, longest_closed, open_share
from meshpacs_sim.statistics.intervals import Estimate

NIGHT = (*range(6), 22, 23)
"""Hours of a day."""

NOTICED_MBIT = 0.05
"""More on a line than this is told. A guess."""

HALF, MOST = Fraction(1, 2), Fraction(19, 20)


def in_short(answer: Answer) -> list[str]:
    """The answer in sentences: as planned, then what would help."""
    planned = answer.planned
    asked = [course.share(Had.AT_ONCE)[1] for course in answer.planned.courses]
    if not any(asked):
        return ["Nobody looked up a prior that was made at another site."]
    a_run = plain(sum(asked) / len(asked))
    once, later, never = (_percent(planned.share(had)) for had in Had)
    whole = (
        f"Of the {a_run} priors that are looked up in {answer.plan.days} days and were made at"
        f" another site, {once} can be had at once, {later} later on the same day, and {never} not"
        " on that day."
    )
    return [whole, *(_helped(answer, variant) for variant in answer.variants[1:])]


def _helped(answer: Answer, variant: Variant) -> str:
    before, after = (_percent(each.share(Had.AT_ONCE)) for each in (answer.planned, variant))
    way, more = _most_more(answer, variant)
    line = "no line carries noticeably more"
    if more > NOTICED_MBIT:
        does = "sends" if way.up else "receives"
        line = (
            f"{answer.plan.site[way.site].name} {does} {plain(more)} Mbit/s more in its busiest "
            f"hour, {percent(float(way.share(way.fullest)))} of its line"
        )
    return f"With {variant.name}: {after} at once instead of {before}; {line}."


def _most_more(answer: Answer, variant: Variant) -> tuple[Way, float]:
    """The way of which a variant takes most more of the width, and how many Mbit/s."""
    pairs = list(zip(ways(answer, answer.planned), ways(answer, variant), strict=True))
    before, after = max(
        pairs, key=lambda pair: pair[1].share(pair[1].fullest) - pair[0].share(pair[0].fullest)
    )
    return after, after.busiest_mbit() - before.busiest_mbit()


def by_site(answer: Answer) -> Table:
    """How often a prior can be had at each site."""
    planned = answer.planned
    reach = answer.reach(planned)
    rows = []
    for number, site in enumerate(answer.plan.site):
        asked = sum(course.share(Had.AT_ONCE, number)[1] for course in planned.courses)
        rows.append(
            [
                site.name,
                plain(asked / len(planned.courses)),
                *(_cell(planned.share(had, number)) for had in Had),
                _worst(answer, number, reach.hourly(number)),
            ]
        )
    asked = sum(course.share(Had.AT_ONCE)[1] for course in planned.courses)
    whole = (_cell(planned.share(had)) for had in Had)
    rows.append(["all sites", plain(asked / len(planned.courses)), *whole, ""])
    heads = ["", "looked up", "at once", "later that day", "not that day", "worst while open"]
    return Table("Priors that were made at another site", heads, rows)


def _worst(answer: Answer, site: int, hourly: Sequence[Fraction | None]) -> str:
    together = answer.planned.together
    known = [
        (share, hour)
        for hour, share in enumerate(hourly)
        if share is not None and open_share(together, site, hour)
    ]
    if not known:
        return NOTHING
    share, hour = min(known)
    alike = sum(other == share for other, _ in known)
    local = hour_name((hour + answer.plan.ahead(site) // 60) % HOURS)
    more = f" and {plain(alike - 1)} other hours" if alike > 1 else ""
    return f"{percent(float(share))}\n{local}{more}"


def helped(answer: Answer) -> Table:
    """What each variant gives, and what it costs."""
    rows = []
    for variant in answer.variants:
        once, later, never = (variant.share(had) for had in Had)
        better = "" if variant is answer.planned else _points(variant, answer.planned)
        full = max(ways(answer, variant), key=lambda way: way.share(way.fullest))
        rest = f"{_percent(later)} / {_percent(never)}"
        behind = _behind(answer, variant)
        rows.append([variant.name, _cell(once), better, rest, _fullest(answer, full), behind])
    heads = [
        "",
        "at once",
        "points more",
        "later / not that day",
        "fullest line",
        f"copies {BEHIND // 60} h behind",
    ]
    return Table("What would help: the same patients, questions and lines", heads, rows)


def _behind(answer: Answer, variant: Variant) -> str:
    """The share of copies that lines have kept."""
    sent = [copies_from(variant, site) for site in range(len(answer.plan.site))]
    count = sum(each.count for each in sent)
    return percent(sum(each.behind for each in sent) / count) if count else NOTHING


def _fullest(answer: Answer, way: Way) -> str:
    name, does = answer.plan.site[way.site].name, "up" if way.up else "down"
    return f"{name} {does}\n{percent(float(way.share(way.fullest)))}, {hour_name(way.fullest)}"


def _points(variant: Variant, planned: Variant) -> str:
    paired = variant.against(planned)
    if paired is None:
        return NOTHING
    told = paired.difference
    points = Estimate(100 * told.value, 100 * told.low, 100 * told.high, told.n)
    return _under(plain(points.value), with_interval(points))


def alone(answer: Answer) -> Table:
    """What lies at one site only, and when nobody can have it."""
    plan, planned = answer.plan, answer.planned
    reach, rows = answer.reach(planned), []
    for number, site in enumerate(plan.site):
        hidden = reach.hidden(number)
        night = [hidden[hour] for hour in range(HOURS) if hour % 24 in NIGHT]
        pause = longest_closed(planned.together, number)
        rows.append(
            [
                site.name,
                plain(site.rate * plan.archive_days),
                percent(float(reach.alone(number))),
                percent(float(sum(hidden) / HOURS)),
                percent(float(sum(night) / len(night))),
                _minutes(pause) if pause else "never closed",
            ]
        )
    heads = [
        "made at",
        "studies kept",
        "kept nowhere else",
        "out of reach, all week",
        "at night (22 to 6)",
        "longest closed",
    ]
    return Table("What nobody can have while sites are closed", heads, rows)


def lines(answer: Answer, variant: Variant) -> Table:
    """What each line carries."""
    rows = []
    for way in ways(answer, variant):
        messages = 1000 * (way.mean_mbit("asked") + way.mean_mbit("upkeep"))
        images = (way.mean_mbit(), way.mean_mbit("fetched"), way.mean_mbit("copied"))
        share = percent(float(way.share(way.fullest)))
        rows.append(
            [
                f"{answer.plan.site[way.site].name} {'up' if way.up else 'down'}",
                plain(way.mbit),
                *map(_mbit, images),
                _mbit(messages),
                f"{_mbit(way.busiest_mbit())} ({share})\n{hour_name(way.fullest)}",
                plain(float(way.full)),
            ]
        )
    heads = [
        "Mbit/s while open",
        "width",
        "carried",
        "fetched",
        "copies",
        "messages (kbit/s)",
        "busiest hour",
        "hours > 80 %",
    ]
    return Table(f"What lines carry, {variant.name}", heads, rows)


def waits(answer: Answer, variant: Variant) -> Table:
    """How long copies and fetched images take."""
    rows = []
    for number, site in enumerate(answer.plan.site):
        for does, told in (
            ("fetches", fetches_to(variant, number)),
            ("sends copies", copies_from(variant, number)),
        ):
            if told.count:
                rows.append([f"{site.name} {does}", *_waited(told, len(answer.works))])
    heads = ["", "studies", "half within", "19 of 20 within", "slowest", "not through at the end"]
    return Table(f"How long images take, {variant.name}", heads, rows)


def _waited(told: Waits, runs: int) -> list[str]:
    half, most = (told.within(share) for share in (HALF, MOST))
    slowest = _minutes(told.done[-1]) if told.done else NOTHING
    left = plain(told.under_way / runs)
    if told.under_way:
        left += f"\n{plain(told.left_bytes / runs / 1e9)} GB"
    return [plain(told.count / runs), _reached(half), _reached(most), slowest, left]


def how(answer: Answer) -> list[str]:
    """What was measured, and what was modelled."""
    alike, of = answer.compared
    plan, engine = answer.plan, answer.engine
    took = sorted(engine.took_us)
    median = f", half of them within {plain(took[len(took) // 2] / 1000)} ms" if took else ""
    asked = "all repetitions and variants" if answer.thorough else "the first repetition"
    rest = (
        "nothing was taken from opening hours."
        if answer.thorough
        else "so in all other repetitions and variants whoever is open answers (--thorough asks"
        " the program there, too)."
    )
    measured = (
        f"Measured: questions of {asked} were put to the very program that clinics run, message for"
        f" message, with machines that are on while sites are open, and with these lines"
        f" ({plain(engine.events)} events in the first{median}). Its answers were those that"
        f" opening hours alone give for {plain(alike)} of {plain(of)} questions; {rest}"
    )
    modelled = (
        "Modelled: images. They flow over the lines in whole minutes, limited by the sender's"
        " upload and the receiver's download, fetches before copies, the earliest first; only"
        " while both sites are open. The program takes a study from several holders at once, and"
        " would often be quicker. What was fetched does not count as a copy."
    )
    drawn = (
        "Drawn: studies and questions, as busy as the hour and the weekday; sizes by modality,"
        " without compression (docs/SIMULATOR.md, Workloads). All variants are asked the same."
    )
    intervals = (
        f"Intervals are of 95 % and come from {plan.repeats} repetitions of {plan.days} days. Hours"
        f" of the week are by {plan.site[0].name}'s clock, but those of “worst while open” by the"
        " site's own."
    )
    return [measured, modelled, drawn, intervals]


# ---------------------------------------------------------------- cells


def _percent(estimate: Estimate | None) -> str:
    return NOTHING if estimate is None else percent(estimate.value)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOTHING
    return _under(percent(estimate.value), with_interval(estimate, share=True))


def _under(value: str, told: str) -> str:
    """A value, and on a line below its ends, if any are told."""
    found = told.partition(" (")[2].rstrip(")")
    return f"{value}\n{found}" if found else value


def _mbit(value: float) -> str:
    return plain(value, 2)


def _reached(minutes: int | None) -> str:
    return "not reached" if minutes is None else _minutes(minutes)


def _minutes(minutes: int) -> str:
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 2880:
        return f"{plain(minutes / 60, 2)} h"
    return f"{plain(minutes / 1440, 2)} days"
