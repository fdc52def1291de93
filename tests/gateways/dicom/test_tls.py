"""DICOM over TLS: who is let in, who is not and hears why, and what the log says (PS3.15 B.12)."""

import functools
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.dimse.pdu import AssociateRequest, ProposedContext, User, encode
from meshpacs.dimse.services import VERIFICATION
from meshpacs.gateways.dicom import requesting
from meshpacs.gateways.dicom.probing import what_it_speaks
from meshpacs.gateways.dicom.requesting import NotAnswered, Requestor, Wish, associated
from meshpacs.gateways.dicom.tls import RECORDS_BYTES, UNREAD_BYTES, TlsSocket
from meshpacs.model.errors import Unavailable
from meshpacs.node.credentials import CIPHERS
from tests.gateways.dicom.doors import PLAIN, Opened, dcmtk, dcmtk_fails, opened
from tests.gateways.dicom.secured import HOST, Kit, Pair, held, make_kit, secured
from tests.gateways.dicom.test_door import echo, store
from tests.gateways.fake_mesh import FakeMesh

TLS_1_1, TLS_1_2 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2
TLS_1_3 = ssl.TLSVersion.TLSv1_3

REQUEST = encode(
    AssociateRequest(
        "MESHPACS", "TEST", (ProposedContext(1, VERIFICATION, PLAIN),), User(16384, "1.2.3")
    )
)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return make_kit(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def dialled(
    door: Opened, context: ssl.SSLContext, *, calling: str = "TEST"
) -> AsyncIterator[Requestor]:
    wish = Wish("MESHPACS", calling, door.pairs)
    async with associated(door.host, door.port, wish, tls=context) as requestor:
        yield requestor


async def refused(door: Opened, context: ssl.SSLContext) -> tuple[str, str]:
    """What a caller by this context hears, and why the door's log says it was turned away."""
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(Unavailable) as caught:
            async with dialled(door, context):
                pass
        await trio.testing.wait_all_tasks_blocked(0.01)
    (line,) = [line for line in logs if line["event"] == "dicom_tls_refused"]
    assert line["mend"]
    return caught.value.what, line["why"]


# ---------------------------------------------------------------- let in


async def test_dcmtk_stores_and_asks_over_tls(kit: Kit, tmp_path: Path) -> None:
    from tests.node.clinics import instance

    (tmp_path / "a.dcm").write_bytes(instance(1, size=400_000))
    mesh = FakeMesh()
    way = ("+tls", str(kit.ward.key), str(kit.ward.chain), "+cf", str(kit.authority))
    async with secured(mesh, kit.home) as door:
        assert "Received Echo Response (Success)" in await dcmtk("echoscu", door, *way)
        said = await dcmtk("storescu", door, *way, str(tmp_path / "a.dcm"))
        assert "Received Store Response (Success)" in said
        key = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=*")
        assert "Received Final Find Response (Success)" in await dcmtk("findscu", door, *way, *key)
        anonymous = await dcmtk_fails("echoscu", door, "+tla", "+cf", str(kit.authority))
        assert anonymous.returncode != 0
    assert len(mesh.arrived) == 1
    assert len(mesh.arrived[0]) > 400_000


async def test_pynetdicom_is_echoed_over_tls(kit: Kit) -> None:
    def work(door: Opened) -> int:
        from pynetdicom import AE

        ae = AE(ae_title="PYNET")
        ae.add_requested_context(VERIFICATION)
        association = ae.associate(
            door.host, door.port, ae_title="MESHPACS", tls_args=(kit.client(kit.ward), HOST)
        )
        assert association.is_established
        status = int(association.send_c_echo().Status)
        association.release()
        return status

    async with secured(FakeMesh(), kit.home) as door:
        assert await trio.to_thread.run_sync(work, door) == 0


@pytest.mark.parametrize(("version", "words"), [(TLS_1_2, "TLS 1.2"), (TLS_1_3, "TLS 1.3")])
async def test_both_versions_carry_large_messages_both_ways(
    kit: Kit, version: ssl.TLSVersion, words: str
) -> None:
    mesh = FakeMesh()
    data = random.Random(7).randbytes(3_000_000)
    async with (
        secured(mesh, kit.home) as door,
        dialled(door, kit.client(kit.ward, version=version)) as requestor,
    ):
        assert requestor.tls == words
        assert (await store(requestor, data)).status == 0
        assert await echo(requestor) == 0
    assert mesh.arrived == [data]


async def test_a_node_dials_itself_by_the_name_in_its_certificate(kit: Kit) -> None:
    async with (
        secured(FakeMesh(), kit.home) as door,
        dialled(door, held(kit.home).dialling("MESHPACS")) as requestor,
    ):
        assert await echo(requestor) == 0
        assert requestor.tls == "TLS 1.3"


def test_only_suites_that_the_standard_recommends_are_spoken(kit: Kit) -> None:
    for context in (held(kit.home).accepting, held(kit.home).dialling("X")):
        names = {suite["name"] for suite in context.get_ciphers()}
        assert names == {
            *CIPHERS,
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
        }


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
async def test_whoever_comes_back_is_looked_at_anew(kit: Kit, version: ssl.TLSVersion) -> None:
    context = kit.client(kit.ward, version=version)
    async with secured(FakeMesh(), kit.home) as door:

        def session(before: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
            with (
                socket.create_connection((door.host, door.port)) as raw,
                context.wrap_socket(raw, server_hostname=HOST, session=before) as line,
            ):
                line.sendall(REQUEST)
                assert line.recv(1) == b"\2"
                return line.session, bool(line.session_reused)

        first, _ = await trio.to_thread.run_sync(session, None)
        assert first is None or not first.has_ticket
        _, reused = await trio.to_thread.run_sync(session, first)
    assert not reused


# ---------------------------------------------------------------- turned away


async def test_old_versions_of_tls_are_refused(kit: Kit) -> None:
    for version in (ssl.TLSVersion.TLSv1, TLS_1_1):
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context = kit.client(kit.ward, version=version)
        async with secured(FakeMesh(), kit.home) as door:
            heard, logged = await refused(door, context)
        assert "It refuses TLS 1.2 and 1.3" in heard  # what the alert says to one of ours
        assert logged == "It offers no version of TLS from 1.2 on."


async def test_suites_that_are_not_recommended_are_refused(kit: Kit) -> None:
    context = kit.client(kit.ward, version=TLS_1_2)
    context.set_ciphers("AES256-SHA256:AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256")
    async with secured(FakeMesh(), kit.home) as door:
        heard, logged = await refused(door, context)
    assert "no cipher suite in common" in heard
    assert logged == "It offers none of the cipher suites that BCP 195 recommends."


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize(
    ("who", "heard", "logged"),
    [
        (None, "certificate|cipher suite", "It shows no certificate."),
        ("stranger", "does not trust our certificate", "Its certificate is not trusted: "),
        ("expired", "our certificate has expired", "Its certificate has expired."),
    ],
)
async def test_who_shows_no_good_certificate_is_refused_and_hears_why(
    kit: Kit, version: ssl.TLSVersion, who: str | None, heard: str, logged: str
) -> None:
    import re

    pair: Pair | None = getattr(kit, who) if who else None
    mesh = FakeMesh()
    async with secured(mesh, kit.home) as door:
        told, why = await refused(door, kit.client(pair, version=version))
    assert re.search(heard, told), told
    assert why.startswith(logged)
    assert not mesh.asked


async def test_a_title_that_is_trusted_by_name_is_nobody_elses(kit: Kit) -> None:
    async with secured(FakeMesh(), kit.home) as door:
        async with dialled(door, kit.client(kit.ct1), calling="CT1") as requestor:
            assert await echo(requestor) == 0
        with (
            structlog.testing.capture_logs() as logs,
            pytest.raises(Unavailable, match="calling AE title not recognized"),
        ):
            async with dialled(door, kit.client(kit.ward), calling="CT1"):
                pass
        (line,) = [line for line in logs if line["event"] == "dicom_caller_refused"]
        assert "meshpacs dicom tls trust CT1 FILE" in line["mend"]


async def test_without_a_key_callers_over_tls_are_refused_and_the_log_says_what_to_do(
    kit: Kit, tmp_path: Path
) -> None:
    from meshpacs.node.home import Home

    async with secured(FakeMesh(), Home(tmp_path)) as door:
        with structlog.testing.capture_logs() as logs, pytest.raises(Unavailable):
            async with dialled(door, kit.client(kit.ward)):
                pass
    assert "meshpacs dicom tls init" in logs[0]["mend"]


async def test_a_change_of_trust_takes_effect_without_a_restart(
    kit: Kit, tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    import shutil

    from meshpacs.node.credentials import Keeper, trusted_file
    from meshpacs.node.home import Home

    mock_clock.rate = 20
    home = Home(tmp_path / "home")
    shutil.copytree(kit.home.dicom_tls, home.dicom_tls)
    keeper = Keeper(home)
    trusted = trusted_file(home, "S")

    async def seen(event: str, logs: list[Any]) -> None:
        with trio.fail_after(1000):
            while not any(line["event"] == event for line in logs):
                await trio.sleep(0.1)
        logs.clear()

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(keeper.watch)
            await seen("dicom_tls_in_force", logs)
            assert keeper.current is not None
            assert "S" not in keeper.current.trusted
            shutil.copy(kit.stranger.chain, trusted)
            await seen("dicom_tls_in_force", logs)
            assert "S" in keeper.current.trusted
            trusted.write_bytes(b"-----BEGIN nothing")
            await seen("dicom_tls_kept_out", logs)
            assert "S" in keeper.current.trusted
            trusted.unlink()
            await seen("dicom_tls_in_force", logs)
            assert "S" not in keeper.current.trusted
            nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- garbage and silence


def hello(context: ssl.SSLContext) -> bytes:
    """How a client begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=HOST).do_handshake()
    return outgoing.read()


async def said_to(door: Opened, data: bytes) -> None:
    async with door.socket() as stream:
        with trio.fail_after(10):
            try:
                await stream.send_all(data)
                await stream.send_eof()
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass


async def test_dicom_without_tls_at_the_port_for_tls_gets_a_clear_line(kit: Kit) -> None:
    async with secured(FakeMesh(), kit.home) as door:
        with structlog.testing.capture_logs() as logs:
            for said in (REQUEST, b"GET / HTTP/1.1\r\n\r\n", b""):
                await said_to(door, said)
            with pytest.raises(Unavailable, match="hung up") as caught:
                async with door.called():
                    pass
    assert [line["why"] for line in logs if line["event"] == "dicom_tls_refused"] == [
        "It speaks DICOM without TLS to the port for TLS.",
        "It speaks neither TLS nor DICOM.",
        "It has hung up before it said anything.",
    ]
    assert isinstance(caught.value, NotAnswered)


async def test_tls_at_the_plain_port_gets_a_clear_line(kit: Kit) -> None:
    async with opened(FakeMesh()) as door:
        with structlog.testing.capture_logs() as logs:
            with pytest.raises(Unavailable, match="It speaks DICOM without TLS on that port"):
                async with dialled(door, kit.client(kit.ward)):
                    pass
            await trio.testing.wait_all_tasks_blocked(0.01)
    (line,) = [line for line in logs if line["event"] == "dicom_no_association"]
    assert line["why"] == "It speaks TLS to a port for DICOM without TLS."


async def test_broken_greetings_end_alone(kit: Kit) -> None:
    seed = 11
    chance = random.Random(seed)
    good = hello(kit.client(kit.ward))
    async with (
        secured(FakeMesh(), kit.home) as door,
        dialled(door, kit.client(kit.ward)) as beside,
    ):
        with structlog.testing.capture_logs() as logs:
            for _ in range(150):
                broken = bytearray(good)
                for _ in range(chance.randrange(1, 8)):
                    broken[chance.randrange(1, len(broken))] = chance.randrange(256)
                await said_to(door, bytes(broken[: chance.randrange(1, len(broken) + 1)]))
            assert await echo(beside) == 0, f"seed {seed}"
        with trio.fail_after(5):
            while door.door._callers._strangers:
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert not [line for line in logs if line["log_level"] == "error"], f"seed {seed}"


async def test_garbage_inside_tls_is_aborted_as_without(kit: Kit) -> None:
    async with secured(FakeMesh(), kit.home) as door, door.socket() as raw:
        line = TlsSocket(raw.socket, kit.client(kit.ward), host=HOST)
        await line.handshake()
        await line.send(memoryview(b"\x99" * 100))
        heard = bytearray(100)
        with trio.fail_after(5):
            assert await line.recv_into(memoryview(heard)) == 10
        assert heard[0] == 7


async def test_a_handshake_that_dawdles_is_cut_off(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.door.TLS_HANDSHAKE_S", 0.5)
    async with secured(FakeMesh(), kit.home) as door:
        with structlog.testing.capture_logs() as logs:
            for said in (b"", hello(kit.client(kit.ward))):
                began_s = trio.current_time()
                async with door.socket() as stream:
                    with trio.fail_after(30):
                        await dribble(stream, said)
                        while await stream.receive_some():
                            pass
                assert trio.current_time() - began_s > 0.45
    # Once for each machine and reason.
    assert [line["why"] for line in logs] == ["It has not ended its TLS handshake in time."]


async def dribble(stream: trio.SocketStream, said: bytes) -> None:
    """A byte at a time, until it has been cut off."""
    try:
        for byte in said:
            await stream.send_all(bytes((byte,)))
            await trio.sleep(0.05)
    except trio.BrokenResourceError:
        pass


async def test_silence_after_the_handshake_ends_with_artim(
    kit: Kit, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate = 1
    async with secured(FakeMesh(), kit.home) as door, door.socket() as raw:
        line = TlsSocket(raw.socket, kit.client(kit.ward), host=HOST)
        await line.handshake()
        await trio.testing.wait_all_tasks_blocked(0.05)  # its side of the handshake is over, too
        mock_clock.rate = 300
        with trio.fail_after(3000):
            assert await line.recv_into(memoryview(bytearray(10))) == 0


# ---------------------------------------------------------------- as requestor


@asynccontextmanager
async def answering(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A machine that shakes hands by this context, reads, and hangs up; its port."""

    def shake(handle: int) -> None:
        raw = socket.socket(fileno=handle)
        raw.settimeout(5)
        try:
            with context.wrap_socket(raw, server_side=True) as line:
                line.recv(1000)
        except OSError:
            raw.close()

    async def serve(stream: trio.SocketStream) -> None:
        await trio.to_thread.run_sync(shake, stream.socket.detach())

    async with trio.open_nursery() as nursery:
        listen = functools.partial(trio.serve_tcp, serve, 0, host=HOST)
        (listener,) = await nursery.start(listen)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def machine(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.chain, pair.key)
    return context


async def hears(kit: Kit, context: ssl.SSLContext, title: str, host: str = HOST) -> str:
    wish = Wish(title, "US", ((VERIFICATION, PLAIN),))
    async with answering(context) as port:
        with pytest.raises(Unavailable) as caught:
            async with associated(host, port, wish, tls=held(kit.home).dialling(title)):
                pass
    assert caught.value.mend
    return caught.value.what


async def test_what_is_at_fault_with_a_machine_that_is_dialled_is_said(kit: Kit) -> None:
    assert "not trusted" in await hears(kit, machine(kit.stranger), "PACS")
    assert "has expired" in await hears(kit, machine(kit.expired), "PACS")
    # Of CT1 one certificate is known, so that nobody else's will do, though its signer is trusted.
    assert "not trusted" in await hears(kit, machine(kit.ward), "CT1")
    assert "hung up instead" in await hears(kit, machine(kit.ct1), "CT1", "localhost")
    assert "for another name" in await hears(kit, machine(kit.ward), "WARD", "localhost")
    assert "hung up instead" in await hears(kit, machine(kit.ward), "WARD")
    old = machine(kit.ward)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        old.minimum_version = TLS_1_1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        old.maximum_version = TLS_1_1
    assert "refuses TLS 1.2 and 1.3" in await hears(kit, old, "WARD")
    for version in (TLS_1_2, TLS_1_3):
        wary = machine(kit.ward)
        wary.verify_mode = ssl.CERT_REQUIRED
        wary.load_verify_locations(kit.stranger.chain)
        wary.maximum_version = version
        assert "does not trust our certificate" in await hears(kit, wary, "WARD")


async def test_what_a_machine_speaks_that_does_not_answer_is_found_out(kit: Kit) -> None:
    fault = NotAnswered("It has hung up.")
    wish = Wish("MESHPACS", "US", ((VERIFICATION, PLAIN),))
    async with secured(FakeMesh(), kit.home) as tls, opened(FakeMesh()) as plain:
        found = await what_it_speaks(fault, tls.host, tls.port, wish, tls=False)
        assert "speaks TLS on that port" in found.what
        found = await what_it_speaks(fault, plain.host, plain.port, wish, tls=True)
        assert "speaks DICOM without TLS" in found.what
        assert await what_it_speaks(fault, tls.host, tls.port, wish, tls=True) is fault
        assert await what_it_speaks(fault, plain.host, plain.port, wish, tls=False) is fault
    assert await what_it_speaks(fault, HOST, 1, wish, tls=False) is fault


async def test_both_sides_may_send_without_reading_first(kit: Kit) -> None:
    # More than the system buffers, each way: who reads must not wait for who writes.
    data = random.Random(6).randbytes(8_000_000)

    async def exchange(line: TlsSocket) -> None:
        await line.handshake()
        got = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, line)
            buffer = memoryview(bytearray(100_000))
            while len(got) < len(data):
                got += buffer[: await line.recv_into(buffer)]
        assert got == data

    async def send(line: TlsSocket) -> None:
        view = memoryview(data)
        while view:
            view = view[await line.send(view) :]

    async def serve(stream: trio.SocketStream) -> None:
        await exchange(TlsSocket(stream.socket, held(kit.home).accepting))

    async with trio.open_nursery() as nursery:
        listen = functools.partial(trio.serve_tcp, serve, 0, host=HOST)
        (listener,) = await nursery.start(listen)
        async with await trio.open_tcp_stream(*listener.socket.getsockname()) as stream:
            with trio.fail_after(30):
                await exchange(TlsSocket(stream.socket, kit.client(kit.ward), host=HOST))
        nursery.cancel_scope.cancel()


async def test_a_send_that_was_cancelled_is_finished_by_the_next(kit: Kit) -> None:
    data = random.Random(5).randbytes(40 * RECORDS_BYTES)
    got = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        line = TlsSocket(stream.socket, held(kit.home).accepting)
        await line.handshake()
        await reading.wait()
        buffer = memoryview(bytearray(100_000))
        while size := await line.recv_into(buffer):
            got.extend(buffer[:size])
        done.set()

    reading, done = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        listen = functools.partial(trio.serve_tcp, serve, 0, host=HOST)
        (listener,) = await nursery.start(listen)
        stream = await trio.open_tcp_stream(*listener.socket.getsockname())
        async with stream:
            line = TlsSocket(stream.socket, kit.client(kit.ward), host=HOST)
            await line.handshake()
            sent, cancelled = 0, 0
            while sent < len(data):
                piece = memoryview(data)[sent : sent + RECORDS_BYTES]
                with trio.move_on_after(0.05) as scope:
                    await line.send(piece)
                if scope.cancelled_caught:  # TLS has taken it all the same, and will send it
                    cancelled += 1
                    reading.set()
                sent += len(piece)
            reading.set()
            await line.goodbye()
            await done.wait()
        nursery.cancel_scope.cancel()
    assert cancelled
    assert bytes(got) == data


class Renewing:
    """A peer that has its keys renewed with everything that comes of it, and never reads.

    OpenSSL answers each KeyUpdate that wants it (RFC 8446 4.6.3) with one of its own, 27 bytes.
    """

    def wrap_bio(self, _incoming: object, outgoing: ssl.MemoryBIO, **_how: object) -> "Renewing":
        self.outgoing = outgoing
        return self

    def read(self, *_words: object) -> int:
        self.outgoing.write(bytes(27))
        raise ssl.SSLWantReadError

    def write(self, data: memoryview) -> int:
        self.outgoing.write(data)
        return len(data)

    async def send(self, _: memoryview) -> int:
        await trio.sleep_forever()

    async def recv_into(self, _: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        return 1


async def test_who_renews_keys_without_end_and_does_not_read_is_cut_off() -> None:
    peer = Renewing()
    line = TlsSocket(peer, peer)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.send, memoryview(b"an instance"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(30), pytest.raises(ConnectionAbortedError, match="keys"):
            await line.recv_into(memoryview(bytearray(10)))
        assert peer.outgoing.pending < 2 * UNREAD_BYTES
        nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_read_holds_up_no_stop(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requesting, "GOODBYE_S", 0.05)
    monkeypatch.setattr(TlsSocket, "goodbye", lambda _: trio.sleep_forever())
    async with secured(FakeMesh(), kit.home) as door:
        began_s = trio.current_time()
        with trio.move_on_after(10) as stop:
            async with dialled(door, kit.client(kit.ward)):
                stop.cancel()
                await trio.sleep_forever()
        assert trio.current_time() - began_s < requesting.RELEASE_S - 1
