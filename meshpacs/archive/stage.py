"""Staging: what a fetch has brought is durable and resumable, and not visible until adopted.

Folders are made durable once for all, when the selection is adopted: until then a power cut may
take the names of some files, whose rows the next start drops, and they are sent again.

Small contents (one leaf) arrive whole or not at all. Of larger ones the leaves come in order into
a file under `staging/`; whatever prefix of it hashes right is there after a crash, found by
hashing it again rather than by believing a number.
"""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
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
from meshpacs.archive.filing import (
    Candidate,
    Outcome,
    Verdict,
    adopt,
    file_candidate,
    forget_contents,
    now_us,
)
from meshpacs.archive.holdings import staged
from meshpacs.archive.index import Transaction
from meshpacs.archive.indexed import Header, scan
from meshpacs.archive.window import memory_reader
from meshpacs.model.content import Entry, content_root, leaf, leaf_count
from meshpacs.model.errors import LocalFault, PeerFault
from meshpacs.model.ids import Digest
from meshpacs.model.limits import INSTANCE_BYTES, LEAF_BYTES

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What adopting a selection made visible."""

    stored: int
    unchanged: int
    conflicts: tuple[Entry, ...]
    """Kept aside, because other content has their SOP Instance UID here."""
    bytes: int
    """Of what is newly visible."""
    studies: tuple[str, ...]


class WrongLeaf(PeerFault):
    """A chunk or leaf list is not what the content's root vouches for; nothing was kept of it."""


@dataclass(frozen=True, slots=True)
class Brought:
    """An instance of one leaf, as a member has given it."""

    entry: Entry
    data: Buffer
    came_from: str


@dataclass(frozen=True, slots=True)
class Written:
    """An instance of one leaf that is right, in a file that is yet to be made durable."""

    receiving: "Receiving"
    candidate: Candidate


