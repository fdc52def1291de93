"""The door: how an instance's bytes come in, hashed on the way, and are acknowledged.

One write to a file on the blob store's own volume. `commit` reads the header, which decides about
refusals before anything is acknowledged, makes the file durable, and has it placed and its row
committed; only then it returns. Whatever happens before that leaves nothing behind, or a file in
`arriving/` that the next start removes.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from meshpacs.archive.blobs import COPY_BYTES, BlobName, Blobs, write_all
from meshpacs.archive.faults import Reason, Refused, disk_fault
from meshpacs.archive.filing import (
    Candidate,
    Outcome,
    Verdict,
    entry_of,
    file_candidate,
    whole,
)
from meshpacs.archive.index import Index
from meshpacs.archive.indexed import Header, scan
from meshpacs.archive.part10 import (
    Preface,
    check_syntax,
    check_uid,
    make_preface,
    read_preface,
)
from meshpacs.archive.window import memory_reader
from meshpacs.model.content import Content, content_root
from meshpacs.model.ids import Digest
from meshpacs.model.limits import INSTANCE_BYTES, LEAF_BYTES

Buffer = bytes | bytearray | memoryview

ROOM_LOOK_BYTES = 4 * 1024 * 1024
"""Written between two looks at the room that is left: an instance's size is known only at its end.
A guess; some arrivals at once may so take some tens of MiB of the room that is kept free."""


@dataclass(frozen=True, slots=True)
class Stores:
    """What a door leads to."""

    blobs: Blobs
    index: Index
    codec: str
    """For bytes beyond ASCII that a data set does not declare."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What a sender says of a bare data set before it comes (a C-STORE request, a manifest)."""

    sop_class: str
    sop_uid: str
    transfer_syntax: str
    calling_ae: str = ""


