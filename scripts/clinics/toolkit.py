"""DCMTK's tools, run as a technician would, and timed."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from types import MappingProxyType

from clinics.clinic import Broken, free_ports

TOOLS = ("storescu", "getscu", "movescu", "storescp")

STOCK: Mapping[str, str] = MappingProxyType({})
NODELAY: Mapping[str, str] = MappingProxyType({"TCP_NODELAY": "1"})
"""Environments: as it comes with Nagle's algorithm on, and with it off (DCMTK reads this)."""

TOOL_S = 600.0
"""How long one may take. Far above what is expected of it."""


def lacking() -> list[str]:
    """Tools that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def store(port: int, called: str, folders: Sequence[Path], env: Mapping[str, str] = STOCK) -> float:
    """Seconds until all instances are acknowledged: an association and a storescu a folder."""
    return _together(
        [
            ["storescu", "-R", "-aec", called, "+sd", "127.0.0.1", str(port), str(folder)]
            for folder in folders
        ],
        env,
    )


def get(
    port: int, called: str, study: str, into: Path, env: Mapping[str, str] = STOCK
) -> tuple[float, int]:
    """Seconds until a study has come by C-GET, and how many files it was."""
    into.mkdir()
    took = _together(
        [["getscu", "-S", "-aet", "GETSCU", "-aec", called, "-od", str(into),
          *_study(study), "127.0.0.1", str(port)]],
        env,
    )  # fmt: skip
    return took, _count_and_remove(into)


def move(port: int, called: str, study: str, destination: str, into: Path) -> tuple[float, int]:
    """Seconds until a study has gone to a `storescp` that writes there, and how many files."""
    took = _together(
        [["movescu", "-S", "-aet", "MOVESCU", "-aec", called, "-aem", destination,
          *_study(study), "127.0.0.1", str(port)]],
        STOCK,
    )  # fmt: skip
    came = 0
    for path in into.iterdir():
        path.unlink()
        came += 1
    return took, came


@contextmanager
def receiving(folder: Path) -> Iterator[int]:
    """A storescp that writes into this folder; its port."""
    folder.mkdir()
    (port,) = free_ports(1)
    process = subprocess.Popen(
        ["storescp", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_listening(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _study(uid: str) -> list[str]:
    return ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]


def _count_and_remove(folder: Path) -> int:
    came = sum(1 for _ in folder.iterdir())
    shutil.rmtree(folder)
    return came


def _together(commands: Sequence[Sequence[str]], env: Mapping[str, str]) -> float:
    began = perf_counter()
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **env}
        )
        for command in commands
    ]
    try:
        for process, command in zip(processes, commands, strict=True):
            _, said = process.communicate(timeout=TOOL_S)
            if process.returncode:
                words = said.decode(errors="replace").strip()
                raise Broken(f"{command[0]} ended with {process.returncode}: {words[-300:]}")
        return perf_counter() - began
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _wait_listening(port: int) -> None:
    until = monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if monotonic() > until:
                raise Broken("storescp does not listen.") from None
            sleep(0.05)
        else:
            return
