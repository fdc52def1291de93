"""Whole nodes on loopback: founded, joined, asked, stopped, revoked."""

import time
from collections.abc import AsyncIterable
from pathlib import Path

import pytest
import trio
import trio.testing

from meshpacs.model.answer import Status
from meshpacs.model.attributes import Level
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.member import Role
from meshpacs.model.query import Everyone, Query
from meshpacs.node.config import ConfigFile
from meshpacs.node.living import LivingMesh
from meshpacs.node.mesh import Mesh
from meshpacs.node.node import open_node
from meshpacs.node.views import FetchDone, Health, PassView, PeerState, Progress, Taken
from meshpacs.wire.messages import Ping
from tests.node.houses import ALL_STUDIES, street, study, uids, until_state


def as_mesh(living: LivingMesh) -> Mesh:
    """The type checker sees here that the face is whole."""
    return living


async def drained(events: AsyncIterable[object]) -> list[object]:
    """All events."""
    return [event async for event in events]


async def test_a_query_finds_what_the_other_clinic_holds_and_says_that_it_is_complete(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        assert (await nord.take_in(tmp_path / "n", {"a": study(1)})).stored == 1
        assert (await sued.take_in(tmp_path / "s", {"b": study(2)})).stored == 1
        for house in (nord, sued):
            found = await house.find()
            assert uids(found) == ["1.2.826.0.1.1", "1.2.826.0.1.2"]
            assert found.complete
            assert found.report is not None
            assert [m.status for m in found.report.members] == [Status.ANSWERED] * 2
            assert sorted(found.names.values()) == ["Nord", "Sued"]
        local = await nord.find(local_only=True)
        assert uids(local) == ["1.2.826.0.1.1"]
        assert local.report is None
        assert local.complete


async def test_progress_counts_answers_as_they_come(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await houses.member("Sued", nord)
        async with nord.up.mesh.find(ALL_STUDIES, Everyone()) as finding:
            seen = [progress async for progress in finding]
        assert seen[-1] == Progress(answered=2, asked=2, rows=0)
        assert [progress.answered for progress in seen] == sorted({p.answered for p in seen})
        async with nord.up.mesh.find(ALL_STUDIES, None, local_only=True) as finding:
            assert [progress async for progress in finding] == [Progress(0, 1, 0)]


async def test_what_goes_over_the_links_is_counted_by_purpose_and_type(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await nord.find()
        asked, answered = [
            {(view.purpose, view.message): view for view in await house.up.mesh.counters()}
            for house in (nord, sued)
        ]
        sent, got = asked["control", "Ask"], answered["control", "Ask"]
        assert (sent.messages_out, sent.messages_in) == (1, 0)
        assert (got.messages_in, got.bytes_in) == (1, sent.bytes_out)
        assert asked["control", "Part"].messages_in == 1
        assert asked["join", "Knock"].messages_in == 1


async def test_a_query_leaves_a_trail_at_every_node_that_it_came_to(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        found = await nord.find()
        assert found.report is not None
        query = found.report.query_id.hex()
        began = time.time_ns() // 1000
        (asked,) = await nord.up.mesh.trails()
        (heard,) = await sued.up.mesh.trails(query[:6].upper())
        assert asked.passes == (PassView(None, 0, 0, (sued.up.node_id,)),)
        assert heard.passes == (PassView(nord.up.node_id, 1, 0, ()),)
        assert asked.query_id == heard.query_id == found.report.query_id
        assert asked.origin == heard.origin == nord.up.node_id
        assert began - 60_000_000 < heard.heard_us <= time.time_ns() // 1000
        assert await sued.up.mesh.trails("no such start") == ()


async def test_a_clinic_joins_through_a_member_while_the_founder_is_off(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await sued.find()
        invite = await nord.invite()
        await nord.stop()
        west = houses.house("West")
        welcomed = await west.join(invite)
        assert welcomed.through_name == "Sued"
        assert (welcomed.mesh_name, welcomed.members) == ("Verbund", 3)
        await west.start()
        await sued.take_in(tmp_path / "s", {"b": study(2)})
        found = await west.find(budget_us=3_000_000)
        assert uids(found) == ["1.2.826.0.1.2"]
        assert found.report is not None
        assert not found.complete
        by_name = {found.names[m.node]: m for m in found.report.members}
        assert by_name["Sued"].status is Status.ANSWERED
        assert by_name["Nord"].status is Status.UNREACHABLE


async def test_a_stopped_clinic_is_reported_with_when_it_was_last_heard(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        assert (await nord.find()).complete
        await sued.stop()
        found = await nord.find()
        assert found.report is not None
        missing = next(m for m in found.report.members if m.status is not Status.ANSWERED)
        assert found.names[missing.node] == "Sued"
        assert missing.status is Status.UNREACHABLE
        now = nord.up.rooms.clock.wall()
        assert now - 60_000_000 < missing.since_us <= now
        status = await nord.up.mesh.status()
        (peer,) = await nord.up.mesh.peers()
        assert peer.state in (PeerState.UNREACHABLE, PeerState.DIALLING, PeerState.IDLE)
        assert peer.last_error
        assert status.neighbours == 0


async def test_a_clinic_that_comes_back_is_linked_again_and_answers(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await sued.take_in(tmp_path / "s", {"b": study(2)})
        await sued.stop()
        assert not (await nord.find()).complete
        await sued.start()
        await until_state(nord, "Sued", PeerState.LINKED)
        found = await nord.find()
        assert found.complete, found.report
        assert uids(found) == ["1.2.826.0.1.2"]


async def test_peers_tell_all_that_is_known_of_a_neighbour(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await until_state(nord, "Sued", PeerState.LINKED)
        await nord.find()
        (peer,) = await nord.up.mesh.peers()
        assert peer.node == sued.up.node_id
        assert peer.role is Role.MEMBER
        assert peer.addresses == sued.up.listening
        assert peer.version
        assert peer.round_trip_us is not None
        assert peer.clock_offset_us is not None
        assert abs(peer.clock_offset_us) < 60_000_000
        assert peer.last_seen_us > 0
        assert min(peer.bytes_in, peer.bytes_out, peer.messages_in, peer.messages_out) > 0
        assert (peer.last_error, peer.mend, peer.blamed, peer.messages_dropped) == ("", "", 0, 0)


async def test_a_revoked_member_is_hung_up_asked_no_more_and_not_let_in(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        west = await houses.member("West", nord)
        await until_state(nord, "Sued", PeerState.LINKED)
        await until_state(west, "Sued", PeerState.LINKED)
        gone = await nord.up.mesh.revoke("sued")
        assert (gone.node, gone.name) == (sued.up.node_id, "Sued")
        for house in (nord, west):
            with trio.fail_after(10):
                while len(await house.up.mesh.peers()) > 1:
                    await trio.testing.wait_all_tasks_blocked(0.01)
                while house.up.rooms.switchboard.lines(gone.node):
                    await trio.testing.wait_all_tasks_blocked(0.01)
            found = await house.find()
            assert found.report is not None
            assert gone.node not in [m.node for m in found.report.members]
            assert found.complete
        with trio.fail_after(10):
            while (await sued.up.mesh.status()).level is not Health.BROKEN:
                await trio.testing.wait_all_tasks_blocked(0.01)
        status = await sued.up.mesh.status()
        assert "revoked" in status.troubles[0].what
        assert (await nord.up.mesh.status()).roster.revoked == (gone.node,)
        await sued.stop()
        await sued.start()
        with pytest.raises(LocalFault, match="names no member"):
            await nord.up.mesh.revoke("Sued")
        assert nord.up.rooms.switchboard.lines(gone.node) == ()


async def test_what_the_roster_has_learnt_outlives_a_restart(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await houses.member("Sued", nord)
        before = (await nord.up.mesh.status()).roster
        assert before.members == 2
        boot = nord.up.rooms.boot
        await nord.stop()
        await nord.start()
        status = await nord.up.mesh.status()
        assert status.roster == before
        assert status.boot > boot
        assert set(nord.up.mesh.names().values()) == {"Nord", "Sued"}


async def test_a_study_is_fetched_and_kept(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await sued.take_in(tmp_path / "s", {"b": study(2, size=5000)})
        uid = "1.2.826.0.1.2"
        ends = []
        for _ in range(2):
            async with nord.up.mesh.fetch(uid, to=tmp_path / "out") as fetching:
                events = [event async for event in fetching]
            assert isinstance(events[-1], FetchDone)
            ends.append(events[-1])
        assert [end.already_here for end in ends] == [False, True]
        assert ends[0].from_members == {sued.up.node_id: 1}
        assert ends[0].unheard == ()
        assert uids(await nord.find(local_only=True)) == [uid]
        assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1
        found = await nord.find()
        assert [match.holders for match in found.matches] == [
            tuple(sorted((nord.up.node_id, sued.up.node_id)))
        ]


async def test_a_study_that_nobody_has_is_not_said_to_be_nowhere(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        async with nord.up.mesh.fetch("1.2.3") as fetching:
            with pytest.raises(Unavailable):
                await drained(fetching)


async def test_an_import_tells_each_file_and_can_be_stopped_and_repeated(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        files = {f"{n}": study(n) for n in range(12)} | {"letter.txt": b"Dear colleague"}
        folder = tmp_path / "in"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        async with nord.up.mesh.import_paths([folder]) as importing:
            async for _ in importing:
                break
        assert not importing.summary.finished
        summary = await nord.take_in(folder, {})
        assert summary.finished
        assert summary.stored + summary.unchanged == 12
        assert (summary.skipped, summary.refused, summary.conflicts) == (1, 0, 0)
        again = await nord.take_in(folder, {})
        assert (again.stored, again.unchanged) == (0, 12)
        async with nord.up.mesh.import_paths([tmp_path / "nothing"]) as importing:
            outcomes = [outcome async for some in importing for outcome in some]
        assert [outcome.taken for outcome in outcomes] == [Taken.REFUSED]
        assert outcomes[0].reason


async def test_two_contents_under_one_uid_are_a_conflict_that_is_shown(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "one", {"a": study(1)})
        summary = await nord.take_in(tmp_path / "two", {"a": study(1, variant=1)})
        assert summary.conflicts == 1
        (conflict,) = await nord.up.mesh.conflicts()
        assert conflict.study_uid == "1.2.826.0.1.1"
        assert conflict.kept_root != conflict.aside_root
        assert conflict.origin == "from import"
        assert (await nord.up.mesh.status()).archive.conflicts == 1


async def test_a_second_process_in_a_home_is_refused(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        config = ConfigFile(nord.home.config, nord.flags)
        with pytest.raises(LocalFault, match="in use by process"):
            async with open_node(nord.home, config):
                pytest.fail("two nodes in one home")


async def test_an_address_in_use_is_told_before_anything_runs(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = houses.house("Sued")
        sued.found()
        config = ConfigFile(sued.home.config, {"mesh_listen": nord.up.listening})
        with pytest.raises(LocalFault, match="cannot be served"):
            async with open_node(sued.home, config):
                pytest.fail("two listeners on one port")
        await sued.start()


async def test_leaving_a_query_cancels_it(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await houses.member("Sued", nord)
        async with nord.up.mesh.find(ALL_STUDIES, None):
            pass
        async with nord.up.mesh.find(Query(Level.PATIENT), None) as finding:
            assert (await finding.result()).complete
        assert nord.up.rooms.driver.queries_closed == 2


async def test_a_query_on_a_node_that_stops_has_no_answer_rather_than_a_part_of_one(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await until_state(nord, "Sued", PeerState.LINKED)
        # A search that does not come back: the query stays open.
        gate = trio.Event()

        async def stuck(query: Query) -> tuple[tuple[object, ...], bool]:
            await gate.wait()
            return (), False

        nord.up.rooms.vault.search = stuck  # type: ignore[method-assign,assignment]
        mesh = nord.up.mesh
        async with mesh.find(ALL_STUDIES, None) as finding:
            await nord.stop()
            with pytest.raises(Unavailable, match="stopping"):
                await finding.result()
        with pytest.raises(Unavailable, match="stopping"):
            async with mesh.find(ALL_STUDIES, None):
                pytest.fail("a stopped node asks nobody")
        assert sued.node is not None


async def test_a_member_that_breaks_the_protocol_is_blamed_where_people_see_it(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        await until_state(nord, "Sued", PeerState.LINKED)
        sued.up.rooms.switchboard.post(nord.up.node_id, Ping(1))
        nord.up.rooms.switchboard.blame(sued.up.node_id, "A forged answer came.")
        (peer,) = await nord.up.mesh.peers()
        assert (peer.blamed, peer.last_error) == (1, "A forged answer came.")
