"""Staging: what a fetch has brought is durable and resumable, and not visible until adopted.

Folders are made durable once for all, when the selection is adopted: until then a power cut may
take the names of some files, whose rows the next start drops, and they are sent again.

How one instance comes is told in `receiving.py`.
"""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from meshpacs.archive.arrival import Buffer, Stores
from meshpacs.archive.faults import Refused, disk_fault
from meshpacs.archive.filing import (
    Candidate,
    Outcome,
    adopt,
    file_candidate,
    forget_contents,
    now_us,
)
from meshpacs.archive.holdings import staged
from meshpacs.archive.index import Transaction
from meshpacs.archive.indexed import Header, scan
from meshpacs.archive.receiving import Coming, Receiving, WrongLeaf
from meshpacs.archive.window import memory_reader
from meshpacs.model.content import Entry
from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES


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


@dataclass(frozen=True, slots=True)
class Brought:
    """An instance of one leaf, as a member has given it."""

    entry: Entry
    data: Buffer
    came_from: str


@dataclass(frozen=True, slots=True)
class Written:
    """An instance of one leaf that is right, in a file that is yet to be made durable."""

    receiving: Receiving
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
    ) -> Receiving:
        """Begin or resume one instance; `leaves` is its leaf list if it has several leaves.

        Raises:
            WrongLeaf: the leaf list is not the root's.
            Refused: the entry cannot be kept.
            MeshError: the disk is full or failing.
        """
        coming = Coming(self.selection, self.folder, study_uid, came_from)
        return Receiving(self._stores, coming, entry, leaves)

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
                    faults.append(fault.with_traceback(None))  # which holds the whole batch
                else:
                    faults.append(None)
                    undo.callback(written[-1].receiving.close)
            undo.pop_all()
        with self._lock:
            self._written += written
        return tuple(faults)

    def _write(self, one: Brought, study_uid: str) -> Written:
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
        with self._lock:
            written, self._written = self._written, []
        for one in written:
            one.receiving.close()

    def _scan(self, one: Brought) -> Header:
        content = one.entry.content
        read = memory_reader(one.data)
        return scan(read, content.size_bytes, content.transfer_syntax, self._stores.codec)


def stage_folder(stores: Stores, selection: str) -> Path:
    """Where a selection's partial files are; its name may hold anything, so it is hashed."""
    return stores.blobs.staging / hashlib.sha256(selection.encode()).hexdigest()[:32]


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
