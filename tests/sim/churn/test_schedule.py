"""A schedule says who is up when, exactly."""

from collections.abc import Iterator
from fractions import Fraction

import pytest

from meshpacs_sim.world.churn.lengths import Lengths
from meshpacs_sim.world.churn.on_off import OnOff
from meshpacs_sim.world.churn.schedule import FOREVER, Presence, Schedule, Span, schedule


class Told:
    """A model that says what it was told, for every node."""

    def __init__(self, *spans: Span) -> None:
        self._spans = spans

    def spans(self, seed: int, node: int) -> Iterator[Span]:
        yield from self._spans


def test_a_span_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    kept = Schedule((Span(10, 20), Span(30, 31)), 100)
    up = [moment for moment in range(100) if kept.up_at(moment)]
    assert up == [*range(10, 20), 30]
    assert kept.up_us() == 11
    assert kept.availability == Fraction(11, 100)
    assert kept.up_us(15, 30) == 5
    assert kept.up_us(12, 13) == 1


def test_a_schedule_is_cut_at_its_horizon() -> None:
    endless = Told(Span(5, 10), Span(20, FOREVER))
    assert schedule(endless, 1, 0, 30).spans == (Span(5, 10), Span(20, 30))
    assert schedule(endless, 1, 0, 20).spans == (Span(5, 10),)
    assert schedule(endless, 1, 0, 5).availability == 0


@pytest.mark.parametrize(
    "spans",
    [
        (Span(5, 5),),
        (Span(-1, 5),),
        (Span(5, 101),),
        (Span(5, 10), Span(10, 12)),
        (Span(5, 10), Span(1, 2)),
    ],
)
def test_what_is_no_schedule_is_refused(spans: tuple[Span, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be up"):
        Schedule(spans, 100)


def test_presence_is_what_every_schedule_says() -> None:
    churn = OnOff(Lengths("exponential", 1_000), Lengths("weibull", 500, 0.5))
    kept = [schedule(churn, 3, node, 20_000) for node in range(40)]
    presence = Presence(churn, 3, 40)
    for moment in [0, 0, 1, 50, *range(100, 20_000, 211)]:
        assert presence.at(moment) == [each.up_at(moment) for each in kept], moment
    with pytest.raises(ValueError, match="lies before"):
        presence.at(5)


def test_after_its_last_span_a_node_is_down_for_good() -> None:
    presence = Presence(Told(Span(5, 10)), 1, 2)
    assert [presence.at(moment)[0] for moment in (0, 5, 9, 10, 10**15)] == [0, 1, 1, 0, 0]
    assert Presence(Told(Span(0, FOREVER)), 1, 1).at(10**15) == [True]
    assert Presence(Told(), 1, 1).at(10**15) == [False]
