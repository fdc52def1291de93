"""C-STOREs that are read, kept and answered in one thread, and what gives it back."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
import trio

from meshpacs.dimse.association import Association, State
from meshpacs.dimse.commands import (
    EchoRequest,
    EchoResponse,
    Response,
    StoreRequest,
    StoreResponse,
)
from meshpacs.dimse.contexts import Agreement, Context
from meshpacs.dimse.messages import Assembly, Begun, command_pdus, data_pdus
from meshpacs.dimse.pdu import (
    Abort,
    AssociateAccept,
    AssociateRequest,
    DataFragment,
    Pdu,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    User,
    data_head,
    encode,
)
from meshpacs.dimse.reader import PduReader
from meshpacs.dimse.services import VERIFICATION
from meshpacs.gateways.dicom import storing
from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.lent import Lent
from meshpacs.gateways.dicom.prompt import Prompt
from meshpacs.gateways.dicom.transport import QUICKACK, Reading
from meshpacs.model.errors import Unavailable
from tests.gateways.dicom.doors import CT, PLAIN, Opened, opened
from tests.gateways.fake_mesh import FakeMesh

ROOM = 1000

WANTED = AssociateRequest(
    "MESHPACS",
    "TEST",
    (ProposedContext(1, CT, PLAIN), ProposedContext(3, VERIFICATION, PLAIN)),
    User(16384, "1.2.3"),
)


class Sender:
    """A peer that says byte for byte what a test has it say."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._reader = PduReader()
        self._told: list[Pdu | DataFragment] = []
        self._assembly = Assembly((1, 3))

    async def say(self, *parts: bytes) -> None:
        await self.stream.send_all(b"".join(parts))

    async def hear(self) -> Pdu | DataFragment:
        """The next thing that it is told."""
        with trio.fail_after(10):
            while not self._told:
                data = await self.stream.receive_some()
                assert data, "it hung up"
                self._told += [
                    DataFragment(f.context, f.command, f.last, memoryview(bytes(f.data)))
                    if isinstance(f, DataFragment) else f
                    for f in self._reader.feed(memoryview(bytearray(data)))
                ]  # fmt: skip
        return self._told.pop(0)

    async def answer(self) -> object:
        """The next command."""
        while True:
            fragment = await self.hear()
            assert isinstance(fragment, DataFragment), fragment
            found = self._assembly.take(fragment)
            if isinstance(found, Begun):
                return found.command


@asynccontextmanager
async def sender(door: Opened) -> AsyncIterator[Sender]:
    async with door.socket() as stream:
        peer = Sender(stream)
        await peer.say(encode(WANTED))
        assert isinstance(await peer.hear(), AssociateAccept)
        yield peer


def store(number: int, context: int = 1) -> bytes:
    request = StoreRequest(has_data=True, message_id=number, sop_class=CT, sop_uid=f"1.2.{number}")
    return command_pdus(context, request, ROOM)


def data(content: bytes, *, last: bool = True, context: int = 1) -> bytes:
    pieces = data_pdus(context, content, ROOM, last=last)
    return b"".join(part for pair in pieces for part in pair)


ECHO = command_pdus(3, EchoRequest(message_id=77, sop_class=VERIFICATION), ROOM)


async def stored(peer: Sender, number: int) -> None:
    answer = await peer.answer()
    assert isinstance(answer, StoreResponse)
    assert (answer.responded_id, answer.status) == (number, 0)


async def test_a_thread_takes_one_instance_after_the_other() -> None:
    mesh = FakeMesh()
    async with opened(mesh) as door, sender(door) as peer:
        for number in range(1, 6):
            await peer.say(store(number), data(bytes([number]) * 5000))
            await stored(peer, number)
        assert len(mesh.dwelt) == 1
        assert not mesh.dwelt[0].is_set()
        await peer.say(encode(ReleaseRequest()))
        assert isinstance(await peer.hear(), ReleaseReply)
    assert mesh.arrived == [bytes([number]) * 5000 for number in range(1, 6)]


