"""Inputs made to cost as much memory or time as the limits allow, each measured alone."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgpack

from garbage.mutations import deep
from meshpacs.archive.header import DEFLATED, EXPLICIT_LITTLE
from meshpacs.archive.indexed import scan
from meshpacs.archive.sources import Media, Trouble
from meshpacs.model.charsets import charset
from meshpacs.model.errors import MeshError
from meshpacs.model.limits import ATTRIBUTE_BYTES, CONTROL_FRAME_BYTES, FRAME_BYTES
from meshpacs.wire.codec import decode
from meshpacs.wire.frames import FrameReader

SECONDS = 60.0
"""Processor time of one of them. A guess; the slowest takes 5 s: millions of elements."""

LARGEST_FRAME_MB = 160
"""An empty map takes a byte in a frame and 64 in memory (`wire/codec.py`), and a place in what
holds it: 72 for each of two million."""


@dataclass(frozen=True, slots=True)
class Case:
    """One worst case, measured."""

    name: str
    outcome: str
    peak_mb: float
    limit_mb: int
    cpu_s: float

    @property
    def holds(self) -> bool:
        """Whether it ended within its limits, as taken or by one of our errors."""
        named = not self.outcome.startswith("!")
        return named and self.peak_mb <= self.limit_mb and self.cpu_s <= SECONDS


def measured() -> Iterator[Case]:
    """One after the other."""
    for case in CASES:
        yield weighed(*case)


def weighed(name: str, limit_mb: int, make: Callable[[], "Made"]) -> Case:
    """One case: its input is made first, then what reads it is timed, and weighed."""
    data, read = make()
    began = time.process_time()
    with suppress(Exception):  # told of below: to be weighed takes several times as long
        read(data)
    cpu_s = time.process_time() - began
    tracemalloc.start()
    try:
        read(data)
        outcome = "taken"
    except MeshError as fault:
        outcome = type(fault).__name__
    except Exception as error:  # noqa: BLE001  that is what is looked for
        outcome = f"!{error!r}"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Case(name, outcome, peak / 1e6, limit_mb, cpu_s)


Made = tuple[bytes, Callable[[bytes], object]]


def _declared() -> Made:
    def read(head: bytes) -> None:
        for _ in range(1000):
            list(FrameReader(FRAME_BYTES).feed(head))

    return FRAME_BYTES.to_bytes(4, "big"), read


def _dribbled() -> Made:
    def read(data: bytes) -> None:
        reader = FrameReader(FRAME_BYTES)
        for at in range(0, len(data), 1000):
            list(reader.feed(data[at : at + 1000]))

    return FRAME_BYTES.to_bytes(4, "big") + bytes(FRAME_BYTES - 1), read


def _maps(size: int) -> Made:
    """As many empty maps as a frame holds, in arrays as long as they may be."""
    inner = b"\xdc\xff\xff" + b"\x80" * 65_535
    count = size // len(inner)
    return b"\x02\xdc" + struct.pack(">H", count) + inner * count, decode


def _strings() -> Made:
    inner = b"\xdc" + struct.pack(">H", 21_000) + b"\xa2\xc3\xa9" * 21_000
    count = FRAME_BYTES // len(inner)
    return b"\x10\xdc" + struct.pack(">H", count) + inner * count, decode


def _nested() -> Made:
    return b"\x02" + msgpack.packb(deep(1020)), decode


def _record_of_records() -> Made:
    record = b"\x80"
    for _ in range(12):
        record = b"\x81\x01\x92" + record * 2 if len(record) < 60_000 else b"\x81\x01\x91" + record
    return b"\x02" + record, decode


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def _item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def _scanned(syntax: str) -> Callable[[bytes], object]:
    return lambda data: scan(lambda at, n: data[at : at + n], len(data), syntax, "latin_1")


def _deflate_bomb() -> Made:
    squeezer = zlib.compressobj(9, wbits=-15)
    stream = squeezer.compress(b"\x09\0\x10\x10UT\0\0" + struct.pack("<L", 2**32 - 2))
    zeros = bytes(1 << 20)
    stream += b"".join(squeezer.compress(zeros) for _ in range(256)) + squeezer.flush()
    return stream, _scanned(DEFLATED)


def _many_elements() -> Made:
    return struct.pack("<HH2sH", 9, 0x1010, b"LO", 0) * 4_100_000, _scanned(EXPLICIT_LITTLE)


def _many_in_unknown() -> Made:
    inside = _item(struct.pack("<HHL", 9, 0x1010, 0) * 131_000)
    return _element(0x0009_1010, b"UN", inside) * 40, _scanned(EXPLICIT_LITTLE)


def _many_items() -> Made:
    codes = _element(0x0032_1064, b"SQ", _item(b"") * 512)
    return _element(0x0040_0275, b"SQ", _item(codes) * 512), _scanned(EXPLICIT_LITTLE)


def _many_long_values() -> Made:
    long = _element(0x0040_0007, b"UT", b"x" * (ATTRIBUTE_BYTES - 8))
    return _element(0x0040_0275, b"SQ", _item(long) * 512), _scanned(EXPLICIT_LITTLE)


def _second_bytes() -> Made:
    raw = b"\x1b" + b"\x81\\" * (ATTRIBUTE_BYTES // 2 - 1)
    return raw, charset(("GBK",), "latin_1").text


def _zip_of_zips(method: int, megabytes: int, count: int) -> Made:
    box = io.BytesIO()
    zeros = bytes(1 << 20)
    with zipfile.ZipFile(box, "w", method) as made:
        for number in range(count):
            with made.open(f"{number}", "w") as file:
                for _ in range(megabytes):
                    file.write(zeros)
    return box.getvalue(), _looked_into


def _looked_into(data: bytes) -> None:
    with TemporaryDirectory(prefix="meshpacs-zip-") as folder:
        path = Path(folder) / "bomb.zip"
        path.write_bytes(data)
        with Media() as media:
            for found in media.find([path]):
                if isinstance(found, Trouble):
                    raise found.fault
                for _ in found.chunks():
                    pass


def _overlapping() -> Made:
    """One file of 60 MB, named 30,000 times by the list of files."""
    raw, _ = _zip_of_zips(zipfile.ZIP_DEFLATED, 60, 1)
    at = raw.index(b"PK\1\2")
    entry, end = raw[at:-22], bytearray(raw[-22:])
    struct.pack_into("<HHL", end, 8, 30_000, 30_000, len(entry) * 30_000)
    return raw[:at] + entry * 30_000 + bytes(end), _looked_into


CASES: tuple[tuple[str, int, Callable[[], Made]], ...] = (
    ("a thousand frames declared and not sent", 1, _declared),
    ("a frame of 2 MiB in pieces, its last byte missing", 8, _dribbled),
    ("a control frame of empty maps", LARGEST_FRAME_MB // 4, lambda: _maps(CONTROL_FRAME_BYTES)),
    ("a bulk frame of empty maps", LARGEST_FRAME_MB, lambda: _maps(FRAME_BYTES)),
    ("a bulk frame of texts of one character", LARGEST_FRAME_MB, _strings),
    ("arrays a thousand deep", 1, _nested),
    ("records in records", 64, _record_of_records),
    ("a deflate bomb of 256 MiB", 8, _deflate_bomb),
    ("more elements than are scanned", 8, _many_elements),
    ("the same in values of unknown kind", 8, _many_in_unknown),
    ("a quarter of a million empty items", 8, _many_items),
    ("32 MiB of long values in items", 8, _many_long_values),
    ("64 KiB of second bytes that look like delimiters", 4, _second_bytes),
    ("a zip of 300 files of 1 MB in 1 KB each", 32,
     lambda: _zip_of_zips(zipfile.ZIP_DEFLATED, 1, 300)),
    ("a zip of one file named 30,000 times", 64, _overlapping),
    ("a zip in bzip2 of 60 MB in 60 bytes", 16,
     lambda: _zip_of_zips(zipfile.ZIP_BZIP2, 60, 1)),
)  # fmt: skip
