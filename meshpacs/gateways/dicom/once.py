"""What the log was told already: a machine that tries again every minute fills no log."""

from dataclasses import dataclass, field

REMEMBERED = 1024
"""Things that were told and are not told again; the oldest are forgotten. A guess."""


@dataclass(slots=True)
class Once:
    """Remembers what was told."""

    _told: dict[tuple[str, ...], None] = field(default_factory=dict)

    def first(self, *what: str) -> bool:
        """Whether this is to be told."""
        if what in self._told:
            return False
        self._told[what] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        return True
