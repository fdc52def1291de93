"""Edge lists as the Stanford Network Analysis Project publishes them (snap.stanford.edu/data).

Lines of two node numbers between blanks or tabs, and comments behind `#`; packed with gzip if the
name says so. Such files name an edge in both directions or in one, may hold loops, and leave gaps
in the numbering: here an edge counts once, loops are left out, and nodes are numbered anew.
"""

import gzip
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from meshpacs.model.errors import LocalFault
from meshpacs_sim.graphs.csr import Csr, from_edges
from meshpacs_sim.graphs.pairs import Int64s

EDGES_MOST = 50_000_000
"""Edges in one file, 16 bytes each while they are read: above the largest of SNAP's social graphs
but two. A guess of what a laptop bears."""

LINE_MOST = 4_096
"""Bytes of one line, comments too. A guess: theirs are below 200."""

DIGITS_MOST = 18
"""Of a node's number: what fits in 63 bits."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A graph from a file, and what of the file is not in it."""

    csr: Csr
    numbers: Int64s
    """Shape (n,): the number of each node in the file, rising."""
    loops: int
    """Edges from a node to itself, left out."""
    doubled: int
    """Edges that were there before, in either direction."""


def read_snap(path: Path, edges_most: int = EDGES_MOST) -> Imported:
    """Read a whole edge list; about three seconds for each million of edges.

    Raises:
        LocalFault: no such file, a line that is no edge, or too many of them; it names the line.
    """
    one, other = array("q"), array("q")
    for number, line in _lines(path):
        fields = line.split()
        if not fields or fields[0].startswith(b"#"):
            continue
        if len(fields) != 2 or not all(f.isdigit() and len(f) <= DIGITS_MOST for f in fields):
            raise LocalFault(
                f"{path}:{number}: an edge is two node numbers, not {_shown(line)}.",
                "Keep the two columns of node numbers alone; begin comments with #.",
            )
        if len(one) == edges_most:
            raise LocalFault(
                f"{path}:{number}: more than {edges_most} edges.", "Take a part of the graph."
            )
        one.append(int(fields[0]))
        other.append(int(fields[1]))
    if not one:
        raise LocalFault(f"{path}: no edge in the whole file.", "Is it the file that you mean?")
    return _numbered_anew(path.name, np.array(one, np.int64), np.array(other, np.int64))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line and its number, from 1."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(LINE_MOST + 1):
                number += 1
                if len(line) > LINE_MOST:
                    raise LocalFault(
                        f"{path}:{number}: a line of more than {LINE_MOST} bytes.",
                        "Is it an edge list?",
                    )
                yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise LocalFault(f"{path} cannot be read to its end: {error}.") from error


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("ascii", "backslashreplace").rstrip("\r\n"))


def _numbered_anew(name: str, one: Int64s, other: Int64s) -> Imported:
    numbers = np.sort(np.concatenate((one, other)))
    numbers = numbers[np.append(True, numbers[1:] != numbers[:-1])]
    proper = one != other
    csr = from_edges(
        f"snap({name})",
        len(numbers),
        np.searchsorted(numbers, one[proper]),
        np.searchsorted(numbers, other[proper]),
    )
    loops = len(one) - int(proper.sum())
    return Imported(csr, numbers, loops, len(one) - loops - csr.edge_count)
