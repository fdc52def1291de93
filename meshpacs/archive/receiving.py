"""One instance on its way into a stage, leaf by leaf.

Small contents (one leaf) arrive whole or not at all. Of larger ones the leaves come in order into
a file under `staging/`; whatever prefix of it hashes right is there after a crash, found by
hashing it again rather than by believing a number.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from meshpacs.archive.arrival import (
    Announced,
    Buffer,
    Stores,
    announced_preface,
    file_away,
    scan_file,
)
from meshpacs.archive.blobs import BlobName, open_private, write_all
from meshpacs.archive.faults import Reason, Refused, disk_fault
from meshpacs.archive.filing import Candidate, Verdict
from meshpacs.archive.indexed import Header
from meshpacs.model.content import Entry, content_root, leaf, leaf_count
from meshpacs.model.errors import LocalFault, PeerFault
from meshpacs.model.limits import INSTANCE_BYTES, LEAF_BYTES

DIGEST_BYTES = 32


class WrongLeaf(PeerFault):
    """A chunk or leaf list is not what the content's root vouches for; nothing was kept of it."""


@dataclass(frozen=True, slots=True)
class Coming:
    """What an instance comes for."""

    selection: str
    folder: Path
    """Of this selection's files of several leaves."""
    study_uid: str
    """That it must be of; empty for any."""
    came_from: str


class Receiving:
    """One instance coming from the mesh, leaf by leaf. Leaving its context keeps the prefix."""

    def __init__(
        self,
        stores: Stores,
        coming: Coming,
        entry: Entry,
        leaves: bytes,
    ) -> None:
        """See `Stage.receive`."""
        self._stores, self._coming, self.entry = stores, coming, entry
        if entry.size_bytes > INSTANCE_BYTES:
            raise Refused(Reason.TOO_LARGE, f"An instance is larger than {INSTANCE_BYTES} bytes.")
        self.count = leaf_count(entry.size_bytes)
        self._leaves = leaves if self.count > 1 else b""
        if self.count > 1 and (
            len(leaves) != self.count * DIGEST_BYTES
            or content_root(entry.size_bytes, leaves) != entry.root
        ):
            raise WrongLeaf("A leaf list does not fit the content's root.")
        preface = announced_preface(
            Announced(entry.sop_class, entry.sop_uid, entry.transfer_syntax)
        )
        self._offset = len(preface)
        self._lead = b""
        """What is still to be written before the next leaf."""
        self.have = 0
        """Leaves that are there and right; the next to come has this number."""
        self.given_away = False
        """Whether the file has its place, and is none of ours any more."""
        name = BlobName(entry.root, entry.transfer_syntax, fetched=True)
        try:
            stores.blobs.room.need(min(entry.size_bytes, LEAF_BYTES))
            if self.count > 1:
                self._path = coming.folder / f"{name.file}.part"
                self._file = self._resume(preface)
            else:
                self._path, self._file = stores.blobs.new_file()
                self._lead = preface
        except OSError as error:
            raise disk_fault(error, stores.blobs.folder) from error

    def _resume(self, preface: bytes) -> BinaryIO:
        """Open the partial file and find how far it is right; what follows is cut off."""
        with suppress(FileExistsError):
            open_private(self._path, "xb").close()
        file = open_private(self._path, "r+b")
        try:
            if file.read(len(preface)) == preface:
                while self.have < self.count:
                    chunk = file.read(self._size(self.have))
                    if not self._right(chunk):
                        break
                    self.have += 1
            else:
                file.seek(0)
                write_all(file, preface)
            file.truncate(self._offset + min(self.have * LEAF_BYTES, self.entry.size_bytes))
            file.seek(0, 2)
        except BaseException:
            file.close()
            raise
        return file

    def _size(self, index: int) -> int:
        return min(LEAF_BYTES, self.entry.size_bytes - index * LEAF_BYTES)

    def _right(self, chunk: Buffer) -> bool:
        if len(chunk) != self._size(self.have):
            return False
        digest = leaf(chunk)
        if self.count == 1:
            return content_root(len(chunk), digest) == self.entry.root
        start = self.have * DIGEST_BYTES
        return digest == self._leaves[start : start + DIGEST_BYTES]

    def write_leaf(self, chunk: Buffer, *, verified: bool = False) -> None:
        """The next leaf, number `have`; `verified`: the caller has hashed it against the list.

        Raises:
            WrongLeaf: it is not what it should be; nothing was written.
            MeshError: the disk is full or failing.
        """
        if self.have >= self.count or not (verified or self._right(chunk)):
            raise WrongLeaf(f"Leaf {self.have} of a content is not what its root vouches for.")
        try:
            if self.count > 1:  # others may have used up the room since this instance was begun
                self._stores.blobs.room.need(len(chunk))
            write_all(self._file, self._lead, chunk)
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error
        self.have += 1

    def commit(self) -> Verdict:
        """Make the whole instance durable in the stage.

        Raises:
            LocalFault: leaves are missing.
            Refused: it is not the instance that the entry says; nothing of it stays.
            MeshError: the disk is full or failing; its leaves stay for the next time.
        """
        if self.have < self.count:
            raise LocalFault(f"{self.count - self.have} leaves are missing.")
        try:
            header = scan_file(self._stores, self._file, self._offset, self.entry.content)
            return file_away(self._stores, self._file, self.candidate(header))
        except Refused:
            self.discard()
            raise
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error
        finally:
            self.close()

    def candidate(self, header: Header) -> Candidate:
        """What is to be filed once it is durable.

        Raises:
            Refused: it is not the instance that the entry says.
        """
        self._check(header)
        return Candidate(
            header, self.entry.content, self._leaves, self._offset, self._path, own=False,
            came_from=self._coming.came_from, selection=self._coming.selection,
        )  # fmt: skip

    def begin_writing(self) -> None:
        """Have the disk begin: it will be made durable soon, with others."""
        self._stores.blobs.begin_writing(self._file)

    def make_durable(self) -> None:
        """Have the disk hold the bytes, and close the file: Windows renames closed files only.

        Raises:
            MeshError: the disk is full or failing.
        """
        try:
            self._stores.blobs.make_durable(self._file)
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error
        self._file.close()

    def _check(self, header: Header) -> None:
        entry = self.entry
        said = (entry.sop_uid, entry.sop_class, entry.series_uid)
        if (header.sop_uid, header.sop_class, header.series_uid) != said or (
            self._coming.study_uid and header.study_uid != self._coming.study_uid
        ):
            raise Refused(
                Reason.MISMATCH, "The instance is another than its manifest says.",
                "Whoever signed the manifest is at fault.",
            )  # fmt: skip

    def close(self) -> None:
        """Stop; the leaves that came of a larger content stay for the next time."""
        self._file.close()
        if self.count <= 1 and not self.given_away:
            self.discard()

    def discard(self) -> None:
        """Stop and leave nothing."""
        self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Nothing is staged until `commit`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()
