"""A record of who was up is read as it was written, and a wrong line is named."""

from pathlib import Path

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.world.churn.lengths import Lengths
from meshpacs_sim.world.churn.on_off import OnOff
from meshpacs_sim.world.churn.recorded import HEADER, Recorded, read_record, write_record
from meshpacs_sim.world.churn.schedule import Presence, Schedule, Span, schedule


def read(tmp_path: Path, text: str) -> Recorded:
    path = tmp_path / "record.csv"
    path.write_text(text)
    return read_record(path)


def test_a_record_goes_to_a_file_and_back_unchanged(tmp_path: Path) -> None:
    churn = OnOff(Lengths("exponential", 1_000), Lengths("exponential", 1_000))
    kept = tuple(schedule(churn, 1, node, 5_000) for node in range(20))
    path = tmp_path / "kept.csv"
    write_record(path, kept)
    recorded = read_record(path)
    assert recorded.schedules == kept
    # As a model it is the same whatever the seed.
    for moment in range(0, 5_000, 500):
        assert Presence(recorded, 9, 20).at(moment) == [each.up_at(moment) for each in kept]


def test_lines_come_in_any_order_and_nodes_without_one_were_never_up(tmp_path: Path) -> None:
    recorded = read(tmp_path, f"# made by hand\n\n{HEADER}\r\n2, 50, 60\n0,0,10\n2,5,8\n")
    assert [each.spans for each in recorded.schedules] == [
        (Span(0, 10),),
        (),
        (Span(5, 8), Span(50, 60)),
    ]
    assert recorded.schedules[0].horizon_us == 60
    told = read(tmp_path, f"# nodes: 4\n#horizon_us:100\n{HEADER}\n0,0,10\n")
    assert [each.horizon_us for each in told.schedules] == [100] * 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no line node,up_us,down_us"),
        ("0,1,2\n", "record.csv:1: the first line that is no comment is node,up_us"),
        (f"{HEADER}\n", "not of 0 nodes and 0 µs"),
        (f"# nodes: 1000001\n{HEADER}\n0,0,1\n", "not of 1000001 nodes"),
        (f"{HEADER}\n\n0,1\n", "record.csv:3: three whole numbers"),
        (f"{HEADER}\n0,1,2,3\n", "record.csv:2: three whole numbers"),
        (f"{HEADER}\n0,-1,2\n", "record.csv:2: three whole numbers"),
        (f"{HEADER}\n0,1,2.5\n", "record.csv:2: three whole numbers"),
        (f"{HEADER}\n0,2,2\n", "record.csv:2: node 0 comes at 2"),
        (f"{HEADER}\n1000000,2,3\n", "record.csv:2: node 1000000 is beyond"),
        (f"# nodes: 1\n{HEADER}\n0,1,2\n1,2,3\n", "record.csv:4: node 1 is none of the 1"),
        (f"# horizon_us: 5\n{HEADER}\n0,1,2\n0,3,6\n", "record.csv:4: node 0 goes after"),
        (f"{HEADER}\n3,4,9\n3,1,5\n", "record.csv:2: node 3 comes at 4, and by line 3 it was up"),
        (f"{HEADER}\n3,4,9\n3,9,10\n", "record.csv:3: node 3 comes at 9, and by line 2"),
        (f"{HEADER}\n#" + "x" * 300, "record.csv:2: a line of more than 200"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(LocalFault) as caught:
        read(tmp_path, text)
    assert why in caught.value.what


def test_a_mesh_larger_than_its_record_is_refused() -> None:
    recorded = Recorded((Schedule((Span(0, 5),), 10),))
    assert list(recorded.spans(1, 0)) == [Span(0, 5)]
    with pytest.raises(LocalFault, match="of 1 nodes, and the mesh has node 1"):
        Presence(recorded, 1, 2)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalFault, match=r"nothing\.csv cannot be read"):
        read_record(tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LocalFault, match=r"binary\.csv cannot be read"):
        read_record(tmp_path / "binary.csv")


def test_a_record_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs_sim.world.churn.recorded.SPANS_MOST", 2)
    with pytest.raises(LocalFault, match=r"record\.csv:4: more than 2 spans"):
        read(tmp_path, f"{HEADER}\n0,1,2\n1,1,2\n2,1,2\n")
