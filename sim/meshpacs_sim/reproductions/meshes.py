"""One mesh of every kind, ten thousand nodes each: what several reproductions are done on."""

from fractions import Fraction

import numpy as np

from meshpacs_sim.graphs import lattices, power_laws, random_graphs
from meshpacs_sim.graphs.csr import Csr
from meshpacs_sim.graphs.pieces import largest
from meshpacs_sim.strategies.search import Copies, Roads, Scene

SIZE = 10_000
UNIT = Roads(10_000, 10_000, 0)
"""Every hop takes equally long."""


def of_every_kind() -> dict[str, Csr]:
    """All connected: of a PLRG and of a random graph the largest piece."""
    return {
        "8-regular": random_graphs.regular(SIZE, 8, 1),
        "random graph": largest(random_graphs.erdos_renyi(SIZE, 4.0, 1)),
        "PLRG": largest(power_laws.plrg(SIZE, 1, Fraction(4, 5))),
        "Barabási–Albert": power_laws.barabasi_albert(SIZE, 3, 1),
        "Watts–Strogatz": lattices.watts_strogatz(SIZE, 6, 0.1, 1),
        "grid": lattices.grid(100, 100),
    }


def all_up(mesh: Csr, copies: Copies) -> Scene:
    """A scene in which nobody is down."""
    return Scene(1, mesh, np.ones(mesh.size, np.bool_), copies, UNIT)
