"""A machine whose disk is imagined: a folder to work in, and the tape of what was done there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from clinics.clinic import Broken, NotHere

SCRIPTS = Path(__file__).resolve().parent.parent

MOUNT_S = 20.0
"""How long mounting may take. A guess for a busy machine."""


@dataclass(frozen=True, slots=True)
class Machine:
    """While it runs."""

    folder: Path
    tape: Path

    @property
    def position(self) -> int:
        """How long the tape is: what was acknowledged now stands before this."""
        return self.tape.stat().st_size


def check_possible() -> None:
    """Whether this machine can mount an imagined disk.

    Raises:
        NotHere: it cannot; the sentence says what is missing.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise NotHere("Power cuts need /dev/fuse, readable and writable (on Linux, as root).")
    if shutil.which("fusermount3") is None:
        raise NotHere("Power cuts need fusermount3: on Debian `apt-get install fuse3`.")
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:
        raise NotHere(
            f"Power cuts need mfusepy and libfuse ({error}): `pip install mfusepy`, and on Debian "
            "`apt-get install fuse3`."
        ) from error


@contextmanager
def machine(room: Path, base: Path | None = None) -> Iterator[Machine]:
    """Mount a disk in `room`, with what is in `base` on it; whoever uses it ends before."""
    running = Machine(room / "disk", room / "tape")
    running.folder.mkdir()
    running.tape.touch()
    words = [str(running.folder), str(running.tape), *([str(base)] if base else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "imagined.mount", *words],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )
    try:
        until = monotonic() + MOUNT_S
        while not os.path.ismount(running.folder):
            if process.poll() is not None or monotonic() > until:
                raise Broken("The imagined disk could not be mounted.")
            sleep(0.01)
        yield running
    finally:
        if os.path.ismount(running.folder):
            subprocess.run(["fusermount3", "-u", "-z", str(running.folder)], check=False)
        else:
            process.kill()
        process.wait()
