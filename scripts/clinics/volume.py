"""A small disk of its own for a node, in memory: can be filled, forbidden, broken, slowed down."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clinics.clinic import Broken, NotHere


@dataclass(frozen=True, slots=True)
class Volume:
    """A tmpfs, mounted."""

    folder: Path

    def free_bytes(self) -> int:
        """Room left."""
        return shutil.disk_usage(self.folder).free

    @property
    def ballast(self) -> Path:
        """A file that somebody else has put there."""
        return self.folder / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Fill it, but for so many bytes."""
        with suppress(OSError), self.ballast.open("ab", buffering=0) as file:
            while (left := self.free_bytes() - leave_bytes) > 0:
                file.write(bytes(min(left, 1 << 20)))

    def clear(self) -> None:
        """Take that file away."""
        self.ballast.unlink(missing_ok=True)


@contextmanager
def volume(folder: Path, size_mib: int) -> Iterator[Volume]:
    """A disk of this size, gone afterwards.

    Raises:
        NotHere: only root may mount, on Linux.
        Broken: it is still mounted.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        raise NotHere("Only root on Linux can mount a small disk for this.")
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "tmpfs", str(folder))
    try:
        yield Volume(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        if os.path.ismount(folder):
            raise Broken(f"{folder} is still mounted: `umount {folder}`.")


class BadDisk:
    """Makes a disk slow, read-only or failing for the processes that are started meanwhile.

    By a library that stands between them and the system (baddisk.c): the kernel makes no disk
    read-only whose files are open, and no disk slow.
    """

    def __init__(self, folder: Path, disk: Volume) -> None:
        """`folder`: for the library, and what tells it how the disk is.

        Raises:
            NotHere: there is no compiler.
        """
        if sys.platform != "linux" or shutil.which("gcc") is None:
            raise NotHere("Making a disk slow or read-only needs gcc, on Linux.")
        self._library, self._now = folder / "baddisk.so", folder / "baddisk"
        self._disk = disk
        source = Path(__file__).with_name("baddisk.c")
        _run("gcc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(source), "-ldl")
        self.be()

    def be(self, error: int = 0, slower_ms: int = 0) -> None:
        """From now on: what writes fails with `error`, what is made durable takes longer."""
        new = self._now.with_suffix(".new")
        new.write_text(f"{error} {slower_ms}", encoding="ascii")
        new.replace(self._now)

    @contextmanager
    def for_those_started(self) -> Iterator[None]:
        """Processes that are started in this block have the disk."""
        os.environ |= {
            "LD_PRELOAD": str(self._library),
            "BAD_DISK_NOW": str(self._now),
            "BAD_DISK_FOLDER": str(self._disk.folder),
        }
        try:
            yield
        finally:
            for name in ("LD_PRELOAD", "BAD_DISK_NOW", "BAD_DISK_FOLDER"):
                del os.environ[name]


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise NotHere(f"`{' '.join(words)}` does not work here: {done.stderr.strip()}")
