"""A socket that is tried before it is waited for."""

import socket

import trio
from trio.testing import wait_all_tasks_blocked

from meshpacs.gateways.dicom.prompt import Prompt


async def test_what_is_there_is_read_at_once_and_what_is_not_is_waited_for() -> None:
    ours, theirs = trio.socket.socketpair()
    prompt, buffer = Prompt(ours), memoryview(bytearray(16))
    with ours, theirs:
        assert prompt.recv_now(buffer) is None
        await theirs.send(b"abc")
        assert prompt.recv_now(buffer) == 3
        assert bytes(buffer[:3]) == b"abc"
        came: list[int] = []

        async def wait() -> None:
            came.append(await prompt.recv_into(buffer))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert came == []
            await theirs.send(b"later")
        assert came == [5]
        theirs.shutdown(socket.SHUT_WR)
        assert prompt.recv_now(buffer) == 0


async def test_a_peer_that_does_not_read_is_waited_for_and_nothing_is_lost() -> None:
    ours, theirs = trio.socket.socketpair()
    prompt, data = Prompt(ours), bytes(range(256)) * 40_000
    with ours, theirs:
        view = memoryview(data)
        view = view[prompt.send_now(view) :]
        assert view, "so much fits into no socket's buffer"
        assert prompt.send_now(view) == 0
        got = bytearray()

        async def read() -> None:
            while len(got) < len(data):
                got.extend(await theirs.recv(65_536))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            while view:
                view = view[await prompt.send(view) :]
        assert got == data