class Stage:
    """One selection under way, named by its caller; the same name after a restart resumes it.

    One thread may write while another keeps what was written before.
    """

    def __init__(self, stores: Stores, selection: str) -> None:
        """Open the stage; it is remembered until it is adopted or discarded."""
        self.selection = selection
        self._stores = stores
        self._written: list[Written] = []
        """Not durable yet."""
        self._lock = Lock()
        self.folder = stage_folder(stores, selection)

        def register(tx: Transaction) -> None:
            tx.con.execute("INSERT OR IGNORE INTO stages VALUES (?, ?)", (selection, now_us()))

        stores.index.write(register)
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise disk_fault(error, self.folder) from error

    def entries(self) -> tuple[Entry, ...]:
        """What is durable in it already, in the order in which it came."""
        with self._stores.index.reading() as con:
            return staged(con, self.selection)

    def partial(self, root: Digest) -> int:
        """Whole leaves that are there of a content under way; checked when it is resumed."""
        found = 0
        with suppress(OSError):
            for path in self.folder.glob(f"{root.hex()}-*.part"):
                found = max(found, path.stat().st_size // LEAF_BYTES)
        return found

    def receive(
        self, entry: Entry, leaves: bytes = b"", *, study_uid: str = "", came_from: str = ""
    ) -> "Receiving":
        """Begin or resume one instance; `leaves` is its leaf list if it has several leaves.

        Raises:
            WrongLeaf: the leaf list is not the root's.
            Refused: the entry cannot be kept.
            MeshError: the disk is full or failing.
        """
        return Receiving(self._stores, self, entry, leaves, study_uid, came_from)

    def write(
        self, brought: Sequence[Brought], *, study_uid: str = ""
    ) -> tuple[Refused | WrongLeaf | None, ...]:
        """Verify instances of one leaf each and write them; `keep` makes them durable.

        Returns what is wrong with each; of those nothing stays.

        Raises:
            MeshError: the disk is full or failing; nothing of any of them stays.
        """
        faults: list[Refused | WrongLeaf | None] = []
        written: list[Written] = []
        with ExitStack() as undo:
            for one in brought:
                try:
                    written.append(self._write(one, study_uid))
                except (Refused, WrongLeaf) as fault:
                    faults.append(fault)
                else:
                    faults.append(None)
                    undo.callback(written[-1].receiving.close)
            undo.pop_all()
        with self._lock:
            self._written += written
        return tuple(faults)

    def _write(self, one: Brought, study_uid: str) -> "Written":
        receiving = self.receive(one.entry, study_uid=study_uid, came_from=one.came_from)
        try:
            receiving.write_leaf(one.data)
            candidate = receiving.candidate(self._scan(one))
        except BaseException:
            receiving.close()
            raise
        receiving.begin_writing()
        return Written(receiving, candidate)

    def keep(self) -> None:
        """Make durable, in one commit, what was written.

        Raises:
            MeshError: the disk is full or failing; nothing of any of it stays.
        """
        with self._lock:
            written, self._written = self._written, []
        if not written:
            return
        with ExitStack() as undo:
            for one in written:
                undo.callback(one.receiving.close)
            for one in written:
                one.receiving.make_durable()
            self._stores.index.write(
                lambda tx: [
                    file_candidate(tx, self._stores.blobs, one.candidate) for one in written
                ]
            )
            for one in written:
                one.receiving.given_away = True

    def drop(self) -> None:
        """Leave nothing of what was written and not kept."""
        while self._written:
            self._written.pop().receiving.close()

    def _scan(self, one: Brought) -> Header:
        content = one.entry.content
        read = memory_reader(one.data)
        return scan(read, content.size_bytes, content.transfer_syntax, self._stores.codec)


def stage_folder(stores: Stores, selection: str) -> Path:
    """Where a selection's partial files are; its name may hold anything, so it is hashed."""
    return stores.blobs.staging / hashlib.sha256(selection.encode()).hexdigest()[:32]


class Receiving:
    """One instance coming from the mesh, leaf by leaf. Leaving its context keeps the prefix."""

    def __init__(
        self,
        stores: Stores,
        stage: Stage,
        entry: Entry,
        leaves: bytes,
        study_uid: str,
        came_from: str,
    ) -> None:
        """See `Stage.receive`."""
        self._stores, self._stage, self.entry = stores, stage, entry
        self._study_uid, self._came_from = study_uid, came_from
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
                self._path = stage.folder / f"{name.file}.part"
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
            came_from=self._came_from, selection=self._stage.selection,
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
            self._study_uid and header.study_uid != self._study_uid
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


def adopt_selection(stores: Stores, selection: str, *, partial: bool) -> AdoptReport:
    """Make a selection visible in one transaction, and forget the stage."""

    def work(tx: Transaction) -> Sequence[tuple[Outcome, Entry, str]]:
        done = adopt(tx, stores.blobs, selection)
        tx.con.execute("DELETE FROM stages WHERE selection = ?", (selection,))
        for study_uid in {study: None for _, _, study in done}:
            if partial:
                tx.con.execute("INSERT OR IGNORE INTO partial_studies VALUES (?)", (study_uid,))
            else:
                tx.con.execute("DELETE FROM partial_studies WHERE study_uid = ?", (study_uid,))
        return done

    done = stores.index.write(work)
    shutil.rmtree(stage_folder(stores, selection), ignore_errors=True)
    stored = [entry for outcome, entry, _ in done if outcome is Outcome.STORED]
    return AdoptReport(
        len(stored),
        sum(outcome is Outcome.UNCHANGED for outcome, _, _ in done),
        tuple(entry for outcome, entry, _ in done if outcome is Outcome.CONFLICT),
        sum(entry.size_bytes for entry in stored),
        tuple({study: None for _, _, study in done}),
    )


def discard_selection(stores: Stores, selection: str) -> None:
    """Forget a stage and what only it refers to."""

    def work(tx: Transaction) -> None:
        rows = tx.con.execute("SELECT content FROM staged WHERE selection = ?", (selection,))
        contents = [content for (content,) in rows.fetchall()]
        tx.con.execute("DELETE FROM staged WHERE selection = ?", (selection,))
        tx.con.execute("DELETE FROM stages WHERE selection = ?", (selection,))
        forget_contents(tx, stores.blobs, contents)

    stores.index.write(work)
    shutil.rmtree(stage_folder(stores, selection), ignore_errors=True)
