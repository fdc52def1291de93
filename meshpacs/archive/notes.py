"""What the node itself notes beside the instances: manifests, boot numbers, small facts."""

import sqlite3
from dataclasses import dataclass

from meshpacs.archive.index import Transaction


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A signed manifest that is to be kept, if its version is newer than what is known."""

    origin: bytes
    version: int
    signed: bytes


def keep_manifest(tx: Transaction, study_uid: str, newer: NewManifest) -> bool:
    """Remember it; False if a newer or equal version is known."""
    done = tx.con.execute(
        "INSERT INTO manifests VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET version = excluded.version, signed = excluded.signed"
        " WHERE excluded.version > version",
        (study_uid, newer.origin, newer.version, newer.signed),
    )
    return done.rowcount > 0


def manifests(con: sqlite3.Connection, study_uid: str) -> dict[bytes, tuple[int, bytes]]:
    """The latest of each origin: version and signed bytes."""
    rows = con.execute(
        "SELECT origin, version, signed FROM manifests WHERE study_uid = ? ORDER BY origin",
        (study_uid,),
    )
    return {origin: (version, signed) for origin, version, signed in rows}


def keep_boot(tx: Transaction, node: bytes, boot: int) -> None:
    """Remember it, if it is the highest so far."""
    tx.con.execute(
        "INSERT INTO boots VALUES (?, ?) ON CONFLICT DO UPDATE SET boot = excluded.boot"
        " WHERE excluded.boot > boot",
        (node, boot),
    )


def boots(con: sqlite3.Connection) -> dict[bytes, int]:
    """The highest of each member."""
    return dict(con.execute("SELECT node, boot FROM boots ORDER BY node"))


def remember(tx: Transaction, name: str, value: bytes) -> None:
    """Keep a small fact."""
    tx.con.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def recall(con: sqlite3.Connection, name: str) -> bytes | None:
    """A fact that was remembered."""
    row = con.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])
