"""Who is answered, how, and how an answer is given a second time."""

import pytest

from meshpacs.engine import holding
from meshpacs.engine.budget import BURST, SLOWEST_US, TOLERANCE, Budget, interval_us
from meshpacs.engine.effects import KeepBoot, SearchLocal, Send, Visit
from meshpacs.engine.reading import Reading
from meshpacs.engine.seen import Replay, Seen
from meshpacs.model.answer import Row
from meshpacs.model.content import StudyState
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import SECOND, QueryId
from meshpacs.model.limits import OPEN_QUERIES, PARTS_PER_ANSWER, REPLAY_WINDOW
from meshpacs.model.member import Member, Role
from meshpacs.wire.codec import Malformed, decode, encode
from meshpacs.wire.messages import (
    Ask,
    Closed,
    Got,
    Hello,
    Message,
    Part,
    Ping,
    Pong,
    Sorry,
    StopDelivering,
)
from meshpacs.wire.parts import SIZES, read
from tests.engine.clinic import (
    ANNA,
    BERT,
    CARL,
    DORA,
    EVERYBODY,
    HEAD,
    ME,
    NOW,
    ROW,
    STRANGER,
    Clinic,
    only,
    sent,
    some_id,
)


def test_a_stranger_is_not_answered_and_nobody_is_blamed() -> None:
    clinic = Clinic((ANNA, BERT))
    assert clinic.engine.receive(ANNA, clinic.ask(STRANGER, 1), NOW) == [
        Send(ANNA, Got(1)),
        Send(ANNA, Closed(1, (ME,))),
    ]


def test_a_forged_ask_is_the_peers_fault_and_is_not_remembered() -> None:
    clinic = Clinic((ANNA, BERT))
    true = clinic.ask(DORA, 1)
    forged = Ask(1, 0, 1, 10_000, true.body, clinic.ask(CARL, 1).signature)
    with pytest.raises(PeerFault, match="signature"):
        clinic.engine.receive(ANNA, forged, NOW)
    assert only(SearchLocal, clinic.engine.receive(ANNA, true, NOW))


def test_a_query_of_another_mesh_is_the_peers_fault() -> None:
    clinic = Clinic((ANNA,))
    with pytest.raises(PeerFault, match="mesh"):
        clinic.engine.receive(ANNA, clinic.ask(DORA, 1, mesh=bytes(32)), NOW)


def test_a_body_that_cannot_be_read_is_the_peers_fault() -> None:
    clinic = Clinic((ANNA,))
    with pytest.raises(Malformed):
        clinic.engine.receive(ANNA, Ask(1, 0, 1, 1000, b"\xc1", bytes(64)), NOW)


def test_a_replayed_counter_is_closed_without_an_answer() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    other = clinic.ask(DORA, 2, budget_ms=9_999)
    assert sent(clinic.engine.receive(ANNA, other, NOW)) == [Got(2), Closed(2, (ME,))]


def test_a_counter_may_jump_by_any_amount() -> None:
    # A window shifted by as much would take all memory there is, in whoever hears of the query.
    clinic = Clinic((ANNA,))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    for token, counter in ((2, 2**62), (3, 2**62 - 1)):
        new = clinic.engine.receive(ANNA, clinic.ask(DORA, token, counter=counter), NOW)
        assert only(SearchLocal, new)
    old = clinic.engine.receive(ANNA, clinic.ask(DORA, 4, counter=2**62, budget_ms=9_999), NOW)
    assert sent(old) == [Got(4), Closed(4, (ME,))]


def test_an_older_boot_is_a_replay_even_after_a_restart() -> None:
    clinic = Clinic((ANNA,), boots={DORA: 7})
    old = clinic.engine.receive(ANNA, clinic.ask(DORA, 1, boot=6), NOW)
    assert sent(old) == [Got(1), Closed(1, (ME,))]
    assert only(SearchLocal, clinic.engine.receive(ANNA, clinic.ask(DORA, 2, boot=7), NOW))
    newer = clinic.engine.receive(ANNA, clinic.ask(DORA, 3, boot=8), NOW)
    assert only(KeepBoot, newer) == KeepBoot(DORA, 8)


