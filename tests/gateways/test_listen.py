"""A real server on loopback: one address, one stop."""

import http.client
import json
import socket

import pytest
import trio

from meshpacs.gateways.http import admin_app
from meshpacs.gateways.listen import serve_http
from meshpacs.model.address import parse_address
from meshpacs.model.errors import LocalFault
from tests.gateways.asking import TOKEN
from tests.gateways.fake_mesh import FakeMesh


def get(address: str, path: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
    host, port = parse_address(address)
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
async def test_it_serves_where_it_was_told_and_stops_when_told(address: str) -> None:
    if address.startswith("[") and not ipv6():
        pytest.skip("this machine has no IPv6")
    stop = trio.Event()
    app = admin_app(FakeMesh(), token=TOKEN, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(serve_http, app, address, stop)
        assert parse_address(bound)[1] != 0
        status, body = await trio.to_thread.run_sync(get, bound, "/v1/status")
        assert (status, json.loads(body)["name"]) == (200, "Nord")
        status, body = await trio.to_thread.run_sync(get, bound, "/v1/find", "POST", "{}")
        assert [json.loads(line)["event"] for line in body.splitlines()][-1] == "found"
        stop.set()
    with pytest.raises(ConnectionRefusedError):
        await trio.to_thread.run_sync(get, bound, "/v1/status")


async def test_a_client_that_hangs_up_stops_the_work_behind_its_request() -> None:
    stop, hang = trio.Event(), trio.Event()
    mesh = FakeMesh(hang=hang)
    app = admin_app(mesh, token=TOKEN, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(serve_http, app, "127.0.0.1:0", stop)
        host, port = parse_address(bound)
        stream = await trio.open_tcp_stream(host, port)
        body = json.dumps({"paths": ["/images"]}).encode()
        await stream.send_all(
            b"POST /v1/import HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
            + TOKEN.encode()
            + b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await hang.wait()
        await stream.aclose()
        with trio.fail_after(10):
            await mesh.left.wait()
        stop.set()


async def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        app = admin_app(FakeMesh(), token=TOKEN, host="127.0.0.1")
        with pytest.raises(LocalFault, match="in use") as refused:
            await serve_http(app, address, trio.Event())
        assert address in refused.value.what
        assert "--http-listen" in refused.value.mend


async def test_a_name_that_cannot_be_resolved_is_named() -> None:
    app = admin_app(FakeMesh(), token=TOKEN, host="127.0.0.1")
    with pytest.raises(LocalFault, match=r"nowhere\.invalid"):
        await serve_http(app, "nowhere.invalid:1", trio.Event())
