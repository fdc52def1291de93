"""The index's connections: many readers, one writer at a time, and commits that are shared.

Group commit: whoever wants to write puts a ticket into the queue and waits for the writer's
lock. Who gets it does the work of all tickets that have come meanwhile, in one transaction with
one fsync, so the others find theirs done. Nobody waits for company: a lone writer commits at
once.

SQLite in WAL mode with synchronous=FULL: a commit that returned is on the disk (sqlite.org,
"PRAGMA synchronous").
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

from meshpacs.archive.faults import disk_fault
from meshpacs.model.errors import LocalFault, MeshError

T = TypeVar("T")

SCHEMA = 1
"""PRAGMA user_version. A newer one is refused, an older one would be brought up to date here."""

BATCH = 256
"""Tickets that share one commit. A guess: far above the number of threads."""

WAL_PAGES = 8_000
"""Pages (32 MiB) until the log is copied into the index. A guess: SQLite's 1,000 would have an
import do so every 25 commits."""

CACHE_KIB = 2_000
"""Pages of the index that one connection keeps. They fill slowly, as questions and imports touch
ever other pages, and with 8 MB for each a node grew for an hour and more (measured). The system has
the same pages at hand: an exact question takes 63 us instead of 59, and an import into an index of
20,000 instances 414 us of processor time instead of 420. A guess."""

SYNCING_THREADS = 4
"""Threads that make folders durable side by side, each its share. Measured with 8 and with 16
folders (ext4): one thread a folder is as quick, and waking it costs a third more."""

READERS_KEPT = 4
"""Idle read connections kept open. A guess; further ones are opened and closed."""


@dataclass(slots=True)
class Transaction:
    """What a writer works with. Nothing of it outlives the writer's function."""

    con: sqlite3.Connection
    stamp: int
    """Rises with every transaction; marks what it changed."""
    folders: dict[Path, None] = field(default_factory=dict)
    """Folders whose names must be durable before the commit is."""
    undo: list[Callable[[], None]] = field(default_factory=list)
    """Done if the commit fails."""
    after: list[Callable[[], None]] = field(default_factory=list)
    """Done once the commit is durable."""


Work = Callable[[Transaction], T]


@dataclass(slots=True)
class _Ticket(Generic[T]):
    work: Work[T]
    result: T | None = None
    error: Exception | None = None
    done: bool = False


