"""`import` through the node that is up: what was taken, and by name what was not."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from meshpacs.cli import importing
from meshpacs.model.errors import LocalFault
from tests.cli.served import Served, make_home, run, served
from tests.gateways.fake_mesh import FakeMesh


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "home", FakeMesh()) as made:
        yield made


def test_import_names_what_was_refused_and_exits_1(node: Served, tmp_path: Path) -> None:
    result = node.run("import", str(tmp_path))
    assert result.return_value == 1
    assert "1 instance stored (1.0 kB), 1 refused." in result.stdout
    assert "b.dcm: It is truncated." in result.stdout
    assert node.mesh.asked == [("import", (tmp_path,))]


def test_import_in_json_names_all_that_are_in_trouble(node: Served, tmp_path: Path) -> None:
    document = json.loads(node.run("import", str(tmp_path), "--json").stdout)
    assert document["stored"] == 1
    assert document["troubled"] == [
        {"name": "b.dcm", "taken": "refused", "reason": "It is truncated."}
    ]


def test_a_long_list_is_cut_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"stored": 0, "bytes": 0, "unchanged": 1, "conflicts": 2, "refused": 3, "skipped": 4}
    troubled = [{"name": f"{n}.dcm", "taken": "conflict", "reason": ""} for n in range(22)]
    importing.show(summary, troubled)
    out = capsys.readouterr().out
    assert "1 here already, 2 kept aside in conflict, 3 refused, 4 skipped" in out
    assert "19.dcm: kept aside" in out
    assert "20.dcm" not in out
    assert "and 2 more" in out


def test_a_path_that_is_not_there_is_refused_before_anything(node: Served) -> None:
    result = node.run("import", "nowhere")
    assert "nowhere" in str(result.exception)
    assert node.mesh.asked == []


def test_an_idle_home_is_imported_into_under_its_lock(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    source = Path(pydicom.__file__).parent / "data" / "test_files"
    files = [source / "CT_small.dcm", source / "MR_small.dcm", source / "README.txt"]
    words = ["--home", str(home.folder), "import", *map(str, files)]
    result = run(*words)
    assert "2 instances stored" in result.stdout
    assert "1 skipped" in result.stdout
    assert result.return_value == 0
    again = run(*words, "--json")
    assert json.loads(again.stdout)["unchanged"] == 2
    assert json.loads(again.stdout)["finished"] is True
    with home.lock():
        fault = run(*words).exception
    assert isinstance(fault, LocalFault)
    assert str(os.getpid()) in fault.what
