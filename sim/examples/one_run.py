"""How much of a mesh hears of one query, and what that costs: one run from Python."""

from meshpacs_sim.lab import Content, Measure, Mesh, Scenario, run
from meshpacs_sim.lab.searching import AskBall
from meshpacs_sim.lab.shapes import Regular

scenario = Scenario(
    name="Three hops among forty clinics",
    mesh=Mesh(size=40, topology=Regular(degree=4)),
    search=AskBall(ttl=3),
    content=Content(contents=20, copies=(1, 2)),
    measure=Measure(queries=40),
)
made = run(scenario)
table = made.results.queries.to_pydict()
found = sum(table["discovered"])
print(f"{found} of {len(table['query'])} queries found a copy")
print(f"{sum(table['reached']) / len(table['query']):.0f} of 39 others heard of each")
print(f"{sum(table['messages']) / len(table['query']):.0f} messages for each")
