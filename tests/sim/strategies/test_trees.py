"""A broadcast tree reaches everybody once, and mends itself."""

from meshpacs_sim.graphs import topologies
from meshpacs_sim.strategies.broadcast_tree import BroadcastTree
from meshpacs_sim.strategies.sizes import Kind
from tests.sim.strategies.scenes import UNIT, asked, held_by, mostly_up, same, scene

SHAPES = (
    topologies.regular(120, 5, 1),
    topologies.random(100, 4.0, 2),
    topologies.grid(9, 8),
    topologies.power_law(90, 2, 3),
)


def test_a_tree_sends_exactly_one_question_to_everybody_and_notices_along_the_rest() -> None:
    for graph in SHAPES:
        view = scene(graph, held_by([graph.size - 1]))
        told = BroadcastTree().search(view, asked((0, 0), (7, 0)))
        assert told.kinds[:, Kind.ASK].tolist() == [graph.size - 1] * 2
        assert told.duplicates.tolist() == [0, 0]
        assert told.reached.tolist() == [graph.size - 1] * 2
        # Every other link is used once from each end.
        others = len(graph.edges) - (graph.size - 1)
        assert told.kinds[:, Kind.NOTICE].tolist() == [2 * others] * 2
        assert told.kinds[:, Kind.PART].tolist() == told.hops.tolist()


def test_a_mended_tree_reaches_all_that_hangs_together_and_nobody_down() -> None:
    for seed, graph in enumerate(SHAPES):
        view = scene(graph, held_by(range(0, graph.size, 5)))
        view.up[:] = mostly_up(graph.size, seed)
        left = {0}
        while (
            more := {end for node in left for end in graph.neighbours[node] if view.up[end]} - left
        ):
            left |= more
        for strategy in (BroadcastTree(), BroadcastTree(repaired=False)):
            told = strategy.search(view, asked((0, 0)))
            assert told.reached[0] == len(left) - 1
            assert not told.load[~view.up].any()
            assert told.copies_found[0] == sum(1 for node in left if node % 5 == 0 and node)
            assert told.kinds[0, Kind.ASK] - told.duplicates[0] == len(left) - 1
            assert told.load.sum() == told.messages[0]
        assert BroadcastTree().search(view, asked((0, 0))).duplicates[0] == 0


def test_a_tree_that_was_cut_is_mended_by_a_graft_after_a_wait() -> None:
    # A circle's tree is the circle without one link; with a node down it has at most two pieces.
    graph = topologies.ring(12)
    whole = scene(graph, held_by([6]), roads=UNIT)
    tree = BroadcastTree(repaired=False, graft_us=500_000)
    lazy = [
        (node, (node + 1) % 12)
        for node in range(12)
        if tree.search(scene(graph, held_by([(node + 1) % 12]), roads=UNIT), asked((node, 0))).hops[
            0
        ]
        == 11
    ]
    (gap,) = lazy
    # The node before the gap is cut off on one side by who is down, on the other by no tree link.
    asker, holder = gap
    cut = scene(graph, held_by([holder]), down=[(holder + 4) % 12], roads=UNIT)
    told = tree.search(cut, asked((asker, 0)))
    assert told.reached[0] == 10
    assert told.duplicates[0] == 0
    # Its notice came over one hop, and the question after the wait, the graft and a hop more.
    assert told.latency_us[0] == 10_000 + 500_000 + 10_000 + 10_000 + 10_000
    assert told.hops[0] == 1
    # The notice itself and the graft; before the outage the notice alone, from both ends.
    assert told.kinds[0, Kind.NOTICE] == 2
    mended = BroadcastTree(repaired=True).search(cut, asked((asker, 0)))
    assert mended.reached[0] == 10
    assert mended.latency_us[0] == 20_000
    assert BroadcastTree().upkeep(whole, joins=10, leaves=4, changes=9).messages == 10 + 4
    assert tree.upkeep(whole, joins=10, leaves=4, changes=9).messages == 10


def test_one_seed_is_one_tree() -> None:
    graph, copies = SHAPES[0], held_by([50])
    pairs = asked(*((origin, 0) for origin in range(20)))
    one, again, other = (
        BroadcastTree().search(scene(graph, copies, seed=seed), pairs) for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not same(one, other)
