"""What every campaign is given, and what it gives back."""

import argparse
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a campaign is fought."""

    folder: Path
    """Empty, and gone afterwards unless it is to be kept."""
    seed: int
    """All that is drawn follows from it; moments of real processes do not."""
    say: Callable[[str], None]

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        path = self.folder / name
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@dataclass(slots=True)
class Outcome:
    """What a campaign has counted, and what was not as it should be."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    """Figures worth a line that are no counts."""
    wrong: list[str] = field(default_factory=list)
    """A sentence each, with the seed or file that shows it again. Empty: all held."""

    def hold(self, true: object, what: str) -> None:
        """Go on either way; remember what did not hold."""
        self.counts["checks"] += 1
        if not true:
            self.wrong.append(what)


@dataclass(frozen=True, slots=True)
class Campaign:
    """One of them, as `scripts/campaign` lists it."""

    name: str
    purpose: str
    """A sentence for --help."""
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Place], Outcome]
