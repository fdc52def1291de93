"""A node joins by any member that is up, once, and asking again after a crash does no harm."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from meshpacs.links.dialer import dial_invite
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.join import Joined, admit_knock, knock, open_to
from meshpacs.links.link import Link
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.member import Role
from meshpacs.wire.codec import encode, pack
from meshpacs.wire.entries import Founder, Revoke
from meshpacs.wire.greeting import Proof
from meshpacs.wire.invite import Invite
from meshpacs.wire.keys import Identity, Signed
from meshpacs.wire.messages import Got, Knock, Message, Ping, Purpose, RosterNews, Sorry, Welcome
from meshpacs.wire.record import write_record
from meshpacs.wire.roster import News
from tests.links.doors import Opened, gate, opened
from tests.wire.mesh_of import NOW_S, SECRET, Mesh, entropy, founder, identity, mesh_of


@asynccontextmanager
async def admitting(keeper: Gatekeeper) -> AsyncIterator[tuple[Opened, list[MeshError]]]:
    """A member's door that admits who knocks, and what went wrong with that."""
    faults: list[MeshError] = []

    async def serve(link: Link) -> None:
        async def admit(message: Knock) -> tuple[Welcome, News]:
            welcome, _ = admit_knock(
                message,
                roster=keeper.roster,
                identity=keeper.identity,
                secret=SECRET,
                joiner=link.peer,
                invite=link.invite,
                at_s=NOW_S,
            )
            return welcome, keeper.roster.everything()

        try:
            await open_to(link, admit)
        except MeshError as error:
            faults.append(error)
        await link.aclose()

    async with opened(keeper, serve) as door:
        yield door, faults


def record(mesh: Mesh, node: Identity, name: str) -> bytes:
    return write_record(node, mesh.mesh, number=1, name=name, addresses=(), version="1.0")


async def join(door: Opened, mesh: Mesh, invite: Invite, joiner: Identity, name: str) -> Joined:
    link = await dial_invite(replace(invite, addresses=(door.address,)), joiner, "1.0")
    assert link.purpose is Purpose.JOIN
    try:
        return await knock(link, invite, joiner, record(mesh, joiner, name))
    finally:
        await link.aclose()


async def test_a_node_joins_by_the_founders_node() -> None:
    mesh = mesh_of()
    bert = identity("bert")
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, faults):
        joined = await join(door, mesh, mesh.invite(role=Role.RELAY), bert, "Bert")
    assert joined.secret == SECRET
    assert joined.roster.heads() == mesh.roster.heads()
    member = mesh.roster.members()[bert.node]
    assert (member.name, member.role) == ("Bert", Role.RELAY)
    assert not faults
    assert SECRET.hex() not in repr(joined)
    assert repr(SECRET) not in repr(joined)


async def test_a_node_joins_by_a_member_who_is_no_founder_and_was_itself_admitted() -> None:
    mesh = mesh_of("bert")
    carl = mesh.admitted("carl", by=identity("bert"))
    mesh.decide(Founder(founder("second").public))
    invite = mesh.invite(by=founder("second"))
    dora = identity("dora")
    async with admitting(gate(carl, mesh.copy())) as (door, _):
        joined = await join(door, mesh, invite, dora, "Dora")
    assert dora.node in joined.roster.members()
    assert len(joined.roster.members()) == 4


async def test_asking_again_with_the_same_keys_gives_the_same_answer() -> None:
    mesh = mesh_of()
    invite, bert = mesh.invite(), identity("bert")
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, _):
        first = await join(door, mesh, invite, bert, "Bert")
        again = await join(door, mesh, invite, bert, "Bert")
    assert first.roster.heads() == again.roster.heads()
    assert len(mesh.roster.admissions_of(bert.node)) == 1


async def test_a_second_node_with_the_same_invite_is_not_let_in() -> None:
    mesh = mesh_of()
    invite = mesh.invite()
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, _):
        await join(door, mesh, invite, identity("bert"), "Bert")
        with pytest.raises(Unavailable, match="does not answer to this invite") as told:
            await join(door, mesh, invite, identity("carl"), "Carl")
        assert "was used already" in (await door.refusals.receive()).what
    assert "Ask for a new invite" in told.value.mend
    assert identity("carl").node not in mesh.roster.members()


