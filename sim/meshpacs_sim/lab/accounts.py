# ruff: noqa: ARG002 - a window hands every observer the same, wanted or not.
"""What each query of an imaginary mesh costs, what each node has to do for all of them, who is up.

`world.measures` counts the same for tests and keeps everything; this forgets what is settled, so
that thousands of floods through thousands of nodes fit into memory.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshpacs.model.answer import Row
from meshpacs.model.ids import Micros, NodeId, QueryId
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Message, Part, Recall
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.measures import FRAME_BYTES
from meshpacs_sim.world.observers import UNLINKED, Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

Token = tuple[int, int, int]
"""(asker, asked, number) of one Ask or Recall."""


@dataclass(slots=True)
class Account:
    """One question's costs, and what the asker has heard."""

    query_id: QueryId
    origin: int
    messages: int = 0
    bytes: int = 0
    repeats: int = 0
    reached: dict[int, None] = field(default_factory=dict)
    """Nodes that have heard the question, the asker apart."""
    holders: dict[int, Micros] = field(default_factory=dict)
    """Who has answered with rows, the asker apart, and when that reached the asker."""
    tokens: list[Token] = field(default_factory=list)


class Accounts(Observer):
    """Keeps one account for each question that is open."""

    def __init__(self, size: int) -> None:
        """Nothing has been sent, and nobody is up."""
        self.up = np.zeros(size, bool)
        self.came = self.went = 0
        """How often nodes have come, and gone, after time 0."""
        self.sent_messages = np.zeros(size, np.int64)
        self.sent_bytes = np.zeros(size, np.int64)
        self.received_messages = np.zeros(size, np.int64)
        self.received_bytes = np.zeros(size, np.int64)
        self.messages: Counter[tuple[str, str]] = Counter()
        """By purpose and type."""
        self.bytes: Counter[tuple[str, str]] = Counter()
        self._open: dict[QueryId, Account] = {}
        self._tokens: dict[Token, Account] = {}

    def begin(self, world: "World") -> None:
        """Learn the hosts' numbers."""
        self._bodies, self._index = world.bodies, world.index

    def of(self, query_id: QueryId) -> Account:
        """The account of a question that is open."""
        return self._open[query_id]

    def settle(self, query_id: QueryId) -> Account:
        """Close an account; whatever still comes counts as upkeep."""
        account = self._open.pop(query_id)
        for token in account.tokens:
            self._tokens.pop(token, None)
        return account

    # ------------------------------------------------------------ windows

    def asked(self, now: Micros, asking: Asking) -> None:
        """A question begins; none of its messages is sent yet."""
        self._open[asking.query_id] = Account(asking.query_id, asking.origin)

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Weigh it, and put it on its question's account."""
        if serial == UNLINKED:
            return
        weight = FRAME_BYTES + len(encode(message))
        account = self._whose(src, dst, message)
        key = ("upkeep" if account is None else "search", type(message).__name__)
        self.messages[key] += 1
        self.bytes[key] += weight
        if account is not None:
            account.messages += 1
            account.bytes += weight
            self.sent_messages[src] += 1
            self.sent_bytes[src] += weight

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Note who has heard a question, and what searches bring to whom."""
        account = self._whose(src, dst, message, first=False)
        if account is None:
            return
        self.received_messages[dst] += 1
        self.received_bytes[dst] += FRAME_BYTES + len(encode(message))
        if isinstance(message, Ask | Recall):
            if dst == account.origin or dst in account.reached:
                account.repeats += type(message) is Ask
            else:
                account.reached[dst] = None

    def _whose(self, src: int, dst: int, message: Message, *, first: bool = True) -> Account | None:
        match message:
            case Ask(token=token, body=body) | Recall(token=token, body=body):
                query_id, _ = self._bodies.read(body)
                account = self._open.get(query_id)
                if account is not None and first:
                    self._tokens[src, dst, token] = account
                    account.tokens.append((src, dst, token))
                return account
            case Got(token) | Part(token) | Closed(token):
                return self._tokens.get((dst, src, token))
            case Cancel(query_id):
                return self._open.get(query_id)
            case _:
                return None

    def delivered(
        self, now: Micros, host: int, query_id: QueryId, holder: NodeId, rows: tuple[Row, ...]
    ) -> None:
        """Note who has it."""
        account, node = self._open.get(query_id), self._index[holder]
        if account is not None and rows and node != host:
            account.holders.setdefault(node, now)

    def crashed(self, now: Micros, host: int) -> None:
        """One less is up."""
        self.up[host] = False
        self.went += now > 0

    def started(self, now: Micros, host: int) -> None:
        """One more is up."""
        self.up[host] = True
        self.came += now > 0
