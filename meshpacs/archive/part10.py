"""What stands before a data set in a DICOM file (PS3.10 7.1): found, or made.

A file may also lack it (older software wrote bare data sets). Such a file is taken only where
its first element cannot be anything else and the four UIDs are then found in it; what it lacks
is made, and its data set's bytes stay as they are.
"""

import struct
from dataclasses import dataclass

from meshpacs import __version__
from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    SHORT_VRS,
)
from meshpacs.model.limits import PREFACE_BYTES

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR."""

IMPLEMENTATION_CLASS = "2.25.149817340917351205120373893024519874031"
"""This implementation (0002,0012), a UUID under 2.25 as PS3.5 B.2 allows; drawn at random."""

UID_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")
DIGITS = frozenset("0123456789.")

Head = bytes | bytearray | memoryview

FIRST_TAGS = frozenset({0x00080000, 0x00080001, 0x00080005, 0x00080008, 0x00080016, 0x00080018})
"""What a bare data set may begin with."""


@dataclass(frozen=True, slots=True)
class Preface:
    """What is known before the data set's first byte."""

    transfer_syntax: str
    offset: int
    """Of the data set, in the bytes received."""
    media_class: str = ""
    media_uid: str = ""
    made: bytes = b""
    """A preface to write instead, where what was received had none; else empty."""


def check_uid(uid: str, what: str) -> str:
    """A UID that can be kept, or a refusal that names it by `what`.

    Tolerated beyond PS3.5 chapter 9: components with leading zeros, and letters, `-` and `_`,
    because de-identified files carry hashes for UIDs. Never a path: no separators, no `..`, no
    dot at either end.
    """
    if not uid:
        raise Refused(Reason.MISSING_UID, f"It has no {what}.", "Nothing can be filed without it.")
    if len(uid) > 64 or not UID_LETTERS.issuperset(uid) or ".." in uid or "." in (uid[0], uid[-1]):
        raise Refused(Reason.BAD_UID, f"Its {what} is not a UID.", "Ask its sender to mend it.")
    return uid


def check_syntax(uid: str) -> str:
    """A transfer syntax' UID: digits and dots only, as it names files too."""
    if not DIGITS.issuperset(check_uid(uid, "Transfer Syntax UID")):
        raise Refused(Reason.BAD_UID, "Its Transfer Syntax UID is not a UID.")
    return uid


def read_preface(head: Head, *, whole: bool, directory: bool = False) -> Preface | None:
    """Find where the data set begins; None if more bytes are needed to know.

    `whole` says that nothing more will come, `directory` that a DICOMDIR is what is wanted.

    Raises:
        Refused: this is no DICOM file, or a media directory, or its meta information is broken.
    """
    if len(head) < 140 and not whole:
        return None
    if head[128:132] == b"DICM":
        return _read_meta(head, 132, whole=whole, directory=directory)
    if head[:4] == b"\x02\x00\x00\x00" and bytes(head[4:6]) in {b"UL", b"\4\0"}:
        found = _read_meta(
            head, 0, whole=whole, directory=directory
        )  # the meta information without its preamble
        return found and _without_preamble(found, head)
    return _bare(head)


def _read_meta(head: Head, start: int, *, whole: bool, directory: bool) -> Preface | None:
    # The group length (0002,0000) is not believed: real files lack it or have it wrong. The
    # group ends where another begins.
    known: dict[int, str] = {}
    at = start
    while True:
        if at > PREFACE_BYTES:
            raise Refused(Reason.TOO_LARGE, "The file meta information does not end.")
        if len(head) < at + 12 and not whole:
            return None
        if len(head) < at + 8 or head[at : at + 2] != b"\2\0":
            break
        element, vr, length = struct.unpack_from("<H2sH", head, at + 2)
        value = at + 8
        if vr in LONG_VRS:
            if len(head) < at + 12:
                raise Refused(Reason.TRUNCATED, "The file ends within its meta information.")
            (length,) = struct.unpack_from("<L", head, at + 8)
            value = at + 12
        elif vr not in SHORT_VRS:
            (length,) = struct.unpack_from("<L", head, at + 4)  # implicit, though it must not be
        if length > PREFACE_BYTES:
            raise Refused(Reason.MALFORMED, "An element of the file meta information is absurd.")
        if len(head) < value + length:
            if not whole:
                return None
            raise Refused(Reason.TRUNCATED, "The file ends within its meta information.")
        if element in {0x0002, 0x0003, 0x0010}:
            raw = bytes(head[value : value + length])
            known[element] = raw.decode("latin_1").strip(" \0")
        at = value + length
    if known.get(0x0002) == MEDIA_DIRECTORY and not directory:
        raise Refused(
            Reason.DICOMDIR, "It is the directory of a medium (DICOMDIR), which holds no instance."
        )
    syntax = known.get(0x0010, "") or _guess(head[at : at + 8])
    return Preface(check_syntax(syntax), at, known.get(0x0002, ""), known.get(0x0003, ""))


def _guess(first: Head) -> str:
    """The transfer syntax by a data set's first element; implicit little-endian in doubt."""
    vr = bytes(first[4:6])
    if vr not in LONG_VRS and vr not in SHORT_VRS:
        return IMPLICIT_LITTLE
    return EXPLICIT_BIG if first[:1] == b"\0" else EXPLICIT_LITTLE


def _without_preamble(found: Preface, head: Head) -> Preface:
    made = b"\0" * 128 + b"DICM" + bytes(head[: found.offset])
    return Preface(found.transfer_syntax, found.offset, found.media_class, found.media_uid, made)


def _bare(head: Head) -> Preface:
    little = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
    big = int.from_bytes(head[:4], "big")
    if len(head) < 140 or (little not in FIRST_TAGS and big not in FIRST_TAGS):
        raise Refused(Reason.NOT_DICOM, "It is no DICOM file.")
    syntax = _guess(head)
    if (syntax == EXPLICIT_BIG) is (little in FIRST_TAGS):
        raise Refused(Reason.NOT_DICOM, "It is no DICOM file.")
    return Preface(syntax, 0)


def make_preface(sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str = "") -> bytes:
    """A preamble and file meta information for a data set that came without (PS3.10 7.1)."""
    elements = [
        _element(0x0001, b"OB", b"\0\1"),
        _element(0x0002, b"UI", sop_class.encode("ascii")),
        _element(0x0003, b"UI", sop_uid.encode("ascii")),
        _element(0x0010, b"UI", transfer_syntax.encode("ascii")),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS.encode("ascii")),
        _element(0x0013, b"SH", f"MESHPACS_{__version__}".encode("ascii")[:16]),
    ]
    if calling_ae:
        elements.append(_element(0x0016, b"AE", calling_ae.encode("ascii", "replace")[:16]))
    group = b"".join(elements)
    return b"\0" * 128 + b"DICM" + _element(0, b"UL", struct.pack("<L", len(group))) + group


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if vr in {b"SH", b"AE"} else b"\0"
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value
