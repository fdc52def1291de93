"""What a crash or a failing disk leaves, and what the next start and the next reader make of it."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from meshpacs.archive.archive import INDEX_FILE, Archive
from meshpacs.archive.faults import DiskReadOnly, IndexBusy, IndexDamaged, disk_fault
from meshpacs.archive.filing import Outcome
from meshpacs.archive.repair import RepairReport
from meshpacs.model.attributes import Level
from meshpacs.model.errors import Damaged, LocalFault, Unavailable
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.model.query import Query
from tests.archive.instances import blobs, dataset, instance, store, take
from tests.archive.test_stage import LARGE, LARGE_ENTRY, LARGE_LEAVES, fetch

STUDY = "1.2.3.1"


def reopened(folder: Path) -> RepairReport:
    with Archive.open(folder) as archive:
        return archive.repaired


def filled(folder: Path, count: int = 3) -> None:
    with Archive.open(folder) as archive:
        for i in range(count):
            take(archive, instance(f"1.2.{i}", InstanceNumber=str(i)))


def test_after_a_clean_stop_there_is_nothing_to_mend(tmp_path: Path) -> None:
    filled(tmp_path)
    report = reopened(tmp_path)
    assert report == RepairReport()
    assert report.sentences == ()


def test_half_received_files_are_removed_and_stages_under_way_kept(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        stage = archive.stage("kept")
        with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
            receiving.write_leaf(LARGE[:LEAF_BYTES])
    (tmp_path / "arriving" / "1-1.part").write_bytes(b"half")
    (tmp_path / "staging" / "forgotten").mkdir()
    (tmp_path / "staging" / "forgotten" / "x.part").write_bytes(b"half")
    report = reopened(tmp_path)
    assert (report.temporary_removed, report.stages_removed) == (1, 1)
    assert report.unfinished == ("kept",)
    assert report.sentences == (
        "1 half-received files were removed.",
        "1 forgotten fetches were removed.",
    )
    assert len(list((tmp_path / "staging").rglob("*.part"))) == 1
    assert list((tmp_path / "arriving").iterdir()) == []


def test_a_blob_that_was_about_to_be_acknowledged_is_filed(tmp_path: Path) -> None:
    filled(tmp_path)
    con = sqlite3.connect(tmp_path / INDEX_FILE)
    with con:
        con.execute("DELETE FROM instances WHERE sop_uid = '1.2.1'")
        con.execute("DELETE FROM contents WHERE content NOT IN (SELECT content FROM instances)")
    con.close()
    with Archive.open(tmp_path) as archive:
        assert archive.repaired.recovered == 1
        assert {entry.sop_uid for entry in archive.study_entries(STUDY)} == {
            "1.2.0",
            "1.2.1",
            "1.2.2",
        }


def test_a_torn_blob_without_a_row_is_set_aside(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    (path,) = blobs(tmp_path)
    other = path.with_name("ab" * 32 + path.name[64:])
    shelf = tmp_path / "blobs" / "ab"
    shelf.mkdir(exist_ok=True)
    (shelf / other.name).write_bytes(path.read_bytes())
    (shelf / ("ab" + "cd" * 31 + path.name[64:])).write_bytes(b"torn")
    for name in ("notes.txt", "xy" * 32 + "-1.2.dcm", "ab-1.2.dcm"):
        (shelf / name).write_bytes(b"not ours")
    (tmp_path / "blobs" / "stray").write_bytes(b"")
    report = reopened(tmp_path)
    assert (report.set_aside, report.recovered) == (5, 0)
    assert len(list((tmp_path / "damaged").iterdir())) == 5
    assert reopened(tmp_path) == RepairReport()


def test_a_fetched_blob_that_no_row_knows_is_removed(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        fetch(archive.stage("s"), dataset("1.2.7"), "1.2.7")
        fetch(archive.stage("s"), dataset("1.2.8"), "1.2.8")
    con = sqlite3.connect(tmp_path / INDEX_FILE)
    with con:
        con.execute("DELETE FROM staged WHERE sop_uid = '1.2.7'")
        con.execute("DELETE FROM contents WHERE content NOT IN (SELECT content FROM staged)")
    con.close()
    report = reopened(tmp_path)
    assert (report.fetched_removed, report.recovered) == (1, 0)
    with Archive.open(tmp_path) as archive:
        assert [entry.sop_uid for entry in archive.stage("s").entries()] == ["1.2.8"]


@pytest.mark.parametrize("missing", [True, False])
def test_a_lost_blob_is_found_at_the_start_listed_and_healed(tmp_path: Path, missing: bool) -> None:
    with Archive.open(tmp_path) as archive:
        lost = take(archive, instance("1.2.0", InstanceNumber="0")).entry
        kept = take(archive, instance("1.2.1", Modality="MR", series="1.3")).entry
        store(archive, dataset("1.2.1", PatientName="aside"), "1.2.1")
        path, _, _ = archive.open_content(lost.root)
    if missing:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with Archive.open(tmp_path) as archive:
        assert archive.repaired.lost == 1
        assert archive.repaired.set_aside == (0 if missing else 1)
        assert archive.study_entries(STUDY) == (kept,)
        (row,) = archive.search(Query(Level.STUDY)).rows
        assert row.record[0x0020_1208] == ("1",)
        assert row.record[0x0020_1206] == ("1",)
        assert row.record[0x0008_0061] == ("MR",)
        assert [loss.sop_uid for loss in archive.losses()] == ["1.2.0"]
        assert archive.counts().losses == 1
        assert take(archive, instance("1.2.0", InstanceNumber="0")).outcome is Outcome.STORED
        assert archive.losses() == ()
        assert archive.study_entries(STUDY) == tuple(sorted((lost, kept)))


@pytest.mark.parametrize("what", ["flipped", "gone", "short"])
def test_damage_is_found_at_reading_and_never_served(tmp_path: Path, what: str) -> None:
    with Archive.open(tmp_path) as archive:
        only = store(archive, LARGE, "1.2.5").entry
        path, offset, _ = archive.open_content(only.root)
        raw = bytearray(path.read_bytes())
        if what == "flipped":
            raw[offset + LEAF_BYTES + 7] ^= 4
            path.write_bytes(raw)
        elif what == "short":
            path.write_bytes(raw[: offset + LEAF_BYTES + 7])
        else:
            path.unlink()
        if what != "gone":
            assert archive.read_leaf(only.root, 0) == LARGE[:LEAF_BYTES]
        with pytest.raises(Damaged, match="1 instances lost"):
            archive.read_leaf(only.root, 1)
        with pytest.raises(Unavailable):
            archive.read_leaf(only.root, 0)
        assert not archive.holds(only.root)
        assert archive.study_entries(STUDY) == ()
        counts = archive.counts()
        assert (counts.patients, counts.studies, counts.series, counts.losses) == (0, 0, 0, 1)
        assert len(list((tmp_path / "damaged").iterdir())) == (0 if what == "gone" else 1)
        assert store(archive, LARGE, "1.2.5").outcome is Outcome.STORED
        assert archive.read_leaf(only.root, 1) == LARGE[LEAF_BYTES : 2 * LEAF_BYTES]


@pytest.mark.parametrize("gone", [True, False])
def test_damage_is_not_exported(tmp_path: Path, gone: bool) -> None:
    with Archive.open(tmp_path / "a") as archive:
        entry = take(archive, instance()).entry
        path, _, _ = archive.open_content(entry.root)
        if gone:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-4] + b"torn")
        with pytest.raises(Damaged):
            archive.export(entry.root, tmp_path / "out.dcm")
        assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_blob_that_vanished_while_running_is_healed_by_the_next_arrival(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        entry = take(archive, instance()).entry
        path, _, _ = archive.open_content(entry.root)
        path.unlink()
        assert store(archive, dataset(), "1.2.3").outcome is Outcome.UNCHANGED
        assert archive.read_leaf(entry.root, 0) == dataset()


def test_a_lost_index_is_made_anew_from_the_blobs(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        first = take(archive, instance("1.2.0", PatientName="first")).entry
        second = take(archive, instance("1.2.0", PatientName="second")).entry
        fetched = fetch(archive.stage("s"), dataset("1.2.9"), "1.2.9")
        archive.adopt("s")
        for age, entry in ((20, first), (10, second)):
            path, _, _ = archive.open_content(entry.root)
            stamp = path.stat().st_mtime - age
            os.utime(path, (stamp, stamp))
    for name in tmp_path.glob(f"{INDEX_FILE}*"):
        name.unlink()
    with Archive.open(tmp_path) as archive:
        assert archive.repaired.index_made_anew
        assert archive.repaired.recovered == 3
        assert archive.study_entries(STUDY) == tuple(sorted((first, fetched)))
        assert archive.own_entries(STUDY) == (first,)
        assert [conflict.aside for conflict in archive.conflicts()] == [second.content]
    assert reopened(tmp_path) == RepairReport()


def test_a_staged_instance_whose_name_a_power_cut_took_is_lacking_and_not_lost(
    tmp_path: Path,
) -> None:
    with Archive.open(tmp_path) as archive:
        stage = archive.stage("s")
        gone = fetch(stage, dataset("1.2.7"), "1.2.7")
        kept = fetch(stage, dataset("1.2.8"), "1.2.8")
        path, _, _ = archive.open_content(gone.root)
    path.unlink()
    with Archive.open(tmp_path) as archive:
        assert archive.repaired == RepairReport(unfinished=("s",))
        assert archive.losses() == ()
        stage = archive.stage("s")
        assert stage.entries() == (kept,)
        fetch(stage, dataset("1.2.7"), "1.2.7")
        assert archive.adopt("s").stored == 2
        assert archive.read_leaf(gone.root, 0) == dataset("1.2.7")


@pytest.mark.parametrize(("where", "size"), [(0, 40_000), (5000, 40_000), (-4088, 32)])
def test_a_damaged_index_is_set_aside_and_made_anew(tmp_path: Path, where: int, size: int) -> None:
    filled(tmp_path, 40)
    index = tmp_path / INDEX_FILE
    con = sqlite3.connect(index)
    with con:
        con.execute("DELETE FROM facts WHERE name = 'clean'")  # as after a crash
    con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    con.close()
    raw = bytearray(index.read_bytes())
    where %= len(raw)
    raw[where : where + size] = b"\0" * size
    index.write_bytes(raw)
    with Archive.open(tmp_path) as archive:
        assert archive.repaired.index_made_anew
        assert archive.repaired.sentences[0].startswith("The index was missing or damaged")
        assert len(archive.study_entries(STUDY)) == 40
    assert (tmp_path / "damaged" / INDEX_FILE).exists()


def test_an_index_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    con = sqlite3.connect(tmp_path / INDEX_FILE)
    con.execute("PRAGMA user_version = 99")
    con.close()
    with pytest.raises(LocalFault, match="newer meshpacs"):
        Archive.open(tmp_path)


def test_a_start_that_cannot_mend_closes_what_it_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr("meshpacs.archive.repair._compare", full)
        with pytest.raises(Unavailable):
            Archive.open(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(Unavailable):
            Archive.open(tmp_path)
    with pytest.raises(LocalFault, match="EBCDIC"):
        Archive.open(tmp_path, default_charset="EBCDIC")


def test_a_closed_archive_says_so(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path)
    archive.close()
    with pytest.raises(LocalFault, match="closed"):
        archive.counts()
    with pytest.raises(LocalFault, match="closed"):
        archive.remember("x", b"")


def test_a_number_of_an_earlier_process_is_passed_over(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        (tmp_path / "arriving" / f"{os.getpid()}-0.part").write_bytes(b"theirs")
        assert take(archive, instance()).outcome is Outcome.STORED


def test_a_disk_that_fails_while_reading_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with Archive.open(tmp_path) as archive:
        entry = take(archive, instance()).entry
        with monkeypatch.context() as patch:
            patch.setattr("meshpacs.archive.archive.open_private", denied)
            with pytest.raises(DiskReadOnly):
                archive.read_leaf(entry.root, 0)
            with pytest.raises(DiskReadOnly):
                archive.export(entry.root, tmp_path / "out.dcm")
            patch.setattr("shutil.disk_usage", denied)
            with pytest.raises(DiskReadOnly):
                archive.free_bytes()
        assert archive.read_leaf(entry.root, 0) == dataset()


def test_a_stop_that_cannot_be_noted_makes_the_next_start_look_closer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.open(tmp_path)
    take(archive, instance())

    def full(*_: object) -> None:
        raise DiskReadOnly("It cannot be written.")

    monkeypatch.setattr(archive, "remember", full)
    archive.close()
    with Archive.open(tmp_path) as again:
        assert again.repaired.unclean
        assert again.repaired.sentences == ()
        assert len(again.study_entries(STUDY)) == 1


def test_errors_are_named_by_who_must_act(tmp_path: Path) -> None:
    for code, kind in (
        (sqlite3.SQLITE_READONLY, DiskReadOnly),
        (sqlite3.SQLITE_BUSY, IndexBusy),
        (sqlite3.SQLITE_CORRUPT, IndexDamaged),
        (sqlite3.SQLITE_INTERNAL, Unavailable),
    ):
        error = sqlite3.OperationalError("words")
        error.sqlite_errorcode = code
        assert type(disk_fault(error, tmp_path)) is kind
    patient = OSError(errno.EIO, "Input/output error", "/media/DOE^JANE/1.dcm")
    assert "DOE" not in str(disk_fault(patient, tmp_path))


# ---------------------------------------------------------------- kill -9

KILLED = """
import os, sys, threading
from pathlib import Path
from meshpacs.archive.archive import Archive
from tests.archive.instances import instance, take

