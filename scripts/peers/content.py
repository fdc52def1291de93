"""What is exchanged: studies of several modalities and transfer syntaxes, made of pydicom's files.

Each has UIDs of its own, so that what one cell of the matrix stores is no other's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from string import whitespace
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from clinics.scanner import data_set

FILES = Path(pydicom.__file__).parent / "data" / "test_files"

PLAIN = (
    "CT_small.dcm",  # explicit VR, with private elements
    "MR_small_implicit.dcm",
    "test-SR.dcm",  # nested sequences
    "rtplan.dcm",  # implicit VR, nested sequences
    "waveform_ecg.dcm",  # 0.3 MB: more than one fragment of any peer's
)
"""CT, MR, SR, RT plan and ECG, none of it with compressed pixels."""

COMPRESSED = (
    "SC_rgb_jpeg_dcmtk.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
)
"""JPEG baseline, RLE, JPEG 2000 and JPEG-LS."""

SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)
CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.9.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
"""The transfer syntaxes and SOP classes of these: explicit and implicit VR, JPEG baseline, JPEG-LS,
JPEG 2000 and RLE; CT, MR, Comprehensive SR, RT plan, 12-lead ECG and secondary capture."""

NAME = "Lührs^Björn"
"""In Latin-1, as the files say; no ASCII, and in each answer's character set."""

ROW = {
    "STUDY": (
        "PatientName",
        "PatientID",
        "StudyInstanceUID",
        "StudyDate",
        "AccessionNumber",
        "StudyDescription",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedInstances",
    ),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber"),
}
"""What is asked for at each level."""

NO_CONTENT = frozenset({"SpecificCharacterSet", "DataSetTrailingPadding"})
"""Elements that say how a data set is written."""

Row = dict[str, str]
"""Keywords to text; several values are parted by backslashes, in the order of the alphabet."""


class Differs(Exception):
    """What came is not what was sent; the sentence says how."""


@dataclass(frozen=True, slots=True)
class Study:
    """One, as files."""

    number: int
    files: Mapping[str, Path]
    """By SOP Instance UID."""

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return _uid(1, self.number)

    @property
    def patient_id(self) -> str:
        """Nobody else has it."""
        return f"P{self.number}"

    @property
    def references(self) -> list[tuple[str, str]]:
        """Its instances, by SOP Class UID and SOP Instance UID."""
        heads = (pydicom.dcmread(f, stop_before_pixels=True) for f in self.files.values())
        return [(str(head.SOPClassUID), str(head.SOPInstanceUID)) for head in heads]

    def rows(self, level: str) -> list[Row]:
        """What a C-FIND of this study has to answer, as pydicom reads the files."""
        heads = [pydicom.dcmread(file, stop_before_pixels=True) for file in self.files.values()]
        if level == "SERIES":
            return [{key: text(head, key) for key in ROW[level]} for head in heads]
        counted = {
            "ModalitiesInStudy": "\\".join(sorted({head.Modality for head in heads})),
            "NumberOfStudyRelatedInstances": str(len(heads)),
        }
        return [{key: counted.get(key) or text(heads[0], key) for key in ROW[level]}]


def make(folder: Path, number: int, names: Sequence[str]) -> Study:
    """Write a study's files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for at, name in enumerate(names, start=1):
        image = pydicom.dcmread(FILES / name)
        image.SpecificCharacterSet = "ISO_IR 100"
        image.PatientName, image.PatientID = NAME, f"P{number}"
        image.StudyInstanceUID = UID(_uid(1, number))
        image.SeriesInstanceUID = UID(_uid(2, number * 100 + at))
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(
            _uid(3, number * 100 + at)
        )
        image.StudyDate, image.StudyTime, image.AccessionNumber = "20240131", "0930", f"A{number}"
        image.StudyDescription, image.StudyID = "Thorax", "1"
        image.SeriesNumber, image.InstanceNumber = str(at), "1"
        file = folder / f"{number}-{at}.dcm"
        image.save_as(file, enforce_file_format=True)
        files[str(image.SOPInstanceUID)] = file
    return Study(number, files)


def text(data: Dataset, keyword: str) -> str:
    """An element's value, as it stands in a row."""
    value = data.get(keyword)
    if value is None:
        return ""
    values = sorted(str(one) for one in value) if isinstance(value, Sequence) else [str(value)]
    if isinstance(value, str):
        values = [value]
    return "\\".join(one.strip(" \0") for one in values)


