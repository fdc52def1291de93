"""Where the bytes are: one file per content, named by its digest, placed by rename.

`blobs/` holds what came in by this node's own door, `fetched/` what came from the mesh. The
difference matters after a crash: a blob that no row knows of was about to be acknowledged in the
first (and is kept), and can be had again in the second (and is removed). `arriving/` and
`staging/` hold files under way, `damaged/` what no longer is what its name says. All on one
volume, so that a rename is atomic.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from meshpacs.archive.faults import disk_fault
from meshpacs.archive.pace import Pace
from meshpacs.archive.room import Room
from meshpacs.model.ids import Digest

COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BlobName:
    """What a blob's file name says."""

    root: Digest
    transfer_syntax: str
    fetched: bool

    @property
    def file(self) -> str:
        """The file's name. The syntax is part of it: the same bytes may be declared in two."""
        return f"{self.root.hex()}-{self.transfer_syntax}.dcm"


class Blobs:
    """The folders of one archive."""

    def __init__(
        self, folder: Path, sync: Callable[[int], None] = os.fsync, keep_free_bytes: int = 0
    ) -> None:
        """Make the folders that are missing; `sync` is what makes a descriptor durable."""
        self.folder = folder
        self.pace = Pace(sync)
        self.room = Room(folder, keep_free_bytes)
        self._numbers = count()
        self.arriving = folder / "arriving"
        self.staging = folder / "staging"
        self.damaged = folder / "damaged"
        self._stores = {False: folder / "blobs", True: folder / "fetched"}
        try:
            for made in (self.arriving, self.staging, self.damaged, *self._stores.values()):
                made.mkdir(parents=True, exist_ok=True)
            for store in self._stores.values():
                _make_shelves(store)
            # Whether made now or found: who made them may have been killed before they were
            # durable, and a power cut would take all that was synced below them.
            for parent in (folder.parent, folder, *self._stores.values()):
                self.sync_folder(parent)
        except OSError as error:
            raise disk_fault(error, folder) from error

    def path(self, name: BlobName) -> Path:
        """Where a content's blob is, or would be."""
        return self._stores[name.fetched] / name.root[:1].hex() / name.file

    def new_file(self) -> tuple[Path, BinaryIO]:
        """An empty file for an arrival; readable by its owner alone. Ask `room` first."""
        while True:
            path = self.arriving / f"{os.getpid()}-{next(self._numbers)}.part"
            try:
                return path, open_private(path, "x+b")
            except FileExistsError:
                continue  # a leftover of a process that had our number

    def begin_writing(self, file: BinaryIO) -> None:
        """Have the disk begin with what was written, where the system can be told so.

        Of several files that are then made durable one after another, all share the first one's
        journal commit. Eight took 4.5 ms instead of 6.7 (ext4, measured).
        """
        if hasattr(os, "posix_fadvise"):
            # Linux begins to write what is dirty, and drops from memory only what is written:
            # nothing of a file that has just come. `sync_file_range` does not exist in Python.
            with suppress(OSError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def make_durable(self, file: BinaryIO) -> None:
        """Have the disk hold what was written."""
        self.pace.sync(file.fileno())

    def place(self, temporary: Path, name: BlobName) -> Path:
        """Give a finished file its name; returns the folder, which is yet to be made durable."""
        target = self.path(name)
        temporary.replace(target)
        return target.parent

    def sync_folder(self, folder: Path) -> None:
        """Have the disk hold a folder's names. Windows has no such call and needs none."""
        if sys.platform == "win32":  # pragma: no cover
            return
        number = os.open(folder, os.O_RDONLY)
        try:
            self.pace.sync(number)
        finally:
            os.close(number)

    def forget_cached(self, name: BlobName) -> None:
        """Have the next read of a blob come from its disk and not from the system's memory.

        A wish, which Linux grants for what is durable; elsewhere, and of a blob that is gone, it
        does nothing.
        """
        if sys.platform == "linux":
            with suppress(OSError), open_private(self.path(name), "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def set_aside(self, path: Path) -> None:
        """Move a file that is not what its name says out of the way, without losing it."""
        with suppress(FileNotFoundError):
            path.replace(self.damaged / path.name)

    def walk(self) -> Iterator[tuple[bool, str, list[os.DirEntry[str]]]]:
        """All blobs, folder by folder: whether fetched, the two hexadecimal digits, the files."""
        for fetched, store in self._stores.items():
            for shelf in sorted(store.iterdir()):
                if shelf.is_dir():
                    with os.scandir(shelf) as found:
                        yield fetched, shelf.name, sorted(found, key=lambda entry: entry.name)


def _make_shelves(store: Path) -> None:
    """All at once, so that one sync makes them durable.

    One by one they cost the first hundreds of instances of an archive half their speed.
    """
    there = {shelf.name for shelf in store.iterdir()}
    for name in (f"{number:02x}" for number in range(256)):
        if name not in there:
            (store / name).mkdir(exist_ok=True)


def open_private(path: Path, mode: str) -> BinaryIO:
    """Open a file unbuffered; one that is made is its owner's alone: it holds patients' data."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_BINARY", 0), 0o600)

    return open(path, mode, buffering=0, opener=opener)  # type: ignore[return-value]


def write_all(file: BinaryIO, *pieces: bytes | bytearray | memoryview) -> None:
    """Write everything in this order; an unbuffered file may take less at a time.

    Together where the system can: a preface by itself leaves what follows it across the edges of
    the system's pages, and cost a quarter of the writing (0.27 ms/MB instead of 0.20, measured).
    """
    left = [memoryview(piece) for piece in pieces if piece]
    while left:
        if len(left) > 1 and hasattr(os, "writev"):
            taken = os.writev(file.fileno(), left)
        else:
            taken = file.write(left[0])
        while left and taken >= len(left[0]):
            taken -= len(left.pop(0))
        if taken:
            left[0] = left[0][taken:]


def parse_name(entry_name: str, *, fetched: bool) -> BlobName | None:
    """What a blob's file name says; None for a file that is none of ours."""
    stem, dot, suffix = entry_name.rpartition(".")
    digest, dash, syntax = stem.partition("-")
    if not (dot and dash and suffix == "dcm" and len(digest) == 64 and syntax):
        return None
    try:
        return BlobName(Digest(bytes.fromhex(digest)), syntax, fetched)
    except ValueError:
        return None
