"""What gateways and the command line see of a running node.

`open_node` gives one; a query reads `async with mesh.find(query, None) as finding`, then
`async for progress in finding`, then `found = await finding.result()`.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import trio

from meshpacs.model.commitment import Reference
from meshpacs.model.content import Entry
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.ids import Micros, NodeId
from meshpacs.model.member import Role
from meshpacs.model.query import Query, Scope
from meshpacs.node.commitments import Commitments
from meshpacs.node.promising import Promising
from meshpacs.node.views import (
    ConfigView,
    ConflictView,
    CounterView,
    DeleteView,
    FetchEvent,
    Found,
    ImportOutcome,
    ImportSummary,
    InviteView,
    Kept,
    PeerView,
    Progress,
    RevokeView,
    SharedView,
    StatusView,
    TrailView,
)


class Finding(Protocol):
    """A query under way; leaving its context cancels it at the members."""

    def __aiter__(self) -> AsyncIterator[Progress]:
        """One `Progress` as each member's answer comes; ends with the query."""
        ...

    async def result(self) -> Found:
        """Wait for the end. Only a received final report means complete.

        Raises:
            Unavailable: the node is stopping; there is no answer, not even a partial one.
        """
        ...


class Fetching(Protocol):
    """A fetch under way; leaving its context stops it, what is verified stays staged."""

    def __aiter__(self) -> AsyncIterator[FetchEvent]:
        """`FetchProgress` now and then, at last one `FetchDone`.

        Raises:
            Unavailable: no member that answers holds the study.
        """
        ...


class Arriving(Protocol):
    """An instance on its way in; leaving its context without `commit` leaves nothing."""

    async def write(self, data: memoryview) -> None:
        """Take the next bytes of the data set; they may be overwritten once this returns.

        Raises:
            NotKept: the error says why; nothing was kept.
        """
        ...

    async def commit(self) -> Kept:
        """Keep it: when this returns it is durable and may be acknowledged.

        Raises:
            NotKept: the error says why; nothing was kept.
        """
        ...

    async def discard(self) -> None:
        """Leave nothing behind; after `commit` this does nothing."""
        ...

    def write_here(self, data: memoryview) -> None:
        """The same as `write`, for work that dwells in a thread."""
        ...

    def commit_here(self) -> Kept:
        """The same as `commit`, for work that dwells in a thread."""
        ...

    def discard_here(self) -> None:
        """The same as `discard`, for work that dwells in a thread."""
        ...

    async def __aenter__(self) -> Self:
        """Nothing is kept until `commit`."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discard what was not committed."""
        ...


class Retrieving(Protocol):
    """Instances on their way to somebody; leaving its context stops what still comes."""

    async def entries(self) -> tuple[Entry, ...]:
        """All instances that are wanted; known before the first has come.

        Raises:
            NobodyHasIt: nobody who has answered holds any.
            Unavailable: the mesh could not be asked.
        """
        ...

    def __aiter__(self) -> AsyncIterator[Entry]:
        """Each of them once it is verified and durable here; ends with what can be had."""
        ...

    def leaves(self, entry: Entry) -> int:
        """Pieces of at most a mebibyte that an instance's data set has."""
        ...

    async def leaf(self, entry: Entry, index: int) -> bytes:
        """One of them, verified.

        Raises:
            Damaged, Unavailable: it cannot be read any more.
        """
        ...

    async def read_ahead(self) -> None:
        """Read pieces before they are asked for, until cancelled: for a task beside the asking."""
        ...

    def rewritten(
        self, entry: Entry, transfer_syntax: str
    ) -> AbstractAsyncContextManager[bytes | bytearray]:
        """The whole data set in another byte order or with other VRs, values unchanged, and with
        compressed pixels decoded; to be left once it was sent, as it takes room meanwhile.

        Raises (on entering):
            MeshError: it cannot be read, or not be written so; the error says why.
        """
        ...


class Importing(Protocol):
    """An import under way; leaving its context stops it between two files."""

    @property
    def summary(self) -> ImportSummary:
        """What has become of the files so far."""
        ...

    def __aiter__(self) -> AsyncIterator[Sequence[ImportOutcome]]:
        """One outcome a file, in the order in which they are done; some at a time."""
        ...


class Courier(Protocol):
    """Sends to this node's own DICOM machines, for other members."""

    async def __call__(self, order: Order, tally: Tally, stop: trio.Event) -> Ending:
        """Carry out an order and keep its tally; once `stop` is set, end between two instances."""
        ...


