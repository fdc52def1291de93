"""Members that mean harm by a plain description, and what a query discloses to whom."""

from itertools import pairwise

import pytest

from meshpacs.engine.settings import Settings
from meshpacs.model.ids import MILLISECOND, SECOND
from meshpacs.model.query import Ball
from meshpacs.wire.messages import Closed, Got, Part
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.graph import Graph, graph
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.world import faults
from meshpacs_sim.world.adversaries import (
    ADVERSARIES,
    Dropper,
    Droppers,
    Flooders,
    Liars,
)
from meshpacs_sim.world.cellar import Canned, clinic, every_study
from meshpacs_sim.world.disclosure import Disclosed, Disclosure
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World

PATH = graph("path", 5, [(0, 1), (1, 2), (2, 3), (3, 4)])
SHORT_US = 2 * SECOND


def world_of(shape: Graph, *observers: Observer, seed: int = 4, studies: int = 5) -> World:
    return World(
        seed,
        shape,
        cellars=[clinic(seed, host, studies) for host in range(shape.size)],
        observers=[*safety(), *observers],
    )


def asked(world: World, origin: int = 0, **more: int) -> Asking:
    asking = world.ask(origin, budget_us=more.get("budget_us"))
    world.finish(asking)
    world.run(world.now + SECOND)
    assert asking.report is not None
    return asking


# ---------------------------------------------------------------- who they are


def test_a_larger_share_holds_the_smaller_one_and_spares_whom_it_is_told() -> None:
    chosen = [
        Droppers(percent).enlist(world_of(topologies.ring(30))) for percent in (0, 1, 10, 40, 100)
    ]
    assert [len(each) for each in chosen] == [0, 1, 3, 12, 30]
    for smaller, larger in pairwise(chosen):
        assert larger[: len(smaller)] == smaller
    world = world_of(topologies.ring(30))
    first = Liars(20).enlist(world)
    second = Flooders(20).enlist(world, spared=first)
    assert len(first) == len(second) == 6
    assert not set(first) & set(second)


@pytest.mark.parametrize("name", list(ADVERSARIES))
def test_each_kind_begins_when_it_is_told_to(name: str) -> None:
    kind = ADVERSARIES[name]
    world = world_of(topologies.complete(6))
    chosen = kind(percent=30, from_us=5 * SECOND).enlist(world)
    world.run(5 * SECOND - 1)
    assert not any(host.lied for host in world.hosts)
    world.run(6 * SECOND)
    assert tuple(host.index for host in world.hosts if host.lied) == tuple(sorted(chosen))


def test_what_cannot_be_is_refused_by_its_field() -> None:
    for make, field in (
        (lambda: Droppers(percent=101), "percent"),
        (lambda: Liars(from_us=-1), "from_us"),
        (lambda: Flooders(queries=0), "queries"),
    ):
        with pytest.raises(ValueError, match=field):
            make()


# ---------------------------------------------------------------- what they do


def test_who_drops_carries_nothing_and_seems_well_behaved() -> None:
    world = world_of(PATH)
    faults.lie(world, 2, Dropper())
    world.run(SECOND)
    asking = asked(world, budget_us=10 * SECOND)
    # Those behind are asked directly, as they stand in the roster.
    found = {world.index[node] for node in asking.rows}
    assert found == {0, 1, 3, 4}
    assert Dropper().instead(1, Closed(3)) == (Closed(3),)
    assert Dropper().instead(1, Got(3)) == (Got(3),)
    assert Dropper().instead(1, Part(3, b"")) == ()


def test_who_floods_does_so_again_and_again_while_it_is_up() -> None:
    world = world_of(topologies.complete(5), studies=1)
    (member,) = Flooders(20, queries=90, every_us=10 * SECOND).enlist(world)
    said: list[str] = []
    world.told["troubled"].append(lambda _, what: said.append(what))
    world.run(15 * SECOND)
    faults.crash(world, member)
    world.run(25 * SECOND)
    faults.restart(world, member)
    world.run(35 * SECOND)
    assert [what for what in said if what.startswith("flood")] == [f"flood {member} 90"] * 3


# ---------------------------------------------------------------- what is disclosed


def disclosed_on_a_path(holder: int, studies: int) -> Disclosed:
    disclosure = Disclosure()
    world = World(
        4,
        PATH,
        cellars=[
            clinic(4, host, studies) if host == holder else Canned() for host in range(PATH.size)
        ],
        observers=[disclosure],
    )
    world.run(SECOND)
    return disclosure.settle(asked(world, origin=1).query_id)


def test_all_whom_a_query_reaches_learn_who_asks_and_its_carriers_that_somebody_answers() -> None:
    disclosed = disclosed_on_a_path(holder=4, studies=1)
    assert sorted(disclosed.asked) == [0, 2, 3, 4]
    assert sorted(disclosed.carried) == [2, 3]
    assert list(disclosed.holders) == [4]


def test_a_part_of_the_smallest_size_says_nothing_and_a_larger_one_that_there_are_rows() -> None:
    assert not disclosed_on_a_path(holder=4, studies=1).suspect
    many = disclosed_on_a_path(holder=4, studies=40)
    assert sorted(many.suspect) == [2, 3]
    assert not disclosed_on_a_path(holder=0, studies=40).suspect  # no relay between


def test_a_ball_discloses_to_the_ball_alone() -> None:
    disclosure = Disclosure()
    world = world_of(topologies.ring(12), disclosure)
    world.run(SECOND)
    asking = world.ask(0, every_study(), Ball(2))
    world.finish(asking)
    assert sorted(disclosure.queries[asking.query_id].asked) == [1, 2, 10, 11]


def test_who_is_recalled_has_read_the_question_too_and_answers_nobody_but_the_asker() -> None:
    disclosure = Disclosure()
    world = world_of(PATH, disclosure)
    faults.lie(world, 2, Dropper())
    world.run(SECOND)
    asking = asked(world, budget_us=10 * SECOND)
    disclosed = disclosure.queries[asking.query_id]
    assert sorted(disclosed.asked) == [1, 2, 3, 4]
    assert sorted(disclosed.holders) == [1, 3, 4]
    assert not disclosed.carried


def test_what_was_settled_is_forgotten_and_floods_are_nobodys_question() -> None:
    disclosure = Disclosure()
    world = world_of(topologies.complete(5), disclosure)
    Flooders(20, queries=5, every_us=500 * MILLISECOND).enlist(world)
    world.run(3 * SECOND)
    assert not disclosure.queries
    asking = world.ask(0)
    world.run(world.now + 20 * MILLISECOND)
    disclosure.settle(asking.query_id)
    world.finish(asking)
    assert not disclosure.queries
    assert not disclosure._tokens


def test_an_overlay_of_its_own_discloses_a_query_to_all_once() -> None:
    disclosure = Disclosure()
    world = World(
        6, topologies.complete(8), settings=Settings(), observers=[disclosure, *safety()]
    )  # fmt: skip
    world.run(60 * SECOND)
    asking = asked(world)
    assert len(disclosure.queries[asking.query_id].asked) == 7
