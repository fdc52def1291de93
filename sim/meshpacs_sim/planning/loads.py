"""What the lines of a plan carry in a week, and how copies and fetches get on: sums, no words."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from meshpacs_sim.planning.answer import Answer, Variant
from meshpacs_sim.planning.hours import DAY
from meshpacs_sim.planning.lines import COPY, FETCH, Transfer
from meshpacs_sim.planning.reach import HOURS

FULL = Fraction(4, 5)
"""The share of a line's width from which on there is a warning. A guess: queues grow there."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What one way of a line carries in one hour of the week, in bytes, on average."""

    asked: Fraction
    """Questions and answers, of the engine."""
    upkeep: Fraction
    """What else the engine sends."""
    fetched: Fraction
    copied: Fraction

    @property
    def all(self) -> Fraction:
        """All of it."""
        return self.asked + self.upkeep + self.fetched + self.copied


BEHIND = 240
"""Minutes in which both sites are open, beyond which a copy is behind: it is a line that keeps it,
and no door. A guess: half of a working day."""

NOTHING = Hour(Fraction(0), Fraction(0), Fraction(0), Fraction(0))


@dataclass(frozen=True, slots=True)
class Way:
    """One way of one site's line."""

    site: int
    up: bool
    mbit: float
    hours: tuple[Hour, ...]
    """Of the week, from Monday on; what was not simulated is nothing."""
    open_hours: Fraction
    """How many of the simulated hours of a week its site is open."""
    full: Fraction
    """Hours of a simulated week in which more than `FULL` of it was in use."""

    def share(self, hour: int) -> Fraction:
        """Of its width, in one hour of the week."""
        return self.hours[hour].all * 8 / (3600 * _bps(self.mbit))

    @property
    def fullest(self) -> int:
        """The hour of the week in which it carries most."""
        return max(range(HOURS), key=lambda hour: (self.hours[hour].all, -hour))

    def mean_mbit(self, what: str = "all") -> float:
        """While its site is open."""
        if not self.open_hours:
            return 0.0
        total = sum((getattr(hour, what) for hour in self.hours), Fraction(0))
        return float(total * 8 / (self.open_hours * 3600 * 1_000_000))

    def busiest_mbit(self) -> float:
        """In its fullest hour."""
        return float(self.hours[self.fullest].all * 8 / (3600 * 1_000_000))


def ways(answer: Answer, variant: Variant) -> list[Way]:
    """Both ways of every line, with all that a variant puts on them."""
    return [
        _way(answer, variant, site, up=up)
        for site in range(len(answer.plan.site))
        for up in (True, False)
    ]


def _way(answer: Answer, variant: Variant, site: int, *, up: bool) -> Way:
    plan, engine = answer.plan, answer.engine
    messages = (engine.up if up else engine.down)[site]
    mbit = plan.site[site].up_mbit if up else plan.site[site].down_mbit
    room, full = FULL * _bps(mbit) * 450, 0  # 3,600 seconds of 8 bits
    sums = [[0, 0, 0, 0] for _ in range(HOURS)]
    seen = [0] * HOURS
    for course in variant.courses:
        loads = (course.lines.up if up else course.lines.down)[site]
        for number, (load, said) in enumerate(zip(loads, messages, strict=True)):
            parts = (said.asked, said.all - said.asked, load.fetched, load.copied)
            full += sum(parts) > room
            seen[number % HOURS] += 1
            for kind, part in enumerate(parts):
                sums[number % HOURS][kind] += part
    hours = tuple(
        Hour(*(Fraction(part, count) for part in parts)) if count else NOTHING
        for parts, count in zip(sums, seen, strict=True)
    )
    minutes = min(plan.days, 7) * DAY
    open_hours = Fraction(variant.together.open_minutes(site, 0, minutes), 60)
    weeks = Fraction(len(variant.courses) * plan.days, min(plan.days, 7))
    return Way(site, up, mbit, hours, open_hours, Fraction(full) / weeks)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long transfers took, in minutes."""

    done: tuple[int, ...]
    """Of those that were through, rising."""
    under_way: int
    """How many were not, when the simulated time ended."""
    left_bytes: int
    """What these had still to go."""
    behind: int
    """Of all, those that lines have kept for more than `BEHIND` minutes in which both were open."""

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.done) + self.under_way

    def within(self, share: Fraction) -> int | None:
        """In how many minutes so many of all were through; None if not so many were."""
        rank = -(-self.count * share.numerator // share.denominator)
        return self.done[rank - 1] if 0 < rank <= len(self.done) else None


def copies_from(variant: Variant, site: int) -> Waits:
    """Copies that a site sends, from when a study is made."""
    return _waits(variant, lambda each: each.src == site and each.rank >= COPY)


def fetches_to(variant: Variant, site: int) -> Waits:
    """Images that a site fetches, from when somebody who has them answers."""
    return _waits(variant, lambda each: each.dst == site and each.rank == FETCH)


def _waits(variant: Variant, ours: Callable[[Transfer], bool]) -> Waits:
    mine = [
        (transfer, course.lines.minute)
        for course in variant.courses
        for transfer in course.lines.transfers
        if ours(transfer)
    ]
    done = sorted(each.done + 1 - each.born for each, _ in mine if each.done >= 0)
    open_yet = [(each, end) for each, end in mine if each.done < 0]
    return Waits(
        tuple(done),
        len(open_yet),
        sum(each.left for each, _ in open_yet),
        sum(_waited(variant, each, end) > BEHIND for each, end in mine),
    )


def _waited(variant: Variant, transfer: Transfer, end: int) -> int:
    """Minutes in which it could have gone, until it was through or all ended."""
    stop = transfer.done + 1 if transfer.done >= 0 else end
    if stop - transfer.born <= BEHIND:
        return 0
    stretches = variant.together.stretches(transfer.born, stop)
    both = 1 << transfer.src | 1 << transfer.dst
    return sum(last - first for first, last, mask in stretches if mask & both == both)


def _bps(mbit: float) -> int:
    return round(mbit * 1_000_000)
