"""Every checker finds the violation that was planted for it: by hand, and in the engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshpacs.engine.attendance import Attendance
from meshpacs.engine.effects import DeliverFinal, DeliverRows, Effect, Send, Visit
from meshpacs.engine.flood import Flood
from meshpacs.engine.holding import Holding
from meshpacs.engine.inquiry import Inquiries
from meshpacs.engine.seen import Replay, Seen
from meshpacs.model.answer import MemberAnswer, Report, Row, Status
from meshpacs.model.ids import SECOND, QueryId
from meshpacs.model.query import Ball
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Ping, Recall
from meshpacs_sim import __main__ as command
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials import campaigns, liveness
from meshpacs_sim.trials.checkers import (
    AnsweredMeansAnswered,
    CalmIsComplete,
    EvaluatedOnce,
    EverybodyNamed,
    HonestAreNotBlamed,
    NotBeyondTheBall,
    NothingStale,
    OneClosedForEachAsk,
    OneFinal,
    TtlAndTimeFall,
    Violation,
    VisitsAreForRecalls,
)
from meshpacs_sim.trials.nights import night
from meshpacs_sim.trials.safety import SAFETY
from meshpacs_sim.world import faults
from meshpacs_sim.world.cellar import clinic, every_study
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.observers import DIRECT, UNLINKED
from meshpacs_sim.world.world import World
from tests.sim.stopped import Keep, stopped

QUERY = QueryId(b"a query's number")
ROWS: tuple[Row, ...] = clinic(1, 0, 3).search(every_study())[0]


# ---------------------------------------------------------------- planted by hand


def test_a_violation_names_rule_seed_graph_and_time() -> None:
    checker, world, _ = stopped(HonestAreNotBlamed)
    with pytest.raises(Violation, match=r"seed 1, ring\(4\), at 1000000 us") as caught:
        checker.blamed(world.now, 1, 2, "nothing")
    assert caught.value.rule == "HonestAreNotBlamed"


def test_a_closed_for_what_was_never_asked_is_found() -> None:
    for message in (Got(99), Closed(99)):
        checker, world, _ = stopped(OneClosedForEachAsk)
        with pytest.raises(Violation, match="never asked"):
            checker.sent(world.now, 1, 0, message, world.hosts[1].links[0])


def test_a_second_closed_and_a_token_used_twice_are_found() -> None:
    checker, world, keep = stopped(OneClosedForEachAsk)
    src, dst, ask, serial = keep.asks[0]
    checker.arrived(world.now, src, dst, ask, serial)
    checker.sent(world.now, dst, src, Closed(ask.token), serial)
    with pytest.raises(Violation, match="twice"):
        checker.sent(world.now, dst, src, Closed(ask.token), serial)
    with pytest.raises(Violation, match="uses token"):
        checker.sent(world.now, src, dst, ask, serial)
    checker.sent(world.now, src, dst, ask, UNLINKED)  # never left


def test_an_ask_never_acknowledged_or_never_closed_is_found_at_the_end() -> None:
    for answer in (None, Got):
        checker, world, keep = stopped(OneClosedForEachAsk)
        src, dst, ask, serial = keep.asks[0]
        checker.arrived(world.now, src, dst, ask, serial)
        if answer:
            checker.sent(world.now, dst, src, answer(ask.token), serial)
        with pytest.raises(Violation, match="never closed" if answer else "never acknowledged"):
            checker.ended(world.now)


def test_a_cancelled_ask_need_not_be_closed() -> None:
    checker, world, keep = stopped(OneClosedForEachAsk)
    src, dst, ask, serial = keep.asks[0]
    checker.arrived(world.now, src, dst, ask, serial)
    checker.arrived(world.now, src, dst, Cancel(world.askings[0].query_id), serial)
    checker.ended(world.now)


def test_a_recall_is_closed_once_however_often_it_is_answered() -> None:
    checker, world, keep = stopped(OneClosedForEachAsk)
    ask = keep.asks[0][2]
    checker.sent(world.now, 0, 2, Recall(50, 100, ask.body, ask.signature), DIRECT)
    checker.sent(world.now, 2, 0, Got(50), DIRECT)
    checker.sent(world.now, 2, 0, Closed(50), DIRECT)
    with pytest.raises(Violation, match="never asked"):
        checker.sent(world.now, 2, 0, Closed(50), DIRECT)


def test_a_liar_may_repeat_itself_and_the_honest_close_each_time() -> None:
    checker, world, keep = stopped(OneClosedForEachAsk)
    src, dst, ask, serial = keep.asks[0]
    world.hosts[src].lied = True
    checker.sent(world.now, src, dst, ask, serial)
    for _ in range(2):
        checker.arrived(world.now, src, dst, ask, serial)
        checker.sent(world.now, dst, src, Got(ask.token), serial)
    checker.sent(world.now, dst, src, Closed(ask.token), serial)
    with pytest.raises(Violation, match="never closed"):
        checker.ended(world.now)
    checker.sent(world.now, dst, src, Closed(ask.token), serial)
    checker.ended(world.now)
    with pytest.raises(Violation, match="twice"):
        checker.sent(world.now, dst, src, Closed(ask.token), serial)
    world.hosts[dst].lied = True
    checker.sent(world.now, dst, src, Closed(ask.token), serial)


def test_only_liars_are_blamed_and_nobody_is_suspected_where_nobody_lies() -> None:
    checker, world, _ = stopped(HonestAreNotBlamed)
    with pytest.raises(Violation, match="1 suspects 2"):
        checker.suspected(world.now, 1, 2, "nothing")
    world.hosts[3].lied = True
    checker.suspected(world.now, 1, 2, "what it carried for 3")
    checker.blamed(world.now, 1, 3, "a breach")
    with pytest.raises(Violation, match="1 accuses 2"):
        checker.blamed(world.now, 1, 2, "nothing")


def test_a_second_evaluation_is_found_but_not_in_another_life() -> None:
    checker, world, _ = stopped(EvaluatedOnce)
    checker.searching(world.now, 1, QUERY)
    world.hosts[1].life += 1
    checker.searching(world.now, 1, QUERY)
    with pytest.raises(Violation, match="again"):
        checker.searching(world.now, 1, QUERY)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"ttl": 2}, "promises"),
        ({"ttl": -1}, "TTL"),
        ({"ttl": 1, "hops": 1}, "TTL"),
        ({"remaining_ms": 9_901}, "ms"),
        ({"remaining_ms": 0}, "ms"),
    ],
)
def test_ttl_and_time_that_do_not_fall_are_found(changes: dict[str, Any], what: str) -> None:
    checker, world, keep = stopped(TtlAndTimeFall)
    src, dst, ask, serial = keep.asks[0]
    # The receiver sends it on with numbers that it was not given.
    checker.arrived(world.now, src, dst, ask, serial)
    good = replace(ask, ttl=0, hops=2, remaining_ms=ask.remaining_ms - 100)
    checker.sent(world.now, dst, 2, good, 9)
    with pytest.raises(Violation, match=what):
        checker.sent(world.now, dst, 2, replace(good, **changes), 9)


def test_an_ask_sent_on_with_no_ttl_left_is_found() -> None:
    checker, world, keep = stopped(TtlAndTimeFall)
    src, dst, ask, serial = keep.asks[0]
    checker.arrived(world.now, src, dst, replace(ask, ttl=0, hops=2), serial)
    with pytest.raises(Violation, match="was given TTL 0"):
        checker.sent(world.now, dst, 2, replace(ask, ttl=0, hops=2, remaining_ms=9_000), 9)


def test_somebody_asked_beyond_the_ball_is_found() -> None:
    checker = NotBeyondTheBall()
    keep = Keep()
    world = World(1, topologies.ring(8), observers=[checker, keep])
    world.ask(0, scope=Ball(2))
    with pytest.raises(Violation, match="3 hops from 0"):
        checker.arrived(world.now, 2, 3, keep.asks[0][2], 1)
    # A liar can dial whom it wants to, and hand over a copy (seed 1975); who passes it on breaks
    # the rule.
    world.hosts[0].lied = True
    checker.arrived(world.now, 0, 4, keep.asks[0][2], UNLINKED)
    with pytest.raises(Violation, match="3 hops from 0"):
        checker.arrived(world.now, 4, 5, keep.asks[0][2], 1)


def test_rows_after_the_final_and_a_second_final_are_found() -> None:
    checker, world, _ = stopped(OneFinal)
    query_id = world.askings[0].query_id
    checker.delivered(world.now, 0, query_id, world.hosts[1].node, ())
    checker.finished(world.now, 0, query_id, Report(query_id, (), 1))
    with pytest.raises(Violation, match="rows"):
        checker.delivered(world.now, 0, query_id, world.hosts[1].node, ())
    with pytest.raises(Violation, match="final"):
        checker.finished(world.now, 0, query_id, Report(query_id, (), 1))


@pytest.mark.parametrize(
    ("found", "given", "status", "said"),
    [
        (None, ROWS, Status.ANSWERED, 3),
        (ROWS, ROWS[:2], Status.ANSWERED, 2),
        (ROWS, ROWS, Status.ANSWERED, 2),
        (ROWS, None, Status.ANSWERED, 0),
        (ROWS, ROWS, Status.UNREACHABLE, 3),
        (ROWS, ROWS[1:], Status.TRUNCATED, 2),
        (None, None, Status.REFUSED, 1),
    ],
)
def test_answers_that_were_not_given_so_are_found(
    found: tuple[Row, ...] | None, given: tuple[Row, ...] | None, status: Status, said: int
) -> None:
    checker, world, _ = stopped(AnsweredMeansAnswered)
    node = world.hosts[1].node
    checker.found(world.now, 1, QUERY, found)
    if given is not None:
        checker.delivered(world.now, 0, QUERY, node, given)
    report = Report(QUERY, (MemberAnswer(node, status, said),), 1)
    with pytest.raises(Violation, match="reports 1"):
        checker.finished(world.now, 0, QUERY, report)


def test_rows_given_twice_are_found() -> None:
    checker, world, _ = stopped(AnsweredMeansAnswered)
    checker.delivered(world.now, 0, QUERY, world.hosts[1].node, ROWS)
    with pytest.raises(Violation, match="twice"):
        checker.delivered(world.now, 0, QUERY, world.hosts[1].node, ROWS)


def test_a_report_that_leaves_somebody_out_is_found() -> None:
    checker, world, _ = stopped(EverybodyNamed)
    members = tuple(MemberAnswer(node, Status.ANSWERED) for node in sorted(world.members))
    checker.finished(world.now, 0, QUERY, Report(QUERY, members, 1))
    with pytest.raises(Violation, match="3 of 4"):
        checker.finished(world.now, 0, QUERY, Report(QUERY, members[1:], 1))


def test_an_ask_over_a_direct_link_is_found() -> None:
    checker, world, keep = stopped(VisitsAreForRecalls)
    checker.sent(world.now, 0, 2, Ping(1), DIRECT)
    with pytest.raises(Violation, match="directly"):
        checker.sent(world.now, 0, 2, keep.asks[0][2], DIRECT)


def test_work_left_open_is_found_once_every_deadline_has_passed() -> None:
    checker, world, _ = stopped(NothingStale)
    checker.ended(world.now)  # too early to say
    world.now += 20 * SECOND
    with pytest.raises(Violation, match=r"0 still has \{'waves': 1, 'branches': 2"):
        checker.ended(world.now)


def test_in_a_calm_everybody_answers_before_the_deadline() -> None:
    checker, world, _ = stopped(CalmIsComplete)
    asking = world.askings[0]
    silent = Report(asking.query_id, (MemberAnswer(world.hosts[1].node, Status.UNREACHABLE),), 1)
    with pytest.raises(Violation, match="reports 1 as unreachable"):
        checker.finished(world.now, 0, asking.query_id, silent)
    with pytest.raises(Violation, match="deadline"):
        checker.finished(asking.deadline, 0, asking.query_id, Report(asking.query_id, (), 1))
    checker.finished(world.now, 0, asking.query_id, replace(silent, cancelled=True))
    faults.snap(world, 0, 1)
    checker.finished(world.now, 0, asking.query_id, silent)


def test_a_final_that_is_missing_or_late_is_found() -> None:
    world = World(1, topologies.ring(4))
    world.run(SECOND)
    asking = world.ask(0)
    liveness.every_query_ends(world)
    world.now = asking.deadline + 1
    with pytest.raises(Violation, match="waits for its final"):
        liveness.every_query_ends(world)
    asking.report, asking.finished_at = Report(asking.query_id, (), 1), world.now + SECOND
    with pytest.raises(Violation, match="late"):
        liveness.every_query_ends(world)
    asking.frozen = True
    liveness.every_query_ends(world)


def test_somebody_missing_after_healing_is_found() -> None:
    world = World(1, topologies.ring(4))
    world.run(SECOND)
    faults.crash(world, 2)
    with pytest.raises(Violation, match="1 still misses 2 unreachable"):
        liveness.everybody_answers(world, patience_us=10 * SECOND)


# ---------------------------------------------------------------- planted in the engine

Broken = Callable[..., Any]


def more(what: Callable[[list[Effect]], list[Effect]]) -> Callable[[Broken], Broken]:
    """Wrap a method that returns effects."""

    def wrap(real: Broken) -> Broken:
        return lambda self, *given, **named: what(real(self, *given, **named))

    return wrap


def instead(value: object) -> Callable[[Broken], Broken]:
    """Replace a method by one that always says the same."""
    return lambda real: lambda self, *given, **named: value


def asks(change: Callable[[Ask], Ask]) -> Callable[[Broken], Broken]:
    """Change every Ask among the effects."""
    return more(
        lambda effects: [
            Send(e.peer, change(e.message))
            if isinstance(e, Send) and isinstance(e.message, Ask)
            else e
            for e in effects
        ]
    )


def lying(real: Broken) -> Broken:
    """Whoever is absent is said to have answered."""
    return lambda self, inquiry, node: replace(real(self, inquiry, node), status=Status.ANSWERED)


def forgetful(real: Broken) -> Broken:
    """Notes when somebody is heard, but not that it is silent no more."""

    def heard(self: Attendance, node: Any, now: int) -> None:
        self._heard[node] = now

    return heard


PLANTED: dict[str, tuple[tuple[tuple[type, str, Callable[[Broken], Broken]], ...], set[str]]] = {
    "no deduplication": (
        ((Seen, "best", instead(None)), (Replay, "fresh", instead(True))),
        {"EvaluatedOnce"},
    ),
    "a wave never closes": (
        ((Flood, "_end", instead([])),),
        {"CalmIsComplete", "OneClosedForEachAsk", "NothingStale"},
    ),
    "a wave closes twice": (
        ((Flood, "_end", more(lambda effects: effects + effects)),),
        {"OneClosedForEachAsk"},
    ),
    "relays keep answers to themselves": (
        ((Flood, "carry", instead([])),),
        {"Identities"},
    ),
    "TTL does not fall": (
        ((Flood, "_forward", asks(lambda ask: replace(ask, ttl=ask.ttl + 1))),),
        {"TtlAndTimeFall"},
    ),
    "time does not fall": (
        ((Flood, "_forward", asks(lambda ask: replace(ask, remaining_ms=40_000))),),
        {"TtlAndTimeFall"},
    ),
    "one token for all": (
        ((Flood, "_forward", asks(lambda ask: replace(ask, token=7))),),
        {"OneClosedForEachAsk", "HonestAreNotBlamed"},
    ),
    "the flood goes by direct links": (
        (
            (
                Flood,
                "_forward",
                more(lambda effects: [Visit(e.peer, e.message) for e in effects]),  # type: ignore[union-attr]
            ),
        ),
        {"VisitsAreForRecalls"},
    ),
    "a larger TTL is not forwarded": (
        ((Seen, "best", lambda real: lambda self, q: 99 if real(self, q) is not None else None),),
        {"Identities"},
    ),
    "the absent are said to have answered": (
        ((Inquiries, "_absent", lying),),
        {"AnsweredMeansAnswered"},
    ),
    "rows are lost on the last step": (
        (
            (
                Inquiries,
                "_account",
                more(lambda effects: [e for e in effects if not isinstance(e, DeliverRows)]),
            ),
        ),
        {"AnsweredMeansAnswered"},
    ),
    "a final comes twice": (
        (
            (
                Inquiries,
                "_finish",
                more(lambda es: [e for e in es if isinstance(e, DeliverFinal)] + es),
            ),
        ),
        {"OneFinal", "AnsweredMeansAnswered"},
    ),
    "no final at the deadline": (((Inquiries, "expire", instead([])),), {"EveryQueryEnds"}),
    "silence is for ever": (((Attendance, "heard", forgetful),), {"EverybodyAnswers"}),
    "kept answers are kept for ever": (
        ((Holding, "expire", instead(None)),),
        {"NothingStale"},
    ),
}


def floods() -> None:
    for seed in (1, 3, 6, 8):
        campaigns.identities_hold(seed)


MET = ("dark", "partition", "snap", "half_open", "slow", "broken_disk", "stuck_disk", "roll_back",
       "flood")  # fmt: skip
"""What happens in the small night that meets every planted bug."""


def small_night() -> None:
    night(65, only=MET)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_bug_planted_in_the_engine_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patches, rules = PLANTED[bug]
    for kind, name, wrap in patches:
        monkeypatch.setattr(kind, name, wrap(getattr(kind, name)))
    trial = floods if rules == {"Identities"} else small_night
    with pytest.raises(Violation) as caught:
        trial()
    assert caught.value.rule in rules, str(caught.value)


def test_the_command_says_which_seed_broke_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Flood, "_end", lambda self, number, wave: [])
    assert command.main(["nights", "--seeds", "1", "--first", "65"]) == 2
    assert command.main(["identities", "--seeds", "1"]) == 2
    monkeypatch.setattr(Flood, "_end", lambda self: [])
    assert command.main(["nights", "--seeds", "1", "--first", "65"]) == 2
    said = capsys.readouterr().out
    assert "seed 65: TypeError: " in said
    assert "seed 65: OneClosedForEachAsk: " in said
    assert "again: python -m meshpacs_sim nights --first 65 --seeds 1\n" in said
    assert "verdict: a rule was broken (" in said.splitlines()[-1]


def test_a_campaign_stops_at_the_first_seed_that_breaks_a_rule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Flood, "_end", lambda self, number, wave: [])
    assert command.main(["identities", "--seeds", "3", "--first", "5"]) == 2
    said = capsys.readouterr().out
    assert said.startswith("seed 5: ")
    assert "seed 6: " not in said
    assert "identities: 0 from seed 5" in said


def test_the_campaign_counts_what_it_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(self: Measures, *given: object) -> None: ...

    monkeypatch.setattr(Measures, "arrived", deaf)
    with pytest.raises(Violation, match="repeats: 0 instead of"):
        campaigns.identities_hold(0)


def test_every_safety_checker_is_planted_against() -> None:
    """A checker without a test would be a decoration."""
    here = Path(__file__).parent
    files = (here / "test_checkers.py", here / "test_honesty.py")
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    for checker in SAFETY:
        assert f"stopped({checker.__name__})" in text or f"{checker.__name__}()" in text
