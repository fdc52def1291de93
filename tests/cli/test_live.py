"""Real processes: they say when they serve, stop when told, and survive being killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from meshpacs.cli.serve import OPEN_FILES
from meshpacs.dimse.pdu import (
    AssociateReject,
    AssociateRequest,
    ProposedContext,
    User,
    encode,
    reject_words,
)
from meshpacs.dimse.reader import PduReader
from meshpacs.model.address import parse_address
from tests.cli.living import ANYWHERE, Live, meshpacs, up

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
STOP_S = 5.0
"""What `up` promises."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "nord"
    made = meshpacs(folder, "init", "--name", "Nord", *ANYWHERE, "--json")
    assert made.code == 0, made.err
    assert made.json["recovery_key"]
    return folder


def test_init_tells_people_the_recovery_key_and_what_comes_next(tmp_path: Path) -> None:
    made = meshpacs(tmp_path, "init", "--name", "Nord", "--mesh-name", "Küste")
    assert "Nord has founded the mesh Küste." in made.out
    assert "recovery key" in made.out
    assert "meshpacs up" in made.out
    again = meshpacs(tmp_path, "init", "--name", "Nord")
    assert again.code == 2
    assert "lives in" in again.err


def test_init_refuses_an_address_that_is_none_before_anything_is_made(tmp_path: Path) -> None:
    made = meshpacs(tmp_path / "new", "init", "--name", "Nord", "--mesh-listen", "7117")
    assert made.code == 2
    assert "mesh.listen: '7117' has no port" in made.err
    assert not (tmp_path / "new").exists()


def test_join_refuses_what_is_no_invite(tmp_path: Path) -> None:
    joined = meshpacs(tmp_path / "new", "join", "meshpacs:abc", "--name", "Süd")
    assert joined.code == 2
    assert "Traceback" not in joined.err
    assert "invite" in joined.err


