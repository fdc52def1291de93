"""Every reproduction by its name, in the order of the page; each is a file here."""

import importlib

from meshpacs_sim.reproductions.finding import Reproduction

NAMES = (
    "exact_floods",
    "mean_field",
    "random_probing",
    "square_root",
    "random_walk",
    "digests",
    "plumtree",
    "lv2002",
    "percolation",
    "bubblestorm",
)


def reproduced(name: str) -> Reproduction:
    """Do one of `NAMES`."""
    module = importlib.import_module(f"meshpacs_sim.reproductions.{name}")
    made: Reproduction = module.reproduce()
    return made
