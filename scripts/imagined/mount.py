"""A file system in memory that records every change on a tape; what the node under test stands on.

    python -m imagined.mount MOUNTPOINT TAPE [BASE]

A real file system (FUSE): the kernel does the reading, caching, locking and mapping, as for any
other, so SQLite's WAL mode and its shared memory work as they do elsewhere. BASE is a folder whose
content is on the disk to begin with. The tape is a stream of msgpack; a change stands on it before
whoever made it is told, so the length of the tape when something was acknowledged says which
changes came before.

mfusepy (ISC) binds libfuse by ctypes; both are wanted by the campaign alone.
"""

import errno
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import mfusepy
import msgpack

from imagined.disk import ROOT, Disk, File, Folder

SIZE_BLOCKS = 1 << 20
"""Of 4 KiB: what the disk says it has."""


class Recorder(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """The calls of the kernel. One at a time: what is recorded has one order."""

    use_ns = True

    def __init__(self, disk: Disk, tape: Path) -> None:
        """Start recording."""
        self._disk = disk
        self._tape = tape.open("ab", buffering=0)
        self._next = len(disk.things) + 1
        self._began_ns = time.time_ns()

    def _do(self, *op: Any) -> None:
        self._tape.write(msgpack.packb(op))
        self._disk.do(op)

    def _at(self, path: str) -> int:
        number = ROOT
        for name in path.split("/"):
            if name:
                folder = self._disk.things[number]
                if not isinstance(folder, Folder) or name not in folder.now:
                    raise mfusepy.FuseOSError(errno.ENOENT)
                number = folder.now[name]
        return number

    def _where(self, path: str) -> tuple[int, str]:
        parent, _, name = path.rpartition("/")
        return self._at(parent), name

    def _make(self, path: str, mode: int, *, is_folder: bool) -> int:
        parent, name = self._where(path)
        if name in self._disk.folder(parent).now:
            raise mfusepy.FuseOSError(errno.EEXIST)
        number, self._next = self._next, self._next + 1
        self._do("make", parent, name, number, is_folder, mode & 0o777)
        return number

    # ------------------------------------------------------------ what FUSE calls

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Facts of a file or folder."""
        number = self._at(path) if fh is None else fh
        thing = self._disk.things[number]
        size, changed = (len(thing.now), thing.changed) if isinstance(thing, File) else (0, 0)
        when = self._began_ns + changed
        return {
            "st_mode": self._kind(number) | thing.mode,
            "st_nlink": 1 if isinstance(thing, File) else 2,
            "st_size": size,
            "st_blocks": -(-size // 512),
            "st_ino": number,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_atime": when,
            "st_mtime": when,
            "st_ctime": when,
        }

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        """Names. The kernel leaves out what has no number."""
        names = {".": fh, "..": ROOT, **self._disk.folder(fh).now}
        return [
            (name, {"st_ino": number, "st_mode": self._kind(number)}, 0)
            for name, number in names.items()
        ]

    def _kind(self, number: int) -> int:
        is_folder = isinstance(self._disk.things[number], Folder)
        return stat.S_IFDIR if is_folder else stat.S_IFREG

    def statfs(self, path: str) -> dict[str, int]:
        """Room without end."""
        return {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": SIZE_BLOCKS,
                "f_bfree": SIZE_BLOCKS, "f_bavail": SIZE_BLOCKS, "f_namemax": 255}  # fmt: skip

    def open(self, path: str, flags: int) -> int:
        """A handle is the file's number: it outlives the name."""
        return self._at(path)

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        """A new file."""
        return self._make(path, mode, is_folder=False)

    def mkdir(self, path: str, mode: int) -> int:
        """A new folder."""
        self._make(path, mode, is_folder=True)
        return 0

    def opendir(self, path: str) -> int:
        """A handle of a folder."""
        return self._at(path)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Bytes as they are now."""
        return bytes(self._disk.file(fh).now[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Bytes from now on."""
        self._do("write", fh, offset, data)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Another size."""
        number = self._at(path) if fh is None else fh
        if length != len(self._disk.file(number).now):
            self._do("resize", number, length)
        return 0

    def rename(self, old: str, new: str) -> int:
        """Another name."""
        self._do("rename", *self._where(old), *self._where(new))
        return 0

    def unlink(self, path: str) -> int:
        """A name less."""
        self._at(path)
        self._do("drop", *self._where(path))
        return 0

    def rmdir(self, path: str) -> int:
        """A folder less, if it is empty."""
        if self._disk.folder(self._at(path)).now:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        self._do("drop", *self._where(path))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """Who may read it."""
        self._do("chmod", self._at(path), mode & 0o777)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """One owner has all."""
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        """Times follow the changes."""
        return 0

    def flush(self, path: str, fh: int) -> int:
        """A handle is closed: that keeps nothing."""
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """A file is safe. fdatasync keeps all that is needed to read the bytes back."""
        self._do("sync", fh)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """A folder's names are safe."""
        self._do("sync", fh)
        return 0


def main() -> None:
    """Serve until it is unmounted."""
    mountpoint, tape, *base = sys.argv[1:]
    disk = Disk.load(Path(base[0])) if base else Disk()
    mfusepy.FUSE(
        Recorder(disk, Path(tape)), mountpoint, foreground=True, nothreads=True, use_ino=True,
        fsname="meshpacs-campaign",
    )  # fmt: skip


if __name__ == "__main__":
    main()
