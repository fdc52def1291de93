"""What an association needs of its socket, and how it is read."""

import contextlib
import socket
from collections.abc import Awaitable, Iterator
from itertools import chain
from typing import Protocol

from meshpacs.dimse.pdu import DataFragment, Pdu
from meshpacs.dimse.reader import PduReader
from meshpacs.model.errors import PeerFault

RECEIVE_BYTES = 256 * 1024
"""The one buffer that is read into: two of DCMTK's largest PDUs. A guess."""

STEPS = 64
"""PDUs or pieces taken in before others have a turn. A guess: below a millisecond."""

READ_STEPS = 8
"""Steps that a read counts as: of a whole buffer it takes 0.05 ms (measured)."""

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux. A sender with Nagle's algorithm on holds back the end of each message until what came
before is acknowledged, and an ordinary receiver waits 40 ms with that. The kernel forgets this
option after a while, so it is set again: by the event loop after each read, by a thread before it
waits. Measured with DCMTK's storescu and instances of 0.5 MB: 105 to 285 a second without it, 600
to 1,270 with it."""


class Transport(Protocol):
    """What an association needs of a socket: `Prompt` has it, and TLS has the same."""

    def recv_now(self, buffer: memoryview, /) -> int | None:
        """Read without waiting; 0 at the end, None if it has to be waited for. Raises OSError."""
        ...

    @property
    def lendable(self) -> bool:
        """Whether a thread can wait for it, by `recv_within`."""
        ...

    def recv_within(self, buffer: memoryview, wait_s: float, /) -> int | None:
        """Read what there is, or comes within that time; None if nothing did. Raises OSError."""
        ...

    def send_now(self, data: memoryview, /) -> int:
        """Write some of it without waiting, or nothing; how much. Raises OSError."""
        ...

    def recv_into(self, buffer: memoryview, /) -> Awaitable[int]:
        """Read what there is; 0 at the end. Raises OSError."""
        ...

    def send(self, data: memoryview, /) -> Awaitable[int]:
        """Write some of it; how much. Raises OSError."""
        ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Of the connection."""
        ...

    def shutdown(self, how: int, /) -> None:
        """Of the connection."""
        ...


def quick_ack(sock: Transport) -> None:
    """Have what was read, and what comes next, acknowledged at once."""
    if QUICKACK is not None:
        with contextlib.suppress(OSError):  # it has hung up
            sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)


class Reading:
    """The buffer, and what is still to be told of it."""

    def __init__(self) -> None:
        """Nothing was read."""
        self.buffer = memoryview(bytearray(RECEIVE_BYTES))
        self.events: Iterator[Pdu | DataFragment] = iter(())
        """What was read and not told; it raises PeerFault where the stream is broken."""
        self._reader = PduReader()
        self._steps = 0

    def due(self) -> bool:
        """Whether others should have a turn: a buffer can hold 20,000 PDUs of a few bytes."""
        self._steps += 1
        if self._steps < STEPS:
            return False
        self._steps = 0
        return True

    def feed(self, size: int) -> None:
        """So many bytes were read into the buffer."""
        self._steps += READ_STEPS
        self.events = self._reader.feed(self.buffer[:size])

    def put_back(self, what: Pdu | DataFragment) -> None:
        """Have it told next."""
        self.events = chain((what,), self.events)

    def fail_again(self, fault: PeerFault) -> None:
        """Have whoever reads next meet the fault."""
        self.events = _raising(fault)


def _raising(fault: PeerFault) -> Iterator[Pdu | DataFragment]:
    yield from ()
    raise fault
