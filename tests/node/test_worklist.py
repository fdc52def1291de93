"""What lies in the worklist's folder, and what of it is served."""

import errno
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog.testing
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from meshpacs.dimse.worklist import STEPS
from meshpacs.model.errors import Unavailable
from meshpacs.node import worklist as room
from meshpacs.node.worklist import Worklist

NAME, PATIENT, MODALITY = 0x0010_0010, 0x0010_0020, 0x0008_0060


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def entry(patient: str = "1", name: str = "Meier^Anna") -> Dataset:
    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 192"
    entry.PatientID, entry.PatientName = patient, name
    step = Dataset()
    step.Modality = "CT"
    entry.ScheduledProcedureStepSequence = [step]
    return entry


def write(file: Path, entry: Dataset, syntax: str = ExplicitVRLittleEndian) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax  # type: ignore[assignment]
    big = syntax == ExplicitVRBigEndian
    whole = FileDataset(
        str(file), entry, file_meta=meta, preamble=bytes(128), is_little_endian=not big
    )
    whole.save_as(file, enforce_file_format=False)


def names(folder: Path, title: str = "MESHPACS") -> list[str]:
    return [s.record[NAME][0] for s in Worklist(folder, "ISO_IR 100").listing(title).steps]  # type: ignore[misc]


def told(folder: Path) -> str:
    """Why the only file is kept out."""
    (unusable,) = Worklist(folder, "ISO_IR 100").everything().unusable
    return unusable.what


def test_data_sets_of_both_little_endians_are_read(folder: Path) -> None:
    write(folder / "1.wl", entry(name="Müller^Änne"))
    write(folder / "2.WL", entry(name="山田^太郎"), ImplicitVRLittleEndian)
    (folder / "3.txt").write_text("nothing for modalities")
    assert names(folder) == ["Müller^Änne", "山田^太郎"]


def test_what_is_for_another_title_is_not_told(folder: Path) -> None:
    for title in ("MESHPACS", "OTHER"):
        (folder / title).mkdir()
        write(folder / title / "1.wl", entry(name=title))
    assert names(folder, "OTHER") == ["OTHER"]
    assert names(folder, "ELSE") == []
    everything = Worklist(folder, "ISO_IR 100").everything()
    assert len(everything.steps) == 2


def test_no_folder_is_an_empty_list(folder: Path) -> None:
    assert Worklist(folder / "none", "ISO_IR 100").everything().steps == ()
    assert names(folder / "none") == []


def test_a_file_that_cannot_be_used_is_kept_out_by_name_and_the_others_are_served(
    folder: Path,
) -> None:
    write(folder / "1.wl", entry())
    (folder / "2.wl").write_bytes(b"no data set at all" * 20)
    found = Worklist(folder, "ISO_IR 100").listing("MESHPACS")
    assert len(found.steps) == 1
    assert [(u.file.name, u.what) for u in found.unusable] == [("2.wl", "It is no DICOM file.")]


def test_a_file_is_kept_out_with_what_is_wrong_with_it(folder: Path) -> None:
    file = folder / "1.wl"
    write(file, entry(), ExplicitVRBigEndian)
    assert "Little Endian" in told(folder)
    write(file, Dataset())
    assert "(0040,0100)" in told(folder)
    write(file, entry())
    file.write_bytes(file.read_bytes()[:-3])
    assert "longer than what holds it" in told(folder)


@pytest.mark.parametrize(
    ("tree", "what"),
    [
        ("{", "It is not JSON"),
        ("[" * 100_000, "It is not JSON"),
        ("[1]", "It is no object"),
        ('{"PatientsName": "x"}', "PatientsName is neither"),
        ('{"0010ZZ10": "x"}', "0010ZZ10 is neither"),
        ('{"-0100010": "x"}', "-0100010 is neither"),
        ('{"0010_010": "x"}', "0010_010 is neither"),
        ('{"PatientID": {"a": 1}}', "PatientID has a value"),
        ('{"PatientID": true}', "PatientID has a value"),
        ('{"ScheduledProcedureStepSequence": [{"Modality": [[]]}]}', "StepSequence.Modality has"),
        ('{"ScheduledProcedureStepSequence": "CT"}', "is no object"),
        ('{"PatientID": "1"}', "(0040,0100)"),
        ('{"ScheduledProcedureStepSequence": []}', "(0040,0100)"),
        ('{"ContentSequence": [' * 12 + "{}" + "]}" * 12, "nested deeper"),
    ],
)
def test_json_that_cannot_be_used_is_kept_out_by_the_attribute(
    folder: Path, tree: str, what: str
) -> None:
    (folder / "1.json").write_text(tree)
    assert what in told(folder)


