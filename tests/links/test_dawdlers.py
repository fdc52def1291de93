"""Who sends a byte a second is cut off at every state of a handshake, and holds up nobody."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing

from meshpacs.links.dialer import Dialer
from meshpacs.links.link import Link
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.model.limits import HANDSHAKE_S
from meshpacs.wire.greeting import JOIN_OPENING, MEMBER_OPENING
from meshpacs.wire.messages import Message, Ping, Purpose
from tests.links.doors import Opened, gate, opened
from tests.wire.mesh_of import identity, mesh_of

SOCKETS_S = 0.05
"""The invented time stands still for so long, real time, before it jumps: sockets need a moment."""


async def dribble(stream: trio.SocketStream, data: bytes) -> None:
    """A byte a second, zeros in the end."""
    try:
        for byte in data:
            await stream.send_all(bytes([byte]))
            await trio.sleep(1)
        while True:
            await stream.send_all(b"\0")
            await trio.sleep(1)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", MEMBER_OPENING + b"\x00\x80"),
        (MEMBER_OPENING, b"\x00\x80"),
        (MEMBER_OPENING + b"\x00\x80", b""),
        (MEMBER_OPENING + b"\x00\x80" + bytes(100), b""),
        (JOIN_OPENING, b""),
        (JOIN_OPENING + bytes(32) + b"\x10\x00", b""),
    ],
    ids=["nothing", "length", "message 1", "its end", "invite", "joiner's message 1"],
)
async def test_a_stranger_that_sends_a_byte_a_second_is_cut_off(
    first: bytes, then: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = SOCKETS_S
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door, trio.open_nursery() as nursery:
        host, port = door.address.rsplit(":", 1)
        began = trio.current_time()
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            if first:
                await stream.send_all(first)
            nursery.start_soon(dribble, stream, then)
            # Meanwhile a member is let in as if nobody else were there.
            link = await Dialer(gate(identity("bert"), mesh.copy()))(door.member(), Purpose.CONTROL)
            assert trio.current_time() - began < 2
            await link.aclose()
            assert "in time" in (await door.refusals.receive()).what
            assert trio.current_time() - began <= HANDSHAKE_S + 1
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b"", "it is told nothing"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def slowed(door: Opened, after: Callable[[bytes], int]) -> AsyncIterator[str]:
    """A proxy that lets so many bytes through and then one a second; its address."""
    host, port = door.address.rsplit(":", 1)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def there(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        seen = b""
        async for data in source:
            at_once = max(0, after(seen + bytes(data)) - len(seen))
            seen += bytes(data)
            if data[:at_once]:
                await sink.send_all(data[:at_once])
            if data[at_once:]:
                await dribble(sink, bytes(data[at_once:]))
                return

    async def handle(dialer: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream(host, int(port)) as sink, trio.open_nursery() as both:
            both.start_soon(there, dialer, sink)
            try:
                async for data in sink:
                    await dialer.send_all(data)
            except trio.BrokenResourceError:
                pass
            both.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def messages(count: int) -> Callable[[bytes], int]:
    """So many handshake messages of a member, and ten bytes."""

    def after(seen: bytes) -> int:
        at = len(MEMBER_OPENING)
        for _ in range(count):
            at += 2 + int.from_bytes(seen[at : at + 2], "big")
        return at + 10

    return after


@pytest.mark.parametrize("count", [1, 2], ids=["message 3", "hello"])
async def test_a_member_that_dawdles_in_its_handshake_is_cut_off(
    count: int, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = SOCKETS_S
    mesh = mesh_of("bert")
    async with opened(gate(mesh.anna, mesh.roster)) as door, slowed(door, messages(count)) as tap:
        began = trio.current_time()
        with pytest.raises(MeshError):
            await Dialer(gate(identity("bert"), mesh.copy()))(door.member_at(tap), Purpose.CONTROL)
        assert "in time" in (await door.refusals.receive()).what
        assert trio.current_time() - began <= HANDSHAKE_S + 1


async def test_a_frame_that_comes_a_byte_a_second_is_no_sign_of_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """So the engine's pings miss, and it hangs up, however many bytes trickle in (PROTOCOL 2.5)."""
    autojump_clock.autojump_threshold = SOCKETS_S
    mesh = mesh_of("bert", "carl")
    heard: list[Message] = []

    async def deliver(message: Message) -> None:
        heard.append(message)

    async def run(link: Link) -> None:
        with suppress(Unavailable):
            await link.run(deliver)

    async with (
        opened(gate(mesh.anna, mesh.roster), run) as door,
        slowed(door, lambda _seen: passed) as tap,
        trio.open_nursery() as nursery,
    ):
        passed = 1_000_000
        ours = await Dialer(gate(identity("bert"), mesh.copy()))(
            door.member_at(tap), Purpose.CONTROL
        )
        theirs = await door.links.receive()
        nursery.start_soon(run, ours)
        ours.post(Ping(1))
        await trio.sleep(1)
        assert heard == [Ping(1)]
        passed = 0
        bytes_before, heard_before = theirs.meter.bytes_in, theirs.meter.last_heard_s
        ours.post(Ping(2))
        other = await Dialer(gate(identity("carl"), mesh.copy()))(door.member(), Purpose.CONTROL)
        nursery.start_soon(run, other)
        other.post(Ping(3))
        await trio.sleep(10)
        assert heard == [Ping(1), Ping(3)], "others are heard meanwhile"
        assert theirs.meter.bytes_in > bytes_before
        assert theirs.meter.last_heard_s == heard_before
        theirs.close("its pings were missed")
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
