"""Studies over a bulk link: what is wanted, and what comes for it, strictly in order (PROTOCOL 9).

`Taker` asks and checks that only what was asked for comes; whether bytes are right is not decided
here (`meshpacs.wire.chunks`). `give` answers from a `Source`, reading ahead by a few megabytes, so
that disk and socket overlap; a slow taker holds up nobody but itself.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from meshpacs.links.channel import WRITE_BYTES
from meshpacs.model.errors import PeerFault, Unavailable, fault_within
from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES, MANIFESTS_BYTES, WANTS_PER_REQUEST
from meshpacs.wire.messages import (
    Chunk,
    Leaves,
    Manifests,
    Message,
    Missing,
    WantChunks,
    WantLeaves,
    WantManifests,
)

Buffer = bytes | bytearray | memoryview

REQUESTS_WAITING = 16
"""Requests read from one taker before the first is answered; then its socket fills. A guess."""

READ_BATCH_BYTES = 2 * LEAF_BYTES
"""Bytes after which no more are read from the disk in one go. A thread's start costs 0.1 ms,
reading and verifying 2 MiB about 2 ms; measured on two cores."""

READ_BATCH_CHUNKS = 256
"""Chunks read in one go, where instances are tiny. A guess."""

BATCHES_AHEAD = 1
"""Batches read that wait for the socket: with the one being read and the one being sent, 9 MiB."""

STALL_S = 20.0
"""Seconds without a byte, while something is wanted, after which the other side counts as lost.
A guess: a slow disk needs less, and a frozen holder must not hold up a fetch that has others."""

IDLE_S = 120.0
"""Seconds without a request after which a giver closes. A guess: a taker that fetches from us
alone asks all the time, one with better holders may wait."""


class Pipe(Protocol):
    """A bulk link as far as transfers are concerned."""

    async def send(self, *messages: Message) -> None:
        """Send in this order, waiting while the other side does not read."""
        ...

    async def receive(self) -> Message:
        """The next message.

        Raises:
            Unavailable: the link has ended.
            PeerFault: what came breaks the protocol.
        """
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What one node knows of a study, and which part of it it holds (PROTOCOL 9.2)."""

    signed: tuple[bytes, ...]
    """Signed manifests, any origin's."""
    held: bytes = b""
    """A bit for each distinct entry of these manifests, sorted, lowest bit first: whether the
    node itself holds it, visible. Empty: all of them."""


# ---------------------------------------------------------------- taking


@dataclass(slots=True)
class _Run:
    """Leaves of one content that are to come next."""

    request: int
    root: Digest
    index: int
    end: int


@dataclass(slots=True)
class _List:
    """A leaf list that is to come next."""

    request: int
    root: Digest


