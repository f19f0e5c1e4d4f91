"""
Numbers and names as a reader sees them: short, aligned, and harmless.

Names come from files that anybody may have written, and are printable here; quoting for
HTML is the template's.
"""

from __future__ import annotations

import math

from fp8num._text import shorten

__all__ = [
    "MISSING",
    "count",
    "decibels",
    "number",
    "percent",
    "power_of_two",
    "rule_name",
    "shape_text",
]

MISSING = "–"  #: stands for a rate or a ratio with an empty denominator
_RULES = {"unit": "no scale", "tensor": "per-tensor scale"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 4) -> str:
    """Write a number to a few significant digits."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def percent(rate: float) -> str:
    """
    Write a rate as a percentage that never pretends to be none or all.

    >>> [percent(rate) for rate in (0.0, 1e-9, 0.0312, 0.5, 0.99999, 1.0)]
    ['0%', '<0.01%', '3.12%', '50.0%', '>99.9%', '100%']
    """
    if math.isnan(rate):
        return MISSING
    if rate in (0.0, 1.0):
        return f"{100 * rate:.0f}%"
    if rate < 0.0001:
        return "<0.01%"
    if rate > 0.999:
        return ">99.9%"
    return f"{100 * rate:.2f}%" if rate < 0.09995 else f"{100 * rate:.1f}%"


def decibels(value: float) -> str:
    """Write decibels with one decimal; ∞ where there is no error, a dash for NaN."""
    if math.isfinite(value):
        text = f"{value:.1f}"
        return "0.0" if text == "-0.0" else text.replace("-", "−")
    return number(value)


def power_of_two(exponent: int) -> str:
    """Write a power of two with a raised exponent, such as 2⁻⁹."""
    return "2" + str(exponent).translate(_SUPERSCRIPTS)


def count(value: int) -> str:
    """Write an integer with its thousands apart."""
    return f"{value:,}"


def shape_text(shape: tuple[int, ...]) -> str:
    """Write a shape, such as ``64 × 10``; ``scalar`` for no dimensions."""
    return " × ".join(str(length) for length in shape) or "scalar"


def rule_name(rule: str) -> str:
    """Write what a rule is called, in words if it has words."""
    return _RULES.get(rule, shorten(rule, 32))
