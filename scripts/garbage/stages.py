"""The stages of a link, each with its share of the frames, thrown in blocks that can be repeated.

Everything in a block follows from (seed, stage, block): what is found in it is found again by
throwing that block alone.
"""

import contextlib
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol

import structlog
import trio

from garbage.doors import Answering, Dialling
from garbage.linked import Giving, Joining, Member, Taking
from garbage.mesh import Company, company
from garbage.messages import CONTENT, bodies, invite_text
from garbage.mind import Insider, Mind
from garbage.mutations import scramble, warp
from garbage.shelf import Shelf, shelved
from meshpacs.archive.archive import Archive
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import MILLISECOND
from meshpacs.node.manifests import Contributions
from meshpacs.wire.codec import decode
from meshpacs.wire.invite import read_invite
from meshpacs.wire.notary import RosterNotary

BLOCK = 500
"""Throws at one and the same door or engine, before a new one."""

HANG_CPU_S = 20.0
"""Processor time of one throw above which it counts as a hang; an honest one takes milliseconds."""

HANG_S = 120.0
"""The same by the clock, for what waits for ever: a busy machine must not be mistaken for it."""


class Hung(BaseException):
    """A throw took more processor time than anything honest."""


class Throwing(Protocol):
    """Who throws; `thrown` is what was thrown last, for the file that a finding is kept in."""

    thrown: bytes


Throw = Callable[[], Awaitable[object]] | Callable[[], object]


@dataclass(frozen=True, slots=True)
class Stage:
    """One place of the link's life."""

    name: str
    share: int
    """Of a hundred frames."""
    begin: Callable[["Range", Random], tuple[Throwing, Callable[[], Any]]]
    """A fresh target; who throws at it, and one throw."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: another error than ours, a hang, something left open."""

    stage: str
    block: int
    number: int
    what: str
    thrown: bytes


@dataclass(slots=True)
class Tally:
    """What became of the frames."""

    by_stage: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    """By stage and error."""
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Range:
    """What all stages stand on: the small mesh, and the target's archive with one study."""

    company: Company
    archive: Archive

    def contributions(self) -> Contributions:
        """The target's, on a shelf that forgets."""
        roster = self.company.roster()
        notary = RosterNotary(self.company.target, roster)
        return Contributions(self.company.target.node, Shelf(self.archive), notary, roster.head)


