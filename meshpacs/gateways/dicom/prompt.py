"""A socket that is tried before it is waited for.

trio lets other tasks run after every read and write, also after one that needed no waiting. Of one
instance that comes in four reads this was a third of the event loop's work (measured). Whoever
reads here takes care that others have their turn.
"""

import os
import select
import sys

import trio


class Prompt:
    """Reads and writes of a connected socket, at once where that is possible."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        """`sock` is closed by whoever opened it."""
        self._sock = sock

    def recv_now(self, buffer: memoryview, /) -> int | None:
        """Read what there is; 0 at the end, None if nothing has come yet.

        Raises:
            OSError: the connection is broken.
        """
        if sys.platform == "win32":  # pragma: no cover  # a socket is no file there
            return None
        try:
            return os.readv(self._sock.fileno(), [buffer])
        except BlockingIOError:
            return None

    def send_now(self, data: memoryview, /) -> int:
        """Write what there is room for, maybe nothing; how much.

        Raises:
            OSError: the connection is broken.
        """
        if sys.platform == "win32":  # pragma: no cover  # a socket is no file there
            return 0
        try:
            return os.write(self._sock.fileno(), data)
        except BlockingIOError:
            return 0

    lendable = sys.platform != "win32"
    """Whether a thread can wait for it, by `recv_within`."""

    def recv_within(self, buffer: memoryview, wait_s: float, /) -> int | None:
        """Read what there is, or comes within that time; 0 at the end, None if nothing came.

        For a thread, which waits.

        Raises:
            OSError: the connection is broken.
        """
        size = self.recv_now(buffer)
        if size is None and sys.platform != "win32":
            waiting = select.poll()
            waiting.register(self._sock.fileno(), select.POLLIN)
            if waiting.poll(wait_s * 1000):
                size = self.recv_now(buffer)
        return size

    async def recv_into(self, buffer: memoryview, /) -> int:
        """Read what there is, or wait until there is something; 0 at the end."""
        if sys.platform == "win32":  # pragma: no cover
            return await self._sock.recv_into(buffer)
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            size = self.recv_now(buffer)
            if size is not None:
                return size

    async def send(self, data: memoryview, /) -> int:
        """Write some of it, once there is room; how much."""
        if sys.platform == "win32":  # pragma: no cover
            return await self._sock.send(data)
        while True:
            await trio.lowlevel.wait_writable(self._sock)
            size = self.send_now(data)
            if size:
                return size

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Of the connection."""
        self._sock.setsockopt(level, option, value)

    def shutdown(self, how: int, /) -> None:
        """Of the connection."""
        self._sock.shutdown(how)
