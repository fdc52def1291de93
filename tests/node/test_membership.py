"""Invites, names, addresses and removal, and what is said when something is not possible."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import Digest, NodeId, short
from meshpacs.model.member import Role
from meshpacs.node.ledger import Kind, RosterLog
from meshpacs.node.membership import ENTER_S
from meshpacs.node.template import default_toml
from meshpacs.node.views import PeerState
from meshpacs.wire.entries import Revoke, write_entry
from meshpacs.wire.invite import read_invite
from meshpacs.wire.keys import FounderKey
from meshpacs.wire.messages import Message
from tests.node.houses import House, street, until_state


async def test_an_invite_says_role_expiry_and_where_else_it_can_be_used(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        made = await nord.up.mesh.invite(Role.RELAY, 3600, local=True)
        read = read_invite(made.text)
        assert len(made.text) <= 300
        assert read.role is made.role is Role.RELAY
        assert read.addresses == made.addresses == (*nord.up.listening, *sued.up.listening)
        left = read.expires_s - nord.up.rooms.clock.wall() // 1_000_000
        assert 3590 < left <= 3600
        assert made.expires_us == read.expires_s * 1_000_000
        assert made.mesh_name == "Verbund"


async def test_no_invite_while_only_loopback_is_advertised(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        with pytest.raises(LocalFault, match="this machine only") as caught:
            await nord.up.mesh.invite()
        assert "--advertise" in caught.value.mend
        assert "--local" in caught.value.mend


async def test_an_advertised_address_makes_an_invite_that_leaves_loopback_out(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        public = replace(nord.config, advertise=("192.0.2.7:7117",))
        nord.home.config.write_text(default_toml(public), encoding="utf-8")
        await nord.up.mesh.reload()
        made = await nord.up.mesh.invite()
        assert made.addresses == ("192.0.2.7:7117",)
        status = await nord.up.mesh.status()
        assert status.advertised == made.addresses
        with trio.fail_after(10):
            while (await sued.up.mesh.peers())[0].addresses != made.addresses:
                await trio.testing.wait_all_tasks_blocked(0.01)
        (there,) = [t.what for t in (await sued.up.mesh.status()).troubles]
        assert "Nord is on another machine" in there


async def test_an_invite_without_any_address_or_with_an_odd_expiry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshpacs.node import membership

    async with street(tmp_path) as houses:
        nord = await houses.founder()
        for expires_s in (5, 400 * 86_400):
            with pytest.raises(LocalFault, match="cannot be good for"):
                await nord.up.mesh.invite(expires_s=expires_s, local=True)
        monkeypatch.setattr(membership, "advertised", lambda *_: ())
        with pytest.raises(LocalFault, match="no address"):
            await nord.up.mesh.invite(local=True)


async def test_only_where_a_founders_key_is_can_members_be_made_and_unmade(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        assert (await nord.up.mesh.status()).founder
        assert not (await sued.up.mesh.status()).founder
        with pytest.raises(LocalFault, match="no founder's key"):
            await sued.up.mesh.invite(local=True)
        with pytest.raises(LocalFault, match="no founder's key"):
            await sued.up.mesh.revoke("Nord")


async def test_a_founders_key_of_another_mesh_is_worth_nothing(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = houses.house("Nord")
        nord.found()
        nord.home.founder_key.write_bytes(FounderKey.create().pack())
        await nord.start()
        with pytest.raises(LocalFault, match="one no more"):
            await nord.up.mesh.invite(local=True)


async def test_a_member_is_named_by_its_name_or_the_beginning_of_its_id(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        twins = [await houses.member("Sued", nord)]
        twin = houses.house("twin")
        twin.name = "SUED"
        await twin.join(await nord.invite())
        await twin.start()
        await until_state(nord, f"SUED ({short(twin.up.node_id)})", PeerState.LINKED)
        twins.append(twin)
        mesh = nord.up.mesh
        with pytest.raises(LocalFault, match="more than one member"):
            await mesh.revoke("sued")
        with pytest.raises(LocalFault, match="no member"):
            await mesh.revoke("Ost")
        with pytest.raises(LocalFault, match="no member"):
            await mesh.revoke(twins[1].up.node_id.hex()[:2])
        with pytest.raises(LocalFault, match="itself"):
            await mesh.revoke("Nord")
        gone = await mesh.revoke(twins[1].up.node_id.hex()[:12].upper())
        assert gone.node == twins[1].up.node_id
        assert [peer.name for peer in await mesh.peers()] == ["Sued"]


async def test_a_new_name_reaches_the_others_when_the_config_is_read_again(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        before = sued.up.rooms.roster.record(sued.up.node_id)
        renamed = replace(sued.config, name="Klinik Süd", http_listen="127.0.0.1:7119")
        sued.home.config.write_text(default_toml(renamed), encoding="utf-8")
        view = await sued.up.mesh.reload()
        assert (view.refused, view.waits_for_restart) == ("", ("http.listen",))
        await until_state(nord, "Klinik Süd", PeerState.LINKED)
        after = sued.up.rooms.roster.record(sued.up.node_id)
        assert before is not None
        assert after is not None
        assert after.record.number > before.record.number
        assert not await sued.up.rooms.driver.call(lambda engine, now: (False, []))
        again = await sued.up.mesh.reload()
        assert again == view
        assert sued.up.rooms.roster.record(sued.up.node_id) == after, "nothing new to say"


async def test_a_bad_config_is_kept_out_and_status_says_so(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        nord.home.config.write_text('name = "Nord"\nport = 7\n', encoding="utf-8")
        view = await nord.up.mesh.reload()
        assert "port" in view.refused
        status = await nord.up.mesh.status()
        assert status.config.refused == view.refused
        assert any("kept out" in trouble.what for trouble in status.troubles)


async def test_an_invite_used_twice_under_partition_suspends_both_and_is_shown(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        invite = await nord.invite()
        # Sued is off while Nord admits one, and Nord while Sued admits another.
        await sued.stop()
        await houses.house("West").join(invite)
        await nord.stop()
        await sued.start()
        await houses.house("Ost").join(invite)
        await nord.start()
        await until_state(nord, "Ost", PeerState.SUSPENDED)
        peer = await until_state(nord, "West", PeerState.SUSPENDED)
        assert "more than one" in peer.last_error
        assert "new invite" in peer.mend
        status = await nord.up.mesh.status()
        assert len(status.roster.suspended) == 2
        gone = await nord.up.mesh.revoke("Ost")
        assert gone.name == "Ost"
        assert nord.up.mesh.names()[gone.node] == "Ost"


async def test_a_fork_of_the_founders_key_is_shown(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        rooms = nord.up.rooms
        founder = rooms.belongings.founder
        assert founder is not None
        number, previous = rooms.roster.next_entry(founder.public)
        for target in (b"x" * 32, b"y" * 32):
            entry = write_entry(
                founder, rooms.roster.mesh, number, previous, Revoke(type(rooms.node)(target))
            )
            rooms.roster.merge(entries=[entry])
        status = await nord.up.mesh.status()
        assert len(status.roster.forks) == 1
        assert any("stolen" in trouble.mend for trouble in status.troubles)


async def test_a_member_that_was_admitted_elsewhere_shows_its_admission_at_the_door(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        invite = await nord.invite()
        await nord.stop()
        west = houses.house("West")
        await west.join(invite)
        await sued.stop()
        await nord.start()
        await west.start()  # Nord has never heard of West, and Sued is off
        await until_state(nord, "West", PeerState.LINKED)
        assert len((await nord.up.mesh.status()).roster.suspended) == 0
        with trio.fail_after(10):
            await nord.up.rooms.ledger.settled()
        await nord.stop()
        await nord.start()
        assert west.up.node_id in nord.up.rooms.roster.members()


async def test_an_entry_that_the_roster_does_not_take_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await houses.member("Sued", nord)
        monkeypatch.setattr(
            type(nord.up.rooms.roster), "next_entry", lambda *_: (99, Digest(b"x" * 32))
        )
        with pytest.raises(LocalFault, match="did not take the entry"):
            await nord.up.mesh.revoke("Sued")


async def test_a_founders_entry_is_on_the_disk_before_any_other_node_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A founder that a power cut made forget what the others know would write another entry of
    # the same number: a fork.
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        west = await houses.member("West", nord)
        append, post = RosterLog.append, nord.up.rooms.switchboard.post
        order: list[str] = []

        def keep(roster: RosterLog, records: list[tuple[Kind, bytes]]) -> None:
            append(roster, records)
            if roster.path == nord.home.roster_log:
                order.extend(f"{kind} kept" for kind, _ in records)

        def told(peer: NodeId, message: Message) -> None:
            order.append(type(message).__name__)
            post(peer, message)

        monkeypatch.setattr(RosterLog, "append", keep)
        monkeypatch.setattr(nord.up.rooms.switchboard, "post", told)
        await nord.up.mesh.revoke("West")
        assert order[0] == "entry kept"
        assert order.count("entry kept") == 1
        assert "RosterNews" in order
        with trio.fail_after(10):
            while west.up.node_id in sued.up.rooms.roster.members():
                await trio.testing.wait_all_tasks_blocked(0.01)


async def test_an_entry_that_a_slow_disk_has_taken_is_in_the_roster_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    # Else the next one would have its number: a fork as soon as this node starts again.
    mock_clock.rate = 1
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        append = RosterLog.append

        def slowly(roster: RosterLog, records: list[tuple[Kind, bytes]]) -> None:
            append(roster, records)
            trio.from_thread.run_sync(mock_clock.jump, ENTER_S + 1)

        monkeypatch.setattr(RosterLog, "append", slowly)
        await nord.up.mesh.revoke("Sued")
        assert sued.up.node_id not in nord.up.rooms.roster.members()


async def test_an_entry_that_cannot_be_written_is_none_and_its_number_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("meshpacs.node.ledger.os.fsync", full)
            with pytest.raises(LocalFault, match="could not be written"):
                await nord.up.mesh.revoke("Sued")
        assert sued.up.node_id in nord.up.rooms.roster.members()
        await nord.up.mesh.revoke("Sued")
        await nord.stop()
        await nord.start()
        status = await nord.up.mesh.status()
        assert status.roster.revoked == (sued.up.node_id,)
        assert not status.roster.forks


async def test_two_members_revoked_at_once_are_two_entries(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        for name in ("Sued", "West"):
            await houses.member(name, nord)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nord.up.mesh.revoke, "Sued")
            nursery.start_soon(nord.up.mesh.revoke, "West")
        status = await nord.up.mesh.status()
        assert len(status.roster.revoked) == 2
        assert not status.roster.forks


async def test_a_restored_home_takes_back_what_it_had_said_after_the_copy_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.membership.LOOK_S", 0.05)

    async def courier(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        raise AssertionError(order)

    async def shares(house: House, *titles: str) -> None:
        with trio.fail_after(10):
            while True:
                members = nord.up.rooms.roster.members()
                if members[house.up.node_id].destinations == titles:
                    return
                await trio.sleep(0.01)

    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await sued.up.mesh.share(("OLD",), courier)
        await shares(sued, "OLD")
        await sued.stop()
        shutil.copytree(sued.home.folder, tmp_path / "copy")
        await sued.start()
        await sued.up.mesh.share(("LATER", "OLD"), courier)
        await shares(sued, "LATER", "OLD")
        await sued.stop()
        shutil.rmtree(sued.home.folder)
        (tmp_path / "copy").rename(sued.home.folder)
        await sued.start()
        await sued.up.mesh.share(("OLD",), courier)  # as its book, restored too, has it
        await until_state(nord, "Süd", PeerState.LINKED)
        await shares(sued, "OLD")
