"""Staging: durable and resumable, invisible until adopted, whole or not at all."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.archive.faults import DiskFull, Reason, Refused
from meshpacs.archive.filing import Outcome
from meshpacs.archive.receiving import Receiving, WrongLeaf
from meshpacs.archive.stage import AdoptReport, Brought, Stage
from meshpacs.model.attributes import Level
from meshpacs.model.content import Entry, content_root, leaf
from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.model.query import Query
from tests.archive.instances import CT, EXPLICIT, blobs, dataset, instance, take

STUDY = "1.2.3.1"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as opened:
        yield opened


def pieces(data: bytes) -> list[bytes]:
    return [data[i : i + LEAF_BYTES] for i in range(0, len(data), LEAF_BYTES)]


def entry_of(data: bytes, sop: str) -> tuple[Entry, bytes]:
    leaves = b"".join(map(leaf, pieces(data)))
    root = content_root(len(data), leaves)
    return Entry(sop, CT, "1.2.3.1.1", "CT", EXPLICIT, len(data), root), leaves


def fetch(stage: Stage, data: bytes, sop: str) -> Entry:
    entry, leaves = entry_of(data, sop)
    with stage.receive(entry, leaves, study_uid=STUDY, came_from="bert") as receiving:
        for chunk in pieces(data)[receiving.have :]:
            receiving.write_leaf(chunk)
        assert receiving.commit().outcome is Outcome.STAGED
    return entry


def visible(archive: Archive) -> int:
    return len(archive.search(Query(Level.IMAGE)).rows)


LARGE = dataset("1.2.5", pixels=os.urandom(2 * LEAF_BYTES + 1000))
LARGE_ENTRY, LARGE_LEAVES = entry_of(LARGE, "1.2.5")


def test_what_is_staged_is_invisible_until_it_is_adopted_whole(archive: Archive) -> None:
    stage = archive.stage("study 1")
    entries = [fetch(stage, dataset(f"1.2.{i}"), f"1.2.{i}") for i in range(3)]
    assert stage.entries() == tuple(entries)
    assert visible(archive) == 0
    assert archive.study_entries(STUDY) == ()
    assert archive.holds(entries[0].root)
    assert archive.selections() == ("study 1",)
    report = archive.adopt("study 1")
    size = sum(entry.size_bytes for entry in entries)
    assert report == AdoptReport(3, 0, (), size, (STUDY,))
    assert visible(archive) == 3
    assert archive.study_entries(STUDY) == tuple(sorted(entries))
    assert archive.own_entries(STUDY) == ()
    assert archive.selections() == ()
    assert archive.adopt("study 1") == AdoptReport(0, 0, (), 0, ())


def brought(data: bytes, sop: str, root: bytes = b"") -> Brought:
    entry, _ = entry_of(data, sop)
    return Brought(replace(entry, root=Digest(root)) if root else entry, data, "bert")


def keep(stage: Stage, *some: Brought) -> list[type]:
    """Write and keep them; of which kind each one's fault is."""
    faults = stage.write(some, study_uid=STUDY)
    stage.keep()
    # It would hold all that was written with it.
    assert all(fault is None or fault.__traceback__ is None for fault in faults)
    return [type(fault) for fault in faults]


def test_small_instances_are_made_durable_together_and_what_is_wrong_is_named(
    archive: Archive,
) -> None:
    stage = archive.stage("s")
    good = [brought(dataset(f"1.2.{i}"), f"1.2.{i}") for i in range(3)]
    wrong = brought(dataset("1.2.7"), "1.2.7", root=bytes(32))
    other = brought(dataset("1.2.8"), "1.2.9")
    assert keep(stage, good[0], wrong, good[1], other, good[2]) == [
        type(None), WrongLeaf, type(None), Refused, type(None),
    ]  # fmt: skip
    assert stage.entries() == tuple(one.entry for one in good)
    assert len(blobs(archive.folder)) == 3
    assert list((archive.folder / "arriving").iterdir()) == []
    # The same again changes nothing.
    assert keep(stage, *good) == [type(None)] * 3
    assert stage.entries() == tuple(one.entry for one in good)
    assert archive.adopt("s").stored == 3