def test_json_may_have_tags_or_keywords_and_the_models_values_or_bare_ones(folder: Path) -> None:
    tree = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Phonetic": "やまだ"}]},
        "PatientID": " 7 ",
        "PatientWeight": 70.5,
        "OtherPatientNames": ["A", None, "B"],
        "PatientComments": None,
        "00091001": "a maker's own",
        "ScheduledProcedureStepSequence": {"Modality": "CT"},
    }
    (folder / "1.json").write_text(json.dumps(tree))
    (step,) = Worklist(folder, "ISO_IR 100").everything().steps
    assert step.record == {
        NAME: ("Yamada^Tarou==やまだ",),
        PATIENT: ("7",),
        0x0010_1030: ("70.5",),
        0x0010_1001: ("A", "B"),
        0x0010_4000: (),
        STEPS: ({MODALITY: ("CT",)},),
    }


def test_a_file_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WORKLIST_FILE_BYTES", 10)
    write(folder / "1.wl", entry())
    assert "more than 10 bytes" in told(folder)


def test_a_file_is_read_again_only_when_it_has_changed(folder: Path) -> None:
    write(folder / "1.wl", entry(name="Before"))
    known = Worklist(folder, "ISO_IR 100")
    (first,) = known.listing("MESHPACS").steps
    (again,) = known.listing("MESHPACS").steps
    assert again is first
    write(folder / "1.wl", entry(name="Afterwards"))
    (changed,) = known.listing("MESHPACS").steps
    assert changed.record[NAME] == ("Afterwards",)
    (folder / "1.wl").unlink()
    assert known.listing("MESHPACS").steps == ()


def test_a_writer_that_holds_the_lock_for_ever_delays_and_does_not_stop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LOCK_S", 0.0)
    write(folder / "1.wl", entry())
    with (folder / "lockfile").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert names(folder) == ["Meier^Anna"]
    assert names(folder) == ["Meier^Anna"]


def test_a_file_that_goes_away_in_this_moment_takes_no_other_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "3"):
        write(folder / f"{name}.wl", entry(name=name))
    look = Path.is_file

    def is_file(path: Path) -> bool:
        found = look(path)
        if path.name == "2.wl":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", is_file)
    assert names(folder) == ["1", "3"]


def test_a_folder_that_cannot_be_read_is_no_empty_list(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "1.wl", entry())

    def hangs(_: Path) -> NoReturn:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Path, "iterdir", hangs)
    known = Worklist(folder, "ISO_IR 100")
    with pytest.raises(Unavailable, match="Stale file handle"):
        known.listing("MESHPACS")
    with pytest.raises(Unavailable, match="Stale file handle"):
        known.everything()


def test_a_file_that_cannot_even_be_looked_at_is_kept_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "1.wl", entry())

    def denied(_: Path, **_how: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    for look in ("is_file", "is_dir", "read_bytes"):
        monkeypatch.setattr(Path, look, denied)
    assert told(folder) == "It cannot be read: Permission denied."


def test_files_that_cannot_be_used_count_as_others_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "WORKLIST_STEPS", 3)
    for number in range(4):
        (folder / f"{number}.json").write_text("{")
    with pytest.raises(Unavailable, match="more than 3"):
        Worklist(folder, "ISO_IR 100").listing("MESHPACS")


def test_two_may_read_a_folder_that_changes_at_the_same_time(folder: Path) -> None:
    known = Worklist(folder, "ISO_IR 100")
    write(folder / "1.wl", entry())
    known.listing("MESHPACS")
    (folder / "1.wl").unlink()
    gone = known._read

    class Shared(dict[Path, Any]):
        """Another reader forgets what is gone, before this one does."""

        def __iter__(self) -> Iterator[Path]:
            for file in list(super().__iter__()):
                yield file
                super().pop(file, None)

    known._read = Shared(gone)
    assert known.listing("MESHPACS").steps == ()


def test_no_name_of_a_file_is_in_the_log(folder: Path) -> None:
    (folder / "Meier^Anna.json").write_text("{")
    (folder / "Meier^Berta.wl").symlink_to(folder / "none")
    with structlog.testing.capture_logs() as logs:
        Worklist(folder, "ISO_IR 100").listing("MESHPACS")
    assert logs
    assert "Meier" not in repr(logs)
