"""Files in a folder, for programs that read folders."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.model.content import Entry
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import Digest
from meshpacs.node.export import _name, _same, export_study
from meshpacs.node.selection import Selection
from tests.node.clinics import STUDY, instance

FILES = [instance(number, size=3000) for number in range(3)]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as made:
        for file in FILES:
            with made.arrive() as arrival:
                arrival.write(file)
                arrival.commit()
        yield made


def test_the_files_are_the_ones_that_came(archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    assert export_study(archive, archive.study_entries(STUDY), out) == 3
    assert [path.read_bytes() for path in sorted(out.rglob("*.dcm"))] == FILES
    assert (out / f"{STUDY}.1" / f"{STUDY}.1.0.dcm").exists()


def test_files_that_are_there_already_stay_and_count(archive: Archive, tmp_path: Path) -> None:
    entries = archive.study_entries(STUDY)
    export_study(archive, entries[:2], tmp_path)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*.dcm")}
    assert export_study(archive, entries, tmp_path) == 3
    assert before.items() <= {p: p.stat().st_ino for p in tmp_path.rglob("*.dcm")}.items()


@pytest.mark.parametrize("change", ["shorter", "other"])
def test_files_of_other_content_are_never_overwritten(
    archive: Archive, tmp_path: Path, change: str
) -> None:
    entries = archive.study_entries(STUDY)
    export_study(archive, entries, tmp_path / "out")
    mine = tmp_path / "out" / entries[0].series_uid / f"{entries[0].sop_uid}.dcm"
    precious = b"mine" if change == "shorter" else mine.read_bytes()[:-1] + b"?"
    mine.write_bytes(precious)
    with pytest.raises(LocalFault, match="1 files of other content"):
        export_study(archive, entries, tmp_path / "out")
    assert mine.read_bytes() == precious


def test_a_file_where_a_folder_should_be_is_named(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(LocalFault, match="cannot be made"):
        export_study(archive, archive.study_entries(STUDY), tmp_path / "out")


def test_what_cannot_be_compared_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        _same(tmp_path / "nothing", tmp_path / "nowhere")


@pytest.mark.parametrize("uid", ["..", "1..2", "../1", "", "a/b", "1.2\n", "1" * 65, "C:"])
def test_a_uid_never_becomes_a_path(uid: str) -> None:
    name = _name(uid)
    assert name.startswith("uid-")
    assert Path(name).name == name
    assert _name("1.2.30") == "1.2.30"


def test_a_selection_narrows_down_and_names_its_stage_by_what_is_wanted() -> None:
    def entry(series: str, sop: str) -> Entry:
        return Entry(sop, "1", series, "CT", "1.2", 1, Digest(bytes(32)))

    entries = (entry("1", "1.1"), entry("1", "1.2"), entry("2", "2.1"))
    whole = Selection(STUDY)
    assert (whole.of(entries), whole.whole) == (entries, True)
    some = Selection(STUDY, series=frozenset({"1"}))
    assert (some.of(entries), some.whole) == (entries[:2], False)
    one = Selection(STUDY, instances=frozenset({"2.1"}))
    assert one.of(entries) == entries[2:]
    names = {whole.name, some.name, one.name, Selection(STUDY, instances=frozenset({"1"})).name}
    assert len(names) == 4
    assert Selection(STUDY, series=frozenset({"b", "a"})).name == (
        Selection(STUDY, series=frozenset({"a", "b"})).name
    )


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_lies_in_wait_in_a_shared_folder_is_not_written_through(
    archive: Archive, tmp_path: Path
) -> None:
    entries = archive.study_entries(STUDY)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    folder = tmp_path / "out" / entries[0].series_uid
    folder.mkdir(parents=True)
    for entry in entries:
        for name in (f"{entry.sop_uid}.dcm", f"{entry.sop_uid}.dcm.part"):
            (folder / name).symlink_to(victim if name.endswith(".part") else tmp_path / "nowhere")
    assert export_study(archive, entries, tmp_path / "out") == 3
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()
    files = [folder / f"{entry.sop_uid}.dcm" for entry in entries]
    assert not any(file.is_symlink() for file in files)
    assert sorted(file.read_bytes() for file in files) == sorted(FILES)
