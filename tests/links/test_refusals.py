"""Who is not let in, over real sockets: each with its reason on our side, and told nothing."""

from dataclasses import replace

import pytest
import trio

from meshpacs.links.dialer import Dialer, dial_invite
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.link import Link
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.ids import NodeId
from meshpacs.model.limits import STRANGERS
from meshpacs.wire.entries import Close, Revoke
from meshpacs.wire.greeting import JOIN_OPENING, MEMBER_OPENING, prologue
from meshpacs.wire.invite import Invite
from meshpacs.wire.keys import Identity, Keys, Signed
from meshpacs.wire.messages import Ping, Purpose
from meshpacs.wire.noise import Handshake, KeyPair
from tests.links.doors import Opened, flip, gate, opened, wiretap
from tests.wire.mesh_of import NOW_S, SECRET, Mesh, entropy, identity, mesh_of

SECOND_MESSAGE = 2 + 32 + 48 + 16
"""Length, e, s: what precedes the payload of message 2."""


async def turned_away(door: Opened, dialling: Gatekeeper) -> tuple[str, bytes, MeshError]:
    """Dial as a member: the door's reason, every byte the dialer was sent, what it was told."""
    async with wiretap(door.address) as tap:
        with pytest.raises(MeshError) as told:
            await Dialer(dialling)(door.member_at(tap.address), Purpose.CONTROL)
        reason = await door.refusals.receive()
        return reason.what, bytes(tap.to_dialer), told.value


async def not_admitted(door: Opened, invite: Invite, joiner: Identity) -> tuple[str, bytes, str]:
    """Knock with an invite: the door's reason, every byte the joiner was sent, what it reads."""
    async with wiretap(door.address) as tap:
        with pytest.raises(MeshError) as told:
            await dial_invite(replace(invite, addresses=(tap.address,)), joiner, "1.0")
        reason = await door.refusals.receive()
        return reason.what, bytes(tap.to_dialer), str(told.value)


async def sent_to(address: str, data: bytes, *, eof: bool = True) -> bytes:
    """Everything that is sent to a stranger who says this."""
    host, port = address.rsplit(":", 1)
    heard = bytearray()
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(data)
        if eof:
            await stream.send_eof()
        try:
            async for part in stream:
                heard += part
        except trio.BrokenResourceError:
            pass
    return bytes(heard)


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"mesh",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        MEMBER_OPENING,
        MEMBER_OPENING + b"\xff\xff",
        MEMBER_OPENING + b"\x00\x00",
        MEMBER_OPENING + b"\x00\x30" + bytes(48),
        JOIN_OPENING + bytes(31),
        JOIN_OPENING + bytes(32) + b"\x00\x30" + bytes(48),
    ],
)
async def test_a_stranger_hears_nothing_whatever_it_says(data: bytes) -> None:
    mesh = mesh_of()
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        assert await sent_to(door.address, data) == b""
        await door.refusals.receive()
        assert len(door.refused) == 1


async def test_a_silent_stranger_is_cut_off_at_the_deadline(autojump_clock: trio.abc.Clock) -> None:
    mesh = mesh_of()
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        assert await sent_to(door.address, MEMBER_OPENING, eof=False) == b""
        assert "in time" in (await door.refusals.receive()).what


async def test_a_node_without_the_meshs_secret_is_a_stranger() -> None:
    mesh = mesh_of("bert")
    dialling = gate(identity("bert"), mesh.copy(), secret=bytes(32))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, told = await turned_away(door, dialling)
    assert "stranger" in reason
    assert heard == b""
    assert isinstance(told, Unavailable)
    assert "does not answer this node" in told.what


