"""The archive of one node, as the node sees it.

Everything here is synchronous and may be called from several threads at once: reads run beside
one another and beside writes, writes share their commits. One process at a time opens an archive;
the node's home holds the lock.
"""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from tempfile import mkstemp
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from meshpacs.archive import notes
from meshpacs.archive.arrival import Announced, Arrival, Stores
from meshpacs.archive.blobs import Blobs, open_private, write_all
from meshpacs.archive.faults import disk_fault
from meshpacs.archive.filing import Verdict, lose
from meshpacs.archive.holdings import (
    Conflict,
    Counts,
    Instance,
    Loss,
    States,
    Stored,
    conflicts,
    counts,
    entries,
    instance,
    losses,
    stored,
)
from meshpacs.archive.index import Transaction
from meshpacs.archive.notes import NewManifest
from meshpacs.archive.receiving import DIGEST_BYTES
from meshpacs.archive.removal import remove_for_good, tidy
from meshpacs.archive.repair import RepairReport, begin_session, open_index, repair
from meshpacs.archive.search import Found, Search
from meshpacs.archive.stage import (
    AdoptReport,
    Stage,
    adopt_selection,
    discard_selection,
)
from meshpacs.archive.together import commit_together
from meshpacs.model.charsets import default_codec
from meshpacs.model.content import Content, Entry, StudyState, content_root, leaf, leaf_count
from meshpacs.model.errors import Damaged, LocalFault, MeshError, Unavailable
from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.model.query import Query

INDEX_FILE = "index.sqlite"

MISSING = "its file is missing"

Bytes = TypeVar("Bytes", bytes, memoryview)


