"""What comes through the door: kept as it is, judged by content, refused with a reason."""

import errno
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshpacs.archive.archive import Archive
from meshpacs.archive.arrival import Announced
from meshpacs.archive.faults import DiskFull, DiskReadOnly, Reason, Refused
from meshpacs.archive.filing import Outcome
from meshpacs.archive.part10 import make_preface, read_preface
from meshpacs.model.content import Content, Entry, content_root, leaf
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.limits import LEAF_BYTES, PREFACE_BYTES
from tests.archive.instances import (
    CT,
    EXPLICIT,
    IMPLICIT,
    blobs,
    corpus,
    dataset,
    element,
    instance,
    part10,
    sha256,
    store,
    take,
)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as opened:
        yield opened


def leftovers(archive: Archive) -> list[Path]:
    return [*(archive.folder / "arriving").iterdir(), *blobs(archive.folder)]


def refusal(archive: Archive, file: bytes) -> Reason:
    before = leftovers(archive)
    with pytest.raises(Refused) as caught:
        take(archive, file)
    assert leftovers(archive) == before
    return caught.value.reason


# ---------------------------------------------------------------- kept as it is


def test_every_real_file_is_stored_or_refused_with_its_reason(archive: Archive) -> None:
    outcomes: Counter[str] = Counter()
    for path in corpus():
        raw = path.read_bytes()
        try:
            verdict = take(archive, raw)
        except Refused as refused:
            outcomes[refused.reason.value] += 1
            continue
        outcomes[verdict.outcome.value] += 1
        entry = verdict.entry
        found, offset, content = archive.open_content(entry.root, entry.transfer_syntax)
        preface = read_preface(raw, whole=True)
        assert preface is not None
        kept = found.read_bytes()
        assert content == entry.content
        assert sha256(kept[offset:]) == sha256(raw[preface.offset :]), path.name
        if raw[128:132] == b"DICM" and verdict.outcome is not Outcome.UNCHANGED:
            assert kept == raw, path.name
        leaves = b"".join(
            leaf(archive.read_leaf(entry.root, i, entry.transfer_syntax))
            for i in range(-(-entry.size_bytes // LEAF_BYTES))
        )
        assert content_root(entry.size_bytes, leaves) == entry.root
        assert archive.leaves(entry.root) == leaves
    assert outcomes == {
        "stored": 155,
        "conflict": 71,
        "unchanged": 2,
        "missing-uid": 20,
        "not-dicom": 14,
        "dicomdir": 8,
        "truncated": 3,
    }
    assert archive.counts().instances == 155
    assert len(archive.conflicts()) == 71


@pytest.mark.parametrize("step", [1, 7, 131, 4096])
def test_fragments_of_any_size_make_the_same_instance(archive: Archive, step: int) -> None:
    file = instance(pixels=b"\1\2" * 3000)
    verdict = take(archive, file, step=step)
    path, _, _ = archive.open_content(verdict.entry.root)
    assert path.read_bytes() == file


def test_leaves_are_cut_every_mebibyte(archive: Archive) -> None:
    for size in (LEAF_BYTES - 130, LEAF_BYTES, 2 * LEAF_BYTES + 4):
        data = dataset(sop=f"1.2.{size}", pixels=os.urandom(size))
        verdict = store(archive, data, f"1.2.{size}")
        pieces = [data[i : i + LEAF_BYTES] for i in range(0, len(data), LEAF_BYTES)]
        leaves = b"".join(leaf(piece) for piece in pieces)
        assert verdict.entry.root == content_root(len(data), leaves)
        assert archive.leaves(verdict.entry.root) == leaves
        for index, piece in enumerate(pieces):
            assert archive.read_leaf(verdict.entry.root, index) == piece
        with pytest.raises(LocalFault):
            archive.read_leaf(verdict.entry.root, len(pieces))


def test_a_bare_data_set_gets_a_preface_that_pydicom_reads(archive: Archive) -> None:
    verdict = store(archive, dataset(PatientName="A^B"), "1.2.3")
    path, offset, _ = archive.open_content(verdict.entry.root)
    data = pydicom.dcmread(path)
    assert data.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert data.file_meta.TransferSyntaxUID == EXPLICIT
    assert data.file_meta.SourceApplicationEntityTitle == "MODALITY"
    assert data.file_meta.FileMetaInformationGroupLength == offset - 144
    assert data.PatientName == "A^B"
    assert verdict.entry == Entry("1.2.3", CT, "1.2.3.1.1", "CT", EXPLICIT, len(dataset(
        PatientName="A^B")), verdict.entry.root)  # fmt: skip


def test_a_preface_without_its_preamble_is_given_one(archive: Archive) -> None:
    verdict = take(archive, instance()[132:])
    path, _, _ = archive.open_content(verdict.entry.root)
    assert path.read_bytes() == instance()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2"])
def test_a_file_without_any_preface_is_taken_if_nothing_else_it_can_be(
    archive: Archive, syntax: str
) -> None:
    data = dataset(syntax=syntax, pixels=b"\0" * 40)
    verdict = take(archive, data)
    assert verdict.entry.transfer_syntax == syntax
    path, offset, _ = archive.open_content(verdict.entry.root)
    assert path.read_bytes()[offset:] == data
    assert path.read_bytes()[:offset] == make_preface(CT, "1.2.3", syntax)


def test_a_preface_without_transfer_syntax_is_guessed(archive: Archive) -> None:
    preface = b"\0" * 128 + b"DICM" + element(0x0002_0002, "UI", CT.encode())
    for data, syntax in ((dataset(), EXPLICIT), (dataset("1.9", syntax=IMPLICIT), IMPLICIT)):
        assert take(archive, preface + data).entry.transfer_syntax == syntax


def test_meta_information_that_is_implicit_though_it_must_not_be_is_read(
    archive: Archive,
) -> None:
    preface = b"\0" * 128 + b"DICM" + element(0x0002_0010, "UI", EXPLICIT.encode(), IMPLICIT)
    assert take(archive, preface + dataset()).entry.transfer_syntax == EXPLICIT


def test_an_instance_is_read_back_only_while_it_is_here(archive: Archive) -> None:
    nowhere = content_root(3, leaf(b"abc"))
    assert not archive.holds(nowhere)
    assert archive.leaves(nowhere) is None
    assert archive.content(nowhere) is None
    with pytest.raises(Unavailable):
        archive.open_content(nowhere)
    with pytest.raises(Unavailable):
        archive.read_leaf(nowhere, 0)
    entry = take(archive, instance()).entry
    assert archive.holds(entry.root)
    assert archive.content(entry.root) == Content(EXPLICIT, len(dataset()), entry.root)


def test_an_export_is_the_file_that_came(archive: Archive, tmp_path: Path) -> None:
    file = instance(pixels=os.urandom(LEAF_BYTES + 10))
    entry = take(archive, file).entry
    archive.export(entry.root, tmp_path / "out.dcm")
    assert (tmp_path / "out.dcm").read_bytes() == file
    with pytest.raises(Unavailable, match="no folder"):
        archive.export(entry.root, tmp_path / "none" / "out.dcm")


# ---------------------------------------------------------------- content decides


def test_the_same_content_again_changes_nothing(archive: Archive) -> None:
    first = take(archive, instance())
    again = take(archive, instance())
    assert (first.outcome, again.outcome) == (Outcome.STORED, Outcome.UNCHANGED)
    assert first.now_own
    assert not again.now_own
    assert again.entry == first.entry
    assert len(blobs(archive.folder)) == 1


def test_another_preface_around_the_same_content_changes_nothing(archive: Archive) -> None:
    take(archive, instance())
    other = make_preface(CT, "1.2.3", EXPLICIT, "SOMEWHERE") + dataset()
    assert take(archive, other).outcome is Outcome.UNCHANGED
    (path,) = blobs(archive.folder)
    assert path.read_bytes() == instance()


def test_other_content_under_a_taken_uid_is_kept_aside_and_shown(archive: Archive) -> None:
    first = take(archive, instance(PatientName="A"))
    second = store(archive, dataset(PatientName="B", study="1.7"), "1.2.3")
    assert second.outcome is Outcome.CONFLICT
    assert store(archive, dataset(PatientName="B", study="1.7"), "1.2.3").outcome is second.outcome
    (conflict,) = archive.conflicts()
    assert (conflict.kept, conflict.aside) == (first.entry.content, second.entry.content)
    assert (conflict.sop_uid, conflict.study_uid, conflict.kept_own) == ("1.2.3", "1.7", True)
    assert conflict.came_from == "MODALITY"
    assert archive.study_entries("1.2.3.1") == (first.entry,)
    assert archive.study_entries("1.7") == ()
    path, offset, _ = archive.open_content(second.entry.root)
    assert path.read_bytes()[offset:] == dataset(PatientName="B", study="1.7")


def test_the_same_bytes_in_another_declared_syntax_are_other_content(archive: Archive) -> None:
    jpeg, other = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
    first = store(archive, dataset(), "1.2.3", jpeg)
    second = store(archive, dataset(), "1.2.3", other)
    assert second.outcome is Outcome.CONFLICT
    assert first.entry.root == second.entry.root
    for entry in (first.entry, second.entry):
        path, _, content = archive.open_content(entry.root, entry.transfer_syntax)
        assert content == entry.content
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == entry.transfer_syntax


def test_what_came_from_the_mesh_first_becomes_own_by_the_own_door(archive: Archive) -> None:
    assert not take(archive, instance(), own=False).now_own
    assert archive.own_entries("1.2.3.1") == ()
    again = take(archive, instance())
    assert (again.outcome, again.now_own) == (Outcome.UNCHANGED, True)
    assert archive.own_entries("1.2.3.1") == (again.entry,)
    assert take(archive, instance(), own=False).outcome is Outcome.UNCHANGED
    assert archive.own_entries("1.2.3.1") == (again.entry,)


def test_many_at_once_are_all_kept_and_twins_once(archive: Archive) -> None:
    files = [instance(f"1.2.{i % 20}", series=f"1.3.{i % 4}") for i in range(60)]
    start = threading.Barrier(6)

    def work(part: int) -> list[Outcome]:
        start.wait(timeout=20)
        return [take(archive, file).outcome for file in files[part::6]]

    with ThreadPoolExecutor(6) as pool:
        outcomes = Counter(o for found in pool.map(work, range(6)) for o in found)
    assert outcomes == {Outcome.STORED: 20, Outcome.UNCHANGED: 40}
    assert len(archive.study_entries("1.2.3.1")) == 20
    assert len(blobs(archive.folder)) == 20
    assert list((archive.folder / "arriving").iterdir()) == []


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", Reason.NOT_DICOM),
        (b"MZ" * 100, Reason.NOT_DICOM),
        (b"\x08\0\x05\0" + b"\0" * 400, Reason.MISSING_UID),
        (b"\0\x08\0\x05" + b"\1\2" * 400, Reason.NOT_DICOM),
        (instance()[:300], Reason.TRUNCATED),
        (instance()[:-1], Reason.TRUNCATED),
        (instance()[:141], Reason.TRUNCATED),
        (instance()[:170], Reason.TRUNCATED),
        (part10(b""), Reason.MISSING_UID),
        (instance(""), Reason.MISSING_UID),
        (instance(study=""), Reason.MISSING_UID),
        (instance(series=""), Reason.MISSING_UID),
        (instance(SOPClassUID=""), Reason.MISSING_UID),
        (instance("../../etc/passwd"), Reason.BAD_UID),
        (instance("1..2"), Reason.BAD_UID),
        (instance("1.2."), Reason.BAD_UID),
        (instance(study="1.2\\1.3"), Reason.BAD_UID),
        (instance(series="1" * 65), Reason.BAD_UID),
        (instance(series="1.2:3"), Reason.BAD_UID),
        (part10(dataset(), "../x"), Reason.BAD_UID),
        (part10(dataset(), "abc"), Reason.BAD_UID),
        (part10(dataset(), sop_class="1.2.840.10008.1.3.10"), Reason.DICOMDIR),
        (b"\0" * 128 + b"DICM" + element(0x0002_0102, "OB", b"", length=1 << 30) + dataset(),
         Reason.MALFORMED),
        (b"\0" * 128 + b"DICM" + element(0x0002_0016, "AE", b"x" * 60_000) * 20,
         Reason.TOO_LARGE),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
    archive: Archive, file: bytes, reason: Reason
) -> None:
    assert refusal(archive, file) is reason
    assert archive.counts().bytes == 0


def test_uids_of_deidentified_files_are_tolerated(archive: Archive) -> None:
    digest = "dccc9599087131742838cc1162a630fea87ba9bf61ac09bfda90d4adfa5ddaed"
    for sop in (digest, "1.02.3", "a-b_c"):
        assert take(archive, instance(sop)).outcome is Outcome.STORED


def test_a_data_set_that_is_not_what_was_announced_is_refused(archive: Archive) -> None:
    with pytest.raises(Refused) as caught:
        store(archive, dataset(), "1.2.4")
    assert caught.value.reason is Reason.MISMATCH
    for wrong in (Announced(CT, "../1", EXPLICIT), Announced("", "1", EXPLICIT)):
        with pytest.raises(Refused):
            archive.arrive(wrong)
    assert leftovers(archive) == []


def test_leaving_without_commit_leaves_nothing(archive: Archive) -> None:
    with archive.arrive() as arrival:
        arrival.write(instance())
    with suppress(ZeroDivisionError), archive.arrive() as arrival:
        arrival.write(instance())
        raise ZeroDivisionError
    assert leftovers(archive) == []
    assert archive.counts().instances == 0


def test_an_endless_preface_is_refused_while_it_comes(archive: Archive) -> None:
    count = PREFACE_BYTES // 50_000
    with archive.arrive() as arrival:
        arrival.write(b"\0" * 128 + b"DICM")
        for _ in range(count):
            arrival.write(element(0x0002_0016, "AE", b"x" * 50_000))
        with pytest.raises(Refused) as caught:
            arrival.write(element(0x0002_0016, "AE", b"x" * 50_000) * 2)
    assert caught.value.reason is Reason.TOO_LARGE


def test_an_instance_beyond_the_limit_is_refused(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.archive.arrival.INSTANCE_BYTES", 1000)
    assert refusal(archive, instance(pixels=b"\0" * 2000)) is Reason.TOO_LARGE


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_files_are_refused_or_kept_and_never_anything_else(
    archive: Archive, data: st.DataObject
) -> None:
    raw = bytearray(instance(PatientName="A^B", PatientID="7"))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    step = data.draw(st.sampled_from([1 << 20, 100, 13]))
    try:
        take(archive, bytes(raw), step=step)
    except Refused as refused:
        assert refused.reason in Reason  # noqa: PT017  # both ways are right


# ---------------------------------------------------------------- the disk


class Sync:
    """A disk that can be told to fail."""

    def __init__(self) -> None:
        self.error = 0
        self.calls = 0

    def __call__(self, number: int) -> None:
        self.calls += 1
        if self.error:
            raise OSError(self.error, os.strerror(self.error))


def test_every_folder_up_to_the_archives_own_has_a_durable_name_before_the_archive_is_used(
    tmp_path: Path,
) -> None:
    # A start may find folders that another made and was killed before it made them durable.
    folder = tmp_path / "archive"
    for made in ("blobs/12", "fetched/34", "arriving", "staging"):
        (folder / made).mkdir(parents=True)
    synced: list[int] = []
    with Archive.open(folder, sync=lambda number: synced.append(os.fstat(number).st_ino)):
        wanted = (tmp_path, folder, folder / "blobs", folder / "fetched")
        assert {each.stat().st_ino for each in wanted} <= set(synced)


def test_all_shelves_are_there_and_durable_before_the_first_instance_comes(tmp_path: Path) -> None:
    synced: list[tuple[int, int]] = []

    def sync(number: int) -> None:
        found = os.fstat(number)
        synced.append((found.st_ino, found.st_nlink))

    for _ in range(2):  # whoever made them may have been killed before they were durable
        synced.clear()
        with Archive.open(tmp_path, sync=sync):
            for store in (tmp_path / "blobs", tmp_path / "fetched"):
                assert sorted(shelf.name for shelf in store.iterdir()) == [
                    f"{number:02x}" for number in range(256)
                ]
                assert (store.stat().st_ino, store.stat().st_nlink) in synced


def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path) -> None:
    sync = Sync()
    with Archive.open(tmp_path, sync=sync) as archive:
        before = sync.calls
        take(archive, instance())
        assert sync.calls == before + 2  # the file, and its folder
        sync.error = errno.ENOSPC
        with pytest.raises(DiskFull, match="Make room"):
            take(archive, instance("1.9"))
        sync.error = errno.EROFS
        with pytest.raises(DiskReadOnly):
            take(archive, instance("1.9"))
        with pytest.raises(DiskReadOnly):
            archive.check_disk()
        sync.error = errno.EIO
        with pytest.raises(Unavailable, match="Input/output"):
            take(archive, instance("1.9"))
        sync.error = 0
        archive.check_disk()
        assert archive.counts().instances == 1
        assert len(leftovers(archive)) == 1
        assert take(archive, instance("1.9")).outcome is Outcome.STORED


def test_a_folder_that_cannot_be_made_durable_undoes_the_filing(tmp_path: Path) -> None:
    sync = Sync()
    with Archive.open(tmp_path, sync=sync) as archive:
        arrival = archive.arrive()
        arrival.write(instance())
        count = sync.calls

        def folder_only(number: int) -> None:
            sync.calls += 1
            if sync.calls > count + 1:
                raise OSError(errno.ENOSPC, "full")

        archive._stores.blobs.pace._sync = folder_only
        with pytest.raises(DiskFull):
            arrival.commit()
        assert leftovers(archive) == []
        archive._stores.blobs.pace._sync = sync
        assert archive.counts().bytes == 0
        assert take(archive, instance()).outcome is Outcome.STORED


def test_a_write_to_a_full_disk_discards_the_arrival(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    arrival = archive.arrive()
    monkeypatch.setattr("meshpacs.archive.arrival.write_all", full)
    with pytest.raises(DiskFull):
        arrival.write(instance())
    monkeypatch.undo()
    assert leftovers(archive) == []
    monkeypatch.setattr(archive._stores.blobs, "new_file", full)
    with pytest.raises(DiskFull):
        archive.arrive()
    monkeypatch.undo()
    copy = archive.arrive()
    copy.write(dataset(pixels=b"\0" * 40))
    monkeypatch.setattr("meshpacs.archive.arrival.write_all", full)
    with pytest.raises(DiskFull):
        copy.commit()
    assert leftovers(archive) == []


def test_a_full_index_fails_all_that_share_the_commit_and_undoes_them(archive: Archive) -> None:
    pages = archive._stores.index._writer.execute("PRAGMA page_count").fetchone()[0]
    archive._stores.index._writer.execute(f"PRAGMA max_page_count = {pages}")
    failed = 0
    for i in range(40):
        try:
            take(archive, instance(f"1.5.{i}", study=f"1.6.{i}", StudyDescription="x" * 1000))
        except DiskFull:
            failed += 1
    stored = archive.counts().instances
    assert failed
    assert stored == 40 - failed
    assert len(leftovers(archive)) == stored
    archive._stores.index._writer.execute("PRAGMA max_page_count = 100000")
    assert take(archive, instance("1.6")).outcome is Outcome.STORED
