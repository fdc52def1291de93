"""What is signed or sealed inside the messages of a query (PROTOCOL 4.1, 4.2, 5.1)."""

from dataclasses import dataclass

from meshpacs.model.answer import Row
from meshpacs.model.ids import Digest, Micros, NodeId, QueryId
from meshpacs.model.query import Query

ASK_CONTEXT = b"meshpacs/ask/1"
DONE_CONTEXT = b"meshpacs/done/1"


@dataclass(frozen=True, slots=True)
class AskBody:
    """A query as its origin signed it; its SHA-256, cut to 16 bytes, is the query's id."""

    mesh: bytes
    origin: NodeId
    boot: int
    counter: int
    sent_at_us: Micros
    """The origin's wall clock, Unix microseconds."""
    ttl0: int
    """0: mode everyone. 1 to 16: mode ball, a promise."""
    budget_ms: int
    roster_head: Digest
    key_epoch: int
    """0: the query is in clear. Others are reserved."""
    query: Query
    reply_key: bytes
    """An X25519 public key made for this query alone."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a holder says of its own answer; sealed together with the rows, and signed."""

    query_id: QueryId
    responder: NodeId
    status: str
    """A `meshpacs.model.answer.Status` that a holder may say of itself."""
    hops: int
    row_count: int
    rows: Digest
    """SHA-256 of the encoded rows."""
    as_of_us: Micros
    skew_us: Micros = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One holder's whole answer, before sealing; cut into parts of equal size classes."""

    done: bytes
    signature: bytes
    rows: bytes
    """A packed `Rows`."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one answer."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The clear text of one `Part`, before padding."""

    responder: NodeId
    index: int
    count: int
    data: bytes
