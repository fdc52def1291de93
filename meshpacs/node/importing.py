"""One import under way: the archive's iterator, stepped in a worker thread."""

from collections.abc import AsyncIterator, Iterator

import trio

from meshpacs.archive.ingest import Import, Imported
from meshpacs.node.views import ImportOutcome, ImportSummary, Taken

CLOSE_S = 3.0
"""Seconds that files under way have to be finished once an import is stopped; a stop of the node
may take 5. What is not finished then is as if it had never come."""


class Importing:
    """Its context, `LivingMesh.import_paths`, closes it: then it stops between two files."""

    def __init__(self, source: Import) -> None:
        """Nothing happens before it is iterated."""
        self._source = source
        self._files: Iterator[Imported] | None = None
        self._finished = False

    @property
    def summary(self) -> ImportSummary:
        """What has become of the files so far."""
        tally = self._source.tally
        return ImportSummary(
            seen=tally.seen,
            stored=tally.stored,
            unchanged=tally.unchanged,
            conflicts=tally.conflict,
            refused=tally.refused,
            skipped=tally.skipped,
            bytes=tally.bytes,
            finished=self._finished,
        )

    def __aiter__(self) -> AsyncIterator[ImportOutcome]:
        """One outcome a file."""
        return self

    async def __anext__(self) -> ImportOutcome:
        """The next file's outcome.

        Raises:
            MeshError: the archive's disk is full or failing; what was told before is kept.
        """
        if self._files is None:
            self._files = iter(self._source)
        done = await trio.to_thread.run_sync(next, self._files, None)
        if done is None:
            self._finished = True
            raise StopAsyncIteration
        return ImportOutcome(
            name=done.name,
            taken=Taken(done.taken.value),
            reason=f"{done.what} {done.mend}".strip(),
            size_bytes=done.size_bytes,
        )

    async def aclose(self) -> None:
        """Stop between two files; those under way are finished first."""
        files = self._files
        close = getattr(files, "close", None)
        if close is not None:
            with trio.move_on_after(CLOSE_S, shield=True):
                await trio.to_thread.run_sync(close, abandon_on_cancel=True)