async def test_a_node_that_is_no_member_hears_nothing_even_with_the_secret() -> None:
    mesh, outsider = mesh_of("bert"), mesh_of("carl", "bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, _ = await turned_away(door, gate(identity("carl"), mesh.copy()))
    assert "no member of this mesh" in reason
    assert heard == b""
    assert outsider.roster.members()


async def test_a_member_of_another_mesh_hears_nothing() -> None:
    ours, theirs = mesh_of("bert"), mesh_of("bert", name="Südwind")
    async with opened(gate(ours.anna, ours.roster)) as door:
        # The same secret and the same nodes: the mesh's id alone keeps them apart.
        reason, heard, _ = await turned_away(door, gate(identity("bert"), theirs.roster))
    assert "stranger" in reason
    assert heard == b""


async def test_a_revoked_member_hears_nothing() -> None:
    mesh = mesh_of("bert")
    bert = gate(identity("bert"), mesh.copy())
    mesh.decide(Revoke(identity("bert").node))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, told = await turned_away(door, bert)
    assert "was revoked" in reason
    assert heard == b""
    assert "revoked" in told.mend


async def test_a_revoked_node_in_a_members_name_gets_no_further_than_the_second_message() -> None:
    mesh = mesh_of("bert", "carl")
    carl = identity("carl")
    mesh.decide(Revoke(carl.node))

    class Liar(Gatekeeper):
        """Carl, who claims to be Bert until he has to prove it."""

        def claim(self, target):  # type: ignore[no-untyped-def]
            return gate(identity("bert"), self.roster).claim(target)

    liar = Liar(carl, mesh.copy(), bytes(range(100, 132)), boot=7, version="", wall_s=lambda: 0)
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, _ = await turned_away(door, liar)
    assert "answers in the place of" in reason
    assert len(heard) == 2 + int.from_bytes(heard[:2], "big")


async def test_a_suspended_member_hears_nothing() -> None:
    mesh = mesh_of()
    twice = mesh.invite("twice")
    for name in ("bert", "carl"):
        mesh.take(mesh.roster.merge(admissions=[mesh.admission(identity(name), twice)]))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, _ = await turned_away(door, gate(identity("bert"), mesh.copy()))
    assert "more than one node" in reason
    assert heard == b""


async def test_a_dialer_notices_that_somebody_else_answers() -> None:
    mesh = mesh_of("bert", "carl")
    async with opened(gate(identity("bert"), mesh.copy())) as door:
        carl = gate(identity("carl"), mesh.copy())
        member = replace(door.member(), node=mesh.anna.node)
        with pytest.raises(Unavailable, match="another node has this address"):
            await Dialer(carl)(member, Purpose.CONTROL)
        assert "another node was replayed" in (await door.refusals.receive()).what


# ---------------------------------------------------------------- invites


async def test_an_expired_invite_is_met_with_silence() -> None:
    mesh = mesh_of()
    invite = mesh.invite(expires_s=NOW_S - 1)
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, told = await not_admitted(door, invite, identity("bert"))
    assert "expired" in reason
    assert heard == b""
    assert "used before or withdrawn" in told


async def test_an_invite_that_was_used_is_met_with_silence() -> None:
    mesh = mesh_of()
    invite = mesh.invite()
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(identity("bert"), invite)]))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, _ = await not_admitted(door, invite, identity("carl"))
    assert "was used already" in reason
    assert heard == b""


async def test_an_invite_that_was_withdrawn_is_met_with_silence() -> None:
    mesh = mesh_of()
    invite = mesh.invite()
    mesh.decide(Close(invite.public))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        reason, heard, _ = await not_admitted(door, invite, identity("bert"))
    assert "withdrawn" in reason
    assert heard == b""


@pytest.mark.parametrize("flaw", ["unsigned", "nobody", "seedless", "swapped"])
async def test_an_invite_that_no_founder_granted_is_met_with_silence(flaw: str) -> None:
    mesh, other = mesh_of(), mesh_of(name="Südwind")
    invite = mesh.invite()
    if flaw == "unsigned":
        invite = replace(invite, grant_signature=bytes(64))
    elif flaw == "nobody":
        invite = replace(mesh.invite(by=other.founder))
    elif flaw == "swapped":

        class Swapped(Invite):
            """Knocks with one invite and shows the grant of another."""

            @property
            def granted(self) -> Signed:
                return mesh.invite("another").granted

        invite = Swapped(*(getattr(invite, name) for name in Invite.__dataclass_fields__))
    else:

        class Seedless(Invite):
            """Somebody who has seen the grant and the psk, but not the seed."""

            @property
            def public(self) -> bytes:
                return bytes(mesh.invite().key.verify_key)

            @property
            def key(self):  # type: ignore[no-untyped-def]
                return mesh.invite("another").key

        invite = Seedless(*(getattr(invite, name) for name in Invite.__dataclass_fields__))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        _, heard, _ = await not_admitted(door, invite, identity("bert"))
    assert heard == b""


async def test_a_joiner_does_not_show_itself_to_who_cannot_prove_to_be_a_member() -> None:
    mesh = mesh_of()
    invite = mesh.invite()
    # Somebody who has copied the invite, and with it the psk, but was never admitted.
    thief, fake = identity("thief"), mesh_of(name="Südwind")
    stolen = gate(thief, fake.roster)
    stolen.roster.mesh = mesh.mesh
    async with opened(stolen) as door:

        def weigh_join(*_args: object) -> object:
            return type("Claim", (), {"tag": b""})

        stolen.weigh_join = weigh_join  # type: ignore[method-assign, assignment]
        async with wiretap(door.address) as tap:
            with pytest.raises(PeerFault, match="does not hold the keys"):
                await dial_invite(
                    replace(invite, addresses=(tap.address,)), identity("bert"), "1.0"
                )
            await door.refusals.receive()
        first = len(JOIN_OPENING) + 32
        length = int.from_bytes(tap.to_door[first : first + 2], "big")
        assert len(tap.to_door) == first + 2 + length, "the joiner went on after the false proof"


