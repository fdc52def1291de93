"""Queries of our own: what is asked, what counts as answered, and when it is over."""

import pytest

from meshpacs.engine import reading
from meshpacs.engine.effects import (
    Blame,
    DeliverFinal,
    DeliverRows,
    Effect,
    SearchLocal,
    Send,
    Visit,
)
from meshpacs.model.answer import Row, Status
from meshpacs.model.content import StudyState
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import SECOND, Digest, Micros, QueryId
from meshpacs.model.limits import BODY_BYTES, OWN_QUERIES
from meshpacs.model.member import Member, Role
from meshpacs.model.query import Ball, Everyone, Query, Scope
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Part, Ping, Pong, Recall
from meshpacs.wire.parts import cut
from tests.engine.clinic import (
    ANNA,
    BERT,
    CARL,
    CT,
    DORA,
    EVERYBODY,
    ME,
    NOW,
    ROW,
    STRANGER,
    Clinic,
    final,
    node,
    only,
    sent,
    statuses,
)

EVERYONE = Everyone()
ALL = (ANNA, BERT, CARL, DORA)


class Asked:
    """A clinic that has just asked, and the copies that went out."""

    def __init__(self, clinic: Clinic, scope: Scope = EVERYONE, now: Micros = NOW) -> None:
        self.clinic = clinic
        self.engine = clinic.engine
        self.query_id, self.effects = clinic.engine.ask(CT, scope, now)
        self.copies = {
            effect.peer: effect.message
            for effect in self.effects
            if isinstance(effect, Send) and isinstance(effect.message, Ask)
        }

    def answer(self, who, now: int = NOW + 10, rows=(), close: bool = True) -> list[Effect]:  # type: ignore[no-untyped-def]
        """This neighbour answers; with `close` its branch closes too."""
        ask = self.copies[who]
        effects: list[Effect] = []
        for part in self.clinic.answer(who, ask, rows):
            effects += self.engine.receive(who, Part(ask.token, part), now)
        if close:
            effects += self.engine.receive(who, Closed(ask.token), now)
        return effects


def test_everybody_linked_is_asked_and_our_own_archive_too() -> None:
    asked = Asked(Clinic(ALL))
    assert only(SearchLocal, asked.effects) == SearchLocal(asked.query_id, CT)
    assert set(asked.copies) == set(ALL)
    assert {(a.hops, a.ttl) for a in asked.copies.values()} == {(1, 0)}


def test_rows_are_delivered_as_they_come_and_the_report_when_all_have_answered() -> None:
    asked = Asked(Clinic(ALL))
    mine = asked.engine.local_found(asked.query_id, (ROW,), NOW + 1)
    assert mine == [DeliverRows(asked.query_id, ME, (ROW,))]
    for who in (ANNA, BERT, CARL):
        assert only(DeliverRows, asked.answer(who, rows=(ROW,))).holder == who
    last = asked.answer(DORA, now=NOW + 40, close=False)
    report = final(last)
    assert report.complete
    assert report.took_us == 40
    assert [answer.node for answer in report.members] == sorted(EVERYBODY)
    anna = next(a for a in report.members if a.node == ANNA)
    assert (anna.rows, anna.hops, anna.took_us, anna.as_of_us) == (1, 1, 10, 5)
    assert asked.engine.open_work() == Clinic().engine.open_work()


def test_a_node_alone_is_complete_with_itself() -> None:
    clinic = Clinic(members={ME: EVERYBODY[ME]})
    query_id, _ = clinic.engine.ask(CT, Everyone(), NOW)
    assert final(clinic.engine.local_found(query_id, (), NOW)).complete


def test_an_observer_asks_without_searching_itself() -> None:
    members = {**EVERYBODY, ME: Member(ME, "m", Role.CUSTODIAN)}
    asked = Asked(Clinic(ALL, members))
    assert not [e for e in asked.effects if isinstance(e, SearchLocal)]
    for who in (ANNA, BERT, CARL):
        asked.answer(who)
    assert ME not in statuses(final(asked.answer(DORA)))


