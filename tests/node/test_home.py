"""One folder, one process, and files that are old or new but never torn."""

import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.archive.faults import DiskFull, DiskReadOnly
from meshpacs.model.errors import Damaged, LocalFault
from meshpacs.node.config import Config
from meshpacs.node.founding import found
from meshpacs.node.home import Home, locate, read_secret, write_durably, write_secret
from tests.archive.instances import instance

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes are Unix's")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "clinic"
    folder.mkdir()
    return Home(folder)


def test_a_second_holder_of_a_home_is_told_the_pid_of_the_first(home: Home) -> None:
    with home.lock():
        with pytest.raises(LocalFault) as caught, home.lock():
            pytest.fail("two processes in one home")
        assert f"process {os.getpid()}" in caught.value.what
        assert "meshpacs down" in caught.value.mend


def test_a_home_is_free_again_after_its_holder_has_left(home: Home) -> None:
    with home.lock():
        assert home.running() == {"pid": os.getpid()}
    assert home.running() is None
    with home.lock():
        pass


def test_locking_makes_the_folder_where_there_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    with home.lock():
        assert home.folder.is_dir()


def test_the_name_of_a_home_is_durable_before_anything_is_kept_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was synced in a folder whose own name was not is gone after a power cut.
    synced: list[tuple[Path, bool]] = []
    home = Home(tmp_path / "a" / "b")
    monkeypatch.setattr(
        "meshpacs.node.home.sync_folder",
        lambda folder: synced.append((folder, home.running_file.exists())),
    )
    with home.lock():
        assert synced[:2] == [(tmp_path, False), (tmp_path / "a", False)]
    synced.clear()
    with home.lock():  # an attempt before this one may have been killed before it came so far
        assert synced[0] == (tmp_path / "a", False)


def test_a_home_in_a_folder_that_others_may_not_read_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "b")

    def forbidden(folder: Path) -> None:
        if folder == tmp_path:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("meshpacs.node.home.sync_folder", forbidden)
    with home.lock():
        assert home.folder.is_dir()


def test_what_is_announced_is_read_with_the_pid(home: Home) -> None:
    with home.lock():
        home.announce({"http": "127.0.0.1:7118"})
        assert home.running() == {"pid": os.getpid(), "http": "127.0.0.1:7118"}


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_torn_announcement_is_as_none(home: Home, text: str) -> None:
    home.running_file.write_text(text)
    assert home.running() is None
    assert "another process" in home._held_by_another().what


def test_torn_temporary_files_are_swept_when_the_home_is_taken(home: Home) -> None:
    torn = home.folder / ".identity.key.x7.tmp"
    torn.write_bytes(b"half a key")
    with home.lock():
        assert not torn.exists()


def test_a_boot_number_is_above_all_before_and_not_behind_the_clock(home: Home) -> None:
    assert home.next_boot(1000) == 1000
    assert home.next_boot(1000) == 1001
    assert home.next_boot(500) == 1002
    assert home.next_boot(5000) == 5000
    (home.folder / "boot").write_text("torn")
    assert home.next_boot(7000) == 7000
    assert home.next_boot() > 1_700_000_000


def test_the_admin_token_is_made_once(home: Home) -> None:
    token = home.admin_token()
    assert len(token) > 40
    assert home.admin_token() == token


@unix_only
def test_secrets_can_be_read_by_their_owner_only(home: Home) -> None:
    write_secret(home.identity_key, b"secret")
    assert stat.S_IMODE(home.identity_key.stat().st_mode) == 0o600
    assert read_secret(home.identity_key) == b"secret"
    home.identity_key.chmod(0o644)
    with pytest.raises(LocalFault, match="chmod 600"):
        read_secret(home.identity_key)


def test_a_missing_secret_is_named(home: Home) -> None:
    with pytest.raises(LocalFault, match=r"mesh\.secret is missing"):
        read_secret(home.mesh_secret)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home.folder / "file"
    write_durably(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(home.folder.iterdir()) == [path]


def _fails(number: int, handle: int) -> None:
    raise OSError(number, os.strerror(number))


def test_a_start_on_a_disk_that_cannot_be_written_says_which(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, kind in ((errno.ENOSPC, DiskFull), (errno.EROFS, DiskReadOnly)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", partial(_fails, number))
            with pytest.raises(kind, match=re.escape(str(home.folder))), home.lock():
                pass
            with pytest.raises(kind, match=re.escape(str(home.folder))):
                home.next_boot()
    with home.lock():
        assert home.next_boot() > 0


def test_facts_are_kept_and_damage_is_named(home: Home) -> None:
    assert not home.made
    with pytest.raises(LocalFault, match="meshpacs init"):
        home.require_made()
    home.require_unmade()
    home.keep_facts({"mesh": "00", "name": "Nord"})
    assert home.facts() == {"mesh": "00", "name": "Nord"}
    home.require_made()
    with pytest.raises(LocalFault, match="lives in"):
        home.require_unmade()
    home.mesh_facts.write_text("[]")
    with pytest.raises(Damaged, match=r"mesh\.json"):
        home.facts()


def test_the_home_is_the_one_chosen_else_the_environment_else_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHPACS_HOME", str(tmp_path / "env"))
    assert locate(tmp_path / "flag") == tmp_path / "flag"
    assert locate() == tmp_path / "env"
    monkeypatch.delenv("MESHPACS_HOME")
    assert locate().name == "meshpacs"


def test_every_path_of_a_home_lies_in_its_folder(home: Home) -> None:
    for path in (home.founder_key, home.roster_log, home.archive, home.config, home.token_file):
        assert path.parent == home.folder


@unix_only
def test_a_token_that_others_may_read_is_refused(home: Home) -> None:
    home.admin_token()
    home.token_file.chmod(0o644)
    with pytest.raises(LocalFault, match="chmod 600"):
        home.admin_token()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user"
)
def test_another_user_of_the_machine_can_read_nothing_of_a_home() -> None:
    umask = os.umask(0)  # the most careless operator
    try:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            Path(folder).chmod(0o755)
            home = Home(Path(folder) / "home")
            found(home, Config("Nord"), "Verbund")
            with home.lock():
                with Archive.open(home.archive) as archive, archive.arrive() as arrival:
                    arrival.write(instance("1.1"))
                    arrival.commit()
                files = [path for path in home.folder.rglob("*") if path.is_file()]
                assert {home.token_file, home.identity_key, home.founder_key, home.mesh_secret} < {
                    *files
                }
                (open_file := Path(folder) / "open").write_bytes(b"x")
                for path in (*files, home.folder):
                    tool = "ls" if path.is_dir() else "cat"
                    as_nobody = subprocess.run(
                        [tool, str(path)], user=65534, group=65534, extra_groups=[],
                        capture_output=True, check=False,
                    )  # fmt: skip
                    assert as_nobody.returncode != 0, path
                as_nobody = subprocess.run(
                    ["cat", str(open_file)], user=65534, group=65534, capture_output=True,
                    check=False,
                )  # fmt: skip
                assert as_nobody.returncode == 0, "it could read what is open to it"
                # And if the folder were opened, the secrets still are not.
                home.folder.chmod(0o755)
                secret = (home.token_file, home.identity_key, home.founder_key, home.mesh_secret)
                for path in (*secret, *home.archive.rglob("*.dcm")):
                    assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    finally:
        os.umask(umask)
