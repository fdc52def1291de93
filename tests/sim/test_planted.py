"""Bugs planted in the engine, one at a time: a campaign catches each, by the rule it breaks.

Each night is named by a seed that is known to meet the bug; what is shown is that the rule sees
it, not how soon. A name stands for one patch.
"""

from collections.abc import Callable
from typing import Any

import pytest

from meshpacs.engine import answering
from meshpacs.engine.admission import Admission
from meshpacs.engine.answering import Answering
from meshpacs.engine.flood import Flood
from meshpacs.engine.inquiry import Inquiries
from meshpacs.engine.reading import Reading
from meshpacs.engine.seen import Replay
from meshpacs_sim.trials.checkers import Violation
from meshpacs_sim.trials.nights import night
from tests.sim.edited import edited

HARMFUL: dict[str, tuple[object, str, str, str, str, tuple[str, ...], int]] = {
    "a query's signature is not looked at": (
        Admission,
        "genuine",
        "if not self._notary.verify(origin, ASK_CONTEXT, packed, signature):",
        "if False:",
        "AskedByItsOrigin",
        ("liar",),
        2,
    ),
    "a second copy's signature is not looked at": (
        Answering,
        "ask",
        "if not self._admission.genuine(body.origin, ask.body, ask.signature):",
        "if False:",
        "HonestAreNotBlamed",
        ("liar",),
        10,
    ),
    "an answer's signature is not looked at": (
        Reading,
        "_verify",
        "if not self._notary.verify(responder, DONE_CONTEXT, answer.done, answer.signature):",
        "if False:",
        "ExcusesAreTrue",
        ("liar",),
        0,
    ),
    "nobody counts the queries of others": (
        Admission,
        "judge",
        "if busy or self._budget.wait_us(body.origin, now, interval):",
        "if busy:",
        "FloodsAreHeld",
        ("flood",),
        0,
    ),
    "who is too busy sends on": (
        Answering,
        "ask",
        "if ruling.carried:\n        wave, sent",
        "if True:\n        wave, sent",
        "FloodsAreHeld",
        ("flood",),
        0,
    ),
    "hops are believed": (
        Answering,
        "ask",
        "hops = min(ask.hops, MEMBERS)",
        "hops = ask.hops",
        "TtlAndTimeFall",
        ("liar",),
        0,
    ),
    "the time that is left is believed": (
        Answering,
        "ask",
        "remaining_ms = min(ask.remaining_ms, budget_ms)",
        "remaining_ms = ask.remaining_ms",
        "TtlAndTimeFall",
        ("liar",),
        0,
    ),
    "a ball may be stretched": (
        answering,
        "_check_hops",
        "if body.ttl0 and ask.ttl + ask.hops > body.ttl0:",
        "if False:",
        "TtlAndTimeFall",
        ("liar",),
        2,
    ),
    "anybody may recall": (
        Answering,
        "recall",
        "if body.origin != peer:",
        "if False:",
        "RecalledByItsOrigin",
        ("liar",),
        0,
    ),
    "a wrong clock is met with silence": (
        Admission,
        "judge",
        "return Ruling(Status.SKEWED, skew)",
        "return None",
        "AWrongClockIsNamed",
        ("snap",),
        0,
    ),
    "a wrong clock is not noticed": (
        Admission,
        "judge",
        "if abs(skew) > self._settings.skew_us:",
        "if False:",
        "AWrongClockIsNamed",
        ("snap",),
        0,
    ),
    "parts are put together whoever brings them": (
        Reading,
        "_add",
        "key = (token, piece.responder)",
        "key = (0, piece.responder)",
        "TheHonestAreFound",
        ("liar",),
        3,
    ),
    "nobody is recalled": (
        Inquiries,
        "flooded",
        "inquiry.waiting.append(node)",
        "pass",
        "TheHonestAreFound",
        ("liar",),
        2,
    ),
    "silent members are left alone": (
        Inquiries,
        "_knock",
        "if node not in self._peers and",
        "if False and",
        "TheHonestAreFound",
        ("liar", "dark"),
        10,
    ),
    "a doubt is not mentioned": (
        Inquiries,
        "_finish",
        "doubtful = inquiry.failed and",
        "doubtful = False and",
        "OutsideIsOutside",
        ("freeze", "snap", "half_open"),
        0,
    ),
    "who holds a ball back is not noticed": (
        Inquiries,
        "flooded",
        "inquiry.reading.spoiled or held_back",
        "inquiry.reading.spoiled",
        "OutsideIsOutside",
        ("clock",),
        0,
    ),
    "waves have no deadline": (
        Flood,
        "expire",
        "return self._end(number, wave)",
        "return []",
        "OneClosedForEachAsk",
        ("stuck_disk",),
        0,
    ),
    "two answers of one member are two": (
        Inquiries,
        "verified",
        " or done.responder in inquiry.answers",
        "",
        "AnsweredMeansAnswered",
        ("liar",),
        0,
    ),
    "a Cancel ends whatever it names": (
        Flood,
        "cancel",
        "if wave.parent == parent:",
        "if True:",
        "OneClosedForEachAsk",
        ("liar",),
        2,
    ),
    "an older boot will do": (
        Replay,
        "fresh",
        "if boot < window.boot:\n        return False",
        "if boot < window.boot:\n        return True",
        "BootsDoNotFall",
        ("liar", "crash"),
        7,
    ),
}
"""By name: where, which function, what stands there and what is planted, the rule that it
breaks, the faults of the night, and its seed."""


@pytest.mark.parametrize("bug", HARMFUL)
def test_a_bug_that_a_liar_or_a_fault_could_use_is_caught(
    bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, name, old, new, rule, faults, seed = HARMFUL[bug]
    real: Callable[..., Any] = getattr(room, name)
    monkeypatch.setattr(room, name, edited(real, old, new))
    with pytest.raises(Violation) as caught:
        night(seed, only=faults)
    assert caught.value.rule == rule, str(caught.value)