def test_a_failed_local_search_is_in_the_report() -> None:
    asked = Asked(Clinic(ALL))
    asked.engine.local_failed(asked.query_id, NOW)
    for who in (ANNA, BERT, CARL):
        asked.answer(who)
    report = final(asked.answer(DORA))
    assert statuses(report)[ME] is Status.FAILED
    assert not report.complete


# ---------------------------------------------------------------- what counts


def test_a_second_answer_of_one_member_is_dropped() -> None:
    asked = Asked(Clinic(ALL))
    assert asked.answer(ANNA, rows=(ROW,), close=False)
    assert asked.answer(ANNA, rows=(ROW,), close=False) == []


def test_an_answer_of_somebody_who_left_is_dropped() -> None:
    asked = Asked(Clinic(ALL))
    rest = {n: m for n, m in EVERYBODY.items() if n != CARL}
    copy = asked.copies[CARL]
    parts = asked.clinic.answer(CARL, copy)
    asked.engine.members_changed(rest, Digest(b"2" * 32), NOW)
    assert asked.engine.receive(ANNA, Part(asked.copies[ANNA].token, parts[0]), NOW) == []


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("another member or another query", {"responder": ANNA}),
        ("another member or another query", {"query_id": QueryId(bytes(16))}),
        ("signature", {}),
        ("rows", {"rows": Digest(bytes(32))}),
        ("rows", {"row_count": 5}),
        ("status", {"status": "unreachable"}),
        ("status", {"status": "splendid"}),
    ],
)
def test_a_forged_answer_is_blamed_and_does_not_count(
    what: str, changes: dict[str, object]
) -> None:
    signer = CARL if what == "signature" else None
    asked = Asked(Clinic(ALL))
    ask = asked.copies[BERT]
    (part,) = asked.clinic.answer(BERT, ask, (ROW,), signer=signer, changes=changes)
    effects = asked.engine.receive(BERT, Part(ask.token, part), NOW)
    assert what in only(Blame, effects).what
    assert only(DeliverRows, asked.answer(BERT, rows=(ROW,))).holder == BERT


def test_a_part_that_is_not_for_us_is_blamed() -> None:
    asked = Asked(Clinic(ALL))
    effects = asked.engine.receive(ANNA, Part(asked.copies[ANNA].token, bytes(1100)), NOW)
    assert "sealed" in only(Blame, effects).what


def test_parts_that_contradict_each_other_are_blamed() -> None:
    asked = Asked(Clinic(ALL))
    fat = Row({0x00081030: ("x" * 1000,)}, (StudyState("1", Digest(bytes(32)), 1),))
    ask = asked.copies[ANNA]
    first, second = asked.clinic.answer(ANNA, ask, (fat,) * 100)
    assert asked.engine.receive(ANNA, Part(ask.token, first), NOW) == []
    again = asked.engine.receive(ANNA, Part(ask.token, first), NOW)
    assert "contradict" in only(Blame, again).what
    assert only(DeliverRows, asked.engine.receive(ANNA, Part(ask.token, second), NOW)).rows


def test_a_relays_forgery_spoils_only_what_passes_through_it() -> None:
    asked = Asked(Clinic((ANNA, BERT)))
    ask = asked.copies[ANNA]
    public = asked.clinic.answer(ANNA, ask)
    fat = Row({0x00081030: ("x" * 1000,)}, (StudyState("1", Digest(bytes(32)), 1),))
    forged = asked.clinic.answer(CARL, ask, (fat,) * 100)[0]
    assert asked.engine.receive(ANNA, Part(ask.token, forged), NOW) == []
    (true,) = asked.clinic.answer(CARL, ask, (ROW,))
    assert public
    by_bert = asked.engine.receive(BERT, Part(asked.copies[BERT].token, true), NOW)
    assert only(DeliverRows, by_bert).holder == CARL


