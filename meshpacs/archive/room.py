"""How much may still be taken in: the room that is kept free, and the reserve behind it.

Two lines of defence. Instances are refused while so much is still free that the index, the roster's
log and a deletion have room (as Syncthing's minDiskFree). But others write to that disk, too: when
it is full to the last byte all the same, a deletion gives up a file that was laid by for it.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from meshpacs.archive.faults import NoRoom
from meshpacs.model.limits import RESERVE_BYTES

MIB = 1024 * 1024

START_BYTES = 4 * MIB
"""What a start may write: a boot number, who is up, the index's log. A guess."""


class Room:
    """The room on one archive's disk."""

    def __init__(self, folder: Path, keep_free_bytes: int) -> None:
        """`keep_free_bytes` 0: everything may be used up, and nothing is laid by."""
        self._folder = folder
        self.keep_free_bytes = keep_free_bytes
        self._reserve = folder / "reserve"

    def free_bytes(self) -> int:
        """Room left on the disk."""
        return shutil.disk_usage(self._folder).free

    @property
    def kept_bytes(self) -> int:
        """What instances may not use of the room that is left.

        The reserve's, too, while it is missing: else instances would take it before it is back.
        """
        if not self.keep_free_bytes or self._laid_by:
            return self.keep_free_bytes
        return self.keep_free_bytes + RESERVE_BYTES

    @property
    def _laid_by(self) -> bool:
        # By its size: a kill or a power cut while it was made leaves a file that gives nothing up.
        try:
            return self._reserve.stat().st_size >= RESERVE_BYTES
        except OSError:
            return False

    def need(self, size: int, what: str = "an instance") -> None:
        """Go on if so many more bytes may be written.

        Raises:
            NoRoom: they may not.
            OSError: the disk does not say how much is free.
        """
        if not self.keep_free_bytes:
            return
        free, kept = self.free_bytes(), self.kept_bytes
        if free - size < kept:
            wanted = f" of {size / MIB:.1f} MiB" if size else ""
            raise NoRoom(
                f"There is no room for {what}{wanted}: {free // MIB} MiB are free on the disk of "
                f"{self._folder}, and the last {kept // MIB} are kept for the node itself.",
                "Make room: `meshpacs delete` takes out studies that others hold as well; or move "
                "the home to a larger disk.",
            )

    @property
    def short(self) -> bool:
        """Whether little more than what is kept free is left."""
        return bool(self.keep_free_bytes) and self.free_bytes() < self.kept_bytes + RESERVE_BYTES

    def lay_by(self) -> None:
        """Make the reserve, if it is missing and there is room for it."""
        if not self.keep_free_bytes or self._laid_by:
            return
        with suppress(OSError):  # then there is none until the next time
            if self.free_bytes() < self.kept_bytes:
                return
            handle = os.open(self._reserve, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                _fill(handle)
            except OSError:
                self.give_up()
                raise
            finally:
                os.close(handle)

    def give_up(self) -> bool:
        """Free the reserve; False if there was none."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True


def make_room_to_start(archive: Path) -> None:
    """Give up the reserve of an archive whose disk is full to the last byte: a start writes too."""
    with suppress(OSError):
        room = Room(archive, 0)
        if room.free_bytes() < START_BYTES:
            room.give_up()


def _fill(handle: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, RESERVE_BYTES)
    else:  # pragma: no cover  # Windows and macOS
        for _ in range(RESERVE_BYTES // MIB):
            os.write(handle, bytes(MIB))
