"""What a scenario can name."""

from meshpacs_sim.graphs import topologies
from meshpacs_sim.strategies.catalogue import STRATEGIES, parameters_of, words_of
from meshpacs_sim.strategies.search import Strategy
from tests.sim.strategies.scenes import asked, held_by, same, scene


def made(name: str) -> Strategy:
    strategy: Strategy = STRATEGIES[name]()  # type: ignore[assignment]
    return strategy


def test_every_strategy_is_called_what_it_calls_itself_and_has_a_file_of_that_name() -> None:
    for name, kind in STRATEGIES.items():
        assert made(name).name == name
        assert kind.__module__ == f"meshpacs_sim.strategies.{name}"


def test_every_strategy_and_every_parameter_is_explained() -> None:
    for kind in STRATEGIES.values():
        assert words_of(kind).endswith(").")
        for each in parameters_of(kind):
            assert each.meaning.endswith((".", "guess")), (kind, each)
            assert each.meaning[0].isupper() or each.meaning[0].isdigit(), (kind, each)


def test_every_strategy_finds_what_half_of_the_mesh_holds_and_sends_what_arrives() -> None:
    graph = topologies.regular(60, 6, 2)
    view = scene(graph, held_by(range(30, 60)), down=[7, 45])
    pairs = asked(*((origin, 0) for origin in range(6)))
    for name in STRATEGIES:
        told = made(name).search(view, pairs)
        assert told.retrievable.all(), name
        assert told.load.sum() <= told.messages.sum(), name
        assert (told.hops >= 0).all(), name
        assert (told.latency_us >= 0).all(), name
        assert (told.duplicates >= 0).all(), name
        assert told.reached.max() < 60, name
        assert same(told, made(name).search(view, pairs)), name
