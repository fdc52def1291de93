"""What is in a zip file, of which nothing is believed: neither sizes nor names nor offsets.

Its files are read by the standard library, whose errors for damaged ones are of many kinds. All
of them mean the same here: this file cannot be had, and the next one may.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

from meshpacs.archive.faults import Reason, Refused, unreadable
from meshpacs.model.limits import HEADER_BYTES, ZIP_DIRECTORY_BYTES, ZIP_RATIO

CHUNK_BYTES = 1024 * 1024

SIGNATURES = frozenset({b"PK\3\4", b"PK\5\6"})
"""What a zip file begins with; the second if it is empty (APPNOTE.TXT 4.3.7, 4.3.16)."""

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Only these are unpacked in bounded memory: of bzip2 the standard library unpacks all that it has
read at once, a million times as much, and LZMA's files say themselves how much they take."""

BROKEN = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, struct.error,
    ValueError, OverflowError,
)  # fmt: skip
"""What reading a damaged, encrypted or unusually packed file raises, besides OSError: seen with
changed bytes anywhere. ValueError is a name in no encoding, OverflowError an offset of 64 bits."""


class Box:
    """One zip file, open until it was left by all who use it."""

    def __init__(self, path: Path, closed: Callable[["Box"], None]) -> None:
        """Open it, with one user. `closed` is called once, when it is closed.

        Raises:
            Refused: it is damaged, or a bomb.
        """
        self._closed = closed
        self._users = 1
        self._lock = Lock()
        try:
            self._file = _Sparing(path.open("rb", buffering=0))
        except OSError as error:
            raise unreadable(error) from None
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._check_sizes(self._file.seek(0, io.SEEK_END))
        except (*BROKEN, OSError):
            self._file.close()
            raise Refused(Reason.UNREADABLE, "It is a damaged zip file.") from None
        except BaseException:
            self._file.close()
            raise

    def _check_sizes(self, size: int) -> None:
        # Files may overlap, so that each of thousands grows within the limits and all together
        # fill any disk.
        members = [member for member in self._zip.infolist() if not _grows(member)]
        grown = sum(member.file_size for member in members)
        if grown > max(HEADER_BYTES, ZIP_RATIO * size):
            raise _bomb()

    def members(self) -> Iterator[tuple[str, int, Callable[[], Iterator[bytes]] | Refused]]:
        """The files in it: name, size, and how to read it, once, or why not to."""
        for member in self._zip.infolist():
            if member.filename.endswith("/"):  # a folder; `is_dir` falls over a name of nothing
                continue
            how: Callable[[], Iterator[bytes]] | Refused
            if _grows(member):
                how = _bomb()
            elif member.compress_type not in METHODS:
                how = _unusual()
            else:
                with self._lock:
                    self._users += 1
                how = _Reading(self, member)
            yield member.filename, member.file_size, how

    def read(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of one file, and leave.

        Raises:
            Refused: it cannot be read.
        """
        try:
            with self._zip.open(member) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise unreadable(error) from None
        except BROKEN:
            raise _unusual() from None
        finally:
            self.leave()

    def leave(self) -> None:
        """One user less."""
        with self._lock:
            self._users -= 1
            last = not self._users
        if last:
            self.close()

    def close(self) -> None:
        """At once, whoever reads."""
        self._zip.close()
        self._file.close()
        self._closed(self)


class _Reading:
    """How to read one file of a box."""

    def __init__(self, box: Box, member: zipfile.ZipInfo) -> None:
        self._box = box
        self._member = member

    def __call__(self) -> Iterator[bytes]:
        return self._box.read(self._member)


class _Sparing(io.BufferedReader):
    """A file of which nobody reads much at once.

    A zip's list of files is read in one go, by a length that is found in one of several places,
    depending on Python's version. Whatever Python believes, it comes by here.
    """

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self._size = self.seek(0, io.SEEK_END)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = self._size - self.tell()
        if size > ZIP_DIRECTORY_BYTES:
            raise Refused(Reason.TOO_LARGE, "Its list of files is too long.", "Unpack it first.")
        return super().read(size)


def printable(name: str) -> str:
    """A name from a zip file, without what would play tricks on a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _grows(member: zipfile.ZipInfo) -> bool:
    return member.file_size > max(HEADER_BYTES, ZIP_RATIO * max(member.compress_size, 1))


def _bomb() -> Refused:
    return Refused(
        Reason.TOO_LARGE, f"It would grow more than {ZIP_RATIO} times: a bomb, or damage."
    )


def _unusual() -> Refused:
    return Refused(
        Reason.UNREADABLE,
        "This file in the zip is damaged, encrypted, or packed in an unusual way.",
        "Unpack it first.",
    )
