"""A world lives by its churn: hosts come and go when the model says so."""

import pytest

from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Status
from meshpacs.model.ids import SECOND
from meshpacs_sim.graphs import topologies
from meshpacs_sim.world import faults
from meshpacs_sim.world.churn.following import follow
from meshpacs_sim.world.churn.lengths import Lengths
from meshpacs_sim.world.churn.on_off import OnOff
from meshpacs_sim.world.churn.recorded import Recorded
from meshpacs_sim.world.churn.schedule import Presence, Schedule, Span
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World

HORIZON_US = 1_000 * SECOND
ALWAYS = Schedule((Span(0, HORIZON_US),), HORIZON_US)


class Ends(Observer):
    """When a host learns that a link of its is gone."""

    def __init__(self) -> None:
        self.unlinked_at: dict[tuple[int, int], int] = {}

    def unlinked(self, now: int, host: int, peer: int, serial: int) -> None:
        self.unlinked_at[host, peer] = now


def up(world: World) -> list[bool]:
    return [host.engine is not None for host in world.hosts]


@pytest.mark.parametrize("seed", [1, 2])
def test_at_every_moment_those_are_up_who_should_be(seed: int) -> None:
    churn = OnOff(Lengths("exponential", 60 * SECOND), Lengths("weibull", 30 * SECOND, 0.5))
    world = World(seed, topologies.regular(12, 4, seed), relink_us=2 * SECOND)
    follow(world, churn, silent_percent=30)
    presence, changes, before = Presence(churn, seed, 12), 0, up(world)
    for second in range(0, 300, 3):
        world.run(second * SECOND)
        assert up(world) == presence.at(second * SECOND), (seed, second)
        changes += before != up(world)
        before = up(world)
    assert changes > 20


def test_a_world_begins_with_those_alone_who_are_up_and_asks_them() -> None:
    late = Schedule((Span(50 * SECOND, HORIZON_US),), HORIZON_US)
    world = World(1, topologies.complete(4), settings=Settings())
    follow(world, Recorded((ALWAYS, ALWAYS, late, ALWAYS)))
    assert up(world) == [True, True, False, True]
    world.run(20 * SECOND)
    asking = world.ask(0)
    world.finish(asking)
    assert asking.report is not None
    status = {world.index[each.node]: each.status for each in asking.report.members}
    assert status[2] is not Status.ANSWERED
    assert [status[host] for host in (0, 1, 3)] == [Status.ANSWERED] * 3
    world.run(200 * SECOND)
    asking = world.ask(0)
    world.finish(asking)
    assert asking.report is not None
    assert {each.status for each in asking.report.members} == {Status.ANSWERED}


@pytest.mark.parametrize("silent_percent", [0, 100])
def test_who_is_switched_off_says_so_and_who_loses_power_does_not(silent_percent: int) -> None:
    ends, off_us = Ends(), 40 * SECOND
    brief = Schedule((Span(0, off_us), Span(500 * SECOND, HORIZON_US)), HORIZON_US)
    world = World(1, topologies.complete(3), observers=[ends])
    follow(world, Recorded((ALWAYS, brief, ALWAYS)), silent_percent=silent_percent)
    world.run(499 * SECOND)
    heard_us = ends.unlinked_at[0, 1] - off_us
    # Without a word, peers find out by their keepalives: three are missed.
    assert (heard_us > 60 * SECOND) if silent_percent else (heard_us < SECOND)
    assert world.hosts[1].dark
    world.run(501 * SECOND)
    assert not world.hosts[1].dark


def test_what_something_else_has_done_to_a_host_is_left_as_it_is() -> None:
    brief = Schedule((Span(0, 20 * SECOND), Span(40 * SECOND, 60 * SECOND)), HORIZON_US)
    world = World(1, topologies.complete(3))
    follow(world, Recorded((ALWAYS, brief, ALWAYS)))
    world.run(10 * SECOND)
    faults.crash(world, 1)
    world.run(30 * SECOND)
    faults.restart(world, 1)
    life = world.hosts[1].life
    world.run(50 * SECOND)
    assert world.hosts[1].life == life
    world.run(70 * SECOND)
    assert up(world) == [True, False, True]


def test_a_share_is_a_percentage() -> None:
    with pytest.raises(ValueError, match="percentage"):
        follow(World(1, topologies.complete(2)), Recorded((ALWAYS, ALWAYS)), silent_percent=101)
