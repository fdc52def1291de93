"""Compressed instances: all of pydicom's and pydicom-data's files, and what those lack."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from meshpacs.archive.faults import Refused
from meshpacs.archive.part10 import read_preface
from meshpacs.dimse.syntaxes import DECODED, KEYWORDS

IMPLICIT = KEYWORDS["ImplicitVRLittleEndian"]

ROOTS = [Path(pydicom.__file__).parent / "data" / "test_files"]
try:
    import data_store
except ImportError:  # a test install without pydicom-data tests fewer files
    pass
else:
    ROOTS.append(Path(data_store.__file__).parent / "data")


def files() -> Iterator[tuple[Path, str]]:
    """Every file in a transfer syntax that is decoded, and which."""
    for root in ROOTS:
        for path in sorted(root.rglob("*")):
            try:
                preface = read_preface(path.read_bytes(), whole=True) if path.is_file() else None
            except Refused:
                continue
            if preface is not None and preface.transfer_syntax in DECODED:
                yield path, preface.transfer_syntax


def find(name: str) -> Path:
    """One of them by its name."""
    return next(path for root in ROOTS for path in root.rglob(name))


def data_set(path: Path) -> bytes:
    """Without preamble and meta information."""
    data = path.read_bytes()
    preface = read_preface(data, whole=True)
    assert preface is not None
    return data[preface.offset :]


def parsed(data: bytes, syntax: str = KEYWORDS["ExplicitVRLittleEndian"]) -> FileDataset:
    """A data set that pydicom takes for a file's."""
    found = read_dataset(io.BytesIO(data), syntax == IMPLICIT, "1.2.2" not in syntax[-5:])
    whole = FileDataset("", found, file_meta=pydicom.dataset.FileMetaDataset())
    whole.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    return whole


def unparsed(found: Dataset) -> bytes:
    """The bytes of a data set in explicit little endian."""
    from pydicom.filebase import DicomBytesIO

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, found)
    return out.getvalue()


def image(frames: list[bytes], *, extended: bool = False, **facts: object) -> Dataset:
    """An instance of 16 rows of 12 columns with these frames, which are compressed."""
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    found.Rows, found.Columns, found.SamplesPerPixel = 16, 12, 1
    found.PhotometricInterpretation, found.PixelRepresentation = "MONOCHROME2", 0
    found.BitsAllocated, found.BitsStored, found.HighBit = 16, 16, 15
    if len(frames) > 1:
        found.NumberOfFrames = len(frames)
    for keyword, value in facts.items():
        setattr(found, keyword, value)
    if extended:
        data, table, lengths = encapsulate_extended(frames)
        found.ExtendedOffsetTable, found.ExtendedOffsetTableLengths = table, lengths
    else:
        data = encapsulate(frames)
    found.PixelData = data
    found["PixelData"].VR = "OB"
    found["PixelData"].is_undefined_length = True
    return found


def gray(row: int, column: int) -> int:
    """A pixel of `HTJ2K_GRAY`."""
    return column * 97 + row * 13


def colour(row: int, column: int) -> tuple[int, int, int]:
    """A pixel of `HTJ2K_COLOUR`."""
    return column * 10, row * 7, column + row


HTJ2K_GRAY = base64.b64decode(
    "/0//UQApQAAAAAAMAAAAEAAAAAAAAAAAAAAADAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB"
    "/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAHUAAf+TwAAmYfwFB3QA"
    "AMAAE0AAEoB8/gKHdADsAQd0AMAAE0AAEwB1/QALdAB0+gAjVADAABUwAAVAsmVlZZfhi3UAOMbAAACMtgDAACvgABVA"
    "QCAQCAQCgd4KenpxAngAGBER/Az3yey3AP/Z"
)
"""Made by OpenJPH 0.26.3, without loss: no file of pydicom's has High-Throughput JPEG 2000."""

HTJ2K_COLOUR = base64.b64decode(
    "/0//UQAvQAAAAAAMAAAAEAAAAAAAAAAAAAAADAAAABAAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAA/9SAAwAAgAB"
    "AQUEBEAB/1wAEyBQWFhYWFhYWFhYWFhYUFBQ/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAARgAAf+TwBKA"
    "wwEHdADAEoDrAAd0AMASgPIAx3QAAAAAwAlgBKDsAAd0AMIAh3QAwAlgBKDwAMd0AO0Ah3QAwAlgBICqAQd0AACHdACg"
    "BMAg+AADVACgBMB1/QADVADACSAEwO0rcwD/fwADVADACqgBVQAnQAIA+Qf+kP22AAAAAMByZx79tgAA8Adq/bUAwAlg"
    "BODir9t0ADnzwOSMtQDACogBOCxj7JfgC3UA/3/A5Iy1AMAVcAVcAV4oRPx8IPB4PS0oAECD4XhLSS3PMggAAAAA+GfF"
    "l11N11N+/DsAwBNAFUAA3ilL5QC7bfv8BPZJ7LcAwBVwBVAiIiIi3qenp8J3AN22/fwE9knstwD/2Q=="
)
"""The same in colour, with the reversible transform."""