class Taker:
    """Asks over one link. One task asks, one task receives; answers come in the order of asking."""

    def __init__(self, pipe: Pipe, stall_s: float = STALL_S) -> None:
        """Take over the link's receiving side."""
        self._pipe = pipe
        self._stall_s = stall_s
        self._request = 0
        self._expected: deque[_Run | _List] = deque()
        self._asked = trio.Event()

    async def manifests(self, studies: Sequence[str]) -> tuple[Known, ...]:
        """What the holder knows of each study. Nothing else may be wanted at the same time.

        Raises:
            Unavailable: the link is lost.
            PeerFault: more came than the limits allow, or something else.
        """
        request = self._number()
        await self._send(WantManifests(request, tuple(studies)))
        return tuple([await self._known(request, study) for study in studies])

    async def _known(self, request: int, study: str) -> Known:
        whole: list[bytes] = []
        begun = bytearray()
        size = 0
        while True:
            message = await self._receive()
            if (
                not isinstance(message, Manifests)
                or message.request != request
                or message.study != study
            ):
                raise PeerFault(f"Manifests were asked for, {type(message).__name__} came.")
            size += len(message.held) + sum(len(piece) + 16 for piece in message.signed)
            if size > MANIFESTS_BYTES:
                raise PeerFault(
                    f"The manifests of one study are larger than {MANIFESTS_BYTES} bytes."
                )
            last = len(message.signed) - 1
            for number, piece in enumerate(message.signed):
                begun += piece
                if number < last or not message.unfinished:
                    whole.append(bytes(begun))
                    begun.clear()
            if not message.more:
                if begun:
                    raise PeerFault("The last manifest of a study broke off.")
                return Known(tuple(whole), message.held)

    async def want_leaves(self, roots: Sequence[Digest]) -> None:
        """Ask for leaf lists."""
        request = self._number()
        # Expected before it is sent: the answer may be here before `send` returns.
        self._expected.extend(_List(request, root) for root in roots)
        await self._send(WantLeaves(request, tuple(roots)))

    async def want_chunks(self, ranges: Sequence[tuple[Digest, int, int]]) -> None:
        """Ask for leaves `first` to `first + count - 1` of each content."""
        request = self._number()
        self._expected.extend(
            _Run(request, root, first, first + count) for root, first, count in ranges
        )
        await self._send(WantChunks(request, tuple(ranges)))

    async def next(self) -> Leaves | Chunk | Missing:
        """The next answer; waits while nothing is wanted.

        Raises:
            Unavailable: the link is lost, or nothing comes any more.
            PeerFault: something came that was not asked for, or not in this order.
        """
        while not self._expected:
            await self._asked.wait()
        message = await self._receive()
        due = self._expected[0]
        match message, due:
            case Leaves(request, root), _List() if (request, root) == (due.request, due.root):
                self._expected.popleft()
                return message
            case Chunk(request, root, index), _Run() if (request, root, index) == (
                due.request,
                due.root,
                due.index,
            ):
                due.index += 1
                if due.index == due.end:
                    self._expected.popleft()
                return message
            case Missing(request, root), _Run() if (request, root) == (due.request, due.root):
                self._expected.popleft()
                return message
            case _:
                raise PeerFault(f"A {type(message).__name__} came that is not what was asked for.")

    def _number(self) -> int:
        self._request += 1
        return self._request

    async def _send(self, message: Message) -> None:
        self._asked.set()
        self._asked = trio.Event()
        with trio.move_on_after(self._stall_s):
            await self._pipe.send(message)
            return
        raise self._stalled()

    async def _receive(self) -> Message:
        with trio.move_on_after(self._stall_s):
            return await self._pipe.receive()
        raise self._stalled()

    def _stalled(self) -> Unavailable:
        return Unavailable(
            f"Nothing has moved for {self._stall_s:.0f} s.",
            "Look whether that node is overloaded or frozen.",
        )


# ---------------------------------------------------------------- giving


class Source(Protocol):
    """Where a giver takes from."""

    async def manifests(self, study: str) -> Known:
        """What this node knows and holds of a study, its own contribution up to date."""
        ...

    async def leaves(self, root: Digest) -> bytes:
        """A content's leaf list; empty if it is not here."""
        ...

    async def chunks(self, wanted: Sequence[tuple[Digest, int]]) -> Sequence[Buffer | None]:
        """The first of the leaves wanted, at least one, up to `READ_BATCH_BYTES` or so.

        None stands for one that is not here or damaged.
        """
        ...


@dataclass(slots=True)
class _Activity:
    """When a request last came or an answer last went."""

    moved_s: float = field(default_factory=trio.current_time)
    open: int = 0
    """Requests that are not answered yet."""

    def move(self) -> None:
        self.moved_s = trio.current_time()


async def give(pipe: Pipe, source: Source) -> None:
    """Answer one taker until its link ends or nothing has moved for long.

    Raises:
        Unavailable: the link has ended.
        PeerFault: it asked for what cannot be asked for.
        MeshError: the source cannot be read at all.
    """
    activity = _Activity()
    request_in, requests = trio.open_memory_channel[Message](REQUESTS_WAITING)
    answer_in, answers = trio.open_memory_channel[list[Message]](BATCHES_AHEAD)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_when_idle, activity, nursery.cancel_scope)
            nursery.start_soon(_answer_all, source, requests, answer_in)
            nursery.start_soon(_write_all, pipe, answers, activity)
            while True:
                message = await pipe.receive()
                _check(message)
                activity.open += 1
                activity.move()
                await request_in.send(message)
    except BaseExceptionGroup as group:
        fault = fault_within(group)
        if fault is None:
            raise
        raise fault from group


def _check(message: Message) -> None:
    match message:
        case WantManifests(studies=asked) | WantLeaves(roots=asked) | WantChunks(ranges=asked):
            if not 0 < len(asked) <= WANTS_PER_REQUEST:
                raise PeerFault(
                    f"{len(asked)} things were asked for at once; 1 to {WANTS_PER_REQUEST} may be."
                )
        case _:
            raise PeerFault(f"A {type(message).__name__} came on a link for studies.")


