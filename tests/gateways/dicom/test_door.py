"""Associations over real sockets: let in, refused, aborted, let go (PS3.8)."""

import functools
import subprocess

import pytest
import structlog
import trio
import trio.testing

from meshpacs.dimse.commands import (
    ActionRequest,
    CancelRequest,
    EchoRequest,
    EchoResponse,
    GetResponse,
    Response,
    StoreRequest,
    StoreResponse,
)
from meshpacs.dimse.messages import command_pdus
from meshpacs.dimse.pdu import (
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ProposedContext,
    ReleaseRequest,
    Role,
    User,
    data_head,
    encode,
)
from meshpacs.dimse.reader import PduReader
from meshpacs.dimse.services import VERIFICATION
from meshpacs.gateways.dicom import door as door_module
from meshpacs.gateways.dicom.comments import NO_ROOM, NOT_KEPT
from meshpacs.gateways.dicom.requesting import Requestor, Wish, associated
from meshpacs.model.errors import LocalFault, Unavailable
from tests.gateways.dicom.doors import (
    CT,
    MR,
    PLAIN,
    PRIVATE,
    Opened,
    Strangers,
    dcmtk,
    dcmtk_fails,
    opened,
)
from tests.gateways.fake_mesh import FakeMesh

REQUEST = AssociateRequest(
    "MESHPACS", "TEST", (ProposedContext(1, VERIFICATION, PLAIN),), User(16384, "1.2.3")
)


async def echo(requestor: Requestor) -> int:
    (context,) = requestor.agreement.of(VERIFICATION)
    request = EchoRequest(message_id=requestor.next_id(), sop_class=VERIFICATION)
    answer = await requestor.ask(context.id, request)
    assert isinstance(answer, EchoResponse)
    return answer.status


async def heard(stream: trio.SocketStream) -> list[object]:
    """All PDUs until the other side hangs up."""
    reader = PduReader()
    found: list[object] = []
    with trio.fail_after(10):
        while data := await stream.receive_some():
            found += list(reader.feed(memoryview(bytearray(data))))
    return found


async def test_dcmtk_and_pynetdicom_are_echoed() -> None:
    async with opened(FakeMesh()) as door:
        assert "Received Echo Response (Success)" in await dcmtk("echoscu", door)
        assert await trio.to_thread.run_sync(echo_by_pynetdicom, door) == 0


def echo_by_pynetdicom(door: Opened) -> int:
    from pynetdicom import AE

    ae = AE(ae_title="PYNET")
    ae.add_requested_context(VERIFICATION)
    association = ae.associate(door.host, door.port, ae_title="MESHPACS", max_pdu=0)
    assert association.is_established
    status = int(association.send_c_echo().Status)
    association.release()
    return status


async def test_another_title_is_rejected_by_the_standards_reason() -> None:
    async with opened(FakeMesh(), "ONE", "TWO") as door:
        done = await dcmtk_fails("echoscu", door)
        assert done.returncode != 0
        assert "Called AE Title Not Recognized" in done.stdout
        async with door.called(called="TWO") as requestor:
            assert await echo(requestor) == 0
        with pytest.raises(Unavailable, match="called AE title not recognized"):
            async with door.called():
                pass


async def test_what_is_not_dicoms_application_context_is_rejected() -> None:
    async with opened(FakeMesh()) as door, door.socket() as stream:
        wanted = AssociateRequest(
            REQUEST.called, REQUEST.calling, REQUEST.contexts, REQUEST.user, "1.2.3"
        )
        await stream.send_all(encode(wanted))
        await stream.send_eof()
        assert await heard(stream) == [AssociateReject(1, 1, 2)]


@pytest.mark.parametrize(
    ("sent", "title", "answer"),
    [
        (b"MESH\xffACS", b"MESHPACS", AssociateReject(1, 1, 7)),
        (b"TE\nT", b"TEST", AssociateReject(1, 1, 3)),
        (b"    ", b"TEST", AssociateReject(1, 1, 3)),
    ],
)
async def test_a_title_that_is_none_is_rejected_by_the_standards_reason(
    sent: bytes, title: bytes, answer: AssociateReject
) -> None:
    async with opened(FakeMesh()) as door, door.socket() as stream:
        await stream.send_all(encode(REQUEST).replace(title, sent))
        await stream.send_eof()
        assert await heard(stream) == [answer]


async def test_what_stands_behind_a_titles_null_is_not_looked_at() -> None:
    sent = encode(REQUEST).replace(b"MESHPACS        ", b"MESHPACS\0\xde\xad\xbe\xef\0\1\2")
    async with opened(FakeMesh()) as door, door.socket() as stream:
        await stream.send_all(sent + encode(Abort(0)))
        await stream.send_eof()
        (answer,) = await heard(stream)
        assert isinstance(answer, AssociateAccept)


