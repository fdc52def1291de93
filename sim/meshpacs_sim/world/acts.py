"""What can happen next: the things that lie on the world's heap.

Nothing changes them, but they are not frozen: to make a frozen one takes twice as long, and one
is made for every message.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from meshpacs.model.answer import Row
from meshpacs.model.ids import QueryId
from meshpacs.wire.messages import Message


@dataclass(slots=True)
class Arrive:
    """A message comes off a control link."""

    KIND: ClassVar[int] = 0
    serial: int
    """Which link between these two: each new one has a higher number."""
    message: Message


@dataclass(slots=True)
class Fin:
    """The other side has closed this link, or never knew it."""

    KIND: ClassVar[int] = 1
    serial: int


@dataclass(slots=True)
class Knock:
    """Somebody dials."""

    KIND: ClassVar[int] = 2
    attempt: int


@dataclass(slots=True)
class Accepted:
    """The dial has become a link."""

    KIND: ClassVar[int] = 3
    attempt: int
    serial: int


@dataclass(slots=True)
class Refused:
    """Nobody listens there: the machine is up, the node is not."""

    KIND: ClassVar[int] = 4
    attempt: int


@dataclass(slots=True)
class Call:
    """A message comes by a direct link, one dialled for the purpose (`Visit`)."""

    KIND: ClassVar[int] = 5
    attempt: int
    """What the caller waits for; 0 where the link was there already."""
    message: Message


@dataclass(slots=True)
class Heard:
    """A direct link has come about; the caller need not wait any more."""

    KIND: ClassVar[int] = 6
    attempt: int


@dataclass(slots=True)
class TimeOut:
    """A dial or a visit has waited long enough."""

    KIND: ClassVar[int] = 7
    attempt: int


@dataclass(slots=True)
class Found:
    """The disk has answered."""

    KIND: ClassVar[int] = 8
    life: int
    query_id: QueryId
    rows: tuple[Row, ...]
    truncated: bool
    failed: bool


@dataclass(slots=True)
class Wake:
    """The engine asked to be woken."""

    KIND: ClassVar[int] = 9
    number: int
    """Only the host's latest alarm wakes it; earlier settings have been moved."""


@dataclass(slots=True)
class Script:
    """What no host does. What the scenario does comes before all else of that moment."""

    KIND: ClassVar[int] = 10
    act: Callable[[], None]


Act = (
    Arrive | Fin | Knock | Accepted | Refused | Call | Heard | TimeOut | Found | Wake | Script
)  # fmt: skip

Entry = tuple[int, int, int, int, int, Act]
"""(when, destination, source, sequence on that link, kind, act): the order of all events.

PROTOCOL 6.1. The first five never tie: a sequence counts up for each (destination, source), of
control links, of direct links, and of a host's own events apart, and the kinds of these differ.
"""