@contextlib.contextmanager
def throwing_range() -> Iterator[Range]:
    """Made, and gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="meshpacs-garbage-") as folder,
        Archive.open(Path(folder) / "archive") as archive,
    ):
        shelved(archive, CONTENT)
        yield Range(company(), archive)


# ---------------------------------------------------------------- the stages


def _dialling(kind: str, ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    dialling = Dialling(ground.company, draw)
    return dialling, getattr(dialling, kind)


def _answering(ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    answering = Answering(ground.company, draw)
    return answering, answering.second


def _member(kind: str, ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    member = Member(ground.company, draw)
    return member, getattr(member, kind)


def _joining(ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    joining = Joining(ground.company, draw)
    return joining, joining.talk


def _taking(ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    taking = Taking(ground.company, draw, ground.archive, ground.contributions())
    return taking, taking.request


def _giving(ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    giving = Giving(ground.company, draw, ground.contributions())
    return giving, giving.answer


class _Bodies:
    """What lies inside messages, given to what reads it."""

    def __init__(self, company: Company, draw: Random) -> None:
        self._bodies = bodies(company)
        self._invite = invite_text(company)
        self._draw = draw
        self.thrown = b""

    def throw(self) -> None:
        draw = self._draw
        if draw.random() < 0.05:
            self.thrown = scramble(self._invite.encode(), draw)
            read_invite(self.thrown.decode("latin_1"))
            return
        body, read = draw.choice(self._bodies)
        if draw.random() < 0.3:
            self.thrown = scramble(body, draw, draw.choice(self._bodies)[0])
        elif body[:1] == b"\0":  # a part: length, piece, padding
            size = 4 + int.from_bytes(body[:4], "big")
            piece = warp(body[4:size], draw)
            self.thrown = len(piece).to_bytes(4, "big") + piece + body[size:]
        else:
            self.thrown = warp(body, draw)
        read(self.thrown)


class _AtMind:
    """Messages of insiders to a live engine."""

    def __init__(self, ground: Range, draw: Random) -> None:
        self._ground = ground
        self._draw = draw
        self._mind = self._awake()
        self._insider = Insider(ground.company, draw)
        self.thrown = b""

    def _awake(self) -> Mind:
        return Mind(self._ground.company, self._ground.archive, self._draw.randrange(2**32))

    def throw(self) -> None:
        draw, mind = self._draw, self._mind
        mind.let_pass(draw.choice((1, 10, 200)) * MILLISECOND)
        if draw.random() < 0.02:
            with contextlib.suppress(MeshError):
                mind.ask(draw)
        who, self.thrown = self._insider.next(mind)
        try:
            mind.receive(who, decode(self.thrown), direct=draw.random() < 0.1)
        finally:
            if mind.alone:
                self.end()
                self._mind = self._awake()

    def end(self) -> None:
        """The time of everything passes; nothing may be open after that."""
        left = self._mind.still_open()
        assert not left, f"still open after everything has passed: {left}"


def _mind(ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    at = _AtMind(ground, draw)
    return at, at.throw


def _inside(ground: Range, draw: Random) -> tuple[Throwing, Throw]:
    inside = _Bodies(ground.company, draw)
    return inside, inside.throw


STAGES = (
    Stage("opening", 10, partial(_dialling, "opening")),
    Stage("message 1", 10, partial(_dialling, "first")),
    Stage("message 2", 5, _answering),
    Stage("message 3", 5, partial(_dialling, "third")),
    Stage("join link", 3, _joining),
    Stage("records", 12, partial(_member, "records")),
    Stage("frames", 12, partial(_member, "frames")),
    Stage("messages", 15, partial(_member, "message")),
    Stage("bodies", 10, _inside),
    Stage("engine", 12, _mind),
    Stage("giving", 3, _taking),
    Stage("taking", 3, _giving),
)
assert sum(stage.share for stage in STAGES) == 100


# ---------------------------------------------------------------- throwing


def plan(frames: int) -> Iterator[tuple[Stage, int, int]]:
    """Stage, block, and how many frames of it; a block of each stage in turn."""
    left = {stage.name: max(1, frames * stage.share // 100) for stage in STAGES}
    for block in range(max(-(-count // BLOCK) for count in left.values())):
        for stage in STAGES:
            count = min(BLOCK, left[stage.name])
            left[stage.name] -= count
            if count:
                yield stage, block, count


def throw_block(
    ground: Range, stage: Stage, seed: int, block: int, count: int, tally: Tally
) -> None:
    """One block of one stage. Adds to the tally; never raises for what is found."""
    draw = Random(f"{seed} {stage.name} {block}")
    thrower, throw = stage.begin(ground, draw)

    async def run() -> None:
        for number in range(count):
            outcome = await _one(throw)
            if outcome.startswith("!"):
                tally.findings.append(
                    Finding(stage.name, block, number, outcome[1:], thrower.thrown)
                )
                outcome = "found"
            tally.by_stage[stage.name] += 1
            tally.by_outcome[f"{stage.name}: {outcome}"] += 1
        outcome = await _one(getattr(thrower, "end", lambda: None))
        if outcome.startswith("!"):
            tally.findings.append(Finding(stage.name, block, count, outcome[1:], b""))

    with _quiet(), _watched():
        trio.run(run)


async def _one(throw: Callable[[], Any]) -> str:
    """The outcome of one throw by its name; behind a `!` what must not be."""
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_CPU_S)
    try:
        with trio.fail_after(HANG_S):
            waiting = throw()
            if isinstance(waiting, Awaitable):
                await waiting
    except MeshError as fault:
        return type(fault).__name__
    except trio.TooSlowError:
        return f"!it hung for {HANG_S} s"
    except Hung:
        return f"!it took {HANG_CPU_S} s of the processor\n{traceback.format_exc(limit=-6)}"
    except (KeyboardInterrupt, SystemExit, trio.Cancelled):
        raise
    except BaseException as error:
        if isinstance(error, BaseExceptionGroup):
            if error.subgroup((KeyboardInterrupt, SystemExit)):
                raise  # somebody stops the campaign
            if error.subgroup(Hung):
                return f"!it took {HANG_CPU_S} s of the processor\n{traceback.format_exc()}"
        return f"!{type(error).__name__}: {error}\n{traceback.format_exc()}"
    else:
        return "taken"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Processor time is limited by a signal, which also ends a loop that awaits nothing."""

    def hung(*_: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGVTALRM, hung)
    try:
        yield
    finally:
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A line of the log for each of a million frames would be read by nobody."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: object) -> Any:
    raise structlog.DropEvent
