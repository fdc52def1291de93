"""Scenario files are taken whole, or refused with file, line, key and reason."""

from pathlib import Path

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab.keys import block, markdown, rewrite, tables
from meshpacs_sim.lab.scenario import Content, Mesh, Scenario
from meshpacs_sim.lab.shapes import TOPOLOGIES, Complete, Grid, Regular, SmallWorld, Topology
from meshpacs_sim.lab.stage import Stage

ROOT = Path(__file__).parents[3]

TOO_FEW = pytest.mark.parametrize(
    ("topology", "size", "said"),
    [
        (Regular(7), 5, "no connected graph of 5 nodes has degree 7"),
        (Regular(3), 5, "no connected graph of 5 nodes has degree 3"),
        (SmallWorld(5), 60, "an even degree up to 30, not 5"),
        (Grid(3), 10, "a grid 3 wide cannot have 10 nodes"),
        (Complete(), 2001, "at most 2000 nodes here, not 2001"),
    ],
)

GOOD = """
name = "Ten"
seed = 4

[mesh]
size = 10

[mesh.topology]
kind = "grid"
width = 5

[search]
strategy = "ball"
ttl = 2
"""


def refusal(tmp_path: Path, text: str) -> str:
    file = tmp_path / "wrong.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LocalFault) as fault:
        Scenario.load(file)
    return str(fault.value).replace(str(tmp_path) + "/", "")


def test_a_file_says_what_it_says_and_defaults_say_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text(GOOD, encoding="utf-8")
    scenario = Scenario.load(file)
    assert scenario.mesh == Mesh(10, Grid(5))
    assert scenario.content == Content()


@pytest.mark.parametrize(
    ("was", "instead", "said"),
    [
        ("ttl = 2", "tll = 2", "line 14: search.tll is not known. Did you mean ttl?"),
        ("[mesh]", "[mash]", "line 5: mash is not known. Did you mean mesh?"),
        ("size = 10", 'size = "ten"', "line 6: mesh.size is wrong: expected a whole number, got"),
        ("size = 10", "size = 1", "line 6: mesh.size is wrong: expected a whole number >= 2"),
        ("width = 5", "", "line 8: mesh.topology.width is missing"),
        ('"grid"', '"gird"', "line 9: mesh.topology.kind cannot be 'gird'. Did you mean grid?"),
        ('"ball"', '"walkers"', "search.strategy cannot be 'walkers'"),
        ('kind = "grid"', "", "line 8: mesh.topology.kind is missing. It is one of regular,"),
        ("size = 10", "size = 10_000", "line 6: the scenario has mesh.size 10,000, and the engine"),
        (
            "[search]",
            "[content]\ncopies = [11]\n[search]",
            "line 13: the scenario has content.copies 11, and only 10",
        ),
        ("width = 5", "width = 3", "line 8: mesh.topology is wrong: a grid 3 wide cannot have 10"),
        ("seed = 4", 'fidelity = "kernal"', "Did you mean kernel? It is one of engine, kernel."),
        ("seed = 4", 'fidelity = "fast"', "is wrong: 'fast'. It is one of engine, kernel."),
        ('"ball"', '"log_dht"', 'log_dht takes fidelity = "kernel", at the top of the file.'),
        (
            "[search]",
            '[roads]\nmodel = "constant"\none_way_us = -1\n[search]',
            "line 14: roads.one_way_us is wrong: -1 is less than 0",
        ),
        (
            "[search]",
            '[workload]\nkind = "clinics"\nhours = [1]\n[search]',
            "line 14: workload.hours is not 24 numbers",
        ),
        ("[search]", "[content]\nzipf = nan\n[search]", "content.zipf is nan"),
        ('"ball"\nttl = 2', '"expanding_ring"\nttls = [2, 1]', "line 12: search has ttls [2, 1]"),
        ("[mesh]\n", "[mesh\n", "is not TOML"),
        ("[search]", "mesh = 3\n[search]", "wrong.toml"),
    ],
)
def test_what_is_wrong_is_refused_with_line_key_and_reason(
    tmp_path: Path, was: str, instead: str, said: str
) -> None:
    assert was in GOOD
    told = refusal(tmp_path, GOOD.replace(was, instead, 1))
    assert told.startswith("wrong.toml")
    assert said in told


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(LocalFault, match=r"nowhere.toml does not exist"):
        Scenario.load("nowhere.toml")


