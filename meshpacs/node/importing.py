"""One import under way: the archive's iterator, stepped in a worker thread, a group at a time."""

from collections.abc import AsyncIterator, Generator, Sequence

import trio

from meshpacs.archive.ingest import Import, Imported
from meshpacs.node.imported import outcome_of, summary_of
from meshpacs.node.views import ImportOutcome, ImportSummary

CLOSE_S = 3.0
"""Seconds that files under way have to be finished once an import is stopped; a stop of the node
may take 5. What is not finished then is as if it had never come."""


class Importing:
    """Its context, `LivingMesh.import_paths`, closes it: then it stops between two files."""

    def __init__(self, source: Import) -> None:
        """Nothing happens before it is iterated."""
        self._source = source
        self._groups: Generator[Sequence[Imported]] | None = None
        self._finished = False

    @property
    def summary(self) -> ImportSummary:
        """What has become of the files so far."""
        return summary_of(self._source.tally, finished=self._finished)

    def __aiter__(self) -> AsyncIterator[Sequence[ImportOutcome]]:
        """One outcome a file, some at a time."""
        return self

    async def __anext__(self) -> Sequence[ImportOutcome]:
        """What has become of the next files.

        Raises:
            MeshError: the archive's disk is full or failing; what was told before is kept.
        """
        if self._groups is None:
            self._groups = self._source.groups()
        group = await trio.to_thread.run_sync(next, self._groups, None)
        if group is None:
            self._finished = True
            raise StopAsyncIteration
        return [outcome_of(imported) for imported in group]

    async def aclose(self) -> None:
        """Stop between two files; those under way are finished first."""
        if self._groups is not None:
            with trio.move_on_after(CLOSE_S, shield=True):
                await trio.to_thread.run_sync(self._groups.close, abandon_on_cancel=True)
