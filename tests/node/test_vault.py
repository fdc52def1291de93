"""The archive behind threads: searches wait for nobody, writes are waited for, closing is sure."""

import threading
from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.archive.archive import Archive
from meshpacs.model.ids import NodeId
from meshpacs.node import vault as vault_module
from meshpacs.node.vault import DWELLERS, READS, WRITES, Vault
from tests.node.houses import ALL_STUDIES
from tests.node.imagined import ANNA, BERT


@pytest.fixture
async def vault(tmp_path: Path) -> Vault:
    return await Vault.open(tmp_path / "archive", "ISO_IR 100")


async def test_a_search_does_not_wait_behind_writes_and_reads(vault: Vault) -> None:
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(WRITES + 1):
            nursery.start_soon(vault.write, gate.wait)
        for _ in range(READS + 1):
            nursery.start_soon(vault.read, gate.wait)
        assert await vault.search(ALL_STUDIES) == ((), False)
        gate.set()
    await vault.close()


async def test_a_cancelled_write_is_waited_for_and_a_cancelled_read_is_not(vault: Vault) -> None:
    gate, began = threading.Event(), threading.Event()
    done: list[str] = []

    def slow(what: str) -> None:
        began.set()
        gate.wait()
        done.append(what)

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(vault.read, lambda: slow("read"))
            await trio.to_thread.run_sync(began.wait)
            scope.cancel()
    assert done == []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(vault.write, lambda: slow("write"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            gate.set()
    assert "write" in done
    await vault.close()
    assert "read" in done, "closing waits for reads that were left to themselves"


async def test_who_dwells_in_a_thread_has_a_place_of_its_own_or_none(vault: Vault) -> None:
    gate, busy = threading.Event(), threading.Semaphore(0)
    done: list[bool] = []

    def dwell() -> None:
        busy.release()
        gate.wait()

    async def come() -> None:
        done.append(await vault.dwell(dwell))

    async with trio.open_nursery() as nursery:
        for _ in range(DWELLERS):
            nursery.start_soon(come)
        for _ in range(DWELLERS):
            await trio.to_thread.run_sync(busy.acquire)
        assert not await vault.dwell(dwell)
        assert await vault.write(lambda: "written") == "written"
        gate.set()
    assert done == [True] * DWELLERS
    await vault.close()


async def test_boots_are_kept(vault: Vault, tmp_path: Path) -> None:
    vault.keep_boots({ANNA: 7, BERT: 8})
    vault.keep_boots({ANNA: 5})
    await vault.close()
    again = await Vault.open(tmp_path / "archive", "ISO_IR 100")
    assert await again.boots() == {NodeId(ANNA): 7, NodeId(BERT): 8}
    await again.close()


async def test_a_read_that_hangs_does_not_keep_the_archive_from_being_closed(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "CLOSE_S", 0.05)
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(vault.write, gate.wait)
        await trio.testing.wait_all_tasks_blocked()
        with structlog.testing.capture_logs() as logs:
            await vault.close()
        gate.set()
    assert [line["event"] for line in logs] == ["archive_busy_at_close"]


async def test_what_a_crash_left_is_said_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    Archive.open(folder).close()
    (folder / "arriving" / "half").write_bytes(b"half an image")
    with structlog.testing.capture_logs() as logs:
        vault = await Vault.open(folder, "ISO_IR 100")
    assert [line["event"] for line in logs] == ["archive_repaired"]
    await vault.close()
