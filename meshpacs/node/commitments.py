"""Requests for storage commitment as rows that survive a kill, until they are reported.

A file of its own beside the archive: the archive's index can be made anew from its blobs, these
cannot. Each request is durable before its requestor is told that it was taken in (PS3.4 J.3.2.2);
of those that are reported or given up a number is remembered, so that a repeat is known for one.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
import trio

from meshpacs.archive.faults import DiskFull, IndexDamaged, disk_fault
from meshpacs.model.commitment import GIVE_UP_US, Reference, retry_at
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import SECOND, Digest, Micros
from meshpacs.model.limits import (
    COMMITMENT_REFERENCES,
    COMMITMENTS_KEPT,
    COMMITMENTS_OF_ONE,
    COMMITMENTS_OPEN,
)
from meshpacs.node.home import sync_folder
from meshpacs.node.views import CommitmentsView, TransactionView

log = structlog.get_logger()

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    number    INTEGER PRIMARY KEY,
    title     TEXT    NOT NULL,  -- the AE title that asked
    host      TEXT    NOT NULL,  -- the address that it asked from
    called    TEXT    NOT NULL,  -- the title that it knows us by
    uid       TEXT    NOT NULL,
    asked_us  INTEGER NOT NULL,
    digest    BLOB    NOT NULL,  -- of the instances that it asked about
    instances INTEGER NOT NULL,
    names     BLOB,              -- these instances; NULL once the transaction has ended
    duplicate INTEGER NOT NULL,  -- its UID was in use for other instances
    state     TEXT    NOT NULL,  -- open, reported, given up
    attempts  INTEGER NOT NULL DEFAULT 0,
    next_us   INTEGER NOT NULL DEFAULT 0,
    what      TEXT    NOT NULL DEFAULT '',
    mend      TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS transactions_uid ON transactions (title, uid);
CREATE INDEX IF NOT EXISTS transactions_state ON transactions (state);
"""

OPEN, REPORTED, GIVEN_UP = "open", "reported", "given up"

SHOWN = 50
"""Transactions that `status` lists. A guess; it counts all of them."""

SHOWN_GIVEN_UP_US = 7 * 24 * 3600 * 1_000_000
"""How long one that was given up stays in `status`. A guess: a week has its working days."""

CLOSE_S = 0.2
"""Seconds that a write under way has until the file is closed. A guess."""


class NoPlace(Unavailable):
    """No further request can be kept now, or none of this requestor's."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One row, without the instances."""

    number: int
    title: str
    host: str
    called: str
    uid: str
    asked_us: Micros
    instances: int
    duplicate: bool
    state: str
    attempts: int = 0
    next_us: Micros = 0
    what: str = ""
    mend: str = ""


_COLUMNS = (
    "number, title, host, called, uid, asked_us, instances, duplicate, state, attempts, next_us,"
    " what, mend"
)