def echoed(address: str) -> str:
    """How the DICOM door rejects an association for a title that is not ours."""
    wanted = AssociateRequest(
        "NOBODY", "TEST", (ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
        User(0, "1.2.3"),
    )  # fmt: skip
    with socket.create_connection(parse_address(address), timeout=10) as line:
        line.sendall(encode(wanted))
        (answer,) = PduReader().feed(memoryview(bytearray(line.recv(100))))
    assert isinstance(answer, AssociateReject)
    return reject_words(answer)


@pytest.mark.parametrize(
    "by",
    [
        "down",
        *(s for s in ("SIGTERM", "SIGINT") if hasattr(signal, s) and sys.platform != "win32"),
    ],
)
def test_up_says_ready_serves_and_stops_within_five_seconds(home: Path, by: str) -> None:
    with up(home) as node:
        assert node.ready["pid"] == node.process.pid
        assert node.ready["name"] == "Nord"
        status = meshpacs(home, "status", "--json")
        assert status.code == 0, status
        assert status.json["listening"] == node.ready["mesh"]
        assert json.loads((home / "running.json").read_text())["http"] == node.ready["http"]
        (dicom,) = node.ready["dicom"]
        assert echoed(dicom) == "permanent: called AE title not recognized"
        began = time.monotonic()
        if by == "down":
            assert meshpacs(home, "down").out == "Stopped.\n"
        else:
            node.process.send_signal(getattr(signal, by))
        assert node.end() == 0, node.log
        assert time.monotonic() - began < STOP_S
        assert not (home / "running.json").exists()
        assert '"stopped"' in node.log
        assert "Traceback" not in node.log


def test_a_second_up_names_the_first(home: Path) -> None:
    with up(home) as node:
        second = meshpacs(home, "up")
        assert second.code == 2
        assert f"process {node.process.pid}" in second.err
        assert "meshpacs down" in second.err
        assert meshpacs(home, "import", str(TEST_FILES / "CT_small.dcm")).code == 0


def test_a_node_that_was_killed_comes_up_again_with_what_it_had(home: Path) -> None:
    with up(home) as node:
        assert meshpacs(home, "import", str(TEST_FILES / "CT_small.dcm")).code == 0
        node.process.kill()
        node.process.wait()
    assert (home / "running.json").exists()
    assert "No node is up" in meshpacs(home, "status").err
    with up(home) as node:
        found = meshpacs(home, "find", "PatientName=CompressedSamples*", "--json")
        assert found.code == 0, found.err
        assert len(found.json["matches"]) == 1


def test_a_port_in_use_is_named_and_nothing_is_left_running(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--http-listen", "--mesh-listen", "--dicom-listen"):
            refused = meshpacs(home, "up", option, address)
            assert refused.code == 2, refused
            assert address in refused.err
            assert "Traceback" not in refused.err
    assert not (home / "running.json").exists()


def test_a_config_that_is_wrong_stops_a_start_and_not_a_running_node(home: Path) -> None:
    good = (home / "config.toml").read_text(encoding="utf-8")
    bad = good.replace('level = "info"', 'level = "loud"')
    with up(home, "--log-level", "debug", "--log-format", "json", "--advertise", "[::1]:1") as node:
        status = meshpacs(home, "status", "--json").json
        assert status["advertised"] == ["[::1]:1"]
        (home / "config.toml").write_text(bad, encoding="utf-8")
        if sys.platform != "win32":
            node.process.send_signal(signal.SIGHUP)
        assert "log.level" in wait_for_refusal(home)
        assert meshpacs(home, "status").code == 1
        (home / "config.toml").write_text(good, encoding="utf-8")
        assert meshpacs(home, "down").code == 0
        node.end()
    (home / "config.toml").write_text(bad, encoding="utf-8")
    refused = meshpacs(home, "up")
    assert refused.code == 2
    assert "config.toml: log.level: the value 'loud' is not one of" in refused.err


def wait_for_refusal(home: Path) -> str:
    """Ask until the node has looked at its file; each asking takes a process, so no sleep."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        refused: str = meshpacs(home, "status", "--json").json["config"]["refused"]
        if refused:
            return refused
    raise AssertionError("the node has not looked at its configuration")


@pytest.mark.skipif(sys.platform != "linux", reason="systemd's sockets")
def test_systemd_hears_ready_and_stopping(home: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, "-m", "meshpacs.cli", "--home", str(home), "up"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            assert supervisor.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert supervisor.recv(100) == b"STOPPING=1"
            assert process.wait(15) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextlib.contextmanager
def two_nodes(nord: Path, sued: Path) -> Iterator[tuple[Live, Live]]:
    with up(nord) as first:
        invite = meshpacs(nord, "invite", "--local")
        assert invite.code == 0, invite.err
        joined = meshpacs(sued, "join", invite.out.strip(), "--name", "Süd", *ANYWHERE)
        assert joined.code == 0, joined.err
        assert "Süd is one of 2 in the mesh Nord, let in by Nord." in joined.out
        reused = meshpacs(sued.parent / "x", "join", invite.out.strip(), "--name", "X", *ANYWHERE)
        assert reused.code == 2
        with up(sued) as second:
            yield first, second


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_node_that_may_open_no_more_files_goes_on(home: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 500), hard))
    try:
        running = up(home)
        node = running.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        limits = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        assert limits[0] == min(OPEN_FILES, hard), "it has asked for the files that it may need"
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (60, 60))
        doors = [node.ready["mesh"][0], node.ready["http"]]
        targets = [(host, int(port)) for host, _, port in (d.rpartition(":") for d in doors)]
        with contextlib.ExitStack() as crowd:
            for number in range(300):
                one = crowd.enter_context(socket.socket())
                one.settimeout(5)
                one.connect(targets[number % 2])
            status = meshpacs(home, "status", "--json")
            assert status.code == 0, status
        assert "connections_not_accepted" in node.log, "it did run out of files"
        assert node.log.count("connections_not_accepted") <= 4
        assert "Traceback" not in node.log
        assert meshpacs(home, "down").out == "Stopped.\n"
        assert node.end() == 0, node.log
    finally:
        running.__exit__(None, None, None)


def test_two_nodes_find_and_fetch_each_others_studies(home: Path, tmp_path: Path) -> None:
    sued = tmp_path / "sued"
    with two_nodes(home, sued) as (_, second):
        assert meshpacs(sued, "import", str(TEST_FILES / "MR_small.dcm")).code == 0
        found = meshpacs(home, "find", "Modality=", "--level", "series", "--json")
        found = meshpacs(home, "find", "ModalitiesInStudy=MR", "--json")
        assert found.code == 0, found.out
        (match,) = found.json["matches"]
        assert [holder["name"] for holder in match["holders"]] == ["Süd"]
        uid = match["attributes"]["StudyInstanceUID"]
        fetched = meshpacs(home, "fetch", uid, "--to", str(tmp_path / "out"), "--json")
        assert fetched.code == 0, fetched.err
        assert fetched.json["instances"] == 1
        assert meshpacs(home, "fetch", uid, "--json").json["already_here"]
        peers = meshpacs(home, "peers", "--json")
        assert peers.code == 0
        assert [peer["name"] for peer in peers.json["peers"]] == ["Süd"]
        assert meshpacs(sued, "down").code == 0
        second.end()
        missing = meshpacs(home, "find", "ModalitiesInStudy=MR")
        assert missing.code == 1
        assert "1 of 2 clinics answered" in missing.out
        assert "Süd has not been heard since" in missing.out
        local = meshpacs(home, "find", "ModalitiesInStudy=MR", "--scope", "local")
        assert local.code == 0
        revoked = meshpacs(home, "revoke", "Süd", "--yes")
        assert revoked.code == 0, revoked.err
        assert meshpacs(home, "find", "ModalitiesInStudy=MR", "--json").code == 0


def test_the_demo_holds_and_no_log_names_a_patient(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    project = Path(__file__).parents[2]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(project / "scripts" / "demo.py"), "--keep", str(folder)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=150,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as it should be" in done.stdout
    assert time.monotonic() - began < 120
    logs = list(folder.glob("*/log"))
    assert len(logs) == 5
    text = "\n".join(log.read_text(encoding="utf-8") for log in logs)
    assert text.count('"ready"') >= 5
    for fact in patients():
        assert fact not in text, fact


def patients() -> set[str]:
    """Every name, ID and birth date of the wheels' files that is long enough to be told apart."""
    facts = set()
    for path in Path(pydicom.__file__).parent.joinpath("data").rglob("*.dcm"):
        with contextlib.suppress(Exception), contextlib.redirect_stderr(None):
            data = pydicom.dcmread(path, stop_before_pixels=True)
            facts |= {str(data.PatientName), str(data.PatientID), str(data.PatientBirthDate)}
    return {fact for fact in facts if len(fact) >= 5}