async def test_what_is_no_instance_is_served_as_ever_also_right_behind_one() -> None:
    mesh = FakeMesh()
    async with opened(mesh) as door, sender(door) as peer:
        await peer.say(store(1), data(b"one"), ECHO, store(2), data(b"two"))
        await stored(peer, 1)
        assert isinstance(await peer.answer(), EchoResponse)
        await stored(peer, 2)
        # A context that is not for storing: its data set passes, and it is answered so.
        await peer.say(store(3), data(b"three"), store(4, context=3))
        await stored(peer, 3)
        await peer.say(data(b"four", context=3))
        assert getattr(await peer.answer(), "status", 0) == 0x0211
    assert mesh.arrived == [b"one", b"two", b"three"]
    assert len(mesh.dwelt) == 2


async def test_a_sender_that_pauses_gives_the_thread_back_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storing, "PAUSE_S", 0.001)
    mesh = FakeMesh()
    async with opened(mesh) as door, sender(door) as peer:
        whole = store(1) + data(bytes(range(250)) * 20)
        for at in range(0, len(whole), 1900):
            await peer.say(whole[at : at + 1900])
            with trio.fail_after(10):
                while not mesh.dwelt:
                    await trio.sleep(0)
                await mesh.dwelt[-1].wait()
        await stored(peer, 1)
    assert len(mesh.dwelt) > 1
    assert mesh.arrived == [bytes(range(250)) * 20]


async def test_a_thread_that_has_had_its_time_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "DWELL_S", 0.0)
    mesh = FakeMesh()
    async with opened(mesh) as door, sender(door) as peer:
        for number in (1, 2):
            await peer.say(store(number), data(b"x" * 5000))
            await stored(peer, number)
    assert mesh.arrived == [b"x" * 5000] * 2
    assert len(mesh.dwelt) >= 10


async def test_a_thread_that_has_had_its_time_gives_way_also_where_no_command_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storing, "DWELL_S", 0.01)
    mesh = FakeMesh()

    async def say_nothing_for_ever(peer: Sender) -> None:
        while True:
            await peer.say(data_head(1, command=True, last=False, size=0) * 100)

    async with opened(mesh) as door, sender(door) as peer, trio.open_nursery() as nursery:
        await peer.say(store(1), data(b"one"))
        nursery.start_soon(say_nothing_for_ever, peer)
        with trio.fail_after(10):
            while not mesh.dwelt:
                await trio.sleep(0)
            await mesh.dwelt[0].wait()
        nursery.cancel_scope.cancel()
    assert mesh.arrived == [b"one"]


async def test_where_no_thread_is_free_the_event_loop_reads() -> None:
    mesh = FakeMesh(threads=False)
    async with opened(mesh) as door, sender(door) as peer:
        await peer.say(store(1), data(b"x" * 5000), store(2), data(b"y"))
        await stored(peer, 1)
        await stored(peer, 2)
    assert mesh.arrived == [b"x" * 5000, b"y"]
    assert mesh.dwelt == []


@pytest.mark.parametrize("threads", [True, False])
async def test_a_stop_in_the_middle_of_a_data_set_leaves_nothing(threads: bool) -> None:
    mesh = FakeMesh(threads=threads)
    async with opened(mesh) as door, sender(door) as peer:
        await peer.say(store(1), data(b"x" * 5000, last=False))
        with trio.fail_after(10):
            while not mesh.asked:
                await trio.sleep(0)
    assert (mesh.arrived, mesh.discarded) == ([], 1)


@pytest.mark.parametrize("threads", [True, False])
async def test_a_sender_that_hangs_up_in_a_data_set_leaves_nothing(threads: bool) -> None:
    mesh = FakeMesh(threads=threads)
    async with opened(mesh) as door:
        async with sender(door) as peer:
            await peer.say(store(1), data(b"x" * 5000, last=False))
        with trio.fail_after(10):
            while not mesh.discarded:
                await trio.sleep(0.001)
    assert (mesh.arrived, mesh.discarded) == ([], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        b"garbage that is no PDU",
        ECHO,  # a command set in the middle of a data set
    ],
)
async def test_what_breaks_the_protocol_in_a_data_set_is_aborted(wrong: bytes) -> None:
    mesh = FakeMesh()
    async with opened(mesh) as door, sender(door) as peer:
        await peer.say(store(1), data(b"x" * 5000, last=False), wrong)
        assert isinstance(await peer.hear(), Abort)
    assert (mesh.arrived, mesh.discarded) == ([], 1)


