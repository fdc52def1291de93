"""Numbers as people read them: few digits, a unit, and an interval in brackets."""

from math import floor, inf, log10

from meshpacs_sim.statistics.intervals import Estimate

UNKNOWN = "unknown"
NOTHING = "–"
"""Where there was nothing to observe."""


def plain(value: float, digits: int = 3) -> str:
    """So many digits that count, thousands set apart; a whole number that fits is written whole.

    There is no exponent between a millionth and a billion.
    """
    if value in {inf, -inf} or value != value:  # noqa: PLR0124 - not a number is no number
        return UNKNOWN
    if value == 0:
        return "0"
    size = floor(log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -6 <= size < 9:
        return f"{value:.{digits - 1}e}"
    if value == round(value) and size < 6:
        return f"{value:,.0f}".replace(",", "\u202f")
    decimals = max(0, digits - 1 - size)
    rounded = round(value, digits - 1 - size)
    text = f"{rounded:,.{decimals}f}".replace(",", "\u202f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """A share of 1 in per cent; what is not quite none or all is not written as such."""
    if share in {0.0, 1.0}:
        return f"{share * 100:.0f} %"
    hundred = share * 100
    if 0 < hundred < 0.05:
        return f"{plain(hundred, 2)} %"
    if 99.95 <= hundred < 100:
        return f"{100 - float(f'{100 - hundred:.1g}'):.6g} %"
    return f"{hundred:.1f} %"


def with_interval(estimate: Estimate | None, *, share: bool = False) -> str:
    """A value and its two ends."""
    if estimate is None:
        return NOTHING
    say = percent if share else plain
    value = say(estimate.value)
    if estimate.low == estimate.high:
        return value
    low = UNKNOWN if estimate.low == -inf else say(estimate.low)
    high = UNKNOWN if estimate.high == inf else say(estimate.high)
    if low == high == UNKNOWN:
        return f"{value} (interval {UNKNOWN})"
    return f"{value} ({low} to {high})"
