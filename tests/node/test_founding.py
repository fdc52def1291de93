"""How a home becomes a node's, and what is said when it cannot."""

import stat
import sys
from pathlib import Path

import pytest
import trio

from meshpacs.model.errors import Damaged, LocalFault, MeshError, Unavailable
from meshpacs.model.member import Role
from meshpacs.node import joining
from meshpacs.node.config import load_config
from meshpacs.node.founding import Founded, read_belongings
from meshpacs.wire.invite import make_invite, write_invite
from meshpacs.wire.keys import FounderKey
from meshpacs.wire.messages import Welcome
from tests.node.houses import House, Street, street


@pytest.fixture
async def nord(tmp_path: Path, nursery: trio.Nursery) -> House:
    """A house that has founded a mesh and is not up."""
    house = Street(tmp_path, nursery).house("Nord")
    house.found()
    return house


async def test_founding_leaves_a_home_that_says_who_it_is(nord: House) -> None:
    there = read_belongings(nord.home)
    assert there.roster.name == "Verbund"
    assert there.founder is not None
    member = there.roster.members()[there.identity.node]
    assert member.role is Role.MEMBER
    assert load_config(nord.home.config).name == "Nord"
    assert nord.home.admin_token()
    assert not nord.home.running()


async def test_secrets_do_not_show_when_what_holds_them_is_printed(nord: House) -> None:
    there = read_belongings(nord.home)
    welcome = Welcome(there.secret, b"")
    founded = Founded(there.identity.node, "Nord", there.mesh, "Verbund", "MPFK-AAAA")
    shown = f"{there!r} {welcome!r} {founded!r}"
    assert repr(there.secret) not in shown
    assert there.secret.hex() not in shown
    assert "MPFK" not in shown


@pytest.mark.skipif(sys.platform == "win32", reason="modes are Unix's")
async def test_every_private_file_is_its_owners_alone(nord: House) -> None:
    home = nord.home
    for path in (home.identity_key, home.founder_key, home.mesh_secret, home.token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    home.identity_key.chmod(0o640)
    with pytest.raises(LocalFault, match="chmod 600"):
        read_belongings(home)


async def test_the_recovery_key_on_paper_is_the_founders_key(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        west = houses.house("West")
        made = west.found()
        founder = FounderKey.from_paper(made.recovery_key)
        kept = read_belongings(west.home).founder
        assert kept is not None
        assert founder.public == kept.public


async def test_a_home_that_is_taken_is_not_founded_or_joined_again(nord: House) -> None:
    with nord.home.lock(), pytest.raises(LocalFault, match="lives in"):
        nord.found()  # as while it is up: that somebody lives there says more than the lock
    with nord.home.lock(), pytest.raises(LocalFault, match="lives in"):
        await nord.join("anything")
    with pytest.raises(LocalFault, match="lives in"):
        nord.found()


async def test_a_founding_that_a_crash_cut_short_can_be_repeated(nord: House) -> None:
    nord.home.mesh_facts.unlink()  # it is written last
    nord.found()
    there = read_belongings(nord.home)
    assert list(there.roster.members()) == [there.identity.node]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("mesh.json", b"{}"),
        ("mesh.json", b'{"mesh": "xyz"}'),
        ("mesh.secret", b"short"),
        ("identity.key", b"garbage"),
        ("founder.key", b"garbage"),
        ("roster.log", b"garbage"),
        ("roster.log", b"meshpacs/roster/1\n"),
    ],
)
async def test_a_damaged_file_is_named(nord: House, file: str, content: bytes) -> None:
    path = nord.home.folder / file
    path.write_bytes(content)
    with pytest.raises(Damaged):
        read_belongings(nord.home)


async def test_a_home_without_a_node_says_how_to_make_one(nord: House) -> None:
    nord.home.mesh_facts.unlink()
    with pytest.raises(LocalFault, match="meshpacs init"):
        read_belongings(nord.home)


# ---------------------------------------------------------------- joining


async def test_an_invite_is_for_one_node_and_the_second_is_told_to_ask_for_another(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        invite = await nord.invite()
        await houses.house("Sued").join(invite)
        with pytest.raises(Unavailable, match="does not answer to this invite") as caught:
            await houses.house("West").join(invite)
        assert "new invite" in caught.value.mend
        assert not houses.house("West").home.made


async def test_a_join_that_was_cut_short_may_be_repeated_with_the_same_invite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        invite = await nord.invite()
        sued = houses.house("Sued")

        def crash(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(joining, "settle", crash)
            with pytest.raises(OSError, match="No space"):
                await sued.join(invite)
        assert not sued.home.made
        await sued.join(invite)
        assert len(read_belongings(sued.home).roster.members()) == 2


async def test_an_expired_invite_is_told_before_anybody_is_dialled(nord: House) -> None:
    there = read_belongings(nord.home)
    assert there.founder is not None
    old = make_invite(
        there.founder,
        there.mesh,
        there.secret,
        role=Role.MEMBER,
        expires_s=1_000_000,
        addresses=("127.0.0.1:1",),
    )
    west = House(nord.home.__class__(nord.home.folder / "west"), "West", nord.nursery)
    with pytest.raises(LocalFault, match="expired on 12 January 1970"):
        await west.join(write_invite(old))
    with pytest.raises(LocalFault, match="no invite"):
        await west.join("hello")


async def test_a_mesh_that_is_off_is_told_with_its_address(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        invite = await nord.invite()
        address = nord.up.listening[0]
        await nord.stop()
        with pytest.raises(MeshError, match=f"{address} cannot be reached"):
            await houses.house("West").join(invite)


async def test_a_mesh_that_answers_and_then_says_nothing_is_left_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        invite = await nord.invite()

        async def silent(*_: object) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(joining, "JOIN_S", 0.05)
        monkeypatch.setattr(joining, "knock", silent)
        with pytest.raises(Unavailable, match="took longer"):
            await houses.house("West").join(invite)


async def test_a_joiner_that_says_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshpacs.node import node as node_module

    async with street(tmp_path) as houses:
        nord = await houses.founder()
        invite = await nord.invite()

        async def silent(link: object, *_: object) -> None:
            await link.receive()  # type: ignore[attr-defined]

        monkeypatch.setattr(node_module, "ADMIT_S", 0.05)
        monkeypatch.setattr(joining, "knock", silent)
        with pytest.raises(Unavailable, match="closed the link"):
            await houses.house("West").join(invite)
