"""Rules for meshes with liars, floods and old copies: each finds what was planted by hand."""

from dataclasses import replace

import pytest

from meshpacs.model.answer import MemberAnswer, Report, Row, Status
from meshpacs.model.ids import SECOND, QueryId
from meshpacs.wire.bodies import AskBody
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.messages import Ask, Part, Recall
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials import liveness
from meshpacs_sim.trials.checkers import Violation
from meshpacs_sim.trials.honesty import (
    AskedByItsOrigin,
    BootsDoNotFall,
    ExcusesAreTrue,
    FloodsAreHeld,
    OutsideIsOutside,
    RecalledByItsOrigin,
    RelaysCarrySoMuch,
)
from meshpacs_sim.world import faults
from meshpacs_sim.world.liars import TRICKS, Liar
from meshpacs_sim.world.observers import DIRECT
from meshpacs_sim.world.world import World
from tests.sim.stopped import Keep, stopped


def other(keep: Keep, world: World, **changes: object) -> tuple[QueryId, Ask]:
    """The query that was asked, with another body that its origin never made."""
    ask = keep.asks[0][2]
    made = replace(unpack(AskBody, ask.body), **changes)  # type: ignore[arg-type]
    packed = pack(made)
    return world.bodies.read(packed)[0], replace(ask, body=packed)


def test_a_search_for_what_nobody_asked_is_found() -> None:
    checker, world, keep = stopped(AskedByItsOrigin)
    true = world.askings[0].query_id
    checker.arrived(world.now, 0, 1, keep.asks[0][2], 1)
    checker.searching(world.now, 1, true)
    forged, ask = other(keep, world, counter=77)
    checker.searching(world.now, 1, forged)  # nobody has seen it: it may be its own
    checker.arrived(world.now, 3, 1, ask, 1)
    with pytest.raises(Violation, match="1 searches for what 0 never asked"):
        checker.searching(world.now, 1, forged)
    world.hosts[0].lied = True
    checker.searching(world.now, 1, forged)


def test_an_answer_given_directly_to_another_than_the_origin_is_found() -> None:
    checker, world, keep = stopped(RecalledByItsOrigin)
    ask = keep.asks[0][2]
    checker.sent(world.now, 0, 2, Recall(50, 100, ask.body, ask.signature), DIRECT)
    checker.sent(world.now, 2, 0, Part(50, b""), DIRECT)
    checker.sent(world.now, 3, 2, Recall(51, 100, ask.body, ask.signature), DIRECT)
    with pytest.raises(Violation, match="2 gives 3"):
        checker.sent(world.now, 2, 3, Part(51, b""), DIRECT)
    world.hosts[2].lied = True
    checker.sent(world.now, 2, 3, Part(51, b""), DIRECT)


def test_a_search_for_an_earlier_life_s_query_is_found_unless_all_was_forgotten() -> None:
    checker, world, keep = stopped(BootsDoNotFall)
    boot = world.hosts[0].stored_boot
    (late, later), (early, earlier) = (
        other(keep, world, boot=boot + 1),
        other(keep, world, boot=boot),
    )
    for ask in (later, earlier):
        checker.arrived(world.now, 0, 1, ask, 1)
    checker.searching(world.now, 1, early)
    checker.searching(world.now, 1, late)
    with pytest.raises(Violation, match="1 searches for boot"):
        checker.searching(world.now, 1, early)
    checker.troubled(world.now, "roll_back 1")
    checker.searching(world.now, 1, early)


@pytest.mark.parametrize(
    "member",
    [
        (Status.REFUSED, 0),
        (Status.UNSUPPORTED, 0),
        (Status.BUSY, 0),
        (Status.FAILED, 0),
        (Status.SKEWED, 400 * SECOND),
    ],
)
def test_an_excuse_that_nobody_made_is_found(member: tuple[Status, int]) -> None:
    checker, world, _ = stopped(ExcusesAreTrue)
    asking, node = world.askings[0], world.hosts[1].node
    said = MemberAnswer(node, member[0], skew_us=member[1])
    report = Report(asking.query_id, (said,), 1)
    with pytest.raises(Violation, match=f"0 reports 1 as {member[0].value}"):
        checker.finished(world.now, 0, asking.query_id, report)
    world.hosts[1].lied = True
    checker.finished(world.now, 0, asking.query_id, report)


def test_excuses_that_were_made_are_true() -> None:
    checker, world, _ = stopped(ExcusesAreTrue)
    asking = world.askings[0]

    def report(index: int, status: Status, skew_us: int = 0) -> None:
        said = MemberAnswer(world.hosts[index].node, status, skew_us=skew_us)
        checker.finished(world.now, 0, asking.query_id, Report(asking.query_id, (said,), 1))

    rows: tuple[Row, ...] | None = None
    checker.found(world.now, 1, asking.query_id, rows)
    report(1, Status.FAILED)
    report(0, Status.FAILED)
    faults.set_clock(world, 2, 400 * SECOND)
    faults.set_clock(world, 2, 0)
    report(2, Status.SKEWED, 400 * SECOND)
    with pytest.raises(Violation, match="skewed"):
        report(2, Status.SKEWED, 100 * SECOND)
    world.hosts[0].lied = True
    report(1, Status.BUSY)


