"""The room that is kept free, the reserve, and how long the disk takes."""

import errno
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.archive.arrival import ROOM_LOOK_BYTES
from meshpacs.archive.faults import DiskReadOnly, NoRoom
from meshpacs.archive.ingest import Import, Taken
from meshpacs.archive.pace import LEAST, RECENT_S, Pace
from meshpacs.archive.room import Room, make_room_to_start
from meshpacs.model.limits import LEAF_BYTES, RESERVE_BYTES
from tests.archive.instances import instance, take
from tests.archive.test_stage import LARGE, LARGE_ENTRY, LARGE_LEAVES

MIB = 1024 * 1024
KEEP = 100 * MIB

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  # as shutil's


class Disk:
    """How much is free, as a test wants it."""

    def __init__(self) -> None:
        self.free = 10**12
        self.error: int | None = None

    def usage(self, _folder: object) -> Usage:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return Usage(10**12, 10**12 - self.free, self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(shutil, "disk_usage", made.usage)
    return made


@pytest.fixture
def archive(tmp_path: Path, disk: Disk) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive", keep_free_bytes=KEEP) as opened:
        yield opened


def test_no_instance_may_use_the_room_that_is_kept_free_and_everything_else_may(
    archive: Archive, disk: Disk
) -> None:
    take(archive, instance("1.1"))
    disk.free = KEEP - 1
    with pytest.raises(NoRoom, match=r"99 MiB are free on the disk of .*, and the last 100 are"):
        take(archive, instance("1.2"))
    with pytest.raises(NoRoom):
        archive.stage("s").receive(LARGE_ENTRY, LARGE_LEAVES)
    with pytest.raises(NoRoom):
        archive.check_disk()
    assert list((archive.folder / "arriving").iterdir()) == []
    archive.keep_boot(b"n", 1)
    (entry,) = archive.study_entries("1.2.3.1")
    assert archive.read_leaf(entry.root, 0)
    archive.remove_study("1.2.3.1", [entry])
    disk.free = KEEP + MIB
    take(archive, instance("1.2"))
    archive.check_disk()


def test_a_disk_is_called_full_as_soon_as_it_has_no_room_for_most_instances(
    archive: Archive, disk: Disk
) -> None:
    disk.free = KEEP + MIB - 1
    take(archive, instance("1.1"))
    with pytest.raises(NoRoom, match=r"no room for an instance of 1\.0 MiB"):
        archive.check_disk()


def test_an_instance_whose_size_nobody_knew_is_stopped_on_the_way(
    archive: Archive, disk: Disk
) -> None:
    with archive.arrive() as arrival:
        arrival.write(instance("1.1"))
        disk.free = KEEP
        for _ in range(ROOM_LOOK_BYTES // MIB - 1):
            arrival.write(bytes(MIB))
        with pytest.raises(NoRoom):
            arrival.write(bytes(MIB))
    assert list((archive.folder / "arriving").iterdir()) == []


def test_a_large_instance_that_is_fetched_stops_where_the_room_ends(
    archive: Archive, disk: Disk
) -> None:
    with archive.stage("s").receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        receiving.write_leaf(LARGE[:LEAF_BYTES])
        disk.free = KEEP + LEAF_BYTES - 1
        with pytest.raises(NoRoom):
            receiving.write_leaf(LARGE[LEAF_BYTES : 2 * LEAF_BYTES])
    disk.free += 1
    with archive.stage("s").receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        assert receiving.have == 1
        receiving.write_leaf(LARGE[LEAF_BYTES : 2 * LEAF_BYTES])


def test_a_disk_that_does_not_say_what_is_free_is_a_named_fault(
    archive: Archive, disk: Disk
) -> None:
    disk.error = errno.EACCES
    with pytest.raises(DiskReadOnly):
        archive.need_room(1, "something")
    with pytest.raises(DiskReadOnly):
        take(archive, instance("1.1"))


def test_an_import_refuses_each_file_by_name_until_there_is_room(
    archive: Archive, disk: Disk, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(instance(f"1.{number}"))
    paths = sorted(tmp_path.glob("*.dcm"))
    disk.free = 0
    outcomes = list(Import(archive, paths))
    assert {outcome.name for outcome in outcomes} == {str(path) for path in paths}
    assert {outcome.taken for outcome in outcomes} == {Taken.REFUSED}
    assert {outcome.reason for outcome in outcomes} == {"no-room"}
    disk.free = 10**12
    assert {outcome.taken for outcome in Import(archive, paths)} == {Taken.STORED}


def test_a_reserve_is_laid_by_once_and_only_where_there_is_room(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, KEEP)
    disk.free = KEEP + RESERVE_BYTES - 1
    room.lay_by()
    assert not (tmp_path / "reserve").exists()
    assert not room.give_up()
    disk.free += 1
    room.lay_by()
    room.lay_by()
    facts = (tmp_path / "reserve").stat()
    assert facts.st_size == RESERVE_BYTES
    assert facts.st_blocks * 512 >= RESERVE_BYTES
    assert room.give_up()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("meshpacs.archive.room._fill", full)
    room.lay_by()
    assert not (tmp_path / "reserve").exists()


def test_a_reserve_that_a_kill_left_unfinished_is_made_whole(tmp_path: Path, disk: Disk) -> None:
    room = Room(tmp_path, KEEP)
    (tmp_path / "reserve").touch()
    assert room.kept_bytes == KEEP + RESERVE_BYTES
    disk.free = KEEP + RESERVE_BYTES
    room.lay_by()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    assert room.kept_bytes == KEEP


def test_the_room_of_a_reserve_that_was_given_up_is_not_given_to_instances(
    archive: Archive, disk: Disk
) -> None:
    assert archive.keep_free_bytes == KEEP
    (archive.folder / "reserve").unlink()
    assert archive.keep_free_bytes == KEEP + RESERVE_BYTES
    disk.free = KEEP + RESERVE_BYTES - 1
    with pytest.raises(NoRoom):
        take(archive, instance("1.1"))
    disk.free += 1
    archive.tidy()
    disk.free -= RESERVE_BYTES
    take(archive, instance("1.1"))


def test_where_room_is_short_the_index_gives_back_its_log(archive: Archive, disk: Disk) -> None:
    take(archive, instance("1.1"))
    log = archive.folder / "index.sqlite-wal"
    archive.tidy()
    assert log.stat().st_size > 0
    disk.free = KEEP + RESERVE_BYTES - 1
    archive.tidy()
    assert log.stat().st_size == 0
    take(archive, instance("1.2"))
    disk.error = errno.EIO
    archive.tidy()  # which is no place to find out
    assert archive.counts().instances == 2


def test_an_archive_without_a_margin_lays_nothing_by(tmp_path: Path, disk: Disk) -> None:
    with Archive.open(tmp_path) as archive:
        disk.free = 0
        archive.need_room(10**9, "anything")
        archive.tidy()
        assert not (tmp_path / "reserve").exists()


def test_a_start_on_a_disk_that_is_full_to_the_last_byte_gives_up_the_reserve(
    tmp_path: Path, disk: Disk
) -> None:
    Archive.open(tmp_path, keep_free_bytes=KEEP).close()
    make_room_to_start(tmp_path)
    assert (tmp_path / "reserve").exists()
    disk.free = 0
    make_room_to_start(tmp_path)
    assert not (tmp_path / "reserve").exists()
    make_room_to_start(tmp_path / "not there yet")


def test_a_pace_is_told_of_enough_recent_syncs_and_forgets_old_ones() -> None:
    now, takes = 0.0, 0.01
    done = []

    def sync(handle: int) -> None:
        nonlocal now
        done.append(handle)
        now += takes

    pace = Pace(sync, lambda: now)
    for number in range(LEAST - 1):
        pace.sync(number)
    assert pace.p95_us() is None
    pace.sync(99)
    assert done == [*range(LEAST - 1), 99]
    assert pace.p95_us() == 10_000
    takes = 2.0
    pace.sync(1)
    pace.sync(1)
    assert pace.p95_us() == 2_000_000  # two of 22 are more than one in twenty
    now += RECENT_S
    assert pace.p95_us() is None
