"""Liveness: what must happen in the end, judged after everything has been healed."""

from collections.abc import Sequence

from meshpacs.model.answer import Status
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs_sim.checkers import Violation
from meshpacs_sim.hosts import Asking
from meshpacs_sim.world import World

SLACK_US: Micros = 100 * MILLISECOND
"""What a final may be later than its deadline: a timer's grain. The engines here have none; this
is for queries whose asker was frozen when the deadline passed, and thawed. A guess."""


def every_query_ends(world: World) -> None:
    """Whoever asked and is still up has its final, and had it in time.

    A frozen asker's final comes when it thaws; those are judged only for having ended.

    Raises:
        Violation: a final is missing or was late.
    """
    for asking in world.askings:
        if asking.lost:
            continue
        if asking.report is None:
            if world.now > asking.deadline and world.hosts[asking.origin].able:
                raise Violation("EveryQueryEnds", world, f"{asking.origin} waits for its final")
        elif asking.finished_at > asking.deadline + SLACK_US and not asking.frozen:
            late = asking.finished_at - asking.deadline
            raise Violation("EveryQueryEnds", world, f"{asking.origin} had it {late} us late")


def everybody_answers(
    world: World, *, origins: Sequence[int] | None = None, patience_us: Micros = 120 * SECOND
) -> list[Asking]:
    """After healing, a question from any node is answered by all, and well before its deadline.

    Each of the origins (by default all hosts) asks until its answer is whole or `patience_us` has
    passed since its first try; that members are un-silenced may take a query or a keepalive.

    Raises:
        Violation: somebody is still missing.
    """
    askings: list[Asking] = []
    for origin in range(len(world.hosts)) if origins is None else origins:
        give_up = world.now + patience_us
        while True:
            asking = _ask_when_allowed(world, origin)
            world.finish(asking)
            askings.append(asking)
            report = asking.report
            missing = [
                f"{world.index[m.node]} {m.status.value}"
                for m in (report.members if report else ())
                if m.status is not Status.ANSWERED
            ]
            if report is not None and not missing and asking.finished_at < asking.deadline:
                break
            if world.now >= give_up:
                what = f"{origin} still misses {', '.join(missing) or 'its final'}"
                raise Violation("EverybodyAnswers", world, what)
            world.run(world.now + 5 * SECOND)
    return askings


def _ask_when_allowed(world: World, origin: int) -> Asking:
    """Ask, after waiting as long as the budget wants (PROTOCOL 4.6)."""
    while True:
        try:
            return world.ask(origin)
        except Unavailable:
            world.run(world.now + SECOND)
