"""What an imagined disk may hold after a power cut, and what it must."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagined.disk import ROOT, Cut, Disk, replay

SEEDS = range(40)
FILE, FOLDER, OTHER = 2, 3, 4


@pytest.fixture
def disk() -> Disk:
    """A file and a folder, both durable."""
    made = Disk()
    made.make(ROOT, "file", FILE, False, 0o600)
    made.write(FILE, 0, b"old" * 1000)
    made.make(ROOT, "folder", FOLDER, True, 0o700)
    for number in (FILE, FOLDER, ROOT):
        made.sync(number)
    return made


def cuts(disk: Disk, kind: Cut, tmp_path: Path) -> Iterator[Path]:
    for seed in SEEDS:
        target = tmp_path / f"{kind.name}-{seed}"
        target.mkdir()
        disk.cut(kind, random.Random(seed), target)
        yield target


@pytest.mark.parametrize("kind", Cut)
def test_what_was_synced_is_there(disk: Disk, kind: Cut, tmp_path: Path) -> None:
    for left in cuts(disk, kind, tmp_path):
        assert (left / "file").read_bytes() == b"old" * 1000
        assert (left / "file").stat().st_mode & 0o777 == 0o600
        assert list((left / "folder").iterdir()) == []


@pytest.mark.parametrize("kind", Cut)
def test_of_a_write_that_was_not_synced_each_sector_is_old_or_new(
    disk: Disk, kind: Cut, tmp_path: Path
) -> None:
    disk.write(FILE, 100, b"NEW" * 3000)
    sizes = set()
    for left in cuts(disk, kind, tmp_path):
        held = (left / "file").read_bytes()
        sizes.add(len(held))
        for at in range(0, len(held), 512):
            old = bytes(disk.file(FILE).safe[at : at + 512]).ljust(512, b"\0")
            new = bytes(disk.file(FILE).now[at : at + 512]).ljust(512, b"\0")
            assert held[at : at + 512].ljust(512, b"\0") in {old, new}, at
    if kind is Cut.SYNCED:
        assert sizes == {3000}
    else:
        assert {3000, 9100} <= sizes, "all of it and nothing of it both happen"
        assert len(sizes) > 2, "and so do torn ones"


def test_a_name_in_a_folder_that_was_not_synced_may_be_there_or_not(
    disk: Disk, tmp_path: Path
) -> None:
    disk.make(FOLDER, "new", OTHER, False, 0o600)
    disk.write(OTHER, 0, b"safe")
    disk.sync(OTHER)
    for kind, seen in ((Cut.SYNCED, {False}), (Cut.LOOSE, {False, True})):
        found = {(left / "folder" / "new").exists() for left in cuts(disk, kind, tmp_path)}
        assert found == seen
    for left in cuts(disk, Cut.ORDERED, tmp_path):
        # A journal: the sync of the file has kept the names that were changed before it.
        assert (left / "folder" / "new").read_bytes() == b"safe"


@pytest.mark.parametrize("kind", [Cut.ORDERED, Cut.LOOSE])
def test_a_rename_within_a_folder_has_happened_whole_or_not_at_all(
    disk: Disk, kind: Cut, tmp_path: Path
) -> None:
    disk.make(ROOT, "fresh", OTHER, False, 0o600)
    disk.write(OTHER, 0, b"fresh")
    for number in (OTHER, ROOT):
        disk.sync(number)
    disk.rename(ROOT, "fresh", ROOT, "file")
    seen = set()
    for left in cuts(disk, kind, tmp_path):
        renamed = (left / "file").read_bytes() == b"fresh"
        assert (left / "fresh").exists() != renamed
        seen.add(renamed)
    assert seen == {False, True}


def test_a_name_that_was_dropped_may_be_back(disk: Disk, tmp_path: Path) -> None:
    disk.drop(ROOT, "file")
    seen = {(left / "file").exists() for left in cuts(disk, Cut.LOOSE, tmp_path)}
    assert seen == {False, True}
    disk.sync(ROOT)
    assert not any((left / "file").exists() for left in cuts(disk, Cut.ORDERED, tmp_path))


def test_a_size_may_be_there_without_the_bytes(disk: Disk, tmp_path: Path) -> None:
    disk.resize(FILE, 1000)
    disk.write(FILE, 1000, b"x" * 5000)
    assert any(
        (left / "file").read_bytes().endswith(bytes(2000))
        for left in cuts(disk, Cut.LOOSE, tmp_path)
    )


def test_what_was_loaded_is_safe_and_replayed_changes_stop_where_they_should(
    disk: Disk, tmp_path: Path
) -> None:
    (first,) = [left for left, _ in zip(cuts(disk, Cut.SYNCED, tmp_path), "1", strict=False)]
    loaded = Disk.load(first)
    number = loaded.folder(ROOT).now["file"]
    ops = [("write", number, 0, b"1"), ("sync", number), ("write", number, 0, b"2")]
    seen = []
    for moment in replay(loaded, ops, [3, 0, 2, 1, 1]):
        file = loaded.file(number)
        seen.append((moment, bytes(file.now[:1]), file.safe[:1]))
    assert seen == [
        (0, b"o", b"o"), (1, b"1", b"o"), (1, b"1", b"o"), (2, b"1", b"1"), (3, b"2", b"1"),
    ]  # fmt: skip