@pytest.mark.parametrize("most", [1, 6, 4095])
async def test_who_takes_no_more_than_a_few_bytes_is_rejected(most: int) -> None:
    # Six bytes are a PDV's head: no message would ever end.
    tiny = AssociateRequest("MESHPACS", "TEST", REQUEST.contexts, User(most, "1.2.3"))
    async with opened(FakeMesh()) as door, door.socket() as stream:
        await stream.send_all(encode(tiny))
        await stream.send_eof()
        assert await heard(stream) == [AssociateReject(1, 1, 1)]


@pytest.mark.parametrize("most", [0, 4096])
async def test_who_takes_enough_or_anything_is_let_in(most: int) -> None:
    wanted = AssociateRequest("MESHPACS", "TEST", REQUEST.contexts, User(most, "1.2.3"))
    async with opened(FakeMesh()) as door, door.socket() as stream:
        await stream.send_all(encode(wanted) + encode(Abort(0)))
        await stream.send_eof()
        (answer,) = await heard(stream)
        assert isinstance(answer, AssociateAccept)


async def test_an_acceptor_that_takes_a_few_bytes_is_none_to_us() -> None:
    tiny = AssociateAccept("A", "B", (AnsweredContext(1, 0, PLAIN[0]),), User(6, "1.2"))
    async with trio.open_nursery() as nursery:

        async def answer(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(encode(tiny))
            await stream.receive_some()

        serve = functools.partial(trio.serve_tcp, answer, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        _, port = listener.socket.getsockname()
        wish = Wish("A", "B", ((VERIFICATION, PLAIN),))
        with pytest.raises(Unavailable, match="takes 6 bytes"):
            async with associated("127.0.0.1", port, wish):
                pass
        nursery.cancel_scope.cancel()


async def test_beyond_the_limit_an_association_is_rejected_and_later_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door_module, "DICOM_ASSOCIATIONS", 1)
    async with opened(FakeMesh()) as door:
        async with door.called() as first:
            with pytest.raises(Unavailable, match="transient: local limit exceeded"):
                async with door.called():
                    pass
            assert await echo(first) == 0
        with trio.fail_after(5):
            while door.door._admitted:
                await trio.testing.wait_all_tasks_blocked(0.01)
        async with door.called() as second:
            assert await echo(second) == 0


@pytest.mark.usefixtures("elsewhere")
async def test_one_machine_cannot_take_all_associations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "DICOM_ASSOCIATIONS", 3)
    monkeypatch.setattr(door_module, "DICOM_ASSOCIATIONS_OF_ONE", 2)
    hosts = iter(["192.0.2.7"] * 3 + ["192.0.2.8", "192.0.2.9"])
    monkeypatch.setattr(door_module, "_host", lambda _: next(hosts))
    with structlog.testing.capture_logs() as logs:
        async with (
            opened(FakeMesh(), book=Some("echo")) as door,
            door.called() as first,
            door.called(),
        ):
            with pytest.raises(Unavailable, match="transient: local limit exceeded"):
                async with door.called():
                    pass
            async with door.called() as other:  # of another machine
                assert await echo(other) == 0
                with pytest.raises(Unavailable, match="transient: local limit exceeded"):
                    async with door.called():
                        pass
            assert await echo(first) == 0
    told = [line["host"] for line in logs if line["event"] == "dicom_too_many_associations"]
    assert told == ["192.0.2.7", "192.0.2.9"]


async def test_this_machine_itself_may_have_all_associations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door_module, "DICOM_ASSOCIATIONS_OF_ONE", 1)
    async with opened(FakeMesh()) as door, door.called() as first, door.called() as second:
        assert await echo(first) == await echo(second) == 0


async def test_who_only_connects_makes_room_for_who_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshpacs.node.callers.DICOM_STRANGERS", 2)
    async with (
        opened(FakeMesh()) as door,
        door.called() as known,
        door.socket() as first,
        door.socket(),
    ):
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with door.called() as newcomer:
            with trio.fail_after(5):
                assert await first.receive_some() in (b"", encode(Abort(0)))
            assert await echo(newcomer) == 0
            assert await echo(known) == 0


@pytest.mark.parametrize(
    ("garbage", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Abort(0, 0)),
        (data_head(1, command=True, last=True, size=0), Abort(0, 0)),
        (encode(REQUEST) + b"\x99\0\0\0\0\0", Abort(2, 1)),
        (encode(REQUEST) + b"\4\0\0\0\0\0", Abort(2, 6)),
        (encode(REQUEST) + encode(REQUEST), Abort(2, 2)),
        (encode(REQUEST) + data_head(3, command=True, last=True, size=0), Abort(0, 0)),
        (encode(REQUEST) + data_head(1, command=True, last=True, size=4) + b"abcd", Abort(0, 0)),
    ],
)
async def test_garbage_is_aborted_and_touches_nobody_else(garbage: bytes, answer: Abort) -> None:
    async with opened(FakeMesh()) as door, door.called() as other, door.socket() as stream:
        await stream.send_all(garbage)
        await stream.send_eof()
        *_, last = await heard(stream)
        assert last == answer
        assert await echo(other) == 0


