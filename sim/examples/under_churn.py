"""What one copy, three and nine are worth when nodes come and go; with the kernel."""

from collections import defaultdict

from meshpacs_sim.lab import Content, Measure, Mesh, Scenario, Workload, run
from meshpacs_sim.lab.churning import Sessions
from meshpacs_sim.strategies.ball import Ball

scenario = Scenario(
    name="Sessions of eight hours",
    fidelity="kernel",
    mesh=Mesh(size=400),
    search=Ball(ttl=4),
    content=Content(contents=60, copies=(1, 3, 9)),
    churn=Sessions(up_hours=8, down_hours=8),
    workload=Workload(queries_per_minute=0.5),
    measure=Measure(queries=300, batch=10),
)
table = run(scenario).results.queries
found = defaultdict(list)
for row in table.select(["copies", "copies_up", "discovered"]).to_pylist():
    found[row["copies"]].append((row["copies_up"], row["discovered"]))
for copies, seen in sorted(found.items()):
    up = sum(each[0] for each in seen) / len(seen)
    share = sum(each[1] for each in seen) / len(seen)
    print(f"{copies} copies, {up:.1f} of them up on average: {share:.0%} of queries found one")
