"""What a flood costs, to the last message: 2E - (n - 1), and the ball's M(t)."""

from meshpacs_sim.graphs import identities
from meshpacs_sim.kernel import events, rounds
from meshpacs_sim.pictures.curves import Axis, Curve, Panel, curves
from meshpacs_sim.reproductions.finding import Finding, Reproduction, certain, exactly
from meshpacs_sim.reproductions.meshes import of_every_kind
from meshpacs_sim.reproductions.published import published

WIDEST = 8
SEED = 1
"""Of latencies: whatever they are, everyone costs the same, and a ball is kept (PROTOCOL 4.7)."""


def reproduce() -> Reproduction:
    """Everyone, and balls of every width, on every kind of mesh."""
    findings: list[Finding] = []
    drawn: list[Curve] = []
    for kind, mesh in of_every_kind().items():
        asks = 2 * mesh.edge_count - (mesh.size - 1)
        everyone = rounds.flood(mesh, 0)
        findings.append(exactly(f"{kind}: Asks to everyone", asks, everyone.messages))
        repeats = asks - (mesh.size - 1)
        findings.append(exactly(f"{kind}: repeats", repeats, everyone.duplicates))
        uneven = events.flood(mesh, 0, SEED)
        findings.append(exactly(f"{kind}: Asks, latencies by lot", asks, uneven.messages))
        graph, costs = mesh.graph(), []
        for ttl in range(1, WIDEST + 1):
            ball = rounds.flood(mesh, 0, ttl)
            least = identities.ball_asks_at_least(graph, 0, ttl)
            asked = len(identities.ball(graph, 0, ttl))
            findings.append(exactly(f"{kind}: Asks of a ball of {ttl}", least, ball.messages))
            findings.append(exactly(f"{kind}: nodes in a ball of {ttl}", asked, len(ball.order)))
            kept = events.flood(mesh, 0, SEED, ttl=ttl).reached
            findings.append(exactly(f"{kind}: the same, latencies by lot", asked, kept))
            costs.append(certain(ball.messages))
        drawn.append(Curve(kind, range(1, WIDEST + 1), costs))
    picture = curves(
        "exact-floods",
        "What a ball costs",
        [Panel("", drawn)],
        Axis("TTL, hops"),
        Axis("Asks", logarithmic=True),
    )
    return Reproduction(published("exact_floods"), findings, [picture])
