"""By whom queries came and to whom they went on is remembered, by each node for itself."""

from dataclasses import replace

import pytest

from meshpacs.engine.trails import Pass, Trails
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import SECOND, QueryId
from meshpacs.model.limits import HOPS, TRAILS
from meshpacs.model.query import Ball, Everyone
from meshpacs.wire.messages import Ask, Closed
from tests.engine.clinic import ANNA, BERT, CARL, CT, DORA, ME, NOW, Clinic, only, sent, some_id


def test_the_first_copy_of_a_query_is_remembered_and_repeats_are_not() -> None:
    clinic = Clinic((BERT, ANNA, CARL))
    ask = clinic.ask(DORA, 5, hops=2)
    clinic.engine.receive(ANNA, ask, NOW + 3)
    clinic.engine.receive(CARL, clinic.ask(DORA, 7, hops=1), NOW + 4)
    (trail,) = clinic.engine.trails.all()
    assert (trail.query_id, trail.origin, trail.ball) == (some_id(ask), DORA, False)
    assert trail.heard_us == NOW + 3
    assert trail.passes == [Pass(ANNA, 2, 0, (BERT, CARL))]


def test_of_a_ball_every_copy_that_might_go_further_is_remembered() -> None:
    clinic = Clinic((ANNA, BERT))
    for token, peer, hops, ttl in ((1, ANNA, 3, 0), (2, BERT, 2, 1), (3, ANNA, 2, 1)):
        ask = clinic.ask(DORA, token, hops=hops, ttl=ttl, ttl0=3)
        clinic.engine.receive(peer, ask, NOW)
    (trail,) = clinic.engine.trails.all()
    assert trail.ball
    assert trail.passes == [Pass(ANNA, 3, 0, ()), Pass(BERT, 2, 1, (ANNA,))]


def test_no_trail_is_longer_than_a_ball_is_wide() -> None:
    clinic = Clinic((ANNA, BERT))
    for token, ttl in enumerate([*range(HOPS), *range(HOPS)], start=1):
        ask = clinic.ask(DORA, token, hops=1, ttl=ttl, ttl0=HOPS)
        clinic.engine.receive(ANNA, ask, NOW)
    (trail,) = clinic.engine.trails.all()
    assert len(trail.passes) == HOPS


def test_a_query_of_our_own_came_from_nobody() -> None:
    clinic = Clinic((ANNA, BERT))
    whole, _ = clinic.engine.ask(CT, Everyone(), NOW)
    near, _ = clinic.engine.ask(CT, Ball(2), NOW + 1)
    trails = clinic.engine.trails.all()
    assert [(t.query_id, t.origin, t.ball) for t in trails] == [
        (whole, ME, False),
        (near, ME, True),
    ]
    assert [t.passes for t in trails] == [
        [Pass(None, 0, 0, (ANNA, BERT))],
        [Pass(None, 0, 2, (ANNA, BERT))],
    ]


def test_what_is_forged_or_held_back_leaves_no_trail() -> None:
    clinic = Clinic((ANNA, BERT))
    clinic.engine.receive(ANNA, clinic.ask(DORA, 1, sent_at_us=1), NOW)
    with pytest.raises(PeerFault):
        clinic.engine.receive(ANNA, replace(clinic.ask(DORA, 2), signature=b"x" * 64), NOW)
    assert not clinic.engine.trails.all()


def test_the_oldest_trail_is_forgotten_first() -> None:
    trails = Trails()
    for number in range(TRAILS + 2):
        step = Pass(ANNA, 1, 0, ())
        trails.note(QueryId(number.to_bytes(16, "big")), DORA, step, NOW, ball=False)
    kept = [int.from_bytes(trail.query_id, "big") for trail in trails.all()]
    assert kept == list(range(2, TRAILS + 2))


def test_a_trail_says_whom_the_query_did_not_reach_in_time_as_its_closed_does() -> None:
    clinic = Clinic((ANNA, BERT, CARL))
    ask = clinic.ask(DORA, 5)
    copy = only(Ask, sent(clinic.engine.receive(ANNA, ask, NOW), CARL))
    (step,) = clinic.engine.trails.all()[0].passes
    assert not step.unreached
    clinic.engine.receive(CARL, Closed(copy.token, (DORA,)), NOW + 1)
    assert list(step.unreached) == [DORA]
    # BERT does not acknowledge within a second. PROTOCOL 2.5.
    clinic.engine.wake(NOW + SECOND)
    effects = clinic.engine.local_found(some_id(ask), (), NOW + SECOND)
    assert only(Closed, sent(effects, ANNA)).unreached == tuple(step.unreached) == (DORA, BERT)
