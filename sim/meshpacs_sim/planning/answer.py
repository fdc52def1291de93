"""The whole answer: the plan as it stands and what would help, over all repetitions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshpacs_sim.planning.asked import Answering, ByEngine, ByHours, asked
from meshpacs_sim.planning.course import Course, Had, course_of
from meshpacs_sim.planning.hours import WEEK, Together, with_always
from meshpacs_sim.planning.kept import Kept
from meshpacs_sim.planning.plan import Plan
from meshpacs_sim.planning.reach import Reach
from meshpacs_sim.planning.work import Work
from meshpacs_sim.statistics.differences import Paired, difference_of
from meshpacs_sim.statistics.intervals import Estimate
from meshpacs_sim.statistics.replications import share_over

Progress = Callable[[int, int], None]
"""Told how many steps are done, of how many: an hour of the engine's, or one course."""


@dataclass(slots=True)
class Variant:
    """A way to do it, over all repetitions."""

    name: str
    copies: int
    together: Together
    courses: list[Course] = field(default_factory=list)

    def share(self, had: Had, site: int | None = None) -> Estimate | None:
        """Of the priors from elsewhere that were looked up, those of which this is true."""
        # In the order in which they were asked: of few repetitions neighbours are looked at, too.
        made = share_over([[each is had for each in run.had(site)] for run in self.courses])
        return None if made is None else made.estimate

    def against(self, other: "Variant") -> Paired | None:
        """By how much more often something could be had at once; None of too little."""
        pairs = []
        for mine, its in zip(self.courses, other.courses, strict=True):
            (hits, tries), (others, _) = mine.share(Had.AT_ONCE), its.share(Had.AT_ONCE)
            if tries:
                pairs.append((hits / tries, others / tries))
        if not pairs:
            return None
        return difference_of([mine for mine, _ in pairs], [its for _, its in pairs])


@dataclass(slots=True)
class Answer:
    """What is told of a plan."""

    plan: Plan
    works: list[Work]
    engine: ByEngine
    """Of the first repetition, as planned."""
    compared: tuple[int, int] = (0, 0)
    """Questions that the engine answered as opening hours say, and all that it was asked."""
    thorough: bool = False
    """Whether the engine was asked everything, and no rule."""
    variants: list[Variant] = field(default_factory=list)
    """The first is the plan as it stands."""

    @property
    def planned(self) -> Variant:
        """The plan as it stands."""
        return self.variants[0]

    def reach(self, variant: Variant) -> Reach:
        """What can be reached when."""
        return Reach(self.works[0], variant.together, variant.copies)


def answer(plan: Plan, progress: Progress, *, thorough: bool = False) -> Answer:
    """Simulate everything.

    Args:
        plan: what is asked about.
        progress: is told how far it is.
        thorough: put every question of every repetition and variant to the engine, and not those
            of the first alone.
    """
    return _Answering(plan, progress, thorough=thorough).done()


class _Answering:
    """An answer in the making."""

    def __init__(self, plan: Plan, progress: Progress, *, thorough: bool) -> None:
        self._plan, self._progress, self._thorough = plan, progress, thorough
        self._done = self._of = 0
        self._asked: dict[tuple[int, bool], ByEngine] = {}
        """By repetition and whether as planned: copies change nothing of who answers."""
        self._works = [Work(plan, repeat) for repeat in range(plan.repeats)]

    def done(self) -> Answer:
        variants = self._variants()
        planned, self._of = variants[0], self._steps(variants)
        engine = self._ask(0, planned.together)
        made = Answer(self._plan, self._works, engine, thorough=self._thorough, variants=variants)
        made.compared = _compared(self._works[0], planned.together, engine)
        for variant in variants:
            for repeat, work in enumerate(self._works):
                answering = self._answering(variant, planned, repeat, engine)
                variant.courses.append(
                    course_of(work, variant.together, variant.copies, answering, engine.standing)
                )
                self._step()
        return made

    def _answering(
        self, variant: Variant, planned: Variant, repeat: int, engine: ByEngine
    ) -> Answering:
        same = variant.together is planned.together
        if same and repeat == 0:
            return engine
        if self._thorough:
            key = repeat, same
            if key not in self._asked:
                self._asked[key] = self._ask(repeat, variant.together)
            return self._asked[key]
        return ByHours(variant.together)

    def _ask(self, repeat: int, together: Together) -> ByEngine:
        return asked(self._works[repeat], together, lambda *_: self._step())

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._of)

    def _steps(self, variants: list[Variant]) -> int:
        plan = self._plan
        weeks = {id(variant.together) for variant in variants}
        worlds = len(weeks) * plan.repeats if self._thorough else 1
        return worlds * plan.days * 24 + len(variants) * plan.repeats

    def _variants(self) -> list[Variant]:
        plan = self._plan
        together = plan.together
        variants = [Variant("as planned", plan.copies, together)]
        more = plan.copies < len(plan.site)
        if more:
            variants.append(Variant(f"{plan.copies + 1} copies", plan.copies + 1, together))
        site = self._best(together)
        if site is not None:
            name, always = plan.site[site].name, with_always(together, site)
            variants.append(Variant(f"{name} always on", plan.copies, always))
            if more:
                both = f"{plan.copies + 1} copies and {name} always on"
                variants.append(Variant(both, plan.copies + 1, always))
        return variants

    def _best(self, together: Together) -> int | None:
        """The site of which most questions would be answered if it never closed; None if all do."""
        closing = [site for site, spans in enumerate(together.sites) if spans != ((0, WEEK),)]
        gains = [(self._hits(with_always(together, site)), -site) for site in closing]
        return -max(gains)[1] if gains else None

    def _hits(self, together: Together) -> int:
        """Questions for priors from elsewhere that opening hours let be answered."""
        kept, rule = Kept(self._plan.copies, together), ByHours(together)
        return sum(
            bool(kept.holders(question.study) & (rule.answered(question) | 1 << question.site))
            for work in self._works
            for question in work.questions
            if question.study.site != question.site
        )


def _compared(work: Work, together: Together, engine: ByEngine) -> tuple[int, int]:
    rule = ByHours(together)
    alike = [rule.answered(each) == engine.answered(each) for each in work.questions]
    return sum(alike), len(alike)
