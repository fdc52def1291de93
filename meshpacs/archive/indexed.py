"""Which attributes are read of a data set, and what is known of an instance once they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import msgpack

from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import DEFLATED, Scanner, Wanted
from meshpacs.archive.part10 import check_uid
from meshpacs.archive.window import FileWindow, InflatedWindow, Read
from meshpacs.model.attributes import (
    ATTRIBUTES,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Level,
    Record,
    element,
)

SOP_CLASS_UID = 0x0008_0016
MODALITY = 0x0008_0060
TEXT_LIMIT = 64
"""Characters of a Modality that an `Entry` keeps; CS allows 16, real files are longer."""


def _items(tags: Iterable[int]) -> Wanted:
    wanted: dict[int, str | Wanted] = {}
    for tag in tags:
        known = element(tag)
        assert known is not None, f"{tag:08X} is in a sequence's items but not in the table"
        wanted[tag] = _items(known.items) if known.vr == "SQ" else known.vr
    return wanted


WANTED: Wanted = {
    a.tag: _items(a.items) if a.vr == "SQ" else a.vr for a in ATTRIBUTES if not a.counted
}
"""Everything that can be asked for and is not counted."""

TAGS: dict[Level, frozenset[int]] = {
    level: frozenset(a.tag for a in ATTRIBUTES if a.level is level) for level in Level
}


@dataclass(frozen=True, slots=True)
class Header:
    """What the index keeps of one instance."""

    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    modality: str
    record: Record
    """All attributes that were found, of all levels."""

    def part(self, *levels: Level) -> Record:
        """The attributes of these levels."""
        wanted = frozenset().union(*(TAGS[level] for level in levels))
        return {tag: value for tag, value in self.record.items() if tag in wanted}


def scan(read: Read, size: int, transfer_syntax: str, default: str) -> Header:
    """Read the header of a data set of `size` bytes.

    `read(offset, count)` counts from the data set's first byte; `default` is the codec for
    undeclared bytes beyond ASCII.

    Raises:
        Refused: the data set is truncated, malformed, or lacks one of the four UIDs.
    """
    window = (InflatedWindow if transfer_syntax == DEFLATED else FileWindow)(read, size)
    return header_of(Scanner(window, default).run(WANTED, transfer_syntax))


def header_of(record: Record) -> Header:
    """What a record says, checked for the four UIDs.

    Raises:
        Refused: one is missing or cannot be kept.
    """
    return Header(
        check_uid(_one(record, SOP_CLASS_UID), "SOP Class UID"),
        check_uid(_one(record, SOP_INSTANCE_UID), "SOP Instance UID"),
        check_uid(_one(record, STUDY_INSTANCE_UID), "Study Instance UID"),
        check_uid(_one(record, SERIES_INSTANCE_UID), "Series Instance UID"),
        " ".join(first(record, MODALITY)[:TEXT_LIMIT].split()),
        record,
    )


def _one(record: Record, tag: int) -> str:
    values = record.get(tag, ())
    if len(values) > 1:
        raise Refused(Reason.BAD_UID, f"Its ({tag >> 16:04X},{tag & 0xFFFF:04X}) has two values.")
    return first(record, tag)


def first(record: Record, tag: int) -> str:
    """An attribute's first value, or nothing."""
    values = record.get(tag, ())
    return values[0] if values and isinstance(values[0], str) else ""


def pack(record: Record) -> bytes:
    """A record as the index stores it; a growing table of attributes changes nothing here."""
    return cast("bytes", msgpack.packb(record))


def unpack(packed: bytes) -> Record:
    """A record as `pack` stored it."""
    return cast("Record", msgpack.unpackb(packed, use_list=False, strict_map_key=False))
