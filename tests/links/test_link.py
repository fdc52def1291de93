"""A link carries messages both ways, costs a slow peer messages, and ends when it is told to."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.links.channel import Channel
from meshpacs.links.link import GOODBYE_S, Link
from meshpacs.model import limits
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.ids import NodeId
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import (
    Chunk,
    Closed,
    Got,
    Message,
    Part,
    Ping,
    Pong,
    Purpose,
    Unsupported,
)
from meshpacs.wire.noise import Cipher

ANNA, BERT = NodeId(b"a" * 32), NodeId(b"b" * 32)


def pair(
    purpose: Purpose = Purpose.CONTROL,
    limit_bytes: int = limits.FRAME_BYTES,
    streams: Callable[[], tuple[Any, Any]] = trio.testing.memory_stream_pair,
) -> tuple[Link, Link, tuple[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]]:
    """Two ends of one link, and Anna's streams."""
    left, right = streams()
    keys = bytes(32), b"\x01" * 32
    made = [
        Link(
            Channel(stream, Cipher(out), Cipher(back), limit_bytes=limit_bytes),
            peer=peer,
            purpose=purpose,
            boot=3,
            version="1.0",
            address="192.0.2.1:7117",
            outbound=outbound,
        )
        for stream, peer, out, back, outbound in (
            (left, BERT, keys[0], keys[1], True),
            (right, ANNA, keys[1], keys[0], False),
        )
    ]
    return made[0], made[1], (left.send_stream, left.receive_stream)


