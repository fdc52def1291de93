"""What is here, read from the index: entries, states, contents, conflicts, losses, counts."""

import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass

from meshpacs.archive.blobs import BlobName
from meshpacs.archive.filing import entry_of
from meshpacs.archive.indexed import header_of, unpack
from meshpacs.model.content import Content, Entry, StudyState, study_root
from meshpacs.model.ids import Digest, Micros

STATES_KEPT = 65_536
"""Study states remembered; one takes about 300 bytes. A guess."""

_ENTRIES = """
    SELECT sop_uid, sop_class, series_uid, modality, transfer_syntax, size_bytes, root
    FROM studies JOIN series USING (study) JOIN instances USING (series)
    JOIN contents USING (content) WHERE study_uid = ?"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One content as the disk has it."""

    number: int
    content: Content
    offset: int
    """Of the data set in the blob."""
    name: BlobName
    leaves: bytes
    """Empty for contents of at most one leaf, whose root says it all."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An instance that is kept aside, because another has its SOP Instance UID."""

    sop_uid: str
    study_uid: str
    """What the instance that is aside says."""
    series_uid: str
    kept: Content | None
    """What is visible under this UID; None if the disk has lost it."""
    kept_own: bool
    aside: Content
    came_from: str
    """The calling AE, or who it was fetched from; may be empty."""
    arrived_us: Micros


@dataclass(frozen=True, slots=True)
class Instance:
    """What is under one SOP Instance UID."""

    entry: Entry | None
    """What is visible; None if nothing is."""
    in_conflict: bool
    """Whether another content under the same UID is kept aside."""


@dataclass(frozen=True, slots=True)
class Loss:
    """An instance that was here and whose bytes the disk has lost."""

    sop_uid: str
    study_uid: str
    content_root: Digest
    transfer_syntax: str
    own: bool
    found_us: Micros
    why: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is here and visible; conflicts and bytes count what is kept aside too."""

    patients: int
    studies: int
    """Study Instance UIDs."""
    series: int
    instances: int
    conflicts: int
    losses: int
    bytes: int
    """Of data sets."""


def entries(con: sqlite3.Connection, study_uid: str, *, own: bool = False) -> tuple[Entry, ...]:
    """A study's visible instances by SOP Instance UID; `own`: only those of our own door."""
    rows = con.execute(_ENTRIES + (" AND own" if own else ""), (study_uid,)).fetchall()
    return tuple(sorted(Entry(*row) for row in rows))


def instance(con: sqlite3.Connection, sop_uid: str) -> Instance:
    """What is under one SOP Instance UID."""
    row = con.execute(
        "SELECT sop_uid, sop_class, series_uid, modality, transfer_syntax, size_bytes, root"
        " FROM instances JOIN series USING (series) JOIN contents USING (content)"
        " WHERE sop_uid = ?",
        (sop_uid,),
    ).fetchone()
    aside = con.execute("SELECT 1 FROM conflicts WHERE sop_uid = ? LIMIT 1", (sop_uid,)).fetchone()
    return Instance(None if row is None else Entry(*row), in_conflict=aside is not None)


def stored(con: sqlite3.Connection, root: Digest, transfer_syntax: str = "") -> Stored | None:
    """A content by its root; the same bytes under any transfer syntax, unless one is given."""
    row = con.execute(
        "SELECT content, transfer_syntax, size_bytes, offset, fetched, leaves FROM contents"
        " WHERE root = ?1 AND (?2 = '' OR transfer_syntax = ?2) LIMIT 1",
        (root, transfer_syntax),
    ).fetchone()
    if row is None:
        return None
    number, syntax, size, offset, fetched, leaves = row
    return Stored(
        number,
        Content(syntax, size, root),
        offset,
        BlobName(root, syntax, fetched=bool(fetched)),
        leaves or b"",
    )


def conflicts(con: sqlite3.Connection) -> tuple[Conflict, ...]:
    """All conflicts, oldest first."""
    found = []
    rows = con.execute(
        "SELECT c.sop_uid, c.record, a.transfer_syntax, a.size_bytes, a.root,"
        " k.transfer_syntax, k.size_bytes, k.root, coalesce(i.own, 0), c.came_from, c.arrived_us"
        " FROM conflicts c JOIN contents a USING (content)"
        " LEFT JOIN instances i ON i.sop_uid = c.sop_uid"
        " LEFT JOIN contents k ON k.content = i.content ORDER BY conflict"
    )
    for sop_uid, record, syntax, size, root, kept_syntax, kept_size, kept_root, *rest in rows:
        header = header_of(unpack(record))
        kept = Content(kept_syntax, kept_size, Digest(kept_root)) if kept_root else None
        aside = Content(syntax, size, Digest(root))
        own, came_from, arrived_us = rest
        found.append(
            Conflict(
                sop_uid, header.study_uid, header.series_uid, kept, bool(own), aside, came_from,
                arrived_us,
            )
        )  # fmt: skip
    return tuple(found)


def losses(con: sqlite3.Connection) -> tuple[Loss, ...]:
    """All losses that have not been made good, newest first."""
    rows = con.execute(
        "SELECT sop_uid, study_uid, root, transfer_syntax, own, found_us, why FROM losses"
        " ORDER BY found_us DESC, sop_uid"
    )
    return tuple(
        Loss(sop_uid, study, Digest(root), syntax, bool(own), found, why)
        for sop_uid, study, root, syntax, own, found, why in rows
    )


def staged(con: sqlite3.Connection, selection: str) -> tuple[Entry, ...]:
    """What is durable in a selection, in the order in which it came."""
    rows = con.execute(
        "SELECT record, transfer_syntax, size_bytes, root FROM staged JOIN contents USING (content)"
        " WHERE selection = ? ORDER BY staged",
        (selection,),
    ).fetchall()
    return tuple(
        entry_of(header_of(unpack(record)), Content(syntax, size, Digest(root)))
        for record, syntax, size, root in rows
    )


def counts(con: sqlite3.Connection) -> Counts:
    """Count everything."""
    (row,) = con.execute(
        "SELECT (SELECT count(*) FROM patients),"
        " (SELECT count(DISTINCT study_uid) FROM studies),"
        " (SELECT count(*) FROM series),"
        " (SELECT count(*) FROM instances),"
        " (SELECT count(*) FROM conflicts),"
        " (SELECT count(*) FROM losses),"
        " (SELECT coalesce(sum(size_bytes), 0) FROM contents)"
    )
    return Counts(*row)


class States:
    """The states of studies, each computed once until the study changes (PROTOCOL 5.6)."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: OrderedDict[str, tuple[int, StudyState]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, con: sqlite3.Connection, study_uid: str, changed: int) -> StudyState:
        """A study's state as this connection sees it; `changed` is the study's stamp."""
        with self._lock:
            known = self._known.get(study_uid)
            if known is not None and known[0] == changed:
                self._known.move_to_end(study_uid)
                return known[1]
        found = entries(con, study_uid)
        state = StudyState(study_uid, study_root(found), len(found))
        with self._lock:
            self._known[study_uid] = (changed, state)
            while len(self._known) > STATES_KEPT:
                self._known.popitem(last=False)
        return state