def test_unfinished_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "UNFINISHED_BYTES", 100_000)
    asked = Asked(Clinic(ALL))
    fat = Row({0x00081030: ("x" * 1000,)}, (StudyState("1", Digest(bytes(32)), 1),))
    ask = asked.copies[ANNA]
    blamed = []
    for who in (CARL, DORA):
        first = asked.clinic.answer(who, ask, (fat,) * 100)[0]
        blamed += asked.engine.receive(ANNA, Part(ask.token, first), NOW)
    assert "unfinished" in only(Blame, blamed).what


def test_pieces_that_a_relay_makes_up_do_not_push_out_what_comes_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "UNFINISHED", 5)
    asked = Asked(Clinic((ANNA, BERT)))
    fat = Row({0x00081030: ("x" * 1000,)}, (StudyState("1", Digest(bytes(32)), 1),))
    ask, bad = asked.copies[BERT], asked.copies[ANNA]
    true = asked.clinic.answer(BERT, ask, (fat,) * 100)
    asked.engine.receive(BERT, Part(ask.token, true[0]), NOW)
    blamed: list[Effect] = []
    for number in range(40):
        forged = asked.clinic.answer(node(f"made up {number}"), ask, (fat,) * 100)[0]
        blamed += asked.engine.receive(ANNA, Part(bad.token, forged), NOW)
    assert {effect.peer for effect in blamed if isinstance(effect, Blame)} == {ANNA}
    rest = [asked.engine.receive(BERT, Part(ask.token, part), NOW) for part in true[1:]]
    assert only(DeliverRows, rest[-1]).holder == BERT


def test_who_overflows_nothing_is_not_blamed_for_who_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "UNFINISHED", 5)
    asked = Asked(Clinic((ANNA, BERT)))
    fat = Row({0x00081030: ("x" * 1000,)}, (StudyState("1", Digest(bytes(32)), 1),))
    ask, bad = asked.copies[BERT], asked.copies[ANNA]
    for number in range(5):
        forged = asked.clinic.answer(node(f"made up {number}"), ask, (fat,) * 100)[0]
        assert asked.engine.receive(ANNA, Part(bad.token, forged), NOW) == []
    true = asked.clinic.answer(BERT, ask, (fat,) * 100)
    given = [asked.engine.receive(BERT, Part(ask.token, part), NOW) for part in true]
    assert given[0] == []
    assert only(DeliverRows, given[-1]).holder == BERT


def test_answers_after_the_end_are_ignored() -> None:
    asked = Asked(Clinic(ALL))
    parts = asked.clinic.answer(ANNA, asked.copies[ANNA])
    asked.engine.cancel(asked.query_id, NOW)
    assert asked.engine.receive(ANNA, Part(asked.copies[ANNA].token, parts[0]), NOW) == []


# ---------------------------------------------------------------- asking directly


def test_whoever_the_flood_did_not_bring_is_asked_directly() -> None:
    asked = Asked(Clinic((ANNA, BERT)))
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.answer(ANNA)
    effects = asked.answer(BERT)
    recalls = [e for e in effects if isinstance(e, Visit)]
    assert [(e.peer, type(e.message)) for e in recalls] == [(CARL, Recall), (DORA, Recall)]
    answers: list[Effect] = []
    for visit in recalls:
        message = visit.message
        assert isinstance(message, Recall)
        answers += asked.engine.receive(visit.peer, Got(message.token), NOW + 20)
        (part,) = asked.clinic.answer(visit.peer, message, (ROW,))
        answers += asked.engine.receive(visit.peer, Part(message.token, part), NOW + 30)
    assert final(answers).complete


def test_who_cannot_be_asked_directly_is_unreachable_since_it_was_heard() -> None:
    asked = Asked(Clinic((ANNA, BERT)))
    asked.engine.clock(7)
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.engine.receive(CARL, Got(999), NOW + 1)
    asked.answer(ANNA)
    recalls = [e for e in asked.answer(BERT) if isinstance(e, Visit)]
    assert asked.engine.unreachable(CARL, NOW + 50) == []
    report = final(asked.engine.unreachable(DORA, NOW + 60))
    assert len(recalls) == 2
    assert not report.complete
    absent = {a.node: a for a in report.members if a.status is Status.UNREACHABLE}
    assert set(absent) == {CARL, DORA}
    assert absent[CARL].since_us == NOW + 1 + 7
    assert absent[DORA].since_us == 0


