"""Who has been heard when, and who is silent: has missed a deadline and not been heard since."""

from meshpacs.model.ids import Micros, NodeId


class Attendance:
    """What this node itself has heard; what relays say of others does not count."""

    def __init__(self) -> None:
        """Nobody has been heard; nobody has missed anything."""
        self._heard: dict[NodeId, Micros] = {}
        self._silent: dict[NodeId, None] = {}
        self._knocked: dict[NodeId, Micros] = {}
        """When a silent member was last asked whether it is back."""

    def heard(self, node: NodeId, now: Micros) -> None:
        """Something came from this member: over its link, or an answer that it signed."""
        self._heard[node] = now
        if node in self._silent:
            del self._silent[node]
            self._knocked.pop(node, None)

    def missed(self, node: NodeId) -> None:
        """This member missed a deadline: it is not waited for until it is heard again."""
        self._silent[node] = None

    def silent(self, node: NodeId) -> bool:
        """Whether this member is not to be waited for."""
        return node in self._silent

    def knock(self, node: NodeId, now: Micros, pause: Micros) -> bool:
        """Whether a silent member is to be asked if it is back: not twice within `pause`."""
        last = self._knocked.get(node)
        due = last is None or now - last >= pause
        if due:
            self._knocked[node] = now
        return due

    def all_silent(self) -> dict[NodeId, None]:
        """Everybody who is silent now."""
        return dict(self._silent)

    def since(self, node: NodeId) -> Micros | None:
        """When this member was last heard; None for never."""
        return self._heard.get(node)