class Commitments:
    """The file of one node; all methods are for trio tasks, the work is done in threads."""

    def __init__(self, path: Path, con: sqlite3.Connection, wall: Callable[[], Micros]) -> None:
        """Use `open`; `wall` is Unix microseconds."""
        self._path = path
        self._con = con
        self._wall = wall
        self._turn = trio.CapacityLimiter(1)
        self.repaired = ""
        """A sentence about what the start has mended."""

    @classmethod
    async def open(cls, path: Path, wall: Callable[[], Micros]) -> "Commitments":
        """Open or make the file; a damaged one is set aside.

        Raises:
            Unavailable: the disk is full, read-only or failing.
        """

        def work() -> Commitments:
            try:
                return cls(path, _connected(path), wall)
            except IndexDamaged:
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        whole = path.with_name(path.name + suffix)
                        whole.replace(whole.with_name(f"{whole.name}.damaged"))
                made = cls(path, _connected(path), wall)
                made.repaired = (
                    f"{path.name} was damaged and is begun anew; requests for storage commitment "
                    f"that it held are not answered. It lies beside as {path.name}.damaged."
                )
                log.warning("commitments_begun_anew", file=str(path))
                return made

        return await trio.to_thread.run_sync(work)

    async def close(self) -> None:
        """Let a write under way end; for shielded use, within `CLOSE_S` and a little."""
        with trio.move_on_after(CLOSE_S):
            await self._turn.acquire()
        await trio.to_thread.run_sync(self._con.close)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work in a thread, to its end, in one transaction that is durable on return."""

        def all_or_nothing() -> T:
            try:
                self._con.execute("BEGIN IMMEDIATE")
                try:
                    done = work(self._con)
                    self._con.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._con.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise disk_fault(error, self._path) from error
            return done

        return await trio.to_thread.run_sync(all_or_nothing, limiter=self._turn)

    # ------------------------------------------------------------ a request's life

    async def keep(
        self, title: str, host: str, called: str, uid: str, references: tuple[Reference, ...]
    ) -> Transaction:
        """Take a request in: durable when this returns.

        The same request again is the same transaction: begun anew if it has ended, since its
        requestor may not have heard. Another one of the same requestor with the same UID is a
        duplicate, which is to be reported so (PS3.4 J.3.2: a UID is used for one request).

        Raises:
            NoPlace: there are too many, or the disk is full.
            Damaged, Unavailable: it cannot be kept.
        """
        now = self._wall()

        def work(con: sqlite3.Connection) -> Transaction:
            names = msgspec.json.encode([(ref.sop_class, ref.sop_uid) for ref in references])
            digest = Digest(hashlib.sha256(names).digest())
            one = title, uid
            known = con.execute(
                f"SELECT digest, {_COLUMNS} FROM transactions WHERE title = ? AND uid = ?",  # noqa: S608
                one,
            ).fetchall()
            duplicate = bool(known)
            for before, *row in known:
                if before == digest:
                    same = _transaction(row)
                    if same.state == OPEN:
                        return same
                    duplicate = same.duplicate
            _check_place(con, title, len(references))
            con.execute(
                "DELETE FROM transactions WHERE title = ? AND uid = ? AND digest = ?",
                (*one, digest),
            )
            fresh = Transaction(0, title, host, called, uid, now, len(references), duplicate, OPEN)
            added = con.execute(
                "INSERT INTO transactions (title, host, called, uid, asked_us, digest, instances,"
                " names, duplicate, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (title, host, called, uid, fresh.asked_us, digest, fresh.instances,
                 zlib.compress(names, 1), duplicate, OPEN),
            )  # fmt: skip
            assert added.lastrowid is not None
            return replace(fresh, number=added.lastrowid)

        try:
            return await self._do(work)
        except DiskFull as fault:
            raise NoPlace(fault.what, fault.mend) from fault

    async def open_ones(self) -> tuple[Transaction, ...]:
        """All that are not reported yet, oldest first."""
        return await self._do(
            lambda con: _transactions(
                con.execute(
                    f"SELECT {_COLUMNS} FROM transactions WHERE state = ? ORDER BY number",  # noqa: S608
                    (OPEN,),
                )
            )
        )

    async def references(self, transaction: Transaction) -> tuple[Reference, ...] | None:
        """The instances that one asks about; None once it has ended."""

        def work(con: sqlite3.Connection) -> tuple[Reference, ...] | None:
            row = con.execute(
                "SELECT names FROM transactions WHERE number = ?", (transaction.number,)
            ).fetchone()
            names = None if row is None else row[0]
            if names is None:
                return None
            pairs: list[tuple[str, str]] = msgspec.json.decode(zlib.decompress(names))
            return tuple(Reference(sop_class, sop_uid) for sop_class, sop_uid in pairs)

        return await self._do(work)

    async def reported(self, transaction: Transaction) -> None:
        """Its requestor has acknowledged the report."""
        await self._end(transaction, REPORTED)

    async def not_delivered(self, transaction: Transaction, what: str, mend: str) -> Transaction:
        """An attempt to deliver its report has failed; it is due again later, or given up."""
        now = self._wall()
        attempts = transaction.attempts + 1
        due = retry_at(attempts, transaction.asked_us, now)
        after = replace(
            transaction,
            attempts=attempts,
            next_us=due or 0,
            state=OPEN if due else GIVEN_UP,
            what=what,
            mend=mend,
        )
        if due is None:
            await self._end(after, GIVEN_UP)
        else:
            await self._do(lambda con: _update(con, after))
        return after

    def left_s(self, transaction: Transaction) -> float:
        """Seconds until its next attempt is due; none or less: now."""
        return (transaction.next_us - self._wall()) / SECOND

    def left_at_all_s(self, transaction: Transaction) -> float:
        """Seconds until it is given up."""
        return (transaction.asked_us + GIVE_UP_US - self._wall()) / SECOND

    async def waits(self, transaction: Transaction, what: str, mend: str) -> Transaction:
        """Nothing can be tried before somebody does something; which is no attempt."""
        after = replace(transaction, what=what, mend=mend)
        if after == transaction:
            return transaction
        await self._do(lambda con: _update(con, after))
        return after

    async def _end(self, transaction: Transaction, state: str) -> None:
        def work(con: sqlite3.Connection) -> None:
            _update(con, replace(transaction, state=state, next_us=0))
            con.execute(
                "UPDATE transactions SET names = NULL WHERE number = ?", (transaction.number,)
            )
            con.execute(
                "DELETE FROM transactions WHERE state != ? AND number NOT IN (SELECT number"
                " FROM transactions WHERE state != ? ORDER BY number DESC LIMIT ?)",
                (OPEN, OPEN, COMMITMENTS_KEPT),
            )

        await self._do(work)

    # ------------------------------------------------------------ for people

    async def view(self) -> CommitmentsView:
        """What `status` tells."""
        since = self._wall() - SHOWN_GIVEN_UP_US

        def work(con: sqlite3.Connection) -> CommitmentsView:
            shown = f"FROM transactions WHERE state = '{OPEN}'"
            shown += f" OR (state = '{GIVEN_UP}' AND asked_us >= {since:d})"
            counted = dict(con.execute(f"SELECT state, count(*) {shown} GROUP BY state"))
            rows = con.execute(f"SELECT {_COLUMNS} {shown} ORDER BY number LIMIT {SHOWN}")
            return CommitmentsView(
                open=counted.get(OPEN, 0),
                given_up=counted.get(GIVEN_UP, 0),
                transactions=tuple(map(_view, _transactions(rows))),
                repaired=self.repaired,
            )

        return await self._do(work)


def _connected(path: Path) -> sqlite3.Connection:
    try:
        con = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            _prepare(con, path)
            path.chmod(0o600)  # its UIDs lead to patients
            sync_folder(path.parent)
        except BaseException:
            con.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise disk_fault(error, path) from error
    return con


def _prepare(con: sqlite3.Connection, path: Path) -> None:
    con.execute("PRAGMA journal_mode = WAL")
    con.execute("PRAGMA synchronous = FULL")
    (found,) = con.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise IndexDamaged(f"{path} is damaged.")
    con.executescript(f"BEGIN IMMEDIATE;\n{SCHEMA}\nCOMMIT;")


def _check_place(con: sqlite3.Connection, title: str, more: int) -> None:
    (count, instances, of_one) = con.execute(
        "SELECT count(*), coalesce(sum(instances), 0), coalesce(sum(title = ?), 0)"
        " FROM transactions WHERE state = ?",
        (title, OPEN),
    ).fetchone()
    if of_one >= COMMITMENTS_OF_ONE:
        raise NoPlace(
            f"{title} has {of_one} requests for storage commitment that are not reported yet.",
            "Let its reports be delivered: `meshpacs status` says what keeps them.",
        )
    if count >= COMMITMENTS_OPEN or instances + more > COMMITMENT_REFERENCES:
        raise NoPlace(
            f"{count} requests for storage commitment are not reported yet.",
            "Let them be delivered: `meshpacs status` says what keeps them.",
        )


def _update(con: sqlite3.Connection, now: Transaction) -> None:
    con.execute(
        "UPDATE transactions SET state = ?, attempts = ?, next_us = ?, what = ?, mend = ?"
        " WHERE number = ?",
        (now.state, now.attempts, now.next_us, now.what, now.mend, now.number),
    )


def _transactions(rows: Iterable[Sequence[Any]]) -> tuple[Transaction, ...]:
    return tuple(_transaction(row) for row in rows)


def _transaction(row: Sequence[Any]) -> Transaction:
    number, title, host, called, uid, asked_us, instances, duplicate, *rest = row
    asked = number, title, host, called, uid, asked_us, instances
    return Transaction(*asked, bool(duplicate), *rest)


def _view(one: Transaction) -> TransactionView:
    return TransactionView(
        calling=one.title,
        host=one.host,
        transaction_uid=one.uid,
        instances=one.instances,
        asked_us=one.asked_us,
        state=one.state,
        attempts=one.attempts,
        next_us=one.next_us,
        what=one.what,
        mend=one.mend,
    )
