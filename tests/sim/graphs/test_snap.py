"""Edge lists of SNAP are read as they are published, and what is none is named with its line."""

import gzip
from pathlib import Path

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.graphs import snap

DIRECTED = b"""# Directed graph (each unordered pair of nodes is saved once): some.txt
# Nodes: 5 Edges: 7
# FromNodeId\tToNodeId
30\t7
7\t30
7\t7

7 100\r
100\t30
4\t2
30\t7
"""


def test_both_directions_are_one_edge_and_gaps_in_the_numbering_close(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(DIRECTED)
    imported = snap.read_snap(path)
    assert imported.csr.name == "snap(some.txt)"
    assert imported.numbers.tolist() == [2, 4, 7, 30, 100]
    assert imported.csr.graph().edges == ((0, 1), (2, 3), (2, 4), (3, 4))
    assert (imported.loops, imported.doubled) == (1, 2)


def test_a_packed_list_is_the_same_graph(tmp_path: Path) -> None:
    plain, packed = tmp_path / "some.txt", tmp_path / "some.txt.gz"
    plain.write_bytes(DIRECTED)
    packed.write_bytes(gzip.compress(DIRECTED))
    assert snap.read_snap(plain).csr.graph().edges == snap.read_snap(packed).csr.graph().edges


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"1 2 3\n", "'1 2 3'"),
        (b"1\n", "'1'"),
        (b"1 -2\n", "'1 -2'"),
        (b"1 2.0\n", "'1 2.0'"),
        (b"1,2\n", "'1,2'"),
        (b"1 " + b"9" * 19 + b"\n", "'1 9"),
        (b"\xff\x00 2\n", "xff"),
    ],
)
def test_a_line_that_is_no_edge_is_named(tmp_path: Path, line: bytes, shown: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"# a comment\n1 2\n" + line + b"2 3\n")
    with pytest.raises(LocalFault, match=r"bad\.txt:3: an edge is two node numbers") as caught:
        snap.read_snap(path)
    assert shown in caught.value.what


def test_a_list_has_its_limits(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"1 2\n2 3\n3 4\n")
    assert snap.read_snap(path, edges_most=3).csr.edge_count == 3
    with pytest.raises(LocalFault, match=r"long\.txt:3: more than 2 edges"):
        snap.read_snap(path, edges_most=2)
    path.write_bytes(b"1 2\n#" + b"x" * 10_000 + b"\n")
    with pytest.raises(LocalFault, match=r"long\.txt:2: a line of more than 4096 bytes"):
        snap.read_snap(path)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalFault, match=r"nothing\.txt cannot be read"):
        snap.read_snap(tmp_path / "nothing.txt")
    empty, torn, other = tmp_path / "empty.txt", tmp_path / "torn.gz", tmp_path / "other.gz"
    empty.write_bytes(b"# nobody\n")
    with pytest.raises(LocalFault, match=r"empty\.txt: no edge"):
        snap.read_snap(empty)
    torn.write_bytes(gzip.compress(DIRECTED)[:-12])
    with pytest.raises(LocalFault, match=r"torn\.gz cannot be read to its end"):
        snap.read_snap(torn)
    other.write_bytes(DIRECTED)
    with pytest.raises(LocalFault, match=r"other\.gz cannot be read to its end"):
        snap.read_snap(other)
