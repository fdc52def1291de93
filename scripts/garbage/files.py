"""Real DICOM files, and what becomes of them: headers, lengths, sequences, characters, bombs."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

from garbage.mutations import scramble
from meshpacs.archive.faults import Refused
from meshpacs.archive.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, LONG_VRS, SHORT_VRS
from meshpacs.archive.part10 import make_preface, read_preface

WHOLE_BYTES = 96 * 1024
"""Larger files lose most of their pixels before they are changed: their headers are what is read,
and twenty thousand of them would be ten gigabytes."""

LENGTHS = (0, 1, 2, 7, 8, 12, 255, 256, 65_534, 65_535, 65_536, 65_537, 2**20, 2**24, 2**31 - 1,
           2**31, 2**32 - 2, 2**32 - 1)  # fmt: skip

VRS = tuple(LONG_VRS | SHORT_VRS)
TERMS = (
    b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"GBK", b"ISO_IR 13", b"ISO_IR 166",
    b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159", b"\\ISO 2022 IR 149",
    b"\\ISO 2022 IR 58", b"ISO_IR 999", b"UTF-8", b"\\\\\\", b"\xff\xfe", b"ISO_IR 192\\" * 60,
)  # fmt: skip
ESCAPES = (b"\x1b", b"\x1b$B", b"\x1b$(D", b"\x1b$)C", b"\x1b$)A", b"\x1b(J", b"\x1b(B", b"\x1b-F",
           b"\x1b)I", b"\x1b%G")  # fmt: skip
DIRECTORY = "DICOMDIR"
SEQUENCE = b"\x08\x00\x40\x11"
"""Referenced Image Sequence (0008,1140), which may be in any data set."""


@cache
def bases() -> tuple[bytes, ...]:
    """Every file of pydicom's and pydicom-data's packages, the larger ones without their middle."""
    found: list[bytes] = []
    for package in ("pydicom", "data_store"):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent / "data"
            paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix[:3] != ".py")
            found += [path.read_bytes() for path in paths]
    return tuple(_shrunk(data) for data in found)


def _shrunk(data: bytes) -> bytes:
    """A file whose native pixels are cut to a few bytes, its header as it was."""
    if len(data) <= WHOLE_BYTES:
        return data
    at = data.rfind(b"\xe0\x7f\x10\x00", 0, WHOLE_BYTES)
    if at < 0:
        return data
    head = data[at : at + 8]
    if head[4:6] in {b"OW", b"OB"}:
        if data[at + 8 : at + 12] == b"\xff\xff\xff\xff":
            return data[:WHOLE_BYTES]
        return data[:at] + head + struct.pack("<L", 64) + data[at + 12 : at + 76]
    return data[:at] + head[:4] + struct.pack("<L", 64) + data[at + 8 : at + 72]


# ---------------------------------------------------------------- one file


def mutant(draw: Random) -> tuple[str, str, bytes]:
    """What was done, the suffix it is to be found by, and the file."""
    data = draw.choice(bases())
    kind = draw.choice(KINDS)
    if kind is zipped:
        return "zip", ".zip", zipped(data, draw)
    if kind is directory:
        return "directory", DIRECTORY, directory(data, draw)
    changed = kind(data, draw)
    if draw.random() < 0.1:
        changed = scramble(changed, draw, draw.choice(bases()))
    return kind.__name__.strip("_"), ".dcm", changed


def _bytes(data: bytes, draw: Random) -> bytes:
    return scramble(data, draw, draw.choice(bases()))


def _header(data: bytes, draw: Random) -> bytes:
    """Damage where the elements are, not in the pixels."""
    size = min(len(data), draw.choice((200, 400, 1000, 4000)))
    return scramble(data[:size], draw, data) + data[size:]


def _elements(data: bytes) -> list[int]:
    """Where elements seem to begin: anything that looks like an even group and a VR or length."""
    offset = _offset(data)
    found = []
    at = offset
    while at + 8 <= min(len(data), offset + 20_000):
        vr = data[at + 4 : at + 6]
        found.append(at)
        if vr in LONG_VRS:
            length = int.from_bytes(data[at + 8 : at + 12], "little")
            at += 12 + (length if length < len(data) and vr != b"SQ" else 0)
        elif vr in SHORT_VRS:
            at += 8 + int.from_bytes(data[at + 6 : at + 8], "little")
        else:
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            at += 8 + (length if length < len(data) else 0)
    return found or [0]


def _offset(data: bytes) -> int:
    try:
        preface = read_preface(data, whole=True, directory=True)
    except Refused:
        return 0
    return preface.offset if preface else 0


def _lengths(data: bytes, draw: Random) -> bytes:
    """Elements that say another length than they have."""
    changed = bytearray(data)
    places = _elements(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.choice(places)
        vr = data[at + 4 : at + 6]
        near = draw.choice((-1, 1, 2, -2))
        if vr in SHORT_VRS:
            length = int.from_bytes(data[at + 6 : at + 8], "little")
            said = draw.choice((length + near, *LENGTHS)) % 2**16
            changed[at + 6 : at + 8] = said.to_bytes(2, "little")
        else:
            to = at + (8 if vr in LONG_VRS else 4)
            length = int.from_bytes(data[to : to + 4], "little")
            said = draw.choice((length + near, len(data) - to, *LENGTHS)) % 2**32
            changed[to : to + 4] = said.to_bytes(4, "little")
    return bytes(changed)


def _representations(data: bytes, draw: Random) -> bytes:
    """Elements that say another VR, or none."""
    changed = bytearray(data)
    places = _elements(data)
    for _ in range(draw.choice((1, 3, 20))):
        at = draw.choice(places)
        changed[at + 4 : at + 6] = draw.choice((*VRS, b"ZZ", b"\0\0", b"  ", b"sq", b"UN"))
    return bytes(changed)


def _sequences(data: bytes, draw: Random) -> bytes:
    """Sequences in sequences, of stated, unstated and impossible lengths, put in anywhere."""
    inside = draw.randbytes(draw.choice((0, 8, 30)))
    explicit = draw.random() < 0.6
    for _ in range(draw.choice((1, 2, 31, 32, 33, 40, 500))):
        inside = _nested(inside, draw, explicit=explicit)
    at = draw.choice(_elements(data))
    return data[:at] + inside + data[at:]


def _nested(inside: bytes, draw: Random, *, explicit: bool) -> bytes:
    stated = draw.random() < 0.5
    end = b"\xfe\xff\x0d\xe0\0\0\0\0"
    length = len(inside) if draw.random() < 0.97 else draw.choice(LENGTHS)
    item = b"\xfe\xff\x00\xe0" + struct.pack("<L", length if stated else 2**32 - 1) + inside
    item = item * draw.choice((1, 1, 1, 1, 2)) if len(item) < 5000 else item
    if not stated and draw.random() < 0.97:
        item += end
    vr = (draw.choice((b"SQ", b"SQ", b"SQ", b"UN", b"OB")) + b"\0\0") if explicit else b""
    if draw.random() < 0.5:
        return SEQUENCE + vr + struct.pack("<L", len(item)) + item
    close = b"\xfe\xff\xdd\xe0\0\0\0\0" if draw.random() < 0.97 else b""
    return SEQUENCE + vr + b"\xff\xff\xff\xff" + item + close


def _characters(data: bytes, draw: Random) -> bytes:
    """A declared character set, and names that do not keep to it."""
    term = draw.choice(TERMS)
    term += b" " * (len(term) % 2)
    pieces = [_text(b"\x08\0\x05\0", b"CS", term)]
    for tag, vr in (
        (b"\x08\0\x81\0", b"ST"), (b"\x08\0\x30\x10", b"LO"), (b"\x10\0\x10\0", b"PN"),
        (b"\x10\0\x20\0", b"LO"), (b"\x10\0\x30\0", b"DA"), (b"\x20\0\x13\0", b"IS"),
    ):  # fmt: skip
        if draw.random() < 0.5:
            pieces.append(_text(tag, vr, _mangled(draw)))
    places = _elements(data)
    at = places[min(len(places) - 1, draw.choice((0, 1, 3, 10)))]
    return data[:at] + b"".join(pieces) + data[at:]


def _mangled(draw: Random) -> bytes:
    size = draw.choice((0, 3, 20, 200, 3000, 32_000))
    text = b""
    while len(text) < size:
        text += draw.choice(
            (draw.choice(ESCAPES), draw.randbytes(9), b"^", b"=", b"\\", b"\x81\\" * 50, b"\0",
             b"abc" * 30, b"\xff" * 40, "\u6885".encode(), b"99999999999999999999", b"-")
        )  # fmt: skip
    return text[:size]


def _text(tag: bytes, vr: bytes, value: bytes) -> bytes:
    value = (value + b" " * (len(value) % 2))[:65_534]
    return tag + vr + struct.pack("<H", len(value)) + value


def _deflated(data: bytes, draw: Random) -> bytes:
    """The data set deflated, with accidents in the stream; or far more than anybody wants."""
    inside = data[_offset(data) :]
    kind = draw.randrange(8)
    if kind == 0:
        return make_preface("1.2.840.10008.5.1.4.1.1.2", "1.2.3", DEFLATED) + _bomb(
            inside, draw.choice((1, 64, 128, 1024))
        )
    if kind == 1:
        inside = _sequences(data, draw)[_offset(data) :]
    squeezer = zlib.compressobj(draw.choice((1, 9)), wbits=-15)
    stream = squeezer.compress(inside) + squeezer.flush()
    if kind == 2:
        stream = stream[: draw.randrange(len(stream) + 1)]
    elif kind in {3, 4}:
        stream = scramble(stream, draw)
    elif kind == 5:
        stream += draw.randbytes(draw.choice((1, 100, 70_000)))
    return make_preface("1.2.840.10008.5.1.4.1.1.2", "1.2.3", DEFLATED) + stream


def _bomb(inside: bytes, megabytes: int) -> bytes:
    """An element of nothing but zeros, deflated a thousand times smaller."""
    squeezer = zlib.compressobj(1, wbits=-15)
    head = b"\x10\0\x00\x40UT\0\0" + struct.pack("<L", megabytes << 20)
    stream = squeezer.compress(inside + head)
    zeros = bytes(1 << 20)
    return stream + b"".join(squeezer.compress(zeros) for _ in range(megabytes)) + squeezer.flush()


def _syntaxes(data: bytes, draw: Random) -> bytes:
    """Another transfer syntax than it is written in."""
    syntax = draw.choice(
        (EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, "1.2.840.10008.1.2", "1.2.840.113619.5.2",
         "1.2.840.10008.1.2.4.50", "1..2", "../../x", "1" * 65, "", "1.2.840.10008.1.3.10")
    )  # fmt: skip
    uid = draw.choice(("1.2.3", "", "..", "a/b", "x" * 64))
    kind = draw.choice(("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.3.10"))
    return make_preface(kind, uid, syntax) + data[_offset(data) :]


def zipped(data: bytes, draw: Random) -> bytes:
    """Some files in a zip, which is then damaged; or a bomb."""
    box = io.BytesIO()
    packing = draw.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    with zipfile.ZipFile(box, "w", packing) as made:
        for number in range(draw.choice((0, 1, 1, 3))):
            name = draw.choice(
                ("a.dcm", "../up.dcm", "/etc/x", "a/" * 50 + "x", "\x1b[2J", "C:\\x", "п")
            )
            inside = draw.choice(bases()) if number else data
            with made.open(f"{name}{number}", "w") as file:
                file.write(inside[:WHOLE_BYTES])
                for _ in range(draw.choice((4, 65)) if packing and draw.random() < 0.05 else 0):
                    file.write(bytes(1 << 20))
    raw = box.getvalue()
    match draw.randrange(4):
        case 0:
            return raw
        case 1:
            return scramble(raw, draw)
        case 2:
            at = max(0, len(raw) - draw.choice((22, 100, 200)))
            return raw[:at] + scramble(raw[at:], draw)
        case _:
            return raw[:60] and scramble(raw[:60], draw) + raw[60:]


def directory(data: bytes, draw: Random) -> bytes:
    """A medium's directory, which names files that are not there, or should not be."""
    media = [base for base in bases() if b"1.2.840.10008.1.3.10" in base[:400]]
    data = draw.choice(media) if media else data
    at = 0
    while draw.random() < 0.9 and (at := data.find(b"\x04\0\0\x15CS", at + 1)) >= 0:
        if draw.random() < 0.2:
            size = int.from_bytes(data[at + 6 : at + 8], "little")
            value = draw.choice(NAMES)
            value += b" " * (len(value) % 2)
            data = data[: at + 6] + struct.pack("<H", len(value)) + value + data[at + 8 + size :]
    return _lengths(data, draw) if draw.random() < 0.4 else data


NAMES = (
    b"CT1", b"ct1", b"..", b"..\\..\\ETC\\PASSWD", b"/etc/passwd", b"A\0B", b"X" * 300,
    b"\\".join([b"A"] * 500), b"C:\\X", b"", b"\\", b"\xff\xfe", b".", b"CT1\\CT1",
)  # fmt: skip

KINDS: Sequence[Callable[[bytes, Random], bytes]] = (
    _bytes, _header, _header, _lengths, _lengths, _representations, _sequences, _sequences,
    _characters, _characters, _deflated, _syntaxes, zipped, directory,
)  # fmt: skip
