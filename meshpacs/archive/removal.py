"""Taking a study out of this archive, for ever: rows first, then blobs.

A crash leaves at worst blobs that no row knows of. Such a one is otherwise taken for an instance
that was about to be acknowledged (see repair.py), so what is removed is noted in the same
transaction, and the next start finishes the work instead.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

from meshpacs.archive.arrival import Stores
from meshpacs.archive.blobs import Blobs
from meshpacs.archive.faults import DiskFull
from meshpacs.archive.filing import forget_contents
from meshpacs.archive.holdings import entries
from meshpacs.archive.index import Transaction
from meshpacs.archive.indexed import header_of, unpack
from meshpacs.archive.notes import NewManifest, keep_manifest
from meshpacs.model.content import Entry
from meshpacs.model.errors import LocalFault


def remove_for_good(
    stores: Stores, study_uid: str, expected: Collection[Entry], manifest: NewManifest | None
) -> int:
    """Remove a study, on a full disk at the cost of the reserve; see `Archive.remove_study`."""

    def work(tx: Transaction) -> int:
        if manifest is not None:
            keep_manifest(tx, study_uid, manifest)
        return remove_study(tx, stores.blobs, study_uid, expected)

    try:
        aside = stores.index.write(work)
    except DiskFull:
        if not stores.blobs.room.give_up():
            raise
        aside = stores.index.write(work)
    tidy(stores)
    return aside


def tidy(stores: Stores) -> None:
    """See `Archive.tidy`."""
    with suppress(OSError):
        if stores.blobs.room.short:
            stores.index.shorten_log()
    stores.blobs.room.lay_by()


def remove_study(tx: Transaction, blobs: Blobs, study_uid: str, expected: Collection[Entry]) -> int:
    """Remove a study's instances and what lies aside of it; how many lay aside.

    Raises:
        LocalFault: the study is not what `expected` lists, any more.
    """
    con = tx.con
    if set(entries(con, study_uid)) != set(expected):
        raise LocalFault(
            f"The study {study_uid} has changed meanwhile; nothing was removed.", "Look again."
        )
    ours = "SELECT study FROM studies WHERE study_uid = ?"
    series = f"SELECT series FROM series WHERE study IN ({ours})"  # noqa: S608  # our own words
    one = (study_uid,)
    contents = [
        content
        for (content,) in con.execute(
            f"SELECT content FROM instances WHERE series IN ({series})",  # noqa: S608
            one,
        )
    ]
    patients = con.execute("SELECT patient FROM studies WHERE study_uid = ?", one).fetchall()
    con.execute(f"DELETE FROM instances WHERE series IN ({series})", one)  # noqa: S608
    con.execute(f"DELETE FROM series WHERE study IN ({ours})", one)  # noqa: S608
    con.execute("DELETE FROM studies WHERE study_uid = ?", one)
    con.executemany(
        "DELETE FROM patients WHERE patient = ?1"
        " AND NOT EXISTS (SELECT 1 FROM studies WHERE patient = ?1)",
        patients,
    )
    aside = _aside(tx, study_uid)
    con.executemany("DELETE FROM conflicts WHERE conflict = ?", [(n,) for n, _ in aside])
    con.execute("DELETE FROM losses WHERE study_uid = ?", one)
    con.execute("DELETE FROM partial_studies WHERE study_uid = ?", one)
    forget_contents(tx, blobs, [*contents, *(content for _, content in aside)])
    return len(aside)


def _aside(tx: Transaction, study_uid: str) -> Sequence[tuple[int, int]]:
    """The conflicts whose own header names the study: number and content."""
    rows = tx.con.execute("SELECT conflict, content, record FROM conflicts")
    return [
        (number, content)
        for number, content, record in rows
        if header_of(unpack(record)).study_uid == study_uid
    ]
