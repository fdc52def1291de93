"""What can be had when: by arithmetic where that is possible, and by the engine the same."""

from fractions import Fraction
from functools import cache

import pytest

from meshpacs_sim.planning.asked import ByEngine, ByHours, asked
from meshpacs_sim.planning.course import Course, Had, course_of
from meshpacs_sim.planning.hours import MINUTE_US, with_always
from meshpacs_sim.planning.kept import Kept
from meshpacs_sim.planning.plan import Plan
from meshpacs_sim.planning.reach import Reach
from meshpacs_sim.planning.work import Work
from tests.sim.planning.invented import nothing_standing, plan, site, unlike


def quiet(done: int, of: int) -> None:
    assert 0 < done <= of


@cache
def engine(seed: int) -> tuple[Work, ByEngine]:
    work = Work(unlike(seed, copies=3), 0)
    return work, asked(work, work.plan.together, quiet)


def by_engine(made: Plan) -> tuple[Work, Course, ByEngine]:
    work = Work(made, 0)
    answering = asked(work, made.together, quiet)
    course = course_of(work, made.together, made.copies, answering, answering.standing)
    return work, course, answering


def test_a_site_that_is_never_open_takes_just_its_studies_away() -> None:
    made = plan(
        site("A", questions_a_day=60),
        site("B", studies_a_day=10),
        site("C", "never", studies_a_day=10),
        copies=2,
    )
    work, course, _ = by_engine(made)
    makers = [question.study.site for question in work.questions]
    assert 15 < makers.count(2) < 45
    assert course.share(Had.AT_ONCE) == (makers.count(1), len(makers))
    # Nobody was ever open together with C, so that no copy of its own has got out.
    assert course.share(Had.NOT) == (makers.count(2), len(makers))
    reach = Reach(work, made.together, 2)
    assert set(reach.hourly(0)) == {Fraction(1, 2)}
    assert set(reach.hidden(2)) == {1}
    assert reach.alone(2) == 1


def test_availability_is_the_overlap_of_opening_hours() -> None:
    made = plan(
        site("A", "Mon 08:00-12:00", questions_a_day=40),
        site("B", "Mon 10:30-14:00", studies_a_day=10),
    )
    work, course, _ = by_engine(made)
    shares = Reach(work, made.together, 1).hourly(0)
    assert shares[8:15] == [0, 0, Fraction(1, 2), 1, 1, 1, 0]
    assert sum(share or 0 for share in shares) == Fraction(7, 2)
    half_past_ten = 630 * MINUTE_US
    early = sum(question.when < half_past_ten for question in work.questions)
    assert 0 < early < len(work.questions)
    assert course.share(Had.AT_ONCE) == (len(work.questions) - early, len(work.questions))
    assert course.share(Had.LATER)[0] == early
    begun = [each.born for each in course.lines.transfers]
    assert begun
    assert min(begun) == 630
    assert begun.count(630) == sum(
        work.fetched(question) for question in work.questions if question.when < half_past_ten
    )


def test_a_study_of_this_morning_can_be_had_in_the_evening_where_its_copy_has_arrived() -> None:
    made = plan(
        site("A", "Mon 08:00-12:00", studies_a_day=60, partner="C"),
        site("B", questions_a_day=60),
        site("C"),
        elsewhere_percent=100,
        recent_percent=100,
    )
    work, together = Work(made, 0), made.together
    noon = 720 * MINUTE_US
    for copies, awaited in ((1, Had.NOT), (2, Had.AT_ONCE)):
        course = course_of(work, together, copies, ByHours(together), nothing_standing)
        evening = [each.had for each in course.outcomes if each.question.when >= noon]
        assert evening
        assert set(evening) == {awaited}


def test_later_ends_at_the_askers_midnight_by_its_own_clock() -> None:
    sites = (
        site("B", "Mon 16:00-24:00", studies_a_day=1),
        site("A", "always on", questions_a_day=40, time_zone="+09:00"),
    )
    made = plan(*sites)
    work, together = Work(made, 0), made.together
    course = course_of(work, together, 1, ByHours(together), nothing_standing)
    # A's midnight is 15:00 by B's clock, which is the week's.
    for outcome in course.outcomes:
        minute = outcome.question.when // MINUTE_US
        awaited = Had.AT_ONCE if minute >= 960 else Had.LATER if minute >= 900 else Had.NOT
        assert outcome.had is awaited, minute


@pytest.mark.parametrize("seed", range(2))
def test_two_copies_are_never_worse_than_one_question_by_question(seed: int) -> None:
    work, answering = engine(seed)
    together = work.plan.together
    for who in (answering, ByHours(together)):
        one, two = (
            course_of(work, together, copies, who, nothing_standing).outcomes for copies in (1, 2)
        )
        assert all(b.had <= a.had for a, b in zip(one, two, strict=True)), seed
        assert any(b.had < a.had for a, b in zip(one, two, strict=True)), seed


@pytest.mark.parametrize("seed", range(3))
def test_a_site_that_never_closes_is_never_worse_question_by_question(seed: int) -> None:
    work = Work(unlike(seed), 0)
    together = work.plan.together
    always = with_always(together, 3)
    before, after = (
        course_of(work, week, 1, ByHours(week), nothing_standing).outcomes
        for week in (together, always)
    )
    assert all(b.had <= a.had for a, b in zip(before, after, strict=True)), seed


@pytest.mark.parametrize("seed", range(2))
def test_the_engine_hears_whoever_is_open_and_every_holder_among_them_has_it(seed: int) -> None:
    work, answering = engine(seed)
    rule = ByHours(work.plan.together)
    kept = Kept(work.plan.copies, work.plan.together)
    assert answering.refused == 0
    assert len(answering.masks) == len(work.questions)
    # A minute after somebody has opened links are there; before, an answer may lack who just came.
    edges = {start for start in work.plan.together.starts if work.plan.together.mask(start)}
    for question in work.questions:
        answered = answering.answered(question)
        if question.when // MINUTE_US not in edges:
            assert answered == rule.answered(question), (seed, question)
        holders = kept.holders(question.study) & ~(1 << question.site)
        if question.study.when < 0:
            assert answering.found[question.number] == answered & holders, (seed, question)


def test_messages_are_weighed_on_both_ends_of_their_way() -> None:
    _, answering = engine(0)
    sent = sum(hour.asked for site_ in answering.up for hour in site_)
    received = sum(hour.asked for site_ in answering.down for hour in site_)
    assert sent == received > 0
    for ways in (answering.up, answering.down):
        everything = sum(hour.all for site_ in ways for hour in site_)
        assert sent < everything
        assert all(hour.all >= 0 for site_ in ways for hour in site_)


def test_a_site_works_while_it_is_open_as_much_as_it_said_and_copies_change_nothing() -> None:
    made = plan(
        site("A", "Mon-Fri 09:00-17:00", questions_a_day=400, studies_a_day={"CT": 300}),
        site("B", studies_a_day=300),
        days=7,
    )
    work = Work(made, 0)
    together = made.together
    mine = [question for question in work.questions if question.site == 0]
    assert all(together.mask(each.when // MINUTE_US) & 1 for each in mine)
    monday = sum(each.when < 1440 * MINUTE_US for each in mine)
    assert abs(monday - 400) < 4 * 400**0.5  # Poisson: four standard deviations
    assert {study.modality for study in work.studies if study.site == 0} == {2}
    assert Work(unlike(5, copies=1), 0).questions == Work(unlike(5, copies=3), 0).questions
