"""Numbers as tables show them."""

import math


def p_value(p: float) -> str:
    """Return `p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def signed(value: float) -> str:
    """Return a number with its sign, three digits."""
    return f"+{number(value, 3)}" if value > 0 else number(value, 3)


def number(value: float, digits: int = 4) -> str:
    """Return a number with this many significant digits, without an exponent where it is of common size."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}".replace("-0", "0")
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 0.99999 is 1.000
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}" if -4 <= magnitude < 6 else f"{value:.{digits - 1}e}"
    return text.replace("-", "−", 1) if value < 0 else text


def duration(seconds: float) -> str:
    """Return `45 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
