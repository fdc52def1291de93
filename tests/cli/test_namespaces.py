"""Two clinics whose networks cannot reach each other's machines, as real network namespaces.

`nord` and `sued` are joined by one veth pair, which stands for the line between two clinics; the
ward's network hangs on `sued` alone. A C-MOVE at nord to the ward's receiver is carried out by
sued, because nord has no way there (PROTOCOL 12).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from tests.node.clinics import instance

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

STUDY = "1.2.826.0.1.7"
BETWEEN = {"nord": "198.18.0.1", "sued": "198.18.0.2"}
"""The line between the clinics; the addresses of RFC 2544, which nobody routes."""
WARD, GATE = "198.19.0.2", "198.19.0.1"
PORT = 11112
WANTED = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}")


@dataclass
class Places:
    """Network namespaces of this test alone."""

    mark: str

    def inside(self, place: str, *words: str) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.mark + place, *words]

    def run(self, place: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.inside(place, *words),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=120,
        )

    def meshpacs(self, place: str, home: Path, *words: str) -> str:
        done = self.run(place, sys.executable, "-m", "meshpacs.cli", "--home", str(home), *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@pytest.fixture
def places() -> Iterator[Places]:
    """nord - sued - ward, and no way from nord to ward."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("Network namespaces need Linux, root and `ip`.")
    found = Places(f"mp{os.getpid()}")
    mark = found.mark
    made: list[str] = []
    try:
        try:
            for place in ("nord", "sued", "ward"):
                ip("netns", "add", mark + place)
                made.append(mark + place)
            for one, other, here, there in (
                ("nord", "sued", BETWEEN["nord"], BETWEEN["sued"]),
                ("sued", "ward", GATE, WARD),
            ):
                # Both ends are born in their namespaces: the machine itself never sees them.
                ip("link", "add", f"to-{other}", "netns", mark + one,
                   "type", "veth", "peer", "name", f"to-{one}", "netns", mark + other)  # fmt: skip
                for place, device, address in (
                    (one, f"to-{other}", here),
                    (other, f"to-{one}", there),
                ):
                    ip("-n", mark + place, "addr", "add", f"{address}/24", "dev", device)
                    ip("-n", mark + place, "link", "set", device, "up")
            for place in made:
                ip("-n", place, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"Network namespaces cannot be made here: {error.stderr!r}.")
        yield found
    finally:
        for place in made:
            subprocess.run(["ip", "netns", "del", place], check=False, timeout=30)


@contextmanager
def process(words: list[str], log: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program for as long as the context lasts; what it says on stderr is kept."""
    with log.open("a", encoding="utf-8") as errors:
        running = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8",
            env={**os.environ, "NOTIFY_SOCKET": ""},
        )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()


@contextmanager
def up(places: Places, place: str, home: Path) -> Iterator["subprocess.Popen[str]"]:
    words = (sys.executable, "-m", "meshpacs.cli", "--home", str(home), "up")
    with process(places.inside(place, *words), home / "log") as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line.startswith("ready "), (home / "log").read_text(encoding="utf-8")
        yield running


@contextmanager
def receiver(places: Places, place: str, folder: Path, *options: str) -> Iterator[None]:
    """DCMTK's storescp there, as the ward's workstation."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp is not installed; on Debian: apt-get install dcmtk")
    folder.mkdir()
    words = places.inside(place, program, *options, "-aet", "WARD", "-od", str(folder), str(PORT))
    with process(words, folder.with_suffix(".log")):
        until(lambda: f":{PORT} " in places.run(place, "ss", "-ltn").stdout, "it listens")
        yield


def until(what: Callable[[], bool], name: str) -> None:
    end_s = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end_s, name
        time.sleep(0.1)


def movescu(places: Places) -> list[str]:
    """A C-MOVE to the ward at nord's own node, as nord's workstation asks; it says everything."""
    program = shutil.which("movescu")
    assert program is not None
    door = ("127.0.0.1", str(PORT))
    return places.inside("nord", program, "-d", "-aec", "MESHPACS", "-aem", "WARD", *WANTED, *door)


def said_by(words: list[str], file: Path, meanwhile: Callable[[], None] = lambda: None) -> str:
    """What a program says to its end, and something done while it runs."""
    with file.open("w", encoding="utf-8") as out:
        running = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        meanwhile()
        running.wait(60)
    finally:
        running.kill()
        running.wait()
    return file.read_text(encoding="utf-8", errors="replace")


def checked(places: Places, nord: Path, whom: str) -> "subprocess.CompletedProcess[str]":
    """`meshpacs dicom check` at nord."""
    words = (sys.executable, "-m", "meshpacs.cli", "--home", str(nord), "dicom", "check", whom)
    return places.run("nord", *words)


def pixels(folder: Path) -> list[bytes]:
    return sorted(bytes(pydicom.dcmread(path)[0x7FE0_0010].value) for path in folder.iterdir())


def founded(places: Places, tmp_path: Path) -> tuple[Path, Path]:
    nord, sued = tmp_path / "nord", tmp_path / "sued"
    listen = ("--mesh-listen", f"{BETWEEN['nord']}:7117")
    places.meshpacs("nord", nord, "init", "--name", "Nord", *listen)
    with up(places, "nord", nord):
        invite = json.loads(places.meshpacs("nord", nord, "invite", "--json"))["text"]
        listen = ("--mesh-listen", f"{BETWEEN['sued']}:7117")
        places.meshpacs("sued", sued, "join", invite, "--name", "Sued", *listen)
    return nord, sued


def test_a_move_to_a_machine_that_only_the_other_node_can_reach(
    places: Places, tmp_path: Path
) -> None:
    source = tmp_path / "files"
    source.mkdir()
    for number in range(5):
        (source / f"{number}.dcm").write_bytes(instance(number, size=300_000))
    nord, sued = founded(places, tmp_path)
    with up(places, "nord", nord), up(places, "sued", sued) as node:
        places.meshpacs("nord", nord, "import", str(source))
        with receiver(places, "ward", tmp_path / "got"):
            direct = checked(places, nord, f"WARD@{WARD}:{PORT}")
            assert direct.returncode == 2, "nord has no way to the ward"
            assert "unreachable" in direct.stdout + direct.stderr
            places.meshpacs(
                "sued", sued, "dicom", "ae", "add", "WARD", f"{WARD}:{PORT}", "--shared"
            )
            listed = ("dicom", "ae", "list")
            through = "reached through Sued"
            until(lambda: through in places.meshpacs("nord", nord, *listed), "it is told")
            assert WARD not in places.meshpacs("nord", nord, *listed), "an address is nobody's"
            said = places.meshpacs("nord", nord, "dicom", "check", "WARD")
            assert "WARD answers, reached through Sued" in said
            moved = said_by(movescu(places), tmp_path / "moved")
            assert "0x0000" in moved
            assert "No failures or warnings" in moved
        assert pixels(tmp_path / "got") == pixels(source)
        gone = checked(places, nord, "WARD")
        assert gone.returncode == 2
        assert "WARD is reached through Sued, which says" in gone.stdout + gone.stderr
        assert WARD not in gone.stdout + gone.stderr
        # The node that sends is killed in the middle: one instance a second goes out.
        with receiver(places, "ward", tmp_path / "slow", "--sleep-after", "1"):

            def kill() -> None:
                until(lambda: any((tmp_path / "slow").iterdir()), "one has come")
                node.send_signal(signal.SIGKILL)

            told = said_by(movescu(places), tmp_path / "told", kill)
        assert "0xa702" in told
        assert "Sued WAS LOST MIDWAY" in told
        assert len(list((tmp_path / "slow").iterdir())) < 5
