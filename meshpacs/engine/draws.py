"""Counter-based chance: the same numbers in any order, in Python and in compiled kernels.

A draw is a pure function of (seed, node, purpose, counter), so that asking for one more number
here changes none there (PROTOCOL 6.1). The mixing is SplitMix64's finalizer (Steele, Lea, Flood
2014), applied once for each of the four words.
"""

import hashlib

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix(state: int) -> int:
    """SplitMix64's output function on one 64-bit word."""
    state = (state + _GOLDEN) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def word(text: bytes) -> int:
    """A name as one 64-bit word: the first 8 bytes of its SHA-256, big-endian."""
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def draw(seed: int, node: int, purpose: int, counter: int) -> int:
    """64 bits of chance from four words."""
    return mix(mix(mix(mix(seed & _MASK) ^ node) ^ purpose) ^ counter)


class Draws:
    """The chance of one node: a counter for each purpose."""

    def __init__(self, seed: int, node: bytes) -> None:
        """Begin at counter 0 for every purpose."""
        self._seed = seed
        self._node = word(node)
        self._purposes: dict[str, int] = {}
        self._counters: dict[str, int] = {}

    def bits(self, purpose: str) -> int:
        """The next 64 bits for this purpose."""
        counter = self._counters.get(purpose, 0)
        self._counters[purpose] = counter + 1
        if purpose not in self._purposes:
            self._purposes[purpose] = word(purpose.encode())
        return draw(self._seed, self._node, self._purposes[purpose], counter)

    def below(self, purpose: str, bound: int) -> int:
        """A number from 0 to bound - 1. The bias of the multiplication is below bound / 2^64."""
        return (self.bits(purpose) * bound) >> 64
