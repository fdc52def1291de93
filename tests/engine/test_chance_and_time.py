"""Chance that does not depend on the order of asking; times that cannot go stale."""

from hypothesis import given
from hypothesis import strategies as st

from meshpacs.engine.agenda import Agenda, Alarm
from meshpacs.engine.draws import Draws, draw, mix


def test_mixing_is_splitmix64() -> None:
    # The reference outputs of SplitMix64 seeded with 1234567 (Vigna's splitmix64.c): its state
    # grows by the golden gamma before each output, as ours does inside `mix`.
    gamma = 0x9E3779B97F4A7C15
    states = [(1234567 + step * gamma) % 2**64 for step in range(3)]
    assert [mix(state) for state in states] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_a_draw_does_not_depend_on_what_else_was_drawn() -> None:
    alone, busy = Draws(7, b"node"), Draws(7, b"node")
    first = [alone.bits("a") for _ in range(5)]
    second = []
    for _ in range(5):
        busy.bits("b")
        second.append(busy.bits("a"))
    assert first == second


def test_seed_node_purpose_and_counter_all_matter() -> None:
    base = draw(1, 2, 3, 4)
    assert len({base, draw(2, 2, 3, 4), draw(1, 3, 3, 4), draw(1, 2, 4, 4), draw(1, 2, 3, 5)}) == 5


@given(st.integers(0, 2**64), st.integers(1, 1000))
def test_a_bounded_draw_is_below_its_bound(seed: int, bound: int) -> None:
    assert 0 <= Draws(seed, b"n").below("p", bound) < bound


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50), st.booleans())))
def test_an_agenda_gives_each_key_once_at_its_last_time(
    steps: list[tuple[int, int, bool]],
) -> None:
    agenda: Agenda[int] = Agenda()
    truth: dict[int, int] = {}
    for key, when, keep in steps:
        if keep:
            agenda.set(key, when)
            truth[key] = when
        else:
            agenda.clear(key)
            truth.pop(key, None)
        assert len(agenda) == len(truth)
        assert agenda.earliest == min(truth.values(), default=None)
    assert all(key in agenda for key in truth)
    taken = []
    while (due := agenda.pop(25)) is not None:
        taken.append(due)
    assert sorted(taken) == sorted(key for key, when in truth.items() if when <= 25)
    assert [truth[key] for key in taken] == sorted(truth[key] for key in taken)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 50))))
def test_an_alarm_is_due_when_the_first_thing_of_all_its_agendas_is(
    steps: list[tuple[int, int, int]],
) -> None:
    agendas: list[Agenda[int]] = [Agenda(), Agenda(), Agenda()]
    alarm = Alarm(*agendas)
    assert alarm.due() is None
    truth: dict[tuple[int, int], int] = {}
    for which, key, when in steps:
        if when > 40:
            agendas[which].clear(key)
            truth.pop((which, key), None)
        else:
            agendas[which].set(key, when)
            truth[which, key] = when
        assert alarm.due() == min(truth.values(), default=None)


def test_an_agenda_forgets_where_a_key_has_been_moved_from() -> None:
    agenda: Agenda[int] = Agenda()
    agenda.set(0, 0)  # stands before the others, so that none of them ever surfaces
    for when in range(10_000):
        agenda.set(1, when)
    assert len(agenda._heap) <= 70


def test_an_agenda_forgets_cleared_entries_without_waiting_for_their_time() -> None:
    agenda: Agenda[int] = Agenda()
    agenda.set(-1, 0)
    for key in range(1000):
        agenda.set(key, 10**9)
        agenda.clear(key)
    assert len(agenda._heap) <= 70