def test_an_entry_that_no_instance_can_be_costs_the_others_of_its_batch_nothing(
    archive: Archive,
) -> None:
    stage = archive.stage("s")
    good = [brought(dataset(f"1.2.{i}"), f"1.2.{i}") for i in range(2)]
    entry, data = good[0].entry, good[0].data
    lies = [
        Brought(replace(entry, transfer_syntax="1.2/3"), data, "carl"),
        Brought(replace(entry, sop_class=""), data, "carl"),
    ]
    assert keep(stage, lies[0], good[0], lies[1], good[1]) == [
        Refused, type(None), Refused, type(None),
    ]  # fmt: skip
    assert stage.entries() == tuple(one.entry for one in good)
    assert list((archive.folder / "arriving").iterdir()) == []


def test_a_disk_that_fails_keeps_nothing_of_a_batch(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = archive.stage("s")
    calls = iter(range(10))

    def fail_at_the_second(number: int) -> None:
        del number
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(archive._stores.blobs.pace, "_sync", fail_at_the_second)
    some = [brought(dataset(f"1.2.{i}"), f"1.2.{i}") for i in range(3)]
    with pytest.raises(DiskFull):
        keep(stage, *some)
    assert stage.entries() == ()
    assert list((archive.folder / "arriving").iterdir()) == []
    assert len(blobs(archive.folder)) == 0
    stage.keep()
    assert stage.entries() == (), "what failed is not tried again"


def test_a_disk_that_fails_while_a_batch_is_written_costs_those_written_before_nothing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = archive.stage("s")
    some = [brought(dataset(f"1.2.{i}"), f"1.2.{i}") for i in range(4)]
    stage.write(some[:1], study_uid=STUDY)
    writes = iter(range(10))
    write_leaf = Receiving.write_leaf

    def fail_at_the_second(receiving: Receiving, chunk: bytes) -> None:
        if next(writes) == 1:
            raise DiskFull("full")
        write_leaf(receiving, chunk)

    monkeypatch.setattr(Receiving, "write_leaf", fail_at_the_second)
    with pytest.raises(DiskFull):
        stage.write(some[1:], study_uid=STUDY)
    assert len(list((archive.folder / "arriving").iterdir())) == 1
    stage.keep()
    assert stage.entries() == (some[0].entry,)


def test_what_is_written_and_not_kept_is_dropped(archive: Archive) -> None:
    stage = archive.stage("s")
    stage.write([brought(dataset("1.2.1"), "1.2.1")], study_uid=STUDY)
    stage.drop()
    stage.keep()
    assert stage.entries() == ()
    assert list((archive.folder / "arriving").iterdir()) == []


def test_folders_are_made_durable_when_a_selection_becomes_visible_each_once(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(archive._stores.index, "_sync_folder", synced.append)
    stage = archive.stage("s")
    for i in range(3):
        assert keep(stage, brought(dataset(f"1.2.{i}"), f"1.2.{i}")) == [type(None)]
    assert synced == []
    archive.adopt("s")
    assert sorted(synced) == sorted({path.parent for path in blobs(archive.folder)})


def test_what_arrives_by_our_own_door_is_durable_though_its_bytes_were_only_staged(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(archive.stage("s"), brought(dataset("1.2.1"), "1.2.1"))
    synced: list[Path] = []
    monkeypatch.setattr(archive._stores.index, "_sync_folder", synced.append)
    take(archive, instance("1.2.1"))
    assert synced == [path.parent for path in blobs(archive.folder)]


def test_adopting_meets_what_is_here_already(archive: Archive) -> None:
    take(archive, instance("1.2.0"))
    take(archive, instance("1.2.1", PatientName="another"))
    stage = archive.stage("s")
    for i in range(3):
        fetch(stage, dataset(f"1.2.{i}"), f"1.2.{i}")
    report = archive.adopt("s")
    assert (report.stored, report.unchanged) == (1, 1)
    assert [entry.sop_uid for entry in report.conflicts] == ["1.2.1"]
    (conflict,) = archive.conflicts()
    assert conflict.came_from == "bert"
    assert visible(archive) == 3


def test_a_partial_selection_is_marked_until_the_whole_has_come(archive: Archive) -> None:
    fetch(archive.stage("a"), dataset("1.2.1"), "1.2.1")
    archive.adopt("a", partial=True)
    assert archive.partial_studies() == (STUDY,)
    fetch(archive.stage("b"), dataset("1.2.2"), "1.2.2")
    archive.adopt("b")
    assert archive.partial_studies() == ()


def test_discarding_removes_what_only_the_stage_had(archive: Archive) -> None:
    take(archive, instance("1.2.0"))
    stage = archive.stage("s")
    fetch(stage, dataset("1.2.0"), "1.2.0")
    fetch(stage, dataset("1.2.1"), "1.2.1")
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        receiving.write_leaf(LARGE[:LEAF_BYTES])
    assert len(blobs(archive.folder)) == 2
    archive.discard("s")
    assert [path.parent.parent.name for path in blobs(archive.folder)] == ["blobs"]
    assert archive.selections() == ()
    assert list((archive.folder / "staging").iterdir()) == []


def test_a_large_instance_resumes_at_the_leaf_where_it_stopped(tmp_path: Path) -> None:
    with Archive.open(tmp_path) as archive:
        stage = archive.stage("s")
        assert stage.partial(LARGE_ENTRY.root) == 0
        with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
            assert (receiving.have, receiving.count) == (0, 3)
            receiving.write_leaf(memoryview(LARGE)[:LEAF_BYTES])
            receiving.write_leaf(LARGE[LEAF_BYTES : 2 * LEAF_BYTES])
            with pytest.raises(LocalFault, match="1 leaves are missing"):
                receiving.commit()
    with Archive.open(tmp_path) as archive:
        assert archive.repaired.unfinished == ("s",)
        stage = archive.stage("s")
        assert stage.partial(LARGE_ENTRY.root) == 2
        with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
            assert receiving.have == 2
            receiving.write_leaf(LARGE[2 * LEAF_BYTES :])
            receiving.commit()
        archive.adopt("s")
        assert archive.read_leaf(LARGE_ENTRY.root, 2) == LARGE[2 * LEAF_BYTES :]
        path, offset, _ = archive.open_content(LARGE_ENTRY.root)
        assert path.read_bytes()[offset:] == LARGE


@pytest.mark.parametrize(("at", "have"), [(400, 0), (LEAF_BYTES + 900, 1), (10, 0)])
def test_only_a_prefix_that_hashes_right_is_resumed(archive: Archive, at: int, have: int) -> None:
    stage = archive.stage("s")
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        for chunk in pieces(LARGE)[:2]:
            receiving.write_leaf(chunk)
    (path,) = stage.folder.iterdir()
    torn = bytearray(path.read_bytes())
    torn[at] ^= 1
    path.write_bytes(torn)
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        assert receiving.have == have
        for chunk in pieces(LARGE)[have:]:
            receiving.write_leaf(chunk)
        receiving.commit()
    path, offset, _ = archive.open_content(LARGE_ENTRY.root)
    assert path.read_bytes()[offset:] == LARGE


def test_a_whole_file_that_was_not_committed_is_resumed_whole(archive: Archive) -> None:
    stage = archive.stage("s")
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        for chunk in pieces(LARGE):
            receiving.write_leaf(chunk)
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        assert receiving.have == receiving.count
        assert receiving.commit().outcome is Outcome.STAGED


def test_wrong_leaves_are_refused_and_not_written(archive: Archive) -> None:
    stage = archive.stage("s")
    for leaves in (LARGE_LEAVES[:-32], LARGE_LEAVES[::-1], b""):
        with pytest.raises(WrongLeaf):
            stage.receive(LARGE_ENTRY, leaves)
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        for wrong in (LARGE[1 : LEAF_BYTES + 1], LARGE[: LEAF_BYTES - 1]):
            with pytest.raises(WrongLeaf):
                receiving.write_leaf(wrong)
        for chunk in pieces(LARGE):
            receiving.write_leaf(chunk)
        with pytest.raises(WrongLeaf):
            receiving.write_leaf(b"more")
        receiving.commit()
    small = dataset("1.2.7")
    entry, _ = entry_of(small, "1.2.7")
    with stage.receive(entry) as receiving:
        with pytest.raises(WrongLeaf):
            receiving.write_leaf(small[:-1] + b"x")
        receiving.write_leaf(small)
        receiving.commit()


def test_an_instance_that_is_not_what_its_manifest_says_is_refused(archive: Archive) -> None:
    stage = archive.stage("s")
    for data, sop, study in ((dataset("1.2.7"), "1.2.8", STUDY), (dataset("1.2.7"), "1.2.7", "9")):
        entry, leaves = entry_of(data, sop)
        with stage.receive(entry, leaves, study_uid=study) as receiving:
            receiving.write_leaf(data)
            with pytest.raises(Refused) as caught:
                receiving.commit()
        assert caught.value.reason is Reason.MISMATCH
    entry, leaves = entry_of(LARGE, "1.2.6")
    with stage.receive(entry, leaves) as receiving:
        for chunk in pieces(LARGE):
            receiving.write_leaf(chunk)
        with pytest.raises(Refused):
            receiving.commit()
    assert stage.entries() == ()
    assert blobs(archive.folder) == []
    assert list(stage.folder.iterdir()) == []
    assert list((archive.folder / "arriving").iterdir()) == []


def test_absurd_sizes_are_refused_before_anything_is_asked_for(archive: Archive) -> None:
    entry = Entry("1", CT, "1", "CT", EXPLICIT, 1 << 50, LARGE_ENTRY.root)
    with pytest.raises(Refused) as caught:
        archive.stage("s").receive(entry, LARGE_LEAVES)
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_full_disk_keeps_the_prefix_for_the_next_time(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    stage = archive.stage("s")
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        receiving.write_leaf(LARGE[:LEAF_BYTES])
        monkeypatch.setattr("meshpacs.archive.receiving.write_all", full)
        with pytest.raises(DiskFull):
            receiving.write_leaf(LARGE[LEAF_BYTES : 2 * LEAF_BYTES])
    small, _ = entry_of(dataset("1.2.7"), "1.2.7")
    with pytest.raises(DiskFull), stage.receive(small) as receiving:
        receiving.write_leaf(dataset("1.2.7"))
    monkeypatch.undo()
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        assert receiving.have == 1
        for chunk in pieces(LARGE)[1:]:
            receiving.write_leaf(chunk)
        monkeypatch.setattr(archive._stores.blobs.pace, "_sync", full)
        with pytest.raises(DiskFull):
            receiving.commit()
    monkeypatch.undo()
    monkeypatch.setattr("meshpacs.archive.stage.Receiving._right", full)
    with pytest.raises(DiskFull):
        stage.receive(LARGE_ENTRY, LARGE_LEAVES)
    monkeypatch.undo()
    with stage.receive(LARGE_ENTRY, LARGE_LEAVES) as receiving:
        assert receiving.have == 3
        receiving.commit()
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(DiskFull):
        archive.stage("t")


def test_an_empty_instance_cannot_be_staged(archive: Archive) -> None:
    entry = Entry("1", CT, "1", "CT", EXPLICIT, 0, content_root(0, b""))
    with archive.stage("s").receive(entry) as receiving, pytest.raises(Refused):
        receiving.commit()
