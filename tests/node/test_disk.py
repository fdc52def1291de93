"""How the disk is: seen at once, told once, over as soon as it is over; and nobody waits for it."""

import threading
from pathlib import Path
from typing import NoReturn

import pytest
import structlog.testing
import trio

from meshpacs.archive.archive import Archive
from meshpacs.archive.faults import DiskFull, DiskReadOnly, NoRoom
from meshpacs.archive.pace import SLOW_US
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.node import disk as module
from meshpacs.node.disk import Watch
from meshpacs.node.vault import READS, Vault
from meshpacs.node.views import DiskState, Health


@pytest.fixture
async def vault(tmp_path: Path) -> Vault:
    return await Vault.open(tmp_path / "archive", "ISO_IR 100")


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (DiskFull("The disk is full.", "Make room."), DiskState.FULL),
        (NoRoom("There is no room.", "Make room."), DiskState.FULL),
        (DiskReadOnly("It cannot be written.", "Look."), DiskState.READ_ONLY),
        (Unavailable("It fails.", "Look."), DiskState.FAILING),
    ],
    ids=str,
)
async def test_a_disk_in_trouble_is_told_once_and_is_fine_as_soon_as_it_is(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, fault: MeshError, state: DiskState
) -> None:
    def fails(_archive: Archive) -> NoReturn:
        raise fault

    watch = Watch(vault)
    with structlog.testing.capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(Archive, "check_disk", fails)
            for _ in range(2):
                disk = await watch.look()
                assert disk.state is state
                assert disk.trouble is not None
                assert disk.trouble.level is Health.BROKEN
                assert fault.what in disk.trouble.what
                assert disk.trouble.mend == fault.mend
        for _ in range(2):
            assert (await watch.look()).state is DiskState.FINE
    assert [(line["event"], line.get("state")) for line in logs] == [
        ("disk_trouble", state.value),
        ("disk_fine", None),
    ]
    await vault.close()


async def test_a_disk_that_cannot_even_be_measured_is_failing(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_archive: Archive) -> NoReturn:
        raise Unavailable("It fails.")

    monkeypatch.setattr(Archive, "free_bytes", fails)
    assert (await Watch(vault).look()).state is DiskState.FAILING
    monkeypatch.undo()
    await vault.close()


async def test_a_slow_disk_is_degraded_and_says_how_slow(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Archive, "sync_p95_us", lambda _: 2 * SLOW_US)
    disk = await Watch(vault).look()
    assert (disk.state, disk.sync_p95_us) == (DiskState.SLOW, 2 * SLOW_US)
    assert disk.trouble is not None
    assert disk.trouble.level is Health.DEGRADED
    assert "2.0 s or more" in disk.trouble.what
    await vault.close()


@pytest.mark.parametrize(
    ("pace_us", "state"), [(None, DiskState.STUCK), (2 * SLOW_US, DiskState.SLOW)]
)
async def test_nobody_waits_for_a_disk_that_does_not_answer(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, pace_us: int | None, state: DiskState
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(module, "STUCK_S", 0.05)
    monkeypatch.setattr(Archive, "sync_p95_us", lambda _: pace_us)
    monkeypatch.setattr(Archive, "check_disk", lambda _: gate.wait())
    try:
        with trio.fail_after(30):
            assert (await Watch(vault).look()).state is state
    finally:
        gate.set()
    await vault.close()


async def test_a_disk_that_does_not_answer_takes_no_place_from_reads_however_often_it_is_looked_at(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(module, "STUCK_S", 0.01)
    monkeypatch.setattr(Archive, "check_disk", lambda _: gate.wait())
    watch = Watch(vault)
    try:
        for _ in range(READS + 1):
            assert (await watch.look()).state is DiskState.STUCK
        with trio.fail_after(30):
            assert await vault.read(lambda: "served") == "served"
    finally:
        gate.set()
    monkeypatch.undo()
    assert (await watch.look()).state is not DiskState.STUCK
    await vault.close()


async def test_the_watch_looks_by_itself(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    looks = 0
    enough = trio.Event()

    async def look(_watch: Watch) -> None:
        nonlocal looks
        await trio.lowlevel.checkpoint()
        looks += 1
        if looks == 3:
            enough.set()

    monkeypatch.setattr(Watch, "look", look)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Watch(vault).run)
        await enough.wait()
        nursery.cancel_scope.cancel()
    await vault.close()
