"""Small DICOM files made by hand, byte for byte, so that tests can break them where they like."""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from meshpacs.archive.archive import Archive
from meshpacs.archive.arrival import Announced
from meshpacs.archive.filing import Verdict
from meshpacs.archive.part10 import make_preface
from meshpacs.model.attributes import by_keyword

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
LONG = frozenset({"OB", "OW", "SQ", "UN", "UT", "UC", "UR"})
PIXELS = 0x7FE0_0010


def tag_of(keyword: str) -> int:
    found = by_keyword(keyword)
    assert found is not None, keyword
    return found.tag


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT, length: int = -1) -> bytes:
    """One element; `length` overrides what the header says."""
    order = ">" if syntax == BIG else "<"
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    said = len(value) if length < 0 else length
    group, number = tag >> 16, tag & 0xFFFF
    if syntax == IMPLICIT:
        return struct.pack("<HHL", group, number, said) + value
    head = struct.pack(f"{order}HH", group, number) + vr.encode()
    if vr in LONG:
        return head + b"\0\0" + struct.pack(f"{order}L", said) + value
    return head + struct.pack(f"{order}H", said) + value


def item(*elements: bytes, undefined: bool = False, order: str = "<") -> bytes:
    body = b"".join(elements)
    if undefined:
        end = struct.pack(f"{order}HHL", 0xFFFE, 0xE00D, 0)
        return struct.pack(f"{order}HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + body + end
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(body)) + body


SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def dataset(
    sop: str = "1.2.3",
    study: str = "1.2.3.1",
    series: str = "1.2.3.1.1",
    *,
    syntax: str = EXPLICIT,
    pixels: bytes = b"\1\2\3\4",
    more: Mapping[int, tuple[str, bytes]] | None = None,
    **texts: str,
) -> bytes:
    """A data set; attributes by keyword as text, or `more` by tag as VR and bytes."""
    uids = {
        "SOPClassUID": CT, "SOPInstanceUID": sop, "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
    }  # fmt: skip
    found: dict[int, tuple[str, bytes]] = {}
    for keyword, text in {**uids, "Modality": "CT", **texts}.items():
        known = by_keyword(keyword)
        assert known is not None, keyword
        found[known.tag] = (known.vr, text.encode("latin_1"))
    found.update(more or {})
    parts = [element(tag, vr, raw, syntax) for tag, (vr, raw) in sorted(found.items())]
    return b"".join(parts) + (element(PIXELS, "OW", pixels, syntax) if pixels else b"")


def part10(data: bytes, syntax: str = EXPLICIT, sop: str = "1.2.3", sop_class: str = CT) -> bytes:
    return make_preface(sop_class, sop, syntax) + data


def instance(sop: str = "1.2.3", *, syntax: str = EXPLICIT, **what: object) -> bytes:
    """A whole file."""
    return part10(dataset(sop, syntax=syntax, **what), syntax, sop)  # type: ignore[arg-type]


def take(archive: Archive, file: bytes, *, step: int = 1 << 20, own: bool = True) -> Verdict:
    """Bring a file through the door in pieces of `step` bytes."""
    with archive.arrive(own=own) as arrival:
        for start in range(0, len(file), step):
            arrival.write(memoryview(file)[start : start + step])
        return arrival.commit()


def store(archive: Archive, data: bytes, sop: str, syntax: str = EXPLICIT) -> Verdict:
    """Bring a bare data set through the door."""
    with archive.arrive(Announced(CT, sop, syntax, "MODALITY")) as arrival:
        arrival.write(data)
        return arrival.commit()


def blobs(folder: Path) -> list[Path]:
    return sorted(p for name in ("blobs", "fetched") for p in (folder / name).rglob("*.dcm"))


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@cache
def corpus() -> tuple[Path, ...]:
    """Every file that comes with pydicom and pydicom-data and is on the disk."""
    found: list[Path] = []
    for package in ("pydicom", "data_store"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "data"
        found += sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix[:3] != ".py")
    return tuple(found)


def fragments(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
