"""`plot` and `report` as a person meets them."""

from pathlib import Path

import pytest

from meshpacs_sim.cli import main
from meshpacs_sim.lab.plots import pictures_of
from meshpacs_sim.lab.running import keep
from meshpacs_sim.lab.summaries import summary_of
from tests.sim.lab.invented import gathered, queries, run, tables


@pytest.fixture
def results(tmp_path: Path) -> Path:
    found = queries(8, latency_us=[-1] * 8, hops=[-1] * 8, copies=[1] * 8)
    keep(run(tables(found)).files(), tmp_path / "mine")
    return tmp_path / "mine"


def test_each_picture_is_a_file_the_same_every_time(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["plot", str(results)]) == 0
    files = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [file.name for file in files] == ["tradeoff.svg", "load.svg"]
    whole = gathered(tables(queries(8, latency_us=[-1] * 8, hops=[-1] * 8, copies=[1] * 8)))
    first = next(pictures_of(whole, [summary_of(group) for group in whole.groups]))
    assert files[0].read_bytes() == first.svg()


def test_one_picture_is_drawn_as_png_into_another_folder(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--only", "load", "--format", "png", "--out", str(tmp_path / "deep" / "er")]
    assert main.run(["plot", str(results), *words]) == 0
    (file,) = capsys.readouterr().out.split()
    assert Path(file) == tmp_path / "deep" / "er" / "load.png"
    assert Path(file).read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_is_not_there_is_refused_with_those_that_are(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["plot", str(results), "--only", "lode"]) == main.BROKEN
    told = capsys.readouterr().err
    assert "has no picture 'lode'" in told
    assert "tradeoff, load" in told


def test_results_of_nothing_have_no_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(run(tables(queries(0), moments=(), kinds=())).files(), tmp_path / "none")
    assert main.run(["plot", str(tmp_path / "none")]) == 0
    assert "nothing that could be drawn" in capsys.readouterr().err


def test_the_page_lies_with_the_results_or_where_it_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(run(tables(queries(0), moments=(), kinds=())).files("csv"), tmp_path / "none")
    assert main.run(["report", str(tmp_path / "none")]) == 0
    page = tmp_path / "none" / "report.html"
    assert capsys.readouterr().out.strip() == str(page)
    assert main.run(["report", str(tmp_path / "none"), "--out", str(tmp_path / "p.html")]) == 0
    assert page.read_bytes() == (tmp_path / "p.html").read_bytes()


@pytest.mark.parametrize("command", ["plot", "report"])
def test_what_is_no_folder_of_results_and_what_cannot_be_written_is_named(
    command: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([command, str(tmp_path)]) == main.BROKEN
    assert f"{tmp_path} holds no results" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    keep(run(tables(queries(0), moments=(), kinds=())).files(), tmp_path / "none")
    where = {"plot": "file/in", "report": "file/page.html"}[command]
    source = {"plot": results, "report": tmp_path / "none"}[command]
    assert main.run([command, str(source), "--out", str(tmp_path / where)]) == main.BROKEN
    assert "cannot be written" in capsys.readouterr().err
