"""What an instance is made of: contents, entries, and the states of a study (protocol 9)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES

CONTENT_VERSION = b"meshpacs/content/1"


def leaf(chunk: bytes | bytearray | memoryview) -> Digest:
    """The digest of one chunk of at most `LEAF_BYTES`."""
    return Digest(hashlib.sha256(chunk).digest())


def content_root(size_bytes: int, leaves: bytes) -> Digest:
    """The digest of a data set's bytes, from its length and its leaves' digests in order.

    SHA-256 over version, length (8 bytes, big-endian) and the concatenated leaves, so that any
    chunk can be verified alone once the leaf list is known to be right. The same number names
    the content and roots the leaf list. Protocol 9.1.
    """
    digest = hashlib.sha256(CONTENT_VERSION)
    digest.update(size_bytes.to_bytes(8, "big"))
    digest.update(leaves)
    return Digest(digest.digest())


def leaf_count(size_bytes: int) -> int:
    """How many leaves a data set of this many bytes has; none for an empty one."""
    return -(-size_bytes // LEAF_BYTES)


@dataclass(frozen=True, slots=True)
class Content:
    """A data set's bytes, named: two instances are the same if and only if this is equal."""

    transfer_syntax: str
    size_bytes: int
    """Bytes of the data set, without preamble and file meta information."""
    root: Digest


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One instance as a manifest lists it: enough to count a study and to fetch it."""

    sop_uid: str
    sop_class: str
    series_uid: str
    modality: str
    transfer_syntax: str
    size_bytes: int
    root: Digest

    @property
    def content(self) -> Content:
        """The bytes this entry stands for."""
        return Content(self.transfer_syntax, self.size_bytes, self.root)


@dataclass(frozen=True, slots=True)
class StudyState:
    """What one holder has of one study: equal roots mean equal holdings (protocol 5.6)."""

    study_uid: str
    root: Digest
    count: int


def study_root(entries: Iterable[Entry]) -> Digest:
    """The digest of a set of instances; the order in which they come does not matter."""
    digest = hashlib.sha256(b"meshpacs/study/1")
    for entry in sorted(entries):
        for text in (entry.sop_uid, entry.transfer_syntax):
            digest.update(text.encode() + b"\0")
        digest.update(entry.root)
    return Digest(digest.digest())
