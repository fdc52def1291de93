"""Import by this very process, for a home whose node is not up; tells what a node would tell."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meshpacs.gateways.shapes import plain, summary_shape
from meshpacs.node.home import Home
from meshpacs.node.idle import IdleImport, import_idle

Json = dict[str, Any]


@contextmanager
def import_offline(home: Home, paths: Sequence[str]) -> Iterator[Iterable[Json]]:
    """The events that the admin API would have sent."""
    with import_idle(home, [Path(path) for path in paths]) as importing:
        yield _events(importing)


def _events(importing: IdleImport) -> Iterator[Json]:
    for outcome in importing:
        yield {"event": "file", **plain(outcome)}
    yield {"event": "imported", **summary_shape(importing.summary)}
