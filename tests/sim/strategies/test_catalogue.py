"""What a scenario can name."""

import numpy as np
import pytest

from meshpacs_sim.graphs import topologies
from meshpacs_sim.lab.keys import tables
from meshpacs_sim.strategies.catalogue import STRATEGIES
from meshpacs_sim.strategies.placement import PLACEMENTS
from meshpacs_sim.strategies.replication import REPLICATIONS
from meshpacs_sim.strategies.search import Searches, Strategy
from tests.sim.strategies.scenes import asked, held_by, same, scene

GRAPH = topologies.regular(60, 6, 2)


def made(name: str) -> Strategy:
    strategy: Strategy = STRATEGIES[name]()  # type: ignore[assignment]
    return strategy


def test_every_strategy_is_called_what_it_calls_itself_and_has_a_file_of_that_name() -> None:
    for name, kind in STRATEGIES.items():
        assert made(name).name == name
        assert kind.__module__ == f"meshpacs_sim.strategies.{name}"


def test_everything_that_a_scenario_can_name_of_them_is_explained_with_its_source() -> None:
    told = [table for table in tables() if table.room == "strategies"]
    assert len(told) == len(STRATEGIES) + len(PLACEMENTS) + len(REPLICATIONS)
    for table in told:
        assert table.about.endswith(")."), table.table
        for key in table.keys:
            assert key.means.endswith((".", "guess")), (table.table, key)
            assert key.means[0].isupper() or key.means[0].isdigit(), (table.table, key)
    assert [kind().name for kind in PLACEMENTS.values()] == list(PLACEMENTS)
    assert [kind().name for kind in REPLICATIONS.values()] == list(REPLICATIONS)


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_finds_what_half_of_the_mesh_holds_and_sends_what_arrives(name: str) -> None:
    view = scene(GRAPH, held_by(range(30, 60)), down=[7, 45])
    pairs = asked(*((origin, 0) for origin in range(6)))
    told = made(name).search(view, pairs)
    assert told.retrievable.all()
    assert told.load.sum() <= told.messages.sum()
    assert not told.load[~view.up].any()
    assert (told.hops >= 0).all()
    assert (told.latency_us >= 0).all()
    assert (told.duplicates >= 0).all()
    assert told.reached.max() < 58
    assert same(told, made(name).search(view, pairs))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_is_the_same_whatever_is_done_beside_it_and_in_whatever_batch(name: str) -> None:
    view = scene(GRAPH, held_by([41], [3, 50]), down=[7, 45])
    pairs = asked(*((origin, origin % 2) for origin in range(8, 20)))
    strategy = made(name)
    whole = strategy.search(view, pairs)
    parts = [
        strategy.search(
            view, Searches(pairs.origins[some], pairs.contents[some], np.arange(12)[some])
        )
        for some in (slice(0, 5), slice(5, 12))
    ]
    for field in ("kinds", "latency_us", "hops", "reached", "copies_found", "duplicates"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        assert joined.tolist() == getattr(whole, field).tolist(), field
    assert (parts[0].load + parts[1].load).tolist() == whole.load.tolist()


def test_two_searches_for_the_same_take_two_chances() -> None:
    view = scene(topologies.regular(60, 6, 2), held_by([41]))
    for name in ("random_walkers", "random_probing"):
        told = made(name).search(view, asked(*((0, 0) for _ in range(12))))
        assert len(set(told.messages.tolist())) > 3, name