class Inbox:
    """What was delivered, to be waited for."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Message](10_000)

    async def deliver(self, message: Message) -> None:
        await self._send.send(message)

    async def next(self) -> Message:
        return await self._receive.receive()


# ---------------------------------------------------------------- control links


async def test_what_is_posted_is_delivered_in_order_and_counted() -> None:
    anna, bert, _ = pair()
    inbox, back = Inbox(), Inbox()
    posted: list[Message] = [Got(number) for number in range(300)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.run, back.deliver)
        nursery.start_soon(bert.run, inbox.deliver)
        assert all(anna.post(message) for message in posted)
        assert [await inbox.next() for _ in posted] == posted
        bert.post(Pong(1, 2))
        assert await back.next() == Pong(1, 2)
        out, into = anna.meter, bert.meter
        assert out.messages_out == into.messages_in == 300
        assert out.by_type_out[Got.TYPE].messages == 300
        assert out.by_type_out[Got.TYPE].bytes == sum(len(encode(message)) for message in posted)
        assert into.by_type_in == out.by_type_out
        assert out.bytes_out == into.bytes_in > out.by_type_out[Got.TYPE].bytes
        assert 0 < out.last_heard_s <= trio.current_time()
        anna.close("enough")
        bert.close("enough")


async def test_a_closed_link_sends_what_was_posted_before() -> None:
    anna, bert, _ = pair()
    inbox = Inbox()
    anna.post(Got(1))
    anna.close("enough")
    assert anna.closing
    assert not anna.post(Got(2))
    await anna.run(inbox.deliver)
    with pytest.raises(Unavailable, match="closed the link"):
        await bert.run(inbox.deliver)
    assert await inbox.next() == Got(1)


async def test_a_peer_that_does_not_read_holds_up_no_close(
    autojump_clock: trio.testing.MockClock,
) -> None:
    anna, _, (sending, _) = pair()

    async def stuck() -> None:
        await trio.sleep_forever()

    sending.send_all_hook = stuck
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.run, Inbox().deliver)
        anna.post(Got(1))
        await trio.testing.wait_all_tasks_blocked()
        anna.post(Got(2))
        anna.close("enough")
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(GOODBYE_S)


async def test_a_full_outbox_costs_the_peer_the_message_and_rows_leave_room() -> None:
    anna, _, _ = pair()
    for_rows = limits.OUTBOX_SLOTS - limits.OUTBOX_CONTROL_SLOTS
    assert all(anna.post(Part(1, b"rows")) for _ in range(for_rows))
    assert not anna.post(Part(1, b"rows"))
    assert all(anna.post(Closed(number)) for number in range(limits.OUTBOX_CONTROL_SLOTS))
    assert not anna.post(Closed(1))
    assert anna.meter.messages_dropped == 2


async def test_an_outbox_holds_so_many_bytes_however_few_messages() -> None:
    anna, _, _ = pair()
    large = Part(1, bytes(limits.OUTBOX_BYTES // 4))
    assert [anna.post(large) for _ in range(4)] == [True, True, True, False]
    assert anna.post(Got(1))


async def test_bytes_that_were_sent_make_room_again() -> None:
    anna, bert, _ = pair(limit_bytes=limits.OUTBOX_BYTES)
    large = Part(1, bytes(limits.OUTBOX_BYTES // 2 + 1))
    inbox = Inbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.run, inbox.deliver)
        nursery.start_soon(bert.run, inbox.deliver)
        for _ in range(3):
            assert anna.post(large)
            assert await inbox.next() == large
        anna.close("enough")
        bert.close("enough")


async def test_who_hangs_up_and_who_breaks_off_are_told_apart() -> None:
    for ending in ("closed", "broke off"):
        anna, bert, (sending, _) = pair()
        if ending == "closed":
            await bert.aclose()
        else:
            await sending.send_all(b"\x00")
            await sending.aclose()
        victim = anna if ending == "closed" else bert
        with pytest.raises(Unavailable, match=ending):
            await victim.run(Inbox().deliver)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"\x00\x10" + bytes(16), "record is empty"),
        (b"\x00\x00", "record is empty"),
        (b"\x00\x20" + bytes(32), "does not fit its tag"),
    ],
)
async def test_bytes_that_are_no_record_end_the_link(raw: bytes, fault: str) -> None:
    _, bert, (sending, _) = pair()
    await sending.send_all(raw)
    with pytest.raises(PeerFault, match=fault):
        await bert.run(Inbox().deliver)


async def test_a_frame_beyond_the_limit_ends_the_link() -> None:
    anna, bert, _ = pair(limit_bytes=100)
    anna.post(Part(1, bytes(101)))
    async with trio.open_nursery() as nursery:

        async def anna_runs() -> None:
            with pytest.raises(Unavailable):
                await anna.run(Inbox().deliver)

        nursery.start_soon(anna_runs)
        with pytest.raises(PeerFault, match="100 is the most"):
            await bert.run(Inbox().deliver)


async def raw_post(link: Link, *payloads: bytes) -> None:
    """Send frames that this version does not make."""
    await link._channel.send((payload,) for payload in payloads)


async def test_a_request_of_a_later_version_is_answered_and_a_notice_ignored() -> None:
    anna, bert, _ = pair()
    back = Inbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bert.run, Inbox().deliver)
        await raw_post(anna, b"\xfe\x90", b"\x7f\x90", encode(Ping(1)))
        nursery.start_soon(anna.run, back.deliver)
        assert await back.next() == Unsupported(0x7F)
        anna.close("enough")
        bert.close("enough")


async def test_a_peer_that_says_what_nobody_knows_fills_no_log() -> None:
    anna, bert, _ = pair()
    got = Inbox()
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bert.run, got.deliver)
            await raw_post(anna, *[b"\xfe\x90"] * 1000, encode(Ping(1)))
            assert await got.next() == Ping(1)
            anna.close("enough")
            bert.close("enough")
    assert len([line for line in logs if line["event"] == "message_unknown"]) == 10


async def test_on_a_bulk_link_too() -> None:
    anna, bert, _ = pair(Purpose.BULK)
    async with trio.open_nursery() as nursery:
        await raw_post(anna, b"\xfe\x90", b"\x7f\x90", encode(Ping(1)))

        async def receive() -> None:
            assert await bert.receive() == Ping(1)

        nursery.start_soon(receive)
        assert await anna.receive() == Unsupported(0x7F)


async def test_a_malformed_message_ends_the_link() -> None:
    anna, bert, _ = pair()
    await raw_post(anna, encode(Ping(1))[:-1])
    with pytest.raises(PeerFault, match="Ping"):
        await bert.run(Inbox().deliver)


# ---------------------------------------------------------------- records


@pytest.mark.parametrize("step", [1, 2, 3, 17, 65_537, 1 << 20])
async def test_records_are_read_in_whatever_pieces_they_come(step: int) -> None:
    left, right = trio.testing.memory_stream_pair()
    sending = Channel(left, Cipher(bytes(32)), Cipher(bytes(32)), limit_bytes=1 << 20)
    sizes = (0, 1, 65_510, 65_515, 65_516, 65_600, 140_000, 5) if step > 3 else (0, 1, 300, 5)
    payloads = [bytes((size % 251,)) * size for size in sizes]
    wire = b"".join(bytes(batch) for batch in sending._batches((p,) for p in payloads))
    receiving = Channel(
        right, Cipher(bytes(32)), Cipher(bytes(32)), limit_bytes=1 << 20, received=wire[:step]
    )
    heard: list[bytes] = []

    async def receive() -> None:
        heard.extend([bytes(await receiving.receive()) for _ in payloads])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        for at in range(step, len(wire), step):
            await left.send_all(wire[at : at + step])
    assert heard == payloads


async def test_small_frames_share_a_record_and_no_record_is_too_long() -> None:
    left, _ = trio.testing.memory_stream_pair()

    def records(*sizes: int) -> list[int]:
        channel = Channel(left, Cipher(bytes(32)), Cipher(bytes(32)), limit_bytes=1 << 20)
        batches = channel._batches((bytes(size),) for size in sizes)
        wire, found = b"".join(map(bytes, batches)), []
        while wire:
            found.append(int.from_bytes(wire[:2], "big"))
            wire = wire[2 + found[-1] :]
        return found

    assert records(*[10] * 50) == [14 * 50 + 16]
    assert records() == []
    assert records(65_515) == [65_535]
    assert records(65_516) == [20, 65_532]
    assert records(65_519 + 100) == [20, 65_535, 116]
    assert max(records(30, 1_000_000, 20, 65_519, 7)) <= 65_535


# ---------------------------------------------------------------- bulk links


async def test_a_bulk_links_sender_waits_for_its_reader() -> None:
    anna, bert, _ = pair(Purpose.BULK, streams=trio.testing.lockstep_stream_pair)
    chunk = Chunk(1, bytes(32), 0, bytes(limits.LEAF_BYTES))  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.send, chunk)
        await trio.testing.wait_all_tasks_blocked()
        assert anna.meter.messages_out == 0
        assert (await bert.receive()) == chunk
    assert anna.meter.messages_out == 1


@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_a_bulk_links_socket_is_read_in_whatever_pieces_leaves_come(family: str) -> None:
    left, right = await socket_pair(family)
    keys = bytes(32), b"\x01" * 32
    sending = Channel(left, Cipher(keys[0]), Cipher(keys[1]), limit_bytes=limits.FRAME_BYTES)
    receiving = Channel(right, Cipher(keys[1]), Cipher(keys[0]), limit_bytes=limits.FRAME_BYTES)
    sending.widen()
    receiving.widen()
    payloads = [bytes((size % 251,)) * size for size in (1, 1 << 20, 5, 65_515, 700_001, 1 << 20)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sending.send, [(payload,) for payload in payloads])
        assert [bytes(await receiving.receive()) for _ in payloads] == payloads
    assert receiving.bytes_in == sending.bytes_out
    await sending.aclose()
    with pytest.raises(Unavailable, match="The other side has closed the link"):
        await receiving.receive()
    await receiving.aclose()
    with pytest.raises(Unavailable, match="broke off"):
        await receiving.receive()


async def socket_pair(family: str) -> tuple[trio.SocketStream, trio.SocketStream]:
    if family == "unix":
        one, other = trio.socket.socketpair()
        return trio.SocketStream(one), trio.SocketStream(other)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        left = await trio.open_tcp_stream(*listener.socket.getsockname())
        return left, await listener.accept()


async def test_a_bulk_links_socket_that_is_reset_is_a_lost_link() -> None:
    left, right = await socket_pair("tcp")
    channel = Channel(right, Cipher(bytes(32)), Cipher(bytes(32)), limit_bytes=limits.FRAME_BYTES)
    channel.widen()
    # Closed without lingering, which is a reset (socket(7), SO_LINGER).
    left.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    await left.aclose()
    with pytest.raises(Unavailable, match="broke off"):
        await channel.receive()
    await channel.aclose()


async def test_closing_a_bulk_link_ends_who_waits_on_it() -> None:
    anna, _, _ = pair(Purpose.BULK)
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(Unavailable, match="closed here: enough"):
                await anna.receive()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        anna.close("enough")
        anna.close("again")
    with pytest.raises(Unavailable, match="closed here: enough"):
        await anna.send(Ping(1))


async def test_a_send_that_was_cancelled_on_the_way_loses_the_link() -> None:
    anna, _, (sending, _) = pair(Purpose.BULK)

    async def stuck() -> None:
        await trio.sleep_forever()

    sending.send_all_hook = stuck
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.send, Ping(1))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(Unavailable, match="broke off"):
        await anna.send(Ping(1))


async def test_sending_to_who_is_gone_is_unavailable() -> None:
    anna, bert, _ = pair(Purpose.BULK)
    await bert.aclose()
    with pytest.raises(Unavailable, match="broke off"):
        await anna.send(Ping(1))
    await anna._channel.aclose()
    with pytest.raises(Unavailable, match="broke off"):
        await anna._channel.receive()
