"""What the clinics of a plan do: studies are made, priors are looked up.

Everything is drawn for itself by the seed, the site and a number, whatever copies, hours and lines
are later tried with it (common random numbers).
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import Micros
from meshpacs_sim.planning.hours import DAY, MINUTE_US, WEEK
from meshpacs_sim.planning.plan import Plan
from meshpacs_sim.world import workloads
from meshpacs_sim.world.modalities import CODES, MODALITIES
from meshpacs_sim.world.quantiles import SCALE, exponential, lognormal, pick
from meshpacs_sim.world.workloads import OFFICE


class Study(NamedTuple):
    """One study, wherever it is kept."""

    number: int
    when: Micros
    """Negative if it was there before."""
    site: int
    """Where it was made."""
    modality: int
    instances: int
    size_bytes: int
    order: tuple[int, ...]
    """All other sites, in the order in which they would be given copies."""


class Question(NamedTuple):
    """Somebody looks up a prior."""

    number: int
    when: Micros
    site: int
    study: Study


class Work:
    """One drawing of all studies and questions of a plan."""

    def __init__(self, plan: Plan, repeat: int) -> None:
        """Draw them; `repeat` is which of the plan's repetitions this is."""
        self.plan = plan
        self.seed = draw(plan.seed, repeat, _REPEAT, 0) >> 1
        self._mixes = [_mix(plan, site) for site in range(len(plan.site))]
        busy = [_busy(plan, site) for site in range(len(plan.site))]
        made = [
            self._study(site, _NEW + turn, when)
            for site, each in enumerate(plan.site)
            for turn, when in self._stream(site, _STUDIES, each.rate, busy[site])
        ]
        self.studies = sorted(made, key=lambda study: (study.when, study.number))
        """New ones, in the order of time."""
        self._new: list[list[Study]] = [[] for _ in plan.site]
        for study in self.studies:
            self._new[study.site].append(study)
        asked = [
            self._question(site, turn, when)
            for site, each in enumerate(plan.site)
            for turn, when in self._stream(site, _QUESTIONS, each.questions_a_day, busy[site])
        ]
        self.questions = sorted(asked, key=lambda each: (each.when, each.number))

    def old(self, site: int, turn: int) -> Study:
        """The study with this number of those that a site made before."""
        return self._study(site, turn, -1)

    def _stream(
        self, site: int, stream: int, a_day: int, busy: tuple[list[int], int]
    ) -> Iterator[tuple[int, Micros]]:
        """A Poisson process that goes as fast as the site is busy."""
        running, most = busy
        if not a_day or not running[-1]:
            return
        gaps, place, turn = exponential(), 0, 0
        while True:
            gap = gaps[pick(draw(self.seed, site, stream, 2 * turn))]
            place += max(1, gap * most // (a_day * SCALE))
            if place >= running[-1]:
                return
            minute = bisect_right(running, place)
            within = draw(self.seed, site, stream, 2 * turn + 1) * MINUTE_US >> 64
            yield turn, minute * MINUTE_US + within
            turn += 1

    def _study(self, site: int, turn: int, when: Micros) -> Study:
        number = (site << _SITE) + turn
        mix = self._mixes[site]
        kind = bisect_right(mix, self._below(number, _STUDY, 0, mix[-1]))
        modality, slot = MODALITIES[kind], pick(draw(self.seed, number, _STUDY, 1))
        instances = max(1, lognormal(modality.instances * 16, modality.spread_percent)[slot] // 16)
        return Study(
            number,
            when,
            site,
            kind,
            instances,
            instances * modality.instance_bytes,
            self._order(number, site),
        )

    def _order(self, number: int, site: int) -> tuple[int, ...]:
        sites = self.plan.site
        others = [other for other in range(len(sites)) if other != site]
        for at in range(len(others) - 1):
            other = at + self._below(number, _ORDER, at, len(others) - at)
            others[at], others[other] = others[other], others[at]
        # Sorting keeps the order of all but the partner.
        others.sort(key=lambda other: sites[other].name != sites[site].partner)
        return tuple(others)

    def _question(self, site: int, turn: int, when: Micros) -> Question:
        number = (site << _SITE) + turn
        plan = self.plan
        maker = site
        others = [0 if other == site else each.rate for other, each in enumerate(plan.site)]
        away = self._below(number, _QUESTION, 0, 100) < plan.elsewhere_percent
        if any(others) and (away or not plan.site[site].rate):
            running = list(accumulate(others))
            maker = bisect_right(running, self._below(number, _QUESTION, 1, running[-1]))
        so_far = bisect_right(self._new[maker], when, key=lambda study: study.when)
        if so_far and self._below(number, _QUESTION, 2, 100) < plan.recent_percent:
            study = self._new[maker][self._below(number, _QUESTION, 3, so_far)]
        else:
            before = plan.archive_days * plan.site[maker].rate
            study = self.old(maker, self._below(number, _QUESTION, 4, before))
        return Question(number, when, site, study)

    def fetched(self, question: Question) -> bool:
        """Whether the images of a prior found elsewhere are wanted, too."""
        return self._below(question.number, _QUESTION, 5, 100) < self.plan.fetched_percent

    def _below(self, number: int, purpose: int, counter: int, bound: int) -> int:
        return draw(self.seed, number, purpose, counter) * bound >> 64


def _mix(plan: Plan, site: int) -> list[int]:
    """Running sums of how often each modality comes."""
    told = plan.site[site].studies_a_day
    shares = [modality.per_mille for modality in MODALITIES]
    if isinstance(told, dict) and any(told.values()):
        shares = [told.get(code, 0) for code in CODES]
    return list(accumulate(shares))


def _busy(plan: Plan, site: int) -> tuple[list[int], int]:
    """How busy a site has been up to each minute, and on its busiest day of a week."""
    open_at, ahead = plan.together, plan.ahead(site)
    week, days = [0] * WEEK, [0] * 8
    for start, end, mask in open_at.stretches(0, WEEK):
        if mask >> site & 1:
            for minute in range(start, end):
                local = (minute + ahead) % WEEK
                day, hour = local // DAY, local % DAY // 60
                week[minute] = OFFICE[hour] * workloads.WEEK[day]
                days[day] += week[minute]
    running = list(accumulate(week[minute % WEEK] for minute in range(plan.days * DAY)))
    return running, max(days)


_SITE = 40
"""Bits of a number below the site's."""

_NEW = 1 << 39
"""Numbers of a site's studies from here on are new ones'."""

_REPEAT = word(b"plan repeat")
_STUDIES, _QUESTIONS = word(b"plan studies"), word(b"plan questions")
_STUDY, _ORDER, _QUESTION = word(b"plan study"), word(b"plan order"), word(b"plan question")
