"""Who connects to the admin API and dawdles is cut off, and holds up nobody."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from anycorn.tcp_server import TCPServer
from structlog.testing import capture_logs

from meshpacs.gateways.gate import BODY_S
from meshpacs.gateways.http import admin_app
from meshpacs.gateways.listen import serve_http
from meshpacs.model import limits
from meshpacs.model.address import parse_address
from meshpacs.model.limits import ADMIN_CALLERS, ADMIN_STRANGER_S, ADMIN_STRANGERS
from tests.gateways.asking import TOKEN
from tests.gateways.fake_mesh import FakeMesh

HEAD = b"POST /v1/find HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BEARER = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
REQUEST = b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + BEARER + b"\r\n"


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    stop = trio.Event()
    app = admin_app(FakeMesh(), token=TOKEN, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        yield await nursery.start(serve_http, app, "127.0.0.1:0", stop)
        stop.set()


async def connect(address: str) -> trio.SocketStream:
    return await trio.open_tcp_stream(*parse_address(address))


async def dribble(stream: trio.SocketStream) -> None:
    """One byte a second until it is over."""
    try:
        while True:
            await stream.send_all(b"x")
            await trio.sleep(1)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def heard_until_the_end(address: str, first: bytes) -> tuple[bytes, float]:
    """Say this and go on a byte a second: all that is answered, and after how many seconds."""
    heard = bytearray()
    async with await connect(address) as stream, trio.open_nursery() as nursery:
        began = trio.current_time()
        if first:
            await stream.send_all(first)
        nursery.start_soon(dribble, stream)
        try:
            async for part in stream:
                heard += part
        except trio.BrokenResourceError:
            pass
        took = trio.current_time() - began
        nursery.cancel_scope.cancel()
    return bytes(heard), took


@pytest.mark.parametrize(
    ("first", "answered"),
    [
        (b"", b""),
        (b"GET /v1/sta", b""),
        (b"GET /v1/status HTTP/1.1\r\nHost: 127.0", b""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
        (HEAD + b"Content-Length: 100\r\n\r\n", b"HTTP/1.1 401"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 401"),
    ],
    ids=["nothing", "request line", "header", "HTTP/2", "body", "chunks"],
)
async def test_a_stranger_that_sends_a_byte_a_second_is_cut_off(
    first: bytes, answered: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # sockets need a moment
    async with served() as address:
        heard, took = await heard_until_the_end(address, first)
    assert heard.startswith(answered)
    assert took <= ADMIN_STRANGER_S + 1


async def test_a_body_that_comes_a_byte_a_second_ends_the_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    autojump_clock.autojump_threshold = 0.05  # sockets need a moment
    async with served() as address:
        heard, took = await heard_until_the_end(
            address, HEAD + BEARER + b"Content-Length: 1000\r\n\r\n"
        )
    assert b"did not come whole" in heard
    assert BODY_S <= took <= BODY_S + 6


async def status(address: str) -> bytes:
    heard = b""
    async with await connect(address) as stream:
        await stream.send_all(REQUEST)
        async for part in stream:
            heard += part
    return heard


async def test_strangers_that_fill_the_room_keep_nobody_out_who_has_the_token() -> None:
    async with served() as address, trio.open_nursery() as nursery:
        streams = [await connect(address) for _ in range(3 * ADMIN_STRANGERS)]
        for stream in streams:
            nursery.start_soon(dribble, stream)
        for _ in range(3):
            assert (await status(address)).startswith(b"HTTP/1.1 200")
        open_still = 0
        for stream in streams:
            with trio.move_on_after(0.01) as waiting, suppress(trio.BrokenResourceError):
                assert await stream.receive_some(1) == b""
            open_still += waiting.cancelled_caught
        assert open_still <= ADMIN_STRANGERS
        nursery.cancel_scope.cancel()
    for stream in streams:
        await stream.aclose()


async def test_a_request_under_way_is_not_pushed_out_by_strangers() -> None:
    hang = trio.Event()
    mesh = FakeMesh(hang=hang)
    stop = trio.Event()
    app = admin_app(mesh, token=TOKEN, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_http, app, "127.0.0.1:0", stop)
        async with await connect(address) as busy:
            body = b'{"paths": ["/images"]}'
            head = b"POST /v1/import HTTP/1.1\r\nHost: 127.0.0.1\r\n" + BEARER
            await busy.send_all(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            await hang.wait()
            crowd = [await connect(address) for _ in range(3 * ADMIN_STRANGERS)]
            assert (await status(address)).startswith(b"HTTP/1.1 200")
            assert not mesh.left.is_set()
            for stream in crowd:
                await stream.aclose()
        await mesh.left.wait()
        stop.set()


def test_a_node_has_files_left_when_its_listeners_are_full() -> None:
    """Of the 1,024 that many systems allow; half a hundred are for the archive and what else."""
    mesh = limits.LINKS + limits.STRANGERS + limits.HANDSHAKES
    admin = ADMIN_STRANGERS + ADMIN_CALLERS
    dicom = limits.DICOM_STRANGERS + limits.DICOM_ASSOCIATIONS
    assert mesh + admin + dicom <= 1024 - 64


async def test_who_is_gone_before_it_is_looked_at_ends_nothing() -> None:
    async with served() as address:
        for _ in range(3):
            crowd = [socket.create_connection(parse_address(address)) for _ in range(20)]
            for one in crowd:  # all within one turn of the loop, and each with a reset
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
            assert (await status(address)).startswith(b"HTTP/1.1 200")


async def test_a_fault_in_serving_one_connection_ends_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(_server: TCPServer) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async with served() as address:
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(TCPServer, "run", fails)
            with suppress(trio.BrokenResourceError):
                assert await status(address) == b""
        assert [line["event"] for line in logs] == ["admin_connection_failed"]
        assert (await status(address)).startswith(b"HTTP/1.1 200")
