"""A study leaves: rows first, then blobs; nothing else goes with it, whatever crashes."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.archive.blobs import Blobs
from meshpacs.archive.faults import DiskFull
from meshpacs.archive.filing import Outcome
from meshpacs.archive.index import Transaction
from meshpacs.archive.notes import NewManifest
from meshpacs.archive.removal import remove_study
from meshpacs.archive.repair import RepairReport
from meshpacs.archive.room import Room
from meshpacs.model.attributes import Level
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.query import Query
from tests.archive.instances import blobs, instance, take

ONE, TWO = "1.2.3.1", "1.2.3.2"


def filled(archive: Archive) -> None:
    """Two studies of one patient: two instances of the one, one of the other."""
    take(archive, instance("1.1"))
    take(archive, instance("1.2"))
    take(archive, instance("2.1", StudyInstanceUID=TWO, SeriesInstanceUID="1.2.3.2.1"))


def remove(archive: Archive, study: str = ONE) -> int:
    return archive.remove_study(study, archive.study_entries(study))


def test_a_removed_study_is_gone_with_its_bytes_and_the_others_stay(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        archive.keep_manifest(ONE, b"n", 1, b"first")
        assert archive.remove_study(ONE, archive.study_entries(ONE), NewManifest(b"n", 2, b"")) == 0
        assert archive.study_entries(ONE) == ()
        assert archive.manifests(ONE) == {b"n": (2, b"")}
        rows = archive.search(Query(Level.STUDY)).rows
        assert len(rows) == 1
        counts = archive.counts()
        assert (counts.patients, counts.studies, counts.series, counts.instances) == (1, 1, 1, 1)
        assert len(blobs(tmp_path)) == 1
        remove(archive, TWO)
        assert archive.counts().patients == 0
        assert blobs(tmp_path) == []
    with Archive.open(tmp_path) as archive:
        assert archive.repaired == RepairReport()
        assert take(archive, instance("1.1")).outcome is Outcome.STORED


def test_what_lies_aside_of_a_study_goes_with_it(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        take(archive, instance("1.1", InstanceNumber="8"))
        take(archive, instance("1.2", InstanceNumber="8", StudyInstanceUID=TWO))
        assert archive.counts().conflicts == 2
        assert remove(archive) == 1
        (left,) = archive.conflicts()
        assert left.study_uid == TWO
        assert left.kept is None


def test_a_study_that_has_changed_meanwhile_is_not_removed(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        seen = archive.study_entries(ONE)
        take(archive, instance("1.3"))
        with pytest.raises(LocalFault, match="changed meanwhile"):
            archive.remove_study(ONE, seen)
        assert len(archive.study_entries(ONE)) == 3
        assert len(blobs(tmp_path)) == 4


def test_a_crash_between_rows_and_blobs_does_not_bring_the_study_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", _denied)
            remove(archive)
        assert len(blobs(tmp_path)) == 3
    with Archive.open(tmp_path) as archive:
        assert archive.repaired == RepairReport(removed=2)
        assert archive.repaired.sentences == ("The removal of 2 instances was finished.",)
        assert archive.study_entries(ONE) == ()
        assert len(blobs(tmp_path)) == 1
    with Archive.open(tmp_path) as archive:
        assert archive.repaired == RepairReport()


def test_a_removal_is_forgotten_only_once_a_power_cut_cannot_bring_its_blobs_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        here = set(blobs(tmp_path))
        remove(archive)
        gone = {path.parent for path in here.difference(blobs(tmp_path))}
    sync_folder = Blobs.sync_folder
    noted: dict[Path, int] = {}

    def syncing(self: Blobs, folder: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "index.sqlite")) as con:
            (noted[folder],) = con.execute("SELECT count(*) FROM removed").fetchone()
        sync_folder(self, folder)

    monkeypatch.setattr(Blobs, "sync_folder", syncing)
    with Archive.open(tmp_path):
        assert {shelf: noted.get(shelf) for shelf in gone} == dict.fromkeys(gone, 2)
    noted.clear()
    with Archive.open(tmp_path):
        assert not gone & noted.keys()


def test_what_came_again_after_a_removal_is_kept_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", _denied)
            remove(archive)
        take(archive, instance("1.1"))
    with Archive.open(tmp_path) as archive:
        assert archive.repaired == RepairReport(removed=1)
        (entry,) = archive.study_entries(ONE)
        assert archive.read_leaf(entry.root, 0)


def test_bytes_that_come_again_in_the_same_commit_are_not_removed(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        filled(archive)
        seen = archive.study_entries(ONE)

        def work(tx: Transaction) -> None:
            rows = tx.con.execute("SELECT * FROM contents").fetchall()
            remove_study(tx, archive._stores.blobs, ONE, seen)
            for row in rows:
                tx.con.execute("INSERT OR IGNORE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        archive._stores.index.write(work)
        assert len(blobs(tmp_path)) == 3


def test_a_reader_that_comes_too_late_does_not_take_another_content_for_lost(
    tmp_path: Path,
) -> None:
    with Archive.open(tmp_path) as archive:
        take(archive, instance("1.1"))
        (entry,) = archive.study_entries(ONE)
        looked_up = archive._stored(entry.root, "")
        remove(archive)
        take(archive, instance("1.9", InstanceNumber="9"))
        (other,) = archive.study_entries(ONE)
        assert archive._stored(other.root, "").number == looked_up.number
        assert isinstance(archive._lost(looked_up, "its file is missing"), Unavailable)
        assert archive.losses() == ()
        assert archive.read_leaf(other.root, 0)


@pytest.mark.parametrize("own", [True, False])
def test_a_reader_that_comes_too_late_does_not_take_what_came_again_for_lost(
    tmp_path: Path, own: bool
) -> None:
    with Archive.open(tmp_path) as archive:
        take(archive, instance("1.1"), own=own)
        (entry,) = archive.study_entries(ONE)
        looked_up = archive._stored(entry.root, "")
        remove(archive)
        take(archive, instance("1.1"))
        assert archive._stored(entry.root, "").number == looked_up.number
        assert isinstance(archive._lost(looked_up, "its file is missing"), Unavailable)
        assert archive.losses() == ()
        assert archive.study_entries(ONE) == (entry,)
        assert archive.read_leaf(entry.root, 0)


def test_on_a_full_disk_the_reserve_is_given_up_for_a_removal_and_laid_by_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(tmp_path, keep_free_bytes=1) as archive:
        filled(archive)
        reserve = tmp_path / "reserve"
        assert reserve.stat().st_size > 0
        index = archive._stores.index
        write = index.write

        def full(work: object) -> object:
            if reserve.exists():
                raise DiskFull("The disk is full.")
            return write(work)  # type: ignore[arg-type]

        monkeypatch.setattr(index, "write", full)
        with pytest.raises(DiskFull):
            archive.keep_boot(b"n", 1)
        monkeypatch.setattr(Room, "free_bytes", lambda _: 0)
        assert remove(archive) == 0
        assert not reserve.exists()
        monkeypatch.undo()
        archive.tidy()
        assert reserve.exists()
        reserve.unlink()
        monkeypatch.setattr(index, "write", _full)
        with pytest.raises(DiskFull):
            remove(archive, TWO)
    assert len(blobs(tmp_path)) == 1


def _denied(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def _full(*_: object) -> None:
    raise DiskFull("The disk is full.")
