"""Members find each other over real sockets, by whichever of their addresses works."""

import socket

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.links.dialer import Dialer
from meshpacs.links.door import Door
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.link import Link
from meshpacs.model.address import parse_address
from meshpacs.model.errors import LocalFault, MeshError, PeerFault, Unavailable
from meshpacs.model.member import Member, Role
from meshpacs.wire.codec import encode
from meshpacs.wire.keys import Identity
from meshpacs.wire.messages import Chunk, Hello, Ping, Pong, Purpose
from meshpacs.wire.roster import News
from tests.links.doors import gate, linked, opened
from tests.wire.mesh_of import NOW_S, SECRET, entropy, identity, mesh_of


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("purpose", [Purpose.CONTROL, Purpose.DIRECT, Purpose.BULK])
async def test_members_greet_each_other_and_say_what_the_link_is_for(purpose: Purpose) -> None:
    mesh = mesh_of("bert")
    bert = gate(identity("bert"), mesh.copy(), boot=11)
    async with opened(gate(mesh.anna, mesh.roster, boot=7)) as door:
        async with linked(bert, door, purpose) as (ours, theirs):
            assert (ours.peer, theirs.peer) == (mesh.anna.node, bert.identity.node)
            assert ours.purpose is theirs.purpose is purpose
            assert (ours.boot, theirs.boot) == (7, 11)
            assert (ours.outbound, theirs.outbound) == (True, False)
            assert ours.version == theirs.version == "1.0"
            assert ours.address == door.address
            assert theirs.address.startswith("127.0.0.1:")
            assert ours.invite == theirs.invite == b""
        assert not door.refused


async def test_messages_go_both_ways_over_a_control_link() -> None:
    mesh = mesh_of("bert")
    bert = gate(identity("bert"), mesh.copy())
    async with (
        opened(gate(mesh.anna, mesh.roster)) as door,
        linked(bert, door, Purpose.CONTROL) as (ours, theirs),
        trio.open_nursery() as nursery,
    ):

        async def pong(_message: object) -> None:
            theirs.post(Pong(1, 2))

        async def done(message: object) -> None:
            assert message == Pong(1, 2)
            ours.close("done")
            theirs.close("done")

        nursery.start_soon(theirs.run, pong)
        ours.post(Ping(1))
        await ours.run(done)


async def test_a_megabyte_goes_over_a_bulk_link_and_not_over_a_control_link() -> None:
    mesh = mesh_of("bert")
    bert = gate(identity("bert"), mesh.copy())
    chunk = Chunk(1, bytes(32), 0, entropy("chunk", 1 << 20))  # type: ignore[arg-type]
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        async with linked(bert, door, Purpose.BULK) as (ours, theirs), trio.open_nursery() as n:
            n.start_soon(ours.send, chunk)
            assert (await theirs.receive()) == chunk
        async with linked(bert, door, Purpose.DIRECT) as (ours, theirs), trio.open_nursery() as n:
            n.start_soon(ours.send, chunk)
            with pytest.raises(PeerFault, match="524288 is the most"):
                await theirs.receive()
            n.cancel_scope.cancel()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
async def test_ipv4_and_ipv6_are_served_alike() -> None:
    mesh = mesh_of("bert")
    dialer = Dialer(gate(identity("bert"), mesh.copy()))
    send, links = trio.open_memory_channel[Link](10)

    async def on_link(link: Link) -> None:
        await send.send(link)

    door = Door(gate(mesh.anna, mesh.roster), on_link)
    addresses = await door.listen(["127.0.0.1:0", "[::1]:0"])
    assert [parse_address(address)[0] for address in addresses] == ["127.0.0.1", "::1"]
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        for address in addresses:
            member = Member(mesh.anna.node, "anna", Role.MEMBER, (address,))
            link = await dialer(member, Purpose.DIRECT)
            assert link.address == address
            assert (await links.receive()).peer == identity("bert").node
            await link.aclose()
        nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken_is_named_and_nothing_stays_open() -> None:
    mesh = mesh_of()

    async def on_link(_link: Link) -> None: ...

    async with opened(gate(mesh.anna, mesh.roster)) as door:
        second = Door(gate(mesh.anna, mesh.roster), on_link)
        with pytest.raises(LocalFault, match=f"served on {door.address}"):
            await second.listen(["127.0.0.1:0", door.address])
        assert not second._listeners
    with pytest.raises(LocalFault, match="no port"):
        await second.listen(["127.0.0.1"])