def test_a_silent_member_is_not_waited_for_again() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT, CARL):
        asked.answer(who)
    asked.engine.unreachable(DORA, NOW + 20)
    again = Asked(asked.clinic)
    again.engine.local_found(again.query_id, (), NOW)
    for who in (ANNA, BERT):
        again.answer(who)
    assert statuses(final(again.answer(CARL)))[DORA] is Status.UNREACHABLE


def test_a_silent_member_far_away_is_pinged_now_and_then_and_waited_for_once_it_is_heard() -> None:
    # It may be back, and hidden by the one member through whom we would hear of it.
    clinic = Clinic((ANNA, BERT, CARL))

    def ask(now: int) -> list[Effect]:
        asked = Asked(clinic, now=now)
        asked.engine.local_found(asked.query_id, (), now)
        for who in (ANNA, BERT):
            asked.answer(who, now)
        return asked.answer(CARL, now)

    first = ask(NOW)
    assert [type(m) for m in sent(first, DORA)] == [Recall]
    clinic.engine.unreachable(DORA, NOW + 20)
    pinged = ask(NOW + 30)
    assert only(Ping, sent(pinged, DORA))
    assert statuses(final(pinged))[DORA] is Status.UNREACHABLE
    assert sent(ask(NOW + 40), DORA) == []
    assert only(Ping, sent(ask(NOW + 30 + 30 * SECOND), DORA))
    clinic.engine.receive(DORA, Pong(0, NOW), NOW + 31 * SECOND, direct=True)
    assert only(Recall, sent(ask(NOW + 32 * SECOND), DORA))


def test_silent_members_are_pinged_a_few_at_a_time() -> None:
    many = {n: Member(n, "m", Role.MEMBER) for n in [node(str(i)) for i in range(40)]}
    asked = Asked(Clinic((), {ME: EVERYBODY[ME], **many}))
    for who in (*many, *many):
        asked.engine.unreachable(who, NOW)
    pinged = [type(m) for m in sent(Asked(asked.clinic).effects)]
    assert pinged == [Ping] * 32


def test_a_silent_neighbour_is_left_to_its_keepalives() -> None:
    asked = Asked(Clinic(ALL))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT, CARL):
        asked.answer(who)
    asked.engine.wake(NOW + SECOND)
    asked.engine.wake(NOW + SECOND + 1_500_000)
    again = Asked(asked.clinic)
    again.engine.local_found(again.query_id, (), NOW)
    for who in (ANNA, BERT):
        again.answer(who)
    effects = again.answer(CARL)
    assert sent(effects, DORA) == []
    assert statuses(final(effects))[DORA] is Status.UNREACHABLE


def test_a_frozen_neighbour_costs_its_patience_and_a_visit_s_once() -> None:
    asked = Asked(Clinic(ALL))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT, CARL):
        asked.answer(who)
    # It may be well and its link ill, so it is asked again, by another way than the link.
    assert only(Visit, asked.engine.wake(NOW + SECOND)).peer == DORA
    report = final(asked.engine.wake(NOW + SECOND + 1_500_000))
    assert statuses(report)[DORA] is Status.UNREACHABLE
    again = Asked(asked.clinic)
    assert DORA not in again.copies
    again.engine.local_found(again.query_id, (), NOW)
    again.answer(ANNA)
    again.answer(BERT)
    assert final(again.answer(CARL))


def test_a_recall_that_is_not_acknowledged_makes_silent() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT, CARL):
        asked.answer(who, now=NOW)
    report = final(asked.engine.wake(NOW + 1_500_000))
    assert statuses(report)[DORA] is Status.UNREACHABLE
    assert asked.engine.attendance.silent(DORA)


