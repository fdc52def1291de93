"""Numbers as people read them: few digits, a unit, and an interval in brackets."""

from math import floor, inf, isfinite, log10

from meshpacs_sim.statistics.intervals import Estimate

UNKNOWN = "unknown"
THIN = "\N{NARROW NO-BREAK SPACE}"
"""Between thousands: commas and points mean different things to different people."""

NOTHING = "–"
"""Where there was nothing to observe."""


def plain(value: float, digits: int = 3) -> str:
    """So many digits that count, thousands set apart; a whole number that fits is written whole.

    There is no exponent between a millionth and a billion.
    """
    if not isfinite(value):
        return UNKNOWN
    if value < 0:
        return f"\N{MINUS SIGN}{plain(-value, digits)}"
    if value == 0:
        return "0"
    size = floor(log10(float(f"{value:.{digits - 1}e}")))
    if not -6 <= size < 9:
        return f"{value:.{digits - 1}e}"
    if value == round(value) and size < 6:
        return _apart(f"{value:,.0f}")
    decimals = max(0, digits - 1 - size)
    text = _apart(f"{round(value, digits - 1 - size):,.{decimals}f}")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _apart(text: str) -> str:
    return text.replace(",", THIN)


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


def ends(estimate: Estimate, *, share: bool = False) -> str:
    """Its two ends; nothing where they are written alike."""
    say = percent if share else plain
    low = UNKNOWN if estimate.low == -inf else say(estimate.low)
    high = UNKNOWN if estimate.high == inf else say(estimate.high)
    if low == high:
        return f"interval {UNKNOWN}" if low == UNKNOWN else ""
    return f"{low} to {high}"


def with_interval(estimate: Estimate | None, *, share: bool = False) -> str:
    """A value and its two ends."""
    if estimate is None:
        return NOTHING
    value, told = (percent if share else plain)(estimate.value), ends(estimate, share=share)
    return f"{value} ({told})" if told else value
