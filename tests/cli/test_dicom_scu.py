"""`meshpacs dicom echo|store|get|move`, between homes and with DCMTK's receiver."""

import json
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import trio

from meshpacs.archive.decoding import installed
from meshpacs.node.book import Entry as Known
from tests.cli.living import ANYWHERE, meshpacs, up
from tests.gateways.dicom.doors import opened
from tests.gateways.dicom.test_retrieving import Atlas
from tests.gateways.fake_mesh import FakeMesh
from tests.node.clinics import instance

REAL = Path(pydicom.__file__).parent / "data" / "test_files"
NAMES = (
    "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm",
    "JPEG2000.dcm", "MR_small_RLE.dcm", "rtplan.dcm", "reportsi.dcm",
)  # fmt: skip
STUDY = "1.2.826.0.1.7"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made(tmp_path / "n", "Nord")


def made(folder: Path, name: str, title: str = "MESHPACS") -> Path:
    words = ("init", "--name", name, "--ae-title", title, *ANYWHERE)
    assert meshpacs(folder, *words).code == 0
    return folder


def media(folder: Path) -> Path:
    """Eight syntaxes and classes, two of them in a zip file, and something that is no DICOM."""
    folder.mkdir()
    for name in NAMES[2:]:
        shutil.copy(REAL / name, folder / name)
    with zipfile.ZipFile(folder / "two.zip", "w") as box:
        for name in NAMES[:2]:
            box.write(REAL / name, f"in/{name}")
    (folder / "notes.txt").write_text("none")
    return folder


def test_a_machine_is_named_by_the_book_by_its_address_or_by_both(home: Path) -> None:
    with up(home) as node:
        (address,) = node.ready["dicom"]
        done = meshpacs(home, "dicom", "echo", address, "--called", "MESHPACS", "--times", "3")
        assert done.code == 0, done.err
        assert done.out.count("MESHPACS answers in") == 3
        assert meshpacs(home, "dicom", "echo", f"MESHPACS@{address}", "--json").code == 0
        meshpacs(home, "dicom", "ae", "add", "PACS", address)
        named = meshpacs(home, "dicom", "echo", "PACS", "--called", "MESHPACS", "--json")
        assert len(named.json["took_us"]) == 1
        wrong = meshpacs(home, "dicom", "echo", "PACS")
        assert wrong.code == 2
        assert "That machine is not called PACS" in wrong.err
        unsaid = meshpacs(home, "dicom", "store", address, str(REAL / NAMES[0]))
        assert unsaid.code == 2
        assert "Add --called and its AE title." in unsaid.err


