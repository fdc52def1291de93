"""One folder holds all of a node.

| file | what it is |
|---|---|
| `identity.key` | the node's private signing and link keys, mode 0600 |
| `founder.key` | the private key of the mesh's founder, only where it was founded, mode 0600 |
| `mesh.secret` | what lets members' links answer each other, mode 0600 |
| `mesh.json` | the mesh's id and name, and this node's |
| `roster.log` | signed roster entries, admissions and node records, only ever appended to |
| `boot` | the last boot number used |
| `archive/` | the instances and their index |
| `config.toml` | what the operator decides |
| `admin.token` | what the command line shows to the admin API, mode 0600 |
| `dicom-aes.toml` | the DICOM machines that the operator knows |
| `commitments.sqlite` | requests for storage commitment, reported or still to be |
| `dicom-tls/` | keys and certificates for DICOM over TLS (`credentials.py`), if there are any |
| `running.json` | process and addresses of the node that is up |
| `lock` | held by the one process that uses this home |
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from meshpacs.model.errors import Damaged, LocalFault

LOCK_OFFSET = 1 << 30
"""Where the locked byte lies on Windows, whose locks forbid reading what they cover."""


def locate(chosen: Path | None = None) -> Path:
    """The home to use: the one chosen, else MESHPACS_HOME, else the platform's data folder."""
    if chosen is not None:
        return chosen.expanduser()
    named = os.environ.get("MESHPACS_HOME")
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_data_dir("meshpacs", appauthor=False))


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one home, and the careful ways of writing there."""

    folder: Path

    @property
    def identity_key(self) -> Path:
        """The node's private keys."""
        return self.folder / "identity.key"

    @property
    def founder_key(self) -> Path:
        """A founder's private key; most homes have none."""
        return self.folder / "founder.key"

    @property
    def mesh_secret(self) -> Path:
        """The secret that all members share."""
        return self.folder / "mesh.secret"

    @property
    def mesh_facts(self) -> Path:
        """Ids and names, as JSON."""
        return self.folder / "mesh.json"

    @property
    def roster_log(self) -> Path:
        """What the roster has learnt."""
        return self.folder / "roster.log"

    @property
    def archive(self) -> Path:
        """The archive's folder."""
        return self.folder / "archive"

    @property
    def config(self) -> Path:
        """The operator's file."""
        return self.folder / "config.toml"

    @property
    def ae_book(self) -> Path:
        """The machines that may call this node in DICOM's language, and that it may call."""
        return self.folder / "dicom-aes.toml"

    @property
    def commitments(self) -> Path:
        """What other machines want to hear of once their instances are safe here."""
        return self.folder / "commitments.sqlite"

    @property
    def dicom_tls(self) -> Path:
        """Keys and certificates for DICOM over TLS."""
        return self.folder / "dicom-tls"

    @property
    def token_file(self) -> Path:
        """The admin API's token."""
        return self.folder / "admin.token"

    @property
    def running_file(self) -> Path:
        """Who is up."""
        return self.folder / "running.json"

    @property
    def made(self) -> bool:
        """Whether this home belongs to a node already."""
        return self.mesh_facts.exists()

    def require_made(self) -> None:
        """Raise LocalFault unless `init` or `join` has been here."""
        if not self.made:
            raise LocalFault(
                f"There is no node in {self.folder}.",
                "Make one with `meshpacs init --name NAME`, or join a mesh with "
                "`meshpacs join INVITE --name NAME`; another home is chosen by --home.",
            )

    def require_unmade(self) -> None:
        """Raise LocalFault if a node lives here already."""
        if self.made:
            raise LocalFault(
                f"A node lives in {self.folder} already.",
                "Choose another folder with --home, or move this one away first.",
            )

    # ------------------------------------------------------------ token, boot, who is up

    def admin_token(self) -> str:
        """The admin API's token, made at the first asking.

        Raises:
            LocalFault: others may read it.
        """
        if not self.token_file.exists():
            write_secret(self.token_file, secrets.token_urlsafe(32).encode() + b"\n")
        return read_secret(self.token_file).decode("ascii").strip()

    def next_boot(self, wall_s: int | None = None) -> int:
        """A boot number above every one before, durable before it is used (PROTOCOL 4.5).

        At least the time of day, so that a home restored from an old copy, or one whose `boot`
        file was lost, does not fall behind what its peers remember.
        """
        path = self.folder / "boot"
        try:
            stored = int(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            stored = 0
        except ValueError:
            # A file torn by a crash of the disk: the time of day stands in for it.
            stored = 0
        boot = max(stored + 1, int(time.time()) if wall_s is None else wall_s)
        with self._naming_the_disk():
            write_durably(path, f"{boot}\n".encode())
        return boot

    def announce(self, facts: Mapping[str, object]) -> None:
        """Write `running.json`: this process and what is said of it (addresses)."""
        document = {"pid": os.getpid(), **facts}
        with self._naming_the_disk():
            write_durably(self.running_file, json.dumps(document).encode() + b"\n")

    def running(self) -> dict[str, Any] | None:
        """What the node that is up has announced; may be left over from one that was killed."""
        try:
            document = json.loads(self.running_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this home; one process at a time.

        `running.json` names the pid from the first moment; addresses come with `announce`.

        Raises:
            LocalFault: another process holds it; the error names its pid.
            Unavailable: its disk is full, read-only or failing.
        """
        with self._naming_the_disk():
            make_folder(self.folder)
            file = (self.folder / "lock").open("a+b")
        if sys.platform != "win32":
            with suppress(OSError):  # an operator's own choice of owner may forbid it
                self.folder.chmod(0o700)
        with file as held:
            try:
                _take(held.fileno())
            except OSError as error:
                raise self._held_by_another() from error
            try:
                for torn in self.folder.glob(".*.tmp"):  # left by a crash in write_durably
                    torn.unlink(missing_ok=True)
                self.announce({})
                yield
            finally:
                with suppress(OSError):  # read-only by now: the next start knows better
                    self.running_file.unlink(missing_ok=True)
                _release(held.fileno())

    @contextmanager
    def _naming_the_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            from meshpacs.archive.faults import disk_fault  # here, since every --help comes by

            raise disk_fault(error, self.folder) from error

    def _held_by_another(self) -> LocalFault:
        running = self.running()
        who = f"process {running['pid']}" if running and "pid" in running else "another process"
        return LocalFault(
            f"The home {self.folder} is in use by {who}.",
            "Stop it first with `meshpacs down`, or choose another home with --home.",
        )

    # ------------------------------------------------------------ facts of the mesh

    def keep_facts(self, facts: Mapping[str, str]) -> None:
        """Write `mesh.json`; its presence is what makes a home a node's, so it is written last."""
        write_durably(self.mesh_facts, json.dumps(dict(facts), indent=1).encode() + b"\n")

    def facts(self) -> dict[str, str]:
        """Read `mesh.json`."""
        try:
            document = json.loads(self.mesh_facts.read_text(encoding="utf-8"))
            return {str(key): str(value) for key, value in document.items()}
        except (ValueError, AttributeError) as error:
            raise Damaged(
                f"{self.mesh_facts} cannot be read.", "Restore this file from a backup."
            ) from error


def _take(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)


# ---------------------------------------------------------------- careful writing


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable, where the platform can do that (not on Windows)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Have a folder, its own name durable: without that a power cut takes all that is in it.

    A folder that is there already may have been made by a process that was killed before it came
    so far; so its name is made durable in any case.
    """
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # its owner, an operator, has made it long before
        sync_folder(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file whole: after a crash the old content is there, or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read: 0600, or an access list on Windows.

    `mkstemp` makes files of mode 0600, so the content is never readable by others, not even
    for a moment.
    """
    write_durably(path, data)
    if sys.platform == "win32":
        _owner_only(path)


def read_secret(path: Path) -> bytes:
    """Read a private file.

    Raises:
        LocalFault: it is missing, or others may read it.
    """
    try:
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            raise LocalFault(
                f"{path} can be read by others than its owner.", f"Run `chmod 600 {path}`."
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LocalFault(f"{path} is missing.", "Restore this file from a backup.") from error


def _owner_only(path: Path) -> None:
    # Best effort: the data folder of a Windows user is closed to other users anyway, and a
    # file system without access lists (FAT) is no reason not to start.
    user = os.environ.get("USERNAME", "")
    if user:
        with suppress(OSError):
            subprocess.run(  # noqa: S603 - a fixed program with our own path
                ["icacls", str(path), "/inheritance:r", "/grant:r", f"{user}:F"],  # noqa: S607
                check=False,
                capture_output=True,
            )
