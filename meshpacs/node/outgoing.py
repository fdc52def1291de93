"""Files, folders and zip files as instances that can be sent, without the archive.

Each is read twice: once for what it is, as receivers must be asked first, and once when it is sent.
A zip file's member can be read only once, so it is unpacked into a folder of ours.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import trio

from meshpacs.archive.faults import Reason, Refused, unreadable
from meshpacs.archive.indexed import Header, scan
from meshpacs.archive.ingest import SKIPPED
from meshpacs.archive.part10 import Preface, read_preface
from meshpacs.archive.sources import Media, Source, Trouble
from meshpacs.model.charsets import default_codec
from meshpacs.model.content import Entry, content_root, leaf_count
from meshpacs.model.limits import LEAF_BYTES, PREFACE_BYTES
from meshpacs.node.rewriting import Rewriter


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that is not sent."""

    name: str
    why: str
    refused: bool
    """It should have been an instance; else it is something else beside instances."""


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    offset: int
    """Of the data set."""
    name: str
    """For the person who sends it; a zip file's member is `file.zip!member`."""


class Outgoing:
    """Implements `mesh.Retrieving` for files."""

    def __init__(
        self, paths: Sequence[Path], folder: Path, default_charset: str, rewriter: Rewriter
    ) -> None:
        """`folder` is for what zip files hold; whoever made it removes it."""
        self._rewriter = rewriter
        self._paths = paths
        self._folder = folder
        self._codec = default_codec(default_charset)
        self._places: list[tuple[Entry, _Place]] = []
        self._place: _Place | None = None
        """Of the instance that came last."""
        self.passed: list[Passed] = []

    def look(self) -> Iterator[int]:
        """Find them all; how many there are so far. Runs in the thread that iterates."""
        with Media() as media:
            for found in media.find(self._paths):
                if isinstance(found, Trouble):
                    self.passed.append(Passed(found.name, found.fault.what, refused=True))
                    continue
                try:
                    self._places.append(self._examined(found))
                except Refused as refusal:
                    refused = refusal.reason not in SKIPPED
                    self.passed.append(Passed(found.name, refusal.what, refused=refused))
                else:
                    yield len(self._places)

    def _examined(self, source: Source) -> tuple[Entry, _Place]:
        path = Path(source.name)
        if not path.is_file():  # in a zip file
            path = self._folder / f"{len(self._places):08}"
            with path.open("wb") as out:
                for chunk in source.chunks():
                    out.write(chunk)
        try:
            with path.open("rb") as file:
                preface, size, header = self._read(file)
        except OSError as error:
            raise unreadable(error) from None
        entry = Entry(
            header.sop_uid, header.sop_class, header.series_uid, header.modality,
            preface.transfer_syntax, size, content_root(size, b""),
        )  # fmt: skip
        return entry, _Place(path, preface.offset, source.name)

    def _read(self, file: BinaryIO) -> tuple[Preface, int, Header]:
        preface = read_preface(file.read(PREFACE_BYTES + 140), whole=True)
        assert preface is not None, "nothing more will come, so it is known"
        size = file.seek(0, 2) - preface.offset

        def read(at: int, count: int) -> bytes:
            file.seek(preface.offset + at)
            return file.read(count)

        return preface, size, scan(read, size, preface.transfer_syntax, self._codec)

    @property
    def name(self) -> str:
        """Where the instance that came last is from."""
        return self._place.name if self._place is not None else ""

    # ------------------------------------------------------------ as `mesh.Retrieving`

    async def entries(self) -> tuple[Entry, ...]:
        """All that were found."""
        await trio.lowlevel.checkpoint()
        return tuple(entry for entry, _ in self._places)

    async def read_ahead(self) -> None:
        """Nothing: the system reads files ahead by itself, and nobody verifies these."""
        await trio.sleep_forever()

    async def __aiter__(self) -> AsyncIterator[Entry]:
        """Each of them, in the order in which they were found."""
        for entry, place in self._places:
            self._place = place
            await trio.lowlevel.checkpoint()
            yield entry

    @staticmethod
    def leaves(entry: Entry) -> int:
        """How many pieces it has."""
        return leaf_count(entry.size_bytes)

    async def leaf(self, entry: Entry, index: int) -> bytes:
        """One piece of the instance that came last.

        Raises:
            Unavailable: the file has changed or cannot be read any more.
        """
        place = self._place
        assert place is not None, "it has come"
        at = index * LEAF_BYTES
        return await trio.to_thread.run_sync(
            _piece, place, at, min(LEAF_BYTES, entry.size_bytes - at)
        )

    def rewritten(
        self, entry: Entry, transfer_syntax: str
    ) -> AbstractAsyncContextManager[bytes | bytearray]:
        """The instance that came last, in another transfer syntax; see `mesh.Retrieving`."""
        place = self._place
        assert place is not None, "it has come"
        return self._rewriter.rewritten(
            entry, transfer_syntax, lambda: _piece(place, 0, entry.size_bytes)
        )


def _piece(place: _Place, at: int, size: int) -> bytes:
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset + at)
            data = file.read(size)
    except OSError as error:
        raise unreadable(error) from None
    if len(data) < size:
        raise Refused(Reason.UNREADABLE, "The file has become shorter meanwhile.")
    return data