class Archive:
    """Instances as they were received, and what is known of them."""

    def __init__(self, stores: Stores, report: RepairReport, issuer: str) -> None:
        """Use `Archive.open`."""
        self._issuer = issuer
        self._stores = stores
        self.folder = stores.blobs.folder
        self._states = States()
        self.repaired = report
        """What the start found and mended."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        default_charset: str = "ISO_IR 100",
        sync: Callable[[int], None] = os.fsync,
        keep_free_bytes: int = 0,
        issuer: str = "",
    ) -> "Archive":
        """Open an archive, or make one; a crash's traces are mended on the way.

        `default_charset` is a defined term of PS3.3 C.12.1.1.2, for text beyond ASCII whose
        character set is not declared. `sync` makes a file descriptor durable. Of the disk's room
        `keep_free_bytes` are not used for instances; 0: all is. `issuer` is whose PatientIDs are
        that come in by this node's own door and do not say it themselves; empty: nobody knows.

        Raises:
            LocalFault: the character set is unknown, or the index is a newer version's.
            Unavailable: the disk is full, read-only or failing, or the index is in use.
        """
        try:
            codec = default_codec(default_charset)
        except LookupError:
            raise LocalFault(
                f"The default character set {default_charset!r} is not known.",
                "Use a defined term of DICOM, such as ISO_IR 100 or ISO_IR 192.",
            ) from None
        blobs = Blobs(folder, sync, keep_free_bytes)
        report = RepairReport()
        index = open_index(folder / INDEX_FILE, blobs, report)
        stores = Stores(blobs, index, codec)
        try:
            repair(stores, report)
            index.write(begin_session)
            blobs.room.lay_by()
        except BaseException:
            index.close()
            raise
        return cls(stores, report, issuer)

    def close(self) -> None:
        """Say that all is in order, and let go of the files."""
        try:
            self.remember("clean", b"1")
        except MeshError:
            pass  # then the next start looks closer; nothing is lost by that
        finally:
            self._stores.index.close()

    def __enter__(self) -> Self:
        """Close at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    # ------------------------------------------------------------ in

    def arrive(
        self, announced: Announced | None = None, *, own: bool = True, came_from: str = ""
    ) -> Arrival:
        """A door for one instance: a whole Part 10 stream, or the bare data set announced."""
        return Arrival(self._stores, announced, own=own, came_from=came_from)

    def commit_together(self, arrivals: Sequence[Arrival]) -> list[Verdict | Unavailable]:
        """Make finished arrivals durable and visible, in one commit; what became of each."""
        return commit_together(self._stores, arrivals)

    def stage(self, selection: str) -> Stage:
        """Open or resume the stage of this name."""
        return Stage(self._stores, selection)

    def selections(self) -> tuple[str, ...]:
        """Stages that were neither adopted nor discarded."""
        with self._stores.index.reading() as con:
            rows = con.execute("SELECT selection FROM stages ORDER BY opened_us, selection")
            return tuple(selection for (selection,) in rows)

    def adopt(self, selection: str, *, partial: bool = False) -> AdoptReport:
        """Make a stage's instances visible, all at once; `partial` marks their studies so."""
        return adopt_selection(self._stores, selection, partial=partial)

    def discard(self, selection: str) -> None:
        """Forget a stage and its instances."""
        discard_selection(self._stores, selection)

    # ------------------------------------------------------------ out

    def remove_study(
        self,
        study_uid: str,
        expected: Collection[Entry],
        manifest: NewManifest | None = None,
    ) -> int:
        """Take a study out of this archive for ever; how many of its instances lay aside.

        `expected`: what it consists of, as whoever decided has seen it. `manifest` is kept in the
        same moment. On a disk that is full to the last byte the reserve is given up for it.

        Raises:
            LocalFault: the study is another than was expected.
            MeshError: the disk is failing, or even the reserve is too small; nothing was removed.
        """
        return remove_for_good(self._stores, study_uid, expected, manifest)

    # ------------------------------------------------------------ asking

    def search(self, query: Query) -> Found:
        """What matches, up to the query's limit, in order of arrival."""
        with self._stores.index.reading() as con:
            return Search(con, query, self._states, self._issuer).run()

    def study_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """A study's visible instances, sorted."""
        with self._stores.index.reading() as con:
            return entries(con, study_uid)

    def instance(self, sop_uid: str) -> Instance:
        """What is under one SOP Instance UID."""
        with self._stores.index.reading() as con:
            return instance(con, sop_uid)

    def own_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """Those of them that came in by this node's own door: what it vouches for."""
        with self._stores.index.reading() as con:
            return entries(con, study_uid, own=True)

    def study_state(self, study_uid: str) -> StudyState | None:
        """What is held of a study; None if nothing is."""
        with self._stores.index.reading() as con:
            row = con.execute(
                "SELECT changed FROM studies WHERE study_uid = ?", (study_uid,)
            ).fetchone()
            return None if row is None else self._states.of(con, study_uid, row[0])

    def partial_studies(self) -> tuple[str, ...]:
        """Studies of which only a selection was adopted."""
        with self._stores.index.reading() as con:
            rows = con.execute("SELECT study_uid FROM partial_studies ORDER BY study_uid")
            return tuple(study_uid for (study_uid,) in rows)

    def conflicts(self) -> tuple[Conflict, ...]:
        """Instances that are kept aside, oldest first."""
        with self._stores.index.reading() as con:
            return conflicts(con)

    def losses(self) -> tuple[Loss, ...]:
        """Instances whose bytes the disk has lost, until they come again."""
        with self._stores.index.reading() as con:
            return losses(con)

    def counts(self) -> Counts:
        """How much is here."""
        with self._stores.index.reading() as con:
            return counts(con)

    def free_bytes(self) -> int:
        """Room left on the archive's disk."""
        try:
            return self._stores.blobs.room.free_bytes()
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error

    @property
    def keep_free_bytes(self) -> int:
        """Room that instances may not use."""
        return self._stores.blobs.room.kept_bytes

    def need_room(self, size: int, what: str) -> None:
        """Go on if so many bytes may be taken in.

        Raises:
            NoRoom: they may not.
        """
        try:
            self._stores.blobs.room.need(size, what)
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error

    def tidy(self) -> None:
        """Where room is short cut the index's log; make the reserve again if there is room.

        Never raises.
        """
        tidy(self._stores)

    def sync_p95_us(self) -> int | None:
        """How long the disk takes to make something durable; None while little is known."""
        return self._stores.blobs.pace.p95_us()

    def check_disk(self) -> None:
        """Try whether an instance could be kept now: one of a mebibyte, as most are smaller.

        Raises:
            DiskFull (NoRoom), DiskReadOnly, Unavailable: it could not.
        """
        try:
            path, file = self._stores.blobs.new_file()
            try:
                write_all(file, b"\0" * 4096)
                self._stores.blobs.make_durable(file)
            finally:
                file.close()
                path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_fault(error, self._stores.blobs.folder) from error
        self.remember("disk", b"")
        self.need_room(LEAF_BYTES, "an instance")

    # ------------------------------------------------------------ bytes

    def holds(self, root: Digest) -> bool:
        """Whether this content's bytes are here: visible, aside or staged."""
        with self._stores.index.reading() as con:
            return stored(con, root) is not None

    def content(self, root: Digest) -> Content | None:
        """What is known of a content by its root."""
        with self._stores.index.reading() as con:
            found = stored(con, root)
        return None if found is None else found.content

    def leaves(self, root: Digest) -> bytes | None:
        """A content's leaf list, 32 bytes a leaf; None if it is not here.

        Of a content of one leaf this reads the leaf, to hash it.

        Raises:
            Damaged: it is here no longer.
        """
        with self._stores.index.reading() as con:
            found = stored(con, root)
        if found is None:
            return None
        if leaf_count(found.content.size_bytes) <= 1:
            return leaf(self.read_leaf(root, 0)) if found.content.size_bytes else b""
        return found.leaves

    def read_leaf(self, root: Digest, index: int, transfer_syntax: str = "") -> bytes:
        """One leaf's bytes, hashed while they are at hand: damage is never served.

        Hashing a mebibyte was measured at 0.7 ms; the check is cheap beside the sending.

        Raises:
            Unavailable: the content is not here.
            Damaged: its bytes are no longer what was stored. Its instances were taken out of
                the index, are listed as lost, and can be fetched again from elsewhere.
        """
        return self._read_leaf(root, index, transfer_syntax, lambda file, size: file.read(size))

    def read_leaf_into(
        self, root: Digest, index: int, place: Callable[[int], memoryview]
    ) -> memoryview:
        """The same, put where `place` says when it is asked for as many bytes as the leaf has."""

        def read(file: BinaryIO, size: int) -> memoryview:
            room = place(size)
            return room[: file.readinto(room)]  # type: ignore[attr-defined]  # it is unbuffered

        return self._read_leaf(root, index, "", read)

    def _read_leaf(
        self, root: Digest, index: int, transfer_syntax: str, read: Callable[[BinaryIO, int], Bytes]
    ) -> Bytes:
        found = self._stored(root, transfer_syntax)
        count = leaf_count(found.content.size_bytes)
        if not 0 <= index < count:
            raise LocalFault(f"The content has no leaf {index}.")
        size = min(LEAF_BYTES, found.content.size_bytes - index * LEAF_BYTES)
        path = self._stores.blobs.path(found.name)
        try:
            with open_private(path, "rb") as file:
                file.seek(found.offset + index * LEAF_BYTES)
                chunk = read(file, size)
        except FileNotFoundError:
            raise self._lost(found, MISSING) from None
        except OSError as error:
            raise disk_fault(error, path.parent) from error
        digest = leaf(chunk)
        if count == 1:
            right = content_root(len(chunk), digest) == root
        else:
            start = index * DIGEST_BYTES
            right = digest == found.leaves[start : start + DIGEST_BYTES]
        if not right:
            raise self._lost(found, "its bytes have changed")
        return chunk

    def verify(self, root: Digest, transfer_syntax: str) -> None:
        """Read a whole content again, from the disk where the system can be told so, and hash it.

        Raises:
            Unavailable: the content is not here, or its disk does not give it.
            Damaged: see `read_leaf`.
        """
        found = self._stored(root, transfer_syntax)
        self._stores.blobs.forget_cached(found.name)
        for index in range(leaf_count(found.content.size_bytes)):
            self.read_leaf(root, index, transfer_syntax)

    def open_content(self, root: Digest, transfer_syntax: str = "") -> tuple[Path, int, Content]:
        """A content's file, where the data set begins in it, and what it is; unchecked bytes.

        Raises:
            Unavailable: the content is not here.
        """
        found = self._stored(root, transfer_syntax)
        return self._stores.blobs.path(found.name), found.offset, found.content

    def export(self, root: Digest, target: Path, transfer_syntax: str = "") -> None:
        """Write a DICOM file, every byte of its data set checked, whole or not at all.

        Raises:
            Unavailable: the content is not here, or `target` cannot be written.
            Damaged: see `read_leaf`.
        """
        found = self._stored(root, transfer_syntax)
        try:
            # Under a name that nobody could know, and made by us: in a folder that others can
            # write to, a link that lies in wait under a known name would be written through.
            handle, name = mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".part")
        except FileNotFoundError:
            raise Unavailable(f"There is no folder {target.parent}.", "Make it.") from None
        except OSError as error:
            raise disk_fault(error, target.parent) from error
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb", buffering=0) as out:
                with open_private(self._stores.blobs.path(found.name), "rb") as file:
                    write_all(out, file.read(found.offset))
                for index in range(leaf_count(found.content.size_bytes)):
                    chunk = self.read_leaf(root, index, found.content.transfer_syntax)
                    write_all(out, chunk)
            temporary.replace(target)
        except FileNotFoundError:
            temporary.unlink(missing_ok=True)
            raise self._lost(found, MISSING) from None
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise disk_fault(error, target.parent) from error
        except MeshError:
            temporary.unlink(missing_ok=True)
            raise

    def _stored(self, root: Digest, transfer_syntax: str) -> Stored:
        with self._stores.index.reading() as con:
            found = stored(con, root, transfer_syntax)
        if found is None:
            raise _not_here()
        return found

    def _lost(self, found: Stored, why: str) -> MeshError:
        """Take a lost content out of the index; what to raise."""

        def work(tx: Transaction) -> int | None:
            # It may have been removed since it was looked up, its number be another's now, or
            # it may have come again, perhaps to another place.
            now = stored(tx.con, found.content.root, found.content.transfer_syntax)
            if now != found or (why == MISSING and self._stores.blobs.path(found.name).exists()):
                return None
            gone = lose(tx, found.number, why)
            tx.after.append(
                lambda: self._stores.blobs.set_aside(self._stores.blobs.path(found.name))
            )
            return gone

        gone = self._stores.index.write(work)
        if gone is None:
            return _not_here()
        return Damaged(
            f"A stored content cannot be read as it was written: {why}; {gone} instances lost.",
            "Look after the disk. The instances can be fetched or sent again.",
        )

    # ------------------------------------------------------------ the node's notes

    def keep_manifest(self, study_uid: str, origin: bytes, version: int, signed: bytes) -> bool:
        """Remember a signed manifest; False if a newer or equal version is known."""
        newer = NewManifest(origin, version, signed)
        return self._stores.index.write(lambda tx: notes.keep_manifest(tx, study_uid, newer))

    def manifests(self, study_uid: str) -> dict[bytes, tuple[int, bytes]]:
        """The latest manifest of each origin for a study: version and signed bytes."""
        with self._stores.index.reading() as con:
            return notes.manifests(con, study_uid)

    def keep_boot(self, node: bytes, boot: int) -> None:
        """Remember a member's boot number, if it is the highest so far."""
        self._stores.index.write(lambda tx: notes.keep_boot(tx, node, boot))

    def boots(self) -> dict[bytes, int]:
        """The highest boot number known of each member."""
        with self._stores.index.reading() as con:
            return notes.boots(con)

    def remember(self, name: str, value: bytes) -> None:
        """Keep a small fact durably."""
        self._stores.index.write(lambda tx: notes.remember(tx, name, value))

    def recall(self, name: str) -> bytes | None:
        """A fact that was remembered."""
        with self._stores.index.reading() as con:
            return notes.recall(con, name)


def _not_here() -> Unavailable:
    return Unavailable("This content is not here.", "Ask another member.")
