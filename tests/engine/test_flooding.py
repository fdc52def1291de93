"""How copies of a query travel, and how each is closed exactly once."""

from dataclasses import replace

import pytest

from meshpacs.engine.effects import KeepBoot, SearchLocal, Send
from meshpacs.engine.flood import RELAY_CREDIT_BYTES
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import MILLISECOND, SECOND
from meshpacs.model.member import Member, Role
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Part, Ping, Pong
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
    only,
    sent,
    some_id,
)


def test_a_new_ask_is_acknowledged_searched_and_sent_to_everyone_else() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    ask = clinic.ask(DORA, 5)
    effects = clinic.engine.receive(ANNA, ask, NOW)
    assert effects[0] == Send(ANNA, Got(5))
    assert only(SearchLocal, effects) == SearchLocal(some_id(ask), CT)
    assert only(KeepBoot, effects) == KeepBoot(DORA, 1)
    for peer in (BERT, CARL):
        copy = only(Ask, sent(effects, peer))
        assert (copy.hops, copy.ttl, copy.body, copy.signature) == (2, 0, ask.body, ask.signature)
        assert copy.remaining_ms == 9_900
    assert sent(effects, ANNA) == [Got(5)]


def test_a_boot_is_kept_once() -> None:
    clinic = Clinic((ANNA,))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    again = clinic.engine.receive(ANNA, clinic.ask(DORA, 2, counter=2), NOW)
    assert not [effect for effect in again if isinstance(effect, KeepBoot)]


def test_a_repeat_is_closed_at_once_and_goes_no_further() -> None:
    clinic = Clinic((ANNA, CARL))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    effects = clinic.engine.receive(CARL, clinic.ask(DORA, 7), NOW + 1)
    assert effects == [Send(CARL, Got(7)), Send(CARL, Closed(7))]


def test_a_wave_closes_after_its_children_and_its_own_answer() -> None:
    clinic = Clinic((ANNA, BERT))
    ask = clinic.ask(DORA, 1)
    asked = clinic.engine.receive(ANNA, ask, NOW)
    token = only(Ask, sent(asked, BERT)).token
    assert clinic.engine.receive(BERT, Closed(token), NOW + 1) == []
    effects = clinic.engine.local_found(some_id(ask), (ROW,), NOW + 2)
    assert [type(m) for m in sent(effects, ANNA)] == [Part, Closed]
    done, rows = clinic.opened(DORA, only(Part, sent(effects)))
    assert (done.status, done.row_count, done.responder, done.hops) == ("answered", 1, ME, 1)
    assert rows.rows == (ROW,)


def test_answers_of_others_go_back_by_the_token_of_their_own_wave() -> None:
    clinic = Clinic((ANNA, BERT))
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 9), NOW)
    token = only(Ask, sent(asked, BERT)).token
    effects = clinic.engine.receive(BERT, Part(token, b"sealed"), NOW)
    assert effects == [Send(ANNA, Part(9, b"sealed"))]
    assert clinic.engine.receive(BERT, Part(token + 99, b"sealed"), NOW) == []
    assert clinic.engine.receive(CARL, Part(token, b"sealed"), NOW) == []


def test_a_relay_carries_no_more_than_its_credit() -> None:
    clinic = Clinic((ANNA, BERT))
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 9), NOW)
    token = only(Ask, sent(asked, BERT)).token
    large = bytes(RELAY_CREDIT_BYTES // 2)
    carried = [bool(clinic.engine.receive(BERT, Part(token, large), NOW)) for _ in range(3)]
    assert carried == [True, True, False]
    clinic.engine.local_found(some_id(clinic.ask(DORA, 9)), (), NOW)
    closed = clinic.engine.receive(BERT, Closed(token), NOW)
    assert closed == [Send(ANNA, Closed(9, (BERT,)))], "the origin hears that something is lacking"


def test_a_ball_goes_ttl_hops_and_no_further() -> None:
    clinic = Clinic((ANNA, BERT))
    first = clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=1, hops=1, ttl0=2), NOW)
    copy = only(Ask, sent(first, BERT))
    assert (copy.ttl, copy.hops) == (0, 2)
    clinic = Clinic((ANNA, BERT))
    last = clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=0, hops=2, ttl0=2), NOW)
    assert sent(last, BERT) == []
    assert only(SearchLocal, last)


