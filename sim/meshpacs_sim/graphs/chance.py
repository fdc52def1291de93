"""The engine's counter-based chance as arrays: number for number what `Draws` draws one by one."""

import numpy as np
import numpy.typing as npt

from meshpacs.engine.draws import mix, word

Words = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

_MASK = (1 << 64) - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


class Chance:
    """A stream for each purpose, as `meshpacs.engine.draws.Draws(seed, node)` has them."""

    def __init__(self, seed: int, node: bytes) -> None:
        """Begin at counter 0 for every purpose."""
        self._state = mix(seed & _MASK) ^ word(node)
        self._counters: dict[str, int] = {}

    def bits(self, purpose: str, count: int) -> Words:
        """The next `count` words of 64 bits for this purpose."""
        counter = self._counters.get(purpose, 0)
        self._counters[purpose] = counter + count
        return self.bits_at(purpose, counter, count)

    def bits_at(self, purpose: str, counter: int, count: int) -> Words:
        """The words from this counter on, whatever else was drawn."""
        state = np.uint64(mix(mix(self._state) ^ word(purpose.encode())))
        return _mixed(state ^ np.arange(counter, counter + count, dtype=np.uint64))

    def below(self, purpose: str, bound: int, count: int) -> Int64s:
        """So many numbers from 0 to bound - 1; `bound` up to 2^63."""
        return scaled(self.bits(purpose, count), bound)

    def below_each(self, purpose: str, bounds: Int64s) -> Int64s:
        """For each bound a number from 0 to below it."""
        return scaled(self.bits(purpose, len(bounds)), bounds)

    def order(self, purpose: str, count: int) -> Int64s:
        """The numbers from 0 to count - 1 in a random order: that of as many random words."""
        return np.argsort(self.bits(purpose, count), kind="stable")


def scaled(bits: Words, bound: int | Int64s) -> Int64s:
    """Numbers from 0 to bound - 1 out of 64 bits each: Python's `(bits * bound) >> 64`."""
    width = np.asarray(bound, np.uint64)
    high, low = bits >> _32, bits & _LOW
    upper, lower = width >> _32, width & _LOW
    middle = high * lower + ((low * lower) >> _32)
    numbers: Words = middle >> _32
    if upper.any():
        numbers += high * upper + ((low * upper + (middle & _LOW)) >> _32)
    return numbers.astype(np.int64)


def _mixed(state: Words) -> Words:
    """SplitMix64's output function on each word; unsigned arithmetic wraps."""
    state += _GOLDEN
    state ^= state >> _30
    state *= _FIRST
    state ^= state >> _27
    state *= _SECOND
    state ^= state >> _31
    return state