def test_a_recall_over_a_link_that_breaks_is_tried_directly() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT):
        asked.answer(who)
    closed = asked.engine.receive(CARL, Closed(asked.copies[CARL].token), NOW)
    assert only(Recall, sent(closed, CARL))
    broken = asked.engine.unlinked(CARL, NOW)
    assert isinstance(only(Visit, broken).message, Recall)


def test_a_recall_that_brings_nothing_is_unreachable() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT):
        asked.answer(who)
    effects = asked.answer(CARL)
    visit = only(Visit, effects)
    assert isinstance(visit.message, Recall)
    report = final(asked.engine.receive(DORA, Closed(visit.message.token), NOW))
    assert statuses(report)[DORA] is Status.UNREACHABLE


def test_the_flood_gets_most_of_the_time_and_recalls_the_rest() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.local_found(asked.query_id, (), NOW)
    for who in (ANNA, BERT):
        asked.answer(who)
    asked.answer(CARL, close=False)
    asked.engine.receive(CARL, Got(asked.copies[CARL].token), NOW)
    now = NOW
    effects: list[Effect] = []
    while not [e for e in effects if isinstance(e, Visit)]:
        now = asked.engine.next_deadline() or 0
        asked.engine.receive(CARL, Got(0), now)
        effects = asked.engine.wake(now)
    assert now == NOW + 7 * SECOND
    asked.engine.receive(DORA, Got(only(Recall, sent(effects, DORA)).token), now + 1)
    ends: list[Effect] = []
    while not [e for e in ends if isinstance(e, DeliverFinal)]:
        now = asked.engine.next_deadline() or 0
        asked.engine.receive(CARL, Got(0), now)
        ends = asked.engine.wake(now)
    assert now == NOW + 10 * SECOND
    assert statuses(final(ends))[DORA] is Status.UNREACHABLE


def test_a_flood_that_ends_after_its_time_changes_nothing() -> None:
    asked = Asked(Clinic((ANNA, BERT, CARL)))
    asked.engine.receive(CARL, Got(asked.copies[CARL].token), NOW)
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.answer(ANNA)
    asked.answer(BERT)
    asked.engine.receive(CARL, Got(0), NOW + 7 * SECOND)
    turned = asked.engine.wake(NOW + 7 * SECOND)
    assert [type(e) for e in turned if isinstance(e, Visit)] == [Visit]
    late = NOW + 7 * SECOND + 1
    assert asked.engine.receive(CARL, Closed(asked.copies[CARL].token), late) == []


def test_a_recall_that_outlasts_the_query_ends_with_it() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    query_id, _ = clinic.engine.ask(CT, Everyone(), NOW, budget_us=900_000)
    clinic.engine.local_found(query_id, (), NOW)
    turned = clinic.engine.wake(NOW + 600_000)
    assert {type(m) for m in sent(turned)} == {Recall}
    report = final(clinic.engine.wake(NOW + 900_000))
    assert statuses(report)[DORA] is Status.UNREACHABLE
    assert clinic.engine.attendance.silent(DORA)


def test_recalls_are_a_few_at_a_time() -> None:
    many = {n: Member(n, "m", Role.MEMBER) for n in [node(str(i)) for i in range(50)]}
    asked = Asked(Clinic((ANNA,), {**EVERYBODY, **many}))
    asked.engine.local_found(asked.query_id, (), NOW)
    recalls = [e for e in asked.answer(ANNA) if isinstance(e, Visit)]
    assert len(recalls) == 32
    asked.engine.receive(ANNA, Part(asked.copies[ANNA].token, b""), NOW)
    next_one = asked.engine.unreachable(recalls[0].peer, NOW)
    assert isinstance(only(Visit, next_one).message, Recall)


def test_who_answers_while_waiting_to_be_recalled_is_not_recalled() -> None:
    many = {n: Member(n, "m", Role.MEMBER) for n in [node(str(i)) for i in range(40)]}
    clinic = Clinic((ANNA,), {**EVERYBODY, **many})
    asked = Asked(clinic)
    asked.engine.local_found(asked.query_id, (), NOW)
    first = [e for e in asked.answer(ANNA) if isinstance(e, Visit)]
    waiting = [n for n in clinic.members if n not in {e.peer for e in first} | {ME, ANNA}]
    message = first[0].message
    assert isinstance(message, Recall)
    (part,) = clinic.answer(waiting[0], message)
    # Relayed or not: what is verified counts.
    asked.engine.receive(first[0].peer, Part(message.token, part), NOW)
    after = asked.engine.unreachable(first[1].peer, NOW)
    assert only(Visit, after).peer == waiting[1]


