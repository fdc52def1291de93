"""Lines as a fluid: no byte is lost, none goes faster than it can, who waits goes first."""

import pytest

from meshpacs_sim.planning.asked import ByHours
from meshpacs_sim.planning.course import course_of
from meshpacs_sim.planning.lines import COPY, FETCH, Lines, total
from meshpacs_sim.planning.work import Work
from tests.sim.planning.invented import nothing_standing, plan, site, unlike

MINUTE = 7_500_000
"""Bytes that 1 Mbit/s carries in one."""


def narrow() -> Lines:
    """A sends 1 Mbit/s, B takes 2, C takes 1 and is open from 00:10 on; all else is wide."""
    made = plan(
        site("A", studies_a_day=1) | {"up_mbit": 1},
        site("B", questions_a_day=1) | {"down_mbit": 2},
        site("C", "Mon 00:10-24:00") | {"down_mbit": 1},
    )
    return Lines(made, made.together, nothing_standing)


def test_a_fetch_overtakes_copies_and_copies_take_turns_by_age() -> None:
    lines = narrow()
    old = lines.begin(COPY, 1, 0, 1, 2 * MINUTE)
    young = lines.begin(COPY, 2, 0, 1, MINUTE)
    lines.advance(1)
    fetch = lines.begin(FETCH, 3, 0, 1, MINUTE)
    lines.advance(20)
    assert [fetch.done, old.done, young.done] == [1, 2, 3]


def test_a_line_is_shared_and_the_narrower_end_decides() -> None:
    lines = narrow()
    mine = lines.begin(COPY, 1, 0, 1, 2 * MINUTE)
    other = lines.begin(COPY, 2, 2, 1, 3 * MINUTE)
    lines.advance(30)
    # B takes twice what A sends, so both flow; C sends nothing before it opens.
    assert mine.done == 1
    assert other.done == 11
    assert lines.wait_of(0) == 0


def test_two_senders_share_what_their_receiver_takes() -> None:
    wide = site("A", studies_a_day=1), site("C", studies_a_day=1)
    made = plan(*wide, site("B", questions_a_day=1) | {"down_mbit": 1})
    lines = Lines(made, made.together, nothing_standing)
    first, second = (lines.begin(COPY, src, src, 2, MINUTE) for src in (0, 1))
    lines.advance(5)
    assert [first.done, second.done] == [0, 1]


def test_nothing_goes_to_a_site_that_is_closed_and_who_waits_behind_it_is_not_held_up() -> None:
    lines = narrow()
    closed = lines.begin(COPY, 1, 0, 2, MINUTE)
    lines.begin(COPY, 2, 0, 1, MINUTE)
    lines.advance(5)
    assert [each.study for each in lines.arrived] == [2]
    lines.advance(30)
    assert closed.done == 10


def test_messages_of_the_engine_go_first() -> None:
    made = plan(site("A", studies_a_day=1) | {"up_mbit": 1}, site("B", questions_a_day=1))
    half = MINUTE * 60 // 2
    lines = Lines(made, made.together, lambda site, _: (half * (site == 0), 0))
    sent = lines.begin(COPY, 1, 0, 1, MINUTE)
    lines.advance(10)
    assert sent.done == 1


@pytest.mark.parametrize("seed", range(3))
def test_what_is_sent_is_what_is_received_is_what_has_left_and_no_line_is_overfull(
    seed: int,
) -> None:
    work = Work(unlike(seed), 0)
    together = work.plan.together
    lines = course_of(work, together, 3, ByHours(together), nothing_standing).lines
    moved = sum(each.size_bytes - each.left for each in lines.transfers)
    assert total(lines.up) == total(lines.down) == moved > 0, seed
    assert any(each.done < 0 for each in lines.transfers), seed
    for site_, up, down in zip(work.plan.site, lines.up, lines.down, strict=True):
        for loads, mbit in ((up, site_.up_mbit), (down, site_.down_mbit)):
            most = mbit * MINUTE * 60
            assert all(load.fetched + load.copied <= most for load in loads), seed
    for each in lines.transfers:
        minutes = range(each.born, each.done + 1)
        both = sum(together.mask(m) >> each.src & together.mask(m) >> each.dst & 1 for m in minutes)
        width = min(work.plan.site[each.src].up_mbit, work.plan.site[each.dst].down_mbit)
        assert each.done < 0 or each.size_bytes <= both * width * MINUTE, (seed, each)
