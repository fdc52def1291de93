"""Counter-based chance, compiled: number for number what `meshpacs.engine.draws` draws."""

import numpy as np

from meshpacs_sim.kernel.compiled import compiled

Word = int | np.integer

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@compiled
def mix(state: np.uint64) -> np.uint64:
    """SplitMix64's output function on one 64-bit word."""
    state = state + _GOLDEN
    state = (state ^ (state >> _30)) * _FIRST
    state = (state ^ (state >> _27)) * _SECOND
    return state ^ (state >> _31)


@compiled
def draw(seed: Word, node: Word, purpose: Word, counter: Word) -> np.uint64:
    """64 bits of chance from four words, each taken modulo 2^64."""
    state = mix(np.uint64(seed)) ^ np.uint64(node)
    return mix(mix(mix(state) ^ np.uint64(purpose)) ^ np.uint64(counter))


@compiled
def below(bits: np.uint64, bound: int) -> np.int64:
    """A number from 0 to bound - 1 from 64 bits; `bound` up to 2^32.

    The upper half of the 96-bit product, as Python's `(bits * bound) >> 64` gives it.
    """
    high, low = bits >> _32, bits & _LOW
    width = np.uint64(bound)
    return np.int64((high * width + ((low * width) >> _32)) >> _32)
