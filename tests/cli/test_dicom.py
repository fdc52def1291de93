"""`meshpacs dicom ae`: the list of machines, as a person keeps it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshpacs.node.book import Entry, read_book
from tests.cli.living import ANYWHERE, meshpacs, up
from tests.node.clinics import instance


def check(home: Path, whom: str, *words: str) -> tuple[int, str]:
    done = meshpacs(home, "dicom", "check", whom, *words)
    return done.code, done.out + done.err


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Something that answers the first bytes with these and hangs up; its address."""

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            line.recv(10_000)
            line.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def test_a_node_that_is_up_answers_under_its_title(home: Path) -> None:
    with up(home) as node:
        (address,) = node.ready["dicom"]
        code, said = check(home, f"MESHPACS@{address}")
        assert code == 0, said
        assert f"MESHPACS at {address} answers in" in said
        ae(home, "add", "MESHPACS", address)
        assert meshpacs(home, "dicom", "check", "MESHPACS", "--json").json["title"] == "MESHPACS"
        code, said = check(home, f"OTHER@{address}")
        assert code == 2
        assert "called AE title not recognized" in said
        assert "That machine is not called OTHER" in said


def test_another_archive_is_asked_as_a_workstation_would(home: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"{number}.dcm").write_bytes(instance(1, study=f"1.2.826.0.1.{number}"))
    with up(home) as node:
        (address,) = node.ready["dicom"]
        meshpacs(home, "import", *(str(tmp_path / f"{n}.dcm") for n in (1, 2, 3)))
        whom = f"MESHPACS@{address}"
        found = meshpacs(home, "dicom", "find", whom, "PatientName=mus*", "--json")
        assert found.code == 0, found.err
        assert found.json["status"] == "0000"
        uids = sorted(row["StudyInstanceUID"] for row in found.json["rows"])
        assert uids == [f"1.2.826.0.1.{n}" for n in (1, 2, 3)]
        cut = meshpacs(home, "dicom", "find", whom, "--limit", "2")
        assert cut.code == 1
        assert "2 found, and there are more" in cut.out
        assert "Muster^Anna" in cut.out
        patients = meshpacs(home, "dicom", "find", whom, "--level", "patient")
        assert "1 found. Status 0000." in patients.out
        none = meshpacs(home, "dicom", "find", whom, "PatientName=Nobody")
        assert (none.code, none.out) == (0, "0 found. Status 0000.\n")
        series = meshpacs(home, "dicom", "find", whom, "--level", "series", "Modality=CT")
        assert series.code == 1
        assert "A900; it says: StudyInstanceUID must have a single value." in series.out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak DICOM"),
        (b"", "has hung up instead of answering"),
        (b"\x03\0\0\0\0\4\0\1\1\3", "must be told that MESHPACS may call"),
        (b"\x03\0\0\0\0\4\0\2\3\2", "local limit exceeded. Try again later."),
        (b"\x03\0\0\0\0\4\0\1\1\1", "no reason given. Its own log may say why."),
    ],
)
def test_what_is_at_fault_is_said(home: Path, answer: bytes, words: str) -> None:
    with listening(answer) as address:
        code, said = check(home, f"PACS@{address}")
    assert code == 2
    assert words in " ".join(said.split())


def test_a_closed_port_and_an_unknown_name_are_told_apart(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "refused" in check(home, f"PACS@127.0.0.1:{port}")[1]
    code, said = check(home, "PACS@no-such-host.invalid:104")
    assert code == 2
    assert "cannot be reached at no-such-host.invalid:104: nobody knows that name" in said
    assert "0 machines" in check(home, "PACS")[1]


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
    assert listed["ae"][0]["services"] == [
        "echo",
        "store",
        "find",
        "get",
        "move",
        "worklist",
        "commit",
    ]
    ae(home, "add", "WARD", "2001:db8::/32", "--prefer", "ImplicitVRLittleEndian")
    assert "prefers ImplicitVRLittleEndian" in ae(home, "list")
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
        (("add", "X", "h", "--prefer", "ExplicitVR"), "Did you mean ExplicitVR"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    home: Path, words: tuple[str, ...], word: str
) -> None:
    done = meshpacs(home, "dicom", "ae", *words)
    assert done.code == 2
    assert word in done.err
    assert not (home / "dicom-aes.toml").exists()


def test_the_worklist_shows_what_is_scheduled_and_which_file_cannot_be_used(home: Path) -> None:
    done = meshpacs(home, "dicom", "worklist")
    assert done.code == 0
    assert f"Put *.wl or *.json files into {home / 'worklist'}." in done.out
    folder = home / "worklist"
    folder.mkdir()
    step = '{"Modality": "CT", "ScheduledStationAETitle": "CT1"}'
    entry = f'{{"PatientName": "Meier^Anna", "ScheduledProcedureStepSequence": [{step}]}}'
    (folder / "good.json").write_text(entry)
    done = meshpacs(home, "dicom", "worklist", "--json")
    assert done.code == 0
    assert [s["patient_name"] for s in done.json["steps"]] == ["Meier^Anna"]
    (folder / "bad.json").write_text('{"PatientsName": "x"}')
    done = meshpacs(home, "dicom", "worklist", "--title", "MESHPACS")
    assert done.code == 1
    assert "CT1" in done.out
    assert "bad.json: PatientsName is neither a keyword" in done.err
    listed = meshpacs(home, "dicom", "worklist", "--json").json["unusable"]
    assert [Path(one["file"]).name for one in listed] == ["bad.json"]


def test_switches_are_kept_shown_and_taken_back(home: Path) -> None:
    said = ae(home, "add", "VIEWER", "192.0.2.20:11112", "--shared", "--online")
    assert "shared, told ONLINE" in said
    ae(home, "add", "SHY", "192.0.2.21", "--incomplete-fails")
    viewer, shy = sorted(read_book(home / "dicom-aes.toml"), key=lambda e: e.title, reverse=True)
    assert (viewer.shared, viewer.online, viewer.incomplete_fails) == (True, True, False)
    assert (shy.shared, shy.online, shy.incomplete_fails) == (False, False, True)
    assert "incomplete fails" in ae(home, "list")
    ae(home, "add", "VIEWER", "192.0.2.20:11112")
    assert "shared" not in ae(home, "list")
    refused = meshpacs(home, "dicom", "ae", "add", "CT1", "192.0.2.7", "--shared")
    assert refused.code == 2
    assert "without a port" in refused.err


def test_what_others_share_is_listed_while_the_node_is_up(home: Path) -> None:
    assert "shared" not in meshpacs(home, "dicom", "ae", "list", "--json").json
    with up(home):
        assert meshpacs(home, "dicom", "ae", "list", "--json").json["shared"] == []
        code, said = check(home, "NOBODY")
    assert code == 2
    assert "0 machines" in said
