"""Where instances may be: files, folders, zip files, and media with a DICOMDIR.

What is DICOM shows in the bytes, never in the name. Nothing is unpacked to a name that a zip file
chose, links are followed without going round, and what cannot be read is said and passed over.
Zip files in zip files are not opened.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from meshpacs.archive.faults import Reason, Refused, unreadable
from meshpacs.archive.header import Scanner
from meshpacs.archive.part10 import MEDIA_DIRECTORY, read_preface
from meshpacs.archive.window import FileWindow
from meshpacs.archive.zips import CHUNK_BYTES, SIGNATURES, Box, printable
from meshpacs.model.limits import HEADER_BYTES, PREFACE_BYTES, ZIP_MEMBERS

RECORDS = 0x0004_1220
"""Directory Record Sequence (PS3.3 F.3)."""
FILE_ID = 0x0004_1500
"""Referenced File ID: path components, from the folder of the DICOMDIR (PS3.10 8.2)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that may be an instance. Its name is for the person who asked, not for logs:
    people name folders after patients.
    """

    name: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]
    """Its bytes; raises `Refused` (unreadable)."""
    box: Path | None = None
    """The zip file that it is in."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A place that could not be looked into."""

    name: str
    fault: Refused


class Media:
    """What is found under some paths; zip files stay open until their files were read."""

    def __init__(self, avoid: Path | None = None) -> None:
        """`avoid` is a folder that is not walked into: the archive's own."""
        self._boxes: dict[Box, None] = {}
        self._avoid = _identity(avoid) if avoid else None

    def find(self, paths: Iterable[Path]) -> Iterator[Source | Trouble]:
        """All that is there, in the order of the names."""
        for path in paths:
            if path.is_dir():
                yield from self._folder(path)
            elif path.exists():
                yield from self._file(path, expand=True)
            else:
                yield Trouble(
                    str(path), Refused(Reason.UNREADABLE, "There is no such file or folder.")
                )

    def _folder(self, top: Path) -> Iterator[Source | Trouble]:
        seen = {self._avoid}
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                identity = _identity(folder)
                if identity in seen:
                    continue  # a link that leads back, or our own archive
                seen.add(identity)
                found = sorted(folder.iterdir())
            except OSError as error:
                yield Trouble(str(folder), unreadable(error))
                continue
            folders = []
            for path in found:
                if path.is_dir():
                    folders.append(path)
                elif path.is_file():  # no pipes, sockets or devices
                    yield from self._file(path, expand=False)
            waiting.extend(reversed(folders))

    def _file(self, path: Path, *, expand: bool) -> Iterator[Source | Trouble]:
        """One file, or what is in it; `expand` also takes what a DICOMDIR names.

        In a folder that is walked anyway, a DICOMDIR names nothing new.
        """
        try:
            with path.open("rb") as file:
                head = file.read(132)
                size = file.seek(0, os.SEEK_END)
                if head[128:] != b"DICM":
                    if head[:4] in SIGNATURES:
                        yield from self._zip(path)
                        return
                elif expand:
                    file.seek(0)
                    yield from _referenced(path, file)
        except OSError as error:
            yield Trouble(str(path), unreadable(error))
            return
        yield Source(str(path), size, lambda: _file_chunks(path))

    def _zip(self, path: Path) -> Iterator[Source | Trouble]:
        try:
            box = Box(path, lambda box: self._boxes.pop(box, None))
        except Refused as refusal:
            yield Trouble(str(path), refusal)
            return
        self._boxes[box] = None
        try:
            for name, size, how in box.members():
                shown = f"{path}!{printable(name)}"
                if isinstance(how, Refused):
                    yield Trouble(shown, how)
                else:
                    yield Source(shown, size, how, path)
        finally:
            box.leave()

    def __enter__(self) -> Self:
        """Zip files stay open within."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close those of which files were not read."""
        for box in list(self._boxes):
            box.close()


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _file_chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise unreadable(error) from None


# ---------------------------------------------------------------- DICOMDIR


def _referenced(path: Path, file: BinaryIO) -> Iterator[Source | Trouble]:
    """The files that a DICOMDIR names; nothing if this is none."""
    try:
        wanted = read_directory(file)
    except Refused as refusal:
        yield Trouble(str(path), refusal)
        return
    for parts in wanted:
        target = locate(path.parent, parts)
        if target is None:
            name = f"{path}: {printable('/'.join(parts))}"
            what = "The medium's directory names this file, which is not there."
            yield Trouble(name, Refused(Reason.UNREADABLE, what, "Copy the whole medium."))
        else:
            size = target.stat().st_size
            yield Source(str(target), size, lambda t=target: _file_chunks(t))  # type: ignore[misc]


def read_directory(file: BinaryIO) -> list[tuple[str, ...]]:
    """The file IDs of a DICOMDIR, in its order; none if the file is another kind of DICOM.

    Raises:
        Refused: it is a DICOMDIR, and malformed.
    """
    head = file.read(PREFACE_BYTES)
    preface = read_preface(head, whole=True, directory=True)
    assert preface is not None, "nothing more will come, so it is known"
    if preface.media_class != MEDIA_DIRECTORY:
        return []
    size = file.seek(0, os.SEEK_END) - preface.offset

    def read(at: int, count: int) -> bytes:
        file.seek(preface.offset + at)
        return file.read(count)

    window = FileWindow(read, size)
    scanner = Scanner(window, "latin_1", items_limit=ZIP_MEMBERS, kept_limit=HEADER_BYTES)
    record = scanner.run({RECORDS: {FILE_ID: "CS"}}, preface.transfer_syntax)
    found: dict[tuple[str, ...], None] = {}
    for item in record.get(RECORDS, ()):
        if not isinstance(item, str):
            parts = tuple(part for part in item.get(FILE_ID, ()) if isinstance(part, str))
            if parts:
                found[parts] = None
    return list(found)


def locate(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """The file that a file ID names below this folder; None if there is none.

    Upper and lower case may differ, as media are often mounted or copied in lower case. Never
    outside the folder: a part is one name, and no link is followed out of it.
    """
    place = folder
    for part in parts:
        if part in {"", ".", ".."} or "/" in part or "\\" in part or ":" in part:
            return None
        exact = place / part
        try:
            if not exact.exists():
                exact = next(p for p in place.iterdir() if p.name.casefold() == part.casefold())
        except (StopIteration, OSError):  # the latter also for a name that no file can have
            return None
        place = exact
    inside = place.is_file() and place.resolve().is_relative_to(folder.resolve())
    return place if inside else None