# ---------------------------------------------------------------- replays


async def recorded(mesh: Mesh, door: Opened, dialling: Gatekeeper) -> bytes:
    """What a member sent in a handshake that went well."""
    async with wiretap(door.address) as tap:
        link = await Dialer(dialling)(door.member_at(tap.address), Purpose.CONTROL)
        await link.aclose()
        await door.links.receive()
    return bytes(tap.to_door)


async def test_a_replayed_handshake_hears_nothing() -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        recording = await recorded(mesh, door, gate(identity("bert"), mesh.copy()))
        assert await sent_to(door.address, recording) == b""
        assert "replayed" in (await door.refusals.receive()).what


async def test_a_handshake_replayed_to_another_node_hears_nothing() -> None:
    mesh = mesh_of("bert", "carl")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        recording = await recorded(mesh, door, gate(identity("bert"), mesh.copy()))
    async with opened(gate(identity("carl"), mesh.copy())) as door:
        assert await sent_to(door.address, recording) == b""
        assert "another node" in (await door.refusals.receive()).what


async def test_a_handshake_of_an_earlier_boot_hears_nothing_after_a_restart() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        recording = await recorded(mesh, door, gate(bert, mesh.copy(), boot=7))
    again = Gatekeeper(
        mesh.anna,
        mesh.roster,
        bytes(range(100, 132)),
        boot=8,
        version="1.0",
        wall_s=lambda: NOW_S,
        boots={bert.node: 8},
    )
    async with opened(again) as door:
        assert await sent_to(door.address, recording) == b""
        assert "replayed" in (await door.refusals.receive()).what


async def test_a_first_message_that_was_intercepted_is_answered_once() -> None:
    mesh = mesh_of("bert")
    bert = gate(identity("bert"), mesh.copy())
    shake = Handshake(
        initiator=True,
        static=bert.identity.link,
        ephemeral=KeyPair.of(entropy("ephemeral", 32)),
        psk=bert.psk,
        prologue=prologue(mesh.mesh, MEMBER_OPENING),
    )
    message = shake.write(bert.claim(mesh.anna.node))
    first = MEMBER_OPENING + len(message).to_bytes(2, "big") + message
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        # The door cannot know that this is not Bert; nobody but Bert can read its answer.
        assert len(await sent_to(door.address, first)) > SECOND_MESSAGE
        assert "hung up" in (await door.refusals.receive()).what
        assert await sent_to(door.address, first) == b""
        assert "replayed" in (await door.refusals.receive()).what


async def test_a_joiners_first_message_is_answered_once() -> None:
    mesh = mesh_of()
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        async with wiretap(door.address) as tap:
            invite = replace(mesh.invite(), addresses=(tap.address,))
            link = await dial_invite(invite, identity("bert"), "1.0")
            await link.aclose()
            await door.links.receive()
        assert await sent_to(door.address, bytes(tap.to_door)) == b""
        assert "replayed" in (await door.refusals.receive()).what


# ---------------------------------------------------------------- flipped bits


def lengths(stream: bytes, opening: int) -> list[int]:
    """Where each length-prefixed message of a recorded stream begins, and where it ends."""
    places, at = [opening], opening
    while at < len(stream):
        at += 2 + int.from_bytes(stream[at : at + 2], "big")
        places.append(at)
    return places


async def test_a_flipped_bit_in_the_first_message_is_met_with_silence() -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        recording = await recorded(mesh, door, gate(identity("bert"), mesh.copy()))
        _, end, *_ = lengths(recording, len(MEMBER_OPENING))
        for byte in range(end):
            bert = gate(identity("bert"), mesh.copy(), boot=byte + 8)
            async with wiretap(door.address, flip(byte, byte % 8)) as tap, trio.open_nursery() as n:

                async def dial(bert: Gatekeeper = bert, address: str = tap.address) -> None:
                    with pytest.raises(MeshError):
                        await Dialer(bert)(door.member_at(address), Purpose.CONTROL)

                # A longer length waits for bytes that never come: the deadline's business.
                n.start_soon(dial)
                if byte not in (5, 6):
                    await door.refusals.receive()
                n.cancel_scope.cancel()
            assert tap.to_dialer == b"", f"byte {byte}"


