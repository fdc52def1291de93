"""Liveness: what must happen in the end, judged after everything has been healed."""

from collections.abc import Sequence

from meshpacs.model.answer import Status
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import MILLISECOND, SECOND, Micros
from meshpacs_sim.trials.checkers import Violation
from meshpacs_sim.world import faults
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.world import World

SLACK_US: Micros = 100 * MILLISECOND
"""What a final may be later than its deadline: a timer's grain. The engines here have none; this
is for queries whose asker was frozen when the deadline passed, and thawed. A guess."""

ORIGINS = 4
"""How many hosts are made to ask once all is well: each asks everybody, so that takes long."""

WRONG_US: Micros = 400 * SECOND
"""A clock that is off by more than the five minutes of PROTOCOL 4.5."""


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

    Each of the origins (by default some of those that are heard) asks until its answer is whole or
    `patience_us` has passed since its first try; that members are un-silenced may take a query or
    a keepalive.

    Raises:
        Violation: somebody is still missing.
    """
    askings: list[Asking] = []
    for origin in _some(world, _heard(world)) if origins is None else origins:
        give_up = world.now + patience_us
        while True:
            asking = _ask_when_allowed(world, origin)
            world.finish(asking)
            askings.append(asking)
            missing = [f"{index} {status}" for index, status in _missing(world, asking).items()]
            if asking.report and not missing and asking.finished_at < asking.deadline:
                break
            if world.now >= give_up:
                what = f"{origin} still misses {', '.join(missing) or 'its final'}"
                raise Violation("EverybodyAnswers", world, what)
            world.run(world.now + 5 * SECOND)
    return askings


def the_honest_are_found(world: World) -> None:
    """While members lie, but all else is well, everybody else answers a query to everyone.

    What a liar on the way hides is asked for directly: of any question but the first, which only
    pings members that were silent when it was asked (PROTOCOL 5.3).

    Raises:
        Violation: an honest member is missing, or the final came after its deadline.
    """
    honest = [index for index in _heard(world) if world.hosts[index].liar is None]
    for origin in _some(world, honest):
        silent = list(_absent_honest(world, _question(world, origin)).values())
        missing = _absent_honest(world, _question(world, origin)) if silent else {}
        if missing or any(status != Status.UNREACHABLE.value for status in silent):
            lying = [host.index for host in world.hosts if host.liar is not None]
            what = f"{origin} misses {missing or silent} while {lying} lie"
            raise Violation("TheHonestAreFound", world, what)


def _question(world: World, origin: int) -> Asking:
    asking = _ask_when_allowed(world, origin)
    world.finish(asking)
    if not asking.report or asking.finished_at > asking.deadline:
        raise Violation("TheHonestAreFound", world, f"{origin} has not had its final in time")
    world.run(world.now + SECOND)
    return asking


def _absent_honest(world: World, asking: Asking) -> dict[int, str]:
    missing = _missing(world, asking)
    return {index: what for index, what in missing.items() if world.hosts[index].liar is None}


def a_wrong_clock_is_named(world: World) -> None:
    """A clock off by more than five minutes is answered so, with the offset; all others answer.

    Raises:
        Violation: it is named otherwise, or somebody else is missing.
    """
    origin, *others = _heard(world)
    if not others:
        return
    wrong = others[world.seed % len(others)]
    faults.set_clock(world, wrong, WRONG_US)
    asking = _ask_when_allowed(world, origin)
    world.finish(asking)
    missing = _missing(world, asking)
    skews = [m.skew_us for m in (asking.report.members if asking.report else ()) if m.skew_us]
    off = [skew for skew in skews if abs(skew - WRONG_US) > SECOND]
    faults.set_clock(world, wrong, 0)
    if missing != {wrong: Status.SKEWED.value} or off:
        what = f"{origin} is told {missing} {skews} where the clock of {wrong} is wrong"
        raise Violation("AWrongClockIsNamed", world, what)


def outdated(world: World) -> list[int]:
    """Hosts whose queries look like those of an earlier life: rolled back, or their disk was lost.

    That takes a clock that was ahead when the copy was not yet made, or is behind when all is gone:
    a boot number is at least the time of day. Until the true time has passed it, PROTOCOL 4.5 has
    no remedy for such a node; it answers, and it is not heard.
    """
    return [
        host.index
        for host in world.hosts
        if any(
            max(each.kept_boots.get(host.node, 0), each.heard_boots.get(host.node, 0))
            > host.stored_boot
            for each in world.hosts
        )
    ]


def _heard(world: World) -> list[int]:
    silenced = outdated(world)
    return [host.index for host in world.hosts if host.index not in silenced]


def _some(world: World, hosts: Sequence[int]) -> list[int]:
    """Up to `ORIGINS` of these, another few for each seed."""
    first = world.seed % max(len(hosts), 1)
    return [*hosts[first:], *hosts[:first]][:ORIGINS]


def _missing(world: World, asking: Asking) -> dict[int, str]:
    """Who has not answered, and why."""
    return {
        world.index[m.node]: m.status.value
        for m in (asking.report.members if asking.report else ())
        if m.status is not Status.ANSWERED
    }


def _ask_when_allowed(world: World, origin: int) -> Asking:
    """Ask, after waiting as long as the budget wants (PROTOCOL 4.6)."""
    while True:
        try:
            return world.ask(origin)
        except Unavailable:
            world.run(world.now + SECOND)
