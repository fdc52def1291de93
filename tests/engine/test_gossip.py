"""Rosters that talk end up alike, by few messages, and then fall silent."""

import random
from collections import deque
from collections.abc import Callable, Sequence

import pytest

from meshpacs.engine.effects import Effect, KeepRoster, Send
from meshpacs.engine.gossip import RosterGossip
from meshpacs.model.ids import NodeId
from meshpacs.wire.entries import Assign, Close, Revoke, write_entry
from meshpacs.wire.messages import Digests, Heads, RosterNews
from meshpacs.wire.roster import News, Roster
from tests.wire.mesh_of import Mesh, identity, mesh_of

ANNA, BERT, CARL = NodeId(b"a" * 32), NodeId(b"b" * 32), NodeId(b"c" * 32)


class Town:
    """Nodes whose links deliver in order, chosen by a seed; and what each has kept."""

    def __init__(self, seed: int = 0) -> None:
        self.draw = random.Random(seed)
        self.nodes: dict[NodeId, RosterGossip] = {}
        self.links: dict[tuple[NodeId, NodeId], deque[Heads | Digests | RosterNews]] = {}
        self.kept: dict[NodeId, list[KeepRoster]] = {}
        self.messages = 0
        self.changes: list[NodeId] = []

    def add(self, node: NodeId, roster: Roster) -> RosterGossip:
        self.nodes[node] = RosterGossip(roster)
        self.kept[node] = []
        return self.nodes[node]

    def link(self, one: NodeId, other: NodeId) -> None:
        for a, b in ((one, other), (other, one)):
            self.links[a, b] = deque()
        for a, b in ((one, other), (other, one)):
            self.carry(a, self.nodes[a].linked(b))

    def cut(self, one: NodeId, other: NodeId) -> None:
        del self.links[one, other], self.links[other, one]

    def neighbours(self, node: NodeId) -> list[NodeId]:
        return [other for one, other in self.links if one == node]

    def carry(self, node: NodeId, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, KeepRoster):
                self.kept[node].append(effect)
            else:
                assert isinstance(effect, Send)
                assert isinstance(effect.message, Heads | Digests | RosterNews)
                self.links[node, effect.peer].append(effect.message)
                self.messages += 1

    def learn(self, node: NodeId, change: Callable[[Roster], News]) -> None:
        gossip = self.nodes[node]
        effects, _ = gossip.learn(change(gossip.roster), self.neighbours(node))
        self.carry(node, effects)

    def run(self) -> None:
        """Deliver until nobody has anything to say."""
        for _ in range(10_000):
            waiting = [link for link, queue in self.links.items() if queue]
            if not waiting:
                return
            source, target = self.draw.choice(waiting)
            message = self.links[source, target].popleft()
            effects, changed = self.nodes[target].receive(source, message, self.neighbours(target))
            if changed:
                self.changes.append(target)
            self.carry(target, effects)
        raise AssertionError("the roster's conversation does not end")

    def alike(self) -> bool:
        return len({gossip.head() for gossip in self.nodes.values()}) == 1


def decided(mesh: Mesh, terms: object) -> Callable[[Roster], News]:
    number, previous = mesh.roster.next_entry(mesh.founder.public)
    entry = write_entry(mesh.founder, mesh.mesh, number, previous, terms)  # type: ignore[arg-type]
    return lambda roster: roster.merge([entry])


def test_heads_are_the_first_thing_on_a_link() -> None:
    mesh = mesh_of("bert")
    gossip = RosterGossip(mesh.roster)
    assert gossip.linked(BERT) == [Send(BERT, mesh.roster.heads())]
    assert not gossip.settled(BERT)
    assert gossip.members() == mesh.roster.members()
    assert gossip.head() == mesh.roster.head()


def test_two_that_know_the_same_say_so_and_settle() -> None:
    mesh, town = mesh_of("bert"), Town()
    town.add(ANNA, mesh.roster)
    town.add(BERT, mesh.copy())
    town.link(ANNA, BERT)
    town.run()
    assert town.messages == 4, "two heads, two empty answers"
    assert town.nodes[ANNA].settled(BERT)
    assert town.nodes[BERT].settled(ANNA)
    assert not town.nodes[BERT].settled(CARL)
    assert not town.kept[ANNA]


@pytest.mark.parametrize("seed", range(10))
def test_the_side_behind_catches_up(seed: int) -> None:
    print("seed", seed)
    mesh, town = mesh_of("bert", "carl", "dora"), Town(seed)
    empty = Roster(mesh.mesh)
    empty.merge(mesh.roster.everything().entries[:1])
    town.add(ANNA, mesh.roster)
    town.add(BERT, empty)
    town.link(ANNA, BERT)
    town.run()
    assert town.alike()
    assert town.nodes[ANNA].roster.heads() == empty.heads()
    assert town.nodes[BERT].settled(ANNA)
    assert BERT in town.changes
    assert ANNA not in town.changes
    again = Roster(mesh.mesh)
    again.merge(mesh.roster.everything().entries[:1])
    for kept in town.kept[BERT]:  # what was kept is enough to start again
        again.merge(kept.entries, kept.admissions, kept.records)
    assert again.heads() == empty.heads()


