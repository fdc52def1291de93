"""Hits and messages of balls of growing width, from a sweep that goes on where it was stopped."""

from meshpacs_sim.lab import Measure, Mesh, Scenario, sweep

base = Scenario(name="How wide?", mesh=Mesh(size=24), measure=Measure(queries=12))
balls = [{"strategy": "ball", "ttl": ttl} for ttl in (1, 2, 3)]

made = sweep(base, {"search": balls}, out="how-wide", seeds=[1, 2], jobs=1)
for kept in made.done():
    table = kept.load().results.queries.to_pydict()
    share = sum(table["discovered"]) / len(table["query"])
    messages = sum(table["messages"]) / len(table["query"])
    ttl = kept.values["search"]["ttl"]
    print(f"ttl {ttl}, seed {kept.seed}: {share:.0%} found, {messages:.0f} messages a query")
