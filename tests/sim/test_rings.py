"""Expanding rings: wider balls until somebody holds something."""

from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Row
from meshpacs.model.content import StudyState
from meshpacs.model.ids import SECOND, Digest
from meshpacs_sim.graphs import topologies
from meshpacs_sim.world import faults
from meshpacs_sim.world.cellar import STUDY_INSTANCE_UID, Canned
from meshpacs_sim.world.rings import Ring, Rings
from meshpacs_sim.world.world import World

HELD = (Row({STUDY_INSTANCE_UID: ("2.25.1",)}, (StudyState("2.25.1", Digest(bytes(32)), 1),)),)


def _world(holder: int | None) -> tuple[World, Rings]:
    rings = Rings()
    cellars = [Canned(HELD if host == holder else ()) for host in range(12)]
    graph = topologies.ring(12)
    world = World(
        5, graph, settings=Settings(frozen_overlay=True), cellars=cellars, observers=[rings]
    )
    world.run(SECOND)
    return world, rings


def _scopes(ring: Ring) -> list[object]:
    return [getattr(asking.scope, "ttl", "everyone") for asking in ring.askings]


def test_a_ring_stops_at_the_first_ball_that_holds_something() -> None:
    world, rings = _world(holder=3)
    ring = rings.ask(0, (1, 2, 4, 0))
    world.run(30 * SECOND)
    assert ring.over
    assert ring.found
    assert _scopes(ring) == [1, 2, 4]


def test_what_the_asker_holds_itself_is_found_too() -> None:
    world, rings = _world(holder=0)
    ring = rings.ask(0, (1, 2))
    world.run(30 * SECOND)
    assert _scopes(ring) == [1]


def test_a_ring_ends_with_its_last_width() -> None:
    world, rings = _world(holder=None)
    ring = rings.ask(0, (1, 3, 0))
    world.run(30 * SECOND)
    assert ring.over
    assert not ring.found
    assert _scopes(ring) == [1, 3, "everyone"]


def test_each_ball_begins_when_the_one_before_has_its_final() -> None:
    world, rings = _world(holder=None)
    ring = rings.ask(0, (1, 2, 3))
    world.run(30 * SECOND)
    first, second, third = ring.askings
    assert second.asked_at == first.finished_at
    assert third.asked_at == second.finished_at


def test_a_cancelled_ball_is_the_last() -> None:
    world, rings = _world(holder=None)
    ring = rings.ask(0, (1, 2))
    faults.cancel(world, ring.askings[-1])
    world.run(30 * SECOND)
    assert ring.over
    assert len(ring.askings) == 1


def test_a_node_that_dies_widens_nothing() -> None:
    world, rings = _world(holder=None)
    ring = rings.ask(0, (1, 2))
    final = ring.askings[-1]
    while final.report is None:
        world.run(world.now + 1)
    # The next ball is due at this very moment; the crash comes first.
    lost = rings.ask(0, (1, 2))
    faults.crash(world, 0)
    world.run(30 * SECOND)
    assert not lost.found
    assert len(lost.askings) == 1


def test_a_ring_of_a_node_that_may_not_ask_is_over_at_once() -> None:
    world, rings = _world(holder=None)
    asked = [rings.ask(0, (1,)) for _ in range(30)]
    refused = [ring for ring in asked if not ring.askings]
    assert refused
    assert all(ring.over for ring in refused)
    faults.crash(world, 1)
    assert rings.ask(1, (1,)).over
