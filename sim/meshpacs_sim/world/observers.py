"""The world's windows: who looks is told what happens, and changes nothing."""

from typing import TYPE_CHECKING

from meshpacs.model.answer import Report, Row
from meshpacs.model.ids import Micros, NodeId, QueryId
from meshpacs.wire.messages import Message
from meshpacs_sim.world.hosts import Asking

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World

UNLINKED = 0
"""The serial of a message that was posted to a peer without a link, and so dropped."""

DIRECT = -1
"""The serial of a message on a direct link."""


class Observer:
    """Does nothing at every window; who overrides a method is told, others cost nothing."""

    def begin(self, world: "World") -> None:
        """The world is about to start; its hosts are there, their engines not yet."""

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """An engine has posted a message; `serial` names the link, or says that there is none."""

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """An engine is about to be handed a message."""

    def asked(self, now: Micros, asking: Asking) -> None:
        """A query begins; its effects are not yet carried out."""

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """An engine wants its archive searched."""

    def found(
        self, now: Micros, host: int, query_id: QueryId, rows: tuple[Row, ...] | None
    ) -> None:
        """The archive's answer reaches the engine; None if it could not be searched."""

    def delivered(
        self, now: Micros, host: int, query_id: QueryId, holder: NodeId, rows: tuple[Row, ...]
    ) -> None:
        """One holder's rows reach the caller."""

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """The final reaches the caller."""

    def linked(self, now: Micros, host: int, peer: int, serial: int) -> None:
        """A host learns that a control link is up."""

    def unlinked(self, now: Micros, host: int, peer: int, serial: int) -> None:
        """A host learns that a control link is gone, or hangs up."""

    def crashed(self, now: Micros, host: int) -> None:
        """A node is gone, with everything that it did not keep."""

    def started(self, now: Micros, host: int) -> None:
        """A node begins a life."""

    def blamed(self, now: Micros, host: int, peer: int, what: str) -> None:
        """An engine says that a peer has broken the protocol; it costs them their link."""

    def suspected(self, now: Micros, host: int, peer: int, what: str) -> None:
        """An engine was handed what is no answer by a peer that may not have made it."""

    def troubled(self, now: Micros, what: str) -> None:
        """The scenario makes or mends a fault."""

    def ended(self, now: Micros) -> None:
        """Nothing more will happen."""


HOOKS = tuple(name for name in vars(Observer) if not name.startswith("_"))
