"""Links come and go, and the engine hears of it once and in order."""

from collections.abc import Callable
from typing import cast

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.links.link import Link
from meshpacs.links.precedence import Precedence
from meshpacs.model import limits
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.ids import Micros, NodeId
from meshpacs.model.member import Member, Role
from meshpacs.node import switchboard as switchboard_module
from meshpacs.node.meters import Meters
from meshpacs.node.switchboard import DIRECT_IDLE_S, VISIT_WAITING, Switchboard
from meshpacs.node.views import CounterView
from meshpacs.wire.messages import Closed, Part, Ping, Pong, Purpose
from tests.node.imagined import ANNA, BERT, CARL, FakeEngine, FakeLink

MEMBERS = {
    ANNA: Member(ANNA, "Anna", Role.MEMBER, ("127.0.0.1:1",)),
    BERT: Member(BERT, "Bert", Role.MEMBER),
}


class Stage:
    """A switchboard whose driver calls at once and whose dialler is the test."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.engine = FakeEngine()
        self.nursery = nursery
        self.dialled: list[tuple[NodeId, Purpose]] = []
        self.tell_gate = trio.Event()
        self.tell_gate.set()
        self.dial_gate = trio.Event()
        self.dial_gate.set()
        self.answers: dict[NodeId, FakeLink | Exception] = {}
        self.bulk: list[object] = []
        self.board = Switchboard(
            members=lambda: MEMBERS,
            dial=self._dial,  # type: ignore[arg-type]
            precedence=Precedence(CARL),
            meters=Meters(lambda: 7),
            on_bulk=self._on_bulk,
        )

    async def tell(self, turn: Callable[[FakeEngine, Micros], object]) -> None:
        await self.tell_gate.wait()
        turn(self.engine, 0)

    async def _dial(self, member: Member, purpose: Purpose) -> FakeLink:
        self.dialled.append((member.node, purpose))
        await self.dial_gate.wait()
        answer = self.answers[member.node]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _on_bulk(self, link: object) -> None:
        self.bulk.append(link)

    async def served(self, link: FakeLink) -> FakeLink:
        """Have a link served; it is up when this returns."""
        self.nursery.start_soon(self.board.serve, cast("Link", link))
        await trio.testing.wait_all_tasks_blocked()
        return link


@pytest.fixture
async def stage(nursery: trio.Nursery) -> Stage:
    made = Stage(nursery)
    await nursery.start(made.board.run, made)
    return made


def names(stage: Stage) -> list[object]:
    return [call[0] for call in stage.engine.calls]


async def test_a_control_link_is_told_used_and_its_end_told(stage: Stage) -> None:
    link = await stage.served(FakeLink(ANNA))
    assert stage.engine.calls == [("linked", ANNA, False)]
    stage.board.post(ANNA, Ping(1))
    assert link.posted == [Ping(1)]
    link.say(Pong(1, 2))
    await stage.engine.until("receive", ANNA, Pong(1, 2))
    link.end()
    await link.closed.wait()
    await stage.engine.until("unlinked", ANNA)
    stage.board.post(ANNA, Ping(2))
    assert link.posted == [Ping(1)], "without a link it is dropped"
    meter = stage.board.meters.of(ANNA)
    assert (meter.bytes_in, meter.bytes_out, meter.messages_in, meter.messages_out) == (1, 2, 3, 4)
    assert meter.last_seen_us == 7
    assert stage.board.count == 0


async def test_a_newer_link_replaces_the_older_in_one_breath(stage: Stage) -> None:
    old = await stage.served(FakeLink(ANNA))
    new = await stage.served(FakeLink(ANNA, outbound=True, boot=2))
    await old.closed.wait()
    assert stage.engine.calls == [
        ("linked", ANNA, False),
        ("unlinked", ANNA),
        ("linked", ANNA, True),
    ]
    stage.board.post(ANNA, Ping(1))
    assert new.posted == [Ping(1)]


async def test_the_loser_of_two_crossing_links_is_closed_without_a_word(stage: Stage) -> None:
    await stage.served(FakeLink(ANNA))
    # Dialled by ourselves, and Anna's id is the smaller: her dial wins.
    spare = await stage.served(FakeLink(ANNA, outbound=True))
    assert spare.aclosed
    assert names(stage) == ["linked"]


async def test_whoever_breaks_the_protocol_loses_that_link_and_is_heard_no_more(
    stage: Stage,
) -> None:
    stage.engine.raises["receive"] = PeerFault("An Ask came twice.")
    link = await stage.served(FakeLink(ANNA))
    link.say(Ping(1))
    link.say(Ping(2))
    await link.closed.wait()
    await stage.engine.until("unlinked", ANNA)
    assert names(stage).count("receive") == 1
    meter = stage.board.meters.of(ANNA)
    assert meter.blamed == 1
    assert meter.last_error == "An Ask came twice."


async def test_a_link_that_reads_garbage_ends_and_is_blamed(stage: Stage) -> None:
    link = await stage.served(FakeLink(ANNA))
    link.end(PeerFault("A frame is too large."))
    await stage.engine.until("unlinked", ANNA)
    assert stage.board.meters.of(ANNA).last_error == "A frame is too large."


async def test_a_link_that_breaks_is_remembered_with_its_reason(stage: Stage) -> None:
    link = await stage.served(FakeLink(ANNA))
    link.end(Unavailable("The connection was reset.", "Look at the network."))
    await stage.engine.until("unlinked", ANNA)
    meter = stage.board.meters.of(ANNA)
    assert (meter.last_error, meter.mend) == ("The connection was reset.", "Look at the network.")
    assert meter.blamed == 0


async def test_hanging_up_is_not_told_back(stage: Stage) -> None:
    link = await stage.served(FakeLink(ANNA))
    link.say(Ping(1))
    stage.board.hangup(ANNA, "crowded", everything=False)
    await link.closed.wait()
    await trio.testing.wait_all_tasks_blocked()
    assert "unlinked" not in names(stage)
    assert "receive" not in names(stage)
    stage.board.hangup(BERT, "nothing to hang up", everything=True)


async def test_after_hanging_up_the_peer_can_be_dialled_before_the_goodbye_is_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A frozen peer does not read: its link takes two seconds to close, and the engine may want to
    # dial again after one.
    link = await stage.served(FakeLink(ANNA))
    monkeypatch.setattr(link, "close", lambda _reason: None)
    stage.board.hangup(ANNA, "3 keepalives were not answered", everything=False)
    stage.answers[ANNA] = new = FakeLink(ANNA, outbound=True)
    stage.board.dial(ANNA)
    await stage.engine.until("linked", ANNA, True)
    assert names(stage) == ["linked", "linked"], "the engine knows that the first one is gone"
    link.end()
    await link.closed.wait()
    stage.board.post(ANNA, Ping(1))
    assert new.posted == [Ping(1)]


async def test_hanging_up_everything_ends_bulk_and_direct_links_too(stage: Stage) -> None:
    control = await stage.served(FakeLink(ANNA))
    direct = await stage.served(FakeLink(ANNA, Purpose.DIRECT))
    stage.board.hangup(ANNA, "crowded", everything=False)
    await control.closed.wait()
    assert not direct.aclosed
    stage.board.hangup(ANNA, "it is no member any more", everything=True)
    await direct.closed.wait()


async def test_a_hangup_before_the_engine_heard_of_the_link_wins(stage: Stage) -> None:
    stage.tell_gate = trio.Event()
    link = await stage.served(FakeLink(ANNA))
    stage.board.hangup(ANNA, "revoked", everything=True)
    stage.tell_gate.set()
    await link.closed.wait()
    assert names(stage) == []


async def test_a_full_outbox_costs_the_peer_the_message(stage: Stage) -> None:
    link = await stage.served(FakeLink(ANNA))
    link.full = True
    for nonce in range(3):
        stage.board.post(ANNA, Ping(nonce))
    assert stage.board.meters.of(ANNA).dropped == 3


async def test_what_a_full_outbox_has_cost_is_told_with_the_closed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await stage.served(FakeLink(ANNA))
    link.full = True
    stage.board.post(ANNA, Part(1, b"sealed"))
    stage.board.post(ANNA, Part(1, b"sealed"))
    link.full = False
    for token in (1, 2, 1):
        stage.board.post(ANNA, Closed(token, (BERT,)))
    assert link.posted == [Closed(1, (CARL, BERT)), Closed(2, (BERT,)), Closed(1, (BERT,))]
    monkeypatch.setattr(switchboard_module, "OPEN_QUERIES", 1)
    link.full = True
    for token in (3, 4):
        stage.board.post(ANNA, Part(token, b"sealed"))
    link.full = False
    stage.board.post(ANNA, Closed(3))
    assert link.posted[-1] == Closed(3), "the oldest is forgotten: nothing grows without bound"


async def test_dialling_ends_in_linked(stage: Stage) -> None:
    stage.answers[ANNA] = FakeLink(ANNA, outbound=True)
    stage.board.dial(ANNA)
    stage.board.dial(ANNA)
    await stage.engine.until("linked", ANNA, True)
    stage.board.dial(ANNA)
    assert stage.dialled == [(ANNA, Purpose.CONTROL)], "one dial, while under way and when linked"


async def test_dialling_in_vain_is_told_with_the_reason_kept(stage: Stage) -> None:
    stage.answers[ANNA] = Unavailable("127.0.0.1:1 refused the connection.", "Is it up?")
    stage.board.dial(ANNA)
    await stage.engine.until("unreachable", ANNA)
    assert stage.board.meters.of(ANNA).mend == "Is it up?"
    assert not stage.board.dialling(ANNA)


async def test_a_member_without_an_address_cannot_be_dialled(stage: Stage) -> None:
    stage.board.dial(BERT)
    await stage.engine.until("unreachable", BERT)
    assert "advertise" in stage.board.meters.of(BERT).mend
    stage.board.dial(CARL)
    await stage.engine.until("unreachable", CARL)
    assert stage.dialled == []


async def test_a_dial_that_fails_when_the_peer_has_linked_meanwhile_is_no_failure(
    stage: Stage,
) -> None:
    stage.dial_gate = trio.Event()
    stage.answers[ANNA] = Unavailable("Refused.")
    stage.board.dial(ANNA)
    assert stage.board.dialling(ANNA)
    await stage.served(FakeLink(ANNA))
    stage.dial_gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert names(stage) == ["linked"]


async def test_a_visit_dials_once_and_sends_all_that_waited(stage: Stage) -> None:
    stage.dial_gate = trio.Event()
    link = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    stage.answers[ANNA] = link
    for nonce in range(VISIT_WAITING + 1):
        stage.board.visit(ANNA, Ping(nonce))
    stage.dial_gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.dialled == [(ANNA, Purpose.DIRECT)]
    assert link.posted == [Ping(nonce) for nonce in range(VISIT_WAITING)]
    assert stage.board.meters.of(ANNA).dropped == 1
    stage.board.visit(ANNA, Ping(99))
    assert link.posted[-1] == Ping(99)
    link.say(Pong(1, 2))
    await stage.engine.until("receive", ANNA, Pong(1, 2))
    link.end()
    await stage.engine.until("unreachable", ANNA)


async def test_a_visit_that_cannot_be_made_is_told(stage: Stage) -> None:
    stage.answers[ANNA] = Unavailable("Refused.")
    stage.board.visit(ANNA, Ping(1))
    await stage.engine.until("unreachable", ANNA)
    stage.answers[ANNA] = link = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    stage.board.visit(ANNA, Ping(2))
    await trio.testing.wait_all_tasks_blocked()
    assert link.posted == [Ping(2)]


async def test_a_visit_to_a_neighbour_goes_another_way_than_its_silent_link(stage: Stage) -> None:
    control = await stage.served(FakeLink(ANNA))
    stage.answers[ANNA] = direct = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    stage.board.visit(ANNA, Ping(1))
    await trio.testing.wait_all_tasks_blocked()
    assert (control.posted, direct.posted) == ([], [Ping(1)])


async def test_a_direct_link_is_closed_when_idle_and_that_is_no_failure(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.answers[ANNA] = link = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    began = trio.current_time()
    stage.board.visit(ANNA, Ping(1))
    await trio.testing.wait_all_tasks_blocked()
    autojump_clock.jump(DIRECT_IDLE_S - 1)
    stage.board.visit(ANNA, Ping(2))
    await link.closed.wait()
    assert trio.current_time() - began >= 2 * DIRECT_IDLE_S - 1
    await trio.testing.wait_all_tasks_blocked()
    assert names(stage) == []


async def test_two_direct_links_with_one_peer_do_not_disturb_each_other(stage: Stage) -> None:
    older = await stage.served(FakeLink(ANNA, Purpose.DIRECT))
    newer = await stage.served(FakeLink(ANNA, Purpose.DIRECT))
    older.end()
    await older.closed.wait()
    stage.board.visit(ANNA, Ping(1))
    assert newer.posted == [Ping(1)]


async def test_bulk_links_go_to_their_handler_or_to_who_dialled_them(stage: Stage) -> None:
    link = await stage.served(FakeLink(ANNA, Purpose.BULK))
    assert stage.bulk == [link]
    assert link.aclosed
    dialled = FakeLink(ANNA, Purpose.BULK, outbound=True)
    stage.answers[ANNA] = dialled
    async with stage.board.bulk(ANNA) as got:
        assert cast("object", got) is dialled
        assert stage.board.count == 1
    assert dialled.aclosed
    stage.answers[ANNA] = Unavailable("Refused.")
    with pytest.raises(Unavailable):
        async with stage.board.bulk(ANNA):
            pytest.fail("there is no link")


async def test_a_count_outlives_its_link_and_purposes_are_counted_apart(stage: Stage) -> None:
    ended = await stage.served(FakeLink(ANNA))
    ended.end()
    await ended.closed.wait()
    await stage.served(FakeLink(BERT))
    await stage.served(FakeLink(BERT, Purpose.DIRECT))
    views = stage.board.meters.counters.views(stage.board.links())
    # A FakeLink has counted 2 Pings of 20 bytes in, 4 of 30 out, and one Pong of 9 in.
    assert views == (
        CounterView("control", "Ping", 4, 2 * (20 + 2 * 4), 8, 2 * (30 + 4 * 4)),
        CounterView("control", "Pong", 2, 2 * (9 + 4), 0, 0),
        CounterView("direct", "Ping", 2, 20 + 2 * 4, 4, 30 + 4 * 4),
        CounterView("direct", "Pong", 1, 9 + 4, 0, 0),
    )
    assert views == stage.board.meters.counters.views(stage.board.links()), "looking adds nothing"


async def test_more_links_than_the_limit_are_closed_unserved(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.LINKS > 1
    monkeypatch.setattr(switchboard_module, "LINKS", 1)
    await stage.served(FakeLink(ANNA))
    refused = await stage.served(FakeLink(BERT))
    assert refused.aclosed
    assert names(stage) == ["linked"]


async def test_one_member_cannot_take_all_links(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchboard_module, "LINKS_OF_ONE", 2)
    for _ in range(2):
        assert not (await stage.served(FakeLink(ANNA, Purpose.DIRECT))).aclosed
    assert (await stage.served(FakeLink(ANNA, Purpose.DIRECT))).aclosed
    assert not (await stage.served(FakeLink(BERT, Purpose.DIRECT))).aclosed


async def test_what_was_dialled_and_found_no_room_is_told_as_unreachable(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchboard_module, "LINKS", 0)
    stage.answers[ANNA] = FakeLink(ANNA, outbound=True)
    stage.board.dial(ANNA)
    await stage.engine.until("unreachable", ANNA)
    stage.answers[ANNA] = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    stage.board.visit(ANNA, Ping(1))
    await trio.testing.wait_all_tasks_blocked()
    assert names(stage) == ["unreachable", "unreachable"]
    monkeypatch.setattr(switchboard_module, "LINKS", 1)
    stage.answers[ANNA] = link = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    stage.board.visit(ANNA, Ping(2))
    await trio.testing.wait_all_tasks_blocked()
    assert link.posted == [Ping(2)], "it is dialled again"


@pytest.mark.parametrize("purpose", [Purpose.CONTROL, Purpose.DIRECT, Purpose.BULK])
async def test_who_was_revoked_while_hands_were_shaken_gets_no_link(
    stage: Stage, purpose: Purpose
) -> None:
    refused = await stage.served(FakeLink(CARL, purpose))
    assert refused.aclosed
    assert stage.bulk == []
    assert names(stage) == []


async def test_nothing_is_sent_into_a_direct_link_that_its_dialler_may_be_closing(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    inbound = await stage.served(FakeLink(ANNA, Purpose.DIRECT))
    autojump_clock.jump(DIRECT_IDLE_S - 1)
    stage.answers[ANNA] = own = FakeLink(ANNA, Purpose.DIRECT, outbound=True)
    stage.board.visit(ANNA, Ping(1))
    await trio.testing.wait_all_tasks_blocked()
    assert (inbound.posted, own.posted) == ([], [Ping(1)])


async def test_a_member_that_is_off_all_night_is_one_line_in_the_log(stage: Stage) -> None:
    stage.answers[ANNA] = Unavailable("127.0.0.1:1 refused the connection.", "Is it up?")
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            stage.board.dial(ANNA)
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(5):
            stage.board.blame(BERT, "A forged answer came.")
    assert [line["event"] for line in logs] == ["dial_failed"] + ["peer_blamed"] * 3
    assert stage.board.meters.of(BERT).blamed == 5