def test_who_was_within_a_ball_and_is_said_to_be_outside_is_found() -> None:
    for doubtful, cancelled in ((True, False), (False, True), (False, False)):
        checker, world, _ = stopped(OutsideIsOutside)
        asking = world.askings[0]
        outside = [MemberAnswer(world.hosts[index].node, Status.OUTSIDE) for index in (1, 2)]
        report = Report(asking.query_id, tuple(outside), 1, cancelled, doubtful)
        if doubtful or cancelled:
            checker.finished(world.now, 0, asking.query_id, report)
            continue
        with pytest.raises(Violation, match="1 is outside; it is 1 hops away"):
            checker.finished(world.now, 0, asking.query_id, report)


def test_who_was_beyond_a_broken_link_or_while_somebody_lied_may_be_outside() -> None:
    checker, world, _ = stopped(OutsideIsOutside)
    asking = world.askings[0]
    far = Report(asking.query_id, (MemberAnswer(world.hosts[2].node, Status.OUTSIDE),), 1)
    near = replace(far, members=(MemberAnswer(world.hosts[1].node, Status.OUTSIDE),))
    for a, b in ((0, 1), (0, 3)):
        faults.snap(world, a, b)
    checker.finished(world.now, 0, asking.query_id, far)
    checker, world, _ = stopped(OutsideIsOutside)
    checker.troubled(world.now, "repent 3")
    checker.finished(world.now, 0, world.askings[0].query_id, near)


@pytest.mark.parametrize("how", ["searched", "sent on"])
def test_more_queries_than_anybody_may_ask_are_found_when_acted_upon(how: str) -> None:
    checker, world, keep = stopped(FloodsAreHeld)

    def act(count: int) -> None:
        query_id, ask = other(keep, world, counter=1000 + count)
        checker.arrived(world.now, 0, 1, ask, 1)
        if how == "searched":
            checker.searching(world.now, 1, query_id)
        else:
            checker.sent(world.now, 1, 2, ask, 1)

    for count in range(81):
        act(count)
    act(80)  # the same query again
    with pytest.raises(Violation, match="1 acts upon more queries of 0"):
        act(81)
    world.now += 10 * SECOND
    act(82)


def test_a_relay_that_carries_without_end_is_found() -> None:
    checker, world, keep = stopped(RelaysCarrySoMuch)
    part = Part(9, bytes(1 << 20))
    for _ in range(20):
        checker.sent(world.now, 1, 0, part, 1)
    with pytest.raises(Violation, match="1 carries"):
        checker.sent(world.now, 1, 0, part, 1)
    checker.sent(world.now, 0, 1, replace(keep.asks[0][2], token=9), 1)
    checker.sent(world.now, 1, 0, part, 1)


# ---------------------------------------------------------------- liveness


def test_an_honest_member_that_a_liar_hides_for_good_is_found_missing() -> None:
    world = World(2, topologies.ring(4))
    world.run(SECOND)
    world.hosts[1].liar = Liar(world, 1, 0)
    faults.crash(world, 2)
    with pytest.raises(Violation, match=r"TheHonestAreFound: .* while"):
        liveness.the_honest_are_found(world)


def test_a_clock_that_is_named_otherwise_than_wrong_is_found() -> None:
    world = World(1, topologies.ring(4))
    world.run(SECOND)
    liveness.a_wrong_clock_is_named(world)
    faults.crash(world, 3)
    with pytest.raises(Violation, match="AWrongClockIsNamed"):
        liveness.a_wrong_clock_is_named(world)


def test_who_was_rolled_back_behind_a_clock_that_was_ahead_is_known_to_be_unheard() -> None:
    world = World(1, topologies.complete(4), relink_us=SECOND)
    world.run(SECOND)
    faults.back_up(world, 2)
    faults.set_clock(world, 2, 200 * SECOND)
    faults.crash(world, 2)
    faults.restart(world, 2)
    world.run(world.now + 5 * SECOND)
    world.finish(world.ask(2))
    faults.crash(world, 2)
    faults.roll_back(world, 2)
    faults.set_clock(world, 2, 0)
    faults.restart(world, 2)
    world.run(world.now + 5 * SECOND)
    assert liveness.outdated(world) == [2]
    assert {origin.origin for origin in liveness.everybody_answers(world)} == {0, 1, 3}
    world.run(world.now + 200 * SECOND)
    faults.crash(world, 2)
    faults.restart(world, 2)
    world.run(world.now + 5 * SECOND)
    assert liveness.outdated(world) == []
    liveness.everybody_answers(world, origins=[2])


def test_every_trick_has_a_method_and_is_played() -> None:
    played = {
        name
        for number in range(8)
        for name in Liar(World(number, topologies.ring(4)), 1, number)._tricks
    }
    assert played == set(TRICKS)
    for name in TRICKS:
        assert callable(getattr(Liar, f"_{name}"))