def test_the_canonical_text_gives_the_same_scenario_and_digest_again(tmp_path: Path) -> None:
    scenario = Scenario(name='quotes " and ümlaut', about="two\nlines", mesh=Mesh(12, Grid(3)))
    file = tmp_path / "again.toml"
    file.write_text(scenario.text, encoding="utf-8")
    again = Scenario.load(file)
    assert again == scenario
    assert again.digest == scenario.digest
    assert scenario.vary({"seed": 2}).digest != scenario.digest


def test_a_value_is_varied_by_its_dotted_key_and_an_unknown_one_refused() -> None:
    varied = Scenario().vary({"mesh.size": 12, "search": {"strategy": "ball", "ttl": 1}})
    assert varied.mesh.size == 12
    assert varied.search.ttl == 1
    with pytest.raises(LocalFault, match=r"mesh\.sice is not known"):
        Scenario().vary({"mesh.sice": 12})


def test_a_file_is_looked_for_beside_the_scenario_and_its_bytes_count(tmp_path: Path) -> None:
    edges = tmp_path / "edges.txt"
    edges.write_text("# three\n1 2\n2 3\n7 8\n", encoding="utf-8")
    file = tmp_path / "snap.toml"
    file.write_text("[mesh.topology]\nkind = 'snap'\nfile = 'edges.txt'\n", encoding="utf-8")
    scenario = Scenario.load(file)
    assert Stage(scenario).size == 3
    before = scenario.digest
    edges.write_text("1 2\n", encoding="utf-8")
    assert scenario.digest != before
    edges.unlink()
    with pytest.raises(LocalFault, match=r"edges\.txt cannot be read"):
        _ = scenario.digest


@TOO_FEW
def test_what_no_topology_can_be_made_of_is_refused_before_anything_is_run(
    topology: Topology, size: int, said: str
) -> None:
    with pytest.raises(ValueError, match=f"^topology: .*{said}.*; mesh.size is {size:,}$"):
        Mesh(size, topology)
    assert Mesh(size, topology, overlay="own").size == size  # then of the topology only that counts


def test_an_edge_list_tells_how_many_nodes_can_hold_copies(tmp_path: Path) -> None:
    edges = tmp_path / "edges.txt"
    edges.write_text("".join(f"{node} {node + 1}\n" for node in range(99)), encoding="utf-8")
    tree = {"size": 2, "topology": {"kind": "snap", "file": str(edges)}}
    held = Stage(Scenario.of({"mesh": tree, "content": {"copies": [100]}})).copies
    assert len(held.of(0)) == 100
    with pytest.raises(LocalFault, match=r"has content\.copies 101, and only 100 nodes"):
        _ = Stage(Scenario.of({"mesh": tree, "content": {"copies": [101]}})).copies


@pytest.mark.parametrize("kind", [kind for kind in TOPOLOGIES if kind != "snap"])
def test_every_topology_can_be_named_and_is_built(kind: str) -> None:
    more = {"width": 6} if kind == "grid" else {}
    stage = Stage(Scenario().vary({"mesh.size": 18, "mesh.topology": {"kind": kind, **more}}))
    assert 8 <= stage.size <= 18
    assert stage.copies.holders.max() < stage.size


def test_the_reference_is_rewritten_and_all_else_of_the_document_stays(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text("# D\n\n### Every key\n\nold\n\n## Results\n\nnew\n", encoding="utf-8")
    rewrite(document)
    assert document.read_text(encoding="utf-8") == (
        f"# D\n\n### Every key\n\n{markdown()}\n## Results\n\nnew\n"
    )


def test_every_key_is_explained_and_the_reference_is_the_one_in_the_documents() -> None:
    for table in tables():
        assert table.about, table.table
    document = (ROOT / "docs" / "SIMULATOR.md").read_text(encoding="utf-8")
    for table in tables():
        if table.room == "lab":
            assert all(key.means for key in table.keys), table.table
            assert block(table) in document, "python -m meshpacs_sim.lab.keys docs/SIMULATOR.md"
