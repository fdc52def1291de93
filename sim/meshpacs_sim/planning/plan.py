"""`clinics.toml`: sites, hours, lines and work, read whole or refused with line and reason."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from msgspec import Meta

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import form
from meshpacs_sim.lab.form import Misfit
from meshpacs_sim.planning.hours import HOW, Spans, Together, opening, shifted, zone_minutes
from meshpacs_sim.world.modalities import CODES

SITES_MOST = 40
"""Sites of one plan. A guess: the engine takes two minutes for a weekday of forty (measured)."""

FILE_MOST = 1 << 20
"""Bytes of a file: sites have a dozen lines."""

Count = Annotated[int, Meta(ge=0, le=100_000)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Mbit = Annotated[float, Meta(ge=0.064, le=100_000)]
"""From an ISDN channel's 64 kbit/s on."""


@dataclass(frozen=True, slots=True)
class Site:
    """One clinic, and the machine of its node."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    """What the answer calls it."""
    open: str
    """When its machine is on: `"Mon-Fri 08:00-18:00, Sat 09:00-12:00"`, `"always on"`, `"never"`.
    It is on in these hours and off in all others, to the minute."""
    down_mbit: Mbit
    """What its line brings, in Mbit/s: what the contract says, less what others use."""
    up_mbit: Mbit
    """What its line sends."""
    time_zone: str = "UTC"
    """Whose clock `open` goes by: `"Europe/Berlin"` or `"+01:00"`; there is no summer time."""
    studies_a_day: Count | Annotated[dict[str, Count], Meta(max_length=16)] = 0
    """New ones on the busiest weekday: a number, of a general clinic's mix, or by modality,
    `{ CT = 12, DX = 40 }`."""
    questions_a_day: Count = 0
    """Priors that are looked up on the busiest weekday."""
    partner: str = ""
    """The site that keeps the second copy; empty: somebody, drawn for each study."""

    @property
    def rate(self) -> int:
        """New studies on the busiest weekday."""
        told = self.studies_a_day
        return sum(told.values()) if isinstance(told, dict) else told


@dataclass(frozen=True, slots=True)
class Plan:
    """Several clinics, and what they mean to do together."""

    site: tuple[Site, ...]
    name: Annotated[str, Meta(max_length=100)] = "clinics"
    """What the page is called."""
    copies: Annotated[int, Meta(ge=1, le=10)] = 1
    """Sites that keep each study: 1 is only where it was made."""
    elsewhere_percent: Percent = 30
    """Of the priors looked up, those that were made at another site. A guess."""
    recent_percent: Percent = 10
    """Of the priors looked up, those made since the simulated time began, if there are any. A
    guess."""
    fetched_percent: Percent = 60
    """Of the priors found elsewhere, those whose images are then fetched. A guess."""
    archive_days: Annotated[int, Meta(ge=1, le=36_500)] = 730
    """How many days of studies lie in the archives when it begins."""
    days: Annotated[int, Meta(ge=1, le=28)] = 7
    """How long is simulated, from a Monday, 0:00, on."""
    repeats: Annotated[int, Meta(ge=1, le=100)] = 5
    """How often, each time with other patients and questions: intervals come from these."""
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 1
    """All chance comes from it."""

    def __post_init__(self) -> None:
        """Check what one key alone does not show.

        Raises:
            Misfit: a value cannot be.
        """
        if not 2 <= len(self.site) <= SITES_MOST:
            raise Misfit("site", f"has {len(self.site)}, not 2 to {SITES_MOST}", "[[site]] is one.")
        names = [site.name for site in self.site]
        for number, site in enumerate(self.site):
            _check(number, site, names)
        if self.copies > len(self.site):
            raise Misfit("copies", f"is {self.copies} for {len(self.site)} sites", "At most one.")
        if not any(site.rate for site in self.site):
            raise Misfit("site", "makes no studies, at none", "Give one of them studies_a_day.")
        if not any(site.questions_a_day for site in self.site):
            raise Misfit("site", "asks nothing, at none", "Give one of them questions_a_day.")

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a file.

        Raises:
            LocalFault: it cannot be read, or a key or a value is wrong; it says which, and where.
        """
        try:
            raw = file.read_bytes()
            if len(raw) > FILE_MOST:
                raise LocalFault(f"{file} has more than {FILE_MOST:,} bytes.", "Is it a plan?")
            text = raw.decode()
            tree = tomllib.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            raise LocalFault(f"{file} cannot be read: {error}.", "Name another file.") from error
        except tomllib.TOMLDecodeError as error:
            raise LocalFault(f"{file} is not TOML: {error}.", "Mend that line.") from error
        return cls.of(tree, str(file), text)

    @classmethod
    def of(cls, tree: Mapping[str, Any], file: str = "plan", text: str = "") -> Self:
        """A plan from a tree of tables.

        Raises:
            LocalFault: as `load`.
        """
        try:
            made = form.read(cls, dict(tree))
        except Misfit as misfit:
            raise form.explained(misfit, file, text, "the plan") from misfit
        assert isinstance(made, cls)
        return made

    @property
    def together(self) -> Together:
        """The week of all sites, by the first site's clock."""
        return Together([self._spans(site) for site in self.site])

    def ahead(self, number: int) -> int:
        """Minutes that a site's clock is ahead of the first site's."""
        return zone_minutes(self.site[number].time_zone) - zone_minutes(self.site[0].time_zone)

    def _spans(self, site: Site) -> Spans:
        behind = zone_minutes(self.site[0].time_zone) - zone_minutes(site.time_zone)
        return shifted(opening(site.open), behind)


def _check(number: int, site: Site, names: list[str]) -> None:
    here = f"site[{number}]"
    if names.index(site.name) != number:
        raise Misfit(f"{here}.name", f"{site.name!r} is there twice", "Call one of them otherwise.")
    try:
        opening(site.open)
    except ValueError as error:
        raise Misfit(f"{here}.open", f"cannot be: {error}", HOW) from error
    try:
        zone_minutes(site.time_zone)
    except ValueError as error:
        mend = 'Write "Europe/Berlin" or "+01:00".'
        raise Misfit(f"{here}.time_zone", f"cannot be: {error}", mend) from error
    if site.partner and (site.partner not in names or site.partner == site.name):
        others = ", ".join(name for name in names if name != site.name)
        raise Misfit(
            f"{here}.partner", f"{site.partner!r} is no other site", f"There are {others}."
        )
    told = site.studies_a_day
    unknown = [code for code in told if code not in CODES] if isinstance(told, dict) else []
    if unknown:
        known = f"There are {', '.join(CODES)}."
        raise Misfit(f"{here}.studies_a_day.{unknown[0]}", "is no modality that is known", known)
