"""How long roads are, compiled: number for number the latencies of `world.network.Latency`."""

import numpy as np

from meshpacs.engine.draws import word
from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word, draw

TABLE = 8
"""Latencies of one direction, which its messages take in turn; the world's number."""

_BASE = np.uint64(word(b"latency base"))
_JITTER = np.uint64(word(b"latency jitter"))
_32, _ONE = np.uint64(32), np.uint64(1)


@compiled
def latency_us(
    seed: Word, src: Word, dst: Word, turn: Word, low_us: Word, high_us: Word, jitter_us: Word
) -> np.int64:
    """What the message that is number `turn` from `src` to `dst` takes, counted from 0."""
    place = (np.uint64(src) << _32) + np.uint64(dst)
    low, high = np.uint64(low_us), np.uint64(high_us)
    base = low + draw(seed, place, _BASE, 0) % (high - low + _ONE)
    shake = draw(seed, place, _JITTER, turn % TABLE) % (np.uint64(jitter_us) + _ONE)
    return np.int64(base + shake)
