"""Import: everything that is found is offered to the door, and one outcome is told for each.

A few threads work at once, since most of the time goes into waiting for the disk; each takes in
some files with one commit, and they share commits (see index.py). Stopping between two files loses
nothing, and importing again changes nothing.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from meshpacs.archive.archive import Archive
from meshpacs.archive.arrival import Arrival
from meshpacs.archive.faults import DiskFull, Reason, Refused
from meshpacs.archive.filing import Verdict
from meshpacs.archive.sources import Media, Source, Trouble
from meshpacs.model.errors import MeshError, Unavailable

WORKERS = 4
"""Threads of one import. Measured on two busy cores: 4 are 1.5 to 2 times as fast as 1, and 8 are
no faster than 4."""

GROUP_FILES = 16
GROUP_BYTES = 4 * 1024 * 1024
"""Files that one thread takes in together, with one commit, and their bytes. A guess."""

SKIPPED = frozenset({Reason.NOT_DICOM, Reason.DICOMDIR})
"""Reasons that are nobody's fault: what is found beside instances."""


class Taken(StrEnum):
    """What became of one file."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    REFUSED = "refused"
    SKIPPED = "skipped"
    """It is no DICOM file, or a medium's directory."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One file's outcome."""

    name: str
    """For the person who imports, not for logs; a zip file's member is `file.zip!member`."""
    taken: Taken
    size_bytes: int = 0
    reason: Reason | None = None
    """Why it was refused or skipped."""
    what: str = ""
    mend: str = ""
    verdict: Verdict | None = None
    """What is known of it, unless it was refused or skipped."""


@dataclass(slots=True)
class Tally:
    """How far an import is."""

    seen: int = 0
    stored: int = 0
    unchanged: int = 0
    conflict: int = 0
    refused: int = 0
    skipped: int = 0
    bytes: int = 0
    """Of the files stored."""

    def count(self, outcome: Imported) -> None:
        """One more."""
        self.seen += 1
        name = outcome.taken.value
        setattr(self, name, getattr(self, name) + 1)
        if outcome.taken is Taken.STORED:
            self.bytes += outcome.size_bytes


class Import:
    """One import of some paths. Iterate once; `close` the iterator to stop between two files."""

    def __init__(self, archive: Archive, paths: Iterable[Path], *, workers: int = WORKERS) -> None:
        """Nothing happens until it is iterated."""
        self._archive = archive
        self._paths = [Path(path) for path in paths]
        self._workers = workers
        self._stopped = False
        self.tally = Tally()

    def __iter__(self) -> Iterator[Imported]:
        """One outcome a file; see `groups`."""
        with closing(self.groups()) as groups:
            for group in groups:
                yield from group

    def groups(self) -> Generator[Sequence[Imported]]:
        """One outcome a file, those together that were committed together, as they are done. A
        full or failing disk refuses a file by name: the next may fit, and who imports must know
        which are not here.

        Raises:
            MeshError: the index is damaged, or the archive closed; what was told before is kept.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="import")
        pending: set[Future[list[Imported]]] = set()
        with Media(avoid=self._archive.folder) as media:
            try:
                for found in _groups(media.find(self._paths)):
                    if isinstance(found, Trouble):
                        yield self._told([_refused(found.name, found.fault)])
                        continue
                    pending.add(pool.submit(self._take, found))
                    # No more are begun than the threads need, so that a stop is soon.
                    while len(pending) >= 2 * self._workers:
                        done, pending = wait(pending, return_when=FIRST_COMPLETED)
                        for future in done:
                            yield self._told(future.result())
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield self._told(future.result())
            finally:
                self._stopped = True
                pool.shutdown(wait=True, cancel_futures=True)

    def _told(self, group: Sequence[Imported]) -> Sequence[Imported]:
        for outcome in group:
            self.tally.count(outcome)
        return group

    def _take(self, group: Sequence[Source]) -> list[Imported]:
        """Take in some files together; if the import is stopped meanwhile, the first of them."""
        became: list[Imported | None] = []
        finished: list[Arrival] = []
        with ExitStack() as arrivals:
            for source in group:
                if self._stopped:
                    break
                try:
                    arrival = arrivals.enter_context(self._archive.arrive(came_from="import"))
                    for chunk in source.chunks():
                        arrival.write(chunk)
                    known = arrival.finish()
                except (Refused, Unavailable) as fault:
                    # Not the fault itself: it holds this frame, and what was read last.
                    became.append(_outcome(source, fault))
                    continue
                became.append(None if known is None else _outcome(source, known))
                if known is None:
                    finished.append(arrival)
            kept = iter(self._archive.commit_together(finished))
            return [
                _outcome(source, next(kept)) if one is None else one
                for source, one in zip(group, became, strict=False)
            ]


def _groups(found: Iterable[Source | Trouble]) -> Iterator[Sequence[Source] | Trouble]:
    """What is found, some files at a time; each zip file's apart, so that few are open."""
    group: list[Source] = []
    size = 0
    for one in found:
        if isinstance(one, Trouble):
            yield one
            continue
        full = len(group) >= GROUP_FILES or size + one.size_bytes > GROUP_BYTES
        if group and (full or one.box != group[-1].box):
            yield group
            group, size = [], 0
        group.append(one)
        size += one.size_bytes
    if group:
        yield group


def _outcome(source: Source, became: Verdict | MeshError) -> Imported:
    name, size = source.name, source.size_bytes
    match became:
        case Verdict():
            return Imported(name, Taken(became.outcome.value), size, verdict=became)
        case Refused():
            return _refused(name, became, size)
        case _:
            reason = Reason.NO_ROOM if isinstance(became, DiskFull) else Reason.DISK
            return Imported(name, Taken.REFUSED, size, reason, became.what, became.mend)


def _refused(name: str, fault: Refused, size: int = 0) -> Imported:
    taken = Taken.SKIPPED if fault.reason in SKIPPED else Taken.REFUSED
    return Imported(name, taken, size, fault.reason, fault.what, fault.mend)
