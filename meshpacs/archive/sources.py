"""Where instances may be: files, folders, zip files, and media with a DICOMDIR.

What is DICOM shows in the bytes, never in the name. Nothing is unpacked to a name that a zip file
chose, links are followed without going round, and what cannot be read is said and passed over.
Zip files in zip files are not opened.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import Scanner
from meshpacs.archive.part10 import MEDIA_DIRECTORY, read_preface
from meshpacs.archive.window import FileWindow
from meshpacs.model.limits import (
    HEADER_BYTES,
    PREFACE_BYTES,
    ZIP_DIRECTORY_BYTES,
    ZIP_MEMBERS,
    ZIP_RATIO,
)

CHUNK_BYTES = 1024 * 1024

RECORDS = 0x0004_1220
"""Directory Record Sequence (PS3.3 F.3)."""
FILE_ID = 0x0004_1500
"""Referenced File ID: path components, from the folder of the DICOMDIR (PS3.10 8.2)."""

BROKEN_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError)
"""What reading a damaged, encrypted or unusually packed member raises."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that may be an instance. Its name is for the person who asked, not for logs:
    people name folders after patients.
    """

    name: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]
    """Its bytes; raises `Refused` (unreadable)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A place that could not be looked into."""

    name: str
    fault: Refused


def unreadable(error: OSError) -> Refused:
    """An operating system's error about a source."""
    words = error.strerror or type(error).__name__
    return Refused(Reason.UNREADABLE, f"It cannot be read: {words}.")


class Media:
    """What is found under some paths; keeps zip files open until it is left."""

    def __init__(self, avoid: Path | None = None) -> None:
        """`avoid` is a folder that is not walked into: the archive's own."""
        self._open = ExitStack()
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
                    if head[:4] in {b"PK\3\4", b"PK\5\6"}:
                        yield from self._zip(path, file)
                        return
                elif expand:
                    file.seek(0)
                    yield from _referenced(path, file)
        except OSError as error:
            yield Trouble(str(path), unreadable(error))
            return
        yield Source(str(path), size, lambda: _file_chunks(path))

    def _zip(self, path: Path, file: BinaryIO) -> Iterator[Source | Trouble]:
        try:
            check_directory(file)
            box = self._open.enter_context(zipfile.ZipFile(path))
        except Refused as refusal:
            yield Trouble(str(path), refusal)
            return
        except (*BROKEN_ZIP, ValueError, OSError):
            yield Trouble(str(path), Refused(Reason.UNREADABLE, "It is a damaged zip file."))
            return
        for member in box.infolist():
            name = f"{path}!{printable(member.filename)}"
            if member.is_dir():
                continue
            if member.file_size > max(HEADER_BYTES, ZIP_RATIO * max(member.compress_size, 1)):
                yield Trouble(
                    name,
                    Refused(
                        Reason.TOO_LARGE,
                        f"It would grow more than {ZIP_RATIO} times: a bomb, or damage.",
                    ),
                )
                continue
            yield Source(name, member.file_size, lambda m=member: _member_chunks(box, m))  # type: ignore[misc]

    def __enter__(self) -> Self:
        """Zip files stay open within."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        self._open.close()


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def printable(name: str) -> str:
    """A name from a zip file, without what would play tricks on a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _file_chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise unreadable(error) from None


def _member_chunks(box: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with box.open(member) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise unreadable(error) from None
    except BROKEN_ZIP:
        raise Refused(
            Reason.UNREADABLE,
            "This file in the zip is damaged, encrypted, or packed in an unknown way.",
        ) from None


def check_directory(file: BinaryIO) -> None:
    """Refuse a zip whose list of files is too long, before Python reads all of it.

    Source: APPNOTE.TXT 4.3.16 and 4.3.14 (zip64).
    """
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - 65_557))  # the end record and the longest comment
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        raise Refused(Reason.UNREADABLE, "It is a damaged zip file.")
    (length,) = struct.unpack_from("<L", tail, at + 12)
    if length == 0xFFFF_FFFF and start + at >= 76:
        file.seek(start + at - 76)  # the zip64 end record and its locator stand before it
        (length,) = struct.unpack_from("<Q", file.read(76), 40)
    if length > ZIP_DIRECTORY_BYTES:
        raise Refused(Reason.TOO_LARGE, "Its list of files is too long.", "Unpack it first.")


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

    scanner = Scanner(FileWindow(read, size), "latin_1", items_limit=ZIP_MEMBERS)
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
        if not exact.exists():
            try:
                exact = next(p for p in place.iterdir() if p.name.casefold() == part.casefold())
            except (StopIteration, OSError):
                return None
        place = exact
    inside = place.is_file() and place.resolve().is_relative_to(folder.resolve())
    return place if inside else None