@pytest.mark.parametrize("seed", range(20))
async def test_wherever_it_goes_to_a_thread_and_back_the_answers_are_the_same(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(storing, "PAUSE_S", chance.choice([0.0, 0.001]))
    monkeypatch.setattr(storing, "DWELL_S", chance.choice([0.0, 0.001, 60.0]))
    sent, arriving, wanted = b"", [], []
    for number in range(1, 16):
        content = chance.randbytes(chance.choice([1, 10, 3000]))
        match chance.randrange(4):
            case 0:
                sent += command_pdus(3, EchoRequest(message_id=number, sop_class=VERIFICATION), 20)
                wanted.append((number, 0))
            case 1:
                sent += store(number, context=3) + data(content, context=3)
                wanted.append((number, 0x0211))
            case _:
                sent += store(number) + data(content)
                arriving.append(content)
                wanted.append((number, 0))
    mesh, answered = FakeMesh(threads=chance.random() < 0.9), []
    async with opened(mesh) as door, sender(door) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(in_cuts, peer, sent + encode(ReleaseRequest()), chance)
        for _ in wanted:
            answer = await peer.answer()
            assert isinstance(answer, Response)
            answered.append((answer.responded_id, answer.status))
        assert isinstance(await peer.hear(), ReleaseReply)
    assert (answered, mesh.arrived) == (wanted, arriving), f"seed {seed}"


async def in_cuts(peer: Sender, sent: bytes, chance: random.Random) -> None:
    """Say it in pieces that end anywhere."""
    while sent:
        size = chance.choice([1, 7, 200, 2000])
        await peer.say(sent[:size])
        sent = sent[size:]
        if chance.random() < 0.1:
            await trio.sleep(0.001)


# ---------------------------------------------------------------- what is lent


class Clogged(Prompt):
    """Has room for so many bytes of an answer, then for none until it is waited for."""

    room = 10
    broken = False
    acknowledged = 0

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        self.acknowledged += option == QUICKACK

    def send_now(self, data: memoryview, /) -> int:
        if self.broken:
            raise BrokenPipeError
        return super().send_now(data[: self.room])

    def recv_within(self, buffer: memoryview, wait_s: float, /) -> int | None:
        if self.broken:
            raise ConnectionResetError
        return super().recv_within(buffer, wait_s)


class Trickling(Prompt):
    """Has another byte of an A-ASSOCIATE-RQ whenever it is waited for."""

    def __init__(self, sock: trio.socket.SocketType, scope: trio.CancelScope) -> None:
        super().__init__(sock)
        self.left = [b"\x01\x00\x00\x00\x10\x00"] + [b"\x00"] * 1000
        self._scope = scope

    def recv_now(self, buffer: memoryview, /) -> int | None:
        return None

    def recv_within(self, buffer: memoryview, wait_s: float, /) -> int | None:
        if len(self.left) == 500:
            trio.from_thread.run_sync(self._scope.cancel)
        byte = self.left.pop(0) if self.left else b""
        buffer[: len(byte)] = byte
        return len(byte)


async def test_who_is_cancelled_gives_it_back_though_bytes_go_on_coming() -> None:
    ours, theirs = trio.socket.socketpair(socket.AF_UNIX)
    with ours, theirs, trio.fail_after(10), trio.CancelScope() as scope:
        trickling = Trickling(ours, scope)
        association = Association()
        association.state = State.ESTABLISHED
        lent = Lent(association, trickling, Reading(), ROOM, 0, monotonic() + 60)
        await trio.to_thread.run_sync(lent.receive, 60.0)
    assert scope.cancelled_caught
    assert len(trickling.left) == 499


@asynccontextmanager
async def established() -> AsyncIterator[tuple[Channel, Clogged, trio.socket.SocketType]]:
    """A channel with an association, its socket, and its peer's."""
    ours, theirs = trio.socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        prompt = Clogged(ours)
        channel = Channel(prompt)
        await channel.begin()
        await theirs.send(encode(WANTED))
        assert isinstance(await channel.receive(), AssociateRequest)
        prompt.room = 1_000_000
        channel.agreement = Agreement({1: Context(1, CT, PLAIN[0])}, 16384, {})
        await channel.accept(AssociateAccept("MESHPACS", "TEST", (), User(16384, "1.2.3")))
        await theirs.recv(10_000)
        prompt.room = 10
        yield channel, prompt, theirs


async def received(lent: Lent) -> DataFragment | None:
    """What it has, without waiting for more."""
    return await trio.to_thread.run_sync(lent.receive, 0.0)


ANSWER = StoreResponse(responded_id=1, status=0, sop_class=CT, sop_uid="1.2.3")


async def test_what_the_socket_has_no_room_for_is_sent_before_anything_else() -> None:
    async with established() as (channel, _, theirs):
        async with channel.lent(60.0) as lent:
            lent.send(1, ANSWER)
            assert lent.unsent
        assert await theirs.recv(10_000) == command_pdus(1, ANSWER, channel.room)


async def test_nobody_else_sends_while_it_is_lent() -> None:
    async with established() as (channel, prompt, theirs):
        prompt.room = 1_000_000
        async with trio.open_nursery() as nursery, channel.lent(60.0) as lent:
            nursery.start_soon(channel.send, 1, EchoRequest(message_id=1, sop_class="1.2"))
            await trio.testing.wait_all_tasks_blocked()
            lent.send(1, ANSWER)
        said = await theirs.recv(10_000)
        assert said.startswith(command_pdus(1, ANSWER, channel.room))
        assert len(said) > len(command_pdus(1, ANSWER, channel.room))


async def test_a_peer_that_has_hung_up_is_noticed_by_whoever_sends() -> None:
    async with established() as (channel, prompt, _):
        prompt.broken = True
        async with channel.lent(60.0) as lent:
            assert await received(lent) is None
            with pytest.raises(Unavailable):
                lent.send(1, ANSWER)
        await channel.abort()
        async with channel.lent(60.0) as lent:
            assert await received(lent) is None
            with pytest.raises(Unavailable):
                lent.send(1, ANSWER)


async def test_what_is_no_data_is_left_for_the_event_loop() -> None:
    async with established() as (channel, _, theirs):
        await theirs.send(data(b"abc") + encode(ReleaseRequest()))
        async with channel.lent(60.0) as lent:
            fragment = await received(lent)
            assert isinstance(fragment, DataFragment)
            assert bytes(fragment.data) == b"abc"
            assert await received(lent) is None
            assert await received(lent) is None
        assert isinstance(await channel.receive(), ReleaseRequest)


@pytest.mark.skipif(QUICKACK is None, reason="Linux has it")
async def test_what_was_read_is_acknowledged_before_more_is_waited_for() -> None:
    # A sender with Nagle's algorithm on holds its last bytes back until then.
    async with established() as (channel, prompt, theirs):
        await theirs.send(data(b"abc"))
        async with channel.lent(60.0) as lent:
            prompt.acknowledged = 0
            assert await received(lent) is not None
            assert prompt.acknowledged == 0
            assert await received(lent) is None
            assert prompt.acknowledged == 1


async def test_what_is_no_pdu_is_told_to_the_event_loop() -> None:
    async with established() as (channel, _, theirs):
        await theirs.send(data(b"abc") + b"garbage")
        async with channel.lent(60.0) as lent:
            assert await received(lent) is not None
            assert await received(lent) is None
        assert channel.fault is None
        assert await channel.receive() is None
        assert channel.fault is not None
