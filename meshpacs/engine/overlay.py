"""Whom to be linked with (PROTOCOL 7): everybody in a small mesh, else a few at random."""

from meshpacs.engine.agenda import Agenda
from meshpacs.engine.draws import Draws
from meshpacs.engine.effects import Dial, Effect, Hangup
from meshpacs.engine.peers import Peers
from meshpacs.engine.roll import Roll
from meshpacs.engine.settings import Settings
from meshpacs.model.ids import Micros, NodeId


class Overlay:
    """Dials members until there are neighbours enough, and again as they fail."""

    def __init__(self, roll: Roll, peers: Peers, draws: Draws, settings: Settings) -> None:
        """Nobody is dialled."""
        self._roll = roll
        self._peers = peers
        self._draws = draws
        self._settings = settings
        self._dialling: dict[NodeId, None] = {}
        self._pauses: dict[NodeId, Micros] = {}
        """The last pause before dialling a member again."""
        self.resting: Agenda[NodeId] = Agenda()
        """When a member that could not be reached may be dialled again."""

    @property
    def small(self) -> bool:
        """Whether everybody links with everybody."""
        return len(self._roll) <= self._settings.full_mesh

    def fill(self) -> list[Effect]:
        """Dial whom we lack."""
        frozen = self._settings.frozen_overlay
        candidates = [
            node
            for node in (self._settings.frozen_neighbours if frozen else sorted(self._roll.members))
            if node in self._roll
            and node != self._roll.node
            and node not in self._peers
            and node not in self._dialling
            and node not in self.resting
        ]
        chosen = candidates if frozen or self.small else self._pick(candidates)
        self._dialling.update(dict.fromkeys(chosen))
        return [Dial(node) for node in chosen]

    def _pick(self, candidates: list[NodeId]) -> list[NodeId]:
        peers = self._peers.all()
        lacking = max(
            self._settings.neighbours - len(peers),
            self._settings.self_dialled - sum(peer.outbound for peer in peers),
        )
        chosen: list[NodeId] = []
        while candidates and len(chosen) < lacking - len(self._dialling):
            chosen.append(candidates.pop(self._draws.below("overlay/pick", len(candidates))))
        return chosen

    def linked(self, peer: NodeId) -> None:
        """A link came up, whoever dialled it."""
        self._dialling.pop(peer, None)
        self._pauses.pop(peer, None)
        self.resting.clear(peer)

    def crowded(self, peer: NodeId, *, outbound: bool) -> list[Effect]:
        """Turn away a neighbour beyond what a node of a larger mesh keeps."""
        most = self._settings.neighbours_most
        if self._settings.frozen_overlay:
            given = self._settings.frozen_neighbours
            return [Hangup(peer, "it is not of those given")] if given and peer not in given else []
        if outbound or self.small or len(self._peers) < most:
            return []
        return [Hangup(peer, f"{most} neighbours are enough")]

    def failed(self, peer: NodeId, now: Micros) -> None:
        """A dial came to nothing, or a link is gone: rest before the next try.

        Half of each pause is drawn, so that two nodes that lost each other, or a whole mesh after
        a power cut, do not keep dialling at the same moments.
        """
        self._dialling.pop(peer, None)
        if peer not in self._roll:
            return
        if self._settings.frozen_overlay and peer not in self._settings.frozen_neighbours:
            return
        last = self._pauses.get(peer, self._settings.redial_us // 2)
        pause = min(2 * last, self._settings.redial_most_us)
        self._pauses[peer] = pause
        wait = pause // 2 + self._draws.below("overlay/rest", pause // 2)
        self.resting.set(peer, now + wait)

    def gone(self, peer: NodeId) -> None:
        """No member any more."""
        self._dialling.pop(peer, None)
        self._pauses.pop(peer, None)
        self.resting.clear(peer)
