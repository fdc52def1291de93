"""The course of one repetition: who could have which prior when, and what lines carried for it.

Who answers a question is told by the engine or by a rule (`asked`); images go by `lines`.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import merge

from meshpacs_sim.planning.asked import Answering
from meshpacs_sim.planning.hours import DAY, MINUTE_US, Together
from meshpacs_sim.planning.kept import Kept
from meshpacs_sim.planning.lines import COPY, FETCH, Lines, Standing, Transfer
from meshpacs_sim.planning.work import Question, Study, Work


class Had(IntEnum):
    """When a prior could be had."""

    AT_ONCE = 0
    """A holder answered, or it lay here."""
    LATER = 1
    """Before midnight asker and a holder were open together."""
    NOT = 2
    """Not on that day."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question."""

    question: Question
    had: Had

    @property
    def abroad(self) -> bool:
        """Whether the prior was made at another site."""
        return self.question.study.site != self.question.site


@dataclass(slots=True)
class Course:
    """What came of one repetition."""

    lines: Lines
    outcomes: list[Outcome] = field(default_factory=list)

    def had(self, site: int | None = None) -> list[Had]:
        """When priors from elsewhere could be had that were looked up here (or anywhere)."""
        return [
            each.had for each in self.outcomes if each.abroad and site in {None, each.question.site}
        ]

    def share(self, had: Had, site: int | None = None) -> tuple[int, int]:
        """How many of these could be had so, and how many they are."""
        asked = self.had(site)
        return asked.count(had), len(asked)


def course_of(
    work: Work, together: Together, copies: int, answering: Answering, standing: Standing
) -> Course:
    """Let everything happen, in the order of time."""
    return _Happening(work, together, copies, answering, standing).done()


class _Happening:
    """One repetition under way."""

    def __init__(
        self, work: Work, together: Together, copies: int, answering: Answering, standing: Standing
    ) -> None:
        self._work, self._together, self._answering = work, together, answering
        self._kept = Kept(copies, together)
        self._course = Course(Lines(work.plan, together, standing))
        self._holders: dict[int, int] = {}
        """Of studies made since the beginning, those who have them by now."""
        self._taken = 0
        """Transfers that have arrived and were looked at."""
        self._later: list[tuple[int, int, Study, int]] = []
        """Fetches that begin when somebody opens: minute, number, study, for whom."""

    def done(self) -> Course:
        work, lines = self._work, self._course.lines
        happening: Iterable[Study | Question] = merge(
            work.studies, work.questions, key=lambda each: each.when
        )
        for each in happening:
            self._until(each.when // MINUTE_US)
            if isinstance(each, Study):
                self._made(each)
            else:
                self._asked(each)
        self._until(work.plan.days * DAY)
        assert lines.minute == work.plan.days * DAY
        return self._course

    def _until(self, minute: int) -> None:
        lines = self._course.lines
        while self._later and self._later[0][0] <= minute:
            at, _, study, site = heapq.heappop(self._later)
            lines.advance(at)
            self._fetch(study, site, self._together.mask(at))
        lines.advance(minute)
        self._arrive()

    def _arrive(self) -> None:
        arrived = self._course.lines.arrived
        for transfer in arrived[self._taken :]:
            if transfer.rank >= COPY:
                self._holders[transfer.study] |= 1 << transfer.dst
        self._taken = len(arrived)

    def _made(self, study: Study) -> None:
        self._holders[study.number] = 1 << study.site
        for rank, site in enumerate(self._kept.copied_to(study), COPY):
            self._course.lines.begin(rank, study.number, study.site, site, study.size_bytes)

    def _asked(self, question: Question) -> None:
        study, site, minute = question.study, question.site, question.when // MINUTE_US
        holders = self._holders_of(study)
        answered = self._answering.answered(question) & holders
        had = Had.AT_ONCE
        if holders >> site & 1:
            self._course.outcomes.append(Outcome(question, had))
            return
        wanted = self._work.fetched(question)
        if answered:
            if wanted:
                self._fetch(study, site, answered)
        else:
            at = self._together.first(minute + 1, self._midnight(site, minute), site, holders)
            had = Had.NOT if at is None else Had.LATER
            if at is not None and wanted:
                heapq.heappush(self._later, (at, question.number, study, site))
        self._course.outcomes.append(Outcome(question, had))

    def _midnight(self, site: int, minute: int) -> int:
        """When the asker's day ends, or the simulated time does."""
        local = minute + self._work.plan.ahead(site)
        return min(minute + DAY - local % DAY, self._work.plan.days * DAY)

    def _holders_of(self, study: Study) -> int:
        return self._holders[study.number] if study.when >= 0 else self._kept.holders(study)

    def _fetch(self, study: Study, site: int, among: int) -> Transfer | None:
        """Fetch images from the holder, of these, who would be through with all it owes first."""
        lines, holders = self._course.lines, self._holders_of(study) & among & ~(1 << site)
        if not holders:
            return None
        choice = (other for other in range(holders.bit_length()) if holders >> other & 1)
        src = min(choice, key=lambda other: (lines.wait_of(other), other))
        return lines.begin(FETCH, study.number, src, site, study.size_bytes)
