"""The laboratory: scenarios, runs, sweeps, results, and what is drawn and told of them."""

from meshpacs_sim.lab.running import Run, load, run
from meshpacs_sim.lab.scenario import Content, Measure, Mesh, Scenario
from meshpacs_sim.lab.sweeping import Sweep, sweep
from meshpacs_sim.lab.work import Workload

__all__ = [
    "Content",
    "Measure",
    "Mesh",
    "Run",
    "Scenario",
    "Sweep",
    "Workload",
    "load",
    "run",
    "sweep",
]
