"""Doors and dialers on loopback, and what crosses the wire between them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from meshpacs.links.dialer import Dialer
from meshpacs.links.door import Door
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.link import Link
from meshpacs.model.errors import MeshError
from meshpacs.model.member import Member, Role
from meshpacs.wire.keys import Identity
from meshpacs.wire.messages import Purpose
from meshpacs.wire.roster import Roster
from tests.wire.mesh_of import NOW_S, SECRET


def gate(
    identity: Identity, roster: Roster, *, boot: int = 7, secret: bytes = SECRET
) -> Gatekeeper:
    return Gatekeeper(identity, roster, secret, boot=boot, version="1.0", wall_s=lambda: NOW_S)


@dataclass
class Opened:
    """An open door."""

    gate: Gatekeeper
    address: str
    refused: list[MeshError]
    links: trio.MemoryReceiveChannel[Link]
    refusals: trio.MemoryReceiveChannel[MeshError]

    def member(self) -> Member:
        """Who to dial to come here."""
        return self.member_at(self.address)

    def member_at(self, *addresses: str) -> Member:
        """The same, under other addresses."""
        return Member(self.gate.identity.node, "anna", Role.MEMBER, addresses)


@asynccontextmanager
async def opened(
    gate: Gatekeeper, serve: Callable[[Link], Awaitable[None]] | None = None
) -> AsyncIterator[Opened]:
    """A door on a free port of loopback; links are parked until the test is over."""
    send_link, links = trio.open_memory_channel[Link](100)
    send_refusal, refusals = trio.open_memory_channel[MeshError](20_000)
    refused: list[MeshError] = []

    async def on_link(link: Link) -> None:
        send_link.send_nowait(link)
        if serve is None:
            await trio.sleep_forever()
        else:
            await serve(link)

    def on_refused(_address: str, error: MeshError) -> None:
        refused.append(error)
        send_refusal.send_nowait(error)

    door = Door(gate, on_link, on_refused)
    (address,) = await door.listen(["127.0.0.1:0"])
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        yield Opened(gate, address, refused, links, refusals)
        nursery.cancel_scope.cancel()


@dataclass
class Wiretap:
    """A proxy that keeps what goes each way, and may change what the dialer sends."""

    address: str
    to_door: bytearray = field(default_factory=bytearray)
    to_dialer: bytearray = field(default_factory=bytearray)


Change = Callable[[bytes, int], bytes]


def unchanged(data: bytes, _at: int) -> bytes:
    return data


def flip(byte: int, bit: int = 0) -> Change:
    """Flip one bit of one byte of the stream."""

    def change(data: bytes, at: int) -> bytes:
        if not at <= byte < at + len(data):
            return data
        changed = bytearray(data)
        changed[byte - at] ^= 1 << bit
        return bytes(changed)

    return change


@asynccontextmanager
async def wiretap(
    target: str, change: Change = unchanged, change_back: Change = unchanged
) -> AsyncIterator[Wiretap]:
    """Each change is given what one side sends and how many bytes of it went before."""
    host, port = target.rsplit(":", 1)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    tap = Wiretap(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")

    async def carry(
        source: trio.SocketStream, sink: trio.SocketStream, kept: bytearray, change: Change
    ) -> None:
        try:
            async for data in source:
                sent = change(bytes(data), len(kept))
                kept += data
                await sink.send_all(sent)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def handle(dialer: trio.SocketStream) -> None:
        door = await trio.open_tcp_stream(host, int(port))
        async with door, trio.open_nursery() as nursery:
            nursery.start_soon(carry, dialer, door, tap.to_door, change)
            await carry(door, dialer, tap.to_dialer, change_back)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield tap
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(
    dialling: Gatekeeper, door: Opened, purpose: Purpose
) -> AsyncIterator[tuple[Link, Link]]:
    """A link, seen from both of its ends."""
    ours = await Dialer(dialling)(door.member(), purpose)
    theirs = await door.links.receive()
    try:
        yield ours, theirs
    finally:
        await ours.aclose()
        await theirs.aclose()