def test_a_copy_with_a_larger_ttl_opens_a_second_wave_and_no_second_search() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=0, hops=3, ttl0=3), NOW)
    effects = clinic.engine.receive(BERT, clinic.ask(DORA, 2, ttl=2, hops=1, ttl0=3), NOW)
    assert {type(m) for m in sent(effects, ANNA)} == {Ask}
    assert {type(m) for m in sent(effects, CARL)} == {Ask}
    assert not [e for e in effects if isinstance(e, SearchLocal)]
    # The second wave closes on its own, while the first still waits for our answer.
    tokens = {peer: only(Ask, sent(effects, peer)).token for peer in (ANNA, CARL)}
    assert clinic.engine.receive(ANNA, Closed(tokens[ANNA]), NOW) == []
    assert clinic.engine.receive(CARL, Closed(tokens[CARL]), NOW) == [Send(BERT, Closed(2))]


def test_a_second_copy_is_verified_like_the_first() -> None:
    # Whoever it is sent on to may not have had the first, and would blame us for the forgery.
    clinic = Clinic((ANNA, BERT, CARL))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=0, hops=3, ttl0=3), NOW)
    true = clinic.ask(DORA, 2, ttl=2, hops=1, ttl0=3)
    with pytest.raises(PeerFault, match="signature"):
        clinic.engine.receive(BERT, replace(true, signature=bytes(64)), NOW)
    assert only(Ask, sent(clinic.engine.receive(BERT, true, NOW), CARL)).ttl == 1


def test_a_second_copy_of_somebody_who_has_left_goes_no_further() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=0, hops=3, ttl0=3), NOW)
    del clinic.members[DORA]
    copy = clinic.ask(DORA, 2, ttl=2, hops=1, ttl0=3)
    effects = clinic.engine.receive(BERT, copy, NOW)
    assert effects == [Send(BERT, Got(2)), Send(BERT, Closed(2, (ME,)))]


@pytest.mark.parametrize(
    "numbers",
    [
        {"ttl": 2, "hops": 1, "ttl0": 2},
        {"ttl": 1, "hops": 1, "ttl0": 0},
        {"ttl": 0, "hops": 0, "ttl0": 0},
        {"ttl": 0, "hops": 1, "ttl0": 17},
    ],
)
def test_an_ask_with_impossible_hops_is_the_peers_fault(numbers: dict[str, int]) -> None:
    clinic = Clinic((ANNA, BERT))
    with pytest.raises(PeerFault):
        clinic.engine.receive(ANNA, clinic.ask(DORA, 1, **numbers), NOW)
    assert clinic.engine.open_work() == Clinic().engine.open_work()


def test_asks_travel_only_over_links_between_those_who_carry() -> None:
    members = {**EVERYBODY, BERT: Member(BERT, "b", Role.OBSERVER)}
    clinic = Clinic((ANNA, BERT), members)
    effects = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    assert sent(effects, BERT) == []
    with pytest.raises(PeerFault):
        clinic.engine.receive(BERT, clinic.ask(DORA, 2, counter=2), NOW)
    with pytest.raises(PeerFault):
        clinic.engine.receive(CARL, clinic.ask(DORA, 3, counter=3), NOW)


