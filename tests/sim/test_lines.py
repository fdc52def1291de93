"""Lines with a width: what waits, what is dropped, what comes late, and what nobody carries."""

from collections import defaultdict
from heapq import heappop, heappush
from itertools import pairwise

import pytest

import meshpacs_sim.__main__ as command
from meshpacs.engine.draws import draw
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs.model.limits import OUTBOX_BYTES, OUTBOX_CONTROL_SLOTS, OUTBOX_SLOTS
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import Message, Part, Ping
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials.nights import night
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.world import faults
from meshpacs_sim.world.acts import Act, Arrive, Call, Entry, Fin, Script
from meshpacs_sim.world.cellar import clinic
from meshpacs_sim.world.conditions import LINES, Conditions, Line, Road
from meshpacs_sim.world.lines import RECORD_HEAD_BYTES, RETRIES, SEGMENT_BYTES, Lines
from meshpacs_sim.world.measures import FRAME_BYTES, Measures
from meshpacs_sim.world.network import UNIT, Channel, Latencies, Latency
from meshpacs_sim.world.trace import Trace
from meshpacs_sim.world.world import World

ADSL = LINES["adsl"]
UNIT_US = UNIT.low_us
FOREVER = 1 << 60


class Roads:
    """A network alone, with a clock: what is posted, and what arrives when and where."""

    def __init__(
        self, conditions: Conditions, latency: Latencies = UNIT, *, size: int = 4, seed: int = 5
    ) -> None:
        self.now: Micros = 0
        self.heap: list[Entry] = []
        self.network = Lines(seed, size, latency, self.push, conditions, lambda: self.now)
        self.came: list[tuple[Micros, int, int, Act]] = []

    def push(self, entry: Entry) -> None:
        heappush(self.heap, entry)

    def road(self, src: int, dst: int) -> Channel:
        return self.network.control(src, dst)

    def post(self, src: int, dst: int, message: Message, serial: int = 1) -> bool:
        return self.network.post(self.road(src, dst), Arrive(serial, message), self.now)

    def run(self, until: Micros = FOREVER) -> None:
        while self.heap and self.heap[0][0] <= until:
            entry = heappop(self.heap)
            assert entry[0] >= self.now
            self.now = entry[0]
            if isinstance(entry[5], Script):
                entry[5].act()
            else:
                self.came.append((entry[0], entry[1], entry[2], entry[5]))
        self.now = until if until < FOREVER else self.now


def weight(message: Message) -> int:
    return FRAME_BYTES + len(encode(message)) + RECORD_HEAD_BYTES


def on(line: Line, *, link_bps: int = 0, loss_ppm: int = 0) -> Conditions:
    return Conditions(lines=(line,), link_bps=link_bps, loss_ppm=loss_ppm)


def part(size: int) -> Part:
    return Part(1, bytes(size))


def nonces(roads: Roads) -> list[int]:
    return [
        act.message.nonce
        for _, _, _, act in roads.came
        if isinstance(act, Arrive) and isinstance(act.message, Ping)
    ]


# ---------------------------------------------------------------- widths


def test_a_message_takes_its_bytes_over_the_narrowest_way_and_the_latency() -> None:
    for conditions in (
        on(Line(0, 1_000_000)),
        on(Line(1_000_000, 0)),
        on(Line(), link_bps=1_000_000),
        on(Line(8_000_000, 1_000_000), link_bps=4_000_000),
    ):
        roads = Roads(conditions)
        roads.post(0, 1, part(50_000))
        roads.run()
        assert [when for when, *_ in roads.came] == [UNIT_US + 8 * weight(part(50_000))]


def test_messages_wait_behind_each_other_on_the_line_of_their_sender() -> None:
    roads = Roads(on(Line(0, 1_000_000)))
    for dst in (1, 2, 3):
        roads.post(0, dst, part(1000))
    roads.run()
    each = 8 * weight(part(1000))
    assert [(when, dst) for when, dst, *_ in roads.came] == [
        (UNIT_US + each * dst, dst) for dst in (1, 2, 3)
    ]
    assert roads.network.up[0].bytes == 3 * weight(part(1000))