async def _end_when_idle(activity: _Activity, scope: trio.CancelScope) -> None:
    stuck_s = 3 * STALL_S
    while True:
        now_s = trio.current_time()
        until_s = activity.moved_s + (stuck_s if activity.open else IDLE_S)
        if until_s <= now_s:
            scope.cancel()
            return
        # A request may come while we sleep, and its deadline is nearer.
        await trio.sleep_until(min(until_s, now_s + stuck_s))


async def _write_all(
    pipe: Pipe, answers: trio.MemoryReceiveChannel[list[Message]], activity: _Activity
) -> None:
    async for batch in answers:
        for some in _writes(batch):
            await pipe.send(*some)
            activity.move()
        activity.open -= not batch  # an empty batch ends each request


def _writes(batch: Sequence[Message]) -> Iterator[list[Message]]:
    """What of a batch is sent in one go: a leaf's bytes, each a sign of life on a slow line."""
    some: list[Message] = []
    room = WRITE_BYTES
    for message in batch:
        size = len(message.data) if isinstance(message, Chunk) else 0
        if some and size > room:
            yield some
            some, room = [], WRITE_BYTES
        some.append(message)
        room -= size
    if some:
        yield some


async def _answer_all(
    source: Source,
    requests: trio.MemoryReceiveChannel[Message],
    answers: trio.MemorySendChannel[list[Message]],
) -> None:
    async for message in requests:
        match message:
            case WantManifests(request, studies):
                for study in studies:
                    known = await source.manifests(study)
                    for piece in _pieces(request, study, known):
                        await answers.send([piece])
            case WantLeaves(request, roots):
                for root in roots:
                    await answers.send([Leaves(request, root, await source.leaves(root))])
            case WantChunks(request, ranges):
                await _answer_chunks(source, request, ranges, answers)
            case _:
                raise AssertionError(message)
        await answers.send([])


def _pieces(request: int, study: str, known: Known) -> Iterator[Manifests]:
    """Manifests in messages that fit a frame; the last one says what is held."""
    ready: list[bytes] = []
    room = LEAF_BYTES
    for signed in known.signed:
        at = 0
        while len(signed) - at > room:
            yield Manifests(
                request, study, (*ready, signed[at : at + room]), more=True, unfinished=True
            )
            ready, at, room = [], at + room, LEAF_BYTES
        ready.append(signed[at:])
        room -= len(signed) - at
    yield Manifests(request, study, tuple(ready), more=False, held=known.held)


class _Leafs:
    """The leaves of a request one by one; a range of which one is missing ends there."""

    def __init__(self, ranges: Sequence[tuple[Digest, int, int]]) -> None:
        self._ranges = ranges
        self._gone: set[int] = set()
        self._walk = self._steps()
        self.pending: list[tuple[int, Digest, int]] = []

    def _steps(self) -> Iterator[tuple[int, Digest, int]]:
        for number, (root, first, count) in enumerate(self._ranges):
            index = first
            while index < first + count and number not in self._gone:
                yield number, root, index
                index += 1

    def fill(self) -> bool:
        """Look ahead; False at the end."""
        self.pending = [step for step in self.pending if step[0] not in self._gone]
        while len(self.pending) < READ_BATCH_CHUNKS:
            step = next(self._walk, None)
            if step is None:
                break
            self.pending.append(step)
        return bool(self.pending)

    def take(self, request: int, found: Sequence[Buffer | None]) -> Iterator[Message]:
        """Turn what was found for the first of the pending leaves into answers."""
        done, self.pending = self.pending[: len(found)], self.pending[len(found) :]
        for (number, root, index), data in zip(done, found, strict=True):
            if number in self._gone:
                continue
            if data is None:
                self._gone.add(number)
                yield Missing(request, root)
            else:
                yield Chunk(request, root, index, data)


async def _answer_chunks(
    source: Source,
    request: int,
    ranges: Sequence[tuple[Digest, int, int]],
    answers: trio.MemorySendChannel[list[Message]],
) -> None:
    leafs = _Leafs(ranges)
    while leafs.fill():
        found = await source.chunks([(root, index) for _, root, index in leafs.pending])
        await answers.send(list(leafs.take(request, found)))
