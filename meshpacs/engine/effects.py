"""What the engine wants done. Every driver carries out every effect, by `match`."""

from dataclasses import dataclass

from meshpacs.model.answer import Report, Row
from meshpacs.model.ids import NodeId, QueryId
from meshpacs.model.query import Query
from meshpacs.wire.messages import Message


@dataclass(frozen=True, slots=True)
class Send:
    """Post a message on the control link with this neighbour; without a link it is dropped."""

    peer: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class Visit:
    """Post a message to a member who is not a neighbour, over a direct link dialled for it.

    If no link can be had the driver says `engine.unreachable(peer, now)`.
    """

    peer: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class SearchLocal:
    """Search this node's archive; the answer comes as `engine.local_found(query_id, …)`."""

    query_id: QueryId
    query: Query


@dataclass(frozen=True, slots=True)
class DeliverRows:
    """One holder's verified rows, perhaps none, for the caller who asked and counts answers."""

    query_id: QueryId
    holder: NodeId
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class DeliverFinal:
    """The end of a query of ours. Only this means that it is over."""

    query_id: QueryId
    report: Report


@dataclass(frozen=True, slots=True)
class Dial:
    """Try to make a control link with this member; `linked` or `unreachable` comes of it."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the control link with this peer. `unlinked` is not called for it: the engine knows."""

    peer: NodeId
    reason: str
    everything: bool = False
    """Close its bulk and direct links too, and take no new ones: it is no member any more."""


@dataclass(frozen=True, slots=True)
class KeepBoot:
    """Remember durably the highest boot number heard from a member (PROTOCOL 4.5)."""

    node: NodeId
    boot: int


@dataclass(frozen=True, slots=True)
class KeepRoster:
    """Remember durably what the roster has learnt: signed entries, admissions, records."""

    entries: tuple[bytes, ...]
    admissions: tuple[bytes, ...]
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Blame:
    """A peer broke the protocol; the driver logs and counts it."""

    peer: NodeId
    what: str


Effect = (
    Send | Visit | SearchLocal | DeliverRows | DeliverFinal | Dial | Hangup
    | KeepBoot | KeepRoster | Blame
)  # fmt: skip