def test_a_relay_carries_without_answering() -> None:
    members = {**EVERYBODY, ME: Member(ME, "m", Role.RELAY)}
    clinic = Clinic((ANNA, BERT), members)
    effects = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    assert not [e for e in effects if isinstance(e, SearchLocal)]
    token = only(Ask, sent(effects, BERT)).token
    assert clinic.engine.receive(BERT, Closed(token), NOW) == [Send(ANNA, Closed(1))]
    late = clinic.ask(DORA, 2, counter=2, sent_at_us=NOW - 3600 * SECOND)
    assert sent(clinic.engine.receive(ANNA, late, NOW)) == [Got(2), Closed(2, (ME,))], (
        "it has not asked on, and no answer of its own says so"
    )


def test_a_token_is_not_used_twice_at_once() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    with pytest.raises(PeerFault, match="token"):
        clinic.engine.receive(ANNA, clinic.ask(DORA, 1, counter=2), NOW)


def test_a_neighbour_can_neither_close_nor_cancel_anothers_branch() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 9), NOW)
    bert, carl = (only(Ask, sent(asked, peer)).token for peer in (BERT, CARL))
    clinic.engine.local_found(some_id(clinic.ask(DORA, 9)), (), NOW)
    open_before = clinic.engine.open_work()
    for token in (bert, 9):
        assert clinic.engine.receive(CARL, Closed(token), NOW) == []
        assert clinic.engine.receive(CARL, Got(token), NOW) == []
    assert clinic.engine.receive(CARL, Cancel(some_id(clinic.ask(DORA, 9))), NOW) == []
    assert clinic.engine.open_work() == open_before
    assert clinic.engine.receive(CARL, Closed(carl), NOW) == []
    assert clinic.engine.receive(BERT, Closed(bert), NOW) == [Send(ANNA, Closed(9))]


def test_an_ask_that_is_not_acknowledged_closes_its_branch_as_unreached() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    clinic.engine.receive(BERT, Pong(2, 0), NOW + 100 * MILLISECOND)
    asked_at = NOW + 1 * SECOND
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), asked_at)
    clinic.engine.receive(CARL, Got(only(Ask, sent(asked, CARL)).token), asked_at + 1)
    ends = clinic.engine.receive(CARL, Closed(only(Ask, sent(asked, CARL)).token), asked_at + 2)
    assert ends == []
    query = some_id(clinic.ask(DORA, 1))
    clinic.engine.local_found(query, (), asked_at + 3)
    assert clinic.engine.next_deadline() == asked_at + 1 * SECOND
    effects = clinic.engine.wake(asked_at + 1 * SECOND)
    assert effects == [Send(ANNA, Closed(1, (BERT,)))]
    # Until it is heard again it is not asked, and named as unreached at once.
    again = clinic.engine.receive(ANNA, clinic.ask(DORA, 2, counter=2), asked_at + 2 * SECOND)
    assert sent(again, BERT) == []
    clinic.engine.receive(BERT, Ping(1), asked_at + 3 * SECOND)
    heard = clinic.engine.receive(ANNA, clinic.ask(DORA, 3, counter=3), asked_at + 3 * SECOND)
    assert only(Ask, sent(heard, BERT))


def test_patience_grows_with_the_round_trip() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(BERT, Pong(2, 0), NOW + 500 * MILLISECOND)
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW + SECOND)
    assert only(Ask, sent(asked, BERT)).remaining_ms == 10_000 - 500 - 100
    assert clinic.engine.next_deadline() == NOW + SECOND + 4 * 500 * MILLISECOND


def test_who_acknowledges_and_then_freezes_is_pinged_and_given_up() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(BERT, Pong(2, 0), NOW + 1)
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW + SECOND)
    token = only(Ask, sent(asked, BERT)).token
    clinic.engine.receive(BERT, Got(token), NOW + SECOND + 1)
    clinic.engine.local_found(some_id(clinic.ask(DORA, 1)), (), NOW + SECOND + 2)
    assert clinic.engine.wake(NOW + 2 * SECOND) == []
    pinged = clinic.engine.wake(NOW + 2 * SECOND + 1)
    assert isinstance(only(Ping, sent(pinged, BERT)), Ping)
    assert clinic.engine.wake(NOW + 3 * SECOND + 1) == [Send(ANNA, Closed(1, (BERT,)))]


