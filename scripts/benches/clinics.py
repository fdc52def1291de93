"""Nodes as processes of their own on loopback, as a person would start them."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benches.ground import Unmeasurable
from meshpacs.cli.client import Client
from meshpacs.node.home import Home

Json = dict[str, Any]

READY_S = 60.0
LINK_S = 120.0
END_S = 15.0
"""How long to wait for a start, for links, and for a stop. Guesses for a busy machine."""

NO_PORT = "127.0.0.1:0"


@dataclass
class Clinic:
    """One node: its home, and its process while it is up."""

    name: str
    home: Path
    process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self.process is not None
        return self.process.pid

    @property
    def archive(self) -> Path:
        """Where its instances are."""
        return Home(self.home).archive

    def client(self) -> Client:
        """Somebody to talk to, without the start of a command."""
        return Client(Home(self.home))

    def run(self, *words: str) -> None:
        """One command, to its end."""
        done = subprocess.run(
            _command(self.home, *words), capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Unmeasurable(f"`meshpacs {words[0]}` at {self.name}: {said}")

    def up(self) -> None:
        """Start it, and wait until it says that it serves."""
        with (self.home / "log").open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                _command(self.home, "up"),
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                env={**os.environ, "NOTIFY_SOCKET": ""},
            )
        assert self.process.stdout is not None
        with ThreadPoolExecutor(1) as reader:
            line = reader.submit(self.process.stdout.readline)
            with contextlib.suppress(TimeoutError):
                if line.result(READY_S).startswith("ready "):
                    return
            self.process.kill()
        said = (self.home / "log").read_text(encoding="utf-8").strip()
        raise Unmeasurable(f"{self.name} did not start: {said[-500:]}")

    def end(self) -> None:
        """Leave no process behind."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def ask(self, path: str, body: Json) -> Json:
        """A long request's last line."""
        *_, last = self.client().lines(path, body)
        return last

    def take_in(self, *paths: Path) -> Json:
        """Import, through the node."""
        return self.ask("/v1/import", {"paths": [str(path) for path in paths]})


def _anywhere() -> tuple[str, ...]:
    # A port of its own that stays the same: a node that starts again with another one could be
    # found by nobody who has not heard it since.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return "--mesh-listen", f"127.0.0.1:{port}", "--http-listen", NO_PORT


def _command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "meshpacs.cli", "--home", str(home), *words]


@contextmanager
def alone(folder: Path) -> Iterator[Clinic]:
    """A node that founded a mesh of its own; not up yet."""
    clinic = Clinic("Alster", folder / "alster")
    clinic.run("init", "--name", clinic.name, *_anywhere())
    try:
        yield clinic
    finally:
        clinic.end()


@contextmanager
def mesh(
    folder: Path, count: int, fill: Callable[[Sequence[Clinic]], None] | None = None
) -> Iterator[list[Clinic]]:
    """So many nodes of one mesh, up and linked; `fill` is called before they start for good."""
    made = [Clinic(f"Clinic {number}", folder / f"clinic-{number}") for number in range(count)]
    try:
        _found(made)
        if fill:
            fill(made)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Clinic.up, made))
        _wait_until_complete(made)
        yield made
    finally:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(Clinic.end, made))


def _found(made: Sequence[Clinic]) -> None:
    first, *others = made
    first.run("init", "--name", first.name, *_anywhere())
    first.up()
    client = first.client()
    for other in others:
        invite = client.post("/v1/invite", {"local": True})["text"]
        other.run("join", invite, "--name", other.name, *_anywhere())
    first.end()


def _wait_until_complete(made: Sequence[Clinic]) -> None:
    """Until a question to any of them is answered by all."""
    until = monotonic() + LINK_S
    waiting = list(made)
    while waiting:
        body = {"keys": ["StudyInstanceUID=2.25.0"], "scope": "mesh"}
        found = waiting[0].ask("/v1/find", body)
        if found["complete"] and len(found["report"]["members"]) == len(made):
            waiting.pop(0)
        elif monotonic() > until:
            raise Unmeasurable(f"{waiting[0].name} does not hear all others.")
        else:
            sleep(0.5)