def by_uid(paths: Iterator[Path]) -> dict[str, Path]:
    """Files that somebody has written, by their SOP Instance UIDs."""
    return {
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths
    }


def of_study(folder: Path, study: str) -> dict[str, Path]:
    """The files of one study in a folder, by their SOP Instance UIDs."""
    heads = ((pydicom.dcmread(p, stop_before_pixels=True), p) for p in folder.iterdir())
    return {str(h.SOPInstanceUID): p for h, p in heads if h.StudyInstanceUID == study}


def hold_same(
    sent: Mapping[str, Path], came: Mapping[str, Path], *, verbatim: bool, private: bool = True
) -> None:
    """Go on if the same instances came with the same content.

    `verbatim`: to the byte, where the transfer syntax is the same; else element by element.
    `private`: with private elements.

    Raises:
        Differs: the first that does not, and how.
    """
    if set(sent) != set(came):
        lacking, more = len(set(sent) - set(came)), len(set(came) - set(sent))
        raise Differs(f"{lacking} of {len(sent)} instances did not come, {more} others did")
    for uid, file in sent.items():
        mine, theirs = file.read_bytes(), came[uid].read_bytes()
        before, after = pydicom.dcmread(file), pydicom.dcmread(came[uid])
        kept = before.file_meta.TransferSyntaxUID == after.file_meta.TransferSyntaxUID
        if verbatim and kept:
            if data_set(mine) != data_set(theirs):
                raise Differs(f"the bytes of {before.Modality} differ")
        elif different := _differing(before, after, private=private):
            raise Differs(f"{before.Modality}: {different}")


def hold_rows(expected: Sequence[Row], found: Sequence[Row]) -> None:
    """Go on if these are the same rows, in whatever order.

    Raises:
        Differs: they are not.
    """
    mine, theirs = (sorted(sorted(row.items()) for row in rows) for rows in (expected, found))
    if mine != theirs:
        raise Differs(f"the rows are {theirs}, not {mine}")


def _differing(before: Dataset, after: Dataset, *, private: bool) -> str:
    """The first element whose value is another one; nothing if there is none."""
    if not private:
        before.remove_private_tags()
        after.remove_private_tags()
    mine, theirs = _values(before), _values(after)
    for path in sorted(set(mine) | set(theirs)):
        if mine.get(path) != theirs.get(path):
            return f"{path} is {theirs.get(path)!r:.60}, was {mine.get(path)!r:.60}"
    return ""


def _values(data: Dataset, path: str = "") -> dict[str, object]:
    """Every value by its path; an empty value and its lack, or padding, are no difference."""
    found: dict[str, object] = {}
    for tag in sorted(data.keys()):
        here = f"{path}/{tag}"
        raw: Any = data.get_item(tag)
        if tag.is_private and isinstance(raw, RawDataElement) and raw.VR != "SQ" and raw.value:
            # In implicit VR nobody knows what it is.
            found[here] = raw.value.rstrip(b" \0")
            continue
        element = data[tag]
        # Text is compared as it reads, in whatever character set.
        if element.tag.element == 0 or element.keyword in NO_CONTENT:
            continue
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                found |= _values(item, f"{here}[{number}]")
        elif element.keyword == "PixelData" and element.is_undefined_length:
            # Compressed: with or without a table of offsets.
            (frame,) = generate_frames(element.value, number_of_frames=1)
            found[here] = frame.rstrip(b"\0")
        elif not element.is_empty:
            found[here] = _value(element.value)
    return found


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return value.rstrip(b" \0")
    if isinstance(value, str):
        return value.strip("\0" + whitespace)
    if isinstance(value, (int, float, Decimal)):
        return float(value)  # a decimal string may have zeros more or less
    if isinstance(value, Sequence):
        return [_value(one) for one in value]
    return str(value).strip("\0" + whitespace)


def _uid(kind: int, number: int) -> str:
    # 2.25 and an integer: PS3.5 B.2 wants a UUID's, which nobody but us could then know.
    return f"2.25.4{kind}{number:020}"
