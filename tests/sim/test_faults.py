"""One thing goes wrong at a time, and nobody suffers for it who need not."""

from functools import partial

import pytest

from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Report, Status
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs.model.query import Ball
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.trials import liveness
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.world import faults
from meshpacs_sim.world.cellar import by_name, clinic
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.world import EPOCH_US, World

FROZEN = Settings(frozen_overlay=True)
OWN = Settings()
"""The engines choose their own neighbours."""


def mesh(size: int, seed: int) -> Graph:
    return topologies.complete(size) if size <= 8 else topologies.regular(size, 6, seed)


def settled(graph: Graph, seed: int, settings: Settings = FROZEN) -> World:
    world = World(seed, graph, settings=settings, observers=safety())
    world.run(40 * SECOND)
    return world


def others(world: World, asking: Asking) -> dict[int, Status]:
    """Every member that has not answered, and why."""
    return {
        world.index[member.node]: member.status
        for member in report_of(asking).members
        if member.status is not Status.ANSWERED
    }


def report_of(asking: Asking) -> Report:
    assert asking.report is not None
    return asking.report


def ended(asking: Asking) -> bool:
    return asking.report is not None


def answered(world: World, origin: int = 0) -> Asking:
    asking = world.ask(origin)
    world.finish(asking)
    return asking


# ---------------------------------------------------------------- one frozen member


@pytest.mark.parametrize("settings", [FROZEN, OWN], ids=["frozen overlay", "own overlay"])
@pytest.mark.parametrize("size", [5, 20, 50])
@pytest.mark.parametrize("seed", range(3))
def test_one_frozen_member_costs_nobody_else_its_answer(
    size: int, seed: int, settings: Settings
) -> None:
    world = settled(mesh(size, seed), seed, settings)
    assert others(world, answered(world)) == {}
    frozen = 1 + seed * 7 % (size - 1)
    since = world.now
    faults.freeze(world, frozen)
    world.run(world.now + seed * 300 * MILLISECOND)

    first = answered(world)
    assert others(world, first) == {frozen: Status.UNREACHABLE}, f"seed {seed}"
    assert first.took_us <= 3 * SECOND, f"seed {seed}"
    silent = next(m for m in report_of(first).members if m.status is Status.UNREACHABLE)
    assert 0 < silent.since_us <= EPOCH_US + since + SECOND  # what it had sent still came

    second = answered(world)
    assert others(world, second) == {frozen: Status.UNREACHABLE}, f"seed {seed}"
    # It waits for no time-out, the shortest of which is a second; only for the flood to close.
    assert second.took_us < 400 * MILLISECOND, f"seed {seed}"

    faults.thaw(world, frozen)
    liveness.everybody_answers(world, origins=[0, frozen], patience_us=0)
    world.run(world.now + 12 * SECOND)
    world.end()


def test_a_frozen_asker_has_its_final_when_it_thaws() -> None:
    world = settled(mesh(5, 1), 1)
    asking = world.ask(0)
    faults.freeze(world, 0)
    world.run(world.now + 60 * SECOND)
    assert not ended(asking)
    liveness.every_query_ends(world)
    faults.thaw(world, 0)
    assert ended(asking)
    liveness.every_query_ends(world)


# ---------------------------------------------------------------- one member crashes