@pytest.mark.parametrize("place", [3, 40, 70, 120])
async def test_a_flipped_bit_in_the_second_message_ends_the_dial(place: int) -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        async with wiretap(door.address, change_back=flip(place)) as tap:
            with pytest.raises(PeerFault):
                await Dialer(gate(identity("bert"), mesh.copy()))(
                    door.member_at(tap.address), Purpose.CONTROL
                )
            assert "hung up" in (await door.refusals.receive()).what
        _, end = lengths(bytes(tap.to_door), len(MEMBER_OPENING))
        assert end == len(tap.to_door), "the dialer went on"


async def test_a_flipped_bit_in_the_third_message_or_the_first_record_ends_the_link() -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        recording = await recorded(mesh, door, gate(identity("bert"), mesh.copy()))
        _, second, third, end = lengths(recording, len(MEMBER_OPENING))
        for boot, byte in enumerate((second + 2, second + 40, third - 1, third + 2, end - 1)):
            bert = gate(identity("bert"), mesh.copy(), boot=boot + 8)
            async with wiretap(door.address, flip(byte, 3)) as tap:
                with pytest.raises(MeshError):
                    await Dialer(bert)(door.member_at(tap.address), Purpose.CONTROL)
                reason = await door.refusals.receive()
            assert isinstance(reason, PeerFault), byte
            # Message 2, which was sent before the bit was flipped, and nothing else.
            assert len(tap.to_dialer) == 2 + int.from_bytes(tap.to_dialer[:2], "big")


async def test_a_flipped_bit_in_a_record_ends_the_link_and_names_it() -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        recording = await recorded(mesh, door, gate(identity("bert"), mesh.copy()))
        *_, end = lengths(recording, len(MEMBER_OPENING))
        bert = gate(identity("bert"), mesh.copy(), boot=9)
        async with wiretap(door.address, flip(end + 5)) as tap:
            ours = await Dialer(bert)(door.member_at(tap.address), Purpose.CONTROL)
            theirs = await door.links.receive()
            heard = len(tap.to_dialer)

            async def deliver(_message: object) -> None:
                raise AssertionError("a changed record was delivered")

            async with trio.open_nursery() as nursery:

                async def dialer() -> None:
                    ours.post(Ping(1))
                    with pytest.raises(Unavailable):
                        await ours.run(deliver)

                nursery.start_soon(dialer)
                with pytest.raises(PeerFault, match="does not fit its tag"):
                    await theirs.run(deliver)
            assert len(tap.to_dialer) == heard


# ---------------------------------------------------------------- many at once


async def silent_strangers(address: str, count: int) -> list[trio.SocketStream]:
    host, port = address.rsplit(":", 1)
    return [await trio.open_tcp_stream(host, int(port)) for _ in range(count)]


async def test_the_oldest_stranger_makes_room_for_a_newer_one() -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        silent = await silent_strangers(door.address, STRANGERS + 16)
        for _ in range(16):
            assert "made room" in (await door.refusals.receive()).what
        link = await Dialer(gate(identity("bert"), mesh.copy()))(door.member(), Purpose.CONTROL)
        await link.aclose()
        for stream in silent:
            await stream.aclose()


async def test_strangers_cannot_push_out_a_member_whose_line_is_slow() -> None:
    mesh = mesh_of("bert")
    hold = trio.Event()

    class Slow(Gatekeeper):
        """Bert, whose third message does not get through yet."""

        def recognise(self, payload: bytes, static: bytes, expected: NodeId) -> Keys:
            answered.set()
            return super().recognise(payload, static, expected)

    answered = trio.Event()
    bert = Slow(
        identity("bert"), mesh.copy(), SECRET, boot=7, version="1.0", wall_s=lambda: NOW_S
    )  # fmt: skip

    async def dial() -> None:
        await links.send(await Dialer(bert)(door.member_at(tap), Purpose.CONTROL))

    async def slow_line(dialer: trio.SocketStream) -> None:
        host, port = door.address.rsplit(":", 1)
        async with await trio.open_tcp_stream(host, int(port)) as stream, dialer:
            await stream.send_all(await dialer.receive_some())
            await dialer.send_all(await stream.receive_some())
            await hold.wait()
            await stream.send_all(await dialer.receive_some())
            await dialer.send_all(await stream.receive_some())
            await trio.sleep_forever()

    links, made = trio.open_memory_channel[Link](1)
    async with opened(gate(mesh.anna, mesh.roster)) as door, trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        tap = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, slow_line, listeners)
        nursery.start_soon(dial)
        await answered.wait()
        for _ in range(5):
            silent = await silent_strangers(door.address, STRANGERS)
            for stream in silent:
                await stream.aclose()
        with trio.fail_after(5):
            hold.set()
            link = await made.receive()
        await link.aclose()
        nursery.cancel_scope.cancel()