def test_messages_of_many_wait_before_the_line_of_their_receiver_in_the_order_they_come() -> None:
    roads = Roads(on(Line(1_000_000, 0)))
    for src in (3, 1, 2):
        roads.post(src, 0, part(1000))
        roads.now += 1
    roads.run()
    assert [src for _, _, src, _ in roads.came] == [3, 1, 2]
    times = [when for when, *_ in roads.came]
    assert [b - a for a, b in pairwise(times)] == [8 * weight(part(1000))] * 2


def test_a_clinic_takes_in_faster_than_it_sends_out() -> None:
    roads = Roads(Conditions(lines=(ADSL, LINES["fibre"]), line_of=(0, 1, 1, 1)))
    roads.post(1, 0, part(60_000))
    roads.run()
    down_us = roads.now - UNIT_US
    roads.post(0, 1, part(60_000))
    before = roads.now
    roads.run()
    up_us = roads.now - before - UNIT_US
    assert down_us == pytest.approx(8 * 60_040 / 16, rel=0.01)
    assert up_us == pytest.approx(8 * 60_040, rel=0.01)


def test_one_direction_of_one_link_may_be_unlike_the_others() -> None:
    roads = Roads(Conditions(roads=(Road(0, 1, bps=100_000),)))
    for src, dst in ((0, 1), (1, 0), (0, 2)):
        roads.post(src, dst, part(1000))
    roads.run()
    assert [(src, dst) for _, dst, src, _ in roads.came] == [(1, 0), (0, 2), (0, 1)]
    assert roads.now == UNIT_US + 80 * weight(part(1000))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_overtakes_and_no_line_carries_more_than_its_width(seed: int) -> None:
    line, link_bps = Line(3_000_000, 700_000), 500_000
    roads = Roads(on(line, link_bps=link_bps, loss_ppm=20_000), Latency(), seed=seed)
    sent: dict[tuple[int, int], list[Message]] = defaultdict(list)
    for turn in range(400):
        bits = draw(seed, 0, 0, turn)
        src, dst, size = bits % 4, bits // 4 % 4, bits // 16 % 30_000
        if src != dst:
            message = Part(turn, bytes(size))
            assert roads.post(src, dst, message)
            sent[src, dst].append(message)
        roads.run(roads.now + bits // 524_288 % 20_000)
    roads.run()
    came: dict[tuple[int, int], list[Message]] = defaultdict(list)
    into: dict[int, list[tuple[Micros, int]]] = defaultdict(list)
    outof: dict[tuple[int, int], list[tuple[Micros, int]]] = defaultdict(list)
    for when, dst, src, act in roads.came:
        assert isinstance(act, Arrive)
        came[src, dst].append(act.message)
        into[dst].append((when, weight(act.message)))
        outof[src, dst].append((when, weight(act.message)))
    assert came == sent, f"seed {seed}"
    for bps, ways in ((line.down_bps, into.values()), (link_bps, outof.values())):
        for way in ways:
            # From the arrival of any to that of any later: all but the first came in between.
            for start in range(0, len(way), 7):
                total = 0
                for when, size in way[start + 1 :]:
                    total += size
                    slack = LATENCY_US if bps == link_bps else 0
                    assert total * 8 * SECOND <= bps * (when - way[start][0] + slack), (
                        f"seed {seed}"
                    )


LATENCY_US = 5 * MILLISECOND + 60 * SECOND
"""Jitter, and a stall that lets what has left before catch up: only between link and line."""


# ---------------------------------------------------------------- outboxes


def test_a_full_line_delays_and_loses_nothing_within_the_outbox() -> None:
    roads = Roads(on(Line(0, 64_000)))
    # One is on its way at once; the others wait.
    posted = [roads.post(0, 1, Ping(nonce)) for nonce in range(OUTBOX_SLOTS + 3)]
    assert posted == [True] * (OUTBOX_SLOTS + 1) + [False] * 2
    assert roads.road(0, 1).dropped == 2
    assert roads.post(0, 2, Ping(-1)), "each link has an outbox of its own"
    roads.run()
    assert nonces(roads)[:-1] == list(range(OUTBOX_SLOTS + 1))


def test_rows_may_not_use_the_slots_kept_for_control_nor_more_bytes_than_an_outbox_holds() -> None:
    roads = Roads(on(Line(0, 64_000)))
    rows = [roads.post(0, 1, part(10)) for _ in range(OUTBOX_SLOTS)]
    assert rows.count(True) == OUTBOX_SLOTS - OUTBOX_CONTROL_SLOTS + 1
    assert roads.post(0, 1, Ping(1))
    large = [roads.post(0, 2, part(65_536)) for _ in range(OUTBOX_SLOTS - OUTBOX_CONTROL_SLOTS)]
    assert large.count(True) == OUTBOX_BYTES // weight(part(65_536))
    assert roads.post(0, 2, part(10)) is (OUTBOX_BYTES % weight(part(65_536)) >= weight(part(10)))


def test_an_outbox_empties_as_its_line_carries_and_has_room_again() -> None:
    roads = Roads(on(Line(0, 64_000)))
    while roads.post(0, 1, Ping(1)):
        pass
    each_us = weight(Ping(1)) * 8 * SECOND // 64_000
    roads.run(100 * each_us + 1)
    more = 0
    while roads.post(0, 1, Ping(2)):
        more += 1
    assert more in {99, 100, 101}


def test_a_narrow_receiver_fills_the_outbox_of_its_sender() -> None:
    roads = Roads(Conditions(lines=(Line(64_000, 0), Line()), line_of=(0, 1, 1, 1)))
    for nonce in range(OUTBOX_SLOTS):
        assert roads.post(1, 0, Ping(nonce))
    assert [roads.post(1, 0, Ping(-1)) for _ in range(3)] == [True, False, False]
    assert roads.post(2, 0, Ping(1)), "others have outboxes of their own"


def test_what_waits_before_a_line_that_many_share_lies_in_the_outboxes_of_its_senders() -> None:
    roads = Roads(Conditions(lines=(Line(64_000, 0), Line()), line_of=(0, 1, 1, 1)))
    for nonce in range(OUTBOX_SLOTS):
        for src in (1, 2, 3):
            assert roads.post(src, 0, Ping(nonce))
    each_us = weight(Ping(1)) * 8 * SECOND // 64_000
    roads.run(300 * each_us)
    # Of each a third of what it could have sent alone has been taken in.
    room = [0, 0, 0]
    for src in (1, 2, 3):
        while roads.post(src, 0, Ping(-1)):
            room[src - 1] += 1
    assert all(98 <= each <= 106 for each in room), room
    roads.run()
    assert len(roads.came) == 3 * OUTBOX_SLOTS + sum(room)


def test_what_had_not_left_a_node_that_died_is_lost_and_its_line_is_free() -> None:
    roads = Roads(on(Line(0, 64_000)))
    for nonce in range(10):
        roads.post(0, 1, Ping(nonce))
        roads.post(0, 2, Ping(nonce + 100))
    each_us = -(-weight(Ping(1)) * 8 * SECOND // 64_000)
    roads.run(3 * each_us + 1)
    roads.network.died(0)
    roads.network.post(roads.road(0, 1), Fin(1), roads.now)
    roads.run()
    assert nonces(roads) == [0, 100, 1, 101]
    assert isinstance(roads.came[-1][3], Fin)
    assert roads.came[-1][0] <= UNIT_US + 4 * each_us + 256 * 8 * SECOND // 64_000 + 1
    assert roads.network.up[0].bytes == 4 * weight(Ping(1)) + 256


def test_what_waits_for_a_link_that_has_ended_is_lost_after_its_farewell() -> None:
    roads = Roads(on(Line(0, 64_000)))
    each_us = weight(Ping(1)) * 8 * SECOND // 64_000
    for nonce in range(100):
        roads.post(0, 1, Ping(nonce), serial=3)
    roads.network.post(roads.road(0, 1), Fin(3), roads.now)
    roads.network.closed(0, 1, 3, grace_us=20 * each_us + 1)
    roads.post(0, 1, Ping(200), serial=4)
    roads.post(0, 2, Ping(300))
    roads.run()
    assert nonces(roads) == [*range(21), 200, 300]
    assert [type(act) for *_, act in roads.came].index(Fin) == 21
    assert roads.now < 60 * each_us


def test_what_waits_behind_a_clog_is_lost_with_its_link_too_but_not_what_is_the_next_ones() -> None:
    roads = Roads(on(Line(0, 64_000)))
    roads.network.clog(roads.road(0, 1))
    for serial in (3, 3, 4):
        roads.post(0, 1, Ping(serial), serial=serial)
    roads.network.closed(0, 1, 3, grace_us=0)
    roads.run(1)
    roads.network.unclog(roads.road(0, 1), roads.now)
    roads.run()
    assert nonces(roads) == [4]
    roads.network._pipe(roads.road(0, 1)).tidy(roads.now)
    assert roads.network._pipe(roads.road(0, 1)).bytes == 0


def test_what_waits_for_a_clogged_road_had_not_left_and_goes_in_order_later() -> None:
    roads = Roads(on(Line(0, 64_000)))
    for nonce in range(6):
        roads.post(0, 1, Ping(nonce))
    roads.run(1)
    roads.network.clog(roads.road(0, 1))
    roads.post(0, 1, Ping(6))
    roads.run(SECOND)
    assert nonces(roads) == [0]
    roads.network.unclog(roads.road(0, 1), SECOND)
    roads.run()
    assert nonces(roads) == list(range(7))


def test_a_narrow_link_that_clogs_carries_nothing_until_then_and_all_of_its_width_after() -> None:
    roads = Roads(Conditions(link_bps=64_000))
    for nonce in range(100):
        roads.post(0, 1, Ping(nonce))
    each_us = weight(Ping(1)) * 8 * SECOND // 64_000
    roads.run(10 * each_us + 1)
    roads.network.clog(roads.road(0, 1))
    roads.run(11 * each_us + UNIT_US)
    assert nonces(roads) == list(range(11))
    roads.network.unclog(roads.road(0, 1), roads.now)
    before = roads.now
    roads.run()
    assert nonces(roads) == list(range(100))
    assert roads.now - before == pytest.approx(89 * each_us + UNIT_US, rel=0.02)


def test_a_clogged_road_holds_no_more_bytes_than_an_outbox_and_has_room_again_later() -> None:
    roads = Roads(on(Line(0, 100_000_000)))
    road = roads.road(0, 1)
    most = OUTBOX_BYTES // weight(part(65_536))
    for _ in range(3):
        roads.network.clog(road)
        assert [roads.post(0, 1, part(65_536)) for _ in range(most + 3)].count(True) == most
        roads.network.unclog(road, roads.now)
        roads.run()
    assert len(roads.came) == 3 * most
    roads.network.clog(road)
    roads.post(0, 1, part(65_536))
    roads.network.died(0)
    roads.network.unclog(road, roads.now)
    assert roads.network._pipe(road).bytes == 0


def test_nobody_waits_behind_a_call_that_is_still_being_dialled() -> None:
    roads = Roads(on(Line(0, 1_000_000)))
    call = Call(1, Ping(1))
    roads.network.launch_in(roads.network.direct(0, 1), call, 0, delay_us=SECOND)
    roads.post(0, 2, Ping(2))
    roads.run()
    assert [dst for _, dst, _, _ in roads.came] == [2, 1]
    assert roads.came[0][0] < SECOND < roads.came[1][0]


# ---------------------------------------------------------------- losses


def test_a_lost_segment_stalls_its_link_and_loses_and_reorders_nothing() -> None:
    roads = Roads(Conditions(loss_ppm=100_000))
    for nonce in range(500):
        assert roads.post(0, 1, Ping(nonce))
        roads.run(roads.now + 10 * SECOND)
    late = [when % (10 * SECOND) for when, *_ in roads.came]
    assert nonces(roads) == list(range(500))
    stalls = [each - UNIT_US for each in late if each > UNIT_US]
    assert 30 < len(stalls) < 75
    rto = Conditions().rto_us
    assert set(stalls) <= {rto * ((2 << lost) - 1) for lost in range(RETRIES)}
    assert stalls.count(rto) > len(stalls) // 2


def test_what_is_behind_a_stalled_message_waits_and_other_links_do_not() -> None:
    roads = Roads(Conditions(roads=(Road(0, 1, loss_ppm=500_000),)))
    for nonce in range(50):
        roads.post(0, 1, Ping(nonce))
        roads.post(0, 2, Ping(nonce + 100))
    roads.run()
    assert [each for each in nonces(roads) if each < 100] == list(range(50))
    assert all(when == UNIT_US for when, dst, *_ in roads.came if dst == 2)
    assert roads.now > UNIT_US + Conditions().rto_us


def test_a_segment_lost_in_the_middle_of_much_is_missed_after_a_round_trip() -> None:
    stalls = set()
    for seed in range(200):
        roads = Roads(Conditions(loss_ppm=2_000), seed=seed)
        roads.post(0, 1, part(40 * SEGMENT_BYTES))
        roads.run()
        stalls.add(roads.now - UNIT_US)
    assert {0, 2 * UNIT_US, Conditions().rto_us} >= stalls >= {0, 2 * UNIT_US}


# ---------------------------------------------------------------- worlds


def asked(conditions: Conditions | None, seed: int = 3) -> tuple[World, Measures, str]:
    trace, measures = Trace(exact=True), Measures(sizes=True)
    graph = topologies.regular(12, 3, seed)
    world = World(
        seed,
        graph,
        conditions=conditions,
        cellars=[clinic(seed, host, 60) for host in range(graph.size)],
        observers=[trace, measures, *safety()],
    )
    world.run(SECOND)
    for origin in (0, 5, 7):
        world.finish(world.ask(origin))
    assert all(asking.report for asking in world.askings)
    world.run(world.now + 10 * SECOND)
    world.end()
    return world, measures, trace.digest


def test_lines_without_a_width_change_nothing() -> None:
    assert asked(Conditions())[2] == asked(None)[2]


def test_on_lines_of_clinics_the_same_seed_has_the_same_trace_and_queries_take_longer() -> None:
    conditions = Conditions(lines=(ADSL, LINES["fibre"]), loss_ppm=1_000)
    world, measures, digest = asked(conditions)
    assert digest == asked(conditions)[2] != asked(conditions, seed=4)[2]
    fair = asked(None)[0]
    for slow, quick in zip(world.askings, fair.askings, strict=True):
        assert slow.took_us > quick.took_us
        assert sorted(slow.rows) == sorted(quick.rows)
    network = world.network
    assert isinstance(network, Lines)
    sent = sum(measures.bytes.values()) + RECORD_HEAD_BYTES * sum(measures.messages.values())
    assert sum(way.bytes for way in network.up) == sent
    assert sum(way.bytes for way in network.down) == sent


def test_a_node_that_dies_on_a_narrow_line_and_comes_back_answers_again() -> None:
    seed = 8
    world = World(
        seed,
        topologies.complete(5),
        conditions=Conditions(lines=(Line(256_000, 128_000),)),
        cellars=[clinic(seed, host, 40) for host in range(5)],
        observers=safety(),
        relink_us=SECOND,
    )
    world.run(SECOND)
    asking = world.ask(0)
    world.run(world.now + 150 * MILLISECOND)
    faults.crash(world, 3)
    world.finish(asking)
    assert asking.report is not None
    world.run(world.now + 2 * SECOND)
    faults.restart(world, 3)
    world.run(world.now + 40 * SECOND)
    again = world.ask(0)
    world.finish(again)
    assert world.hosts[3].node in again.rows


def test_nights_on_lines_that_clinics_have_break_no_rule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All faults at once; more of them: `python -m meshpacs_sim lines`."""
    assert command.main(["lines", "--first", "3", "--seeds", "2", "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "verdict: all held" in said
    assert f"trace {night(3).digest[:16]}" not in said


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Line(-1, 0), "down_bps"),
        (lambda: Conditions(link_bps=-1), "link_bps"),
        (lambda: Conditions(roads=(Road(0, 1, bps=-1),)), "roads"),
        (lambda: Conditions(loss_ppm=500_001), "loss_ppm"),
        (lambda: Conditions(rto_us=0), "rto_us"),
        (lambda: Conditions(lines=(Line(),), line_of=(0, 1)), "line_of"),
        (lambda: Conditions(lines=(Line(share=0),)), "lines"),
        (lambda: Conditions(lines=(Line(),), line_of=(0, 0)).access(1, 3), "line_of"),
    ],
)
def test_an_impossible_value_is_refused_by_its_field(make: object, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make()  # type: ignore[operator]


def test_lines_are_drawn_by_their_shares() -> None:
    lines = (Line(1, 1, share=3), Line(2, 2, share=1))
    drawn = Conditions(lines=lines).access(7, 4_000)
    assert drawn.count(lines[1]) == pytest.approx(1_000, abs=100)
    assert drawn == Conditions(lines=lines).access(7, 4_000) != Conditions(lines=lines).access(8, 1)
