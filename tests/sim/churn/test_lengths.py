"""Lengths have the mean asked for, and the quantiles that theory gives."""

import hashlib
import math
from bisect import bisect_left

import pytest

from meshpacs.engine.draws import draw
from meshpacs_sim.world.churn.lengths import UNIT, Kind, Lengths, table_of

HOUR = 3_600_000_000
KINDS: tuple[tuple[Kind, float], ...] = (
    ("exponential", 1.0),
    ("weibull", 0.5),
    ("weibull", 2.0),
    ("pareto", 3.0),
)
COUNT = 8_000


def unit_mean(kind: Kind, shape: float) -> float:
    """Of scale 1, by theory."""
    if kind == "pareto":
        return 1 / (shape - 1)
    return math.gamma(1 + 1 / shape)


def quantile(kind: Kind, shape: float, share: float) -> float:
    """Of scale 1, by theory."""
    log = -math.log1p(-share)
    if kind == "pareto":
        return math.exp(log / shape) - 1
    return float(log ** (1 / shape))


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_a_table_holds_the_quantiles_and_the_mean_of_theory(kind: Kind, shape: float) -> None:
    table = table_of(kind, shape)
    assert len(table.edges) == len(table.until) + 1 == 4_095 + 4_096 + 1
    for slot in range(0, 4_096, 91):
        theory = quantile(kind, shape, slot / 4_096)
        assert table.edges[slot] / UNIT == pytest.approx(theory, rel=1e-9, abs=1e-9)
        rare = 1 - (4_096 - slot) / 4_096**2
        narrow = table.edges[4_095 + slot] / UNIT
        assert narrow == pytest.approx(quantile(kind, shape, rare), rel=1e-7)
    assert table.until[-1] / (2 * 4_096**2 * UNIT) == pytest.approx(
        unit_mean(kind, shape), rel=3e-4
    )


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_lengths_have_the_mean_asked_for_whatever_the_tail(kind: Kind, shape: float) -> None:
    """Every step of the table in turn, from its middle: the mean itself, not a sample of it."""
    lengths, middle = Lengths(kind, HOUR, shape), 1 << 51
    wide = sum(lengths.length((slot << 52) + middle) for slot in range(4_095))
    narrow = sum(lengths.length((4_095 << 52) + (slot << 40) + (1 << 39)) for slot in range(4_096))
    assert (wide * 4_096 + narrow) / 4_096**2 == pytest.approx(HOUR, rel=1e-8)


@pytest.mark.parametrize(("kind", "shape"), KINDS)
@pytest.mark.parametrize("seed", [1])
def test_drawn_lengths_are_spread_as_theory_has_them(kind: Kind, shape: float, seed: int) -> None:
    lengths = Lengths(kind, HOUR, shape)
    drawn = sorted(lengths.length(draw(seed, at, 0, 0)) for at in range(COUNT))
    scale = HOUR / unit_mean(kind, shape)
    for share in (0.1, 0.5, 0.9, 0.99):
        below = bisect_left(drawn, quantile(kind, shape, share) * scale)
        # Four standard deviations of COUNT coins, and the cut tail's share of the mean.
        off = 4 * math.sqrt(share * (1 - share) / COUNT) + 1e-3
        assert abs(below / COUNT - share) < off, (seed, share)


@pytest.mark.parametrize(("kind", "shape"), KINDS[:3])
def test_what_is_left_is_half_the_mean_square_over_the_mean(kind: Kind, shape: float) -> None:
    lengths, seed = Lengths(kind, HOUR, shape), 5
    left = [lengths.left(draw(seed, at, 0, 0), draw(seed, at, 1, 0)) for at in range(COUNT)]
    mean = sum(left) / COUNT
    theory = math.gamma(1 + 2 / shape) / (2 * math.gamma(1 + 1 / shape) ** 2) * HOUR
    spread = math.sqrt(sum((each - mean) ** 2 for each in left) / COUNT)
    assert abs(mean - theory) < 4 * spread / math.sqrt(COUNT), seed


def test_the_ends_of_chance_give_the_ends_of_the_table() -> None:
    top = (1 << 64) - 1
    lengths = Lengths("exponential", HOUR)
    assert lengths.length(0) == 1
    assert lengths.length(top) == pytest.approx(25 * math.log(2) * HOUR, rel=1e-4)
    assert lengths.left(0, 0) == 1
    assert lengths.left(top, top) == pytest.approx(25 * math.log(2) * HOUR, rel=1e-4)
    assert lengths.length(top, 1) == 17
    assert lengths.length(0, 1) == 1


def test_tables_are_the_same_digits_on_every_machine() -> None:
    edges = [table_of(kind, shape).edges for kind, shape in KINDS]
    digest = hashlib.sha256(repr(edges).encode()).hexdigest()[:16]
    assert digest == "30cb58cecb0c1f3b"


def test_what_is_no_distribution_is_refused() -> None:
    for kind, mean_us, shape, why in (
        ("normal", 1, 1.0, "not normal"),
        ("exponential", 0, 1.0, "are none"),
        ("exponential", 1, 2.0, "exponential shape"),
        ("weibull", 1, 0.1, "weibull shape"),
        ("pareto", 1, 1.1, "from 1.2 to 100, not 1.1"),
    ):
        with pytest.raises(ValueError, match=why):
            Lengths(kind, mean_us, shape)  # type: ignore[arg-type]
