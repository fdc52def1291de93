"""What is inside the Asks that pass by, read once for each query."""

from meshpacs.engine.asking import query_id_of
from meshpacs.model.ids import QueryId
from meshpacs.wire.bodies import AskBody
from meshpacs.wire.codec import unpack


class Bodies:
    """Query bodies by their bytes: thousands of copies share one."""

    def __init__(self) -> None:
        """None has passed."""
        self._read: dict[bytes, tuple[QueryId, AskBody]] = {}

    def read(self, body: bytes) -> tuple[QueryId, AskBody]:
        """The query's id and what its origin signed."""
        known = self._read.get(body)
        if known is None:
            known = self._read[body] = (query_id_of(body), unpack(AskBody, body))
        return known
