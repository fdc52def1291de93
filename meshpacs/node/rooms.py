"""What a running node is made of, for those who work with several of its parts."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.model.ids import Micros, NodeId, short
from meshpacs.node.clock import Clock
from meshpacs.node.commitments import Commitments
from meshpacs.node.config import ConfigFile
from meshpacs.node.driver import Driver
from meshpacs.node.founding import Belongings
from meshpacs.node.home import Home
from meshpacs.node.ledger import Ledger
from meshpacs.node.meters import Meters
from meshpacs.node.switchboard import Switchboard
from meshpacs.node.vault import Vault
from meshpacs.wire.notary import RosterNotary
from meshpacs.wire.roster import Roster


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts of one running node; made by `open_node`."""

    home: Home
    config: ConfigFile
    belongings: Belongings
    boot: int
    version: str
    clock: Clock
    meters: Meters
    ledger: Ledger
    vault: Vault
    commitments: Commitments
    gate: Gatekeeper
    notary: RosterNotary
    switchboard: Switchboard
    driver: Driver
    listening: tuple[str, ...]
    """Where the mesh is listened on, ports as they are."""
    started_us: Micros
    """Unix microseconds."""

    @property
    def node(self) -> NodeId:
        """This node's name."""
        return self.belongings.identity.node

    @property
    def roster(self) -> Roster:
        """The one roster; merged into by gossip, the gatekeeper and `membership`."""
        return self.belongings.roster

    def names(self) -> dict[NodeId, str]:
        """What all members are shown as, past and suspended ones too where known.

        A node chooses its name itself. Where one has chosen another's it is shown with its id, and
        so is the other; but not a member because of a past one, which it may have been itself.
        """
        chosen, twins = self.chosen_names(), self.twins()
        taken = {_plain(chosen[node]) for node in self.roster.members() if node in chosen}
        past = chosen.keys() - self.roster.members().keys()
        return {
            node: f"{name} ({short(node)})"
            if node in twins or (node in past and _plain(name) in taken)
            else name
            for node, name in chosen.items()
        }

    def twins(self) -> dict[NodeId, str]:
        """Members whose name is another member's, too, but for case, width and spaces."""
        alike: dict[str, dict[NodeId, str]] = {}
        for node, member in self.roster.members().items():
            alike.setdefault(_plain(member.name), {})[node] = member.name
        return {
            node: name for some in alike.values() if len(some) > 1 for node, name in some.items()
        }

    def is_named(self, node: NodeId, words: Iterable[str]) -> bool:
        """Whether one of these is this member's name, and no other's, or its id."""
        member = self.roster.members()[node]
        alone = node not in self.twins()
        return any(
            word.strip().casefold() == node.hex() or (alone and _plain(word) == _plain(member.name))
            for word in words
        )

    def chosen_names(self) -> dict[NodeId, str]:
        """The names that nodes give themselves."""
        roster = self.roster
        names = {node: member.name for node, member in roster.members().items()}
        for node in roster.standing.reasons:
            record = roster.record(node)
            if record is not None and node not in names:
                names[node] = record.record.name
        return names


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
