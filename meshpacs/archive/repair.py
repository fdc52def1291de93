"""What the start does about a crash: finds it, mends it, says so.

| found | done |
|---|---|
| files in `arriving/` | removed: nobody was told that they were kept |
| folders in `staging/` of no known selection | removed |
| a blob in `blobs/` that no row knows of | filed, if its bytes are what its name says: it was about to be acknowledged, and its sender may believe that it was |
| a blob in `blobs/` that no row knows of, and that was being removed | removed |
| a blob in `fetched/` that no row knows of | removed: the mesh still has it, and showing it would show part of a selection |
| a blob whose bytes are not what its name says, a file that is none of ours | set aside in `damaged/` |
| a row whose blob is missing or of another size | taken out of the index and listed as lost |
| the index missing or damaged | set aside and made anew from all blobs |

Whether a blob of the right size still has the right bytes is seen when it is read: hashing a
whole archive at every start would take hours.
"""  # noqa: E501  # a table

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from meshpacs.archive.arrival import LeafDigests, Stores, scan_file
from meshpacs.archive.blobs import COPY_BYTES, BlobName, Blobs, open_private, parse_name
from meshpacs.archive.faults import IndexDamaged, Reason, Refused, disk_fault
from meshpacs.archive.filing import Candidate, file_candidate, lose
from meshpacs.archive.index import Index, Transaction
from meshpacs.archive.part10 import read_preface
from meshpacs.archive.stage import stage_folder
from meshpacs.model.content import Content
from meshpacs.model.limits import PREFACE_BYTES

BATCH = 128
"""Recovered blobs filed in one transaction. A guess."""


@dataclass(slots=True)
class RepairReport:
    """What the start found and did; all zero after a clean stop."""

    temporary_removed: int = 0
    stages_removed: int = 0
    recovered: int = 0
    """Blobs without a row that were filed."""
    fetched_removed: int = 0
    removed: int = 0
    """Blobs of studies that were being removed."""
    lost: int = 0
    """Instances whose bytes are gone; see `Archive.losses`."""
    set_aside: int = 0
    index_made_anew: bool = False
    unclean: bool = False
    """The last process did not close the archive."""
    unfinished: tuple[str, ...] = field(default=())
    """Selections that a fetch may resume."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same for people; none if there was nothing to do."""
        facts = (
            (self.index_made_anew, "The index was missing or damaged and was made anew."),
            (
                self.recovered,
                f"{self.recovered} instances that a crash interrupted were filed.",
            ),
            (self.temporary_removed, f"{self.temporary_removed} half-received files were removed."),
            (
                self.fetched_removed,
                f"{self.fetched_removed} half-fetched files were removed.",
            ),
            (self.removed, f"The removal of {self.removed} instances was finished."),
            (self.stages_removed, f"{self.stages_removed} forgotten fetches were removed."),
            (self.lost, f"The disk has lost {self.lost} instances; they are listed as lost."),
            (self.set_aside, f"{self.set_aside} damaged files were set aside."),
        )
        return tuple(sentence for happened, sentence in facts if happened)


def open_index(path: Path, blobs: Blobs, report: RepairReport) -> Index:
    """Open the index; a damaged one is set aside and replaced by an empty one."""
    try:
        index = _sound_index(path, blobs)
    except IndexDamaged:
        for suffix in ("", "-wal", "-shm"):
            blobs.set_aside(path.with_name(path.name + suffix))
        index = Index(path, blobs.sync_folder)
    with index.reading() as con:
        names = {name for (name,) in con.execute("SELECT name FROM facts")}
    # `made` is written after the first repair. Without it the index is new, or its making was
    # interrupted: either way the blobs know more than it does.
    report.index_made_anew = "made" not in names and any(files for _, _, files in blobs.walk())
    report.unclean = "made" in names and "clean" not in names
    return index


def _sound_index(path: Path, blobs: Blobs) -> Index:
    index = Index(path, blobs.sync_folder)
    try:
        with index.reading() as con:
            clean = con.execute("SELECT 1 FROM facts WHERE name = 'clean'").fetchone()
        if clean is None:
            index.check()
    except BaseException:
        index.close()
        raise
    return index


def begin_session(tx: Transaction) -> None:
    """Mark the index as complete and in use; only `close` says that it was left in order."""
    tx.con.execute("DELETE FROM facts WHERE name = 'clean'")
    tx.con.execute("INSERT OR REPLACE INTO facts VALUES ('made', x'')")


def repair(stores: Stores, report: RepairReport) -> None:
    """Bring folders and index into agreement.

    Raises:
        MeshError: the disk is full or failing.
    """
    try:
        _remove_leftovers(stores, report)
        unclaimed = _finish_removals(stores, _compare(stores, report), report)
        # In the order in which they were received, so that of two conflicting ones the first
        # is again the first.
        unclaimed.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        for start in range(0, len(unclaimed), BATCH):
            _recover(stores, unclaimed[start : start + BATCH], report)
    except OSError as error:
        raise disk_fault(error, stores.blobs.folder) from error


