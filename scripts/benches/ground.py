"""What a benchmark stands on: a folder, a seed, how large it may be, and somebody to tell."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Self


class Unmeasurable(Exception):
    """A benchmark could not be made here; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Given to every benchmark."""

    folder: Path
    """Empty, on the disk that is measured."""
    quick: bool
    """Whether a small try is wanted, whose figures mean little."""
    rounds: int
    seed: int
    say: Callable[[str], None]
    pictures: Path | None = None
    """Where to draw what is drawn; None for nowhere."""

    def size(self, full: int, quick: int) -> int:
        """How many of something."""
        return quick if self.quick else full

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        path = self.folder / name
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def memory_room(self, name: str) -> Iterator[Path]:
        """The same in memory, where the system has such a folder."""
        path = Path(tempfile.mkdtemp(prefix=f"meshpacs-bench-{name}-", dir=memory_folder()))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


class Stopwatch:
    """Seconds that a block took."""

    def __init__(self) -> None:
        """Not started."""
        self.s = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        """Start."""
        self._began = perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.s = perf_counter() - self._began


def settle() -> None:
    """Have the disk done with what went before, so that it is not charged to what comes."""
    if hasattr(os, "sync"):
        os.sync()


def memory_folder() -> Path:
    """A folder in memory where the system has one, for what the disk would only slow down."""
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else Path(tempfile.gettempdir())
