"""The engine: dispatches to its ideas, each a plain class in a file of its own."""

from collections.abc import Mapping

from meshpacs.engine.effects import Effect
from meshpacs.engine.notary import Notary
from meshpacs.engine.settings import Settings
from meshpacs.model.answer import Row
from meshpacs.model.ids import Digest, MeshId, Micros, NodeId, QueryId
from meshpacs.model.member import Member
from meshpacs.model.query import Query, Scope
from meshpacs.wire.messages import Message


class Engine:
    """The mind of one node."""

    def __init__(
        self,
        *,
        node: NodeId,
        mesh: MeshId,
        boot: int,
        seed: int,
        notary: Notary,
        members: Mapping[NodeId, Member],
        roster_head: Digest,
        boots: Mapping[NodeId, int],
        settings: Settings | None = None,
    ) -> None: ...

    def clock(self, wall_offset_us: Micros) -> None:
        """Say how far the wall clock is ahead of `now`: wall = now + offset."""

    def members_changed(
        self, members: Mapping[NodeId, Member], roster_head: Digest, now: Micros
    ) -> list[Effect]: ...

    def linked(self, peer: NodeId, now: Micros, *, outbound: bool) -> list[Effect]:
        """A control link with this member is up: it is a neighbour now."""

    def unlinked(self, peer: NodeId, now: Micros) -> list[Effect]:
        """The control link is gone."""

    def unreachable(self, peer: NodeId, now: Micros) -> list[Effect]:
        """A `Dial` or `Visit` came to nothing."""

    def receive(self, peer: NodeId, message: Message, now: Micros) -> list[Effect]:
        """Take in one message, from a control or a direct link.

        Raises:
            PeerFault: the message breaks the protocol; the state is unchanged.
        """

    def ask(
        self, query: Query, scope: Scope, now: Micros, *, budget_us: Micros | None = None
    ) -> tuple[QueryId, list[Effect]]:
        """Begin a query of ours.

        Raises:
            Unavailable: asked too often (the error says how long to wait), or too many are open.
            LocalFault: the scope or the query is beyond the limits.
        """

    def cancel(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """We have lost interest; the final report follows at once, marked cancelled."""

    def local_found(
        self, query_id: QueryId, rows: tuple[Row, ...], now: Micros, *, truncated: bool = False
    ) -> list[Effect]:
        """The archive's answer to a `SearchLocal`."""

    def local_failed(self, query_id: QueryId, now: Micros) -> list[Effect]:
        """The archive could not be searched."""

    def wake(self, now: Micros) -> list[Effect]:
        """Do what is due."""

    def next_deadline(self) -> Micros | None:
        """When to call `wake`; None for never."""