class LeafDigests:
    """The digests of a data set's leaves, while its bytes pass by (PROTOCOL 9.1)."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self.size = 0
        self._done: list[bytes] = []
        self._now = hashlib.sha256()

    def update(self, data: memoryview) -> None:
        """The next bytes, however many."""
        while data:
            room = LEAF_BYTES - self.size % LEAF_BYTES
            piece = data[:room]
            self._now.update(piece)
            self.size += len(piece)
            data = data[room:]
            if self.size % LEAF_BYTES == 0:
                self._done.append(self._now.digest())
                self._now = hashlib.sha256()

    def finish(self) -> tuple[bytes, Digest]:
        """The leaf list, and the root over it and the size."""
        leaves = b"".join(self._done)
        if self.size % LEAF_BYTES:
            leaves += self._now.digest()
        return leaves, content_root(self.size, leaves)


class Arrival:
    """One instance on its way in. Leaving its context without `commit` leaves nothing."""

    def __init__(
        self,
        stores: Stores,
        announced: Announced | None = None,
        *,
        own: bool = True,
        came_from: str = "",
        selection: str = "",
    ) -> None:
        """Open the door for a whole Part 10 stream, or for the bare data set that is announced.

        Raises:
            Refused: what is announced cannot be kept.
            MeshError: the disk is full or failing.
        """
        self._stores = stores
        self._announced = announced
        self._own = own
        self._came_from = came_from or (announced.calling_ae if announced else "")
        self._selection = selection
        self._digests = LeafDigests()
        self._at_hand = memoryview(b"")
        self._head: bytearray | None = bytearray()
        self._preface = Preface("", 0)
        self._offset = 0
        self._led: Buffer = b""
        """A preface that is to be written."""
        self._kept = False
        self._candidate: Candidate | None = None
        """What is to be filed, once it is finished."""
        lead = b""
        if announced is not None:
            lead = announced_preface(announced)
            self._preface = Preface(announced.transfer_syntax, len(lead))
            self._head = None
        self._until_look = ROOM_LOOK_BYTES
        try:
            stores.blobs.room.need(0)
            self._path, self._file = stores.blobs.new_file()
        except OSError as error:
            raise disk_fault(error, stores.blobs.folder) from error
        self._lead(lead)

    def _lead(self, lead: Buffer) -> None:
        self._offset = len(lead)
        self._led = lead

    def _put(self, data: memoryview) -> None:
        """Write the next bytes; a preface together with what comes first behind it."""
        lead, self._led = self._led, b""
        self._until_look -= len(lead) + len(data)
        try:
            if self._until_look < 0:
                self._stores.blobs.room.need(len(lead) + len(data))
                self._until_look = ROOM_LOOK_BYTES
            write_all(self._file, lead, data)
        except OSError as error:
            self.discard()
            raise disk_fault(error, self._stores.blobs.folder) from error

    def write(self, data: Buffer) -> None:
        """Take the next bytes; they may be overwritten once this returns.

        Raises:
            Refused: this is no DICOM, as far as it has come.
            MeshError: the disk is full or failing.
        """
        view = memoryview(data)
        if self._head is None:
            self._data(view)
            return
        if self._head:
            self._head += view
            view = memoryview(self._head)
        preface = read_preface(view, whole=False)
        if preface is not None:
            self._begin(preface, view)
        elif not self._head:
            self._head += view

    def write_hashed(self, data: memoryview, digests: LeafDigests) -> None:
        """Take all or the first of an announced data set, which has passed by `digests` already.

        `data` must stay as it is until `commit`, which looks at it instead of reading it again.

        Raises:
            MeshError: the disk is full or failing.
        """
        assert self._head is None, "what was not announced has a preface, which is not hashed"
        assert not self._digests.size, "it is the first"
        self._digests, self._at_hand = digests, data
        self._put(data)

    def _begin(self, preface: Preface, head: memoryview) -> None:
        self._head = None
        self._preface = preface
        self._lead(preface.made or head[: preface.offset])
        self._data(head[preface.offset :])

    def _data(self, data: memoryview) -> None:
        if self._digests.size + len(data) > INSTANCE_BYTES:
            raise Refused(Reason.TOO_LARGE, f"The instance is larger than {INSTANCE_BYTES} bytes.")
        self._digests.update(data)
        self._put(data)

    def commit(self) -> Verdict:
        """Keep the instance. When this returns it is durable, indexed, and may be acknowledged.

        Raises:
            Refused: it cannot be kept; nothing of it was.
            MeshError: the disk is full or failing; nothing was kept.
        """
        try:
            candidate = self._judged()
            verdict = file_away(self._stores, self._file, candidate)
            self._kept = True
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error
        else:
            return verdict
        finally:
            self.discard()

    def finish(self) -> Verdict | None:
        """All of `commit` but its waits for the disk, which `commit_together` has for several.

        Returns a verdict if this very instance is here already, and then that is all.

        Raises:
            Refused: it cannot be kept; nothing of it was.
            MeshError: the disk is full or failing; nothing was kept.
        """
        try:
            candidate = self._judged()
            known = _unchanged(self._stores, candidate)
        except OSError as error:
            self.discard()
            raise disk_fault(error, self._stores.blobs.folder) from error
        except BaseException:
            self.discard()
            raise
        if known is None:
            self._stores.blobs.begin_writing(self._file)
            self._candidate = candidate
        else:
            self.discard()
        return known

    def _judged(self) -> Candidate:
        """What came, if it can be kept."""
        if self._head is not None:
            preface = read_preface(self._head, whole=True)
            assert preface is not None, "nothing more will come, so it is known"
            self._begin(preface, memoryview(self._head))
        leaves, root = self._digests.finish()
        content = Content(self._preface.transfer_syntax, self._digests.size, root)
        header = self._scan(content)
        self._check(header)
        if self._offset == 0:
            self._prepend(make_preface(header.sop_class, header.sop_uid, content.transfer_syntax))
        return Candidate(
            header, content, leaves, self._offset, self._path, self._own, self._came_from,
            self._selection,
        )  # fmt: skip

    def make_durable(self) -> Candidate:
        """Have the disk hold what is finished, and close the file.

        Raises:
            MeshError: the disk is full or failing; nothing was kept.
        """
        assert self._candidate is not None, "it is finished"
        try:
            self._stores.blobs.make_durable(self._file)
        except OSError as error:
            self.discard()
            raise disk_fault(error, self._stores.blobs.folder) from error
        self._file.close()
        return self._candidate

    def give_away(self) -> None:
        """The file has its place, and is none of ours any more."""
        self._kept = True

    def _scan(self, content: Content) -> Header:
        if len(self._at_hand) < content.size_bytes:
            return scan_file(self._stores, self._file, self._offset, content)
        read = memory_reader(self._at_hand)
        return scan(read, content.size_bytes, content.transfer_syntax, self._stores.codec)

    def _check(self, header: Header) -> None:
        said = self._announced
        if said is not None and (said.sop_class, said.sop_uid) != (
            header.sop_class,
            header.sop_uid,
        ):
            raise Refused(
                Reason.MISMATCH,
                "The data set's SOP class or instance UID is not the one that was announced.",
                "Its sender is at fault; send it again from another system.",
            )

    def _prepend(self, preface: bytes) -> None:
        """Put a preface before a bare data set, whose UIDs are known only now."""
        self._stores.blobs.room.need(self._digests.size)
        path, file = self._stores.blobs.new_file()
        try:
            write_all(file, preface)
            self._file.seek(0)
            while piece := self._file.read(COPY_BYTES):
                write_all(file, piece)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        self.discard()
        self._path, self._file, self._offset = path, file, len(preface)

    def discard(self) -> None:
        """Leave nothing behind; after `commit` this does nothing."""
        self._file.close()
        if self._kept:
            return
        with suppress(OSError):  # the next start removes it
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Nothing is kept until `commit`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discard what was not committed."""
        self.discard()


