"""Who has connected and not shown yet who it is: how many may, and who makes room.

A newcomer never waits for those before it: where there is no room, one of them goes. It is one of
the source that has the most, the oldest first, so whoever fills the room from one address pushes
out itself; and never one who has shown something that a stranger cannot have. An honest caller
shows that in its first packet, so it stays a stranger for milliseconds, however slow its line.
"""

import errno
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
import trio

from meshpacs.model.address import subscriber, write_address

log = structlog.get_logger()

OVERLOADED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What accept(2) says when there is no room for another socket. accept(2); trio's choice, too."""

PAUSE_S = 0.1
"""Seconds until accepting is tried again after that. As trio does."""

TELL_S = 60.0
"""Seconds between two lines in the log about it. A guess."""


@dataclass(eq=False, slots=True)
class Caller:
    """One connection."""

    source: str
    """What it is counted by."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    pushed_out: bool = False
    """Whether it had to make room."""
    crowd: dict["Caller", None] | None = None


class Callers:
    """All callers at some listeners."""

    def __init__(self, strangers: int, known: int) -> None:
        """Room for so many strangers, and for so many that are known but not done yet."""
        self._room = strangers
        self._known_room = known
        self._strangers: dict[Caller, None] = {}
        self._known: dict[Caller, None] = {}
        self._told_s = -TELL_S

    async def accept(
        self,
        listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
        serve: Callable[[trio.SocketStream], Awaitable[None]],
        *,
        connections: trio.Nursery,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Have each connection served by a task in `connections`, which closes it; until cancelled.

        `serve` raises nothing.
        """
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, serve, connections)
            task_status.started()

    async def _accept(
        self,
        listener: trio.abc.Listener[trio.SocketStream],
        serve: Callable[[trio.SocketStream], Awaitable[None]],
        connections: trio.Nursery,
    ) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in OVERLOADED:
                        raise
                    self._overloaded(error)
                    await trio.sleep(PAUSE_S)
                else:
                    connections.start_soon(_served, serve, stream)

    def _overloaded(self, error: OSError) -> None:
        now = trio.current_time()
        if now - self._told_s >= TELL_S:
            self._told_s = now
            log.warning(
                "connections_not_accepted",
                cause=os.strerror(error.errno or 0),
                strangers=len(self._strangers),
            )
        self._push_out(self._strangers)

    @contextmanager
    def enter(self, address: str) -> Iterator[Caller]:
        """A stranger's place. Its scope, which who serves it enters, is cancelled to make room."""
        caller = Caller(_source(address))
        self._take_in(caller, self._strangers, self._room)
        try:
            yield caller
        finally:
            self._leave(caller)

    def known(self, caller: Caller) -> None:
        """It has shown what a stranger cannot have, so strangers push it out no more."""
        self._leave(caller)
        self._take_in(caller, self._known, self._known_room)

    def _take_in(self, caller: Caller, crowd: dict[Caller, None], room: int) -> None:
        if len(crowd) >= room:
            self._push_out(crowd)
        crowd[caller] = None
        caller.crowd = crowd

    def _push_out(self, crowd: dict[Caller, None]) -> None:
        sources = Counter(caller.source for caller in crowd)
        most = max(sources.values(), default=0)
        for caller in crowd:
            if sources[caller.source] == most:
                self._leave(caller)
                caller.pushed_out = True
                caller.scope.cancel()
                return

    def _leave(self, caller: Caller) -> None:
        if caller.crowd is not None:
            caller.crowd.pop(caller, None)
            caller.crowd = None


async def _served(
    serve: Callable[[trio.SocketStream], Awaitable[None]], stream: trio.SocketStream
) -> None:
    try:
        await serve(stream)
    finally:
        await trio.aclose_forcefully(stream)


def peer_address(stream: trio.SocketStream) -> str:
    """`host:port` of who has connected."""
    try:
        name = stream.socket.getpeername()
    except OSError:  # it has hung up already
        return "unknown"
    return write_address(name[0], name[1])


def _source(address: str) -> str:
    return subscriber(address.rpartition(":")[0].strip("[]")) or address