archive = Archive.open(Path(sys.argv[1]))
out = os.fdopen(1, "wb", buffering=0)

def work(part):
    for i in range(part, 100_000, 3):
        entry = take(archive, instance(f"1.2.{i}", pixels=os.urandom(2000))).entry
        out.write(f"{entry.sop_uid} {entry.root.hex()}\\n".encode())

# The main thread waits: once it has ended, Python makes no new threads, and the index needs some.
threads = [threading.Thread(target=work, args=(part,)) for part in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("count", [5, 60])
def test_a_killed_import_loses_nothing_that_was_acknowledged(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            said = [process.stdout.readline() for _ in range(count)]
        finally:
            process.kill()
        said += process.stdout.read().splitlines(keepends=True)
    acknowledged = dict(line.decode().split() for line in said if line.endswith(b"\n"))
    with Archive.open(tmp_path) as archive:
        assert archive.repaired.unclean
        assert archive.repaired.lost == 0
        found = {entry.sop_uid: entry.root for entry in archive.study_entries(STUDY)}
        assert len(acknowledged) >= count
        assert {uid: found[uid].hex() for uid in acknowledged} == acknowledged
        for root in found.values():
            archive.read_leaf(root, 0)
        assert archive.conflicts() == ()
    assert reopened(tmp_path) == RepairReport()
