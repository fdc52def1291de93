"""One fetch, planned: which leaves to ask of whom, and whether what comes is right (PROTOCOL 9.3).

No I/O: the driver sends what `next_wants` says, hands in what arrives, and writes what `chunk`
gives back, which is always the next leaf of its content: a stage can append it at once.

Contents are wanted in the order of the entries. Each holder has a window of bytes in flight, and
takes what comes next that nobody else was asked for; so several holders share a study content by
content, and a content of many leaves in runs of a few. Leaves that overtake others of their
content wait here, at most `SPREAD_LEAVES` of one content and about `BUFFER_BYTES` in all. (To give
each content to one holder would need no waiting, but then a single slide image of 4 GiB comes from
one holder alone.)

A content of one leaf is verified against its root; of more, against its leaf list, which is
fetched first and is itself verified against the root. Who gives a wrong leaf or list is not asked
for that content again, and after `WRONG_MOST` of them for none.

A slow holder keeps what it was asked for until it gives it, lacks it or is dropped: that nothing
moves any more is for the driver to see, who has a clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from meshpacs.model.content import Entry, content_root
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import WANTS_PER_REQUEST
from meshpacs.wire.partial import Expected, PartialContent

WINDOW_BYTES = 8 * 1024 * 1024
"""Asked of one holder and not come yet. A guess: at 100 ms round trip 80 MB/s."""

WINDOW_CHUNKS = 2_048
"""The same in number, for tiny instances. A guess."""

BATCH_BYTES = 2 * 1024 * 1024
"""A holder is asked for more once so much of its window is free: what it reads in one go."""

BUFFER_BYTES = 64 * 1024 * 1024
"""Leaves waiting for earlier ones, over all contents, above which only next leaves are asked for.
What is in flight then may still come on top. A guess."""

LISTS = 64
"""Leaf lists asked of one holder and not come yet. A guess: one round trip of small ones."""

LIST_BYTES = 4 * 1024 * 1024
"""The same in bytes: two of the largest, 64 GiB each."""

LOOK_AHEAD = 128
"""Contents passed over, because they wait for something, before looking no further. A guess."""

WRONG_MOST = 3
"""Wrong leaves and lists after which a holder is asked for nothing. A guess: one may be a disk."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What to ask one holder for now: leaf lists first, then ranges of leaves."""

    lists: tuple[Digest, ...] = ()
    ranges: tuple[tuple[Digest, int, int], ...] = ()
    """Root, first leaf, number of leaves: as in `WantChunks`."""

    def __bool__(self) -> bool:
        """Whether there is anything to ask for."""
        return bool(self.lists or self.ranges)


