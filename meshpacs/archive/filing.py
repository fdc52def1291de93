"""How an instance gets its place in the index: visible, unchanged, in conflict, or staged.

Content decides (PROTOCOL 9.1). The same SOP Instance UID with the same content is no change,
whatever file meta information it came with; with other content the first is kept and the second
is kept aside, where people see it.

Whose study is it? A patient is a PatientID with its issuer and a name. Two names under one number
are two patients, because a wrong merge hides a person and a wrong split does not. Instances of
one study that share PatientID and issuer are one study, though its names may be spelled in
several ways; what is shown of patient, study and series is what their first instance says. A
study whose instances name two PatientIDs is two rows, one for each. Without a PatientID every
study has a patient of its own.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from meshpacs.archive.blobs import BlobName, Blobs
from meshpacs.archive.index import Transaction
from meshpacs.archive.indexed import Header, first, header_of, pack, unpack
from meshpacs.model.attributes import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    PATIENT_NAME,
    Level,
    Record,
)
from meshpacs.model.content import Content, Entry, leaf_count
from meshpacs.model.ids import Digest
from meshpacs.model.names import fold_name
from meshpacs.model.times import DAY_US, parse_da

STUDY_DATE = 0x0008_0020
BIRTH_DATE = 0x0010_0030
ACCESSION = 0x0008_0050

ANY = "\0"
"""Stored in a column whose value SQL cannot compare as the matching rules do; always included."""

SEPARATOR = "\n"
"""Between the values of a column that holds several."""


class Outcome(StrEnum):
    """What became of an instance that was not refused."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    """It was here already, with the same content."""
    CONFLICT = "conflict"
    """Another instance has its SOP Instance UID; this one is kept aside."""
    STAGED = "staged"
    """Durable, and not visible until its selection is adopted. Only then is the name durable, too:
    a power cut may take it, and the start after it finds the row without its file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `commit` returns: the instance is durable now."""

    outcome: Outcome
    entry: Entry
    study_uid: str
    now_own: bool = False
    """What this node itself vouches for has grown: its manifest of the study is out of date."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that is ready to be filed."""

    header: Header
    content: Content
    leaves: bytes
    offset: int
    """Of the data set in the file."""
    file: Path
    """Where the bytes are, durable; it is renamed or removed."""
    own: bool
    came_from: str
    selection: str = ""
    """Stage it into this selection instead of showing it."""

    @property
    def entry(self) -> Entry:
        """As a manifest lists it."""
        return entry_of(self.header, self.content)


def entry_of(header: Header, content: Content) -> Entry:
    """An instance as a manifest lists it."""
    return Entry(
        header.sop_uid,
        header.sop_class,
        header.series_uid,
        header.modality,
        content.transfer_syntax,
        content.size_bytes,
        content.root,
    )


def now_us() -> int:
    """The wall clock, Unix microseconds."""
    return time.time_ns() // 1000


def file_candidate(tx: Transaction, blobs: Blobs, candidate: Candidate) -> Verdict:
    """Give an instance its blob and its row."""
    content = keep_content(tx, blobs, candidate)
    entry, header = candidate.entry, candidate.header
    if candidate.selection:
        tx.con.execute(
            "INSERT OR IGNORE INTO staged (selection, sop_uid, content, came_from, record)"
            " VALUES (?, ?, ?, ?, ?)",
            (candidate.selection, header.sop_uid, content, candidate.came_from,
             pack(header.record)),
        )  # fmt: skip
        return Verdict(Outcome.STAGED, entry, header.study_uid)
    outcome, now_own = show(tx, header, content, own=candidate.own, came_from=candidate.came_from)
    return Verdict(outcome, entry, header.study_uid, now_own)


