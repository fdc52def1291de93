"""What the node must never forget of others: the roster's log and the boots heard.

The engine's KeepRoster and KeepBoot effects are carried out at once and in memory; one task
brings them to the disk in a worker thread, so that the owner of the engine never waits for a
disk. Whoever must not speak before something is durable (an admission) awaits `settled`.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import structlog
import trio

from meshpacs.model.errors import Damaged, LocalFault, MeshError
from meshpacs.model.ids import NodeId
from meshpacs.node.home import sync_folder, write_durably
from meshpacs.wire.roster import News

log = structlog.get_logger()

MAGIC = b"meshpacs/roster/1\n"

RETRY_S = 5.0
"""Seconds until a write that failed is tried again. A guess."""

SLACK_BYTES = 1024 * 1024
"""What the roster's log may have grown by, beyond twice what was kept, before it is written anew.
A guess: a mesh of 1,000 members renews all its records in half of it."""

Kind = Literal["entry", "admission", "record"]
KINDS: tuple[Kind, ...] = ("entry", "admission", "record")

MARK = 255
"""The kind of what stands before each append: where in the file it stands itself, in 8 bytes."""

MARK_HEAD = (8).to_bytes(4, "big") + bytes([MARK])
MARK_BYTES = len(MARK_HEAD) + 8 + 4


@dataclass(slots=True)
class RosterLog:
    """The file `roster.log`: signed bytes, each behind its length and kind, before its CRC-32.

    The signatures protect what is said; the checksum finds a torn tail. An append begins with a
    mark, and is begun only when the one before is durable. So what is not whole and has no mark
    behind it is the last append, any sectors of which a power cut may have kept from the disk;
    what has one behind it was durable once, and is damage.
    """

    path: Path
    whole_bytes: int | None = None
    """How much of the file is right; None until something was appended."""

    def read(self) -> tuple[list[tuple[Kind, bytes]], str]:
        """All records in order, and a sentence about a torn tail that was moved away, if any.

        A crash tears at most the last append, which nobody was told of yet. The torn bytes are
        kept beside the log, in case it was not a crash that tore them.

        Raises:
            Damaged: the file is not a roster log, or its middle is damaged.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return [], ""
        if not data.startswith(MAGIC):
            if not MAGIC.startswith(data):
                raise self._damaged()
            self.path.unlink()
            return [], ""
        records: list[tuple[Kind, bytes]] = []
        at = len(MAGIC)
        while at < len(data):
            end = at + 9 + int.from_bytes(data[at : at + 4], "big")
            payload = data[at + 4 : end - 4]
            if zlib.crc32(payload).to_bytes(4, "big") != data[end - 4 : end]:
                if _marked(data, at + 1):
                    raise self._damaged()
                return records, self._cut(data, at)
            if payload[0] < len(KINDS):
                records.append((KINDS[payload[0]], payload[1:]))
            elif payload[0] != MARK:
                raise self._damaged()
            at = end
        return records, ""

    def append(self, records: Iterable[tuple[Kind, bytes]]) -> None:
        """Add records, durable when this returns; a failed append leaves no torn bytes behind.

        Where even that failed, because the disk is failing, the next append cuts them off first:
        behind torn bytes whatever is added would be taken for damage at the next start.
        """
        # Unbuffered: a buffer that a full disk did not take would be written again, torn, by the
        # call that is to cut it off.
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            if self.whole_bytes is not None and self.whole_bytes < before:
                before = file.truncate(self.whole_bytes)
            self.whole_bytes = before
            fresh = not before
            data = _written(before, records)
            try:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(before)
                raise
            self.whole_bytes = before + len(data)
        if fresh:
            sync_folder(self.path.parent)

    def rewrite(self, records: Iterable[tuple[Kind, bytes]]) -> None:
        """Replace the log by one of these records; after a crash it is the old or the new."""
        data = _written(0, records)
        data += _mark(len(data))  # all before it was durable: what is not whole is damage
        before = self.path.stat().st_ino
        try:
            write_durably(self.path, bytes(data))
        finally:
            # A folder that cannot be made durable is an error behind which the new log is there.
            if self.path.stat().st_ino != before:
                self.whole_bytes = len(data)

    def size_bytes(self) -> int:
        """How large the file is."""
        return self.path.stat().st_size if self.path.exists() else 0

    def _cut(self, data: bytes, size: int) -> str:
        torn = self.path.with_name(self.path.name + ".torn")
        write_durably(torn, data[size:])
        with self.path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())
        return (
            f"The last {len(data) - size} bytes of {self.path.name} were torn, as by a crash; "
            f"they are in {torn.name}."
        )

    def _damaged(self) -> Damaged:
        return Damaged(
            f"The membership log {self.path} is damaged.",
            "Restore it from a backup: one from any time will do, the rest is learnt from members. "
            "Without a backup ask for a new invite and join with another --home.",
        )


def _written(at: int, records: Iterable[tuple[Kind, bytes]]) -> bytearray:
    """One append, for this place in the file."""
    data = bytearray(b"" if at else MAGIC)
    data += _mark(at + len(data))
    for kind, signed in records:
        data += _record(KINDS.index(kind), signed)
    return data


def _record(kind: int, content: bytes) -> bytes:
    payload = bytes([kind]) + content
    return len(content).to_bytes(4, "big") + payload + zlib.crc32(payload).to_bytes(4, "big")


def _mark(at: int) -> bytes:
    return _record(MARK, at.to_bytes(8, "big"))


