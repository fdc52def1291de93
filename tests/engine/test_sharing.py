"""Shared destinations in a simulated mesh: whatever is cut or stopped, all end up with the last."""

import random
from itertools import pairwise

import pytest

from meshpacs.model.ids import NodeId
from meshpacs.wire.entries import Revoke
from meshpacs.wire.record import write_record
from meshpacs.wire.roster import News, Roster
from tests.engine.test_gossip import Town, decided
from tests.wire.mesh_of import Mesh, identity, mesh_of

NAMES = ("anna", "bert", "carl", "dora", "emil")
NODES = {name: identity(name).node for name in NAMES}
TITLES = ("CT1", "MR1", "US1", "VIEWER")


class Night:
    """Members that share and withdraw destinations while links go and nodes are stopped.

    A node that is stopped comes back with what it has kept; one that is restored from a backup
    with what it had kept at some time before, and the number by its clock that is higher than all.
    """

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.mesh: Mesh = mesh_of(*NAMES[1:])
        self.town = Town(seed)
        self.clock = 10
        self.told: dict[NodeId, tuple[str, ...]] = dict.fromkeys(NODES.values(), ())
        for node in NODES.values():
            self.town.add(node, self.mesh.copy())

    def step(self) -> None:
        match self.draw.choice(("share", "share", "link", "cut", "stop", "restore", "run")):
            case "share":
                self.share(self.draw.choice(NAMES))
            case "link":
                one, other = self.draw.sample(list(NODES.values()), 2)
                if (one, other) not in self.town.links:
                    self.town.link(one, other)
            case "cut":
                if self.town.links:
                    self.town.cut(*self.draw.choice(list(self.town.links)))
            case "stop":
                self.stop(self.draw.choice(NAMES), restored=False)
            case "restore":
                self.stop(self.draw.choice(NAMES), restored=True)
            case _:
                self.town.run()

    def share(self, name: str) -> None:
        node = NODES[name]
        titles = tuple(sorted(self.draw.sample(TITLES, self.draw.randrange(len(TITLES)))))
        self.clock += 1
        packed = write_record(
            identity(name),
            self.mesh.mesh,
            number=self.clock,
            name=name,
            addresses=(),
            version="",
            destinations=titles,
        )
        self.told[node] = titles
        self.town.learn(node, lambda roster: roster.merge(records=[packed]))

    def stop(self, name: str, *, restored: bool) -> None:
        node, town = NODES[name], self.town
        for other in town.neighbours(node):
            town.cut(node, other)
        if restored:
            kept = town.kept[node]
            del kept[self.draw.randint(0, len(kept)) :]
        fresh = self.mesh.copy()
        for each in town.kept[node]:
            fresh.merge(each.entries, each.admissions, each.records)
        kept = town.kept[node]
        town.add(node, fresh)
        town.kept[node] = kept
        if restored:  # as `Membership.publish` does at each start whose book differs
            self.share(name)

    def heal(self) -> None:
        nodes = list(NODES.values())
        for one, other in pairwise(nodes):
            if (one, other) not in self.town.links:
                self.town.link(one, other)
        self.town.run()

    def known(self, roster: Roster) -> dict[NodeId, tuple[str, ...]]:
        return {node: member.destinations for node, member in roster.members().items()}


@pytest.mark.parametrize("seed", range(40))
def test_after_a_night_of_cuts_stops_and_backups_all_know_what_each_one_shares(seed: int) -> None:
    print("seed", seed)
    night = Night(seed)
    for _ in range(60):
        night.step()
        for node, gossip in night.town.nodes.items():  # safety: nobody ever shows what was not said
            assert set(night.known(gossip.roster)) == set(NODES.values())
            assert night.known(gossip.roster)[node] == night.told[node]
    night.heal()
    for gossip in night.town.nodes.values():  # liveness, once links are there
        assert night.known(gossip.roster) == night.told


def test_a_revoked_members_destinations_are_gone_wherever_its_revocation_has_come() -> None:
    night = Night(1)
    night.heal()
    night.share("bert")
    night.told[NODES["bert"]] = ("CT1",)
    mesh, bert = night.mesh, identity("bert")

    def shared(number: int) -> News:
        packed = write_record(
            bert,
            mesh.mesh,
            number=number,
            name="bert",
            addresses=(),
            version="",
            destinations=("CT1",),
        )
        return night.town.nodes[bert.node].roster.merge(records=[packed])

    night.town.learn(bert.node, lambda _: shared(50))
    night.town.run()
    assert night.town.nodes[NODES["emil"]].members()[bert.node].destinations == ("CT1",)
    night.town.learn(NODES["emil"], decided(mesh, Revoke(bert.node)))
    night.town.learn(bert.node, lambda _: shared(51))
    night.town.run()
    for node, gossip in night.town.nodes.items():
        assert bert.node not in gossip.members(), node.hex()[:4]