@pytest.mark.parametrize("seed", range(10))
def test_both_sides_of_a_healed_partition_end_up_alike(seed: int) -> None:
    print("seed", seed)
    mesh, town = mesh_of("bert", "carl"), Town(seed)
    for node in (ANNA, BERT, CARL):
        town.add(node, mesh.copy())
    town.link(ANNA, BERT)
    twice = mesh.invite("twice")
    for node, joiner, by in ((ANNA, "emil", mesh.anna), (CARL, "fritz", identity("carl"))):
        admission = mesh.admission(identity(joiner), twice, by)
        town.learn(node, lambda roster, packed=admission: roster.merge(admissions=[packed]))  # type: ignore[misc]
    town.learn(BERT, decided(mesh, Close(mesh.invite("bert").public)))
    town.learn(CARL, decided(mesh, Assign(identity("carl").node, "relay")))
    town.run()
    assert not town.alike()
    town.link(BERT, CARL)
    town.run()
    assert town.alike()
    for gossip in town.nodes.values():
        assert len(gossip.roster.standing.suspended) == 2
        assert len(gossip.roster.forks()) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_revocation_reaches_everybody_in_few_messages(seed: int) -> None:
    print("seed", seed)
    mesh, town = mesh_of("bert"), Town(seed)
    nodes = [NodeId(bytes((number,)) * 32) for number in range(12)]
    for node in nodes:
        town.add(node, mesh.copy())
    links = [(a, b) for a in range(12) for b in range(a) if town.draw.random() < 0.4 or a == b + 1]
    for a, b in links:
        town.link(nodes[a], nodes[b])
    town.run()
    assert all(town.nodes[nodes[a]].settled(nodes[b]) for a, b in links)
    before, town.changes = town.messages, []
    town.learn(nodes[3], decided(mesh, Revoke(identity("bert").node)))
    town.run()
    assert town.alike()
    assert sorted(town.changes) == [node for node in nodes if node != nodes[3]]
    for gossip in town.nodes.values():
        assert identity("bert").node not in gossip.members()
    # At most: news, heads and an answer each way of every link, and digests of no kind.
    assert town.messages - before <= 6 * len(links) + 12


def test_a_new_address_is_told_onward_without_a_change_of_members() -> None:
    mesh, town = mesh_of("bert"), Town()
    for node in (ANNA, BERT, CARL):
        town.add(node, mesh.copy())
    town.link(ANNA, BERT)
    town.link(BERT, CARL)
    town.run()
    news = mesh.record(identity("bert"), "bert", number=9, addresses=("192.0.2.1:1",))
    town.learn(ANNA, lambda roster: roster.merge(records=[news]))
    town.run()
    bert = identity("bert").node
    for gossip in town.nodes.values():
        assert gossip.members()[bert].addresses == ("192.0.2.1:1",)
    assert town.changes == []


def test_nothing_new_is_not_told() -> None:
    gossip = RosterGossip(mesh_of().roster)
    gossip.linked(BERT)
    assert gossip.learn(News(), [BERT]) == ([], False)


def test_who_is_no_neighbour_is_answered_all_the_same() -> None:
    mesh = mesh_of("bert")
    gossip = RosterGossip(mesh.copy())
    (answer,), changed = gossip.receive(BERT, mesh.roster.heads(), [])
    assert answer == Send(BERT, RosterNews((), (), (), last=True))
    assert not changed
    assert gossip.receive(BERT, RosterNews((), (), ()), []) == ([], False)


def test_news_from_who_has_not_said_its_heads_is_told_to_the_others() -> None:
    mesh = mesh_of("bert")
    behind = Roster(mesh.mesh)
    behind.merge(mesh.roster.everything().entries)
    gossip = RosterGossip(behind)
    gossip.linked(BERT)
    everything = mesh.roster.everything()
    effects, changed = gossip.receive(
        BERT, RosterNews((), everything.admissions, everything.records), [BERT, CARL]
    )
    assert changed
    kept, to_bert, to_carl, heads = effects
    assert isinstance(kept, KeepRoster)
    assert to_bert == Send(BERT, behind.heads())
    assert to_carl == Send(
        CARL, RosterNews((), everything.admissions, everything.records, last=False)
    )
    assert heads == Send(CARL, behind.heads())


def test_answers_that_nobody_asked_for_do_not_settle_a_link() -> None:
    mesh = mesh_of()
    gossip = RosterGossip(mesh.roster)
    gossip.linked(BERT)
    for _ in range(3):
        gossip.receive(BERT, RosterNews((), (), ()), [BERT])
    assert not gossip.settled(BERT)
    gossip.receive(BERT, mesh.roster.heads(), [BERT])
    assert gossip.settled(BERT)


@pytest.mark.parametrize("seed", range(5))
def test_a_stuffed_roster_is_told_by_two_admissions_and_then_all_fall_silent(seed: int) -> None:
    mesh = mesh_of("bert")
    own = mesh.invite("bert")
    stuffed = [
        mesh.admission(identity(f"made up {number}"), own, by=identity("bert"))
        for number in range(40)
    ]
    town = Town(seed)
    for node in (ANNA, BERT, CARL):
        town.add(node, mesh.copy())
    town.link(ANNA, BERT)
    town.link(BERT, CARL)
    town.run()

    def hears(admission: bytes) -> Callable[[Roster], News]:
        return lambda roster: roster.merge(admissions=[admission])

    for number, admission in enumerate(stuffed):
        town.learn((ANNA, BERT, CARL)[number % 3], hears(admission))
        if number % 5 == seed:
            town.run()
    town.run()
    assert town.alike()
    for kept in town.kept.values():
        assert sum(len(effect.admissions) for effect in kept) == 1, "the second of the invite's two"
    silent = town.messages
    town.link(CARL, ANNA)
    town.run()
    assert town.messages - silent == 4, "heads, and that nothing is lacking, each way"