def _marked(data: bytes, start: int) -> bool:
    """Whether an append begins somewhere from here on."""
    at = data.find(MARK_HEAD, start)
    while at >= 0:
        if data[at : at + MARK_BYTES] == _mark(at):
            return True
        at = data.find(MARK_HEAD, at + 1)
    return False


def _kinds(
    entries: Iterable[bytes], admissions: Iterable[bytes], records: Iterable[bytes]
) -> list[tuple[Kind, bytes]]:
    return [
        (kind, signed)
        for kind, some in zip(KINDS, (entries, admissions, records), strict=True)
        for signed in some
    ]


class Ledger:
    """Takes what is to be kept without waiting; its one task makes it durable."""

    def __init__(
        self,
        roster: RosterLog,
        keep_boots: Callable[[Mapping[NodeId, int]], None],
        everything: Callable[[], News],
    ) -> None:
        """`keep_boots` is called in a worker thread; `everything` is what the roster keeps."""
        self._roster = roster
        self._keep_boots = keep_boots
        self._everything = everything
        # How much of the log is still kept is not known before it was written anew once.
        self._rewrite_at = SLACK_BYTES
        # Bounded by twice what the roster keeps; by the members.
        self._records: list[tuple[Kind, bytes]] = []
        self._boots: dict[NodeId, int] = {}
        self._appending = Lock()
        self._entering = trio.Lock()
        self._ahead: list[tuple[Kind, bytes]] = []
        """On the disk, and not yet in what the roster keeps."""
        self._asked = 0
        self._written = 0
        self._wanted = trio.Event()
        self._round = trio.Event()
        self.trouble: MeshError | None = None
        """Why the last write failed, until one succeeds."""

    def keep_roster(
        self, entries: Iterable[bytes], admissions: Iterable[bytes], records: Iterable[bytes]
    ) -> None:
        """Remember signed things."""
        self._records += _kinds(entries, admissions, records)
        self._want()

    async def keep_first(self, kind: Kind, signed: bytes) -> None:
        """Have something on the disk before anybody hears of it, to its end even if cancelled.

        Raises:
            LocalFault: it could not be written; nothing of it is kept.
        """
        async with self._entering:  # the log is not written anew without it meanwhile
            try:
                await trio.to_thread.run_sync(self._append, [(kind, signed)])
            except OSError as error:
                raise self._trouble(error) from error
            self._ahead.append((kind, signed))

    def keep_boot(self, node: NodeId, boot: int) -> None:
        """Remember the highest boot heard of a member; a later call replaces an earlier one."""
        self._boots[node] = boot
        self._want()

    async def settled(self) -> None:
        """Wait until all that was handed in so far is on the disk.

        Raises:
            LocalFault: it could not be written; it is kept in memory and tried again.
        """
        target = self._asked
        while self._written < target:
            await self._round.wait()
            if self.trouble is not None and self._written < target:
                raise self.trouble

    async def run(self) -> None:
        """Write what is handed in, in order, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            asked = self._asked
            records, self._records = self._records, []
            boots, self._boots = self._boots, {}
            try:
                await trio.to_thread.run_sync(self._write, records, boots)
            except (OSError, MeshError) as error:
                self._records = records + self._records
                kept = self._kept()
                if len(self._records) > 2 * len(kept):  # a record is renewed while the disk is full
                    self._records = kept
                self._boots = boots | self._boots
                self.trouble = self._trouble(error)
                log.warning("ledger_failed", cause=type(error).__name__)
                self._turn()
                with trio.move_on_after(RETRY_S):
                    await self._wanted.wait()
                self._wanted.set()
            else:
                self.trouble = None
                self._written = asked
                self._turn()
                await self._shorten()

    def _write(self, records: list[tuple[Kind, bytes]], boots: Mapping[NodeId, int]) -> None:
        if records:
            self._append(records)
            records.clear()  # so that a failure below does not write them twice
        if boots:
            self._keep_boots(boots)

    async def _shorten(self) -> None:
        """Write the log anew once most of it is node records that newer ones have replaced.

        Whatever was handed in meanwhile is in the new log, too, and appended to it once more, which
        does no harm. If it cannot be written, the old one is as good.
        """
        try:
            if self._roster.size_bytes() < self._rewrite_at:
                return
            async with self._entering:
                await trio.to_thread.run_sync(self._roster.rewrite, self._kept())
            size = self._roster.size_bytes()
        except OSError as error:
            log.warning("ledger_not_shortened", cause=type(error).__name__)
            self._rewrite_at += SLACK_BYTES
        else:
            self._rewrite_at = 2 * size + SLACK_BYTES
            log.info("ledger_shortened", bytes=size)

    def _kept(self) -> list[tuple[Kind, bytes]]:
        kept = self._everything()
        known = _kinds(kept.entries, kept.admissions, kept.records)
        self._ahead = [each for each in self._ahead if each not in known]
        return known + self._ahead

    def _append(self, records: list[tuple[Kind, bytes]]) -> None:
        with self._appending:
            self._roster.append(records)

    def _trouble(self, error: OSError | MeshError) -> LocalFault:
        return LocalFault(
            f"What the node knows of the mesh could not be written to "
            f"{self._roster.path.parent}: {error}",
            "Look whether the disk is full or read-only.",
        )

    def _want(self) -> None:
        self._asked += 1
        self._wanted.set()

    def _turn(self) -> None:
        self._round.set()
        self._round = trio.Event()