def _remove_leftovers(stores: Stores, report: RepairReport) -> None:
    for path in stores.blobs.arriving.iterdir():
        path.unlink()
        report.temporary_removed += 1
    with stores.index.reading() as con:
        rows = con.execute("SELECT selection FROM stages ORDER BY selection").fetchall()
    report.unfinished = tuple(selection for (selection,) in rows)
    known = {stage_folder(stores, selection).name for selection in report.unfinished}
    for folder in stores.blobs.staging.iterdir():
        if folder.name not in known:
            shutil.rmtree(folder)
            report.stages_removed += 1


def _compare(stores: Stores, report: RepairReport) -> list[Path]:
    """Hold each shelf of blobs against the index; what belongs into the index and is not there."""
    unclaimed = []
    shelves = {(fetched, shelf): files for fetched, shelf, files in _shelves(stores)}
    for fetched in (False, True):
        for first in range(256):
            shelf = f"{first:02x}"
            rows = _rows(stores, first, fetched=fetched)
            for path in shelves.pop((fetched, shelf), []):
                name = parse_name(path.name, fetched=fetched)
                if name is None or name.root[:1].hex() != shelf:
                    stores.blobs.set_aside(path)
                    report.set_aside += 1
                elif path.name in rows:
                    number, size = rows.pop(path.name)
                    if path.stat().st_size != size:
                        stores.blobs.set_aside(path)
                        report.set_aside += 1
                        report.lost += _lose(stores, number, "its file is of another size")
                elif fetched and not report.index_made_anew:
                    path.unlink()
                    report.fetched_removed += 1
                else:
                    unclaimed.append(path)
            for number, _ in rows.values():
                report.lost += _lose(stores, number, "its file is missing")
    return unclaimed


def _finish_removals(stores: Stores, unclaimed: list[Path], report: RepairReport) -> list[Path]:
    """Remove what a crash left of removals; the others."""
    with stores.index.reading() as con:
        rows = con.execute("SELECT root, transfer_syntax FROM removed").fetchall()
    if not rows:
        return unclaimed
    names = [BlobName(root, syntax, fetched=False) for root, syntax in rows]
    gone = {name.file for name in names}
    for path in unclaimed:
        if path.name in gone and path.parent.parent.name == "blobs":
            path.unlink()
            report.removed += 1
    # Those that were removed before the stop, too: a power cut could bring them back, and then
    # nothing would say any more that they are to go.
    for shelf in sorted({stores.blobs.path(name).parent for name in names}):
        if shelf.exists():
            stores.blobs.sync_folder(shelf)
    stores.index.write(lambda tx: tx.con.execute("DELETE FROM removed"))
    return [path for path in unclaimed if path.exists()]


def _shelves(stores: Stores) -> list[tuple[bool, str, list[Path]]]:
    return [
        (fetched, shelf, [Path(entry.path) for entry in files])
        for fetched, shelf, files in stores.blobs.walk()
    ]


def _rows(stores: Stores, first: int, *, fetched: bool) -> dict[str, tuple[int, int]]:
    """The contents whose root begins with this byte: file name to number and size of the file."""
    with stores.index.reading() as con:
        rows = con.execute(
            "SELECT content, root, transfer_syntax, offset + size_bytes FROM contents"
            " WHERE root >= ? AND root < ? AND fetched = ?",
            (bytes([first]), bytes([first + 1]) if first < 255 else b"\xff" * 33, fetched),
        ).fetchall()
    return {
        BlobName(root, syntax, fetched=fetched).file: (number, size)
        for number, root, syntax, size in rows
    }


def _lose(stores: Stores, content: int, why: str) -> int:
    return stores.index.write(lambda tx: lose(tx, content, why))


def _recover(stores: Stores, paths: list[Path], report: RepairReport) -> None:
    """File blobs that no row knows of; those that are not what they should be are set aside."""
    candidates = []
    for path in paths:
        try:
            candidates.append(candidate_of(stores, path))
        except Refused:
            stores.blobs.set_aside(path)
            report.set_aside += 1

    def work(tx: Transaction) -> None:
        for candidate in candidates:
            file_candidate(tx, stores.blobs, candidate)

    stores.index.write(work)
    report.recovered += len(candidates)


def candidate_of(stores: Stores, path: Path) -> Candidate:
    """An unclaimed blob as something to file, its bytes checked against its name.

    Raises:
        Refused: it is not what its name says, or nothing that can be filed.
    """
    fetched = path.parent.parent.name == "fetched"
    name = parse_name(path.name, fetched=fetched)
    assert name is not None, "only our own names come here"
    with open_private(path, "r+b") as file:
        preface = read_preface(file.read(PREFACE_BYTES), whole=True)
        assert preface is not None, "nothing more will come, so it is known"
        file.seek(preface.offset)
        digests = LeafDigests()
        while piece := file.read(COPY_BYTES):
            digests.update(memoryview(piece))
        leaves, root = digests.finish()
        content = Content(name.transfer_syntax, digests.size, root)
        header = scan_file(stores, file, preface.offset, content)
        if root != name.root:
            raise Refused(Reason.MISMATCH, "A stored file is not what its name says.")
        stores.blobs.make_durable(file)  # its folder's turn comes when it is filed
    return Candidate(header, content, leaves, preface.offset, path, not fetched, "recovered")
