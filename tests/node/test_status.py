"""Status says what is wrong and what mends it, by levels that monitoring understands."""

import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest
import structlog.testing
import trio

from meshpacs.archive.archive import Archive
from meshpacs.cli.client import ANSWER_S
from meshpacs.engine.effects import Effect
from meshpacs.engine.engine import Engine
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import Micros, short
from meshpacs.node import disk
from meshpacs.node import status as status_room
from meshpacs.node.ledger import RosterLog
from meshpacs.node.views import DiskState, Health, PeerState
from tests.node.houses import street, study


async def test_a_lone_founder_is_fine(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "in", {"a": study(1), "b": study(2)})
        nord.home.announce({"http": "127.0.0.1:7118", "dicom": ["127.0.0.1:11112"]})
        status = await nord.up.mesh.status()
        assert (status.level, status.troubles) == (Health.FINE, ())
        assert (status.name, status.mesh_name, status.founder) == ("Nord", "Verbund", True)
        assert (status.archive.studies, status.archive.instances) == (2, 2)
        assert status.archive.bytes > 0
        assert status.archive.disk_free_bytes > 0
        assert status.listening == status.advertised == nord.up.listening
        assert [view.purpose for view in status.reach] == ["mesh", "http", "dicom"]
        assert status.uptime_us > 0
        assert status.home == nord.home.folder
        assert status.roster.members == 1


async def test_a_stopped_member_degrades_until_it_is_back(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        assert (await nord.up.mesh.status()).level is Health.FINE
        await sued.stop()
        with trio.fail_after(15):
            while (await nord.up.mesh.peers())[0].state is not PeerState.UNREACHABLE:
                await trio.testing.wait_all_tasks_blocked(0.01)
        status = await nord.up.mesh.status()
        assert status.level is Health.DEGRADED
        assert "Sued cannot be reached" in status.troubles[0].what
        assert status.troubles[0].mend


async def test_an_archive_that_cannot_be_read_or_written_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_archive: Archive) -> NoReturn:
        raise Unavailable("The disk does not answer.", "Look after the disk.")

    async with street(tmp_path) as houses:
        nord = await houses.founder()
        for method in ("counts", "check_disk"):
            with monkeypatch.context() as patch:
                patch.setattr(Archive, method, fails)
                status = await nord.up.mesh.status()
            assert status.level is Health.BROKEN
            assert status.troubles[0].what.endswith("The disk does not answer.")


async def test_a_disk_that_hangs_is_told_before_a_command_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert disk.STUCK_S < status_room.ARCHIVE_S < ANSWER_S
    gate = threading.Event()
    monkeypatch.setattr(disk, "STUCK_S", 0.2)
    monkeypatch.setattr(status_room, "ARCHIVE_S", 0.3)
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        monkeypatch.setattr(Archive, "check_disk", lambda _: gate.wait())
        monkeypatch.setattr(Archive, "counts", lambda _: gate.wait())
        try:
            with trio.fail_after(5):
                status = await nord.up.mesh.status()
        finally:
            gate.set()
        assert status.level is Health.BROKEN
        told = {trouble.what for trouble in status.troubles}
        assert told == {
            "The archive's disk has not answered within 0 s.",
            "The archive could not be counted within 0 s.",
        }


async def test_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LOW_DISK_BYTES", 2**60)
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        status = await nord.up.mesh.status()
        assert status.level is Health.DEGRADED
        assert "MiB more can be taken in" in status.troubles[0].what
        assert status.archive.disk is DiskState.LOW


async def test_a_lost_instance_is_told(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "in", {"a": study(1)})
        await nord.stop()
        for path in (nord.home.archive / "blobs").rglob("*"):
            if path.is_file():
                os.truncate(path, 200)
        await nord.start()
        archive = nord.up.rooms.vault.archive
        (entry,) = archive.study_entries("1.2.826.0.1.1") or (None,)
        if entry is not None:
            with pytest.raises(Exception, match="cannot be read"):
                archive.read_leaf(entry.root, 0)
        status = await nord.up.mesh.status()
        assert any("lost 1 instances" in trouble.what for trouble in status.troubles)


async def test_what_the_last_start_mended_is_told(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = houses.house("Nord")
        nord.found()
        with nord.home.roster_log.open("ab") as log:
            log.write(b"\0\0\0\7torn")
        await nord.start()
        (told,) = (await nord.up.mesh.status()).archive.repaired
        assert "roster.log were torn" in told


async def test_a_clock_that_is_off_is_told(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        node = sued.up.node_id

        def off(engine: Engine, now: Micros) -> tuple[None, list[Effect]]:
            peer = engine.peers.get(node)
            assert peer is not None
            peer.offset_us = -90_000_000
            peer.rtt_us = max(peer.rtt_us, 1)
            return None, []

        await nord.up.rooms.driver.call(off)
        (trouble,) = (await nord.up.mesh.status()).troubles
        assert trouble.what == "The clock of Sued is 90 s behind this one."
        assert "NTP" in trouble.mend


async def test_a_roster_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.up.rooms.ledger.settled()
        nord.up.rooms.ledger.trouble = LocalFault("It could not be written.", "Make room.")
        status = await nord.up.mesh.status()
        assert status.level is Health.BROKEN
        await nord.stop()


async def test_a_stop_does_not_wait_for_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.up.rooms.ledger.settled()
        monkeypatch.setattr(RosterLog, "append", full)
        nord.up.rooms.ledger.keep_roster([b"entry"], [], [])
        with structlog.testing.capture_logs() as logs:
            await nord.stop()
        assert "ledger_unsettled" in [line["event"] for line in logs]


async def test_a_new_member_that_was_never_linked_is_no_trouble_yet(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        west = houses.house("West")
        await west.join(await nord.invite())
        (peer,) = await nord.up.mesh.peers()
        assert (peer.name, peer.round_trip_us, peer.clock_offset_us) == ("West", None, None)
        assert peer.address == ""
        assert peer.last_seen_us == 0


async def test_a_member_that_takes_anothers_name_is_told_and_passes_for_nobody(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        impostor = await houses.member("Other", nord)
        text = impostor.home.config.read_text(encoding="utf-8")
        impostor.home.config.write_text(text.replace('"Other"', '"SUED"'), encoding="utf-8")
        await impostor.up.mesh.reload()
        ids = {short(house.up.node_id) for house in (sued, impostor)}
        with trio.fail_after(15):
            while (await nord.up.mesh.status()).level is Health.FINE:
                await trio.testing.wait_all_tasks_blocked(0.01)
        (trouble,) = (await nord.up.mesh.status()).troubles
        assert "same name" in trouble.what
        assert all(node in trouble.what for node in ids)
        shown = [peer.name for peer in await nord.up.mesh.peers()]
        assert sorted(shown) == sorted(
            f"{name} ({short(house.up.node_id)})"
            for name, house in (("Sued", sued), ("SUED", impostor))
        )
        with pytest.raises(LocalFault, match="more than one member"):
            await nord.up.mesh.revoke("Sued")
        await nord.up.mesh.revoke(short(impostor.up.node_id))
        assert nord.up.mesh.names()[sued.up.node_id] == "Sued"
        assert nord.up.mesh.names()[impostor.up.node_id] == f"SUED ({short(impostor.up.node_id)})"
        assert not nord.up.rooms.twins()
