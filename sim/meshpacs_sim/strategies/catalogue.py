"""Every way to search, by the name that scenarios call it."""

from collections.abc import Mapping

from meshpacs_sim.strategies.ball import Ball
from meshpacs_sim.strategies.broadcast_tree import BroadcastTree
from meshpacs_sim.strategies.central_index import CentralIndex
from meshpacs_sim.strategies.digests import Digests
from meshpacs_sim.strategies.everyone import Everyone
from meshpacs_sim.strategies.expanding_ring import ExpandingRing
from meshpacs_sim.strategies.log_dht import LogDht
from meshpacs_sim.strategies.one_hop_dht import OneHopDht
from meshpacs_sim.strategies.parameters import Parameters
from meshpacs_sim.strategies.random_probing import RandomProbing
from meshpacs_sim.strategies.random_walkers import RandomWalkers
from meshpacs_sim.strategies.super_nodes import SuperNodes
from meshpacs_sim.strategies.ttl_flood import TtlFlood

STRATEGIES: Mapping[str, type[Parameters]] = {
    "everyone": Everyone,
    "ball": Ball,
    "expanding_ring": ExpandingRing,
    "ttl_flood": TtlFlood,
    "random_walkers": RandomWalkers,
    "random_probing": RandomProbing,
    "digests": Digests,
    "broadcast_tree": BroadcastTree,
    "super_nodes": SuperNodes,
    "central_index": CentralIndex,
    "one_hop_dht": OneHopDht,
    "log_dht": LogDht,
}
"""Frozen dataclasses, each a `Strategy`; bounds of their fields stand in the annotations."""
