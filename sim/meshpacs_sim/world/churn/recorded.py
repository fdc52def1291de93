"""Records of who was up when, from a file and to one.

The format is CSV with a header and one line for each time that a node was up, in any order:

    # nodes: 3
    # horizon_us: 3600000000
    node,up_us,down_us
    0,0,1800000000
    2,600000000,3600000000

Nodes are numbered from 0; a node without a line was never up. Times are whole microseconds from
the start of the record; a node was up from `up_us` on and no more at `down_us`. Both comments may
be left out: then there are as many nodes as the highest number says, and the record ends with the
last span.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import Micros
from meshpacs_sim.world.churn.schedule import Schedule, Span

HEADER = "node,up_us,down_us"

SPANS_MOST = 5_000_000
"""Lines of one record, some 200 bytes each while they are held. A guess."""

NODES_MOST = 1_000_000
"""Nodes of one record: as many as the kernel takes."""

LINE_MOST = 200
"""Characters of a line: three numbers of 19 digits have 59."""

_ROW = re.compile(r"([0-9]{1,18}),([0-9]{1,18}),([0-9]{1,18})")
_COMMENT = re.compile(r"#\s*(nodes|horizon_us)\s*:\s*([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was seen, as a model: the same whatever the seed."""

    schedules: tuple[Schedule, ...]
    """For each node."""

    def spans(self, seed: int, node: int) -> Iterator[Span]:  # noqa: ARG002
        """When this node was up. After the record's end it is down.

        Raises:
            LocalFault: the record has no such node.
        """
        if node >= len(self.schedules):
            raise LocalFault(
                f"The record is of {len(self.schedules)} nodes, and the mesh has node {node}.",
                "Take a smaller mesh, or say `# nodes` if the others were never up.",
            )
        return iter(self.schedules[node].spans)


def read_record(path: Path) -> Recorded:
    """Read a whole record.

    Raises:
        LocalFault: no such file, or a line that is wrong; it names file and line.
    """
    reading = _Reading(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            while line := file.readline(LINE_MOST + 1):
                reading.take(line)
    except (OSError, UnicodeDecodeError) as error:
        raise LocalFault(f"{path} cannot be read: {error}.") from error
    return Recorded(reading.schedules())


def write_record(path: Path, schedules: Sequence[Schedule]) -> None:
    """Write what `read_record` reads; the horizon is the latest of all."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        horizon_us = max((each.horizon_us for each in schedules), default=0)
        file.write(f"# nodes: {len(schedules)}\n# horizon_us: {horizon_us}\n{HEADER}\n")
        for node, each in enumerate(schedules):
            file.writelines(f"{node},{span.up_us},{span.down_us}\n" for span in each.spans)


class _Reading:
    """A record as far as it has been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 0
        self._headed = False
        self._told: dict[str, int] = {}
        self._spans: dict[int, list[tuple[Span, int]]] = {}
        """For each node its spans, each with its line."""
        self._count = 0

    def take(self, line: str) -> None:
        """Take in the next line."""
        self._line += 1
        text = line.strip()
        if len(line) > LINE_MOST:
            raise self._fault(f"a line of more than {LINE_MOST} characters")
        if comment := _COMMENT.fullmatch(text):
            self._told[comment[1]] = int(comment[2])
        elif not text or text.startswith("#"):
            return
        elif not self._headed:
            if text.replace(" ", "") != HEADER:
                raise self._fault(f"the first line that is no comment is {HEADER}, not {text!r}")
            self._headed = True
        else:
            self._take_row(text)

    def _take_row(self, text: str) -> None:
        row = _ROW.fullmatch(text.replace(" ", ""))
        if row is None:
            raise self._fault(f"three whole numbers are due, {HEADER}, not {text!r}")
        node, span = int(row[1]), Span(int(row[2]), int(row[3]))
        if span.up_us >= span.down_us:
            raise self._fault(f"node {node} comes at {span.up_us} and goes no later than that")
        if node >= NODES_MOST:
            raise self._fault(f"node {node} is beyond the {NODES_MOST} that a record may have")
        self._count += 1
        if self._count > SPANS_MOST:
            raise self._fault(f"more than {SPANS_MOST} spans")
        self._spans.setdefault(node, []).append((span, self._line))

    def schedules(self) -> tuple[Schedule, ...]:
        """What was read, once all is."""
        if not self._headed:
            raise LocalFault(f"{self._path}: there is no line {HEADER}.", "Begin the record so.")
        nodes = self._told.get("nodes", max(self._spans, default=-1) + 1)
        latest_us = max(
            (span.down_us for each in self._spans.values() for span, _ in each), default=0
        )
        horizon_us = self._told.get("horizon_us", latest_us)
        if not 0 < nodes <= NODES_MOST or not horizon_us:
            raise LocalFault(
                f"{self._path}: a record is of 1 to {NODES_MOST} nodes and some time, not of "
                f"{nodes} nodes and {horizon_us} µs.",
                "Correct `# nodes` and `# horizon_us`, or add lines.",
            )
        for node, rows in self._spans.items():
            if node >= nodes:
                raise self._fault(f"node {node} is none of the {nodes} announced", rows[0][1])
        return tuple(self._schedule(node, horizon_us) for node in range(nodes))

    def _schedule(self, node: int, horizon_us: Micros) -> Schedule:
        rows = sorted(self._spans.get(node, ()))
        for span, line in rows:
            if span.down_us > horizon_us:
                raise self._fault(f"node {node} goes after the horizon of {horizon_us}", line)
        for (before, other), (span, line) in pairwise(rows):
            if span.up_us <= before.down_us:
                raise self._fault(
                    f"node {node} comes at {span.up_us}, and by line {other} it was up until "
                    f"{before.down_us}",
                    line,
                )
        return Schedule(tuple(span for span, _ in rows), horizon_us)

    def _fault(self, what: str, line: int | None = None) -> LocalFault:
        return LocalFault(
            f"{self._path}:{self._line if line is None else line}: {what}.",
            "The format is told in meshpacs_sim/world/churn/recorded.py.",
        )
