"""Whether a live mesh has cost what World says: the verdict of `scripts/live`."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshpacs_sim.graphs import identities
from meshpacs_sim.graphs.graph import Graph

TOLERANCE = 0.05
"""How far bytes may be from those of a World that is not told."""

KINDS = ("Ask", "Got", "Closed", "Part")
"""What a query sends on a graph that does not change."""

FLOOD = (*KINDS, "Recall", "Cancel")
"""What queries send; keepalives and roster messages are counted apart."""


class NotEqual(Exception):
    """The verdict."""


def hold(true: object, what: str) -> None:
    """Go on, or end with a verdict."""
    if not true:
        raise NotEqual(what)


@dataclass(frozen=True)
class Question:
    """Who asks whom."""

    origin: int
    ttl: int
    """Of a ball; 0 for everyone."""


@dataclass(frozen=True)
class Outcome:
    """What one question has cost, and who has answered it."""

    counts: dict[str, int]
    bytes: dict[str, int]
    answered: tuple[int, ...]
    hops: int
    """Sum over those who answered."""
    took_ms: float
    named_bytes: int = 0
    """Of all Closeds together, what names members that were not reached in time, as nodes tell."""


def compare(
    graph: Graph,
    questions: Sequence[Question],
    live: list[Outcome],
    told: list[Outcome],
    untold: list[Outcome],
) -> None:
    """Hold everything that must be equal, and print what was counted.

    Args:
        graph: who is linked with whom.
        questions: what was asked.
        live: what that has cost.
        told: what it costs in a World that knows which copy came first at whom.
        untold: the same in a World that does not.

    Raises:
        NotEqual: it says what differs, and for which question.
    """
    for name, outcomes in (("live", live), ("World", told), ("World, not told", untold)):
        for question, outcome in zip(questions, outcomes, strict=True):
            _hold_identities(graph, question, outcome, f"{question}, {name}: {outcome.counts}")
    for question, real, retold in zip(questions, live, told, strict=True):
        for name in FLOOD:
            ours, theirs = _one(real, name), _one(retold, name)
            hold(ours == theirs, f"{question}, {name}, (messages, bytes): {ours}, World {theirs}")
    whole = [at for at, question in enumerate(questions) if not question.ttl]
    cost = identities.everyone(graph)
    print(f"{len(whole)} queries to everyone: {cost.asks} Asks and {cost.closeds} Closed each,")
    print("  live and in World, as 2E - (n - 1) says; no recall.")
    print(f"{len(questions) - len(whole)} balls: exactly the ball has answered, live and in World.")
    print(f"Each of these {len(questions)} queries, in messages and bytes of every type: live what")
    print("  World says that is told which copy came first at whom. Together:")
    print(f"{'':8}{'messages':>9}{'bytes':>11}")
    for name in KINDS:
        messages, size = _all(live, name)
        print(f"{name:8}{messages:9}{size:11}")
    late = [outcome.named_bytes for outcome in live if outcome.named_bytes]
    if late:
        print(f"  In {len(late)} of them somebody acknowledged over a second late and was named in")
        print(f"  Closeds: {sum(late)} bytes, as the nodes tell it, are taken off.")
    _compare_forecast([live[at] for at in whole], [untold[at] for at in whole])


def _hold_identities(graph: Graph, question: Question, outcome: Outcome, said: str) -> None:
    expected = identities.ball(graph, question.origin, question.ttl or graph.size)
    counts = outcome.counts
    hold(outcome.answered == expected, f"{said}: {outcome.answered}, not {expected}")
    hold(counts["Closed"] == counts["Got"] == counts["Ask"], f"{said}: not all closed")
    hold(counts["Part"] == outcome.hops, f"{said}: {outcome.hops} hops")
    hold(not counts["Recall"] and not counts["Cancel"], f"{said}: recalled or cancelled")
    if question.ttl:
        least = identities.ball_asks_at_least(graph, question.origin, question.ttl)
        hold(counts["Ask"] >= least, f"{said}: at least {least} were needed")
    else:
        asks = identities.everyone(graph).asks
        hold(counts["Ask"] == asks, f"{said}: {asks} were expected")


def _compare_forecast(live: Sequence[Outcome], untold: Sequence[Outcome]) -> None:
    print("For information, what a World says of the queries to everyone that is not told:")
    print(f"{'':8}{'live':>9}{'World':>9}{'live':>11}{'World':>11}{'ratio':>8}{'of each':>9}")
    print(f"{'':8}{'messages':>18}{'bytes':>22}")
    for name in KINDS:
        ours, theirs = _all(live, name), _all(untold, name)
        ratio = ours[1] / theirs[1]
        each = ratio * theirs[0] / ours[0]
        print(f"{name:8}{ours[0]:9}{theirs[0]:9}{ours[1]:11}{theirs[1]:11}{ratio:8.3f}{each:9.3f}")
        judged = each if name == "Part" else ratio
        hold(abs(judged - 1) <= TOLERANCE, f"{name}: {judged:.3f} of World's bytes")


def _one(outcome: Outcome, name: str) -> tuple[int, int]:
    # A process that waits over a second for a processor does not acknowledge in time, and Closeds
    # name it to the origin (PROTOCOL 2.5, 4.4). World knows no such wait; the nodes tell of it.
    fault = outcome.named_bytes if name == "Closed" else 0
    return outcome.counts[name], outcome.bytes[name] - fault


def _all(outcomes: Sequence[Outcome], name: str) -> tuple[int, int]:
    ones = [_one(outcome, name) for outcome in outcomes]
    return sum(count for count, _ in ones), sum(size for _, size in ones)
