"""Compiled chance is Python's chance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshpacs.engine import draws as plain
from meshpacs_sim.kernel import draws as quick

WORDS = st.integers(0, (1 << 64) - 1)


@given(WORDS, WORDS, WORDS, WORDS, st.integers(1, 1 << 32))
def test_a_compiled_draw_is_the_engines_draw(
    seed: int, node: int, purpose: int, counter: int, bound: int
) -> None:
    bits = plain.draw(seed, node, purpose, counter)
    words = [np.uint64(each) for each in (seed, node, purpose, counter)]
    assert int(quick.draw(*words)) == bits
    assert int(quick.below(np.uint64(bits), bound)) == (bits * bound) >> 64
