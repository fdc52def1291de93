"""Ten thousand connections at both doors of a running node, silent or dribbling. On Linux."""

import argparse
import resource
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from campaigns.campaign import Campaign, Outcome, Place
from clinics.clinic import Broken, Clinic, NotHere
from clinics.mesh import mesh, wait_complete
from meshpacs.model.errors import MeshError

SOURCES = 200
"""Loopback addresses that the connections come from, where they come from many."""

SPARE_FILES = 300
"""Files that this script needs for all else."""

AGAIN_S = 30.0
"""How long a member that starts amid the strangers may take until everybody answers. A guess."""

FILLED_S = 120.0
"""How long it may take until as many are there as are wanted. A guess for a busy machine."""

GONE_S = 20.0
"""Until the node has forgotten them: twice the handshake's deadline."""

OPENINGS = (
    b"",
    b"me",
    b"mesh\x01\x00",
    b"mesh\x01\x00\x80" + bytes(20),
    b"mesh\x41" + bytes(16),
    b"GET /v1/status HT",
    b"POST /v1/find HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    b"POST /v1/find HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n",
)
"""What one that goes on a byte a second has said before: every state of either handshake."""


@dataclass
class Crowd:
    """Connections to one address that are kept open, and opened again when they are closed."""

    target: tuple[str, int]
    wanted: int
    sources: int
    dribbling: bool
    made: int = 0
    closed: int = 0
    failed: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _full: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._full.wait(FILLED_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def full(self) -> bool:
        """Whether as many as are wanted have been there at once."""
        return self._full.is_set()

    def _run(self) -> None:
        spoken = monotonic()
        while not self._stop.is_set():
            while len(self._open) < self.wanted and not self._stop.is_set():
                self._connect()
            self._full.set()
            speaks = self.dribbling and monotonic() - spoken >= 1
            if speaks:
                spoken = monotonic()
            self._open = [one for one in self._open if self._alive(one, speaks=speaks)]
            self._stop.wait(0.05)
        for one in self._open:
            one.close()

    def _connect(self) -> None:
        one = socket.socket()
        try:
            one.settimeout(5)
            one.bind((f"127.0.1.{1 + self.made % self.sources}", 0))
            one.connect(self.target)
            if self.dribbling:
                one.sendall(OPENINGS[self.made % len(OPENINGS)])
            one.setblocking(False)
        except OSError:
            one.close()
            self.failed += 1
            self._stop.wait(0.01)
        else:
            self._open.append(one)
        self.made += 1

    def _alive(self, one: socket.socket, *, speaks: bool) -> bool:
        try:
            if speaks:
                one.send(b"x")
            while one.recv(4096):
                pass
        except BlockingIOError:
            return True
        except OSError:
            pass
        one.close()
        self.closed += 1
        return False


def _files(clinic: Clinic) -> int:
    return len(list(Path(f"/proc/{clinic.pid}/fd").iterdir()))


def _memory(clinic: Clinic) -> int:
    status = Path(f"/proc/{clinic.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _besieged(outcome: Outcome, clinics: list[Clinic], crowd: Crowd, name: str) -> None:
    """What must go on while they are there."""
    target, other = clinics
    files, began = _files(target), monotonic()
    with crowd:
        outcome.hold(crowd.full, f"{name}: no {crowd.wanted} connections within {FILLED_S:g} s")
        outcome.counts[f"{name}: connections at once"] = crowd.wanted
        filled_s = monotonic() - began
        most_files = most_memory = 0
        slowest = 0.0
        for _ in range(20):
            asked = monotonic()
            found = target.ask("/v1/find", {"keys": ["StudyInstanceUID=2.25.0"], "scope": "mesh"})
            slowest = max(slowest, monotonic() - asked)
            outcome.hold(found["complete"], f"{name}: a question was not answered by all")
            most_files = max(most_files, _files(target))
            most_memory = max(most_memory, _memory(target))
            sleep(0.2)
        other.kill()
        asked = monotonic()
        other.up()
        try:
            wait_complete(clinics)
        except (Broken, MeshError) as fault:
            outcome.hold(False, f"{name}: a killed member is not back: {fault}")
        again_s = monotonic() - asked
        outcome.hold(again_s < AGAIN_S, f"{name}: a member needed {again_s:.0f} s to be back")
        most_files = max(most_files, _files(target))
    outcome.counts[f"{name}: connections made"] = crowd.made
    outcome.counts[f"{name}: of these closed by the node"] = crowd.closed
    outcome.counts[f"{name}: of these never accepted"] = crowd.failed
    outcome.notes.append(
        f"{name}: filled in {filled_s:.1f} s; slowest of 20 questions {1000 * slowest:.0f} ms; a "
        f"killed member was back and answered after {again_s:.1f} s; "
        f"{files} to {most_files} files, {most_memory} MB"
    )
    outcome.hold(most_files < files + 400, f"{name}: the node had {most_files} files open")
    until = monotonic() + GONE_S
    while _files(target) > files + 5 and monotonic() < until:
        sleep(0.5)
    left = _files(target) - files
    outcome.hold(left <= 5, f"{name}: {left} files are left open")


def fight(options: argparse.Namespace, place: Place) -> Outcome:
    """Both doors, silent and dribbling, from one address and from many."""
    if not Path("/proc/self/fd").exists():
        raise NotHere("Open files and memory are read from /proc, on Linux.")
    outcome = Outcome()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.connections + SPARE_FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    count = min(options.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
    with mesh(place.folder, 2) as clinics:
        for door, path in (("mesh", "mesh"), ("admin", "http")):
            for sources in (1, SOURCES):
                for dribbling in (False, True):
                    how = "dribbling" if dribbling else "silent"
                    name = f"{door}, {how}, {sources} sources"
                    place.say(name)
                    facts = clinics[0].client().get("/v1/status")
                    reached = {view["purpose"]: view["address"] for view in facts["reach"]}
                    crowd = Crowd(_address(reached[path]), count, sources, dribbling)
                    _besieged(outcome, clinics, crowd, name)
        log = clinics[0].log.read_text(encoding="utf-8")
    lines = log.count("\n")
    outcome.counts["lines in the node's log"] = lines
    outcome.hold(lines < 10_000, f"the node's log has {lines} lines")
    outcome.hold("Traceback" not in log, "the node's log has a traceback")
    return outcome


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=int, default=10_000)


STRANGERS = Campaign(
    "strangers",
    "Thousands of connections that say nothing, or a byte a second, at both doors of a node.",
    _add_options,
    fight,
)
