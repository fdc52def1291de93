"""The process that decodes compressed pixels: `python -m meshpacs.archive.decoder`.

Decoders are much C and C++ that reads what strangers wrote. So they run here and not in the node:
whatever a file makes of them, the worst is that this process ends. It bounds itself, too, for a
node that was killed cannot: an alarm for each job, memory by the job's size, first in line when the
machine itself runs out; and once everything is imported, it can open no file and no connection.
Where a system lacks one of these (Windows has none) the node's own clock still ends it.

It reads jobs from standard input, each a `JOB` and a data set, and writes to standard output an
`ANSWER` and what that announces. Nothing else is written: what libraries print is thrown away.
"""

import contextlib
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from meshpacs.archive.decoding import MODULES, Admit, admit_all, decode
from meshpacs.archive.faults import Refused
from meshpacs.model.limits import (
    DECODE_S,
    DECODER_ANSWER_BYTES,
    DECODER_COPIES,
    DECODER_IDLE_S,
    DECODER_SPARE_BYTES,
)

JOB = struct.Struct("<Q64s64s")
"""The data set's length, its transfer syntax and the one that is wanted."""

ANSWER = struct.Struct("<?Q")
"""Whether it was decoded, and the length of the data set, or of the sentence that says why not."""

GRACE_S = 10
"""Seconds that the node's own clock has before the alarm. A guess."""

NICE = 5
"""How far behind the node this process stands when both want the processor. A guess."""

IMPORTED = (
    "meshpacs.archive.gdcm_frames",
    "pydicom.encaps",
    "pydicom.filewriter",
    "pydicom.pixels.decoders.gdcm",
    "pydicom.pixels.decoders.pylibjpeg",
    "pydicom.pixels.decoders.rle",
    "select",
    "signal",
)
"""What is else imported only when it is needed."""

Decode = Callable[[bytes, str, str, Admit], bytes]

Taken = Callable[[], int | None]
"""How many bytes of memory this process has; None where that cannot be known."""


def job_head(data: bytes, source: str, target: str) -> bytes:
    """What goes before the data set of a job."""
    return JOB.pack(len(data), source.encode(), target.encode())


def serve(work: Decode = decode) -> None:
    """Do jobs until standard input ends or there was none for a while."""
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    taken = _begin()
    while _is_more(jobs) and (head := jobs.read(JOB.size)):
        size, source, target = JOB.unpack(head)
        _bound_memory(taken, size)
        words = [word.rstrip(b"\0").decode() for word in (source, target)]
        with _time_bound():
            good, data = _done(work, taken, jobs.read(size), *words)
        answers.write(ANSWER.pack(good, len(data)))
        answers.write(data)
        answers.flush()


def _done(work: Decode, taken: Taken, data: bytes, source: str, target: str) -> tuple[bool, bytes]:
    """Decoded, or why not."""

    def admit(size_bytes: int) -> None:
        admit_all(size_bytes)
        _bound_memory(taken, size_bytes)

    try:
        return True, work(data, source, target, admit)
    except Refused as refusal:
        why = str(refusal)
    except MemoryError:
        why = "Decoding its pixels takes more memory than their size allows."
    return False, why.encode()[:DECODER_ANSWER_BYTES]


# ---------------------------------------------------------------- bounds


def _begin() -> Taken:
    """Have everything imported, then open nothing any more, and stand behind the node."""
    import codecs
    import importlib

    for name in (*IMPORTED, *MODULES):
        importlib.import_module(name)
    from pydicom.charset import python_encoding

    for encoding in set(python_encoding.values()):
        codecs.lookup(encoding)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold a patient's image
    taken = _taken()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        # No file and no connection, for whatever a data set may make of this process.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return taken


def _taken() -> Taken:
    """Tells how many bytes of memory this process has, where the system says so."""
    try:
        import resource

        size, statm = resource.getpagesize(), os.open("/proc/self/statm", os.O_RDONLY)
    except (ImportError, OSError):
        return lambda: None
    return lambda: int(os.pread(statm, 64, 0).split()[0]) * size


def _bound_memory(taken: Taken, size_bytes: int) -> None:
    """From here on this process may take what a few copies of so much take, and no more."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        now = taken()
        if now is None:
            return
        most = now + DECODER_SPARE_BYTES + DECODER_COPIES * size_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


@contextlib.contextmanager
def _time_bound() -> Iterator[None]:
    """Die if a job takes longer than the node waits, in case that it is no more."""
    import signal

    alarm: Callable[[int], int] | None = getattr(signal, "alarm", None)
    if alarm is None:
        yield
        return
    alarm(DECODE_S + GRACE_S)
    try:
        yield
    finally:
        alarm(0)


def _is_more(jobs: BinaryIO) -> bool:
    """Wait for the next job; False once there was none for long."""
    import select

    try:
        ready, _, _ = select.select([jobs], [], [], DECODER_IDLE_S)
    except (OSError, ValueError):  # Windows cannot wait for a pipe
        return True
    return bool(ready)


if __name__ == "__main__":
    serve()
