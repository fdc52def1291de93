"""A disk that keeps only what it was told to keep: what may be on it when the power is cut.

The promises of POSIX and no others (fsync(2); and Pillai et al., "All File Systems Are Not Created
Equal", OSDI 2014, who found that programs rely on more):

- bytes written to a file are safe once the file was synced; before that any of their sectors may
  be on the disk, in any order, and the file may have its new size and zeros instead of the bytes;
- a name made, changed or removed in a folder is safe once the folder was synced; before that any
  of the changes may have happened. A rename within one folder happens whole or not at all.

Three disks can be had of one moment: `SYNCED` lost everything else; `ORDERED` lost the end, as file
systems with a journal do, where a sync of anything keeps all names changed before; `LOOSE` kept
what it pleased.
"""

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

Op = tuple[Any, ...]
"""One change: a word of `Disk`'s methods, and its arguments."""

ROOT = 1
SECTORS = (512, 4096)
"""What a disk writes whole: old sectors and new ones."""


class Cut(StrEnum):
    """What kind of disk the power was cut from."""

    SYNCED = "nothing but what was synced"
    ORDERED = "the end lost"
    LOOSE = "anything lost"


@dataclass(slots=True)
class File:
    """Bytes: those that are read, those that are safe, and what has been done since."""

    mode: int
    now: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Offset and bytes; or a size and None."""
    changed: int = 0

    def cut(self, kind: Cut, draw: random.Random) -> bytes:
        """What the disk holds of it."""
        if not self.since or kind is Cut.SYNCED:
            return self.safe
        kept = bytearray(self.safe)
        sector = draw.choice(SECTORS)
        if kind is Cut.ORDERED:
            whole = draw.randrange(len(self.since) + 1)
            for offset, data in self.since[:whole]:
                _change(kept, offset, data)
            for offset, data in self.since[whole : whole + 1]:
                pieces = list(_sectors(offset, data, sector))
                for at, piece in pieces[: draw.randrange(len(pieces) + 1)]:
                    _change(kept, at, piece)
        else:
            share = draw.choice((0.1, 0.5, 0.9))
            for offset, data in self.since:
                for at, piece in _sectors(offset, data, sector):
                    if draw.random() < share:
                        _change(kept, at, piece)
        if draw.random() < 0.25 and len(kept) < len(self.now):
            _change(kept, len(self.now), None)  # the size is there, the bytes are not
        return bytes(kept)


@dataclass(slots=True)
class Folder:
    """Names: those that are seen, those that are safe, and what has been done since."""

    mode: int
    now: dict[str, int] = field(default_factory=dict)
    safe: dict[str, int] = field(default_factory=dict)
    since: list[tuple[int, dict[str, int | None]]] = field(default_factory=list)
    """When, and which names are what from then on."""

    def change(self, when: int, names: dict[str, int | None]) -> None:
        """From now on these names are these, or nothing."""
        _rename(self.now, names)
        self.since.append((when, names))

    def cut(self, kind: Cut, draw: random.Random, until: int) -> dict[str, int]:
        """The names on the disk; of one with a journal those up to a moment."""
        kept = dict(self.safe)
        share = draw.choice((0.1, 0.5, 0.9))
        for when, names in self.since:
            if (
                when <= until
                if kind is Cut.ORDERED
                else kind is Cut.LOOSE and draw.random() < share
            ):
                _rename(kept, names)
        return kept


class Disk:
    """Files and folders by number; every change has a moment."""

    def __init__(self) -> None:
        """Empty but for the root."""
        self.things: dict[int, File | Folder] = {ROOT: Folder(0o755)}
        self.moment = 0
        self._synced = 0

    @classmethod
    def load(cls, folder: Path) -> "Disk":
        """A disk on which all of this is safe; the same numbers every time."""
        disk = cls()
        disk._load(ROOT, folder)
        for number in list(disk.things):
            disk.sync(number)
        return disk

    def _load(self, parent: int, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            number = len(self.things) + 1
            self.make(parent, path.name, number, path.is_dir(), path.stat().st_mode & 0o777)
            if path.is_dir():
                self._load(number, path)
            else:
                self.write(number, 0, path.read_bytes())

    def file(self, number: int) -> File:
        """The file of this number."""
        found = self.things[number]
        assert isinstance(found, File)
        return found

    def folder(self, number: int) -> Folder:
        """The folder of this number."""
        found = self.things[number]
        assert isinstance(found, Folder)
        return found

    # ------------------------------------------------------------ changes

    def do(self, op: Op) -> None:
        """Make one change that was recorded."""
        word, *arguments = op
        getattr(self, word)(*arguments)

    def make(
        self, parent: int, name: str, number: int, is_folder: bool, mode: int
    ) -> None:  # as it is recorded
        """A new file or folder."""
        self.moment += 1
        self.things[number] = Folder(mode) if is_folder else File(mode, changed=self.moment)
        self.folder(parent).change(self.moment, {name: number})

    def write(self, number: int, offset: int, data: bytes) -> None:
        """Bytes into a file."""
        self._change(number, offset, data)

    def resize(self, number: int, size: int) -> None:
        """A file is cut off, or gets zeros."""
        self._change(number, size, None)

    def _change(self, number: int, offset: int, data: bytes | None) -> None:
        self.moment += 1
        file = self.file(number)
        _change(file.now, offset, data)
        file.since.append((offset, data))
        file.changed = self.moment

    def rename(self, parent: int, name: str, to_parent: int, to_name: str) -> None:
        """Another name, which may have been another's."""
        self.moment += 1
        number = self.folder(parent).now[name]
        if parent == to_parent:
            self.folder(parent).change(self.moment, {name: None, to_name: number})
        else:
            self.folder(parent).change(self.moment, {name: None})
            self.folder(to_parent).change(self.moment, {to_name: number})

    def drop(self, parent: int, name: str) -> None:
        """A name is no more."""
        self.moment += 1
        self.folder(parent).change(self.moment, {name: None})

    def chmod(self, number: int, mode: int) -> None:
        """Who may read it; taken for safe at once, since nothing here depends on that."""
        self.things[number].mode = mode

    def sync(self, number: int) -> None:
        """What was done to this file, or to the names in this folder, is safe."""
        self.moment += 1
        self._synced = self.moment
        match self.things[number]:
            case File() as file:
                file.safe = bytes(file.now)
                file.since.clear()
            case Folder() as folder:
                folder.safe = dict(folder.now)
                folder.since.clear()

    # ------------------------------------------------------------ the end

    def cut(self, kind: Cut, draw: random.Random, target: Path) -> None:
        """Write what is on the disk when the power is cut now into an empty folder."""
        self._write(ROOT, kind, draw, target, draw.randint(self._synced, self.moment))

    def _write(self, number: int, kind: Cut, draw: random.Random, at: Path, until: int) -> None:
        folder = self.folder(number)
        for name, inner in sorted(folder.cut(kind, draw, until).items()):
            path = at / name
            match self.things[inner]:
                case Folder() as below:
                    path.mkdir(mode=below.mode | 0o700)
                    self._write(inner, kind, draw, path, until)
                case File() as file:
                    path.write_bytes(file.cut(kind, draw))
                    path.chmod(file.mode)
                    os.utime(path, (file.changed, file.changed))


def _rename(names: dict[str, int], changes: dict[str, int | None]) -> None:
    for name, number in changes.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _change(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes | None, size: int) -> Iterator[tuple[int, bytes | None]]:
    """One change as the disk makes it: sector by sector."""
    if data is None:
        yield offset, None
        return
    at = 0
    while at < len(data):
        end = min(len(data), at + size - (offset + at) % size)
        yield offset + at, data[at:end]
        at = end


def replay(disk: Disk, ops: Iterable[Op], moments: Iterable[int]) -> Iterator[int]:
    """Make changes one after the other; stops after so many of them, for each number given."""
    wanted = sorted(moments)
    done = 0
    for op in ops:
        while wanted and wanted[0] == done:
            yield wanted.pop(0)
        disk.do(op)
        done += 1
    yield from (moment for moment in wanted if moment == done)
