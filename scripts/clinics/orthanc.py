"""Orthanc as a process of its own: another maker's archive on loopback, told what to do over REST.

A configuration with nothing in it but what a test needs, a storage folder that goes with it, ports
that nobody had. Orthanc reaches us as a modality: `know` tells it our title and address.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinics.clinic import Broken, NotHere, free_ports

PROGRAM = "Orthanc"

READY_S = 60.0
END_S = 15.0
REQUEST_S = 60.0
"""How long to wait for a start, a stop and one request. Guesses for a busy machine."""

PAUSE_S = 0.05
"""Between two looks whether it is up."""

PORTS_TRIED = 3
"""Somebody else may take a port between our look and Orthanc's start."""


def program() -> str:
    """Where it is installed.

    Raises:
        NotHere: it is not.
    """
    found = shutil.which(PROGRAM) or shutil.which(PROGRAM, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotHere(f"{PROGRAM} is not installed; on Debian: apt-get install orthanc.")
    return found


@dataclass
class Orthanc:
    """One Orthanc that is up."""

    folder: Path
    title: str
    dicom_port: int
    http_port: int
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def ask(self, path: str, body: object = None, *, method: str = "") -> Any:
        """One request, with a JSON body or with bytes; what is answered, JSON or nothing.

        Without a method: GET without a body, POST with one.

        Raises:
            Broken: it answers with a failure; the sentence has its own words.
        """
        said = self.fetch(path, body, method=method)
        return json.loads(said) if said else None

    def fetch(self, path: str, body: object = None, *, method: str = "") -> bytes:
        """The same, with the bytes that are answered: a file, for one."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}", data, method=method or None
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:
                said: bytes = answer.read()
        except urllib.error.HTTPError as error:
            words = error.read().decode("utf-8", "replace")
            raise Broken(f"Orthanc answers {path} with {error.code}: {words}") from error
        return said

    def know(self, name: str, title: str, host: str, port: int, **options: object) -> None:
        """Have it know a machine as a modality; `options` as in its `DicomModalities`."""
        self.ask(
            f"/modalities/{name}",
            {"AET": title, "Host": host, "Port": port, **options},
            method="PUT",
        )

    def take_in(self, *files: Path) -> list[str]:
        """Store files through REST; its own ids of the instances."""
        return [str(self.ask("/instances", file.read_bytes())["ID"]) for file in files]

    def _up(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.ask("/system"))
        return False


@contextmanager
def orthanc(
    folder: Path,
    *,
    title: str = "ORTHANC",
    options: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    verbose: bool = True,
) -> Iterator[Orthanc]:
    """Run one in an empty folder for as long as this context lasts.

    `options` are added to its configuration, or replace what is there; `env` to its environment.
    Its log of each message takes time that it is not to be blamed for: `verbose=False`.

    Raises:
        NotHere: it is not installed.
        Broken: it does not start; the sentence has its last words.
    """
    path = program()
    folder.mkdir(parents=True, exist_ok=True)
    said = ""
    for _ in range(PORTS_TRIED):
        dicom_port, http_port = free_ports(2)
        file = _configured(folder, title, dicom_port, http_port, options or {})
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [path, *(["--verbose"] if verbose else []), str(file)],
                stdout=log, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, **(env or {})},
            )  # fmt: skip
        found = Orthanc(folder, title, dicom_port, http_port, process)
        try:
            if _waited(found):
                yield found
                return
            said = found.log[-500:]
        finally:
            _end(process)
    raise Broken(f"Orthanc did not start: {said}")


def _configured(
    folder: Path, title: str, dicom_port: int, http_port: int, options: Mapping[str, object]
) -> Path:
    """What differs from its defaults, which are those of its own documentation."""
    wanted = {
        "Name": title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": title,
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpDescribeErrors": True,
        "SaveJobs": False,
        **options,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
    return file


def _waited(found: Orthanc) -> bool:
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s and found.process.poll() is None:
        if found._up():  # noqa: SLF001  (one noun in one file)
            return True
        time.sleep(PAUSE_S)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