def keep_content(tx: Transaction, blobs: Blobs, candidate: Candidate) -> int:
    """Place the bytes under their name, unless they are there; the content's number."""
    wanted = candidate.content
    name = BlobName(wanted.root, wanted.transfer_syntax, fetched=not candidate.own)
    leaves = candidate.leaves if leaf_count(wanted.size_bytes) > 1 else None
    added = tx.con.execute(
        "INSERT OR IGNORE INTO contents"
        " (root, transfer_syntax, size_bytes, offset, fetched, leaves) VALUES (?, ?, ?, ?, ?, ?)",
        (wanted.root, wanted.transfer_syntax, wanted.size_bytes, candidate.offset, name.fetched,
         leaves),
    )  # fmt: skip
    if not added.rowcount:
        return _content_again(tx, blobs, candidate)
    folder = blobs.place(candidate.file, name)
    if not candidate.selection:  # else adopting it does so, once for each folder
        tx.folders[folder] = None
    tx.undo.append(lambda: _put_back(blobs.path(name), candidate.file))
    assert added.lastrowid is not None
    return added.lastrowid


def _content_again(tx: Transaction, blobs: Blobs, candidate: Candidate) -> int:
    """What came is here already, unless the disk has lost it."""
    wanted = candidate.content
    number, offset, fetched = tx.con.execute(
        "SELECT content, offset, fetched FROM contents WHERE root = ? AND transfer_syntax = ?",
        (wanted.root, wanted.transfer_syntax),
    ).fetchone()
    name = BlobName(wanted.root, wanted.transfer_syntax, fetched=bool(fetched))
    if whole(blobs.path(name), offset + wanted.size_bytes):
        if not candidate.selection:
            tx.folders[blobs.path(name).parent] = None
        tx.after.append(lambda: candidate.file.unlink(missing_ok=True))
        return int(number)
    # What came now heals it, behind a preface of its own length.
    tx.folders[blobs.place(candidate.file, name)] = None
    tx.undo.append(lambda: _put_back(blobs.path(name), candidate.file))
    tx.con.execute("UPDATE contents SET offset = ? WHERE content = ?", (candidate.offset, number))
    return int(number)


def _put_back(target: Path, file: Path) -> None:
    with suppress(OSError):  # an unclaimed blob, which the next start finds
        target.replace(file)