def test_a_window_of_counters_is_remembered() -> None:
    replay = Replay({})
    replay.note(ANNA, 1, 5_000)
    assert replay.fresh(ANNA, 1, 4_999)
    assert not replay.fresh(ANNA, 1, 5_000)
    replay.note(ANNA, 1, 4_990)
    assert not replay.fresh(ANNA, 1, 4_990)
    replay.note(ANNA, 1, 5_003)
    assert [c for c in range(4_985, 5_010) if not replay.fresh(ANNA, 1, c)] == [4_990, 5_000, 5_003]
    assert not replay.fresh(ANNA, 1, 5_003 - REPLAY_WINDOW)
    assert replay.fresh(ANNA, 1, 5_004 - REPLAY_WINDOW)


def test_the_oldest_query_is_forgotten_first_and_a_repeat_does_not_renew_it() -> None:
    seen = Seen(limit=2)
    first, second, third = (QueryId(bytes([n]) * 16) for n in range(3))
    seen.note(first, 1)
    seen.note(second, 1)
    seen.note(first, 2)
    seen.note(third, 1)
    assert (seen.best(first), seen.best(second), seen.best(third)) == (None, 1, 1)


@pytest.mark.parametrize("ahead_s", [-301, 301])
def test_a_clock_that_is_off_is_answered_with_the_offset(ahead_s: int) -> None:
    clinic = Clinic((ANNA, BERT))
    ask = clinic.ask(DORA, 1, sent_at_us=NOW - ahead_s * SECOND)
    effects = clinic.engine.receive(ANNA, ask, NOW)
    assert [type(m) for m in sent(effects)] == [Got, Part, Closed]
    done, _ = clinic.opened(DORA, only(Part, sent(effects)))
    assert (done.status, done.skew_us) == ("skewed", ahead_s * SECOND)
    # It goes no further and is not remembered: once the clock is right the bytes are sound.
    clinic.engine.clock(-ahead_s * SECOND)
    assert only(SearchLocal, clinic.engine.receive(ANNA, ask, NOW))


def test_wall_time_is_the_offset_on_top_of_now() -> None:
    clinic = Clinic((ANNA,))
    clinic.engine.clock(3_600 * SECOND)
    ask = clinic.ask(DORA, 1, sent_at_us=NOW + 3_600 * SECOND)
    clinic.engine.receive(ANNA, ask, NOW)
    effects = clinic.engine.local_found(some_id(ask), (), NOW + 5)
    assert clinic.opened(DORA, only(Part, sent(effects)))[0].as_of_us == NOW + 3_600 * SECOND + 5


def test_who_may_not_ask_is_refused_and_the_query_still_travels() -> None:
    members = {**EVERYBODY, DORA: Member(DORA, "d", Role.RELAY)}
    clinic = Clinic((ANNA, BERT), members)
    effects = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    assert not [e for e in effects if isinstance(e, SearchLocal)]
    assert clinic.opened(DORA, only(Part, sent(effects, ANNA)))[0].status == "refused"
    token = only(Ask, sent(effects, BERT)).token
    assert clinic.engine.receive(BERT, Closed(token), NOW) == [Send(ANNA, Closed(1))]


def test_an_origin_over_its_budget_is_told_busy() -> None:
    clinic = Clinic((ANNA, BERT))
    answers: list[list[Message]] = []
    for counter in range(1, BURST * TOLERANCE + 2):
        ask = clinic.ask(DORA, counter, counter=counter)
        answers.append(sent(clinic.engine.receive(ANNA, ask, NOW)))
        clinic.engine.local_found(some_id(ask), (), NOW)
    assert all(Part not in map(type, messages) for messages in answers[:-1])
    assert [type(m) for m in answers[-1]] == [Got, Part, Closed]
    done, _ = clinic.opened(DORA, only(Part, answers[-1]))
    assert done.status == "busy"
    other = clinic.engine.receive(ANNA, clinic.ask(CARL, 999), NOW)
    assert only(SearchLocal, other)


