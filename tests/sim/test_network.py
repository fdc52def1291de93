"""Roads: first in, first out, with the latencies and the losses of byte streams."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from meshpacs.engine.effects import Effect
from meshpacs.model.ids import MILLISECOND, SECOND, NodeId
from meshpacs.model.limits import OUTBOX_CONTROL_SLOTS, OUTBOX_SLOTS
from meshpacs.model.member import Role
from meshpacs.wire.messages import Hello, Part, Ping
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.world import faults
from meshpacs_sim.world.acts import Arrive, Entry, Fin
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.network import UNIT, Channel, Latency, Network
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.trace import Trace
from meshpacs_sim.world.world import World


def roads(latency: Latency = UNIT) -> tuple[Network, list[Entry]]:
    arrivals: list[Entry] = []
    return Network(5, 4, latency, arrivals.append), arrivals


def ping(nonce: int, serial: int = 1) -> Arrive:
    return Arrive(serial, Ping(nonce))


def nonces(arrivals: list[Entry]) -> list[int]:
    return [
        entry[5].message.nonce
        for entry in sorted(arrivals, key=lambda entry: entry[:5])
        if isinstance(entry[5], Arrive) and isinstance(entry[5].message, Ping)
    ]


def test_what_is_sent_first_arrives_first_however_latencies_jitter() -> None:
    network, arrivals = roads(Latency(MILLISECOND, 2 * MILLISECOND, 500 * MILLISECOND))
    for nonce in range(100):
        network.post(network.control(0, 1), ping(nonce), now=nonce * 1_000)
    assert nonces(arrivals) == list(range(100))
    assert len({entry[0] for entry in arrivals}) > 10


def test_latencies_are_tables_drawn_for_each_direction() -> None:
    latency = Latency(MILLISECOND, 50 * MILLISECOND, 5 * MILLISECOND)
    one, same, back = (latency.table(5, *way) for way in ((0, 1), (0, 1), (1, 0)))
    assert one == same != back
    assert all(MILLISECOND <= each <= 55 * MILLISECOND for each in one + back)
    assert set(UNIT.table(5, 0, 1)) == {10 * MILLISECOND}


def test_a_clogged_road_keeps_order_and_only_a_full_outbox_loses() -> None:
    network, arrivals = roads()
    road = network.control(0, 1)
    network.clog(road)
    assert all(network.post(road, ping(nonce), 0) for nonce in range(OUTBOX_SLOTS))
    assert not network.post(road, ping(-1), 0)
    assert network.post(road, Fin(1), 0)
    assert (arrivals, road.dropped, road.backlog(0)) == ([], 1, OUTBOX_SLOTS + 1)
    network.unclog(road, now=SECOND)
    assert nonces(arrivals) == list(range(OUTBOX_SLOTS))
    assert all(entry[0] == SECOND + 10 * MILLISECOND for entry in arrivals)


def test_rows_may_not_fill_the_slots_that_are_kept_for_control() -> None:
    network, _ = roads()
    road = network.control(0, 1)
    network.clog(road)
    part = Arrive(1, Part(1, b""))
    rows = [network.post(road, part, 0) for _ in range(OUTBOX_SLOTS)]
    assert sum(rows) == OUTBOX_SLOTS - OUTBOX_CONTROL_SLOTS
    assert network.post(road, ping(1), 0)


def test_a_slow_road_spaces_messages_and_its_outbox_fills() -> None:
    network, arrivals = roads()
    road = network.control(0, 1)
    road.pace_us = 100 * MILLISECOND
    posted = [network.post(road, ping(nonce), 0) for nonce in range(OUTBOX_SLOTS + 50)]
    times = [entry[0] for entry in arrivals]
    assert {later - sooner for sooner, later in pairwise(times)} == {100 * MILLISECOND}
    assert 40 < posted.count(False) <= 50
    road.pace_us = 0
    assert road.backlog(0) == 0


def test_after_a_loss_nothing_more_of_that_link_arrives_but_of_the_next_one() -> None:
    network, arrivals = roads()
    road = network.control(0, 1)
    road.vanished = 3
    network.post(road, ping(1, serial=3), 0)
    network.post(road, Fin(3), 0)
    network.clog(road)
    network.post(road, ping(2, serial=3), 0)
    network.post(road, ping(3, serial=4), 0)
    network.unclog(road, 0)
    assert nonces(arrivals) == [3]
    assert len(arrivals) == 1


def test_a_partition_clogs_the_roads_across_it_also_those_not_yet_used() -> None:
    network, arrivals = roads()
    used = network.control(0, 2)
    inside = network.control(0, 1)
    network.divide([0, 0, 1, 1], now=0)
    unused = network.control(1, 3)
    assert (used.clogs, inside.clogs, unused.clogs) == (1, 0, 1)
    assert not network.reachable(0, 2)
    network.post(used, ping(1), 0)
    network.divide([0, 1, 1, 0], now=0)
    assert (used.clogs, inside.clogs, unused.clogs) == (1, 1, 1)
    network.divide([0, 0, 0, 0], now=SECOND)
    assert (used.clogs, inside.clogs, unused.clogs) == (0, 0, 0)
    assert nonces(arrivals) == [1]


def test_a_road_may_be_clogged_for_several_reasons() -> None:
    network, _ = roads()
    road: Channel = network.control(0, 1)
    network.clog(road)
    network.clog(road)
    network.unclog(road, 0)
    assert road.clogs == 1
    network.unclog(road, 0)
    network.unclog(road, 0)
    assert road.clogs == 0


# ---------------------------------------------------------------- links between hosts


class Links(Observer):
    """What each side learns of its control links."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []
        self.blamed_so_far: list[tuple[int, int]] = []

    def linked(self, now: int, host: int, peer: int, serial: int) -> None:
        self.seen.append(("linked", host, peer))

    def unlinked(self, now: int, host: int, peer: int, serial: int) -> None:
        self.seen.append(("unlinked", host, peer))

    def blamed(self, now: int, host: int, peer: int, what: str) -> None:
        self.blamed_so_far.append((host, peer))