async def closed_port() -> str:
    """An address of this machine at which nobody listens."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    return f"127.0.0.1:{port}"


async def test_the_next_address_is_tried_when_one_fails() -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        member = door.member_at(await closed_port(), door.address)
        link = await Dialer(gate(identity("bert"), mesh.copy()))(member, Purpose.CONTROL)
        assert link.address == door.address
        await link.aclose()


async def test_an_address_that_is_silent_does_not_hold_up_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    mesh = mesh_of("bert")
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    silent = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    dialer = Dialer(gate(identity("bert"), mesh.copy()))
    async with opened(gate(mesh.anna, mesh.roster)) as door, listeners[0]:
        autojump_clock.autojump_threshold = 0.2  # the sockets are real, only the waiting is not
        began = trio.current_time()
        link = await dialer(door.member_at(silent, door.address), Purpose.CONTROL)
        assert link.address == door.address
        assert trio.current_time() - began < 5
        await link.aclose()
        with pytest.raises(Unavailable, match=f"{silent} did not answer within 10 s"):
            await dialer(door.member_at(silent), Purpose.CONTROL)


async def test_what_cannot_be_reached_is_named_with_its_causes() -> None:
    mesh = mesh_of("bert")
    dialer = Dialer(gate(identity("bert"), mesh.copy()))
    one, other = await closed_port(), await closed_port()
    with pytest.raises(Unavailable) as told:
        await dialer(Member(mesh.anna.node, "anna", Role.MEMBER, (one, other)), Purpose.CONTROL)
    assert f"{one} cannot be reached: Connection refused." in told.value.what
    assert other in told.value.what
    assert "firewall" in told.value.mend
    with pytest.raises(Unavailable, match="No address of anna is known"):
        await dialer(Member(mesh.anna.node, "anna", Role.MEMBER, ()), Purpose.CONTROL)
    nowhere = Member(mesh.anna.node, "anna", Role.MEMBER, ("does-not-exist.invalid:1",))
    with pytest.raises(Unavailable, match=r"cannot be reached: .*known"):
        await dialer(nowhere, Purpose.CONTROL)
    with pytest.raises(Unavailable, match="has no port"):
        await dialer(Member(mesh.anna.node, "anna", Role.MEMBER, ("nowhere",)), Purpose.CONTROL)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_an_advertised_name_that_cannot_be_looked_up_cannot_be_reached(host: str) -> None:
    mesh = mesh_of("bert")
    member = Member(mesh.anna.node, "Anna", Role.MEMBER, (f"{host}:7117",))
    with pytest.raises(Unavailable, match="no name that can be looked up"):
        await Dialer(gate(identity("bert"), mesh.copy()))(member, Purpose.CONTROL)


async def test_an_impostors_answer_weighs_more_than_silence() -> None:
    mesh = mesh_of("bert", "carl")

    class Impostor(Gatekeeper):
        """Carl, who answers in Anna's place."""

        def weigh(self, payload, ephemeral):  # type: ignore[no-untyped-def]
            self.identity = mesh.anna
            claim = super().weigh(payload, ephemeral)
            self.identity = identity("carl")
            return claim

    impostor = Impostor(
        identity("carl"), mesh.copy(), SECRET, boot=1, version="1.0", wall_s=lambda: NOW_S
    )
    async with opened(impostor) as door:
        member = Member(mesh.anna.node, "anna", Role.MEMBER, (await closed_port(), door.address))
        with pytest.raises(PeerFault, match="in the place of"):
            await Dialer(gate(identity("bert"), mesh.copy()))(member, Purpose.CONTROL)
        await door.refusals.receive()


# ---------------------------------------------------------------- what the roster says


async def test_a_member_that_is_not_known_yet_shows_its_admission() -> None:
    mesh = mesh_of("bert")
    behind = mesh.copy()
    carl = mesh.admitted("carl", by=identity("bert"))
    learnt: list[News] = []
    knowing = Gatekeeper(
        mesh.anna, behind, SECRET, boot=1, version="1.0", wall_s=lambda: NOW_S,
        learnt=learnt.append,
    )  # fmt: skip
    dialling = gate(carl, mesh.roster)
    async with opened(knowing) as door:
        for _ in range(2):
            async with linked(dialling, door, Purpose.CONTROL) as (_, theirs):
                assert theirs.peer == carl.node
    assert [len(news.admissions) for news in learnt] == [1]
    assert carl.node in behind.members()


async def test_the_third_to_redeem_an_invite_is_not_let_in_and_is_no_news() -> None:
    mesh = mesh_of("bert")
    elsewhere, twice = mesh.copy(), mesh.invite("twice")
    for name in ("emil", "fritz"):
        mesh.take(mesh.roster.merge(admissions=[mesh.admission(identity(name), twice)]))
    elsewhere.merge(admissions=[mesh.admission(identity("dora"), twice)])
    heads = mesh.roster.heads()
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        with pytest.raises(Unavailable):
            await Dialer(gate(identity("dora"), elsewhere))(door.member(), Purpose.CONTROL)
        assert "no member of this mesh" in (await door.refusals.receive()).what
    assert mesh.roster.heads() == heads