def test_recalling_what_was_never_asked_is_held_to_the_same_budget() -> None:
    clinic = Clinic((ANNA,))
    said: list[str] = []
    for counter in range(1, BURST * TOLERANCE + 6):
        recall = clinic.recall(DORA, counter, counter=counter)
        effects = clinic.engine.receive(DORA, recall, NOW)
        effects += clinic.engine.local_found(some_id(recall), (), NOW)
        said.append(clinic.opened(DORA, only(Part, sent(effects)))[0].status)
    assert said == ["answered"] * BURST * TOLERANCE + ["busy"] * 5
    ask = clinic.ask(DORA, 999, counter=999)
    asked = clinic.engine.receive(ANNA, ask, NOW)
    assert clinic.opened(DORA, only(Part, sent(asked)))[0].status == "busy"


def test_a_node_with_too_many_open_queries_is_busy() -> None:
    clinic = Clinic((ANNA,))
    now = NOW
    for counter in range(1, OPEN_QUERIES + 1):
        now += 1_000
        clinic.engine.receive(ANNA, clinic.ask(DORA, counter, counter=counter), now)
    over = clinic.ask(DORA, 9_999, counter=9_999)
    effects = clinic.engine.receive(ANNA, over, now)
    assert clinic.opened(DORA, only(Part, sent(effects)))[0].status == "busy"


def test_a_budget_refills_with_time_and_knows_a_slowest_rate() -> None:
    interval = interval_us(5, 4)
    assert interval == 16 * 200
    assert interval_us(10_000, 8) == SLOWEST_US
    assert interval_us(1, 0) == 200
    budget = Budget()
    for _ in range(BURST):
        assert budget.wait_us(ANNA, NOW, interval) == 0
        budget.spend(ANNA, NOW, interval)
    assert budget.wait_us(ANNA, NOW, interval) == interval
    assert budget.wait_us(ANNA, NOW + interval, interval) == 0
    assert budget.wait_us(BERT, NOW, interval) == 0


def test_a_search_that_fails_is_said() -> None:
    clinic = Clinic((ANNA,))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    effects = clinic.engine.local_failed(some_id(ask), NOW)
    assert clinic.opened(DORA, only(Part, sent(effects)))[0].status == "failed"
    assert clinic.engine.local_failed(some_id(ask), NOW) == []


def test_a_truncated_search_is_said() -> None:
    clinic = Clinic((ANNA,))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    effects = clinic.engine.local_found(some_id(ask), (ROW,), NOW, truncated=True)
    assert clinic.opened(DORA, only(Part, sent(effects)))[0].status == "truncated"


def test_hit_and_miss_are_of_one_size() -> None:
    sizes = []
    for rows in ((), (ROW,)):
        clinic = Clinic((ANNA,))
        ask = clinic.ask(DORA, 1)
        clinic.engine.receive(ANNA, ask, NOW)
        parts = sent(clinic.engine.local_found(some_id(ask), rows, NOW))
        sizes.append(len(only(Part, parts).sealed))
    assert sizes[0] == sizes[1] == SIZES[0] + 48


def test_rows_beyond_the_largest_answer_are_cut_and_the_answer_says_so() -> None:
    clinic = Clinic((ANNA,))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    fat = Row({0x00081030: ("x" * 1000,)}, (StudyState("1", HEAD, 1),))
    effects = clinic.engine.local_found(some_id(ask), (fat,) * 6_000, NOW)
    parts = [m for m in sent(effects) if isinstance(m, Part)]
    assert PARTS_PER_ANSWER // 2 <= len(parts) <= PARTS_PER_ANSWER
    public, private = clinic.reply_keys(DORA)
    reading = Reading(some_id(ask), (public, private), clinic.notary(DORA))
    (verified,) = [v for v in (reading.part(1, p.sealed) for p in parts) if v is not None]
    assert (verified.status, len(verified.rows)) == ("truncated", 3_000)


# ---------------------------------------------------------------- recall


def test_a_recall_gets_the_kept_answer_and_no_second_search() -> None:
    clinic = Clinic((ANNA,))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    given = only(Part, sent(clinic.engine.local_found(some_id(ask), (ROW,), NOW)))
    effects = clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW)
    assert effects == [
        Visit(DORA, Got(3)),
        Visit(DORA, Part(3, given.sealed)),
        Visit(DORA, Closed(3)),
    ]