async def test_an_invite_used_at_two_members_that_do_not_hear_each_other_suspends_both() -> None:
    mesh = mesh_of("bert")
    invite = mesh.invite()
    apart = mesh.copy()
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, _):
        await join(door, mesh, invite, identity("carl"), "Carl")
    async with admitting(gate(identity("bert"), apart)) as (door, _):
        await join(door, mesh, invite, identity("dora"), "Dora")
    other = apart.everything()
    mesh.roster.merge(other.entries, other.admissions, other.records)
    assert set(mesh.roster.standing.suspended) == {identity("carl").node, identity("dora").node}


async def test_of_two_who_knock_at_once_with_one_invite_the_second_is_told() -> None:
    mesh = mesh_of()
    invite = mesh.invite()
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, faults):
        at_door = replace(invite, addresses=(door.address,))
        links = [await dial_invite(at_door, identity(name), "1.0") for name in ("bert", "carl")]
        await knock(links[0], invite, identity("bert"), record(mesh, identity("bert"), "Bert"))
        with pytest.raises(Unavailable, match="The invite was used already"):
            await knock(links[1], invite, identity("carl"), b"")
        for link in links:
            await link.aclose()
    assert [fault.what for fault in faults] == ["The invite was used already."]


# ---------------------------------------------------------------- what a member refuses


def knocking(mesh: Mesh, invite: Invite, joiner: Identity) -> Knock:
    statement = joiner.chain[0]
    return Knock(pack(invite.granted), statement, invite.redeem(statement))


def admitted(
    mesh: Mesh, message: Knock, joiner: Identity, invite: Invite, at_s: int = NOW_S
) -> None:
    admit_knock(
        message,
        roster=mesh.roster,
        identity=mesh.anna,
        secret=SECRET,
        joiner=joiner.node,
        invite=invite.public,
        at_s=at_s,
    )


def test_a_knock_must_be_about_the_links_own_node_and_invite() -> None:
    mesh = mesh_of()
    bert, carl = identity("bert"), identity("carl")
    invite, other = mesh.invite("one"), mesh.invite("other")
    good = knocking(mesh, invite, bert)
    for message, joiner, link_invite, reason in (
        (good, carl, invite, "not about this link"),
        (good, bert, other, "not about this link"),
        (replace(good, redemption=bytes(64)), bert, invite, "not signed with the invite"),
    ):
        with pytest.raises(PeerFault, match=reason):
            admitted(mesh, message, joiner, link_invite)
    with pytest.raises(PeerFault, match="had expired"):
        admitted(mesh, good, bert, invite, at_s=invite.expires_s + 1)
    unsigned = pack(Signed(invite.granted.body, bytes(64)))
    with pytest.raises(PeerFault, match="has not signed"):
        admitted(mesh, replace(good, grant=unsigned), bert, invite)
    with pytest.raises(PeerFault):
        admitted(mesh, replace(good, statement=b""), bert, invite)
    assert bert.node not in mesh.roster.members()
    admitted(mesh, good, bert, invite)
    assert bert.node in mesh.roster.members()


def test_a_revoked_node_is_not_admitted_by_a_new_invite() -> None:
    mesh = mesh_of("bert")
    bert, invite = identity("bert"), mesh.invite("new")
    mesh.decide(Revoke(bert.node))
    with pytest.raises(PeerFault, match="was revoked"):
        admitted(mesh, knocking(mesh, invite, bert), bert, invite)


# ---------------------------------------------------------------- who breaks the conversation


async def replying(mesh: Mesh, *replies: Message) -> MeshError:
    """What a joiner makes of a member who answers its knock like this."""

    async def serve(link: Link) -> None:
        await link.receive()
        for reply in replies:
            await link.send(reply)
        await link.aclose()

    async with opened(gate(mesh.anna, mesh.roster), serve) as door:
        with pytest.raises(MeshError) as told:
            await join(door, mesh, mesh.invite(), identity("bert"), "Bert")
        return told.value


async def test_a_joiner_believes_only_a_roster_in_which_it_is_a_member() -> None:
    mesh = mesh_of()
    other = mesh_of(name="Südwind").roster.everything()
    welcome = Welcome(SECRET, b"")
    whole = mesh.roster.everything()
    for replies, fault in (
        ((Sorry("Not today."),), "Not today."),
        ((Ping(1),), "A Ping came where it has no place."),
        ((welcome, Ping(1)), "A Ping came where it has no place."),
        ((welcome,), "closed the link"),
        ((welcome, RosterNews((), (), ())), "has not admitted it"),
        ((welcome, RosterNews(other.entries, other.admissions, ())), "has not admitted it"),
        ((welcome, RosterNews(whole.entries, whole.admissions, ())), "has not admitted it"),
    ):
        assert fault in str(await replying(mesh, *replies))


