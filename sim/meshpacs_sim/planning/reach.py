"""What opening hours and copies let be reached, hour by hour: exact arithmetic, no chance but whose
copies lie where.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from meshpacs_sim.planning.hours import WEEK, Together
from meshpacs_sim.planning.kept import Kept
from meshpacs_sim.planning.work import Work

SAMPLE = 256
"""Old studies of each site whose holders are drawn; with one copy there is nothing to draw."""

HOURS = 168


class Reach:
    """The shares of old studies that somebody who is open holds."""

    def __init__(self, work: Work, together: Together, copies: int) -> None:
        """Draw holders of some studies of each site."""
        plan, kept = work.plan, Kept(copies, together)
        self._together = together
        self._rates = [site.rate for site in plan.site]
        self._holders: list[dict[int, int]] = []
        """For each site, how many of its studies are kept by whom."""
        for site in range(len(plan.site)):
            counted: dict[int, int] = {}
            for turn in range(SAMPLE if copies > 1 else 1):
                mask = kept.holders(work.old(site, turn))
                counted[mask] = counted.get(mask, 0) + 1
            self._holders.append(counted)
        self._known: dict[tuple[int, int], Fraction] = {}

    def alone(self, maker: int) -> Fraction:
        """Of the studies made at a site, those that are kept nowhere else."""
        counted = self._holders[maker]
        return Fraction(counted.get(1 << maker, 0), sum(counted.values()))

    def of(self, maker: int, mask: int) -> Fraction:
        """Of the studies made at a site, those of which one of these is a holder."""
        known = self._known.get((maker, mask))
        if known is None:
            counted = self._holders[maker]
            hits = sum(count for held, count in counted.items() if held & mask)
            known = self._known[maker, mask] = Fraction(hits, sum(counted.values()))
        return known

    def hourly(self, site: int) -> list[Fraction | None]:
        """For each hour of the week, of all studies made elsewhere those that this site could have,
        if its own machine were on.

        None if nothing is made elsewhere.
        """
        others = [maker for maker in range(len(self._rates)) if maker != site]
        rate = sum(self._rates[maker] for maker in others)
        if not rate:
            return [None] * HOURS

        def share(mask: int) -> Fraction:
            mask |= 1 << site
            hits = sum(self._rates[maker] * self.of(maker, mask) for maker in others)
            return Fraction(hits) / rate

        return [self._mean(share, hour) for hour in range(HOURS)]

    def hidden(self, maker: int) -> list[Fraction]:
        """For each hour of the week, of the studies made at a site those that nobody can have."""
        return [self._mean(lambda mask: 1 - self.of(maker, mask), hour) for hour in range(HOURS)]

    def _mean(self, share: Callable[[int], Fraction], hour: int) -> Fraction:
        parts = self._together.stretches(hour * 60, hour * 60 + 60)
        return sum(((end - start) * share(mask) for start, end, mask in parts), Fraction(0)) / 60


def open_share(together: Together, site: int, hour: int) -> Fraction:
    """How much of an hour of the week a site is open."""
    return Fraction(together.open_minutes(site, hour * 60, hour * 60 + 60), 60)


def longest_closed(together: Together, site: int) -> int:
    """Minutes of a site's longest pause in a week; of one that never opens the whole week."""
    spans: Sequence[tuple[int, int]] = together.sites[site]
    if not spans:
        return WEEK
    ends = [end for _, end in spans]
    starts = [start for start, _ in spans[1:]] + [spans[0][0] + WEEK]
    return max(start - end for start, end in zip(starts, ends, strict=True))