class Mesh(Protocol):
    """A running node. All methods are for trio tasks."""

    def find(
        self,
        query: Query,
        scope: Scope | None,
        *,
        local_only: bool = False,
        budget_us: Micros | None = None,
    ) -> AbstractAsyncContextManager[Finding]:
        """Put a query to the mesh; `scope` None is the default by mesh size (PROTOCOL 4.3).

        Raises (on entering):
            Unavailable: asked too often or too much at once; the error says how long to wait.
            LocalFault: the query or the scope is beyond the limits.
        """
        ...

    def fetch(
        self, study_uid: str, *, to: Path | None = None
    ) -> AbstractAsyncContextManager[Fetching]:
        """Bring a study here, verified and kept; `to` also exports its files into a folder."""
        ...

    def retrieve(
        self,
        study_uid: str,
        *,
        series: frozenset[str] = frozenset(),
        instances: frozenset[str] = frozenset(),
    ) -> AbstractAsyncContextManager[Retrieving]:
        """A study, or some of its series or instances, wherever they are, one by one."""
        ...

    def arrival(
        self, sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str
    ) -> Arriving:
        """Take in one data set that a sender has announced, piece by piece."""
        ...

    async def dwell(self, work: Callable[[], None]) -> bool:
        """Run work in a thread that may write what arrives, and may stay there as long as it has
        something to do; cancelled, it is to end soon (`trio.from_thread.check_cancelled`).

        False, at once and with nothing done, if no thread is free for that.
        """
        ...

    async def share(self, titles: tuple[str, ...], courier: Courier) -> None:
        """Tell the mesh that this node sends to these machines, and to no others, by `courier`."""
        ...

    async def shared(self) -> tuple[SharedView, ...]:
        """The machines that other members send to, by title."""
        ...

    async def check_shared(self, title: str) -> SharedView:
        """Have the one other member that shares this machine ask whether it is there.

        Raises:
            LocalFault: none or several share it.
            Unavailable: the member or the machine cannot be reached.
        """
        ...

    def sharers(self, title: str) -> tuple[NodeId, ...]:
        """Other members that send to the machine of this title: none, one, or several."""
        ...

    async def deliver(self, member: NodeId, order: Order, tally: Tally, stop: trio.Event) -> Ending:
        """Have a member send to a machine of its own; the tally follows. `stop` ends it early.

        Raises:
            OrderLost: the member was lost before the end.
            Unavailable: it cannot be reached.
            PeerFault: it breaks the protocol.
        """
        ...

    @property
    def decodable(self) -> frozenset[str]:
        """Compressed transfer syntaxes that `Retrieving.rewritten` can decode here: none without
        the extra `meshpacs[pixel]`.
        """
        ...

    @property
    def node(self) -> NodeId:
        """This node's name."""
        ...

    @property
    def commitments(self) -> Commitments:
        """Requests for storage commitment that are to be reported."""
        ...

    async def references(self, study_uid: str) -> tuple[Reference, ...]:
        """The instances of a study that are in this node's own archive."""
        ...

    @property
    def promises(self) -> Promising:
        """What can be said of an instance that commitment is asked of."""
        ...

    def import_paths(self, paths: Sequence[Path]) -> AbstractAsyncContextManager[Importing]:
        """Take in files, folders, zip files and DICOMDIR media."""
        ...

    async def delete(
        self, study_uid: str, *, even_if_last: bool = False, confirmed: bool = False
    ) -> DeleteView:
        """Take a study out of this archive for ever; other holders keep theirs.

        Unless `confirmed`, only look: who has how much of it.

        Raises:
            LocalFault: it is not here, or some of it is nowhere else and not `even_if_last`.
            Unavailable: the mesh could not be asked, or the disk is failing.
        """
        ...

    async def status(self) -> StatusView: ...

    async def peers(self) -> tuple[PeerView, ...]:
        """All other members, by name."""
        ...

    async def counters(self) -> tuple[CounterView, ...]:
        """What has gone over this node's links since it started, by purpose and type."""
        ...

    async def trails(self, start: str = "") -> tuple[TrailView, ...]:
        """The last queries that passed here, the oldest first.

        Only those whose id begins so, in hexadecimal.
        """
        ...

    async def conflicts(self) -> tuple[ConflictView, ...]: ...

    async def invite(
        self, role: Role = Role.MEMBER, expires_s: int = 72 * 3600, *, local: bool = False
    ) -> InviteView:
        """An invite that any member can honour; made where a founder's key is.

        Raises:
            LocalFault: no founder's key here, or only loopback is advertised and not `local`.
        """
        ...

    async def revoke(self, who: str) -> RevokeView:
        """Take a member's membership, by its name or the beginning of its id in hexadecimal.

        Raises:
            LocalFault: no founder's key here, or `who` names none or more than one.
        """
        ...

    def names(self) -> Mapping[NodeId, str]:
        """The names of all members, past ones too where known."""
        ...

    async def reload(self) -> ConfigView:
        """Read the config file again: swap it in whole, or keep the old one and say why."""
        ...

    def stop(self) -> None:
        """Begin a clean stop."""
        ...