@dataclass(frozen=True, slots=True)
class Ready:
    """The next leaf of a content, verified."""

    root: Digest
    index: int
    data: bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came was right, or is of no use any more (then `ready` is empty)."""

    ready: tuple[Ready, ...] = ()
    whole: bool = False
    """The content is complete with the last of `ready`."""


@dataclass(frozen=True, slots=True)
class Bad:
    """What came was wrong: blame the holder."""

    node: NodeId
    root: Digest
    index: int | None
    """The leaf; None for the leaf list."""
    dropped: bool
    """The holder is asked for nothing any more: close the link."""


class Plan:
    """One fetch. The driver may add holders at any time, and drops those it has lost."""

    def __init__(
        self,
        entries: Iterable[Entry],
        present: Mapping[Digest, int] | None = None,
        *,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        """Plan to get these entries, in this order.

        `present`: how many leaves from the first on are here and verified, by root.
        """
        self.entries = tuple(entries)
        self._window_bytes = window_bytes
        self.bytes_total = 0
        """Bytes of all contents."""
        self._bytes_done = 0
        self._contents: list[PartialContent] = []
        self._by_root: dict[Digest, PartialContent] = {}
        for entry in self.entries:
            if entry.root in self._by_root:
                continue
            content = PartialContent(len(self._contents), entry.root, entry.size_bytes)
            content.prefix = min((present or {}).get(entry.root, 0), content.count)
            self._bytes_done += sum(map(content.leaf_bytes, range(content.prefix)))
            self.bytes_total += content.size_bytes
            self._contents.append(content)
            self._by_root[entry.root] = content
        self._holders: dict[NodeId, _Holder] = {}
        self._taken: dict[NodeId, int] = {}
        self._buffered_bytes = 0
        self._open = sum(not content.whole for content in self._contents)
        self._reachable = 0
        """Contents not whole that at least one holder can still be asked for."""

    # ------------------------------------------------------------ how it stands

    @property
    def done(self) -> bool:
        """Whether every entry is whole."""
        return not self._open and not self.lacking

    @property
    def stuck(self) -> bool:
        """Whether what is still lacking can be had of none of the present holders."""
        return not self.done and not self._reachable

    @property
    def lacking(self) -> tuple[Entry, ...]:
        """The entries that are not whole."""
        return tuple(entry for entry in self.entries if not self._has(entry))

    @property
    def bytes_done(self) -> int:
        """Bytes handed on or here before, over all contents."""
        return self._bytes_done

    @property
    def coming(self) -> bool:
        """Whether any holder has been asked for a leaf that has not come."""
        return any(holder.flight for holder in self._holders.values())

    def taken_bytes(self, node: NodeId) -> int:
        """Good bytes that this holder has given so far."""
        return self._taken.get(node, 0)

    def _has(self, entry: Entry) -> bool:
        # One root with another size, or of nothing at all, is a lie: nothing can be such.
        content = self._by_root[entry.root]
        return content.whole and 0 < content.size_bytes == entry.size_bytes

    # ------------------------------------------------------------ holders

    def add_holder(self, node: NodeId, roots: Iterable[Digest]) -> None:
        """This holder can be asked for these contents (others are ignored), from now on too."""
        holder = self._holders.setdefault(node, _Holder(node))
        for root in roots:
            content = self._by_root.get(root)
            if content is None or content.whole or node in content.holders:
                continue
            self._reachable += not content.holders
            content.holders.add(node)
            heappush(holder.queue, content.place)

    def drop_holder(self, node: NodeId) -> None:
        """The holder is lost or not wanted any more; others are asked for what it owes."""
        holder = self._holders.pop(node, None)
        if holder is None:
            return
        for content in self._contents:
            self._exclude(content, node)
        for root, index in list(holder.flight):
            self._release(self._by_root[root], index, node)
        for root in list(holder.lists):
            self._forget_list(self._by_root[root], node)

    def _exclude(self, content: PartialContent, node: NodeId) -> None:
        if node in content.holders:
            content.holders.discard(node)
            self._reachable -= not content.holders and not content.whole

    # ------------------------------------------------------------ asking

    def next_wants(self, node: NodeId) -> Wants:
        """What to ask this holder for now; what is returned counts as asked."""
        holder = self._holders.get(node)
        if holder is None:
            return Wants()
        if not self._may_ask(holder):
            return Wants()
        free = self._window_bytes - holder.flight_bytes
        lists: list[Digest] = []
        ranges: list[tuple[Digest, int, int]] = []
        waiting: list[int] = []
        last = -1
        while (
            holder.queue
            and free > 0
            and len(holder.flight) < WINDOW_CHUNKS
            and len(ranges) < WANTS_PER_REQUEST
            and len(waiting) < LOOK_AHEAD
        ):
            place = heappop(holder.queue)
            content = self._contents[place]
            if place == last or content.settled or node not in content.holders:
                continue
            last = place
            if not content.verifiable:
                if content.list_from is None and holder.may_list(content.count * 32):
                    content.list_from = node
                    holder.lists[content.root] = content.count * 32
                    lists.append(content.root)
                waiting.append(place)
                continue
            free = self._take_runs(holder, content, free, ranges)
            if not content.settled:
                waiting.append(place)
        for place in waiting:
            heappush(holder.queue, place)
        return Wants(tuple(lists), tuple(ranges))

    def _may_ask(self, holder: "_Holder") -> bool:
        free = self._window_bytes - holder.flight_bytes
        return not holder.flight or free >= min(BATCH_BYTES, self._window_bytes)

    def _take_runs(
        self,
        holder: "_Holder",
        content: PartialContent,
        free: int,
        ranges: list[tuple[Digest, int, int]],
    ) -> int:
        """Ask for runs of one content while the window has room; returns what is left of it."""
        while free > 0:
            crowded = self._buffered_bytes >= BUFFER_BYTES
            run = content.free_run(only_next=crowded)
            if not run:
                break
            taken = []
            for index in run:
                if free <= 0:
                    break
                size = content.leaf_bytes(index)
                content.asked[index] = holder.node
                holder.flight[content.root, index] = size
                holder.flight_bytes += size
                free -= size
                taken.append(index)
            ranges.append((content.root, taken[0], len(taken)))
        return free

    # ------------------------------------------------------------ what comes

    def leaves(self, node: NodeId | None, root: Digest, leaves: bytes) -> Accepted | Bad:
        """A leaf list has come; an empty one says that the holder has it not.

        `node` is None for a list that was kept here.
        """
        content = self._by_root.get(root)
        if content is None:
            return Accepted()
        if node is not None:
            self._forget_list(content, node)
        if content.verifiable:
            return Accepted()
        if not leaves and node is not None:
            self.missing(node, root)
            return Accepted()
        right = len(leaves) == content.count * 32
        if right and content_root(content.size_bytes, leaves) == root:
            content.digests = leaves
            self._offer(content)
            return Accepted()
        return self._wrong(node, content, None) if node is not None else Accepted()

    def resume(self, root: Digest, present: int) -> Accepted:
        """So many leaves of a content, from the first on, turned out to be here and verified.

        Only before any of it was asked for; later it is of no use.
        """
        content = self._by_root.get(root)
        if content is None or content.asked or content.waiting or content.whole:
            return Accepted()
        before, content.prefix = content.prefix, max(content.prefix, min(present, content.count))
        self._bytes_done += sum(map(content.leaf_bytes, range(before, content.prefix)))
        whole = content.prefix == content.count
        if whole:
            self._open -= 1
            self._reachable -= bool(content.holders)
        return Accepted(whole=whole)

    def expected(self, root: Digest, index: int) -> Expected | None:
        """What this leaf must be; None if it is not wanted (any more)."""
        content = self._by_root.get(root)
        return content.expected(index) if content else None

    def came(self, node: NodeId, root: Digest, index: int) -> bool:
        """A leaf is here, whatever it is; `chunk` says so too, once it has been judged.

        It is in flight no more: were it until it is durable, a holder would wait for our disk.
        Returns whether its holder may be asked for more.
        """
        holder = self._holders.get(node)
        if holder is None:
            return False
        holder.flight_bytes -= holder.flight.pop((root, index), 0)
        return self._may_ask(holder)

    def chunk(
        self,
        node: NodeId,
        root: Digest,
        index: int,
        data: bytes | bytearray | memoryview,
        *,
        verified: bool | None = None,
    ) -> Accepted | Bad:
        """A leaf has come. The data is kept, not copied, until it is handed back as ready.

        `verified`: what `expected(root, index).holds(data)` said, if that was asked elsewhere.
        """
        self.came(node, root, index)
        wanted = self.expected(root, index)
        if wanted is None:
            return Accepted()
        content = self._by_root[root]
        if not (wanted.holds(data) if verified is None else verified):
            if content.asked.get(index) == node:
                del content.asked[index]
            return self._wrong(node, content, index)
        self._taken[node] = self._taken.get(node, 0) + len(data)
        content.asked.pop(index, None)
        content.waiting[index] = data
        self._buffered_bytes += len(data)
        ready = []
        while content.prefix in content.waiting:
            part = content.waiting.pop(content.prefix)
            self._buffered_bytes -= len(part)
            self._bytes_done += len(part)
            ready.append(Ready(root, content.prefix, part))
            content.prefix += 1
        if content.whole:
            self._open -= 1
            self._reachable -= bool(content.holders)
        return Accepted(tuple(ready), content.whole)

    def missing(self, node: NodeId, root: Digest) -> None:
        """The holder does not have this content (any more)."""
        content = self._by_root.get(root)
        holder = self._holders.get(node)
        if content is None or holder is None:
            return
        self._exclude(content, node)
        for index in [i for i, asked in content.asked.items() if asked == node]:
            holder.flight_bytes -= holder.flight.pop((root, index), 0)
            self._release(content, index, node)
        self._forget_list(content, node)

    def _wrong(self, node: NodeId, content: PartialContent, index: int | None) -> Bad:
        self._exclude(content, node)
        self._offer(content)
        holder = self._holders.get(node)
        dropped = False
        if holder is not None:
            holder.wrong += 1
            dropped = holder.wrong >= WRONG_MOST
            if dropped:
                self.drop_holder(node)
        return Bad(node, content.root, index, dropped)

    # ------------------------------------------------------------ to others

    def _release(self, content: PartialContent, index: int, node: NodeId) -> None:
        if content.asked.get(index) == node:
            del content.asked[index]
            self._offer(content)

    def _forget_list(self, content: PartialContent, node: NodeId) -> None:
        holder = self._holders.get(node)
        if holder is not None:
            holder.lists.pop(content.root, None)
        if content.list_from == node:
            content.list_from = None
            self._offer(content)

    def _offer(self, content: PartialContent) -> None:
        """Leaves of this content are free (again): every holder may come upon it."""
        for holder in self._holders.values():
            if holder.node in content.holders:
                heappush(holder.queue, content.place)


@dataclass(slots=True)
class _Holder:
    node: NodeId
    queue: list[int] = field(default_factory=list)
    """A heap of places of contents that may have free leaves; may be out of date."""
    flight: dict[tuple[Digest, int], int] = field(default_factory=dict)
    flight_bytes: int = 0
    lists: dict[Digest, int] = field(default_factory=dict)
    wrong: int = 0

    def may_list(self, size_bytes: int) -> bool:
        """Whether one more leaf list may be asked for."""
        if not self.lists:
            return True
        return len(self.lists) < LISTS and sum(self.lists.values()) + size_bytes <= LIST_BYTES