# ---------------------------------------------------------------- balls


def test_whoever_did_not_answer_a_sound_ball_is_outside_it() -> None:
    asked = Asked(Clinic((ANNA, BERT)), Ball(2))
    assert {(a.ttl, a.hops) for a in asked.copies.values()} == {(1, 1)}
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.answer(ANNA)
    report = final(asked.answer(BERT))
    assert statuses(report)[CARL] is statuses(report)[DORA] is Status.OUTSIDE
    assert report.complete
    assert {m.node for m in report.asked} == {ME, ANNA, BERT}


def test_where_a_ball_failed_members_are_asked_whether_it_came_to_them() -> None:
    asked = Asked(Clinic((ANNA, BERT)), Ball(2))
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.answer(ANNA)
    hint = Closed(asked.copies[BERT].token, (CARL,))
    asked.answer(BERT, close=False)
    recalls = {
        e.peer: e.message
        for e in asked.engine.receive(BERT, hint, NOW)
        if isinstance(e, Visit) and isinstance(e.message, Recall)
    }
    assert set(recalls) == {CARL, DORA}
    asked.engine.receive(DORA, Closed(recalls[DORA].token), NOW)
    report = final(asked.engine.unreachable(CARL, NOW))
    assert statuses(report)[CARL] is Status.UNREACHABLE
    assert statuses(report)[DORA] is Status.OUTSIDE
    assert not report.complete


def test_a_ball_is_not_complete_where_it_failed_and_left_out_a_neighbour() -> None:
    # Its Ask was lost with the link; directly asked it can only say that none ever came.
    asked = Asked(Clinic((ANNA, BERT)), Ball(2))
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.answer(ANNA)
    recalls = {
        effect.peer: effect.message
        for effect in asked.engine.unlinked(BERT, NOW)
        if isinstance(effect, Visit) and isinstance(effect.message, Recall)
    }
    assert set(recalls) == {BERT, CARL, DORA}
    closed = [
        asked.engine.receive(who, Closed(recall.token), NOW, direct=True)
        for who, recall in recalls.items()
    ]
    report = final(closed[-1])
    assert statuses(report)[BERT] is Status.OUTSIDE
    assert report.doubtful
    assert not report.complete


@pytest.mark.parametrize("held_back", [Status.BUSY, Status.SKEWED])
def test_a_ball_is_doubtful_where_somebody_did_not_send_it_on(held_back: Status) -> None:
    # What lies behind a member that is too busy, or whose clock is off, was never asked.
    asked = Asked(Clinic((ANNA, BERT)), Ball(2))
    asked.engine.local_found(asked.query_id, (), NOW)
    ask = asked.copies[ANNA]
    for part in asked.clinic.answer(ANNA, ask, changes={"status": held_back.value}):
        asked.engine.receive(ANNA, Part(ask.token, part), NOW)
    asked.engine.receive(ANNA, Closed(ask.token), NOW)
    recalls = {e.peer: e.message for e in asked.answer(BERT) if isinstance(e, Visit)}
    assert set(recalls) == {CARL, DORA}
    effects: list[Effect] = []
    for who, recall in recalls.items():
        assert isinstance(recall, Recall)
        effects += asked.engine.receive(who, Closed(recall.token), NOW, direct=True)
    assert statuses(final(effects))[CARL] is Status.OUTSIDE
    assert final(effects).doubtful


