"""An imagined CT scanner: DICOM files of any number and size, the same for the same seed.

Written byte by byte, as PS3.10 section 7 and PS3.5 section 7.1.2 (explicit VR, little endian) say,
so that making a million of them takes no longer than measuring with them.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
LONG = frozenset({"OB", "OW"})

SIDE = 512
"""Pixels; 512 x 512 of 16 bits are 0.5 MB, as every CT slice is."""

FAMILIES = (
    "Ahrens", "Behn", "Claussen", "Dreyer", "Eggers", "Feddersen", "Goedeke", "Harms", "Iversen",
    "Jessen", "Kruse", "Lührs", "Meinert", "Nissen", "Oltmanns", "Petersen", "Quast", "Reimers",
    "Stührk", "Thomsen", "Uhlig", "Voss", "Wulff", "Zander",
)  # fmt: skip
GIVEN = (
    "Anna", "Björn", "Carla", "Dirk", "Elke", "Frauke", "Gesa", "Hauke", "Ingo", "Jonna", "Kai",
    "Lasse", "Merle", "Nils", "Okka", "Peer", "Ruth", "Sönke", "Tjark", "Ute",
)  # fmt: skip

ELSEWHERE = 10**8
"""Numbers between two scanners' studies."""


@dataclass(frozen=True, slots=True)
class Study:
    """One examination; everything follows from its number."""

    number: int

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return _uid(1, self.number)

    @property
    def accession(self) -> str:
        """Accession Number, of at most 16 characters."""
        return f"A{self.number}"

    @property
    def patient_id(self) -> str:
        """Each patient was examined once."""
        return f"P{self.number}"

    @property
    def name(self) -> str:
        """Patient's Name: one of 480 or so, with a number so that few share theirs."""
        draw = random.Random(self.number)
        return f"{draw.choice(FAMILIES)}{draw.randrange(100):02}^{draw.choice(GIVEN)}"


def slices(study: Study, count: int, *, side: int = SIDE, seed: int = 0) -> Iterator[bytes]:
    """The whole files of a study's one series."""
    draw = random.Random(f"{seed}/{study.number}")
    for number in range(1, count + 1):
        yield b"".join((*_head(study, number, side), draw.randbytes(side * side * 2)))


def data_set(file: bytes) -> bytes:
    """What follows preamble and file meta information (PS3.10 section 7.1)."""
    (length,) = struct.unpack_from("<L", file, 140)
    return file[144 + length :]


def write_slices(study: Study, count: int, folder: Path, *, seed: int = 0) -> int:
    """Files in a folder; their bytes together."""
    folder.mkdir(parents=True)
    size = 0
    for number, content in enumerate(slices(study, count, seed=seed), start=1):
        (folder / f"{number:05}.dcm").write_bytes(content)
        size += len(content)
    return size


def _head(study: Study, number: int, side: int) -> Iterator[bytes]:
    """Everything before the pixels."""
    sop = _uid(3, study.number * 10_000 + number)
    meta = b"".join(
        (
            _element(0x0002_0001, "OB", b"\0\1"),
            _element(0x0002_0002, "UI", CT.encode()),
            _element(0x0002_0003, "UI", sop.encode()),
            _element(0x0002_0010, "UI", EXPLICIT.encode()),
            _element(0x0002_0012, "UI", b"2.25.31"),
        )
    )
    yield bytes(128) + b"DICM" + _element(0x0002_0000, "UL", struct.pack("<L", len(meta))) + meta
    day = f"202{study.number % 6}{study.number % 12 + 1:02}{study.number % 28 + 1:02}"
    for tag, vr, text in (
        (0x0008_0005, "CS", "ISO_IR 192"),
        (0x0008_0008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        (0x0008_0016, "UI", CT),
        (0x0008_0018, "UI", sop),
        (0x0008_0020, "DA", day),
        (0x0008_0021, "DA", day),
        (0x0008_0030, "TM", "101500"),
        (0x0008_0050, "SH", study.accession),
        (0x0008_0060, "CS", "CT"),
        (0x0008_0070, "LO", "Nobody"),
        (0x0008_0080, "LO", "Clinic of the benchmark"),
        (0x0008_0090, "PN", "Behn^Elke"),
        (0x0008_1030, "LO", "Thorax"),
        (0x0008_103E, "LO", "Axial 1.0 mm"),
        (0x0010_0010, "PN", study.name),
        (0x0010_0020, "LO", study.patient_id),
        (0x0010_0030, "DA", f"19{study.number % 100:02}0704"),
        (0x0010_0040, "CS", "O"),
        (0x0018_0015, "CS", "CHEST"),
        (0x0018_0050, "DS", "1.0"),
        (0x0018_0060, "DS", "120"),
        (0x0020_000D, "UI", study.uid),
        (0x0020_000E, "UI", _uid(2, study.number)),
        (0x0020_0010, "SH", "1"),
        (0x0020_0011, "IS", "1"),
        (0x0020_0013, "IS", str(number)),
        (0x0020_0032, "DS", f"-180\\-180\\{number}"),
        (0x0020_0037, "DS", "1\\0\\0\\0\\1\\0"),
        (0x0020_0052, "UI", _uid(4, study.number)),
        (0x0028_0004, "CS", "MONOCHROME2"),
    ):
        if tag == 0x0028_0004:
            yield _element(0x0028_0002, "US", struct.pack("<H", 1))
        yield _element(tag, vr, text.encode())
    for tag, value in (
        (0x0028_0010, side),
        (0x0028_0011, side),
        (0x0028_0100, 16),
        (0x0028_0101, 16),
        (0x0028_0102, 15),
        (0x0028_0103, 0),
    ):
        yield _element(tag, "US", struct.pack("<H", value))
    yield struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, side * side * 2)


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB"} else b" "
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in LONG:
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def _uid(kind: int, number: int) -> str:
    # 2.25 and an integer: PS3.5 B.2 wants a UUID's, which nobody but us could then know.
    return f"2.25.{kind}{number:020}"