def test_files_folders_and_zips_are_sent_as_they_are(home: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "o", "Ost", "OST")
    folder = media(tmp_path / "media")
    with up(other) as node:
        (address,) = node.ready["dicom"]
        sent = meshpacs(home, "dicom", "store", f"OST@{address}", str(folder), "--json")
        assert sent.code == 0, sent.err
        assert sent.json["statuses"] == {"0000": len(NAMES)}
        assert (sent.json["skipped"], sent.json["troubled"]) == (1, [])
        again = meshpacs(home, "dicom", "store", f"OST@{address}", str(folder / NAMES[4]))
        assert "1 instance answered 0000: kept." in again.out
        for name in NAMES:
            data = pydicom.dcmread(REAL / name)
            out = tmp_path / "out" / name
            got = meshpacs(
                home, "dicom", "get", f"OST@{address}", data.StudyInstanceUID,
                f"SeriesInstanceUID={data.SeriesInstanceUID}",
                f"SOPInstanceUID={data.SOPInstanceUID}", "--out", str(out), "--json",
            )  # fmt: skip
            assert got.code == 0, (name, got.out, got.err)
            (file,) = out.rglob("*.dcm")
            came = pydicom.dcmread(file)
            assert came.SOPInstanceUID == data.SOPInstanceUID
            syntax = data.file_meta.TransferSyntaxUID
            if syntax.is_encapsulated:
                assert came.file_meta.TransferSyntaxUID == syntax
            assert [path for path in out.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("decodes", [False, True])
def test_what_cannot_be_sent_is_told_with_its_reason(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodes: bool
) -> None:
    if decodes and not installed():
        pytest.skip("pip install 'meshpacs[pixel]'")
    monkeypatch.setattr("meshpacs.node.decoders.installed", lambda: decodes)
    folder = media(tmp_path / "media")
    (folder / "cut.dcm").write_bytes((REAL / NAMES[0]).read_bytes()[:400])
    with storescp(tmp_path / "got", "+xe") as address:
        sent = meshpacs(home, "dicom", "store", f"WARD@{address}", str(folder), "--json")
    assert sent.code == 1
    assert sent.json["statuses"] == {"0000": 8 if decodes else 6}
    assert sent.json["not_sent"] == (0 if decodes else 2)
    assert all("pip install 'meshpacs[pixel]'" in reason for reason in sent.json["reasons"])
    assert sent.json["unreadable"] == 1
    # Some are one instance in several transfer syntaxes; storescp keeps the last.
    assert len(list((tmp_path / "got").iterdir())) == (5 if decodes else 4)
    off = meshpacs(home, "dicom", "store", f"WARD@{address}", str(folder))
    assert off.code == 2
    assert "WARD cannot be reached at" in off.err


def test_ctrl_c_is_not_told_as_if_there_were_nothing_to_send(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    monkeypatch.setattr("meshpacs.cli.dicom.store._send", interrupted)
    done = meshpacs(home, "dicom", "store", "WARD@127.0.0.1:1", str(REAL / NAMES[0]))
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize("is_up", [False, True])
def test_a_study_is_got_into_the_archive(home: Path, tmp_path: Path, is_up: bool) -> None:
    other = made(tmp_path / "o", "Ost", "OST")
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(instance(number))
    assert meshpacs(other, "import", *(str(tmp_path / f"{n}.dcm") for n in range(3))).code == 0
    with up(other) as node:
        (address,) = node.ready["dicom"]

        def got() -> None:
            done = meshpacs(home, "dicom", "get", f"OST@{address}", STUDY)
            assert done.code == 0, done.err
            assert "3 instances came." in done.out
            assert "3 instances stored" in done.out
            again = meshpacs(home, "dicom", "get", f"OST@{address}", STUDY, "--json")
            assert (again.json["received"], again.json["unchanged"]) == (3, 3)

        if is_up:
            with up(home):
                got()
                found = meshpacs(home, "find", f"StudyInstanceUID={STUDY}", "--json").json
                assert found["matches"][0]["attributes"]["NumberOfStudyRelatedInstances"] == "3"
        else:
            got()
        nothing = meshpacs(home, "dicom", "get", f"OST@{address}", "1.2.3", "--json")
        assert (nothing.code, nothing.json["status"], nothing.json["received"]) == (1, "0000", 0)
        told = meshpacs(home, "dicom", "get", f"OST@{address}", "1.2.3")
        assert "holds nothing of it" in told.err
    assert not list(home.glob(".coming-*"))


def test_a_study_is_moved_to_this_node_by_its_title(home: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "o", "Ost", "OST")
    (tmp_path / "1.dcm").write_bytes(instance(1))
    with up(other) as node:
        (address,) = node.ready["dicom"]
        meshpacs(other, "import", str(tmp_path / "1.dcm"))
        down = meshpacs(home, "dicom", "move", f"OST@{address}", STUDY)
        assert down.code == 2
        assert "Start it with `meshpacs up`" in down.err
        with up(home) as ours:
            unknown = meshpacs(home, "dicom", "move", f"OST@{address}", STUDY)
            assert unknown.code == 1
            assert "Status A801" in unknown.out
            assert "It must be told who MESHPACS is, and where." in unknown.err
            meshpacs(other, "dicom", "ae", "add", "MESHPACS", ours.ready["dicom"][0])
            until_known(home, address)
            nothing = meshpacs(home, "dicom", "move", f"OST@{address}", "1.2.3")
            assert nothing.code == 1
            assert "holds nothing of it" in nothing.err
            found = meshpacs(home, "find", "--json").json
            assert found["matches"][0]["attributes"]["StudyInstanceUID"] == STUDY


def until_known(home: Path, address: str) -> None:
    """A running node looks at its book every second."""
    until_s = time.monotonic() + 30
    while True:
        moved = meshpacs(home, "dicom", "move", f"OST@{address}", STUDY, "--json")
        if moved.code == 0 or time.monotonic() > until_s:
            break
    assert (moved.json["to"], moved.json["completed"]) == ("MESHPACS", 1), moved.out


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("PatientName=X",), "PatientName selects nothing here"),
        (("SeriesInstanceUID=1.2",), "StudyInstanceUID is missing"),
        (("PatientID=7", "--level", "study"), "StudyInstanceUID is missing"),
        (("IssuerOfPatientID=X",), "StudyInstanceUID is missing"),
    ],
)
def test_what_selects_nothing_is_said_before_anybody_is_called(
    home: Path, words: tuple[str, ...], word: str
) -> None:
    done = meshpacs(home, "dicom", "get", "PACS@127.0.0.1:1", *words)
    assert done.code == 2
    assert word in done.err


@pytest.mark.parametrize("title", ["", "Ä", "MORE THAN SIXTEEN", "A\\B", " A"])
def test_what_is_no_title_is_said_before_anybody_is_called(home: Path, title: str) -> None:
    for words in (
        ("echo", f"{title}@127.0.0.1:1"),
        ("check", "127.0.0.1:1", "--called", title),
        ("find", "PACS@127.0.0.1:1", "--calling", title),
        ("move", "PACS@127.0.0.1:1", "1.2.3", "--to", title),
    ):
        done = meshpacs(home, "dicom", *words)
        assert done.code == 2
        assert f"{title!r} is no AE title." in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_cancels_at_the_other_side(home: Path) -> None:
    heard: list[bytes] = []
    with listening(heard) as address:
        words = ("dicom", "move", f"PACS@{address}", "1.2.3", "--to", "WARD", "--json")
        process = subprocess.Popen(
            [sys.executable, "-m", "meshpacs.cli", "--home", str(home), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not heard:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "cancelling" in err
    assert json.loads(out)["status"] == "FE00"


@contextmanager
def listening(heard: list[bytes]) -> Iterator[str]:
    """An archive that takes a C-MOVE and answers only once it is cancelled."""
    mesh = FakeMesh(silent=True)
    ready: queue.Queue[str] = queue.Queue()
    ended = threading.Event()

    async def serve() -> None:
        async with opened(mesh, "PACS", book=Atlas(Known("WARD", "127.0.0.1", 1))) as door:
            ready.put(f"{door.host}:{door.port}")
            while not ended.is_set():
                await trio.sleep(0.01)
                if mesh.asked and not heard:
                    heard.append(b"asked")

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        yield ready.get()
    finally:
        ended.set()
        thread.join()


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[str]:
    """DCMTK's receiver."""
    found = shutil.which("storescp")
    if found is None:
        pytest.skip("storescp is not installed; on Debian: apt-get install dcmtk")
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([found, *options, "-aet", "WARD", "-od", str(folder), str(port)])
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