def pair(links: Links) -> World:
    world = World(2, topologies.complete(2), observers=[links])
    world.run(SECOND)
    links.seen.clear()
    return world


def test_dials_that_cross_make_one_link() -> None:
    links = Links()
    world = pair(links)
    faults.snap(world, 0, 1)
    links.seen.clear()
    for a, b in ((0, 1), (1, 0)):
        world.switchboard.dial(world.hosts[a], b)
    world.run(world.now + SECOND)
    assert world.switchboard.whole(0, 1)
    assert sorted(links.seen) == [("linked", 0, 1), ("linked", 1, 0)]
    world.run(world.now + 20 * SECOND)  # the dial that lost says nothing when its time is out
    assert len(links.seen) == 2


def test_a_dial_into_a_stale_link_ends_that_first() -> None:
    links = Links()
    world = pair(links)
    # Host 0 forgets its end without a word, as after a power cut.
    del world.hosts[0].links[1]
    world.switchboard.dial(world.hosts[0], 1)
    world.run(world.now + SECOND)
    assert links.seen == [("unlinked", 1, 0), ("linked", 1, 0), ("linked", 0, 1)]


def test_a_machine_answers_for_links_that_it_does_not_know() -> None:
    links = Links()
    world = pair(links)
    faults.crash(world, 0, dark=True)
    faults.restart(world, 0)
    world.run(world.now + 40 * SECOND)  # until host 1's keepalive
    assert links.seen == [("unlinked", 1, 0)]


