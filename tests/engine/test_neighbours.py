"""Whom to be linked with, how each is heard, and what a change of the roster does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshpacs.engine.effects import Dial, Effect, Hangup, Send
from meshpacs.engine.engine import Engine
from meshpacs.engine.settings import Settings
from meshpacs.model.ids import MILLISECOND, SECOND, Digest, Micros, NodeId
from meshpacs.model.member import Member, Role
from meshpacs.model.query import Ball, Everyone
from meshpacs.wire.messages import (
    Ask,
    ChainHead,
    Closed,
    Digests,
    Got,
    Heads,
    Message,
    Ping,
    Pong,
    Recall,
    RosterNews,
    Unsupported,
)
from meshpacs.wire.roster import News
from tests.engine.clinic import (
    ANNA,
    BERT,
    CARL,
    CT,
    DORA,
    EVERYBODY,
    HEAD,
    ME,
    MESH,
    NOW,
    STRANGER,
    Clinic,
    node,
    only,
    sent,
)
from tests.engine.test_inquiring import Asked

LIVE = Settings()
MANY = {n: Member(n, "m", Role.MEMBER) for n in [ME, *(node(str(i)) for i in range(40))]}
OTHERS = [n for n in MANY if n != ME]
HEADS = Heads((), HEAD, HEAD)


def dialled(effects: list[Effect]) -> list[NodeId]:
    return [effect.peer for effect in effects if isinstance(effect, Dial)]


# ---------------------------------------------------------------- the overlay


def test_in_a_small_mesh_everybody_is_dialled() -> None:
    clinic = Clinic(settings=LIVE)
    assert dialled(clinic.engine.start(NOW)) == sorted({ANNA, BERT, CARL, DORA})
    assert clinic.engine.start(NOW) == []


def test_a_frozen_overlay_dials_nobody() -> None:
    clinic = Clinic()
    assert clinic.engine.start(NOW) == []
    assert clinic.engine.unlinked(ANNA, NOW) == []
    assert clinic.engine.next_deadline() is None


def test_a_frozen_overlay_with_given_neighbours_dials_these_and_turns_away_others() -> None:
    settings = replace(LIVE, frozen_overlay=True, frozen_neighbours=(BERT, ANNA, STRANGER))
    clinic = Clinic(settings=settings)
    assert dialled(clinic.engine.start(NOW)) == [BERT, ANNA]
    assert not [e for e in clinic.engine.linked(ANNA, NOW, outbound=True) if type(e) is Hangup]
    assert not [e for e in clinic.engine.linked(BERT, NOW, outbound=False) if type(e) is Hangup]
    assert only(Hangup, clinic.engine.linked(CARL, NOW, outbound=False)).peer == CARL
    assert dialled(clinic.engine.unlinked(BERT, NOW)) == []
    due = clinic.engine.next_deadline()
    assert due is not None
    assert due <= NOW + 2 * SECOND
    assert dialled(clinic.engine.wake(due)) == [BERT]


def test_in_a_larger_mesh_a_few_are_drawn() -> None:
    clinic = Clinic((), dict(MANY), LIVE)
    first = dialled(clinic.engine.start(NOW))
    assert len(set(first)) == 6
    other = Clinic((), dict(MANY), LIVE)
    assert dialled(other.engine.start(NOW)) == first


def test_two_links_at_least_are_dialled_by_ourselves() -> None:
    clinic = Clinic((), dict(MANY), LIVE)
    for peer in OTHERS[:10]:
        clinic.engine.linked(peer, NOW, outbound=False)
    assert len(dialled(clinic.engine.start(NOW))) == 2


def test_who_could_not_be_reached_rests_and_another_is_tried() -> None:
    clinic = Clinic((), dict(MANY), LIVE)
    first = dialled(clinic.engine.start(NOW))
    again = dialled(clinic.engine.unreachable(first[0], NOW))
    assert len(again) == 1
    assert again[0] not in first


def test_the_rest_grows_and_is_drawn() -> None:
    clinic = Clinic((), {n: EVERYBODY[n] for n in (ME, ANNA)}, LIVE)
    now, rests = NOW, []
    assert dialled(clinic.engine.start(now)) == [ANNA]
    for _ in range(8):
        assert dialled(clinic.engine.unreachable(ANNA, now)) == []
        due = clinic.engine.next_deadline()
        assert due is not None
        rests.append(due - now)
        now = due
        assert dialled(clinic.engine.wake(now)) == [ANNA]
    for rest, pause_s in zip(rests, (2, 4, 8, 16, 32, 60, 60, 60), strict=True):
        assert pause_s * SECOND // 2 <= rest <= pause_s * SECOND
    clinic.engine.linked(ANNA, now, outbound=True)
    clinic.engine.unlinked(ANNA, now)
    due = clinic.engine.next_deadline()
    assert due is not None
    assert due - now <= 2 * SECOND


def test_a_lost_neighbour_is_replaced() -> None:
    clinic = Clinic((), dict(MANY), LIVE)
    first = dialled(clinic.engine.start(NOW))
    for peer in first:
        clinic.engine.linked(peer, NOW, outbound=True)
    assert len(dialled(clinic.engine.unlinked(first[0], NOW))) == 1


def test_one_neighbour_too_many_is_turned_away() -> None:
    clinic = Clinic((), dict(MANY), LIVE)
    for peer in OTHERS[:16]:
        assert sent(clinic.engine.linked(peer, NOW, outbound=False))
    hung_up = only(Hangup, clinic.engine.linked(OTHERS[16], NOW, outbound=False))
    assert (hung_up.peer, hung_up.everything) == (OTHERS[16], False)
    assert OTHERS[16] not in clinic.engine.peers
    assert OTHERS[17] not in clinic.engine.peers
    clinic.engine.linked(OTHERS[17], NOW, outbound=True)
    assert OTHERS[17] in clinic.engine.peers


# ---------------------------------------------------------------- the roster


def test_a_stranger_is_hung_up_on() -> None:
    assert only(Hangup, Clinic().engine.linked(STRANGER, NOW, outbound=False)).everything


def test_who_is_no_member_any_more_is_hung_up_on_and_not_dialled() -> None:
    clinic = Clinic((ANNA,), settings=LIVE)
    rest = {n: m for n, m in EVERYBODY.items() if n != ANNA}
    effects = clinic.engine.members_changed(rest, HEAD, NOW)
    hung_up = only(Hangup, effects)
    assert (hung_up.peer, hung_up.everything) == (ANNA, True)
    assert ANNA not in dialled(effects)
    assert clinic.engine.unlinked(ANNA, NOW) == []


def test_a_new_member_is_dialled_and_a_new_role_counts() -> None:
    clinic = Clinic((ANNA, BERT), settings=LIVE)
    clinic.engine.start(NOW)
    new = Member(STRANGER, "new", Role.MEMBER)
    changed = {**EVERYBODY, STRANGER: new, BERT: Member(BERT, "b", Role.OBSERVER)}
    assert dialled(clinic.engine.members_changed(changed, HEAD, NOW)) == [STRANGER]
    assert sent(clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW), BERT) == []


class Gossiping:
    """A roster that learns one thing."""

    def __init__(self, members: dict[NodeId, Member]) -> None:
        self.after = members
        self.told: list[tuple[NodeId, Message, list[NodeId]]] = []
        self.level: list[NodeId] = []

    def linked(self, peer: NodeId) -> list[Effect]:
        return [Send(peer, HEADS)]

    def settled(self, peer: NodeId) -> bool:
        return peer in self.level

    def receive(
        self, peer: NodeId, message: Heads | Digests | RosterNews, neighbours: list[NodeId]
    ) -> tuple[list[Effect], bool]:
        self.told.append((peer, message, neighbours))
        return [Send(peer, HEADS)], isinstance(message, RosterNews)

    def learn(self, news: News, neighbours: Sequence[NodeId]) -> tuple[list[Effect], bool]:
        return [Send(peer, HEADS) for peer in neighbours], bool(news)

    def members(self) -> dict[NodeId, Member]:
        return self.after

    def head(self) -> Digest:
        return Digest(b"2" * 32)


def gossiping(after: dict[NodeId, Member]) -> tuple[Engine, Gossiping]:
    clinic, gossip = Clinic(), Gossiping(after)
    engine = Engine(
        node=ME,
        mesh=MESH,
        boot=1,
        seed=1,
        notary=clinic.notary(ME),
        members=EVERYBODY,
        roster_head=HEAD,
        boots={},
        settings=replace(LIVE, frozen_overlay=True),
        gossip=gossip,
    )
    return engine, gossip


def test_heads_are_the_first_thing_on_every_link() -> None:
    engine, _ = gossiping(dict(EVERYBODY))
    first, second = sent(engine.linked(ANNA, NOW, outbound=True))
    assert (first, type(second)) == (HEADS, Ping)


def test_whoever_is_behind_catches_up_before_it_is_asked() -> None:
    engine, gossip = gossiping(dict(EVERYBODY))
    for peer in (ANNA, BERT):
        engine.linked(peer, NOW, outbound=True)
    _, effects = engine.ask(CT, Everyone(), NOW)
    assert [m for m in sent(effects) if isinstance(m, Ask)] == []
    gossip.level.append(BERT)
    engine.receive(BERT, HEADS, NOW)
    engine.receive(CARL, HEADS, NOW)
    _, effects = engine.ask(CT, Everyone(), NOW)
    assert only(Ask, sent(effects)) in sent(effects, BERT)


def test_a_ball_that_passes_over_who_is_behind_asks_it_directly() -> None:
    # It is within the ball, and nobody else will say that it was not asked.
    engine, gossip = gossiping(dict(EVERYBODY))
    gossip.level.append(BERT)
    for peer in (ANNA, BERT):
        engine.linked(peer, NOW, outbound=True)
    query_id, effects = engine.ask(CT, Ball(1), NOW)
    assert sent(effects, ANNA) == []
    token = only(Ask, sent(effects, BERT)).token
    engine.local_found(query_id, (), NOW)
    assert only(Recall, sent(engine.receive(BERT, Closed(token), NOW), ANNA))


def test_who_has_caught_up_with_us_may_ask_before_we_have_with_it() -> None:
    engine, _ = gossiping(dict(EVERYBODY))
    engine.linked(ANNA, NOW, outbound=True)
    ask = Clinic().ask(ANNA, 1)
    assert only(Got, sent(engine.receive(ANNA, ask, NOW), ANNA)) == Got(1)


def test_news_of_the_roster_change_the_members() -> None:
    engine, gossip = gossiping({n: m for n, m in EVERYBODY.items() if n != BERT})
    engine.linked(ANNA, NOW, outbound=True)
    engine.linked(BERT, NOW, outbound=True)
    heads = Heads((ChainHead(b"f" * 32, 1, HEAD),), HEAD, HEAD)
    assert engine.receive(ANNA, heads, NOW) == [Send(ANNA, HEADS)]
    effects = engine.receive(ANNA, RosterNews((), (), ()), NOW)
    assert gossip.told[0] == (ANNA, heads, [ANNA, BERT])
    assert only(Hangup, effects).peer == BERT


def test_what_was_added_to_the_roster_here_is_told_onward() -> None:
    engine, _ = gossiping({n: m for n, m in EVERYBODY.items() if n != BERT})
    engine.linked(ANNA, NOW, outbound=True)
    engine.linked(BERT, NOW, outbound=True)
    nothing = engine.learnt(News(), NOW)
    assert nothing == [Send(ANNA, HEADS), Send(BERT, HEADS)]
    assert only(Hangup, engine.learnt(News(entries=(b"e",)), NOW)).peer == BERT
    assert Clinic((ANNA,)).engine.learnt(News(entries=(b"e",)), NOW) == []


def test_without_gossip_news_of_the_roster_are_ignored() -> None:
    assert Clinic((ANNA,)).engine.receive(ANNA, HEADS, NOW) == []


# ---------------------------------------------------------------- keepalive


def pinged(effects: list[Effect]) -> Ping:
    return only(Ping, sent(effects))


def test_a_link_is_measured_when_it_comes_up() -> None:
    clinic = Clinic()
    clinic.engine.clock(1_000)
    ping = pinged(clinic.engine.linked(ANNA, NOW, outbound=True))
    there = NOW + 40 * MILLISECOND
    clinic.engine.receive(
        ANNA, Pong(ping.nonce, there + 1_000 + 5 * SECOND), NOW + 80 * MILLISECOND
    )
    peer = clinic.engine.peers.get(ANNA)
    assert peer is not None
    assert (peer.rtt_us, peer.offset_us) == (80 * MILLISECOND, 5 * SECOND)


def test_the_round_trip_is_smoothed() -> None:
    clinic = Clinic((ANNA,))
    peer = clinic.engine.peers.get(ANNA)
    assert peer is not None
    peer.measured(0)
    assert peer.rtt_us == 1
    peer.measured(8_001)
    assert peer.rtt_us == 1_001


def test_a_pong_that_fits_no_ping_is_ignored() -> None:
    clinic = Clinic((ANNA,))
    clinic.engine.receive(ANNA, Pong(77, 5), NOW)
    clinic.engine.receive(BERT, Pong(1, 5), NOW)
    clinic.engine.receive(ANNA, Pong(1, NOW), NOW + 10)
    clinic.engine.receive(ANNA, Pong(1, NOW), NOW + 999_999)
    peer = clinic.engine.peers.get(ANNA)
    assert peer is not None
    assert peer.rtt_us == 10


def test_a_ping_is_answered_with_our_wall_clock() -> None:
    clinic = Clinic((ANNA,))
    clinic.engine.clock(7)
    assert clinic.engine.receive(ANNA, Ping(5), NOW) == [Send(ANNA, Pong(5, NOW + 7))]


def test_who_misses_three_keepalives_is_hung_up_on() -> None:
    clinic = Clinic((ANNA,), settings=replace(LIVE, full_mesh=0, neighbours=0, self_dialled=0))
    now: Micros = NOW
    effects: list[Effect] = []
    times = []
    while not [e for e in effects if isinstance(e, Hangup)]:
        now = clinic.engine.next_deadline() or 0
        times.append((now - NOW) // SECOND)
        effects = clinic.engine.wake(now)
    assert times == [30, 60, 90]
    assert ANNA not in clinic.engine.peers


def test_who_says_anything_is_alive() -> None:
    clinic = Clinic((ANNA,))
    for minute in range(1, 10):
        clinic.engine.receive(ANNA, Unsupported(9), NOW + minute * 30 * SECOND - 1)
        assert pinged(clinic.engine.wake(NOW + minute * 30 * SECOND))


def test_a_pong_sets_the_next_keepalive() -> None:
    clinic = Clinic((ANNA,))
    clinic.engine.receive(ANNA, Pong(1, NOW), NOW + SECOND)
    assert clinic.engine.next_deadline() == NOW + 31 * SECOND
    assert pinged(clinic.engine.wake(NOW + 31 * SECOND)).nonce == 2


def test_who_was_stopped_itself_blames_nobody_at_once() -> None:
    clinic = Clinic((ANNA, BERT))
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    assert only(Ask, sent(asked, BERT))
    late = NOW + 6 * SECOND
    assert clinic.engine.wake(late) == []
    assert clinic.engine.peers.health == 1
    assert not clinic.engine.attendance.silent(BERT)
    clinic.engine.wake(late + SECOND)
    assert clinic.engine.attendance.silent(BERT)


def test_our_own_lateness_makes_us_patient_and_pongs_heal_it() -> None:
    clinic = Clinic((ANNA,))
    for _ in range(12):
        clinic.engine.peers.overslept()
    assert clinic.engine.peers.health == 8
    clinic.engine.receive(ANNA, Pong(1, NOW), NOW + 1)
    assert clinic.engine.peers.health == 7
    assert clinic.engine.peers.poke(BERT, NOW) == []
    assert pinged(clinic.engine.peers.poke(ANNA, NOW))
    assert clinic.engine.peers.poke(ANNA, NOW) == []


def test_a_stopped_asker_gives_its_recalls_another_chance() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT, CARL):
        asked.answer(who, now=NOW)
    asked.engine.wake(NOW + 3 * SECOND)
    assert not asked.engine.attendance.silent(DORA)
    asked.engine.wake(NOW + 5 * SECOND)
    assert asked.engine.attendance.silent(DORA)


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.RESEARCHER])
def test_a_leaf_is_linked_and_asked_nothing(role: Role) -> None:
    members = {**EVERYBODY, BERT: Member(BERT, "b", role)}
    clinic = Clinic((ANNA, BERT), members)
    assert BERT in clinic.engine.peers
    assert sent(clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW), BERT) == []