async def test_who_says_nothing_is_let_go_in_any_state(
    mock_clock: trio.testing.MockClock,
) -> None:
    mock_clock.rate = 300  # ARTIM's 30 s in a tenth of a second
    async with opened(FakeMesh()) as door:
        for said in (
            b"",
            encode(REQUEST)[:20],
            encode(REQUEST),
            encode(REQUEST) + data_head(1, command=True, last=False, size=4) + b"abcd",
        ):
            async with door.socket() as stream:
                if said:
                    await stream.send_all(said)
                with trio.fail_after(3000):
                    while await stream.receive_some():
                        pass
        with trio.fail_after(3000):
            while door.door._callers._strangers or door.door._admitted:
                await trio.sleep(1)


async def test_a_peer_that_aborts_or_hangs_up_is_forgotten() -> None:
    async with opened(FakeMesh()) as door:
        for last_word in (encode(Abort(0)), b""):
            async with door.socket() as stream:
                await stream.send_all(encode(REQUEST) + last_word)
                await stream.receive_some()
        with trio.fail_after(10):
            while door.door._callers._strangers or door.door._admitted:
                await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_request_that_is_not_served_is_answered_as_unrecognized() -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        (context,) = requestor.agreement.of(VERIFICATION)
        request = ActionRequest(
            message_id=5, requested_sop_class="1.2", requested_sop_uid="1.3", action_type=1
        )
        answer = await requestor.ask(context.id, request)
        assert answer.status == 0x0211
        assert await echo(requestor) == 0


async def test_a_response_that_nobody_asked_for_ends_the_association() -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        (context,) = requestor.agreement.of(VERIFICATION)
        await requestor.channel.send(context.id, GetResponse(responded_id=1, status=0))
        with pytest.raises(Unavailable, match="has ended"):
            await requestor.receive()


async def test_a_cancel_of_nothing_changes_nothing() -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        (context,) = requestor.agreement.of(VERIFICATION)
        await requestor.channel.send(context.id, CancelRequest(responded_id=9))
        assert await echo(requestor) == 0


async def test_a_door_without_addresses_serves_nobody_and_ends_with_the_node() -> None:
    stop = trio.Event()
    async with opened(FakeMesh()) as door, trio.open_nursery() as nursery:
        other = door_module.DicomDoor(door.door._house)
        assert await nursery.start(other.serve, (), stop) == ()
        stop.set()


async def test_an_address_in_use_is_named() -> None:
    async with opened(FakeMesh()) as door:
        other = door_module.DicomDoor(door.door._house)
        address = f"{door.host}:{door.port}"
        with pytest.raises(LocalFault, match=address) as caught:
            await other.serve(("127.0.0.1:0", address), trio.Event())
        assert "--dicom-listen" in caught.value.mend


# ---------------------------------------------------------------- C-STORE, as the archive sees it


async def store(
    requestor: Requestor,
    data: bytes,
    *,
    sop_class: str = CT,
    kind: type[Response] = StoreResponse,
) -> Response:
    (context,) = requestor.agreement.of(CT)
    request = StoreRequest(
        has_data=True, message_id=requestor.next_id(), sop_class=sop_class, sop_uid="1.2.3"
    )
    answer = await requestor.ask(context.id, request, data)
    assert isinstance(answer, kind)
    return answer


async def test_a_data_set_arrives_byte_by_byte_as_it_was_sent() -> None:
    mesh = FakeMesh()
    async with opened(mesh) as door, door.called() as requestor:
        for data in (b"", b"x", bytes(range(256)) * 9000):
            assert (await store(requestor, data)).status == 0
            assert mesh.arrived[-1] == data
    assert mesh.asked[0] == ("arrival", CT, "1.2.3", PLAIN[0], "TEST")


async def test_a_small_maximum_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.requesting.PDU_BYTES", 4096)
    mesh = FakeMesh()
    async with opened(mesh) as door, door.called() as requestor:
        assert len(door.door._admitted) == 1
        assert (await store(requestor, b"y" * 100_000)).status == 0


