"""Import into a home whose node is not up: the same archive by the same door, under the lock."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from meshpacs.archive.archive import Archive
from meshpacs.archive.ingest import Import, Imported
from meshpacs.node.config import MIB, load_config
from meshpacs.node.home import Home
from meshpacs.node.imported import outcome_of, summary_of
from meshpacs.node.views import ImportOutcome, ImportSummary


class IdleImport:
    """Iterate for one outcome a file; `summary` is the sum so far."""

    def __init__(self, archive: Archive, paths: Sequence[Path]) -> None:
        """Nothing happens until it is iterated."""
        self._work = Import(archive, paths)
        self._finished = False

    @property
    def summary(self) -> ImportSummary:
        """What has become of the files so far."""
        return summary_of(self._work.tally, finished=self._finished)

    def __iter__(self) -> Iterator[ImportOutcome]:
        """One outcome a file, in the order in which they are done."""
        with closing(_started(self._work)) as outcomes:
            for outcome in outcomes:
                yield outcome_of(outcome)
        self._finished = True


def _started(work: Import) -> Generator[Imported, None, None]:
    yield from work


@contextmanager
def import_idle(home: Home, paths: Sequence[Path]) -> Iterator[IdleImport]:
    """Open the archive of a home that nobody uses.

    Raises:
        LocalFault: there is no node in this home, its configuration is wrong, or it is in use.
        Unavailable: the disk is full, read-only or failing.
    """
    home.require_made()
    config = load_config(home.config)
    with (
        home.lock(),
        Archive.open(
            home.archive,
            default_charset=config.default_charset,
            keep_free_bytes=config.keep_free_mib * MIB,
        ) as archive,
    ):
        yield IdleImport(archive, paths)
