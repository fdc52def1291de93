"""What coverage-guided fuzzing is let loose on holds for honest inputs and their neighbours."""

from random import Random

import pytest

from garbage.mutations import scramble, warp
from garbage.targets import TARGETS, seeds

SEED = 3


@pytest.mark.parametrize("name", TARGETS)
def test_no_target_falls_over_honest_inputs_or_what_is_near_them(name: str) -> None:
    honest = seeds(name)
    for data in (b"", *honest):
        TARGETS[name](data)
    draw = Random(SEED)
    for number in range(150):
        data = scramble(draw.choice(honest), draw, draw.choice(honest))
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"seed {SEED}, input {number} of {name}: {data!r}") from error


def test_the_same_seed_warps_alike_and_another_one_does_not() -> None:
    honest = seeds("codec")[5][2:]
    warped = [[warp(honest, Random(seed)) for _ in range(3)] for seed in (1, 1, 2)]
    assert warped[0] == warped[1] != warped[2]
