"""Import: DICOM is found by content wherever it is, each file has an outcome, stopping is safe."""

import errno
import gc
import os
import shutil
import struct
import sys
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.archive.archive import Archive
from meshpacs.archive.blobs import BlobName, Blobs
from meshpacs.archive.faults import IndexDamaged, Reason, Refused
from meshpacs.archive.index import Work
from meshpacs.archive.ingest import GROUP_FILES, Import, Imported, Taken, Tally
from meshpacs.archive.part10 import MEDIA_DIRECTORY
from meshpacs.archive.sources import (
    FILE_ID,
    RECORDS,
    Media,
    Source,
    locate,
    read_directory,
)
from meshpacs.archive.zips import printable
from meshpacs.model.limits import HEADER_BYTES, ZIP_DIRECTORY_BYTES
from tests.archive.instances import (
    EXPLICIT,
    blobs,
    corpus,
    dataset,
    element,
    instance,
    item,
    part10,
    store,
)

MEDIUM = "dicomdirtests"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as opened:
        yield opened


def run(archive: Archive, *paths: Path) -> tuple[dict[str, Imported], Tally]:
    importing = Import(archive, paths)
    outcomes = {outcome.name: outcome for outcome in importing}
    return outcomes, importing.tally


def taken(outcomes: dict[str, Imported]) -> Counter[str]:
    return Counter(outcome.taken.value for outcome in outcomes.values())


def medium() -> Path:
    return next(p for p in corpus() if p.parent.name == MEDIUM).parent


# ---------------------------------------------------------------- what is found


def test_a_folder_of_real_files_is_imported_and_again_changes_nothing(archive: Archive) -> None:
    folders = sorted({next(p for p in f.parents if p.name == "data") for f in corpus()})
    first, tally = run(archive, *folders)
    assert len(first) >= len(corpus())  # Python's own files are beside them
    assert taken(first) == {
        "stored": tally.stored, "conflict": tally.conflict, "unchanged": tally.unchanged,
        "refused": 23, "skipped": tally.skipped,
    }  # fmt: skip
    assert (tally.stored, tally.seen) == (155, len(first))
    reasons = Counter(o.reason for o in first.values() if o.taken is Taken.REFUSED)
    assert reasons == {Reason.MISSING_UID: 20, Reason.TRUNCATED: 3}
    counts = archive.counts()
    again, repeated = run(archive, *folders)
    assert (repeated.stored, repeated.refused) == (0, 23)
    assert archive.counts() == counts
    assert all(o.what for o in again.values() if o.taken in {Taken.REFUSED, Taken.SKIPPED})


def test_names_do_not_matter_and_links_do_not_go_round(archive: Archive, tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "deep" / "deeper").mkdir(parents=True)
    (top / "deep" / "report.pdf").write_bytes(instance("1.1"))
    (top / "deep" / "deeper" / "IM0001").write_bytes(instance("1.2"))
    (top / "picture.dcm").write_bytes(b"GIF89a" * 100)
    (top / "empty.dcm").write_bytes(b"")
    (top / "deep" / "round").symlink_to(top, target_is_directory=True)
    (top / "dangling").symlink_to(tmp_path / "nowhere")
    if sys.platform != "win32":
        os.mkfifo(top / "pipe")
    outcomes, tally = run(archive, top)
    assert (tally.stored, tally.skipped, tally.seen) == (2, 2, 4)
    assert tally.bytes == len(instance("1.1")) * 2
    assert outcomes[str(top / "picture.dcm")].reason is Reason.NOT_DICOM


