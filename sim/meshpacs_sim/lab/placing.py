"""Where copies are when a run begins: counted, shared out, or left behind by earlier searches."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from meshpacs.engine.draws import draw, word
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.strategies.placement import PLACEMENTS, Placement
from meshpacs_sim.strategies.replication import REPLICATIONS, Replication
from meshpacs_sim.strategies.search import Copies, Scene, Searches

SHELVES = 1_000_000_000
"""Nodes times contents, of what searches leave behind; a byte each, twice."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Each content has the number of copies that `content.copies` tells."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was searched for before."""


PLACED: Mapping[str, type[Counted | Placement]] = {"counted": Counted, **PLACEMENTS}
"""By the word in `content.placement.by`."""

LEFT: Mapping[str, type[Unchanged | Replication]] = {"none": Unchanged, **REPLICATIONS}
"""By the word in `content.replication.rule`."""


def grown(
    copies: Copies, rule: Replication, searches: int, sums: tuple[int, ...], mesh: Csr, seed: int
) -> Copies:
    """What so many searches leave behind, while everybody is up.

    `sums` are running sums of how often each content is asked for. Anybody asks, whether it has a
    copy or not.
    """
    limits = np.array(sums, np.float64)
    bits = [draw(seed, 0, _CONTENT, turn) >> 11 for turn in range(searches)]
    wanted = np.searchsorted(limits, np.array(bits) / 2.0**53 * limits[-1], side="right")
    askers = [draw(seed, 0, _ASKER, turn) * mesh.size >> 64 for turn in range(searches)]
    scene = Scene(seed, mesh, np.ones(mesh.size, np.bool_), copies)
    return rule.grown(scene, Searches(np.array(askers, np.int32), wanted.astype(np.int32)))


_CONTENT, _ASKER = word(b"lab/earlier content"), word(b"lab/earlier asker")