@pytest.mark.parametrize(
    ("why", "status", "comment"),
    [
        # What is wrong with an instance is told; what is wrong here may name files.
        ("NO_ROOM", 0xA700, NO_ROOM),
        ("MISMATCH", 0xA900, "So it is."),
        ("UNREADABLE", 0xC000, "So it is."),
        ("FAILED", 0x0110, NOT_KEPT),
    ],
)
async def test_a_refusal_has_its_status_and_the_next_instance_is_taken(
    why: str, status: int, comment: str
) -> None:
    from meshpacs.node.views import NotKept, Why

    mesh = FakeMesh(not_kept=NotKept(Why[why], Unavailable("So it is.")))
    async with opened(mesh) as door, door.called() as requestor:
        answer = await store(requestor, b"z" * 3_000_000)
        assert (answer.status, answer.comment) == (status, comment)
        mesh.not_kept = None
        assert (await store(requestor, b"z")).status == 0


async def test_a_release_in_the_middle_of_a_data_set_ends_at_once() -> None:
    store_ = StoreRequest(has_data=True, message_id=1, sop_class=CT, sop_uid="1.2.3")
    wanted = AssociateRequest(
        "MESHPACS", "TEST", (ProposedContext(1, CT, PLAIN),), User(16384, "1.2.3")
    )
    async with opened(FakeMesh()) as door, door.socket() as stream:
        await stream.send_all(
            encode(wanted) + command_pdus(1, store_, 1000) + encode(ReleaseRequest())
        )
        reader = PduReader()
        found: list[object] = []
        with trio.fail_after(10):
            while Abort(0) not in found:
                data = await stream.receive_some()
                assert data, found
                found += list(reader.feed(memoryview(bytearray(data))))


async def test_another_sop_class_than_was_negotiated_is_refused() -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        assert (await store(requestor, b"z", sop_class="1.2.3")).status == 0x0122


async def test_a_context_is_good_for_its_own_service_alone() -> None:
    # Who may only verify could otherwise store what says that it is of the class Verification.
    mesh = FakeMesh()
    async with opened(mesh) as door, door.called() as requestor:
        (context,) = requestor.agreement.of(VERIFICATION)
        request = StoreRequest(has_data=True, message_id=1, sop_class=VERIFICATION, sop_uid="1.2.3")
        answer = await requestor.ask(context.id, request, b"x" * 5000)
        assert answer.status == 0x0211
        assert await echo(requestor) == 0
    assert mesh.asked == []


async def test_who_wants_to_be_scp_of_a_class_alone_does_not_store() -> None:
    mesh = FakeMesh()
    roles = (Role(CT, scu=False, scp=True),)
    async with opened(mesh) as door, door.called(roles=roles) as requestor:
        assert (await store(requestor, b"z", kind=Response)).status == 0x0211
    assert mesh.asked == []


async def test_what_is_offered_is_what_the_caller_may() -> None:
    async with opened(FakeMesh()) as door:
        pairs = ((CT, ("1.2.840.10008.1.2.4.50",)), ("1.2.3.4", PLAIN))
        async with door.called(pairs=pairs) as requestor:
            assert [c.abstract_syntax for c in requestor.agreement.contexts.values()] == [CT]


async def test_a_makers_own_class_is_stored_where_it_is_configured() -> None:
    mesh = FakeMesh()
    pairs = ((PRIVATE, PLAIN), ("1.2.276.0.7", PLAIN))
    async with opened(mesh) as door, door.called(pairs=pairs) as requestor:
        (context,) = requestor.agreement.contexts.values()
        assert context.abstract_syntax == PRIVATE
        request = StoreRequest(has_data=True, message_id=1, sop_class=PRIVATE, sop_uid="1.2.3")
        assert (await requestor.ask(context.id, request, b"abc")).status == 0
    assert mesh.arrived == [b"abc"]


class Some(Strangers):
    """Everybody may use these services."""

    def __init__(self, *services: str) -> None:
        self._services = frozenset(services)

    def allows(self, title: str, host: str) -> frozenset[str]:
        del title, host
        return self._services


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers of these tests are taken for other machines."""
    monkeypatch.setattr("meshpacs.gateways.dicom.titles.is_loopback", lambda _: False)


@pytest.mark.usefixtures("elsewhere")
async def test_who_may_retrieve_is_offered_storage_to_receive_and_not_to_send() -> None:
    mesh = FakeMesh()
    roles = (Role(CT, scu=True, scp=True),)
    async with (
        opened(mesh, book=Some("get")) as door,
        door.called(pairs=((CT, PLAIN), (MR, PLAIN)), roles=roles) as requestor,
    ):
        (context,) = requestor.agreement.contexts.values()
        assert (context.abstract_syntax, context.scu, context.scp) == (CT, False, True)
        assert (await store(requestor, b"z")).status == 0x0211
        assert not mesh.asked


def test_programs_that_are_missing_skip_their_tests() -> None:
    from tests.gateways.dicom.doors import tool

    with pytest.raises(pytest.skip.Exception, match="apt-get install dcmtk"):
        tool("no-such-program-of-dcmtk")
    assert subprocess.run([tool("echoscu"), "--version"], check=False, capture_output=True).stdout