def test_a_recall_during_the_search_waits_for_it() -> None:
    clinic = Clinic((ANNA, DORA))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    assert clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW) == [Send(DORA, Got(3))]
    effects = clinic.engine.local_found(some_id(ask), (), NOW)
    assert [(m.token, type(m)) for m in sent(effects, DORA) if isinstance(m, Part | Closed)] == [
        (3, Part),
        (3, Closed),
    ]


def test_recalling_again_and_again_during_a_search_waits_once() -> None:
    clinic = Clinic((ANNA, DORA))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW)
    again = clinic.engine.receive(DORA, clinic.recall(DORA, 4), NOW, direct=True)
    assert again == [Visit(DORA, Got(4)), Send(DORA, Closed(3))]
    effects = clinic.engine.local_found(some_id(ask), (), NOW)
    assert [(m.token, type(m)) for m in sent(effects, DORA) if isinstance(m, Part | Closed)] == [
        (4, Part),
        (4, Closed),
    ]
    assert len([m for m in sent(effects, ANNA) if isinstance(m, Part)]) == 1, "the wave's own"


def test_a_sender_that_claims_little_time_is_left_does_not_cost_the_origin_the_answer() -> None:
    clinic = Clinic((ANNA, DORA))
    ask = clinic.ask(DORA, 1, remaining_ms=1)
    clinic.engine.receive(ANNA, ask, NOW)
    assert Closed(1, (DORA, ME)) in sent(clinic.engine.wake(NOW + SECOND), ANNA)
    clinic.engine.local_found(some_id(ask), (ROW,), NOW + 2 * SECOND)
    effects = clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW + 3 * SECOND)
    assert [type(m) for m in sent(effects)] == [Got, Part, Closed]


def test_no_query_lives_longer_than_its_origin_has_signed() -> None:
    for budget_ms, seconds in ((2_000, 2), (2**60, 30)):
        clinic = Clinic((ANNA, BERT))
        ask = clinic.ask(DORA, 1, remaining_ms=2**62, budget_ms=budget_ms)
        effects = clinic.engine.receive(ANNA, ask, NOW)
        assert only(Ask, sent(effects, BERT)).remaining_ms < seconds * 1000
        clinic.engine.wake(NOW + seconds * SECOND)
        assert not any(clinic.engine.open_work().values())
    clinic = Clinic((CARL,))
    recall = clinic.recall(CARL, 9, remaining_ms=2**62, budget_ms=2_000)
    clinic.engine.receive(CARL, recall, NOW)
    clinic.engine.local_found(some_id(recall), (), NOW)
    clinic.engine.wake(NOW + 2 * SECOND)
    assert clinic.engine.open_work()["kept answers"] == 0


def test_hops_that_a_sender_makes_up_are_not_passed_on_to_our_blame() -> None:
    clinic = Clinic((ANNA, BERT))
    effects = clinic.engine.receive(ANNA, clinic.ask(DORA, 1, hops=2**63 - 1), NOW)
    copy = only(Ask, sent(effects, BERT))
    assert decode(encode(copy)) == copy


def test_a_neighbour_that_asks_over_a_direct_link_is_answered_over_it() -> None:
    # Its control link may be dead in our direction, or known to us alone.
    clinic = Clinic((ANNA, DORA))
    recall = clinic.recall(DORA, 3)
    effects = clinic.engine.receive(DORA, recall, NOW, direct=True)
    assert Visit(DORA, Got(3)) in effects
    answered = clinic.engine.local_found(some_id(recall), (), NOW)
    assert [type(effect) for effect in answered] == [Visit, Visit]
    ping = clinic.engine.receive(DORA, Ping(5), NOW, direct=True)
    assert ping == [Visit(DORA, Pong(5, NOW))]


def test_what_comes_directly_says_nothing_about_the_link() -> None:
    clinic = Clinic((ANNA,))
    peer = clinic.engine.peers.get(ANNA)
    assert peer is not None
    clinic.engine.receive(ANNA, Ping(5), NOW + SECOND, direct=True)
    assert peer.heard_us == NOW
    clinic.engine.receive(ANNA, Ping(6), NOW + SECOND)
    assert peer.heard_us == NOW + SECOND


def test_an_ask_over_a_direct_link_is_the_peers_fault() -> None:
    clinic = Clinic((ANNA,))
    with pytest.raises(PeerFault, match="direct link"):
        clinic.engine.receive(ANNA, clinic.ask(ANNA, 1), NOW, direct=True)