async def test_a_member_takes_nothing_but_one_knock() -> None:
    mesh = mesh_of()
    invite, bert = mesh.invite(), identity("bert")
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, faults):
        at_door = replace(invite, addresses=(door.address,))
        link = await dial_invite(at_door, bert, "1.0")
        await link.send(Got(1))
        with pytest.raises(Unavailable):
            await link.receive()
        await link.aclose()
        link = await dial_invite(at_door, bert, "1.0")
        await knock(link, invite, bert, record(mesh, bert, "Bert"))
        await link.send(knocking(mesh, invite, bert))
        with pytest.raises(Unavailable):
            await link.receive()
        await link.aclose()
    assert [fault.what for fault in faults] == [
        "A Got came where it has no place.",
        "A Knock came where it has no place.",
    ]


async def test_a_large_roster_comes_in_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = mesh_of(*(f"node {number}" for number in range(12)))
    sizes: list[int] = []
    whole = News.messages

    def small(news: News, most_bytes: int = 3000) -> tuple[RosterNews, ...]:
        messages = whole(news, most_bytes)
        sizes.append(len(messages))
        return messages

    monkeypatch.setattr(News, "messages", small)
    async with admitting(gate(mesh.anna, mesh.roster)) as (door, _):
        joined = await join(door, mesh, mesh.invite(), identity("bert"), "Bert")
    assert sizes[0] >= 5
    assert joined.roster.heads() == mesh.roster.heads()


# ---------------------------------------------------------------- who answers an invite


async def proven(mesh: Mesh, change: Callable[[Gatekeeper], None]) -> str:
    """What a joiner says of a member whose proof was tampered with."""
    keeper = gate(mesh.anna, mesh.roster)
    change(keeper)
    async with opened(keeper) as door:
        with pytest.raises(PeerFault) as told:
            await join(door, mesh, mesh.invite(), identity("bert"), "Bert")
        await door.refusals.receive()
    return told.value.what


async def test_a_joiner_follows_the_proof_back_to_the_meshs_id() -> None:
    mesh = mesh_of("carl")
    proof = mesh.roster.proof(mesh.anna.node)

    def shown(chain: tuple[bytes, ...], news: News) -> Callable[[Gatekeeper], None]:
        packed = pack(Proof(chain, news.entries, news.admissions, news.records))
        return lambda keeper: setattr(keeper, "proof", lambda: packed)

    anna, carl = mesh.anna, identity("carl")
    for change in (
        shown(carl.chain, mesh.roster.proof(carl.node)),
        shown(anna.chain, News()),
        shown(anna.rotated(entropy("anna 2", 64)).chain, proof),
    ):
        assert "does not hold the keys" in await proven(mesh, change)
    revoked = mesh.copy()
    revoked.merge([mesh.decide(Revoke(anna.node))])
    everything = revoked.everything()
    assert "cannot show that it is a member" in await proven(
        mesh_of("carl"), shown(anna.chain, everything)
    )


async def test_a_joiner_wants_the_founder_who_invited_it_among_the_founders() -> None:
    mesh = mesh_of()
    mesh.decide(Founder(founder("second").public))
    invite = mesh.invite(by=founder("second"))
    keeper = gate(mesh.anna, mesh.roster)
    before = mesh_of().roster.proof(mesh.anna.node)
    packed = pack(Proof(mesh.anna.chain, before.entries, before.admissions, before.records))
    setattr(keeper, "proof", lambda: packed)  # noqa: B010
    async with opened(keeper) as door:
        with pytest.raises(PeerFault, match="cannot show"):
            await join(door, mesh, invite, identity("bert"), "Bert")
        await door.refusals.receive()


@pytest.mark.parametrize("lie", ["keys", "tag", "purpose"])
async def test_a_joiner_is_who_it_announced(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = mesh_of()
    bert = identity("bert")
    if lie == "keys":
        bert.link = identity("carl").link
    elif lie == "tag":
        monkeypatch.setattr("meshpacs.links.handshake.join_tag", lambda *_: bytes(32))
    else:
        monkeypatch.setattr(
            "meshpacs.links.handshake.encode",
            lambda message: encode(replace(message, purpose=int(Purpose.BULK))),
        )
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        with pytest.raises(MeshError):
            await join(door, mesh, mesh.invite(), bert, "Bert")
        reason = (await door.refusals.receive()).what
    assert {
        "keys": "does not hold them",
        "tag": "not whom it announced",
        "purpose": "another purpose than to join",
    }[lie] in reason
