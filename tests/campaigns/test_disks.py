"""A small fight on a small disk; the script alone fights the large."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clinics.clinic import NotHere
from clinics.volume import Volume, volume

SCRIPT = Path(__file__).parents[2] / "scripts" / "campaign.py"


def test_a_disk_that_somebody_else_has_filled_has_so_much_left_and_no_more(tmp_path: Path) -> None:
    try:
        with volume(tmp_path / "disk", 1) as disk:
            disk.fill(3 * 4096)
            assert disk.free_bytes() == 3 * 4096
            disk.fill()
            assert disk.free_bytes() == 0
            with pytest.raises(OSError, match="No space"):
                (disk.folder / "more").write_bytes(b"1")
            disk.clear()
            assert disk.free_bytes() > 900_000
    except NotHere as why:
        pytest.skip(str(why))
    assert not list((tmp_path / "disk").iterdir())


def test_where_no_disk_can_be_mounted_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nothing)
    with pytest.raises(NotHere, match="Only root on Linux"), volume(tmp_path / "disk", 1) as disk:
        assert isinstance(disk, Volume)


@pytest.mark.live
@pytest.mark.timeout(600)
def test_a_full_read_only_failing_and_slow_disk_lose_nothing_and_are_told() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "disks", "--rounds", "1"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "skipped:" in done.stdout:
        assert "all held" not in done.stdout
        pytest.skip(done.stdout.partition("skipped:")[2].partition("\n")[0].strip())
    assert "disks that were read-only" in done.stdout
    assert "all held" in done.stdout
