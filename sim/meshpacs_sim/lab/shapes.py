"""Topologies that a scenario can name, each with its parameters; the shapes are `graphs`' own."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta

from meshpacs_sim.graphs import lattices, power_laws, random_graphs
from meshpacs_sim.graphs.csr import Csr, from_graph
from meshpacs_sim.graphs.pieces import largest
from meshpacs_sim.graphs.snap import read_snap
from meshpacs_sim.world.grown import grown

COMPLETE_NODES = 2_000
"""Everybody with everybody: two million edges. A guess."""

Degree = Annotated[int, Meta(ge=1, le=256)]


class Topology(Protocol):
    """A frozen dataclass whose fields are the parameters."""

    def built(self, size: int, seed: int) -> Csr:
        """The graph of so many nodes, or its largest piece.

        Raises:
            ValueError: there is none.
            LocalFault: a file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Regular:
    """A random graph in which every node has equally many neighbours."""

    degree: Degree = 6
    """Neighbours of each node. The engine keeps six."""

    def built(self, size: int, seed: int) -> Csr:
        """By switchings."""
        return random_graphs.regular(size, self.degree, seed)


@dataclass(frozen=True, slots=True)
class Random:
    """Erdős and Rényi's: so many edges, anywhere. The largest piece is the mesh."""

    mean_degree: Annotated[float, Meta(ge=1, le=256)] = 6.0
    """Neighbours of a node on average."""

    def built(self, size: int, seed: int) -> Csr:
        """G(n, m)."""
        return largest(random_graphs.erdos_renyi(size, self.mean_degree, seed))


@dataclass(frozen=True, slots=True)
class BarabasiAlbert:
    """Growth in which newcomers link to whoever has many links (Barabási and Albert 1999)."""

    links: Annotated[int, Meta(ge=1, le=128)] = 3
    """Links that each newcomer makes."""

    def built(self, size: int, seed: int) -> Csr:
        """By preferential attachment."""
        return power_laws.barabasi_albert(size, self.links, seed)


@dataclass(frozen=True, slots=True)
class Plrg:
    """A power-law random graph (Aiello, Chung and Lu 2000; Lv et al. 2002); its largest piece,
    about nine tenths of the nodes.
    """

    rank_exponent: Annotated[float, Meta(ge=0.05, le=0.99)] = 0.8
    """The i-th most connected node has as many links as the first, over i to the power of this."""
    most: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Links of the most connected node; 0: as many as the exponent and the size give."""

    def built(self, size: int, seed: int) -> Csr:
        """By the configuration model."""
        exponent = Fraction(repr(self.rank_exponent))
        return largest(power_laws.plrg(size, seed, exponent, self.most or None))


@dataclass(frozen=True, slots=True)
class SmallWorld:
    """A circle with some edges moved (Watts and Strogatz 1998); its largest piece."""

    degree: Degree = 6
    """Neighbours of each node before edges are moved; an even number."""
    rewired: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """The share of edges that are moved."""

    def built(self, size: int, seed: int) -> Csr:
        """By moving edges."""
        return largest(lattices.watts_strogatz(size, self.degree, self.rewired, seed))


@dataclass(frozen=True, slots=True)
class Grid:
    """A sheet of four neighbours each."""

    width: Annotated[int, Meta(ge=1, le=1_000_000)]
    """Nodes in a row; it must divide the mesh's size."""
    wrap: bool = False
    """Whether opposite edges are joined: a torus."""

    def built(self, size: int, seed: int) -> Csr:  # noqa: ARG002
        """No chance in it."""
        self.check(size)
        return lattices.grid(self.width, size // self.width, wrap=self.wrap)

    def check(self, size: int) -> None:
        """Check that rows are full.

        Raises:
            ValueError: they are not.
        """
        if size % self.width:
            raise ValueError(f"a grid {self.width} wide cannot have {size} nodes")


@dataclass(frozen=True, slots=True)
class Ring:
    """A circle."""

    def built(self, size: int, seed: int) -> Csr:  # noqa: ARG002
        """No chance in it."""
        return lattices.ring(size)


@dataclass(frozen=True, slots=True)
class Complete:
    """Everybody with everybody, of up to 2,000 nodes."""

    def built(self, size: int, seed: int) -> Csr:  # noqa: ARG002
        """No chance in it."""
        self.check(size)
        return lattices.complete(size)

    def check(self, size: int) -> None:
        """Check that there is memory for it.

        Raises:
            ValueError: it has too many nodes.
        """
        if size > COMPLETE_NODES:
            raise ValueError(
                f"a complete graph has at most {COMPLETE_NODES} nodes here, not {size}"
            )


@dataclass(frozen=True, slots=True)
class Grown:
    """The overlay that the engine itself grows when it is left alone; some thousands of nodes."""

    def built(self, size: int, seed: int) -> Csr:
        """By living through its beginning."""
        return from_graph(grown(size, seed))


@dataclass(frozen=True, slots=True)
class Snap:
    """An edge list as the Stanford Network Analysis Project publishes them; its largest piece,
    whatever mesh.size says.
    """

    file: str
    """Two node numbers a line, comments behind #, packed with gzip or not. A relative name is
    looked for beside the scenario."""

    def built(self, size: int, seed: int) -> Csr:  # noqa: ARG002
        """As it is in the file."""
        return largest(read_snap(Path(self.file)).csr)


def check(topology: Topology, size: int) -> None:
    """Check what a topology can be made of, without making it.

    Raises:
        ValueError: there is none of so many nodes.
    """
    match topology:
        case Regular(degree):
            random_graphs.check_regular(size, degree)
        case SmallWorld(degree, rewired):
            lattices.check_small_world(size, degree, rewired)
        case Grid():
            topology.check(size)
        case Complete():
            topology.check(size)
        case _:
            pass  # nearly any number of nodes will do; what does not is refused when it is built


TOPOLOGIES: Mapping[str, type] = {
    "regular": Regular,
    "random": Random,
    "barabasi_albert": BarabasiAlbert,
    "plrg": Plrg,
    "small_world": SmallWorld,
    "grid": Grid,
    "ring": Ring,
    "complete": Complete,
    "grown": Grown,
    "snap": Snap,
}
"""By the word in `mesh.topology.kind`."""
