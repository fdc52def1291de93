"""The target's archive: one small study, and manifests that are kept only in memory."""

import struct
from collections.abc import Mapping

from garbage.messages import ENTRY, STUDY
from meshpacs.archive.archive import Archive
from meshpacs.archive.arrival import Announced
from meshpacs.model.content import Entry


def _element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" if len(value) % 2 and vr == b"UI" else b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def study_bytes(comment: bytes) -> bytes:
    """The data set of a CT of a patient whose name has two component groups."""
    texts = (
        (0x0008, 0x0005, b"CS", b"ISO_IR 192"),
        (0x0008, 0x0016, b"UI", ENTRY.sop_class.encode()),
        (0x0008, 0x0018, b"UI", ENTRY.sop_uid.encode()),
        (0x0008, 0x0020, b"DA", b"20200229"),
        (0x0008, 0x0030, b"TM", b"101500.5"),
        (0x0008, 0x0060, b"CS", b"CT"),
        (0x0010, 0x0010, b"PN", "Meier^Anna=梅^安娜".encode()),
        (0x0010, 0x0020, b"LO", b"4711"),
        (0x0010, 0x0030, b"DA", b"19600101"),
        (0x0010, 0x4000, b"LT", comment),
        (0x0020, 0x000D, b"UI", STUDY.encode()),
        (0x0020, 0x000E, b"UI", ENTRY.series_uid.encode()),
    )
    return b"".join(_element(*text) for text in texts)


def shelved(archive: Archive, comment: bytes) -> None:
    """The archive with that one instance in it."""
    said = Announced(ENTRY.sop_class, ENTRY.sop_uid, ENTRY.transfer_syntax, "MODALITY")
    with archive.arrive(said) as arrival:
        arrival.write(study_bytes(comment))
        arrival.commit()


class Shelf:
    """What `Contributions` keeps its manifests on."""

    def __init__(self, archive: Archive) -> None:
        """Instances are the archive's."""
        self._archive = archive
        self._kept: dict[str, dict[bytes, tuple[int, bytes]]] = {}

    def own_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """Of the archive."""
        return self._archive.own_entries(study_uid)

    def study_entries(self, study_uid: str) -> tuple[Entry, ...]:
        """Of the archive."""
        return self._archive.study_entries(study_uid)

    def manifests(self, study_uid: str) -> Mapping[bytes, tuple[int, bytes]]:
        """The newest of each origin."""
        return self._kept.get(study_uid, {})

    def keep_manifest(self, study_uid: str, origin: bytes, version: int, signed: bytes) -> None:
        """In memory alone."""
        self._kept.setdefault(study_uid, {})[origin] = version, signed