def test_the_archives_own_folder_is_not_imported(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(instance("1.1"))
    run(archive, tmp_path)
    _, tally = run(archive, tmp_path)
    assert (tally.seen, tally.unchanged) == (1, 1)


def test_what_is_not_there_or_cannot_be_read_is_said(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(instance("1.1"))
    outcomes, tally = run(archive, tmp_path / "nowhere", tmp_path / "in")
    assert (tally.refused, tally.stored) == (1, 1)
    assert outcomes[str(tmp_path / "nowhere")].reason is Reason.UNREADABLE

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    for name in ("open", "iterdir"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, denied)
            (found,) = Media().find([tmp_path / "in"])
        assert not isinstance(found, Source)
        assert "Permission denied" in found.fault.what
    (source,) = Media().find([tmp_path / "in"])
    assert isinstance(source, Source)
    (tmp_path / "in" / "a.dcm").unlink()
    with pytest.raises(Refused, match="cannot be read"):
        list(source.chunks())


# ---------------------------------------------------------------- zip files


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, data in files.items():
            box.writestr(name.replace("__", "/"), data)
    return path


def test_zip_files_are_looked_into_by_content(archive: Archive, tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", a=instance("1.4")).read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    box = zipped(folder / "exam.bin", CD__IM1=instance("1.1"), readme=b"hello", inner=inner,
                 **{"..__..__IM2": instance("1.2"), "CD__": b""})  # fmt: skip
    outcomes, _ = run(archive, folder)
    said = {name.removeprefix(f"{box}!"): o.taken.value for name, o in outcomes.items()}
    assert said == {
        "CD/IM1": "stored",
        "../../IM2": "stored",
        "readme": "skipped",
        "inner": "skipped",
    }
    assert not (tmp_path.parent / "IM2").exists()


@pytest.mark.parametrize("name", ["../../../out.dcm", "{there}/out.dcm", "C:\\\\out.dcm", "link"])
def test_no_name_in_a_zip_decides_where_anything_is_written(
    archive: Archive, tmp_path: Path, name: str
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    box = tmp_path / "box.zip"
    with zipfile.ZipFile(box, "w") as made:
        member = zipfile.ZipInfo(name.format(there=there))
        if name == "link":  # a symbolic link to a folder, and a member "in" it
            member.external_attr = 0o120777 << 16
            made.writestr(member, str(there))
            member = zipfile.ZipInfo("link/out.dcm")
        made.writestr(member, instance("1.1"))
    before = {path for path in tmp_path.rglob("*") if tmp_path / "archive" not in path.parents}
    outcomes, _ = run(archive, box)
    assert "stored" in {outcome.taken.value for outcome in outcomes.values()}
    after = {path for path in tmp_path.rglob("*") if tmp_path / "archive" not in path.parents}
    assert after == before
    stored = list((tmp_path / "archive").rglob("*.dcm"))
    assert [path.name for path in stored if "out" in path.name] == []
    assert len(stored) == 1


def test_an_empty_zip_and_a_damaged_one_are_passed_over(archive: Archive, tmp_path: Path) -> None:
    good = zipped(tmp_path / "good.zip", a=instance("1.1")).read_bytes()
    zipped(tmp_path / "empty.zip")
    (tmp_path / "cut.zip").write_bytes(good[: len(good) // 2])
    (tmp_path / "short.zip").write_bytes(good[:-10])
    garbled = bytearray(good)
    garbled[60:90] = b"\xff" * 30
    (tmp_path / "garbled.zip").write_bytes(garbled)
    shifted = bytearray(good)
    at = good.rindex(b"PK\5\6")
    struct.pack_into("<L", shifted, at + 16, 1 << 30)
    (tmp_path / "shifted.zip").write_bytes(shifted)
    outcomes, tally = run(archive, *sorted(tmp_path.glob("*.zip")))
    assert (tally.stored, tally.refused) == (1, 4)
    assert {o.reason for o in outcomes.values() if o.taken is Taken.REFUSED} == {Reason.UNREADABLE}
    assert list((tmp_path / "archive" / "arriving").iterdir()) == []


def test_an_encrypted_member_is_refused(archive: Archive, tmp_path: Path) -> None:
    box = bytearray(zipped(tmp_path / "a.zip", a=instance("1.1"), b=instance("1.2")).read_bytes())
    at = box.index(b"PK\1\2")
    box[at + 8] |= 1  # the flag alone: there is no password to try
    box[6] |= 1
    (tmp_path / "a.zip").write_bytes(box)
    outcomes, tally = run(archive, tmp_path / "a.zip")
    assert (tally.stored, tally.refused) == (1, 1)
    assert outcomes[f"{tmp_path / 'a.zip'}!a"].reason is Reason.UNREADABLE


def test_a_zip_bomb_is_refused_before_it_is_opened(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box, box.open("bomb", "w") as file:
        file.write(instance("1.1"))
        for _ in range((HEADER_BYTES >> 20) + 1):
            file.write(b"\0" * (1 << 20))
    outcomes, tally = run(archive, path)
    assert tally.refused == 1
    assert outcomes[f"{path}!bomb"].reason is Reason.TOO_LARGE


def test_a_zip_that_lies_about_its_size_yields_no_more_than_it_said(
    archive: Archive, tmp_path: Path
) -> None:
    box = bytearray(
        zipped(tmp_path / "a.zip", a=instance("1.1", pixels=b"\0" * 90_000)).read_bytes()
    )
    at = box.index(b"PK\1\2")
    struct.pack_into("<L", box, at + 24, 2_000)
    (tmp_path / "a.zip").write_bytes(box)
    _, tally = run(archive, tmp_path / "a.zip")
    assert tally.refused == 1


def test_a_zip_with_an_endless_list_of_files_is_refused(archive: Archive, tmp_path: Path) -> None:
    most = ZIP_DIRECTORY_BYTES + 1
    end = struct.pack("<LHHHHLLH", 0x06054B50, 0, 0, 1, 1, most, 0, 0)
    big = struct.pack("<LQHHLLQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, most, 0)
    big += struct.pack("<LLQL", 0x07064B50, 0, most, 1)
    wide = struct.pack("<LHHHHLLH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0, 0)
    # Python believes the second list even where the first does not point to it.
    said = struct.pack("<LHHHHLLH", 0x06054B50, 0, 0, 1, 1, 46, 0, 0)
    for number, box in enumerate((end, big + wide, big + said)):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(b"PK\3\4" + b"\0" * (most - 4) + box)
        outcomes, _ = run(archive, path)
        assert outcomes[str(path)].reason is Reason.TOO_LARGE
    good = tmp_path / "good.zip"
    good.write_bytes(zipped_bytes(instance("1.1")))
    _, tally = run(archive, good)
    assert tally.stored == 1


def test_a_zip_that_would_fill_the_disk_is_refused_though_each_of_its_files_may_grow(
    archive: Archive, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for number in range(3):
            box.writestr(f"{number}", instance("1.1") + bytes(HEADER_BYTES // 3))
    outcomes, tally = run(archive, path)
    assert (tally.refused, tally.stored) == (1, 0)
    assert outcomes[str(path)].reason is Reason.TOO_LARGE


# Each of these was an error of no kind that is known here, and ended the import of all the rest.


def damaged_lzma(tmp_path: Path) -> bytes:
    path = tmp_path / "made"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as box:
        box.writestr("x", instance("1.1", pixels=bytes(range(256)) * 40))
    made = bytearray(path.read_bytes())
    made[60:80] = b"\xff" * 20
    return bytes(made)


def lzma_that_wants_four_gigabytes(tmp_path: Path) -> bytes:
    path = tmp_path / "made"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as box:
        box.writestr("x", instance("1.1"))
    made = bytearray(path.read_bytes())
    made[36:40] = b"\xff" * 4  # the dictionary's size, behind a header of 31 bytes and a version
    return bytes(made)


def bzip2_that_grows_a_million_times(tmp_path: Path) -> bytes:
    path = tmp_path / "made"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as box:
        box.writestr("x", instance("1.1", pixels=bytes(60_000)))
    return path.read_bytes()


def name_in_no_encoding(_: Path) -> bytes:
    made = bytearray(zipped_bytes(instance("1.1")))
    made[7] |= 8  # UTF-8, it says
    made[30] = 0xFF
    made[made.index(b"PK\1\2") + 9] |= 8
    return bytes(made)


def offset_beyond_all_numbers(_: Path) -> bytes:
    made = zipped_bytes(instance("1.1"))
    at = made.index(b"PK\1\2")
    head = bytearray(made[at : at + 47])
    extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)  # zip64, for the offset alone
    struct.pack_into("<H", head, 30, len(extra))
    struct.pack_into("<L", head, 42, 0xFFFF_FFFF)
    end = bytearray(made[-22:])
    struct.pack_into("<L", end, 12, len(head) + len(extra))
    return made[:at] + bytes(head) + extra + bytes(end)


def test_a_member_without_a_name_ends_no_import(archive: Archive, tmp_path: Path) -> None:
    made = zipped_bytes(instance("1.1"))
    at = made.index(b"PK\1\2")
    head, end = bytearray(made[at : at + 46]), bytearray(made[-22:])
    struct.pack_into("<H", head, 28, 0)
    struct.pack_into("<L", end, 12, 46)
    path = tmp_path / "a.zip"
    path.write_bytes(made[:at] + bytes(head) + bytes(end))
    outcomes, _ = run(archive, path)
    assert outcomes[f"{path}!"].reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    "made",
    [
        damaged_lzma,
        lzma_that_wants_four_gigabytes,
        bzip2_that_grows_a_million_times,
        name_in_no_encoding,
        offset_beyond_all_numbers,
    ],
)
def test_a_member_that_cannot_be_unpacked_is_refused_and_the_next_file_comes(
    archive: Archive, tmp_path: Path, made: Callable[[Path], bytes]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.zip").write_bytes(made(tmp_path))
    (folder / "b.dcm").write_bytes(instance("1.2"))
    outcomes, tally = run(archive, folder)
    assert (tally.stored, tally.refused) == (1, 1)
    assert outcomes[f"{folder / 'a.zip'}!x"].reason is Reason.UNREADABLE


def test_a_zip_is_closed_once_its_files_are_read(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of some thousand zip files ended with: too many open files.
    opened: list[zipfile.ZipFile] = []
    original = zipfile.ZipFile.__init__

    def remember(self: zipfile.ZipFile, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        opened.append(self)

    for number in range(30):
        zipped(tmp_path / f"{number:02}.zip", a=instance(f"1.{number}"))
    zipped(tmp_path / "empty.zip")
    monkeypatch.setattr(zipfile.ZipFile, "__init__", remember)
    most = 0
    for _ in Import(archive, sorted(tmp_path.glob("*.zip")), workers=1):
        most = max(most, sum(box.fp is not None for box in opened))
    assert len(opened) == 31
    assert most <= 5
    assert all(box.fp is None for box in opened)


def zipped_bytes(data: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as box:
        box.writestr("x", data)
    return out.getvalue()


def test_names_from_a_zip_play_no_tricks_on_a_terminal() -> None:
    assert printable("IM\x1b[2J\n1 é") == "IM\ufffd[2J\ufffd1 é"


# ---------------------------------------------------------------- DICOMDIR


def test_a_name_that_no_file_can_have_hides_none_of_the_others(
    archive: Archive, tmp_path: Path
) -> None:
    names = ("X" * 300, "A\0B", "IMG")
    items = [item(element(FILE_ID, "CS", name.encode())) for name in names]
    data = element(RECORDS, "SQ", b"".join(items))
    (tmp_path / "DICOMDIR").write_bytes(part10(data, sop_class=MEDIA_DIRECTORY))
    (tmp_path / "IMG").write_bytes(instance("1.1"))
    _, tally = run(archive, tmp_path / "DICOMDIR")
    assert (tally.stored, tally.refused, tally.skipped) == (1, 2, 1)


def test_a_dicomdir_brings_the_files_that_it_names(archive: Archive) -> None:
    outcomes, tally = run(archive, medium() / "DICOMDIR")
    assert outcomes.pop(str(medium() / "DICOMDIR")).taken is Taken.SKIPPED
    assert len(outcomes) == 31
    assert (tally.stored + tally.conflict, tally.refused) == (31, 0)


def test_a_medium_in_lower_case_is_found_too(archive: Archive, tmp_path: Path) -> None:
    with (medium() / "DICOMDIR").open("rb") as file:
        wanted = read_directory(file)
    for parts in wanted:
        target = tmp_path.joinpath(*(part.lower() for part in parts))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(medium().joinpath(*parts), target)
    shutil.copy(medium() / "DICOMDIR", tmp_path / "dicomdir")
    tmp_path.joinpath(*(part.lower() for part in wanted[0])).unlink()
    _, tally = run(archive, tmp_path / "dicomdir")
    assert (tally.stored + tally.conflict, tally.refused, tally.skipped) == (30, 1, 1)


def test_every_kind_of_dicomdir_is_read() -> None:
    counts: dict[str, int | str] = {}
    for path in sorted(medium().glob("DICOMDIR*")):
        with path.open("rb") as file:
            try:
                counts[path.name] = len(read_directory(file))
            except Refused as refused:
                counts[path.name] = refused.reason.value
    # This one was shortened by hand, and its sequence's length was left as it was.
    assert counts.pop("DICOMDIR-nooffset") == "malformed"
    assert counts.pop("DICOMDIR-empty.dcm") == 0
    assert set(counts.values()) == {31}


def directory(*file_ids: str) -> bytes:
    items = [item(element(0x0004_1500, "CS", one.encode())) for one in file_ids]
    data = element(RECORDS, "SQ", b"".join(items))
    return part10(data, EXPLICIT, sop_class="1.2.840.10008.1.3.10")


def test_a_dicomdir_cannot_point_outside_its_medium(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(instance("1.1"))
    disc = tmp_path / "disc"
    (disc / "sub").mkdir(parents=True)
    (disc / "link").symlink_to(tmp_path, target_is_directory=True)
    (disc / "good").write_bytes(instance("1.2"))
    names = [
        "..\\SECRET",
        "/SECRET",
        "LINK\\SECRET",
        "SUB",
        "C:",
        ".",
        "GOOD",
        "NO\\SUCH",
        "",
        "GOOD",
    ]
    (disc / "DICOMDIR").write_bytes(directory(*names))
    _, tally = run(archive, disc / "DICOMDIR")
    assert (tally.stored, tally.refused, tally.skipped) == (1, 7, 1)
    assert locate(disc, ("a/b",)) is None


def test_a_malformed_dicomdir_is_refused(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(directory("A", "B")[:-4])
    told = list(Import(archive, [tmp_path / "DICOMDIR"]))
    assert {o.reason for o in told} == {Reason.TRUNCATED, Reason.DICOMDIR}


def test_a_single_file_is_imported(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(instance("1.1"))
    (tmp_path / "dicm").write_bytes(b"\0" * 128 + b"DICM")
    _, tally = run(archive, tmp_path / "x", tmp_path / "dicm")
    assert (tally.stored, tally.refused) == (1, 1)


# ---------------------------------------------------------------- stopping


def test_stopping_between_files_keeps_what_was_told(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(60):
        (folder / f"{i:03}").write_bytes(instance(f"1.1.{i}"))
    importing = Import(archive, [folder], workers=2)
    outcomes = iter(importing)
    told = [next(outcomes) for _ in range(5)]
    outcomes.close()  # type: ignore[attr-defined]
    held = {entry.sop_uid for entry in archive.study_entries("1.2.3.1")}
    assert {o.verdict.entry.sop_uid for o in told if o.verdict} <= held
    assert len(held) < 60
    assert list((archive.folder / "arriving").iterdir()) == []
    _, tally = run(archive, folder)
    assert tally.stored + tally.unchanged == 60
    assert tally.unchanged == len(held)


def test_files_are_committed_together_and_copies_among_them_are_one(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(GROUP_FILES):
        (folder / f"{i:03}").write_bytes(instance(f"1.1.{i // 2}"))
    commits = 0
    write = archive._stores.index.write

    def counted(work: Work[Any]) -> Any:
        nonlocal commits
        commits += 1
        return write(work)

    monkeypatch.setattr(archive._stores.index, "write", counted)
    _, tally = run(archive, folder)
    assert (tally.stored, tally.unchanged) == (GROUP_FILES // 2, GROUP_FILES // 2)
    assert commits == 1
    assert list((archive.folder / "arriving").iterdir()) == []


def test_nothing_of_what_is_refused_stays_in_memory(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.jpg").write_bytes(os.urandom(1_000_000))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        _, tally = run(archive, folder)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert tally.skipped == 20
    assert held < 1_500_000


def test_a_file_that_heals_another_is_not_lost_with_those_it_was_to_be_committed_with(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(archive, dataset("1.2.1"), "1.2.1")
    (blob,) = blobs(archive.folder)
    blob.write_bytes(blob.read_bytes()[:-10])  # the disk has lost its end
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}").write_bytes(instance(f"1.2.{number}"))
    place = Blobs.place
    placed: list[BlobName] = []

    def full_at_the_second(those: Blobs, temporary: Path, name: BlobName) -> Path:
        placed.append(name)
        if len(placed) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return place(those, temporary, name)

    monkeypatch.setattr(Blobs, "place", full_at_the_second)
    told = list(Import(archive, [folder], workers=1))
    assert [outcome.taken for outcome in told] == [Taken.UNCHANGED, Taken.STORED]
    for entry in archive.study_entries("1.2.3.1"):
        assert archive.read_leaf(entry.root, 0) == dataset(entry.sop_uid)


def test_a_full_disk_refuses_by_name_and_what_was_told_is_kept(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i:03}").write_bytes(instance(f"1.1.{i}"))
    left = 2 * GROUP_FILES + 8  # of the second group some are durable, and have no place

    def sync(_: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive._stores.blobs.pace, "_sync", sync)
    told = list(Import(archive, [folder], workers=1))
    monkeypatch.undo()
    kept = {o.verdict.entry.sop_uid for o in told if o.verdict}
    assert len(kept) == GROUP_FILES
    assert kept == {entry.sop_uid for entry in archive.study_entries("1.2.3.1")}
    refused = [o for o in told if o.taken is Taken.REFUSED]
    assert {Path(o.name).name for o in refused} == {f"{i:03}" for i in range(len(kept), 30)}
    assert all(o.reason is Reason.NO_ROOM and "Make room" in o.mend for o in refused)
    assert list((archive.folder / "arriving").iterdir()) == []
    again = Import(archive, [folder])
    list(again)
    assert (again.tally.stored, again.tally.unchanged) == (len(refused), len(kept))


def test_a_failing_disk_refuses_by_name_and_a_damaged_index_ends_the_import(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_bytes(instance())

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(archive._stores.blobs.pace, "_sync", failing)
        (outcome,) = Import(archive, [tmp_path / "one"])
    assert (outcome.taken, outcome.reason) == (Taken.REFUSED, Reason.DISK)
    assert "Input/output error" in outcome.what

    def damaged(_: object) -> None:
        raise IndexDamaged("The index is damaged.")

    monkeypatch.setattr(archive._stores.index, "write", damaged)
    with pytest.raises(IndexDamaged):
        list(Import(archive, [tmp_path / "one"]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_after_a_zips_signature_are_survived(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    box = bytearray(zipped_bytes(instance("1.1")))
    for _ in range(data.draw(st.integers(1, 10))):
        box[data.draw(st.integers(4, len(box) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.zip"
    path.write_bytes(box)
    with Media() as media:
        for found in media.find([path]):
            if isinstance(found, Source):
                try:
                    list(found.chunks())
                except Refused as refused:
                    assert refused.reason is Reason.UNREADABLE  # noqa: PT017  # or it was read