def test_a_recall_of_what_never_came_is_evaluated_and_not_sent_on() -> None:
    clinic = Clinic((ANNA,))
    effects = clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW)
    assert sent(effects) == [Got(3)]
    query_id = only(SearchLocal, effects).query_id
    answered = clinic.engine.local_found(query_id, (ROW,), NOW)
    assert [type(m) for m in sent(answered, DORA)] == [Part, Closed]
    # The flood's own copy, should it come yet, is a repeat.
    late = clinic.engine.receive(ANNA, clinic.ask(DORA, 8), NOW)
    assert late == [Send(ANNA, Got(8)), Send(ANNA, Closed(8))]


def test_a_ball_that_never_came_here_is_not_evaluated_by_a_recall() -> None:
    clinic = Clinic((ANNA,))
    effects = clinic.engine.receive(DORA, clinic.recall(DORA, 3, ttl=1, ttl0=2), NOW)
    assert sent(effects) == [Got(3), Closed(3)]


def test_a_recall_by_another_than_the_origin_is_its_fault() -> None:
    clinic = Clinic((ANNA,))
    with pytest.raises(PeerFault):
        clinic.engine.receive(ANNA, clinic.recall(DORA, 3), NOW)


def test_a_recall_with_a_replayed_counter_is_closed() -> None:
    clinic = Clinic((ANNA,))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    effects = clinic.engine.receive(DORA, clinic.recall(DORA, 3, budget_ms=77), NOW)
    assert sent(effects) == [Got(3), Closed(3)]


def test_a_recall_from_a_skewed_clock_is_told_so() -> None:
    clinic = Clinic((ANNA,))
    recall = clinic.recall(DORA, 3, sent_at_us=NOW - 400 * SECOND)
    effects = clinic.engine.receive(DORA, recall, NOW)
    assert clinic.opened(DORA, only(Part, sent(effects)))[0].status == "skewed"


def test_an_answer_is_forgotten_at_the_deadline() -> None:
    clinic = Clinic((ANNA,))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    clinic.engine.local_found(some_id(ask), (ROW,), NOW)
    assert clinic.engine.open_work()["kept answers"] == 1
    clinic.engine.wake(NOW + 10 * SECOND)
    assert clinic.engine.open_work()["kept answers"] == 0
    effects = clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW + 10 * SECOND)
    assert sent(effects) == [Got(3), Closed(3)]


def test_a_search_that_outlasts_the_deadline_closes_who_recalled() -> None:
    clinic = Clinic((ANNA,))
    ask = clinic.ask(DORA, 1)
    clinic.engine.receive(ANNA, ask, NOW)
    clinic.engine.receive(DORA, clinic.recall(DORA, 3), NOW)
    effects = clinic.engine.wake(NOW + 10 * SECOND)
    assert sent(effects, DORA) == [Closed(3)]
    assert sent(effects, ANNA)[-1] == Closed(1, (ME,))
    assert clinic.engine.local_found(some_id(ask), (ROW,), NOW + 11 * SECOND) == []


def test_the_oldest_kept_answer_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "KEPT_ANSWER_BYTES", 2_500)
    clinic = Clinic((ANNA,))
    for counter in (1, 2, 3):
        ask = clinic.ask(DORA, counter, counter=counter)
        clinic.engine.receive(ANNA, ask, NOW)
        clinic.engine.local_found(some_id(ask), (), NOW)
    assert clinic.engine.open_work()["kept answers"] == 2
    first = clinic.engine.receive(DORA, clinic.recall(DORA, 9, counter=1), NOW)
    assert sent(first) == [Got(9), Closed(9)]


def test_messages_of_other_links_are_the_peers_fault() -> None:
    clinic = Clinic((ANNA,))
    for message in (Hello(1, 1, "1"), Sorry("no"), StopDelivering()):
        with pytest.raises(PeerFault, match="does not belong"):
            clinic.engine.receive(ANNA, message, NOW)


def test_a_part_shorter_than_it_says_is_malformed() -> None:
    with pytest.raises(Malformed):
        read(b"\x00\x00\x00\xff")