@pytest.mark.parametrize(
    ("trouble", "waits_s"),
    [
        (lambda world: faults.crash(world, 1), 0),
        (lambda world: faults.crash(world, 1, dark=True), 10),
        (lambda world: faults.freeze(world, 1), 10),
        (lambda world: faults.divide(world, [0, 1]), 10),
    ],
)
def test_a_dial_is_refused_at_once_or_waits_for_its_time_out(
    trouble: Callable[[World], None], waits_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(3, topologies.complete(2))
    world.run(SECOND)
    faults.snap(world, 0, 1)
    trouble(world)
    told: list[int] = []

    def unreachable(_: NodeId, now: int) -> list[Effect]:
        told.append(now)
        return []

    monkeypatch.setattr(world.hosts[0].engine, "unreachable", unreachable)
    begun = world.now
    world.switchboard.dial(world.hosts[0], 1)
    world.switchboard.visit(world.hosts[0], 1, Ping(1))
    world.run(begun + 15 * SECOND)
    assert [(now - begun) // SECOND for now in told] == [waits_s, waits_s]
    assert not world.hosts[0].dials
    assert not world.hosts[0].calls


def test_a_visit_is_answered_over_the_link_that_it_made() -> None:
    trace = Trace(keep=True, exact=True)
    world = World(4, topologies.ring(5), observers=[trace])
    world.run(SECOND)
    for nonce in (7, 8):
        world.switchboard.visit(world.hosts[0], 2, Ping(nonce))
        world.run(world.now + SECOND)
    answers = [line for line in trace.lines if "arrived 2 0 -1 Pong" in line]
    assert [line.split()[6] for line in answers] == ["7", "8"]
    sent = [int(line.split()[0]) for line in trace.lines if "sent 0 2 -1" in line]
    took = [int(line.split()[0]) - at for line, at in zip(answers, sent, strict=True)]
    assert took[0] > 2 * took[1]  # the first had to shake hands
    world.switchboard.close_direct(0, 2)
    faults.divide(world, [0, 1, 1, 1, 1])
    world.switchboard.visit(world.hosts[0], 2, Ping(9))
    world.run(world.now + SECOND)
    assert not any("arrived 0 2 -1 Ping 9" in line for line in trace.lines)


def test_a_crowded_link_or_a_revoked_member_is_hung_up_on_both_sides() -> None:
    links = Links()
    world = pair(links)
    members = {world.hosts[0].node: world.members[world.hosts[0].node]}
    engine = world.hosts[0].engine
    assert engine is not None
    world.carry_out(world.hosts[0], engine.members_changed(members, world.head, world.now))
    world.run(world.now + SECOND)
    assert links.seen == [("unlinked", 0, 1), ("unlinked", 1, 0)]


def test_whoever_breaks_the_protocol_loses_its_link() -> None:
    links = Links()
    world = pair(links)
    serial = world.hosts[0].links[1]
    for message in (Hello(1, 1, ""), Ping(1)):
        world.network.post(world.network.control(0, 1), Arrive(serial, message), world.now)
    world.run(world.now + SECOND)
    assert links.blamed_so_far == [(1, 0)]
    assert links.seen == [("unlinked", 1, 0), ("unlinked", 0, 1)]
    world.switchboard.visit(world.hosts[0], 1, Hello(1, 1, ""))
    world.run(world.now + SECOND)
    assert links.blamed_so_far == [(1, 0), (1, 0)]


# ---------------------------------------------------------------- frozen, and leaves


def test_a_frozen_host_s_window_fills_and_then_messages_are_lost() -> None:
    world = World(2, topologies.complete(2))
    world.run(SECOND)
    faults.freeze(world, 1)
    serial = world.hosts[0].links[1]
    for nonce in range(OUTBOX_SLOTS + 10):
        world.network.post(world.network.control(0, 1), Arrive(serial, Ping(nonce)), world.now)
    world.run(world.now + SECOND)
    assert len(world.hosts[1].inbox) == OUTBOX_SLOTS
    measures = Measures()
    world.told["sent"].append(measures.sent)
    faults.thaw(world, 1)
    assert measures.messages["Pong"] == OUTBOX_SLOTS


def test_leaves_are_neither_asked_nor_named_and_relays_carry_without_answering() -> None:
    # A ring of six: a relay, a custodian, and an observer that no Ask may reach.
    roles = [Role.MEMBER, Role.RELAY, Role.MEMBER, Role.CUSTODIAN, Role.MEMBER, Role.OBSERVER]
    measures = Measures()
    world = World(6, topologies.ring(6), roles=roles, observers=[measures, *safety()])
    world.run(SECOND)
    asking = world.ask(0)
    world.finish(asking)
    assert asking.report is not None
    assert sorted(world.index[member.node] for member in asking.report.members) == [0, 2, 4]
    assert asking.report.complete
    assert sorted(measures.of(asking.query_id).reached) == [1, 2, 3, 4]
    world.run(world.now + 15 * SECOND)
    world.end()
