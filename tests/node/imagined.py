"""Stand-ins for the node's neighbours: a mind that says what it is told to, links without wires."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from meshpacs.engine.effects import Effect
from meshpacs.links.link import Count, LinkMeter
from meshpacs.model.content import Entry
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import Micros, NodeId, QueryId
from meshpacs.model.query import Query, Scope
from meshpacs.wire.messages import Message, Ping, Pong, Purpose

ANNA = NodeId(b"a" * 32)
BERT = NodeId(b"b" * 32)
CARL = NodeId(b"c" * 32)
Q1 = QueryId(b"1" * 16)


@dataclass
class FakeEngine:
    """Records its calls; answers from `says`, by method."""

    says: dict[str, list[Effect]] = field(default_factory=dict)
    raises: dict[str, MeshError] = field(default_factory=dict)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    called: trio.Event = field(default_factory=trio.Event)
    deadline: Micros | None = None
    offset: Micros = 0

    def _say(self, *call: object) -> list[Effect]:
        self.calls.append(call)
        self.called.set()
        self.called = trio.Event()
        name = str(call[0])
        if name in self.raises:
            raise self.raises[name]
        return self.says.get(name, [])

    def clock(self, offset: Micros) -> None:
        self.offset = offset

    def default_scope(self) -> str:
        return "default"

    def ask(
        self, query: Query, scope: Scope, now: Micros, *, budget_us: Micros | None
    ) -> tuple[QueryId, list[Effect]]:
        return Q1, self._say("ask", scope, budget_us)

    def cancel(self, query_id: QueryId, now: Micros) -> list[Effect]:
        return self._say("cancel", query_id)

    def local_found(
        self, query_id: QueryId, rows: object, now: Micros, *, truncated: bool
    ) -> list[Effect]:
        return self._say("local_found", query_id, rows, truncated)

    def local_failed(self, query_id: QueryId, now: Micros) -> list[Effect]:
        return self._say("local_failed", query_id)

    def linked(self, peer: NodeId, now: Micros, *, outbound: bool) -> list[Effect]:
        return self._say("linked", peer, outbound)

    def unlinked(self, peer: NodeId, now: Micros) -> list[Effect]:
        return self._say("unlinked", peer)

    def unreachable(self, peer: NodeId, now: Micros) -> list[Effect]:
        return self._say("unreachable", peer)

    def receive(
        self, peer: NodeId, message: Message, now: Micros, *, direct: bool = False
    ) -> list[Effect]:
        return self._say("receive", peer, message)

    def wake(self, now: Micros) -> list[Effect]:
        self.deadline = None
        return self._say("wake", now)

    def next_deadline(self) -> Micros | None:
        return self.deadline

    async def until(self, *call: object) -> None:
        """Wait until this call has been made."""
        while call not in self.calls:
            await self.called.wait()


@dataclass
class FakeSwitch:
    """Records what was posted."""

    did: list[tuple[object, ...]] = field(default_factory=list)

    def post(self, peer: NodeId, message: Message) -> None:
        self.did.append(("post", peer, message))

    def visit(self, peer: NodeId, message: Message) -> None:
        self.did.append(("visit", peer, message))

    def dial(self, peer: NodeId) -> None:
        self.did.append(("dial", peer))

    def hangup(self, peer: NodeId, reason: str, *, everything: bool) -> None:
        self.did.append(("hangup", peer, reason, everything))

    def blame(self, peer: NodeId, what: str) -> None:
        self.did.append(("blame", peer, what))


async def no_holdings(
    wanted: Sequence[tuple[str, Sequence[NodeId]]],
) -> Mapping[tuple[NodeId, str], tuple[Entry, ...]]:
    return {}


class FakeLink:
    """A link whose other end is the test."""

    def __init__(
        self,
        peer: NodeId,
        purpose: Purpose = Purpose.CONTROL,
        *,
        outbound: bool = False,
        boot: int = 1,
    ) -> None:
        self.peer = peer
        self.purpose = purpose
        self.outbound = outbound
        self.boot = boot
        self.ready_s = trio.current_time()
        self.version = "0.1.0"
        self.address = "127.0.0.1:1"
        self.meter = LinkMeter(
            {Ping.TYPE: Count(2, 20), Pong.TYPE: Count(1, 9)},
            {Ping.TYPE: Count(4, 30)},
            bytes_in=1, bytes_out=2, messages_in=3, messages_out=4,
        )  # fmt: skip
        self.posted: list[Message] = []
        self.full = False
        self.closed = trio.Event()
        self.reason = ""
        self.aclosed = False
        self.fails: MeshError | None = None
        self._send, self._receive = trio.open_memory_channel[Message](16)

    def post(self, message: Message) -> bool:
        if not self.full:
            self.posted.append(message)
        return not self.full

    async def run(self, deliver: Callable[[Message], Awaitable[None]]) -> None:
        async for message in self._receive:
            await deliver(message)
        if self.fails:
            raise self.fails

    def close(self, reason: str = "") -> None:
        self.reason = reason
        self._send.close()

    async def aclose(self) -> None:
        self._send.close()
        self.aclosed = True
        self.closed.set()

    def say(self, message: Message) -> None:
        """The other end sends this."""
        self._send.send_nowait(message)

    def end(self, fails: MeshError | None = None) -> None:
        """The other end is gone."""
        self.fails = fails
        self._send.close()
