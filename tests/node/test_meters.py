"""Counts by peer, within bounds, and the last trouble as long as it matters."""

import pytest
import trio
import trio.testing

from meshpacs.node import meters as meters_module
from meshpacs.node.clock import Clock
from meshpacs.node.meters import Meters
from tests.node.imagined import ANNA, BERT, CARL


def test_a_peer_has_one_meter_and_the_oldest_goes_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meters_module, "MEMBERS", 2)
    meters = Meters(lambda: 7)
    anna = meters.of(ANNA)
    anna.dropped = 3
    assert meters.of(ANNA) is anna
    meters.of(BERT)
    meters.of(CARL)
    assert meters.of(ANNA).dropped == 0, "forgotten, and counted anew"


def test_an_error_in_reaching_a_peer_is_over_once_it_is_reached_but_a_breach_stays() -> None:
    meter = Meters(lambda: 7).of(ANNA)
    meter.trouble("Refused.", "Is it up?", 7)
    meter.reached()
    assert (meter.last_error, meter.mend) == ("", "")
    meter.blamed = 1
    meter.trouble("A forged answer came.", "", 8)
    meter.reached()
    assert meter.last_error == "A forged answer came."


def test_a_sighting_never_goes_back() -> None:
    meter = Meters(lambda: 7).of(ANNA)
    meter.seen(9)
    meter.seen(5)
    assert meter.last_seen_us == 9


async def test_the_clock_counts_from_its_start_in_whole_microseconds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = Clock(lambda: 5_000_000)
    assert (clock.now(), clock.wall()) == (0, 5_000_000)
    autojump_clock.jump(1.5)
    assert clock.now() == 1_500_000
    assert clock.when(2_500_000) == trio.current_time() + 1
    assert clock.when(None) == float("inf")