class Index:
    """One SQLite file and the connections to it. All methods may be called from any thread."""

    def __init__(self, path: Path, sync_folder: Callable[[Path], None]) -> None:
        """Open or make the index.

        Raises:
            IndexDamaged: the file is no index, or a damaged one.
            LocalFault: it was made by a newer version of meshpacs.
        """
        self.path = path
        self._sync_folder = sync_folder
        self._queue: list[_Ticket[object]] = []
        self._queue_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._syncing = ThreadPoolExecutor(SYNCING_THREADS, "sync")
        try:
            self._writer = self._connect()
            try:
                self._prepare()
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise disk_fault(error, path) from error

    def _connect(self) -> sqlite3.Connection:
        con = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        con.execute("PRAGMA synchronous = FULL")
        con.execute("PRAGMA temp_store = MEMORY")
        con.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return con

    def _prepare(self) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise LocalFault(
                f"{self.path} was written by a newer meshpacs (index version {version}).",
                "Install that version or a later one.",
            )
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        schema = resources.files("meshpacs.archive").joinpath("schema.sql").read_text("utf-8")
        # One transaction: one fsync instead of one for each table.
        self._writer.executescript(f"BEGIN IMMEDIATE;\n{schema}\nCOMMIT;")
        self._writer.execute(f"PRAGMA user_version = {SCHEMA}")
        (self._stamp,) = self._writer.execute(
            "SELECT coalesce(max(changed), 0) FROM studies"
        ).fetchone()

    def check(self) -> None:
        """Read the whole index for damage.

        Raises:
            IndexDamaged: there is some.
        """
        try:
            found = self._writer.execute("PRAGMA quick_check(1)").fetchone()
            if found != ("ok",):
                raise disk_fault(_corrupt(found[0]), self.path)
        except sqlite3.Error as error:
            raise disk_fault(error, self.path) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the index, whatever is written meanwhile."""
        try:
            con = self._borrow()
            try:
                con.execute("BEGIN")
                yield con
            finally:
                with suppress(sqlite3.Error):
                    con.execute("ROLLBACK")
                self._give_back(con)
        except sqlite3.Error as error:
            raise disk_fault(error, self.path) from error

    def look(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of one statement: by itself it sees one state of the index."""
        try:
            con = self._borrow()
            try:
                row: tuple[Any, ...] | None = con.execute(statement, values).fetchone()
                return row
            finally:
                self._give_back(con)
        except sqlite3.Error as error:
            raise disk_fault(error, self.path) from error

    def _borrow(self) -> sqlite3.Connection:
        with self._queue_lock:
            if self._closed:
                raise LocalFault("The archive is closed.")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, con: sqlite3.Connection) -> None:
        with self._queue_lock:
            if not self._closed and len(self._idle) < READERS_KEPT:
                self._idle.append(con)
                return
        con.close()

    def write(self, work: Work[T]) -> T:
        """Have `work` done within a transaction, alone or with others'; durable on return.

        Whatever `work` raises of our own errors or the operating system's is raised here, and
        costs the others nothing.

        Raises:
            MeshError: the disk is full or failing; nothing of the transaction remains.
        """
        ticket = _Ticket(work)
        with self._queue_lock:
            if self._closed:
                raise LocalFault("The archive is closed.")
            self._queue.append(ticket)  # type: ignore[arg-type]  # the queue never looks inside
        with self._write_lock:
            while not ticket.done:
                with self._queue_lock:
                    batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
                self._perform(batch)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[return-value]  # done without error: `work` returned it

    def _perform(self, batch: list[_Ticket[object]]) -> None:
        self._stamp += 1
        transaction = Transaction(self._writer, self._stamp)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for ticket in batch:
                self._do(ticket, transaction, alone=len(batch) == 1)
            if self._writer.in_transaction:
                self._sync_folders(transaction.folders)
                self._writer.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._fail(batch, transaction, error)
        except BaseException as error:
            self._fail(batch, transaction, LocalFault(f"A fault of ours: {type(error).__name__}."))
            raise
        else:
            for act in transaction.after:
                # What is left over the next start removes.
                with suppress(OSError, sqlite3.Error):
                    act()
        finally:
            for ticket in batch:
                ticket.done = True

    def _sync_folders(self, folders: Collection[Path]) -> None:
        if len(folders) > 1:
            # Side by side: the disk then flushes once for all of them. Six took 17 ms one after
            # another and 2 ms together (ext4, measured); contents' digests spread over folders.
            # A share is this thread's own, which would only wait.
            all_of_them = list(folders)
            threads = range(min(SYNCING_THREADS, len(folders)))
            shares = [all_of_them[number::SYNCING_THREADS] for number in threads]
            others = [self._syncing.submit(self._sync_each, share) for share in shares[1:]]
            try:
                self._sync_each(shares[0])
            finally:
                wait(others)
            for other in others:
                other.result()
        else:
            self._sync_each(folders)

    def _sync_each(self, folders: Collection[Path]) -> None:
        for folder in folders:
            self._sync_folder(folder)

    def _do(self, ticket: _Ticket[object], transaction: Transaction, *, alone: bool) -> None:
        undone, followed = len(transaction.undo), len(transaction.after)
        if not alone:
            self._writer.execute("SAVEPOINT ticket")
        try:
            ticket.result = ticket.work(transaction)
        except (MeshError, OSError) as error:
            self._writer.execute("ROLLBACK" if alone else "ROLLBACK TO ticket")
            for act in reversed(transaction.undo[undone:]):
                act()
            del transaction.undo[undone:], transaction.after[followed:]
            ticket.error = disk_fault(error, self.path) if isinstance(error, OSError) else error
        if not alone:
            self._writer.execute("RELEASE ticket")

    def _fail(
        self, batch: list[_Ticket[object]], transaction: Transaction, error: Exception
    ) -> None:
        with suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        for act in reversed(transaction.undo):
            with suppress(OSError):
                act()
        for ticket in batch:
            if isinstance(error, (sqlite3.Error, OSError)):
                ticket.error = disk_fault(error, self.path)
            else:
                ticket.error = error

    def shorten_log(self) -> None:
        """Copy the log into the index and cut it: up to `WAL_PAGES` are room. Never raises."""
        with self._write_lock, suppress(sqlite3.Error):  # closed, or a disk that takes nothing
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Close every connection; those in use are closed when they are given back."""
        with self._write_lock, self._queue_lock:
            self._closed = True
            for con in self._idle:
                con.close()
            self._idle.clear()
            self._writer.close()
            self._syncing.shutdown()


def _corrupt(words: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(words)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