def announced_preface(announced: Announced) -> bytes:
    """The preface for a bare data set, its UIDs checked."""
    return make_preface(
        check_uid(announced.sop_class, "SOP Class UID"),
        check_uid(announced.sop_uid, "SOP Instance UID"),
        check_syntax(announced.transfer_syntax),
        announced.calling_ae,
    )


def scan_file(stores: Stores, file: BinaryIO, offset: int, content: Content) -> Header:
    """Read the header of a data set that lies in a file from `offset` on."""

    def read(at: int, count: int) -> bytes:
        file.seek(offset + at)
        return file.read(min(count, content.size_bytes - at))

    return scan(read, content.size_bytes, content.transfer_syntax, stores.codec)


def file_away(stores: Stores, file: BinaryIO, candidate: Candidate) -> Verdict:
    """Make an instance durable and visible (or staged); closes the file and takes it over.

    Raises:
        OSError: the disk is full or failing.
        MeshError: the same, of the index. Either way the file is still where it was.
    """
    known = None if candidate.selection else _unchanged(stores, candidate)
    if known is not None:
        file.close()
        candidate.file.unlink(missing_ok=True)
        return known
    stores.blobs.make_durable(file)
    file.close()  # Windows renames closed files only
    return stores.index.write(lambda tx: file_candidate(tx, stores.blobs, candidate))


def _unchanged(stores: Stores, candidate: Candidate) -> Verdict | None:
    """Whether this very instance is here already, before anything is written for it."""
    header, content = candidate.header, candidate.content
    row = stores.index.look(
        "SELECT own, offset, fetched FROM instances JOIN contents USING (content)"
        " WHERE sop_uid = ? AND root = ? AND transfer_syntax = ? LIMIT 1",
        header.sop_uid, content.root, content.transfer_syntax,
    )  # fmt: skip
    if row is None or (candidate.own and not row[0]):
        return None
    name = BlobName(content.root, content.transfer_syntax, fetched=bool(row[2]))
    if not whole(stores.blobs.path(name), row[1] + content.size_bytes):
        return None
    return Verdict(Outcome.UNCHANGED, entry_of(header, content), header.study_uid)
