"""The overlay that the engine grows is whole, settled, and the same for the same seed."""

import pytest

from meshpacs.engine.settings import Settings
from meshpacs.model.ids import SECOND
from meshpacs_sim.world.grown import grown


@pytest.mark.parametrize("apart_us", [0, SECOND])
def test_in_a_large_mesh_everybody_has_some_neighbours_and_nobody_too_many(apart_us: int) -> None:
    shape, kept = grown(30, 3, apart_us=apart_us), Settings()
    degrees = [shape.degree(node) for node in range(30)]
    assert shape.connected
    assert min(degrees) >= kept.neighbours
    # Dials of one's own may go beyond what is accepted of others.
    assert max(degrees) <= kept.neighbours_most + kept.neighbours
    assert len(set(degrees)) > 3
    assert grown(30, 3, apart_us=apart_us) == shape
    assert grown(30, 4, apart_us=apart_us).edges != shape.edges


def test_in_a_small_mesh_everybody_is_linked_with_everybody() -> None:
    assert len(grown(Settings().full_mesh, 1).edges) == 8 * 7 // 2
    assert grown(1, 1).edges == ()


def test_an_overlay_that_does_not_settle_or_does_not_grow_is_refused() -> None:
    restless = Settings(full_mesh=2, neighbours=4, neighbours_most=1)
    with pytest.raises(ValueError, match=r"did not settle \(seed 1\)"):
        grown(8, 1, settings=restless, patience_us=200 * SECOND)
    with pytest.raises(ValueError, match="does not grow"):
        grown(8, 1, settings=Settings(frozen_overlay=True))
