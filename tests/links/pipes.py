"""Two ends of a bulk link without a socket, and an archive of dictionaries behind one of them."""

import math
from collections.abc import Sequence

import trio

from meshpacs.links.transfer import READ_BATCH_BYTES, Known
from meshpacs.model.content import content_root, leaf
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import Digest
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.wire.codec import decode, encode
from meshpacs.wire.messages import Message


class End:
    """One end; messages go through the codec, as on a real link."""

    def __init__(
        self, out: trio.MemorySendChannel[bytes], into: trio.MemoryReceiveChannel[bytes]
    ) -> None:
        self._out = out
        self._in = into
        self.sent: list[Message] = []
        self.writes: list[int] = []
        """How many of them went together."""

    async def send(self, *messages: Message) -> None:
        self.sent.extend(messages)
        self.writes.append(len(messages))
        try:
            for message in messages:
                await self._out.send(encode(message))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Unavailable("The link has ended.") from None

    async def receive(self) -> Message:
        try:
            return decode(await self._in.receive())
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise Unavailable("The link has ended.") from None

    def cut(self) -> None:
        """As if the process had been killed."""
        self._out.close()
        self._in.close()


def pipe(slots: float = math.inf) -> tuple[End, End]:
    there, here = trio.open_memory_channel[bytes](slots), trio.open_memory_channel[bytes](slots)
    return End(there[0], here[1]), End(here[0], there[1])


def contents(data: bytes) -> tuple[Digest, bytes]:
    """The root and the leaf list of a data set."""
    pieces = [data[at : at + LEAF_BYTES] for at in range(0, len(data), LEAF_BYTES)]
    leaves = b"".join(map(leaf, pieces))
    return content_root(len(data), leaves), leaves


class Shelf:
    """A source of what is put there."""

    def __init__(self, *data: bytes) -> None:
        self.data = {contents(each)[0]: each for each in data}
        self.known: dict[str, Known] = {}
        self.reads: list[int] = []
        self.stuck: trio.Event | None = None

    async def manifests(self, study: str) -> Known:
        return self.known.get(study, Known(()))

    async def leaves(self, root: Digest) -> bytes:
        return contents(self.data[root])[1] if root in self.data else b""

    async def chunks(self, wanted: Sequence[tuple[Digest, int]]) -> Sequence[bytes | None]:
        await trio.lowlevel.checkpoint()
        if self.stuck:
            await self.stuck.wait()
        found: list[bytes | None] = []
        room = READ_BATCH_BYTES
        for root, index in wanted:
            piece = self.data.get(root, b"")[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]
            found.append(piece or None)
            room -= len(piece)
            if room <= 0:
                break
        self.reads.append(len(found))
        return found
