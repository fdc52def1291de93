"""`meshpacs dicom ae`: the list of machines, as a person keeps it."""

from pathlib import Path

import pytest

from meshpacs.node.book import Entry, read_book
from tests.cli.living import ANYWHERE, meshpacs


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert meshpacs(tmp_path / "n", "init", "--name", "Nord", *ANYWHERE).code == 0
    return tmp_path / "n"


def ae(home: Path, *words: str) -> str:
    done = meshpacs(home, "dicom", "ae", *words)
    assert done.code == 0, done.err
    return done.out


def test_machines_are_added_listed_and_removed(home: Path) -> None:
    assert "No machine is known but this one" in ae(home, "list")
    ae(home, "add", "CT1", "192.0.2.7", "--service", "echo", "--service", "store")
    ae(home, "add", "VIEWER", "192.0.2.20:11113")
    ae(home, "add", "VIEWER", "[2001:db8::7]:104")
    ae(home, "add", "WARD", "2001:db8::/32")
    said = ae(home, "list")
    assert "192.0.2.20:11113" in said
    assert "[2001:db8::7]:104" in said
    assert read_book(home / "dicom-aes.toml")[0] == Entry(
        "CT1", "192.0.2.7", services=("echo", "store")
    )
    ae(home, "add", "CT1", "192.0.2.7")
    listed = meshpacs(home, "dicom", "ae", "list", "--json").json
    assert [(e["title"], e["port"]) for e in listed["ae"]] == [
        ("CT1", 0),
        ("VIEWER", 11113),
        ("VIEWER", 104),
        ("WARD", 0),
    ]
    assert listed["ae"][0]["services"] == ["echo", "store", "find", "get", "move"]
    ae(home, "remove", "VIEWER", "--host", "2001:db8::7")
    ae(home, "remove", "CT1")
    assert [e.title for e in read_book(home / "dicom-aes.toml")] == ["VIEWER", "WARD"]


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("remove", "X"), "No machine 'X' is known"),
        (("add", "X Y Z TOO LONG TITLE", "h"), "no AE title"),
        (("add", "X", "h", "--service", "print"), "no service 'print'"),
        (("add", "X", "h:ninety"), "has no port"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    home: Path, words: tuple[str, ...], word: str
) -> None:
    done = meshpacs(home, "dicom", "ae", *words)
    assert done.code == 2
    assert word in done.err
    assert not (home / "dicom-aes.toml").exists()
