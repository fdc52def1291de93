"""Who makes room for whom, and what happens when a process may open no more files."""

import errno
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest
import structlog
import trio

from meshpacs.links.callers import TELL_S, Caller, Callers
from meshpacs.links.door import REFUSALS_TOLD, RefusalLog
from meshpacs.model.errors import Unavailable


def entered(callers: Callers, stack: ExitStack, *addresses: str) -> list[Caller]:
    return [stack.enter_context(callers.enter(address)) for address in addresses]


def pushed(callers: list[Caller]) -> list[int]:
    return [number for number, caller in enumerate(callers) if caller.pushed_out]


async def test_who_fills_the_room_from_one_address_pushes_out_itself() -> None:
    callers = Callers(strangers=4, known=4)
    with ExitStack() as stack:
        crowd = entered(callers, stack, "192.0.2.1:5", *["198.51.100.7:1"] * 20)
        assert pushed(crowd) == list(range(1, 18))
        assert crowd[1].scope.cancel_called
        assert not crowd[0].scope.cancel_called


async def test_an_ipv6_subscriber_is_one_source_and_where_all_are_alike_the_oldest_goes() -> None:
    callers = Callers(strangers=3, known=3)
    with ExitStack() as stack:
        one, *many = entered(
            callers, stack, "[2001:db8::1]:1", *[f"[2001:db8:0:7::{n}]:1" for n in range(6)]
        )
        assert not one.pushed_out
        assert pushed(many) == [0, 1, 2, 3]
    with ExitStack() as stack:
        crowd = entered(callers, stack, *[f"[::ffff:192.0.2.{n % 2}]:9" for n in (0, 1, 1, 1)])
        assert pushed(crowd) == [1], "by the IPv4 address that it stands for"
    with ExitStack() as stack:
        crowd = entered(callers, stack, *[f"192.0.2.{n}:9" for n in range(5)], "unknown")
        assert pushed(crowd) == [0, 1, 2]


async def test_strangers_do_not_push_out_who_is_known_and_the_known_are_bounded_too() -> None:
    callers = Callers(strangers=2, known=2)
    with ExitStack() as stack:
        known = entered(callers, stack, "192.0.2.1:1")
        callers.known(known[0])
        entered(callers, stack, *["192.0.2.1:2"] * 10)
        assert not known[0].pushed_out
        for _ in range(2):
            (newer,) = entered(callers, stack, "192.0.2.1:3")
            callers.known(newer)
            assert not newer.pushed_out
        assert known[0].pushed_out


async def test_who_has_left_takes_no_room() -> None:
    callers = Callers(strangers=1, known=1)
    for _ in range(3):
        with callers.enter("192.0.2.1:1") as caller:
            pass
        with callers.enter("192.0.2.1:1") as other:
            callers.known(other)
        assert not caller.pushed_out
        assert not other.pushed_out


class Starved(trio.abc.Listener[trio.SocketStream]):
    """A listener of a process that may open no more files, so many times."""

    def __init__(self, errors: list[int]) -> None:
        self.errors = errors
        self.tries = 0

    async def accept(self) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        self.tries += 1
        if self.errors:
            raise OSError(self.errors.pop(), "no room")
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def nobody(_stream: trio.SocketStream) -> None:
    raise AssertionError("nobody was accepted")


async def test_no_more_files_neither_ends_a_listener_nor_makes_it_spin_and_strangers_make_room(
    autojump_clock: trio.abc.Clock,
) -> None:
    callers = Callers(strangers=10, known=10)
    starved = Starved([errno.EMFILE] * 1000)
    with structlog.testing.capture_logs() as logs, ExitStack() as stack:
        crowd = entered(callers, stack, *["192.0.2.1:1"] * 10)
        async with trio.open_nursery() as nursery:
            accept = partial(callers.accept, connections=nursery)
            await nursery.start(accept, [starved], nobody)
            await trio.sleep(50)
            assert 450 < starved.tries < 550
            assert pushed(crowd) == list(range(10))
            await trio.sleep(60)
            assert starved.tries == 1001, "and then it waits for the next"
            nursery.cancel_scope.cancel()
    told = [line for line in logs if line["event"] == "connections_not_accepted"]
    assert len(told) == 1 + int(100 // TELL_S)


async def test_another_error_of_a_listener_is_not_hidden() -> None:
    with pytest.RaisesGroup(pytest.RaisesGroup(OSError)):
        async with trio.open_nursery() as nursery:
            accept: Callable[..., object] = partial(Callers(1, 1).accept, connections=nursery)
            nursery.start_soon(accept, [Starved([errno.EBADF])], nobody)  # type: ignore[arg-type]


async def test_strangers_fill_no_log(autojump_clock: trio.abc.Clock) -> None:
    told = RefusalLog()
    with structlog.testing.capture_logs() as logs:
        await trio.sleep(100)
        for number in range(10_000):
            told(f"192.0.2.1:{number}", Unavailable("It did not finish its handshake in time."))
        assert len(logs) == REFUSALS_TOLD
        await trio.sleep(60)
        told("192.0.2.1:1", Unavailable("Again."))
    assert logs[REFUSALS_TOLD]["more"] == 10_000 - REFUSALS_TOLD
    assert [line["event"] for line in logs[-2:]] == ["dialers_refused", "dialer_refused"]
