"""One node as a process of its own on loopback, as a person would start it."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshpacs.cli.client import Client
from meshpacs.node.home import Home

Json = dict[str, Any]

READY_S = 90.0
COMMAND_S = 120.0
END_S = 15.0
"""How long to wait for a start, a command, and a stop. Guesses for a busy machine."""

PORTS = range(20_000, 32_000)
"""Below those that systems hand out by themselves: 32768 and up on Linux, 49152 elsewhere."""


class Broken(Exception):
    """A node does not do what the script needs it for; the sentence says which and what."""


class NotHere(Exception):
    """This machine does not allow what the script needs; the sentence says what."""


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

    @property
    def log(self) -> Path:
        """What its processes have said, one after the other."""
        return self.home / "log"

    @property
    def dicom_port(self) -> int:
        """Where it serves DICOM, while it is up."""
        running = Home(self.home).running()
        assert running is not None
        return int(running["dicom"][0].rpartition(":")[2])

    def client(self) -> Client:
        """Somebody to talk to, without the start of a command."""
        return Client(Home(self.home))

    def run(self, *words: str, codes: Sequence[int] = (0,)) -> Json:
        """One command with --json, to its end.

        Raises:
            Broken: it ended with another code.
        """
        done = subprocess.run(
            self.command(*words, "--json"),
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=COMMAND_S,
        )
        if done.returncode not in codes:
            said = (done.stderr or done.stdout).strip()
            raise Broken(f"`meshpacs {words[0]}` at {self.name}: {said}")
        document: Json = json.loads(done.stdout)
        return document

    def command(self, *words: str) -> list[str]:
        """A command line of this home's."""
        return [sys.executable, "-m", "meshpacs.cli", "--home", str(self.home), *words]

    def start(self, *words: str) -> None:
        """`meshpacs up`, without waiting."""
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command("up", *words),
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                env={**os.environ, "NOTIFY_SOCKET": ""},
            )

    def wait_ready(self, ready_s: float = READY_S) -> None:
        """Until it says that it serves.

        Raises:
            Broken: it does not; its process is gone.
        """
        process = self.process  # somebody else may kill and forget it meanwhile
        assert process is not None
        assert process.stdout is not None
        with ThreadPoolExecutor(1) as reader:
            line = reader.submit(process.stdout.readline)
            with contextlib.suppress(TimeoutError):
                if line.result(ready_s).startswith("ready "):
                    return
            process.kill()
        said = self.log.read_text(encoding="utf-8").strip()
        raise Broken(f"{self.name} did not start: {said[-500:]}")

    def up(self, *words: str) -> None:
        """Start it, and wait until it serves."""
        self.start(*words)
        self.wait_ready()

    def down(self) -> None:
        """Stop it as a person would."""
        assert self.process is not None
        self.run("down")
        self.process.wait(END_S)
        self._forget()

    def kill(self) -> None:
        """`kill -9`: no goodbye, nothing flushed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._forget()

    def end(self) -> None:
        """Whatever happened: leave no process behind."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                if hasattr(signal, "SIGCONT"):  # a frozen one hears nothing else
                    self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._forget()

    def _forget(self) -> None:
        assert self.process is not None
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


def anywhere() -> tuple[str, ...]:
    """Options for addresses that nobody has.

    A port of its own that stays the same: a node that starts again with another one could be found
    by nobody who has not heard it since.
    """
    mesh = f"127.0.0.1:{free_ports(1)[0]}"
    others = "--http-listen", "127.0.0.1:0", "--dicom-port", "0"
    return "--mesh-listen", mesh, "--advertise", mesh, *others


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on.

    Raises:
        Broken: there are not so many.
    """
    found: list[int] = []
    candidates = list(PORTS)
    random.SystemRandom().shuffle(candidates)
    for port in candidates:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Broken(f"There are no {count} free ports on 127.0.0.1.")
