"""Questions put to the engine that clinics run: who answers each, and what that costs every line.

Machines are on while their sites are open, links and keepalives are the engine's own, and messages
wait for the lines that the plan has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from typing import Protocol

from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Status
from meshpacs.model.ids import SECOND
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Message, Part, Recall
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.planning.hours import MINUTE_US, Together
from meshpacs_sim.planning.kept import Kept
from meshpacs_sim.planning.work import Question, Study, Work
from meshpacs_sim.world.cellar import Growing
from meshpacs_sim.world.churn.following import follow
from meshpacs_sim.world.conditions import Conditions, Line
from meshpacs_sim.world.lines import RECORD_HEAD_BYTES, Lines
from meshpacs_sim.world.measures import FRAME_BYTES
from meshpacs_sim.world.observers import UNLINKED, Observer
from meshpacs_sim.world.working import Working
from meshpacs_sim.world.workloads import EXACT, NEW, Arrival, Clinics
from meshpacs_sim.world.world import World

HOUR_US = 60 * MINUTE_US

AFTER_US = 40 * SECOND
"""After the last hour, so long for the last questions to end: their budget, and some."""

Progress = Callable[[int, int], None]
"""Told how many hours are done, of how many."""


class Answering(Protocol):
    """Who answers a question."""

    def answered(self, question: Question) -> int:
        """Bit i is site i, the asker left out."""
        ...


class ByHours:
    """Everybody who is open answers: a rule, which the engine is compared with."""

    def __init__(self, together: Together) -> None:
        """Of this week."""
        self._together = together

    def answered(self, question: Question) -> int:
        """Who is open in that minute."""
        mask = self._together.mask(question.when // MINUTE_US)
        asks = 1 << question.site
        return mask & ~asks if mask & asks else 0


@dataclass(slots=True)
class Messages:
    """What one way of one line has carried in one hour, in bytes, encryption's heads included."""

    asked: int = 0
    """Questions and answers."""
    all: int = 0
    """These, and what keeps the mesh together."""


@dataclass(slots=True)
class ByEngine:
    """What came of all questions of one repetition."""

    up: list[list[Messages]]
    down: list[list[Messages]]
    """By site and hour."""
    masks: dict[int, int] = field(default_factory=dict)
    """By the question's number, who answered in full; of those not asked nothing."""
    found: dict[int, int] = field(default_factory=dict)
    """Who answered with the study."""
    took_us: list[int] = field(default_factory=list)
    refused: int = 0
    """Questions that the asker's own node did not let out (PROTOCOL 4.6)."""
    events: int = 0

    def answered(self, question: Question) -> int:
        """Who answered."""
        return self.masks.get(question.number, 0)

    def standing(self, site: int, hour: int) -> tuple[int, int]:
        """Bytes that messages take of a line."""
        return self.up[site][hour].all, self.down[site][hour].all


def asked(work: Work, together: Together, progress: Progress) -> ByEngine:
    """Let the engines of all sites live through the plan's days, and ask everything."""
    plan, size = work.plan, len(work.plan.site)
    hours = plan.days * 24
    made = ByEngine(
        [[Messages() for _ in range(hours)] for _ in range(size)],
        [[Messages() for _ in range(hours)] for _ in range(size)],
    )
    widths = tuple(Line(_bps(site.down_mbit), _bps(site.up_mbit)) for site in plan.site)
    world = World(
        work.seed,
        Graph(plan.name, size, ()),
        conditions=Conditions(lines=widths, line_of=tuple(range(size))),
        settings=Settings(frozen_overlay=False),
        cellars=[Growing() for _ in range(size)],
        observers=[_Weighed(made, hours)],
    )
    follow(world, together)
    working = Working(world, _arrivals(work, together), clinics=Clinics(starts_hour=0))
    network = world.network
    assert isinstance(network, Lines)
    before = [(0, 0)] * size
    for hour in range(hours):
        world.run((hour + 1) * HOUR_US)
        for site in range(size):
            now = network.up[site].bytes, network.down[site].bytes
            made.up[site][hour].all = now[0] - before[site][0]
            made.down[site][hour].all = now[1] - before[site][1]
            before[site] = now
        progress(hour + 1, hours)
    world.run(world.now + AFTER_US)
    _take(made, world, working)
    return made


def _take(made: ByEngine, world: World, working: Working) -> None:
    """Read the answers."""
    made.refused, made.events = working.failed.total(), world.events
    for arrival, asking in working.asked:
        if asking.report is None:
            continue
        answered = found = 0
        for member in asking.report.members:
            site = world.index[member.node]
            if site != arrival.origin and member.status is Status.ANSWERED:
                answered |= 1 << site
                found |= bool(member.rows) << site
        # `study` of a question is its number here: arrivals come back as they were given.
        made.masks[arrival.study], made.found[arrival.study] = answered, found
        made.took_us.append(asking.took_us)


def _arrivals(work: Work, together: Together) -> Iterator[Arrival]:
    """All studies at all their holders, as if copies took no time; then what happens."""
    kept = Kept(work.plan.copies, together)
    old = {each.study.number: each.study for each in work.questions if each.study.when < 0}
    for study in old.values():
        yield from _stored(study, kept)
    new = (each for study in work.studies for each in _stored(study, kept))
    questions = (
        Arrival(each.when, each.site, EXACT, each.study.number, each.number)
        for each in work.questions
    )
    yield from merge(new, questions, key=lambda arrival: arrival.when)


def _stored(study: Study, kept: Kept) -> Iterator[Arrival]:
    sizes = study.modality, study.instances, study.size_bytes
    for site in (study.site, *kept.copied_to(study)):
        # A patient for each study: the question for the number finds it and nothing else.
        yield Arrival(study.when, site, NEW, study.number, study.number, *sizes)


class _Weighed(Observer):
    """Weighs what belongs to questions, by line and hour; floods' copies once each message."""

    def __init__(self, made: ByEngine, hours: int) -> None:
        self._made, self._hours = made, hours
        self._last: tuple[Message | None, int] = (None, 0)

    def sent(self, now: int, src: int, dst: int, message: Message, serial: int) -> None:
        """Put it on both lines."""
        hour = now // HOUR_US
        if serial == UNLINKED or hour >= self._hours:
            return
        if not isinstance(message, Ask | Got | Part | Closed | Cancel | Recall):
            return
        last, size = self._last
        if last is not message:
            size = FRAME_BYTES + len(encode(message)) + RECORD_HEAD_BYTES
            self._last = message, size
        self._made.up[src][hour].asked += size
        self._made.down[dst][hour].asked += size


def _bps(mbit: float) -> int:
    return round(mbit * 1_000_000)