@pytest.mark.parametrize("settings", [FROZEN, OWN], ids=["frozen overlay", "own overlay"])
@pytest.mark.parametrize("dark", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("size", [5, 20, 50])
def test_a_member_that_crashes_in_the_middle_silences_nobody_else(
    size: int, settings: Settings, *, dark: bool
) -> None:
    for seed in range(5):
        world = settled(mesh(size, seed), seed, settings)
        crashed = 1 + seed * 5 % (size - 1)
        when = world.now + (1 + seed * 30) * MILLISECOND
        world.at(when, partial(faults.crash, world, crashed, dark=dark))
        asking = answered(world)
        missing = others(world, asking)
        assert missing in ({}, {crashed: Status.UNREACHABLE}), f"seed {seed}"
        assert asking.took_us <= 3 * SECOND, f"seed {seed}"


def test_a_crash_is_over_with_the_next_life() -> None:
    world = World(3, mesh(20, 3), observers=safety(), relink_us=SECOND)
    world.run(10 * SECOND)
    faults.crash(world, 7)
    world.run(world.now + 5 * SECOND)
    assert others(world, answered(world)) == {7: Status.UNREACHABLE}
    faults.restart(world, 7)
    world.run(world.now + 5 * SECOND)
    assert others(world, answered(world)) == {}
    assert others(world, answered(world, origin=7)) == {}
    boots = {host.kept_boots.get(world.hosts[7].node) for host in world.hosts if host.index != 7}
    assert boots == {world.hosts[7].stored_boot}


def test_an_asker_that_crashes_leaves_nothing_behind() -> None:
    world = settled(mesh(20, 5), 5)
    asking = world.ask(0)
    world.at(world.now + 30 * MILLISECOND, lambda: faults.crash(world, 0))
    world.run(world.now + 15 * SECOND)
    assert asking.lost
    liveness.every_query_ends(world)
    world.end()


def test_boots_rise_even_where_the_clock_has_fallen_back() -> None:
    world = settled(mesh(5, 1), 1)
    before = world.hosts[2].stored_boot
    faults.crash(world, 2)
    faults.set_clock(world, 2, -3600 * SECOND)
    faults.restart(world, 2)
    assert world.hosts[2].stored_boot == before + 1


# ---------------------------------------------------------------- roads


def test_a_partition_is_reported_and_forgotten_once_it_heals() -> None:
    world = settled(mesh(20, 2), 2)
    sides = [index % 2 for index in range(20)]
    faults.divide(world, sides)
    asking = answered(world)
    assert others(world, asking) == {
        index: Status.UNREACHABLE for index in range(20) if sides[index]
    }
    assert asking.finished_at <= asking.deadline
    faults.heal(world)
    world.run(world.now + 60 * SECOND)
    assert others(world, answered(world)) == {}
    world.run(world.now + 15 * SECOND)
    world.end()


@pytest.mark.parametrize("seed", range(5))
def test_a_half_open_link_of_the_asker_s_own_hides_nobody(seed: int) -> None:
    for peer in settled(mesh(20, seed), seed).graph.neighbours[0]:
        for src, dst in ((0, peer), (peer, 0)):
            world = settled(mesh(20, seed), seed)
            faults.half_open(world, src, dst)
            for _ in range(2):
                asking = answered(world)
                assert others(world, asking) == {}, f"seed {seed}: {src}>{dst}"
                assert asking.took_us <= 3 * SECOND, f"seed {seed}: {src}>{dst}"


@pytest.mark.parametrize("seed", range(5))
def test_a_half_open_link_among_relays_hides_nobody(seed: int) -> None:
    world = settled(mesh(20, seed), seed)
    far = [(a, b) for a, b in world.graph.edges if 0 not in (a, b)]
    src, dst = far[seed * 5]
    faults.half_open(world, src, dst)
    asking = answered(world)
    assert others(world, asking) == {}, f"seed {seed}"
    assert asking.took_us <= 3 * SECOND, f"seed {seed}"


def test_a_half_open_link_is_found_out_by_keepalives_and_made_anew() -> None:
    world = settled(topologies.complete(5), 4, OWN)
    faults.half_open(world, 1, 0)
    serial = world.hosts[0].links[1]
    world.run(world.now + 200 * SECOND)
    assert world.switchboard.whole(0, 1)
    assert world.hosts[0].links[1] > serial
    liveness.everybody_answers(world, patience_us=0)


def test_a_clogged_link_costs_time_and_nobody_s_answer() -> None:
    world = settled(mesh(20, 6), 6)
    for peer in world.graph.neighbours[3]:
        faults.clog(world, 3, peer)
    asking = answered(world)
    assert others(world, asking) == {}
    for peer in world.graph.neighbours[3]:
        faults.unclog(world, 3, peer)
    world.run(world.now + 40 * SECOND)
    liveness.everybody_answers(world, patience_us=0)


def test_a_slow_link_is_waited_for_while_it_moves() -> None:
    world = settled(mesh(20, 7), 7)
    for a, b in world.graph.edges:
        faults.slow(world, a, b, 2 * MILLISECOND)
        faults.slow(world, b, a, 2 * MILLISECOND)
    assert others(world, answered(world)) == {}


def test_a_link_that_breaks_in_the_middle_costs_nobody_s_answer() -> None:
    for seed in range(10):
        world = settled(mesh(20, seed), seed)
        a, b = world.graph.edges[seed * 3]
        when = world.now + (5 + 15 * seed) * MILLISECOND
        world.at(when, partial(faults.snap, world, a, b))
        assert others(world, answered(world)) == {}, f"seed {seed}"


# ---------------------------------------------------------------- disks and clocks


def test_a_slow_disk_is_waited_for_and_a_stuck_one_only_until_the_deadline() -> None:
    world = settled(mesh(20, 8), 8)
    faults.slow_disk(world, 4, 5 * SECOND)
    asking = answered(world)
    assert others(world, asking) == {}
    assert 5 * SECOND < asking.took_us < asking.deadline - asking.asked_at
    faults.stick_disk(world, 4)
    asking = answered(world)
    assert others(world, asking) == {4: Status.UNREACHABLE}
    assert asking.finished_at <= asking.deadline
    faults.slow_disk(world, 4, MILLISECOND)
    faults.mend_disk(world, 4)
    liveness.everybody_answers(world)


def test_a_broken_disk_is_reported_as_failed_at_once_even_one_s_own() -> None:
    world = settled(mesh(20, 9), 9)
    faults.break_disk(world, 4)
    asking = answered(world)
    assert others(world, asking) == {4: Status.FAILED}
    assert asking.took_us < SECOND
    faults.break_disk(world, 0)
    assert others(world, answered(world)) == {0: Status.FAILED, 4: Status.FAILED}


def test_a_clock_six_minutes_off_is_named_and_nobody_else_suffers() -> None:
    world = settled(mesh(20, 10), 10)
    offset: Micros = 360 * SECOND
    faults.set_clock(world, 4, offset)
    asking = answered(world)
    assert others(world, asking) == {4: Status.SKEWED}
    skewed = next(m for m in report_of(asking).members if m.status is Status.SKEWED)
    assert abs(skewed.skew_us - offset) < SECOND
    faults.set_clock(world, 4, 0)
    liveness.everybody_answers(world, patience_us=0)


# ---------------------------------------------------------------- rows, cancels, balls


def test_rows_are_those_that_each_clinic_holds() -> None:
    cellars = [clinic(1, index, 30) for index in range(20)]
    measures = Measures(sizes=True)
    world = World(1, mesh(20, 1), cellars=cellars, observers=[measures, *safety()])
    world.run(SECOND)
    asking = world.ask(3, by_name("Bodel^*"))
    world.finish(asking)
    held = {
        world.hosts[index].node: cellar.search(by_name("Bodel^*"))[0]
        for index, cellar in enumerate(cellars)
    }
    assert asking.rows == held
    assert sum(map(len, held.values())) > 20
    assert measures.bytes["Ask"] > 200 * measures.messages["Ask"]
    assert measures.bytes["Part"] > 1024 * measures.messages["Part"]


def test_more_rows_than_the_limit_are_reported_as_truncated() -> None:
    cellars = [clinic(1, index, 30 if index == 2 else 3) for index in range(5)]
    world = World(1, mesh(5, 1), cellars=cellars, observers=safety())
    world.run(SECOND)
    query = by_name("*")
    limited = type(query)(query.level, query.keys, limit=10)
    asking = world.ask(0, limited)
    world.finish(asking)
    assert others(world, asking) == {2: Status.TRUNCATED}
    assert len(asking.rows[world.hosts[2].node]) == 10


def test_a_cancelled_query_ends_at_once_and_everywhere() -> None:
    measures = Measures()
    world = World(2, mesh(50, 2), observers=[measures, *safety()])
    world.run(SECOND)
    asking = world.ask(0)
    world.run(world.now + 20 * MILLISECOND)
    faults.cancel(world, asking)
    assert report_of(asking).cancelled
    assert measures.of(asking.query_id).flood["Cancel"] > 0
    world.run(world.now + 2 * SECOND)
    for host in world.hosts:
        assert host.engine is not None
        assert host.engine.open_work()["waves"] == 0
    faults.cancel(world, asking)
    world.run(world.now + 15 * SECOND)
    world.end()


def test_a_ball_says_who_is_outside_and_asks_nobody_there() -> None:
    world = settled(topologies.ring(12), 3)
    asking = world.ask(0, scope=Ball(2))
    world.finish(asking)
    assert others(world, asking) == dict.fromkeys(range(3, 10), Status.OUTSIDE)
    assert report_of(asking).complete


# ---------------------------------------------------------------- a lost disk


def test_who_has_lost_its_disk_answers_without_rows_and_its_questions_are_heard() -> None:
    seed = 5
    world = World(
        seed,
        mesh(6, seed),
        cellars=[clinic(seed, host, 8) for host in range(6)],
        observers=safety(),
        relink_us=SECOND,
    )
    world.run(20 * SECOND)
    before = answered(world, origin=2)
    faults.crash(world, 3)
    faults.lose_disk(world, 3)
    world.run(world.now + 5 * SECOND)
    faults.restart(world, 3)
    world.run(world.now + 60 * SECOND)
    after = answered(world, origin=2)
    assert not others(world, after)
    assert len(before.rows[world.hosts[3].node]) == 8
    assert not after.rows.get(world.hosts[3].node)
    assert not others(world, answered(world, origin=3))
    assert liveness.outdated(world) == []


def test_who_has_lost_its_disk_while_its_clock_was_behind_is_known_to_be_unheard() -> None:
    world = World(5, mesh(5, 5), observers=safety(), relink_us=SECOND)
    world.run(10 * SECOND)
    answered(world, origin=3)
    faults.crash(world, 3)
    faults.lose_disk(world, 3)
    faults.set_clock(world, 3, -100 * SECOND)
    world.run(world.now + 5 * SECOND)
    faults.restart(world, 3)
    world.run(world.now + 30 * SECOND)
    assert liveness.outdated(world) == [3]