def whole(path: Path, size: int) -> bool:
    """Whether a file is there and of this size; its bytes are checked when they are read."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def show(
    tx: Transaction, header: Header, content: int, *, own: bool, came_from: str
) -> tuple[Outcome, bool]:
    """Make an instance visible, if its SOP Instance UID is free; and whether it is newly own."""
    held, held_own, lost = tx.con.execute(
        "SELECT content, own, EXISTS (SELECT 1 FROM losses WHERE sop_uid = ?1)"
        " FROM (SELECT 1) LEFT JOIN instances ON sop_uid = ?1",
        (header.sop_uid,),
    ).fetchone()
    if held is None:
        _insert(tx, header, content, own=own)
        if lost:
            tx.con.execute("DELETE FROM losses WHERE sop_uid = ?", (header.sop_uid,))
        return Outcome.STORED, own
    if held == content:
        if not own or held_own:
            return Outcome.UNCHANGED, False
        # It came from the mesh first and now by our own door: we vouch for it ourselves.
        tx.con.execute("UPDATE instances SET own = 1 WHERE sop_uid = ?", (header.sop_uid,))
        return Outcome.UNCHANGED, True
    tx.con.execute(
        "INSERT OR IGNORE INTO conflicts (sop_uid, content, own, came_from, arrived_us, record)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (header.sop_uid, content, own, came_from, now_us(), pack(header.record)),
    )
    return Outcome.CONFLICT, False


def _insert(tx: Transaction, header: Header, content: int, *, own: bool) -> None:
    study, series, modalities, classes = _place(tx, header)
    con, new_series = tx.con, series is None
    if new_series:
        series = con.execute(
            "INSERT INTO series (study, series_uid, instance_count, record) VALUES (?, ?, 1, ?)",
            (study, header.series_uid, pack(header.part(Level.SERIES))),
        ).lastrowid
    else:
        con.execute(
            "UPDATE series SET instance_count = instance_count + 1 WHERE series = ?", (series,)
        )
    # The state of a study covers all its rows (a study with two PatientIDs has two).
    con.execute(
        "UPDATE studies SET changed = ?1, instance_count = instance_count + (study = ?2),"
        " series_count = series_count + (study = ?2) * ?3,"
        " modalities = CASE study WHEN ?2 THEN ?4 ELSE modalities END,"
        " sop_classes = CASE study WHEN ?2 THEN ?5 ELSE sop_classes END WHERE study_uid = ?6",
        (tx.stamp, study, new_series, _with(modalities, header.modality),
         _with(classes, header.sop_class), header.study_uid),
    )  # fmt: skip
    con.execute(
        "INSERT INTO instances"
        " (series, sop_uid, sop_class, modality, content, own, arrived_us, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (series, header.sop_uid, header.sop_class, header.modality, content, own, now_us(),
         pack(header.part(Level.IMAGE))),
    )  # fmt: skip


def _place(tx: Transaction, header: Header) -> tuple[int, int | None, str, str]:
    """The study's row, made if it is new, its series' if there is one, and what the study has.

    In one statement: each costs a writer the interpreter's lock several times, which all who
    arrive at the same time want (measured: a third of the time of four associations).
    """
    patient_id = _all(header.record, PATIENT_ID)
    issuer = _all(header.record, ISSUER_OF_PATIENT_ID)
    found = tx.con.execute(
        "SELECT study, (SELECT series FROM series"
        "  WHERE series.study = studies.study AND series_uid = ?), modalities, sop_classes"
        " FROM studies JOIN patients USING (patient)"
        " WHERE study_uid = ? AND key_id = ? AND key_issuer = ?",
        (header.series_uid, header.study_uid, patient_id, issuer),
    ).fetchone()
    if found is None:
        return _new_study(tx, header, patient_id, issuer), None, "", ""
    study, series, modalities, classes = found
    return study, series, modalities, classes


def _new_study(tx: Transaction, header: Header, patient_id: str, issuer: str) -> int:
    con, record = tx.con, header.record
    key = (
        patient_id, issuer, fold_name(first(record, PATIENT_NAME)),
        "" if patient_id else header.study_uid,
    )  # fmt: skip
    search = (_single(record, PATIENT_ID), _names(record), _date(record, BIRTH_DATE))
    row = con.execute(
        "SELECT patient FROM patients"
        " WHERE key_id = ? AND key_issuer = ? AND key_name = ? AND key_study = ?",
        key,
    ).fetchone()
    patient = row[0] if row else con.execute(
        "INSERT INTO patients (key_id, key_issuer, key_name, key_study, patient_id, names,"
        " birth_date, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, *search, pack(header.part(Level.PATIENT))),
    ).lastrowid  # fmt: skip
    study = con.execute(
        "INSERT INTO studies (patient, study_uid, patient_id, names, birth_date, study_date,"
        " accession, changed, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (patient, header.study_uid, *search, _date(record, STUDY_DATE),
         _single(record, ACCESSION), tx.stamp, pack(header.part(Level.PATIENT, Level.STUDY))),
    ).lastrowid  # fmt: skip
    assert study is not None
    return study


def adopt(tx: Transaction, blobs: Blobs, selection: str) -> list[tuple[Outcome, Entry, str]]:
    """Make a whole selection visible; what became of each, with its study."""
    rows = tx.con.execute(
        "SELECT record, content, came_from, root, transfer_syntax, size_bytes"
        " FROM staged JOIN contents USING (content) WHERE selection = ? ORDER BY staged",
        (selection,),
    ).fetchall()
    done = []
    for record, content, came_from, root, syntax, size in rows:
        tx.folders[blobs.path(BlobName(Digest(root), syntax, fetched=True)).parent] = None
        header = header_of(unpack(record))
        outcome, _ = show(tx, header, content, own=False, came_from=came_from)
        entry = entry_of(header, Content(syntax, size, Digest(root)))
        done.append((outcome, entry, header.study_uid))
    tx.con.execute("DELETE FROM staged WHERE selection = ?", (selection,))
    return done


def forget_contents(tx: Transaction, blobs: Blobs, contents: list[int]) -> None:
    """Remove the contents among these that nothing refers to any more, and their blobs."""
    for content in contents:
        row = tx.con.execute(
            "SELECT root, transfer_syntax, fetched FROM contents WHERE content = ?1"
            " AND NOT EXISTS (SELECT 1 FROM instances WHERE content = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM conflicts WHERE content = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM staged WHERE content = ?1)",
            (content,),
        ).fetchone()
        if row is not None:
            tx.con.execute("DELETE FROM contents WHERE content = ?", (content,))
            name = BlobName(Digest(row[0]), row[1], fetched=bool(row[2]))
            if not name.fetched:
                tx.con.execute("INSERT OR IGNORE INTO removed VALUES (?, ?)", row[:2])
            tx.after.append(partial(_unlink, tx, blobs, name))


def _unlink(tx: Transaction, blobs: Blobs, name: BlobName) -> None:
    """Remove a blob, unless the same content has come again in the same transaction."""
    again = tx.con.execute(
        "SELECT fetched FROM contents WHERE root = ? AND transfer_syntax = ?",
        (name.root, name.transfer_syntax),
    ).fetchone()
    if again is None or bool(again[0]) != name.fetched:
        blobs.path(name).unlink(missing_ok=True)


def lose(tx: Transaction, content: int, why: str) -> int:
    """Take a content that the disk has lost out of the index; how many instances it was.

    Its instances are remembered as lost, so that people are told and the mesh can be asked.
    """
    con = tx.con
    found = con.execute(
        "SELECT instance, series, study, study_uid, sop_uid, own"
        " FROM instances JOIN series USING (series) JOIN studies USING (study)"
        " WHERE content = ?",
        (content,),
    ).fetchall()
    for instance, series, study, study_uid, sop_uid, own in found:
        con.execute(
            "INSERT OR REPLACE INTO losses SELECT ?, ?, root, transfer_syntax, ?, ?, ?"
            " FROM contents WHERE content = ?",
            (sop_uid, study_uid, own, now_us(), why, content),
        )
        con.execute("DELETE FROM instances WHERE instance = ?", (instance,))
        _recount(tx, series, study, study_uid)
    for table in ("conflicts", "staged"):
        con.execute(f"DELETE FROM {table} WHERE content = ?", (content,))  # noqa: S608  # our names
    con.execute("DELETE FROM contents WHERE content = ?", (content,))
    return len(found)


def _recount(tx: Transaction, series: int, study: int, study_uid: str) -> None:
    """Mend the counts above an instance that is gone, and remove what became empty."""
    con = tx.con
    con.execute("UPDATE series SET instance_count = instance_count - 1 WHERE series = ?", (series,))
    con.execute("DELETE FROM series WHERE series = ? AND instance_count = 0", (series,))
    rows = con.execute(
        "SELECT DISTINCT modality, sop_class FROM instances JOIN series USING (series)"
        " WHERE study = ?",
        (study,),
    ).fetchall()
    con.execute(
        "UPDATE studies SET modalities = ?2, sop_classes = ?3,"
        " instance_count = instance_count - 1,"
        " series_count = (SELECT count(*) FROM series WHERE study = ?1) WHERE study = ?1",
        (study, SEPARATOR.join(sorted({m for m, _ in rows if m})),
         SEPARATOR.join(sorted({c for _, c in rows}))),
    )  # fmt: skip
    con.execute("UPDATE studies SET changed = ? WHERE study_uid = ?", (tx.stamp, study_uid))
    (patient,) = con.execute("SELECT patient FROM studies WHERE study = ?", (study,)).fetchone()
    con.execute("DELETE FROM studies WHERE study = ? AND instance_count = 0", (study,))
    con.execute(
        "DELETE FROM patients WHERE patient = ?1"
        " AND NOT EXISTS (SELECT 1 FROM studies WHERE patient = ?1)",
        (patient,),
    )


def _with(values: str, value: str) -> str:
    """A column of several values with one more."""
    if not value or value in values.split(SEPARATOR):
        return values
    return SEPARATOR.join(sorted({*values.split(SEPARATOR), value} - {""}))


def _all(record: Record, tag: int) -> str:
    return "\\".join(value for value in record.get(tag, ()) if isinstance(value, str))


def _single(record: Record, tag: int) -> str | None:
    values = record.get(tag, ())
    return ANY if len(values) > 1 else first(record, tag) or None


def _names(record: Record) -> str:
    values = record.get(PATIENT_NAME, ())
    return SEPARATOR.join(fold_name(value) for value in values if isinstance(value, str))


def _date(record: Record, tag: int) -> int | str | None:
    """A date as its day's ordinal, so that its two ways of writing compare alike."""
    text = _single(record, tag)
    if text is None or text == ANY:
        return text
    day = parse_da(text)
    return ANY if day is None else day.first_us // DAY_US
