"""Giving studies to members who ask for them over bulk links (PROTOCOL 9.3)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
import trio

from meshpacs.links.spares import Spares
from meshpacs.links.transfer import READ_BATCH_BYTES, Buffer, Known, Pipe, give
from meshpacs.model.errors import Damaged, LocalFault, MeshError, PeerFault, Unavailable
from meshpacs.model.ids import Digest, NodeId, short
from meshpacs.model.limits import BULK_OF_ONE, BULK_SERVED
from meshpacs.model.member import Member, Role
from meshpacs.node.manifests import Contributions

log = structlog.get_logger()

READING_THREADS = 3
"""Batches read from the disk at once, over all links. A guess: one more than this machine's cores
keeps a disk's waits and hashing apart, and leaves threads to searches."""

SPARES_BYTES = 32 * 1024 * 1024
"""Memory for leaves that is kept while anybody is served: what three or four links have on their
way. A guess."""


class Contents(Protocol):
    """The archive's bytes; called in worker threads."""

    def read_leaf_into(
        self, root: Digest, index: int, place: Callable[[int], memoryview]
    ) -> memoryview:
        """One leaf, verified, where `place` says for its size."""
        ...

    def leaves(self, root: Digest) -> bytes | None:
        """A content's leaf list."""
        ...


class BulkLink(Pipe, Protocol):
    """A link whose other end is known."""

    @property
    def peer(self) -> NodeId:
        """The member at the other end, as the handshake proved."""
        ...


class Serving:
    """This node as a holder."""

    def __init__(
        self,
        contents: Contents,
        contributions: Contributions,
        members: Callable[[], Mapping[NodeId, Member]],
        blame: Callable[[NodeId, str], None],
    ) -> None:
        """`members` are those in force."""
        self._contents = contents
        self._contributions = contributions
        self._members = members
        self._blame = blame
        self._limiter = trio.CapacityLimiter(READING_THREADS)
        self._spares = Spares(SPARES_BYTES)
        """What leaves are read into, over all links."""
        self._served: Counter[NodeId] = Counter()

    async def serve(self, link: BulkLink) -> None:
        """Answer one member until its link ends. Never raises for what the member does."""
        peer = link.peer
        member = self._members().get(peer)
        if member is None or member.role is not Role.MEMBER:
            log.warning("bulk_refused", peer=short(peer), reason="not of role member")
            return
        if self._served.total() >= BULK_SERVED or self._served[peer] >= BULK_OF_ONE:
            log.warning("bulk_refused", peer=short(peer), reason="too many at once")
            return
        self._served[peer] += 1
        try:
            await give(link, self)
        except PeerFault as fault:
            self._blame(peer, fault.what)
        except Unavailable as lost:
            log.info("bulk_ended", peer=short(peer), cause=lost.what)
        except MeshError as fault:
            log.warning("bulk_failed", peer=short(peer), cause=type(fault).__name__)
        finally:
            self._served -= Counter((peer,))  # and forgets who has none
            if not self._served:
                self._spares.clear()

    # ------------------------------------------------------------ the source

    async def manifests(self, study: str) -> Known:
        """What this node knows and holds of a study."""
        return await trio.to_thread.run_sync(
            self._contributions.known, study, limiter=self._limiter
        )

    async def leaves(self, root: Digest) -> bytes:
        """A content's leaf list; empty if it is not here."""

        def work() -> bytes:
            try:
                return self._contents.leaves(root) or b""
            except (Damaged, Unavailable):
                return b""

        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    async def chunks(self, wanted: Sequence[tuple[Digest, int]]) -> Sequence[Buffer | None]:
        """The first of these leaves, verified; None for one that cannot be had (any more)."""

        def work() -> list[memoryview | None]:
            found: list[memoryview | None] = []
            size = 0
            for root, index in wanted:
                try:
                    data = self._contents.read_leaf_into(root, index, self._spares.lend)
                except (Damaged, Unavailable, LocalFault) as fault:
                    if isinstance(fault, Damaged):
                        log.warning("content_damaged", cause=fault.what)
                    found.append(None)
                    continue
                found.append(data)
                size += len(data)
                if size >= READ_BATCH_BYTES:
                    break
            return found

        return await trio.to_thread.run_sync(work, limiter=self._limiter)
