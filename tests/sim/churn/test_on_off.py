"""Nodes that come and go are up for the share of time that theory gives them, from the start."""

import math
from itertools import pairwise

import pytest

from meshpacs_sim.world.churn.lengths import Kind, Lengths
from meshpacs_sim.world.churn.on_off import OnOff
from meshpacs_sim.world.churn.schedule import Presence, Schedule, schedule

HOUR = 3_600_000_000
NODES = 200


def within(shares: list[float], theory: float, seed: int) -> None:
    """The mean lies within four of its standard errors of theory."""
    mean = sum(shares) / len(shares)
    spread = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1)
    assert abs(mean - theory) < 4 * math.sqrt(spread / len(shares)), (seed, mean, theory)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("kind", "shape"), [("exponential", 1.0), ("weibull", 0.5), ("pareto", 3.0)]
)
def test_nodes_are_up_for_their_share_of_time(kind: Kind, shape: float, seed: int) -> None:
    churn = OnOff(Lengths(kind, 2 * HOUR, shape), Lengths("exponential", HOUR))
    kept = [schedule(churn, seed, node, 60 * HOUR) for node in range(NODES)]
    within([float(each.availability) for each in kept], 2 / 3, seed)
    # The world begins in the middle of things: at once, and in every hour, the share is the same.
    for hour in (0, 1, 30):
        shares = [each.up_us(hour * HOUR, (hour + 1) * HOUR) / HOUR for each in kept]
        within(shares, 2 / 3, seed)


def test_sessions_after_the_first_have_their_mean() -> None:
    churn, seed = OnOff(Lengths("exponential", 2 * HOUR), Lengths("exponential", HOUR)), 4
    lengths, pauses = [], []
    for node in range(100):
        spans = schedule(churn, seed, node, 300 * HOUR).spans[1:61]
        lengths += [(span.down_us - span.up_us) / HOUR for span in spans]
        pauses += [(b.up_us - a.down_us) / HOUR for a, b in pairwise(spans)]
    within(lengths, 2, seed)
    within(pauses, 1, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_node_has_means_of_its_own_if_they_are_spread(seed: int) -> None:
    spread = Lengths("exponential", 1)
    churn = OnOff(Lengths("exponential", HOUR), Lengths("exponential", HOUR), spread)
    means = [churn.means_us(seed, node) for node in range(NODES)]
    within([up / HOUR for up, _ in means], 1, seed)
    shares = [up / (up + down) for up, down in means]
    # Two exponential means: the share is spread evenly from 0 to 1.
    within(shares, 1 / 2, seed)
    within([(share - 1 / 2) ** 2 for share in shares], 1 / 12, seed)
    presence = Presence(churn, seed, NODES)
    for hour in (0, 5):
        up = presence.at(hour * HOUR)
        within([is_up - share for is_up, share in zip(up, shares, strict=True)], 0, seed)


def test_the_same_seed_is_the_same_schedule_and_nodes_differ() -> None:
    churn = OnOff(Lengths("weibull", HOUR, 0.5), Lengths("pareto", HOUR, 3))

    def kept(seed: int, node: int) -> Schedule:
        return schedule(churn, seed, node, 50 * HOUR)

    assert kept(1, 0) == kept(1, 0)
    assert len({kept(1, 0), kept(1, 1), kept(2, 0)}) == 3