def test_who_answers_the_ping_is_waited_for_until_the_deadline() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(BERT, Pong(2, 0), NOW + 1)
    ask = clinic.ask(DORA, 1, remaining_ms=4_000)
    asked = clinic.engine.receive(ANNA, ask, NOW + SECOND)
    clinic.engine.local_found(some_id(ask), (), NOW + SECOND)
    clinic.engine.receive(BERT, Got(only(Ask, sent(asked, BERT)).token), NOW + SECOND + 1)
    now = NOW + SECOND
    ended: list[object] = []
    while not ended:
        deadline = clinic.engine.next_deadline()
        assert deadline is not None
        now = max(deadline, now)
        assert now <= NOW + 5 * SECOND
        effects = clinic.engine.wake(now)
        for ping in [m for m in sent(effects, BERT) if isinstance(m, Ping)]:
            clinic.engine.receive(BERT, Pong(ping.nonce, 0), now + 10)
        ended = [m for m in sent(effects, ANNA) if isinstance(m, Closed)]
    assert (now, ended) == (NOW + 5 * SECOND, [Closed(1, (BERT,))])


def test_a_broken_link_closes_its_branches() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    clinic.engine.local_found(some_id(clinic.ask(DORA, 1)), (), NOW)
    assert clinic.engine.unlinked(BERT, NOW) == [Send(ANNA, Closed(1, (BERT,)))]


def test_a_wave_whose_parent_is_gone_is_forgotten_but_its_answer_is_kept() -> None:
    clinic = Clinic((ANNA, BERT))
    ask = clinic.ask(DORA, 1)
    asked = clinic.engine.receive(ANNA, ask, NOW)
    other = clinic.ask(DORA, 2, counter=2)
    clinic.engine.receive(BERT, other, NOW)
    clinic.engine.unlinked(ANNA, NOW)
    token = only(Ask, sent(asked, BERT)).token
    others = clinic.engine.local_found(some_id(other), (), NOW)
    assert [type(m) for m in sent(others, BERT)] == [Part, Closed]
    assert clinic.engine.receive(BERT, Closed(token), NOW) == []
    assert clinic.engine.receive(BERT, Got(token), NOW) == []
    work = clinic.engine.open_work()
    assert (work["waves"], work["branches"], work["evaluations"]) == (0, 0, 1)
    clinic.engine.local_found(some_id(ask), (ROW,), NOW)
    recalled = clinic.engine.receive(DORA, clinic.recall(DORA, 4), NOW)
    assert [type(m) for m in sent(recalled, DORA)] == [Got, Part, Closed]


def test_cancel_follows_the_asks_path_and_stops_the_answer() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    ask = clinic.ask(DORA, 1)
    asked = clinic.engine.receive(ANNA, ask, NOW)
    assert clinic.engine.receive(CARL, Cancel(some_id(ask)), NOW) == []
    effects = clinic.engine.receive(ANNA, Cancel(some_id(ask)), NOW)
    assert effects == [Send(peer, Cancel(some_id(ask))) for peer in (BERT, CARL)]
    assert clinic.engine.local_found(some_id(ask), (ROW,), NOW) == []
    token = only(Ask, sent(asked, BERT)).token
    assert clinic.engine.receive(BERT, Part(token, b"late"), NOW) == []
    assert clinic.engine.receive(BERT, Closed(token), NOW) == []


def test_a_cancel_ends_only_the_waves_that_came_from_its_sender() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    ask = clinic.ask(DORA, 1, ttl=0, hops=3, ttl0=3)
    clinic.engine.receive(ANNA, ask, NOW)
    clinic.engine.receive(BERT, clinic.ask(DORA, 2, ttl=2, hops=1, ttl0=3), NOW)
    assert (
        sent(clinic.engine.receive(BERT, Cancel(some_id(ask)), NOW)) == [Cancel(some_id(ask))] * 2
    )
    effects = clinic.engine.local_found(some_id(ask), (), NOW)
    assert [type(m) for m in sent(effects, ANNA)] == [Part, Closed]
    assert clinic.engine.receive(ANNA, Cancel(some_id(ask)), NOW) == []