def test_a_ball_in_which_a_part_was_spoiled_is_recalled() -> None:
    # The member whose answer it was would be taken to be outside.
    asked = Asked(Clinic((ANNA, BERT)), Ball(2))
    asked.engine.local_found(asked.query_id, (), NOW)
    asked.engine.receive(ANNA, Part(asked.copies[ANNA].token, bytes(1100)), NOW)
    asked.answer(ANNA)
    effects = asked.answer(BERT)
    recalled = {e.peer for e in effects if isinstance(e, Visit) and isinstance(e.message, Recall)}
    assert recalled == {CARL, DORA}


def test_a_failed_own_search_does_not_fall_outside_the_ball() -> None:
    asked = Asked(Clinic((ANNA, BERT)), Ball(1))
    asked.answer(ANNA)
    asked.answer(BERT)
    now = NOW
    effects: list[Effect] = []
    while not [e for e in effects if isinstance(e, DeliverFinal)]:
        now = asked.engine.next_deadline() or 0
        effects = asked.engine.wake(now)
    assert statuses(final(effects))[ME] is Status.FAILED


def test_the_default_scope_follows_the_size_of_the_mesh() -> None:
    assert Clinic().engine.default_scope() == Everyone()
    many = {n: Member(n, "m", Role.MEMBER) for n in [node(str(i)) for i in range(1000)]}
    assert Clinic((), {**EVERYBODY, **many}).engine.default_scope() == Ball(11)


# ---------------------------------------------------------------- limits and ends


@pytest.mark.parametrize("ttl", [0, 17])
def test_a_ball_beyond_the_limits_is_refused(ttl: int) -> None:
    with pytest.raises(LocalFault, match="ball"):
        Clinic().engine.ask(CT, Ball(ttl), NOW)


@pytest.mark.parametrize("budget_us", [0, 31 * SECOND])
def test_a_time_beyond_the_limits_is_refused(budget_us: int) -> None:
    with pytest.raises(LocalFault, match="30 s"):
        Clinic().engine.ask(CT, Everyone(), NOW, budget_us=budget_us)


def test_a_query_too_large_to_send_is_refused() -> None:
    long = Query(CT.level, ((0x0020000D, tuple("1." + "2" * 62 for _ in range(500))),))
    with pytest.raises(LocalFault, match=str(BODY_BYTES)):
        Clinic().engine.ask(long, Everyone(), NOW)


def test_asking_too_often_is_refused_with_the_time_to_wait() -> None:
    clinic = Clinic(ALL)
    for _ in range(20):
        clinic.engine.ask(CT, Everyone(), NOW)
    with pytest.raises(Unavailable, match="Wait"):
        clinic.engine.ask(CT, Everyone(), NOW)


def test_too_many_open_queries_are_refused() -> None:
    clinic = Clinic(ALL)
    now = NOW
    for _ in range(OWN_QUERIES):
        now += 10_000
        clinic.engine.ask(CT, Everyone(), now)
    with pytest.raises(Unavailable, match="open"):
        clinic.engine.ask(CT, Everyone(), now)


def test_cancelling_tells_the_neighbours_and_reports_at_once() -> None:
    asked = Asked(Clinic(ALL))
    asked.answer(ANNA)
    effects = asked.engine.cancel(asked.query_id, NOW + 5)
    assert sent(effects) == [Cancel(asked.query_id)] * 3
    report = final(effects)
    assert report.cancelled
    assert not report.complete
    assert asked.engine.cancel(asked.query_id, NOW) == []


def test_our_own_query_that_comes_back_is_a_repeat() -> None:
    asked = Asked(Clinic(ALL))
    back = Ask(77, 0, 3, 5_000, asked.copies[ANNA].body, asked.copies[ANNA].signature)
    assert sent(asked.engine.receive(BERT, back, NOW)) == [Got(77), Closed(77)]


def test_a_stranger_in_an_answer_counts_for_nothing() -> None:
    asked = Asked(Clinic((ANNA, BERT)))
    ask = asked.copies[ANNA]
    (part,) = asked.clinic.answer(STRANGER, ask)
    effects = asked.engine.receive(ANNA, Part(ask.token, part), NOW)
    assert only(Blame, effects)
    assert cut(STRANGER, b"")