async def test_a_member_is_let_in_though_who_admitted_it_is_not_known_yet() -> None:
    mesh = mesh_of("bert")
    behind = mesh.copy()
    dora = mesh.admitted("dora", by=mesh.admitted("carl", by=identity("bert")))
    async with (
        opened(gate(mesh.anna, behind)) as door,
        linked(gate(dora, mesh.roster), door, Purpose.CONTROL) as (_, theirs),
    ):
        assert theirs.peer == dora.node


async def test_a_node_with_new_keys_is_known_by_its_name_and_its_old_keys_are_not() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    later = bert.rotated(entropy("bert 2", 64))
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        async with linked(gate(later, mesh.copy()), door, Purpose.CONTROL) as (_, theirs):
            assert theirs.peer == bert.node
        mesh.record(later, "bert")
        with pytest.raises(Unavailable):
            await Dialer(gate(bert, mesh.copy(), boot=8))(door.member(), Purpose.CONTROL)
        assert "keys that it has replaced" in (await door.refusals.receive()).what


async def test_keys_shown_but_not_held_are_refused() -> None:
    mesh = mesh_of("bert")

    bert = identity("bert")
    thief = Identity.unpack(bert.pack())
    thief.link = identity("thief").link
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        with pytest.raises(Unavailable):
            await Dialer(gate(thief, mesh.copy()))(door.member(), Purpose.CONTROL)
        assert "does not hold them" in (await door.refusals.receive()).what


async def test_nobody_is_let_in_in_our_own_name() -> None:
    mesh = mesh_of()
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        with pytest.raises(Unavailable):
            await Dialer(gate(mesh.anna, mesh.copy()))(door.member(), Purpose.CONTROL)
        assert "this very node" in (await door.refusals.receive()).what


# ---------------------------------------------------------------- greetings


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (Hello(Purpose.JOIN, 7, ""), "purpose that this version does not know"),
        (Hello(99, 7, ""), "purpose that this version does not know"),
        (Hello(Purpose.CONTROL, 8, ""), "two boot numbers"),
        (Hello(Purpose.CONTROL, 7, "\x1b[31m"), "version that cannot be shown"),
        (Ping(1), "came where a Hello was due"),
    ],
)
async def test_a_greeting_that_makes_no_sense_ends_the_link(
    hello: Hello | Ping, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door:
        monkeypatch.setattr(
            "meshpacs.links.handshake.encode",
            lambda message: encode(hello if message.purpose == Purpose.CONTROL else message),
        )
        with pytest.raises(MeshError):
            await Dialer(gate(identity("bert"), mesh.copy(), boot=7))(
                door.member(), Purpose.CONTROL
            )
        assert reason in (await door.refusals.receive()).what


async def test_a_door_that_answers_for_another_purpose_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster, boot=1)) as door:
        monkeypatch.setattr(
            "meshpacs.links.handshake.encode",
            lambda hello: encode(Hello(2, 1, "") if hello.boot == 1 else hello),
        )
        with pytest.raises(PeerFault, match="another purpose"):
            await Dialer(gate(identity("bert"), mesh.copy(), boot=7))(
                door.member(), Purpose.CONTROL
            )


# ---------------------------------------------------------------- the door itself


async def test_a_fault_in_serving_one_link_ends_that_link_alone() -> None:
    mesh = mesh_of("bert")
    bert = gate(identity("bert"), mesh.copy())

    async def faulty(_link: Link) -> None:
        raise ZeroDivisionError

    async with opened(gate(mesh.anna, mesh.roster), faulty) as door:
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                link = await Dialer(bert)(door.member(), Purpose.CONTROL)
                with pytest.raises(Unavailable):
                    await link.run(lambda _message: trio.sleep(0))
        assert [entry["event"] for entry in logs] == ["link_failed"] * 2


async def test_a_refusal_is_logged_where_nobody_asks_for_it() -> None:
    mesh = mesh_of()

    async def on_link(_link: Link) -> None: ...

    door = Door(gate(mesh.anna, mesh.roster), on_link)
    (address,) = await door.listen(["127.0.0.1:0"])
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(door.run)
            host, port = parse_address(address)
            async with await trio.open_tcp_stream(host, port) as stream:
                await stream.send_all(b"GET /")
                assert await stream.receive_some(1) == b""
            nursery.cancel_scope.cancel()
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == ("dialer_refused", "info")
    assert entry["reason"].startswith("Something that does not speak this protocol")