def test_a_cancel_is_not_sent_on_to_whom_another_wave_waits_for() -> None:
    # It names the query, so whoever hears it of us forgets both copies, and one would hang.
    clinic = Clinic((ANNA, BERT, CARL))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=1, hops=2, ttl0=3), NOW)
    ask = clinic.ask(DORA, 2, ttl=2, hops=1, ttl0=3)
    clinic.engine.receive(BERT, ask, NOW)
    assert sent(clinic.engine.receive(ANNA, Cancel(some_id(ask)), NOW)) == [Cancel(some_id(ask))]
    to_carl = clinic.engine.receive(BERT, Cancel(some_id(ask)), NOW)
    assert Send(CARL, Cancel(some_id(ask))) in to_carl


def test_who_was_heard_just_now_is_watched_from_then_on() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(BERT, Pong(2, 0), NOW + 1)
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW + SECOND)
    token = only(Ask, sent(asked, BERT)).token
    clinic.engine.receive(BERT, Got(token), NOW + SECOND + SECOND // 2)
    assert clinic.engine.wake(NOW + 2 * SECOND) == []
    assert clinic.engine.next_deadline() == NOW + 2 * SECOND + SECOND // 2


def test_a_younger_ask_is_watched_from_its_own_time() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(BERT, Pong(2, 0), NOW + 1)
    first = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW + SECOND)
    clinic.engine.receive(ANNA, clinic.ask(DORA, 2, counter=2), NOW + SECOND + 500)
    clinic.engine.receive(BERT, Got(only(Ask, sent(first, BERT)).token), NOW + SECOND + 600)
    assert clinic.engine.wake(NOW + 2 * SECOND) == []
    assert clinic.engine.next_deadline() == NOW + 2 * SECOND + 500


def test_hints_are_passed_on_as_far_as_there_is_room() -> None:
    clinic = Clinic((ANNA, BERT))
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    clinic.engine.local_found(some_id(clinic.ask(DORA, 1)), (), NOW)
    token = only(Ask, sent(asked, BERT)).token
    hints = tuple(type(ANNA)(bytes([n]) * 32) for n in range(40))
    effects = clinic.engine.receive(BERT, Closed(token, hints), NOW)
    assert only(Closed, sent(effects, ANNA)).unreached == hints[:32]


def test_time_that_has_run_out_is_not_handed_on() -> None:
    clinic = Clinic((ANNA, BERT))
    ask = clinic.ask(DORA, 1, remaining_ms=100)
    effects = clinic.engine.receive(ANNA, ask, NOW)
    assert sent(effects, BERT) == []
    ends = clinic.engine.local_found(some_id(ask), (), NOW)
    assert only(Closed, sent(ends, ANNA)).unreached == (BERT,)


def test_a_search_that_outlasts_its_wave_is_named_as_unreached() -> None:
    # Without a hint the origin of a ball would take us to be outside.
    clinic = Clinic((ANNA,))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1, ttl=1, ttl0=2, remaining_ms=500), NOW)
    ends = clinic.engine.wake(NOW + 500 * MILLISECOND)
    assert sent(ends, ANNA) == [Closed(1, (ME,))]


def test_a_got_for_nothing_is_ignored() -> None:
    clinic = Clinic((ANNA,))
    assert clinic.engine.receive(ANNA, Got(4), NOW) == []
    assert clinic.engine.receive(STRANGER, Got(4), NOW) == []
    assert clinic.engine.receive(ANNA, Closed(4), NOW) == []
    asked = clinic.engine.receive(ANNA, clinic.ask(DORA, 1), NOW)
    assert only(Got, sent(asked, ANNA))
